"""A flow as a machine that can be explored: locations, counters, and every move from each.

A configuration is one number: the location (state, digression frames, last agent, monitors) is its lowest digit,
the counters of the turn stand above it. An input begins a new turn, so it leads to the same configuration from
whatever the counters are; any other move adds a fixed difference.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from ...contracts.flow import (
    ANY,
    CACHED,
    RETURN,
    AgentState,
    CollectState,
    FinalState,
    Flow,
    HumanState,
    State,
    Transition,
    WaitState,
)
from .choices import Choice, choices, counted_visits
from .counters import COUNTED, LOCATIONS, Bump, Check, Counters, product_of
from .endings import LIMIT, NOTHING, STAYS, Cost, Ending, endings
from .monitor import Monitor, following

NEW_TURN = ("input", "person", "operator")


class Location(NamedTuple):
    """Where a conversation is, but for its counters. `fresh`: no time has passed in this turn yet."""

    state: str
    frames: tuple[str, ...] = ()
    last_agent: str = ""
    fresh: bool = True
    watched: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Move:
    """One move: what ended the visit, the row taken (None where an input is taken without one), and where it leads.

    `to` is a difference to the configuration, or with `new_turn` the configuration itself.
    """

    ending: Ending
    on: str
    row: int | None
    target: int
    checks: tuple[Check, ...]
    to: int
    new_turn: bool
    cost: Cost
    """What the limits of the turn count, at most."""
    beside: Cost = NOTHING
    """What they do not count: a child conversation's turn, and what is asked again in the background."""
    limit: str = ""
    given: tuple[tuple[str, bool], ...] = ()


Rows = tuple[tuple[int, Transition], ...]


class Model:
    """What a flow can do. `counted` are the limits of a turn that are counted; others may be reached at any time."""

    def __init__(
        self,
        flow: Flow,
        counted: frozenset[str] = frozenset(),
        monitors: tuple[Monitor, ...] = (),
        below: dict[str, Cost] | None = None,
    ) -> None:
        self.flow, self.monitors = flow, monitors
        self.below = below or {}
        """The bill of a turn of each child flow."""
        self.states: dict[str, State] = {one.name: one for one in flow.states}
        self.rows: dict[tuple[str, str], Rows] = {}
        for index, row in enumerate(flow.transitions):
            self.rows[row.source, row.on] = (*self.rows.get((row.source, row.on), ()), (index, row))
        self.visits = {name: min(most, COUNTED) for name, most in counted_visits(flow).items()}
        self.counters = Counters(*_digits(flow, counted, self.visits))
        self.exact = "agent_calls" in counted and any(one.kind == "broadcast" for one in flow.states)
        self.tells_agents = bool({"handoffs", "same_pair", "self_handoffs"} & counted)
        self._follow = following(monitors)
        self._endings = {name: tuple(endings(flow, state)) for name, state in self.states.items()}
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
                found.setdefault((move.on, move.row, move.checks, move.to, move.new_turn, move.cost), move)
            self.moves[index] = tuple(found.values())
        return self.moves[index]

    def _moves(self, index: int) -> Iterator[Move]:
        here = self.locations[index]
        for ending in self._endings[here.state]:
            if ending.needs_time and here.fresh:
                continue
            if ending.cause in NEW_TURN:
                yield from self._inputs(here, ending)
            else:
                yield from self._works(index, here, ending)
        yield from self._tools(index, here)

    def _rows(self, here: Location, on: str) -> tuple[Choice, ...]:
        key = (here.state, on, bool(here.frames))
        if key not in self._choices:
            rows = (*self.rows.get((here.state, on), ()), *self.rows.get((ANY, on), ()))
            self._choices[key] = choices(self.flow, rows, bool(here.frames))
        return self._choices[key]

    def _inputs(self, here: Location, ending: Ending) -> Iterator[Move]:
        """A new turn: every counter begins anew, so what guards count is nothing yet."""
        began = here._replace(last_agent="", fresh=True)
        if ending.on == STAYS:
            stayed = began._replace(watched=self._follow(here.watched, ending.events))
            target = self.index(stayed)
            yield Move(ending, "message", None, target, (), target, True, NOTHING, self._child(stayed))
            return
        for choice, on, limit in self._taken(began, ending.on, ending.limit):
            if any(least > 0 for _, least, _ in choice.visits):
                continue
            events = ending.events + ((f"limit:{limit}",) if limit and limit != ending.limit else ())
            target, counted = self._entered(began, choice.row, events)
            digits = sum(one.delta for name in ("steps",) for one in self.counters.bumps(name)[:1])
            if counted:
                digits += self.counters.bumps(f"visits:{counted}")[0].delta
            yield Move(
                ending,
                on,
                choice.row,
                target,
                (),
                target + digits,
                True,
                NOTHING,
                self._entry(target),
                limit,
                choice.given,
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
                cost = NOTHING if stopped else _cost(ending, calls) if self.exact else ending.most
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
            handing = product_of(*(counters.bumps(name, by) for name, by in _handed(pairs).items()))
            for name in _handed(pairs[:1]) if before else ():
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
            target, counted = self._entered(left, choice.row, said)
            stepped = self.counters.bumps("steps")
            if on_ != LIMIT:
                stepped = stepped[:1]
            entered = self.counters.bumps(f"visits:{counted}") if counted else (Bump(),)
            for bump in product_of([used], [self._seen(choice)], stepped, entered):
                yield Move(
                    ending,
                    on_,
                    choice.row,
                    target,
                    bump.checks,
                    target - index + bump.delta,
                    False,
                    cost,
                    self._entry(target) if cost is NOTHING else self._entry(target).plus(ending.behind),
                    limit_,
                    choice.given,
                )
        if on != LIMIT:
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

    def _entered(self, left: Location, row: int, events: tuple[str, ...]) -> tuple[int, str]:
        """The location after a row, and the state that counts as entered by it."""
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
        said = (*events, f"enter:{target}", *((f"end:{target}",) if kind == "final" else ()))
        watched = self._follow(left.watched, said)
        return self.index(left._replace(state=target, frames=frames, watched=watched)), "" if returns else target

    def _entry(self, index: int) -> Cost:
        """What entering takes at once: a child conversation begins its first turn."""
        return self._child(self.locations[index])

    def _child(self, location: Location) -> Cost:
        state = self.states[location.state]
        return self.below.get(state.flow, NOTHING) if state.kind == "subflow" else NOTHING

    def _tools(self, index: int, here: Location) -> Iterator[Move]:
        """Tools that the agent at work may run: only monitors can tell."""
        state = self.states[here.state]
        if not isinstance(state, AgentState):
            return
        changing = {one.name for one in self.flow.tools if one.consequential}
        for tool in state.tools:
            approved = (f"approved:{tool}",) if state.approval is not None and tool in changing else ()
            events = (f"result:{here.state}", *approved, f"tool:{tool}", f"done:{tool}")
            target = self.index(here._replace(watched=self._follow(here.watched, events)))
            if target != index:
                ending = Ending("", "work", events)
                yield Move(ending, "", None, target, (), target - index, False, NOTHING)


def _cost(ending: Ending, calls: int) -> Cost:
    """What the visit takes with so many calls."""
    most = ending.most
    if not most.calls:
        return most
    return Cost(calls, most.tools, *(-(-one * calls // most.calls) for one in (most.tokens, most.nano, most.seconds)))


def _handed(pairs: list[tuple[str, str]]) -> dict[str, int]:
    """By how much each counter of handoffs goes up."""
    up: dict[str, int] = {}
    for source, target in pairs:
        for name in ("handoffs", f"pair:{source}>{target}", *(("self_handoffs",) if source == target else ())):
            up[name] = up.get(name, 0) + 1
    return up


def _digits(flow: Flow, counted: frozenset[str], visits: dict[str, int]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Every counter with its most, and which of them stick there."""
    limits = flow.limits
    most: dict[str, int] = {}
    sticking: list[str] = []
    for name in ("steps", "agent_calls", "tool_calls", "handoffs", "self_handoffs"):
        limit = getattr(limits, name)
        if name in counted and limit is not None and limit <= COUNTED:
            most[name] = limit
    if "steps" in most:
        sticking.append("steps")
    if "same_pair" in counted and limits.same_pair <= COUNTED:
        most.update({f"pair:{source}>{target}": limits.same_pair for source, target in _pairs(flow)})
    for name, number in visits.items():
        most[f"visits:{name}"] = number + 1
        sticking.append(f"visits:{name}")
    return most, tuple(sticking)


def _pairs(flow: Flow) -> list[tuple[str, str]]:
    """Agents of which the second may get the conversation from the first, with no other agent between."""
    states = {one.name: one for one in flow.states}
    wide = [row.target for row in flow.transitions if row.source == ANY]
    following: dict[str, list[str]] = {name: list(wide) for name in states}
    for row in flow.transitions:
        if row.source in states:
            following[row.source].append(row.target)
    back = [one.name for one in flow.states if one.kind in ("wait", "collect")]
    found: set[tuple[str, str]] = set()
    for state in flow.states:
        if not isinstance(state, AgentState):
            continue
        had = [state.agent, *(one for one in state.fallbacks if one != CACHED)]
        found.update((one, two) for place, one in enumerate(had) for two in had[place + 1 :])
        seen: set[str] = set()
        waiting = list(following[state.name])
        while waiting:
            name = waiting.pop()
            if name == RETURN:
                waiting += [one for one in back if one not in seen]
            elif name not in seen:
                seen.add(name)
                target = states[name]
                if isinstance(target, AgentState):
                    found.update((one, target.agent) for one in had)
                else:
                    waiting += following[name]
    return sorted(found)
