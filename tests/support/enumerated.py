"""What a flow can do, found by trying everything: a slow and plain oracle that shares nothing with `fsm/prove`.

Every call of a model, every attempt and every round is a step of its own here, all counters are always counted, and
guards are tried with every combination of facts. Only for small flows with small limits.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

from interlock.contracts.facts import Facts, KnownFact
from interlock.contracts.flow import (
    OPERATOR_INPUTS,
    AgentState,
    BroadcastState,
    CallState,
    CollectState,
    Flow,
    HumanState,
    RouteState,
    SubflowState,
    Transition,
    WaitState,
)
from interlock.contracts.guard import Guard
from interlock.fsm.guards import BUILT_IN, tried
from interlock.fsm.outcomes import outcomes_of


@dataclass(frozen=True)
class Spot:
    """A conversation, as far as it matters. `inside` says how far the visit is."""

    state: str
    frames: tuple[str, ...] = ()
    inside: tuple[Any, ...] = ()
    last: str = ""
    early: bool = True
    steps: int = 0
    calls: int = 0
    tools: int = 0
    handoffs: int = 0
    pairs: tuple[tuple[tuple[str, str], int], ...] = ()
    visits: tuple[tuple[str, int], ...] = ()
    heard: bool = False
    """What somebody or a model wrote stands unconfirmed."""


@dataclass
class Enumerated:
    """All there is."""

    spots: set[Spot] = field(default_factory=set)
    rows: set[int] = field(default_factory=set)
    edges: dict[Spot, list[tuple[Spot, bool, int]]] = field(default_factory=dict)
    """Where each leads, whether that begins a new turn, and the calls made."""
    helped: dict[Spot, set[Spot]] = field(default_factory=dict)
    """Where only an operator leads."""
    acted: set[str] = field(default_factory=set)
    """Tools that change something, reached by what nobody confirmed."""

    @property
    def states(self) -> set[str]:
        return {one.state for one in self.spots}

    def dead_ends(self, finals: set[str]) -> set[str]:
        """States in which nothing can happen any more, and that are no end."""
        return {spot.state for spot, targets in self.edges.items() if not targets and spot.state not in finals}

    def calls_of_a_turn(self) -> float:
        """The most model calls between two inputs; infinite where a turn need not end."""
        best: dict[Spot, float] = {}
        open_: set[Spot] = set()

        def most(spot: Spot) -> float:
            if spot in best:
                return best[spot]
            if spot in open_:
                return 0
            open_.add(spot)
            found = [made + most(there) for there, new, made in self.edges[spot] if not new]
            open_.discard(spot)
            best[spot] = max([0, *found])
            return best[spot]

        return max(most(spot) for spot in self.spots)

    def never_ending(self, finals: set[str]) -> set[Spot]:
        """Spots from which no end can be reached."""
        before: dict[Spot, set[Spot]] = {spot: set() for spot in self.spots}
        for spot, targets in self.edges.items():
            for there, _, _ in targets:
                if there not in self.helped.get(spot, ()):
                    before[there].add(spot)
        ending = {spot for spot in self.spots if spot.state in finals}
        waiting = list(ending)
        while waiting:
            for spot in before[waiting.pop()] - ending:
                ending.add(spot)
                waiting.append(spot)
        return self.spots - ending


class Enumerator:
    """Tries everything that may happen to one flow."""

    def __init__(self, flow: Flow, most: int = 60_000) -> None:
        self.flow, self.limits, self.most = flow, flow.limits, most
        self.states = {one.name: one for one in flow.states}
        self.found = Enumerated()
        self.memo: dict[Any, set[int]] = {}
        self.asks_visits = "visits_at_most" in repr(flow.transitions)

    def run(self) -> Enumerated | None:
        """Everything; None where it is too much."""
        start = self.visited(Spot(self.flow.initial), self.flow.initial)
        waiting = [start]
        while waiting:
            spot = waiting.pop()
            if spot in self.found.spots:
                continue
            self.found.spots.add(spot)
            if len(self.found.spots) > self.most:
                return None
            targets = list(dict.fromkeys(self.after(spot)))
            helped = {there for there, _, _ in self.operated(spot)}
            self.found.helped[spot] = helped - {there for there, _, _ in targets}
            targets += [one for one in self.operated(spot) if one not in targets]
            self.found.edges[spot] = targets
            waiting += [there for there, _, _ in targets]
        return self.found

    def visited(self, spot: Spot, name: str) -> Spot:
        if not self.asks_visits:
            return spot
        visits = dict(spot.visits)
        visits[name] = min(visits.get(name, 0) + 1, 20)
        return replace(spot, visits=tuple(sorted(visits.items())))

    def rows_for(self, spot: Spot, on: str) -> set[int]:
        rows = [(i, one) for i, one in enumerate(self.flow.transitions) if one.source == spot.state and one.on == on]
        rows += [(i, one) for i, one in enumerate(self.flow.transitions) if one.source == "any" and one.on == on]
        key = (spot.state, on, len(spot.frames) > 0, spot.visits)
        if key not in self.memo:
            self.memo[key] = self.takeable(rows, spot)
        return self.memo[key]

    def takeable(self, rows: list[tuple[int, Transition]], spot: Spot) -> set[int]:
        """Rows that some facts, and some answers of the flow's own guards, make the first."""
        named = {str(atom): atom for _, row in rows for atom in named_in(row.guard)}
        own = [atom for atom in named.values() if atom.name not in BUILT_IN]
        about = sorted({str(atom.arguments[0]) for atom in named.values() if atom.name in BUILT_IN} - set(self.states))
        taken: set[int] = set()
        for answers in product((True, False, None), repeat=len(own)):
            table = {str(atom): answer for atom, answer in zip(own, answers, strict=True)}

            def asked(atom_name: str, table: dict[str, bool | None] = table) -> Any:
                def function(_facts: Facts, *arguments: Any) -> bool:
                    answer = table[str(Guard(name=atom_name, arguments=arguments))]
                    if answer is None:
                        raise ValueError(atom_name)
                    return answer

                return function

            functions = {name: one.function for name, one in BUILT_IN.items()}
            functions |= {atom.name: asked(atom.name) for atom in own}
            for values in product(*(VALUES.get(name, (None, 1)) for name in about)):
                known = {
                    name: KnownFact(name=name, value=value)
                    for name, value in zip(about, values, strict=True)
                    if value is not None
                }
                facts = Facts(known, len(spot.frames), dict(spot.visits), 1)
                first, _ = tried(rows, facts, functions)
                if first is not None:
                    taken.add(first[0])
        return taken

    def ended(self, spot: Spot, on: str) -> Iterator[tuple[Spot, bool, int]]:
        """The visit ended so: every row that may be taken."""
        if on != "limit" and spot.steps >= self.limits.steps:
            on = "limit"
        for index in self.rows_for(spot, on):
            row = self.flow.transitions[index]
            pushes = row.push and isinstance(self.states[spot.state], WaitState | CollectState)
            if pushes and len(spot.frames) >= self.limits.digression_depth:
                yield from self.ended(spot, "limit")
                continue
            self.found.rows.add(index)
            returns = row.target == "return"
            target = spot.frames[-1] if returns else row.target
            frames = spot.frames
            if returns:
                frames = frames[:-1]
            elif pushes:
                frames = (*frames, spot.state)
            elif row.source == "any" or self.states[target].kind in ("human", "final"):
                frames = ()
            there = replace(spot, state=target, frames=frames, inside=(), steps=min(spot.steps + 1, self.limits.steps))
            yield (there if returns else self.visited(there, target)), False, 0

    def anew(self, spot: Spot, on: str) -> Iterator[tuple[Spot, bool, int]]:
        """An input: a new turn, then the row."""
        fresh = Spot(spot.state, spot.frames, heard=spot.heard)
        if on:
            yield from ((there, True, 0) for there, _, _ in self.ended(fresh, on))
        else:
            yield fresh, True, 0

    def after(self, spot: Spot) -> Iterator[tuple[Spot, bool, int]]:
        state = self.states[spot.state]
        heard = replace(spot, heard=True)
        if state.kind in ("wait", "collect", "subflow"):
            yield from self.anew(heard, "limit")  # one message too many
        match state:
            case WaitState():
                yield from self.anew(heard, "message")
                for on in (one for one in state.inputs if one != "late_result"):
                    yield from self.anew(spot, on)
                if "late_result" in state.inputs:
                    yield from self.ended(replace(heard, early=True), "late_result")
                if state.next_issue:
                    yield from self.ended(spot, "next_issue")
                yield from self.ended(replace(spot, early=True), "expired")
            case CollectState():
                agreed = replace(spot, heard=False) if self.agreed(state) else heard
                if not state.confirm:
                    yield from self.ended(agreed if self.agreed(state) else spot, "complete")
                    if any(one.confirm for one in self.flow.facts if one.name in state.facts):
                        yield from self.anew(replace(spot, heard=False), "complete")
                router = next((one for one in self.flow.routers if one.name == self.flow.digressions), None)
                yield from self.anew(agreed, "complete")
                for on in ("", "gave_up", "declined", *(router.labels if router else ())):
                    yield from self.anew(heard, on)
                yield from self.ended(replace(spot, early=True), "expired")
            case HumanState():
                for on in state.decisions:
                    yield from self.anew(replace(spot, heard=False), on)
                yield from self.ended(replace(spot, early=True), "expired")
            case RouteState():
                router = next(one for one in self.flow.routers if one.name == state.router)
                for on in outcomes_of(self.flow, state):
                    yield from self.ended(spot, on)
                    if router.agent is not None and spot.calls < self.limits.agent_calls:
                        asked = replace(spot, calls=spot.calls + 1, early=False)
                        yield from ((there, new, 1) for there, new, _ in self.ended(asked, on))
            case SubflowState():
                yield from self.anew(heard, "")
                yield from self.ended(spot, "limit")
                for on in outcomes_of(self.flow, state):
                    yield from self.ended(replace(heard, early=True), on)
                yield from self.ended(replace(spot, early=True), "failed")  # its deadline passed
            case CallState():
                yield from self.calling(spot, state)
            case AgentState():
                yield from self.asking(spot, state)
            case BroadcastState():
                yield from self.broadcasting(spot, state)

    def operated(self, spot: Spot) -> Iterator[tuple[Spot, bool, int]]:
        for name in OPERATOR_INPUTS if self.states[spot.state].kind != "final" else ():
            if self.rows_for(spot, name):
                yield from self.anew(spot, name)

    def agreed(self, state: CollectState) -> bool:
        """Whether being filled is a yes to what was read back, or to plain questions only."""
        types = {one.name: one for one in self.flow.facts}
        return bool(state.confirm) or all(
            types[name].type == "yes_no" and not types[name].volunteered for name in state.facts
        )

    def changes(self, spot: Spot, tool: str, approved: bool) -> Spot:
        """The tool is asked: whether it changes something on what nobody confirmed."""
        if next(one for one in self.flow.tools if one.name == tool).consequential:
            if approved:
                return replace(spot, heard=False)
            if spot.heard:
                self.found.acted.add(tool)
        return spot

    def calling(self, spot: Spot, state: CallState) -> Iterator[tuple[Spot, bool, int]]:
        done = spot.inside[0] if spot.inside else 0
        if state.approval is not None:
            yield from self.ended(spot, "unapproved")
        if not spot.early or (self.limits.tool_calls is not None and spot.tools >= self.limits.tool_calls):
            yield from self.ended(spot, "limit")
        if self.limits.tool_calls is not None and spot.tools >= self.limits.tool_calls:
            return
        run = replace(spot, tools=spot.tools + (self.limits.tool_calls is not None), early=False)
        run = self.changes(run, state.tool, state.approval is not None)
        yield from self.ended(run, "done")
        for on in ("failed", "timeout"):
            if done + 1 < state.attempts:
                yield replace(run, inside=(done + 1,)), False, 0
            else:
                yield from self.ended(run, on)

    def asking(self, spot: Spot, state: AgentState) -> Iterator[tuple[Spot, bool, int]]:
        attempt, rounds = spot.inside or (1, 0)
        begins, limits, pairs = not spot.inside, self.limits, dict(spot.pairs)
        if begins and state.judges is not None:
            yield from self.ended(spot, "unsure")
        yield from self.ended(spot, "over_budget")
        yield from self.ended(spot, "limit")  # of the whole conversation
        handed = spot
        if begins and spot.last:
            pair = (spot.last, state.agent)
            own = sum(count for (source, target), count in pairs.items() if source == target)
            if limits.self_handoffs is not None and spot.last == state.agent and own >= limits.self_handoffs:
                return
            if pairs.get(pair, 0) >= limits.same_pair or spot.handoffs >= limits.handoffs:
                return
            pairs[pair] = pairs.get(pair, 0) + 1
            handed = replace(spot, handoffs=spot.handoffs + 1, pairs=tuple(sorted(pairs.items())))
        if spot.calls >= limits.agent_calls:
            return
        asked = replace(handed, calls=spot.calls + 1, last=state.agent, early=False)
        for tool in state.tools:
            self.changes(replace(asked, heard=True), tool, state.approval is not None)
        for on in ("done", "unsure", "refused"):
            yield from ((there, new, 1) for there, new, _ in self.ended(replace(asked, heard=True), on))
        for on in ("invalid", "timeout", "failed"):
            if attempt < state.attempts:
                yield replace(asked, inside=(attempt + 1, rounds)), False, 1
            else:
                yield from ((there, new, 1) for there, new, _ in self.ended(asked, on))
        if rounds < limits.tool_rounds:
            yield replace(asked, inside=(attempt, rounds + 1)), False, 1
        yield from ((there, new, 1) for there, new, _ in self.ended(asked, "limit"))

    def broadcasting(self, spot: Spot, state: BroadcastState) -> Iterator[tuple[Spot, bool, int]]:
        limits, members = self.limits, len(state.members)
        if not spot.inside:
            yield from self.ended(spot, "limit")
            if spot.calls + members > limits.agent_calls:
                return
            for asked in range(members + 1):
                left = sum(sorted((one.attempts - 1 for one in state.members), reverse=True)[:asked])
                there = replace(spot, calls=spot.calls + asked, inside=(asked, left), early=spot.early and not asked)
                yield there, False, asked
            return
        asked, left = spot.inside
        yield from self.ended(spot, "failed")
        heard = replace(spot, heard=True)
        if asked:
            yield from self.ended(heard, "partial")
            yield from self.ended(spot, "limit")
        if asked >= (state.quorum or members):
            yield from self.ended(heard, "complete")
        if left and spot.calls < limits.agent_calls:
            yield replace(spot, calls=spot.calls + 1, inside=(asked, left - 1), early=False), False, 1


def named_in(guard: Guard) -> Iterator[Guard]:
    if guard.op == "call":
        yield guard
    for part in guard.parts:
        yield from named_in(part)


VALUES: dict[str, tuple[Any, ...]] = {
    "verified": (None, True, False),
    "colour": (None, "red", "green"),
    "count": (None, *range(-12, 13)),
    "amount": (None, 1),
}
