"""Visits in a Promela model: every way that a state can be worked through and ended, each call a step of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ...contracts.flow import (
    ANY,
    CACHED,
    LATE_RESULT,
    NEXT_ISSUE,
    OPERATOR_INPUTS,
    AgentState,
    BroadcastState,
    CallState,
    CollectState,
    Flow,
    HumanState,
    RouteState,
    State,
    SubflowState,
    Transition,
    WaitState,
)
from ...contracts.policies import MESSAGE
from ..outcomes import outcomes_of
from .openings import visits_asked
from .promela_policies import Watcher, is_modelled

COUNTED = 1_000
"""Larger limits bound nothing that anybody would wait for, and are not counted."""
LIMIT = "limit"


@dataclass
class Visits:
    """What can happen in each state. `number` keeps the names of several flows in one model apart.

    `places` are what `SEEN(n)` marks, in their order: ("state", name), ("row", index), ("acted", tool).
    """

    flow: Flow
    number: int = 0
    places: list[tuple[str, str]] = field(default_factory=list)

    @cached_property
    def states(self) -> Mapping[str, State]:
        return {one.name: one for one in self.flow.states}

    @cached_property
    def ons(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(row.on for row in self.flow.transitions))

    @cached_property
    def agents(self) -> tuple[str, ...]:
        return tuple(one.name for one in self.flow.agents)

    @cached_property
    def counted(self) -> Mapping[str, int]:
        """Limits of a turn that are counted, with their most."""
        names = ("steps", "agent_calls", "tool_calls", "handoffs", "same_pair", "self_handoffs")
        limits = {name: getattr(self.flow.limits, name) for name in names}
        return {name: most for name, most in limits.items() if most is not None and most <= COUNTED}

    @cached_property
    def visits(self) -> Mapping[str, int]:
        return visits_asked(self.flow, tuple(enumerate(self.flow.transitions)))

    def s(self, state: str) -> str:
        return f"S{self.number}_{state}"

    def on(self, trigger: str) -> str:
        return f"ON{self.number}_{trigger}"

    def seen(self, kind: str, name: str) -> str:
        if (kind, name) not in self.places:
            self.places.append((kind, name))
        return f"SEEN({self.number * 1_000 + self.places.index((kind, name))})"

    # What a visit can do.

    def rows(self, state: str, on: str) -> tuple[tuple[int, Transition], ...]:
        every = tuple(enumerate(self.flow.transitions))
        return tuple(one for source in (state, ANY) for one in every if one[1].source == source and one[1].on == on)

    @cached_property
    def watchers(self) -> tuple[Watcher, ...]:
        """The policies of which the model has every word."""
        modelled = (one for one in self.flow.policies if is_modelled(self.flow, one))
        return tuple(Watcher(self.flow, one, self.number * 100 + at) for at, one in enumerate(modelled))

    @cached_property
    def words(self) -> Mapping[str, str]:
        """What policies speak of, each with the name of its macro; with them every end, for what is owed there."""
        ends = {f"end:{one.name}" for one in self.flow.states if one.kind == "final"} if self.watchers else set()
        every = sorted(ends.union(*(one.words for one in self.watchers)))
        return {word: f"W{self.number}_{place}" for place, word in enumerate(every)}

    def said(self, *words: str) -> str:
        """That these words happen, in this order; nothing where no policy speaks of them."""
        return "".join(f"{self.words[word]}; " for word in words if word in self.words)

    def ends(self, state: State, on: str, before: str = "", words: tuple[str, ...] = ()) -> Iterator[str]:
        """The visit ends so, if any row waits for it."""
        if self.rows(state.name, on):
            yield f"{before or 'true'} -> {self.said(*words)}on = {self.on(on)}"

    def begins(self, state: State, on: str, events: str = "", words: tuple[str, ...] = ()) -> Iterator[str]:
        """An input begins a new turn; without a trigger the state stays."""
        if on and not self.rows(state.name, on):
            return
        reset = "steps = 0; calls = 0; tools = 0; handoffs = 0; own = 0; last = 0; early = 1"
        reset += "".join(f"; seen_{name} = 0" for name in self.visits)
        reset += "".join(f"; pair[{place}] = 0" for place in range(len(self.agents) ** 2)) * (
            "same_pair" in self.counted
        )
        reset += "; attempt = 0; rounds = 0; fallback = 0; asked = 0; again = 0"
        yield f"NEW -> {reset}{events}; {self.said(*words)}{f'on = {self.on(on)}' if on else 'skip'}"

    def _options(self, state: State) -> Iterator[str]:
        if state.kind == "final":
            yield "goto over"
            return
        yield from self._looping()
        for name in OPERATOR_INPUTS:
            yield from self.begins(state, name, words=(f"input:{name}",))
        match state:
            case WaitState():
                yield from self._waiting(state)
            case CollectState():
                yield from self._collecting(state)
            case HumanState():
                for on in state.decisions:
                    yield from self.begins(state, on, "; heard = 0", (f"decided:{state.name}.{on}",))
                yield from self.ends(state, "expired", "early = 1")
            case RouteState():
                yield from self._routing(state)
            case SubflowState():
                yield from self.begins(state, "", "; heard = 1", (MESSAGE,))
                yield from self.begins(state, LIMIT, "; heard = 1", (MESSAGE,))
                yield from self.ends(state, LIMIT)
                for on in outcomes_of(self.flow, state):
                    yield from self.ends(state, on, "early = 1; heard = 1", (f"result:{state.name}",))
                yield from self.ends(state, "failed", "early = 1; heard = 1")  # its deadline passed
            case CallState():
                yield from self._calling(state)
            case AgentState():
                yield from self._asking(state)
            case BroadcastState():
                yield from self._broadcasting(state)

    def _looping(self) -> Iterator[str]:
        yield "\n#ifdef LOOPS\n    !going -> going = 1\n    ::\n#endif\n    false"

    def _waiting(self, state: WaitState) -> Iterator[str]:
        for on in ("message", LIMIT):
            yield from self.begins(state, on, "; heard = 1", (MESSAGE,))
        for on in state.inputs:
            if on == LATE_RESULT:
                yield from self.ends(state, on, "early = 1")
            else:
                yield from self.begins(state, on, words=(f"input:{on}",))
        if state.next_issue:
            yield from self.ends(state, NEXT_ISSUE)
        yield from self.ends(state, "expired", "early = 1")

    def _collecting(self, state: CollectState) -> Iterator[str]:
        types = {one.name: one for one in self.flow.facts}
        plain = all(types[one].type == "yes_no" and not types[one].volunteered for one in state.facts if one in types)
        agreed = bool(state.confirm) or plain
        if not state.confirm:
            yield from self.ends(state, "complete", "heard = 0" if agreed else "")
        yield from self.begins(state, "complete", "; heard = 0" if agreed else "; heard = 1", (MESSAGE,))
        router = next((one for one in self.flow.routers if one.name == self.flow.digressions), None)
        labels = router.labels if router else ()
        for on in dict.fromkeys(("", LIMIT, "gave_up", "declined", *labels)):
            words = (MESSAGE, f"label:{on}") if on in labels else (MESSAGE,)
            yield from self.begins(state, on, "; heard = 1", words)
        yield from self.ends(state, "expired", "early = 1")

    def _routing(self, state: RouteState) -> Iterator[str]:
        router = next((one for one in self.flow.routers if one.name == state.router), None)
        for on in outcomes_of(self.flow, state):
            yield from self.ends(state, on, words=(f"label:{on}",))
            if router is not None and router.agent is not None:
                yield from self.ends(state, on, self._one_call("true"), (f"label:{on}",))

    def _one_call(self, condition: str, worked: str = "early = 0") -> str:
        """A model is called, where the turn has room."""
        room = f"{condition} && calls < {self.counted['agent_calls']}" if "agent_calls" in self.counted else condition
        counts = "calls++; CALLED; assert(calls <= CALLS); " if "agent_calls" in self.counted else ""
        return f"{room} -> {counts}{worked}; PAYS(@)"

    def _calling(self, state: CallState) -> Iterator[str]:
        if state.approval is not None:
            yield from self.ends(state, "unapproved")
        most = self.counted.get("tool_calls")
        full = "" if most is None else f" || tools >= {most}"
        yield from self.ends(state, LIMIT, f"(!early{full})")
        spec = next(one for one in self.flow.tools if one.name == state.tool)
        room = "true" if most is None else f"tools < {most}"
        approved = (f"approved:{state.tool}",) if spec.consequential and state.approval is not None else ()
        asked = self.said(*approved, f"tool:{state.tool}")
        run = f"{room} -> {asked}{'' if most is None else 'tools++; '}early = 0; PAYS(@)"
        if spec.consequential and state.approval is None:
            run += f"; if :: heard -> {self.seen('acted', state.tool)} :: else fi"
        elif spec.consequential:
            run += "; heard = 0"
        yield from self.ends(state, "done", f"{run}; heard = 0" if spec.sanitises else run, (f"done:{state.tool}",))
        for on in ("failed", "timeout"):
            yield from self.ends(state, on, f"attempt + 1 >= {state.attempts} && {run}")
        if state.attempts > 1:
            yield f"attempt + 1 < {state.attempts} && {run}; attempt++"

    def _asking(self, state: AgentState) -> Iterator[str]:
        """`asked`: 0 before the agent in hand got the conversation, 2 when it just got it, 1 once it was called."""
        spec = next(one for one in self.flow.agents if one.name == state.agent)
        fresh = "attempt == 0 && rounds == 0 && fallback == 0 && asked == 0"
        if state.judges is not None:
            yield from self.ends(state, "unsure", fresh)
        if spec.scope is not None:
            yield from self.ends(state, "refused", fresh)
        yield from self.ends(state, "over_budget", "asked != 2")
        yield from self.ends(state, LIMIT, "asked != 2")
        for place in range(len(state.fallbacks) + 1):
            if place == 0 or state.fallbacks[place - 1] != CACHED:
                yield from self._attempts(state, place)

    def _attempts(self, state: AgentState, place: int) -> Iterator[str]:
        agent = state.agent_at(place)
        spec = next(one for one in self.flow.agents if one.name == agent)
        most = state.fallback_attempts if place else state.attempts
        here = f"fallback == {place} && attempt < {most}"
        yield from self._handed(agent, f"{here} && asked == 0")
        changing = [one.name for one in self.flow.tools if one.consequential and one.name in state.tools]
        bad = "".join(f"; {self.seen('acted', one)}" for one in changing) if state.approval is None else ""
        call = self._one_call(f"{here} && asked > 0", "early = 0; asked = 1")
        for on in ("done", "unsure", "refused"):
            yield from self.ends(state, on, f"{call}; heard = 1{bad}", (f"result:{state.name}",))
        used_up = "" if state.fallbacks or state.backoff_seconds else f" && attempt + 1 >= {most}"
        for on in ("invalid", "timeout", "failed"):
            yield from self.ends(state, on, call.replace(here, here + used_up, 1))
        yield f"{call.replace(here, f'{here} && attempt + 1 < {most}', 1)}; attempt++"
        yield f"{call.replace(here, f'{here} && rounds < {self.flow.limits.tool_rounds}', 1)}; rounds++"
        yield from self.ends(state, LIMIT, call)
        if place < len(state.fallbacks):
            yield f"{call}; fallback++; attempt = 0; asked = 0"
        if state.agents:
            yield self._one_call(f"{here} && asked == 1")
        if spec.summariser is not None:  # a summary is made before the agent gets the conversation
            before = self._one_call(f"{here} && asked == 0 && again == 0")
            yield f"{before}; again = 1"
            for on in ("invalid", "timeout", "failed"):
                yield from self.ends(state, on, before)

    def _handed(self, agent: str, condition: str) -> Iterator[str]:
        """The agent gets the conversation, where a call can follow."""
        number, size = self.agents.index(agent) + 1, len(self.agents)
        if "agent_calls" in self.counted:
            condition += f" && calls < {self.counted['agent_calls']}"
        then = f"last = {number}; asked = 2"
        yield f"{condition} && last == 0 -> {then}"
        condition += " && last != 0"
        if "same_pair" in self.counted:
            place = f"(last - 1) * {size} + {number - 1}"
            condition += f" && pair[{place}] < {self.counted['same_pair']}"
            then = f"pair[{place}]++; {then}"
        if "handoffs" in self.counted:
            condition += f" && handoffs < {self.counted['handoffs']}"
            then = f"handoffs++; {then}"
        if "self_handoffs" in self.counted:
            yield f"{condition} && last == {number} && own < {self.counted['self_handoffs']} -> own++; {then}"
            condition += f" && last != {number}"
        yield f"{condition} -> {then}"

    def _broadcasting(self, state: BroadcastState) -> Iterator[str]:
        """`asked` is one more than the members that were asked, `again` the attempts that are left to them."""
        members = state.most if state.plan is not None else len(state.members)
        room = self.counted.get("agent_calls")
        fits = "" if room is None else f" && calls + {1 if state.plan is not None else members} <= {room}"
        yield from self.ends(state, LIMIT, "asked == 0")
        if state.plan is not None:
            yield from self.ends(state, "empty", "asked == 0")
        more = sorted((one.attempts - 1 for one in state.members), reverse=True)
        needed = 1 if state.plan is not None else state.quorum or members
        for number in range(members + 1):
            ends = ("failed", *("partial", LIMIT)[: 2 * bool(number)], *("complete",)[: number >= needed])
            if not any(self.rows(state.name, on) for on in ends):
                continue  # nothing waits for how that many would end: a dead end of the state, not of a choice
            left = number * (state.attempts - 1) if state.plan is not None else sum(more[:number])
            counted = (
                f"calls = calls + {number}; CALLED; assert(calls <= CALLS); " if room is not None and number else ""
            )
            worked = "early = 0; PAYS(@); " if number else ""
            enough = fits if state.plan is None or room is None else f" && calls + {number} <= {room}"
            yield f"asked == 0{enough} -> {counted}{worked}asked = {number + 1}; again = {left}"
        yield from self.ends(state, "failed", "asked > 0")
        answered = (f"result:{state.name}",)
        yield from self.ends(state, "partial", "asked > 1 -> heard = 1", answered)
        yield from self.ends(state, LIMIT, "asked > 1")
        yield from self.ends(state, "complete", f"asked > {needed} -> heard = 1", answered)
        yield f"{self._one_call('asked > 1 && again > 0')}; again--"
