"""A flow as a machine that can be explored: locations, counters, and every move from each.

A configuration is one number: the location (state, digression frames, last agent, monitors) is its lowest digit,
the counters of the turn stand above it. An input begins a new turn, so it leads to the same configuration from
whatever the counters are; any other move adds a fixed difference.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from ...contracts.flow import (
    ANY,
    RETURN,
    AgentState,
    CollectState,
    FinalState,
    Flow,
    HumanState,
    State,
    SubflowState,
    Transition,
    WaitState,
)
from ...contracts.subflow import FAILED
from .choices import Choice, choices, counted_visits, sanitised_by
from .counters import COUNTED, LOCATIONS, Bump, Counters, product_of
from .digits import any_limit, cost_of, digits, handed, tools_in, without_yes
from .endings import LIMIT, NOTHING, STAYS, Cost, Ending, endings, operated
from .monitor import Kept, Monitor, following
from .moving import IN_THE_CHILD, UNKNOWN_CHILD, Child, Led, Location, Move

POLICY = "policy"
"""The trigger of the rows that are taken where a step would break a policy."""
Watched = tuple[int, ...]
Events = tuple[str, ...]
NEW_TURN = ("input", "person", "operator")


Rows = tuple[tuple[int, Transition], ...]


class Model:
    """What a flow can do. `counted` are the limits of a turn that are counted; others may be reached at any time."""

    def __init__(
        self,
        flow: Flow,
        counted: frozenset[str] = frozenset(),
        monitors: tuple[Monitor, ...] = (),
        below: Mapping[str, Child] | None = None,
        *,
        loose: bool = False,
    ) -> None:
        self.flow, self.monitors = flow, monitors
        self.loose = loose
        """Any limit may stop any step: more can happen then than with every limit counted."""
        self.below = below or {}
        """What each child flow may use in a turn, and how it may end."""
        self.states: dict[str, State] = {one.name: one for one in flow.states}
        self.rows: dict[tuple[str, str], Rows] = {}
        for index, row in enumerate(flow.transitions):
            self.rows[row.source, row.on] = (*self.rows.get((row.source, row.on), ()), (index, row))
        self.visits = {name: min(most, COUNTED) for name, most in counted_visits(flow).items()}
        self.counters = Counters(*digits(flow, counted, self.visits))
        self.exact = "agent_calls" in counted and any(one.kind == "broadcast" for one in flow.states)
        self.tells_agents = bool({"handoffs", "same_pair", "self_handoffs"} & counted)
        self._follow = following(monitors)
        self.kept = tuple((at, one) for at, one in enumerate(monitors) if isinstance(one, Kept))
        self.limits = sorted({word for _, one in self.kept for word in one.watch.steps if word.startswith("limit:")})
        """Limits that policies speak of: which one is reached is not told apart, so it may be any, at any time."""
        self.refused: dict[int, dict[str, str]] = {}
        """By location: the policies that some step there would break, and what that is."""
        self.stays: dict[int, set[str]] = {}
        """By location: those of which a step is refused and every row on `policy` too, so that nothing is taken."""
        operators = operated(flow)
        self._endings = {name: tuple(endings(flow, state, operators)) for name, state in self.states.items()}
        self._choices: dict[tuple[str, str, bool], tuple[Choice, ...]] = {}
        self.locations: list[Location] = []
        self._index: dict[Location, int] = {}
        self.moves: dict[int, tuple[Move, ...]] = {}
        watched = self._follow(tuple(one.initial for one in monitors), (f"enter:{flow.initial}",))
        start = self.index(Location(flow.initial, watched=watched))
        visited = self.counters.get(f"visits:{flow.initial}")
        self.initial = start + (visited.weight if visited and visited.most else 0)

    def index(self, location: Location) -> int:
        found = self._index.setdefault(location, len(self.locations))
        if found == len(self.locations):
            self.locations.append(location)
        return found

    def location(self, configuration: int) -> Location:
        return self.locations[configuration % LOCATIONS]

    def kind(self, configuration: int) -> str:
        return self.states[self.location(configuration).state].kind

    def moves_of(self, index: int) -> tuple[Move, ...]:
        """Every move from a location, each outcome and each row once."""
        if index not in self.moves:
            found: dict[tuple[object, ...], Move] = {}
            for move in self._moves(index):
                key = (move.on, move.row, move.checks, move.to, move.new_turn, move.cost, move.held, move.instead)
                found.setdefault(key, move)
            self.moves[index] = tuple(found.values())
        return self.moves[index]

    def _moves(self, index: int) -> Iterator[Move]:
        here = self.locations[index]
        for ending in self._endings[here.state]:
            if (ending.needs_time and here.fresh) or self._unheard(here, ending):
                continue
            if ending.cause in NEW_TURN:
                yield from self._inputs(index, here, ending)
            else:
                yield from self._works(index, here, ending)
        yield from self._tools(index, here)
        if self.child_at(here).told:
            yield from self._inputs(index, here, IN_THE_CHILD)

    def child_at(self, location: Location) -> Child:
        """What is known of the child flow that runs there; nothing where none does."""
        found = self.states[location.state]
        return self.below.get(found.flow, UNKNOWN_CHILD) if isinstance(found, SubflowState) else UNKNOWN_CHILD

    def _unheard(self, here: Location, ending: Ending) -> bool:
        """Whether a child conversation cannot end like this, because nobody was heard in it yet."""
        alone = self.child_at(here).alone
        finals = f"result:{here.state}" in ending.events and ending.on != FAILED
        return finals and alone is not None and not here.heard and ending.on not in alone

    def _rows(self, here: Location, on: str) -> tuple[Choice, ...]:
        key = (here.state, on, bool(here.frames))
        if key not in self._choices:
            rows = (*self.rows.get((here.state, on), ()), *self.rows.get((ANY, on), ()))
            self._choices[key] = choices(self.flow, rows, bool(here.frames))
        return self._choices[key]

    def _inputs(self, index: int, here: Location, ending: Ending) -> Iterator[Move]:
        """A new turn: every counter begins anew, so what guards count is nothing yet."""
        began = here._replace(last_agent="", fresh=True)
        if ending.on == STAYS:
            heard = self.child_at(here).alone is not None
            stayed = began._replace(watched=self._follow(here.watched, ending.events), heard=heard)
            target, on = self.index(stayed), "message" if ending.events else ""
            yield Move(ending, on, None, target, (), target, True, NOTHING, self.child_at(stayed).turn)
            return
        for choice, on, limit in self._taken(began, ending.on, ending.limit):
            if any(least > 0 for _, least, _ in choice.visits):
                continue
            events = ending.events + ((f"limit:{limit}",) if limit and limit != ending.limit else ())
            for led in self._led_by(index, began, choice, on, limit, events):
                digits = sum(one.delta for name in ("steps",) for one in self.counters.bumps(name)[:1])
                if led.counted:
                    digits += self.counters.bumps(f"visits:{led.counted}")[0].delta
                yield Move(
                    ending,
                    led.on,
                    led.choice.row,
                    led.target,
                    (),
                    led.target + digits,
                    True,
                    NOTHING,
                    self._entry(led.target),
                    led.limit,
                    choice.given,
                    led.held,
                    led.instead,
                )

    def _taken(self, here: Location, on: str, limit: str) -> Iterator[tuple[Choice, str, str]]:
        """Rows that may be taken; a digression that would lie too deep reaches its limit instead."""
        for choice in self._rows(here, on):
            row = self.flow.transitions[choice.row]
            if self._pushes(here, row) and len(here.frames) >= self.flow.limits.digression_depth:
                for instead in self._rows(here, LIMIT):
                    yield instead, LIMIT, "digression_depth"
            else:
                yield choice, on, limit

    def _pushes(self, here: Location, row: Transition) -> bool:
        return row.push and isinstance(self.states[here.state], WaitState | CollectState)

    def _works(self, index: int, here: Location, ending: Ending) -> Iterator[Move]:
        """Within the turn: what was used is counted, then the row, unless a limit stands before it."""
        for calls in self._calls(ending):
            for used, agent, stopped in self._used(here, ending, calls):
                on, limit = (LIMIT, stopped) if stopped else (ending.on, ending.limit)
                fresh = ending.cause == "clock" or self.states[here.state].kind == "subflow"
                left = here._replace(
                    last_agent=agent, fresh=fresh or (here.fresh and not (ending.worked and not stopped))
                )
                cost = NOTHING if stopped else cost_of(ending, calls) if self.exact else ending.most
                events = (f"limit:{stopped}",) if stopped else ending.events
                yield from self._stepping(index, left, ending, on, limit, events, used, cost)

    def _calls(self, ending: Ending) -> tuple[int, ...]:
        if not self.exact or ending.least == ending.most.calls:
            return (ending.least,)
        return tuple(range(ending.least, max(ending.least, ending.most.calls) + 1))

    def _used(self, here: Location, ending: Ending, calls: int) -> Iterator[tuple[Bump, str, str]]:
        """What a visit adds to the counters, who has the conversation then, or which limit stops it before."""
        counters, state = self.counters, self.states[here.state]
        room = counters.get("agent_calls")
        calling: list[Bump] = list(counters.bumps("agent_calls", calls))
        if room is not None and ending.room > calls:
            calling = [Bump((*one.checks, room.within(0, room.most - ending.room)), one.delta) for one in calling]
        tooling = counters.bumps("tool_calls", ending.tools)
        agent = ending.agents[-1] if ending.agents and self.tells_agents else here.last_agent
        handing: list[Bump] = [Bump()]
        if ending.agents and self.tells_agents:
            before = (here.last_agent,) if here.last_agent else ()
            pairs = list(pairwise((*before, *ending.agents)))
            handing = product_of(*(counters.bumps(name, by) for name, by in handed(pairs).items()))
            for name in handed(pairs[:1]) if before else ():
                if (full := counters.full(name)) is not None:
                    yield full, here.last_agent, "same_pair" if name.startswith("pair:") else name
        if ending.room and room is not None:
            least = max(0, room.most - ending.room + 1) if state.kind == "broadcast" else room.most
            yield Bump((room.within(least, room.most),)), here.last_agent, "agent_calls"
        if ending.tools and (full := counters.full("tool_calls")) is not None:
            yield full, here.last_agent, "tool_calls"
        for used in product_of(calling, tooling, handing):
            yield used, agent, ""

    def _stepping(
        self,
        index: int,
        left: Location,
        ending: Ending,
        on: str,
        limit: str,
        events: tuple[str, ...],
        used: Bump,
        cost: Cost,
    ) -> Iterator[Move]:
        for choice, on_, limit_ in self._taken(left, on, limit):
            said = events + ((f"limit:{limit_}",) if limit_ and limit_ != limit else ())
            for led in self._led_by(index, left, choice, on_, limit_, said):
                target = led.target
                stepped = self.counters.bumps("steps")
                if on_ != LIMIT:
                    stepped = stepped[:1]
                entered = self.counters.bumps(f"visits:{led.counted}") if led.counted else (Bump(),)
                seen = [self._seen(choice).and_(self._seen(led.choice)) if led.held else self._seen(choice)]
                for bump in product_of([used], seen, stepped, entered):
                    yield Move(
                        ending,
                        led.on,
                        led.choice.row,
                        target,
                        bump.checks,
                        target - index + bump.delta,
                        False,
                        cost,
                        self._entry(target) if cost is NOTHING else self._entry(target).plus(ending.behind),
                        led.limit,
                        choice.given,
                        led.held,
                        led.instead,
                    )
        if on != LIMIT and self.loose:
            for said in (("limit:steps",), (*events, "limit:steps")):
                yield from self._stepping(index, left, ending, LIMIT, "steps", said, used, cost)
        elif on != LIMIT:
            yield from self._stopped(index, left, ending, events, used, cost)

    def _stopped(
        self, index: int, left: Location, ending: Ending, events: tuple[str, ...], used: Bump, cost: Cost
    ) -> Iterator[Move]:
        """The same ending where a limit takes the row's place: no step is left, or it was here before."""
        stopping: list[tuple[str, Bump]] = []
        if (full := self.counters.full("steps")) is not None:
            stopping.append(("steps", full))
            repeats = self.flow.limits.repeats
            steps = self.counters.get("steps")
            if repeats is not None and steps is not None and repeats <= steps.most:
                stopping.append(("repeats", Bump((steps.within(repeats, steps.most),))))
        for name, bump in stopping:
            yield from self._stepping(
                index, left, ending, LIMIT, name, (*events, f"limit:{name}"), used.and_(bump), cost
            )

    def _seen(self, choice: Choice) -> Bump:
        """The visits that the choice needs, as checks of the digits that count them."""
        checks = []
        for state, least, most in choice.visits:
            counter = self.counters.get(f"visits:{state}")
            if counter is not None:
                checks.append(counter.within(least, most))
        return Bump(tuple(checks))

    def _led_by(self, index: int, left: Location, choice: Choice, on: str, limit: str, events: Events) -> Iterator[Led]:
        for said in any_limit(events, self.limits):
            yield from self._led(index, left, choice, on, limit, said)

    def _led(
        self, index: int, left: Location, choice: Choice, on: str, limit: str, events: tuple[str, ...]
    ) -> Iterator[Led]:
        """Where the row leads; where it would break a policy, or a tool before it would, where rows on `policy` do."""
        asked, held = self._asked(left.watched, events)
        instead = None
        if not held:
            entered, counted, held = self._entered(left, choice.row, events)
            if not held:
                yield Led(choice, on, limit, self.index(entered), counted)
                return
            instead = choice.row
            asked = without_yes(events)
        self._note(index, held, "a row" if instead is not None else "a tool")
        goes_on = False
        for row in self._rows(left, POLICY):
            entered, counted, broken = self._entered(left, row.row, asked)
            if not broken:
                goes_on = True
                yield Led(row, POLICY, limit, self.index(entered), counted, held, instead)
        if not goes_on:
            self.stays.setdefault(index, set()).update(held)

    def _note(self, index: int, policies: tuple[str, ...], what: str) -> None:
        for name in policies:
            self.refused.setdefault(index, {}).setdefault(name, what)

    def _broken(self, before: Watched, after: Watched, *, ended: bool = False) -> tuple[str, ...]:
        """The policies that a step breaks which were not broken before."""
        return tuple(one.watch.name for at, one in self.kept if one.breaks(before[at], after[at], ended=ended))

    def _asked(self, watched: Watched, events: Events) -> tuple[Events, tuple[str, ...]]:
        """The events up to the first tool that would break a policy, and the policies; all of them where none would."""
        for first, last in tools_in(events) if self.kept else ():
            before = self._follow(watched, events[:first])
            if held := self._broken(before, self._follow(before, events[first:last])):
                return events[:first], held
        return events, ()

    def _entered(self, left: Location, row: int, events: tuple[str, ...]) -> tuple[Location, str, tuple[str, ...]]:
        """The location after a row, the state that counts as entered by it, and the policies that this would break."""
        taken = self.flow.transitions[row]
        returns = taken.target == RETURN and bool(left.frames)
        target = left.frames[-1] if returns else taken.target
        kind = self.states[target].kind
        frames = left.frames
        if returns:
            frames = frames[:-1]
        elif self._pushes(left, taken):
            frames = (*frames, left.state)
        elif taken.source == ANY or isinstance(self.states[target], HumanState | FinalState):
            frames = ()
        looked = tuple(f"sanitised:{one}" for one in sanitised_by(self.flow, taken.guard))
        own = (*(one for one in events if one.startswith("confirmed:")), *looked)
        before = self._follow(left.watched, without_yes(events))
        step = (*own, f"enter:{target}", *((f"end:{target}",) if kind == "final" else ()))
        watched = self._follow(before, step)
        broken = self._broken(before, watched, ended=kind == "final")
        return (
            left._replace(state=target, frames=frames, watched=watched, heard=False),
            "" if returns else target,
            broken,
        )

    def _entry(self, index: int) -> Cost:
        """What entering takes at once: a child conversation begins its first turn."""
        return self.child_at(self.locations[index]).first

    def _tools(self, index: int, here: Location) -> Iterator[Move]:
        """Tools that the agent at work may run: only monitors can tell."""
        state = self.states[here.state]
        for limit in self.limits if state.kind != "final" else ():
            yield from self._happening(index, here, (limit,))
        if not isinstance(state, AgentState):
            return
        changing = {one.name for one in self.flow.tools if one.consequential}
        for tool in state.tools:
            approved = (f"approved:{tool}",) if state.approval is not None and tool in changing else ()
            asked = (f"proposed:{here.state}", *approved, f"tool:{tool}")
            if held := self._asked(here.watched, asked)[1]:
                self._note(index, held, f"the tool {tool}")
                continue
            for events in (asked, (*asked, f"done:{tool}")):
                yield from self._happening(index, here, events)

    def _happening(self, index: int, here: Location, events: Events) -> Iterator[Move]:
        """What happens within a visit: only monitors can tell."""
        target = self.index(here._replace(watched=self._follow(here.watched, events)))
        if target != index:
            yield Move(Ending("", "work", events), "", None, target, (), target - index, False, NOTHING)
