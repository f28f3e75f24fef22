"""What is known when it is needed: a search over places and one fact, for a path on which the fact is missing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from ...contracts.flow import ANY, AgentState, BroadcastState, FinalState, HumanState, SubflowState, WaitState
from ...contracts.guard import Guard
from ..program import Program
from .choices import choices, is_built_in
from .endings import LIMIT, Ending
from .giving import Given, gives
from .model import POLICY, Model, Rows
from .moving import Location, Move

ABOUT_A_FACT = ("known", "is_true", "is_", "at_most", "at_least")
"""Built-in guards that do not hold where the fact is missing."""
MOST_PLACES = 1_000_000
"""Places that are looked at for one flow; past them nothing is said."""
Place = tuple[int, bool]
"""A location, and whether the fact is known there."""
Taken = tuple[Move, Place]
Giving = Callable[[str, Ending], Given]


class TooMuch(Exception):
    """More ways than are looked at."""


@dataclass
class Paths:
    """Ways through a flow, whatever its counters are, on which facts are followed one at a time.

    A limit may stop any work at any time, so there is no way that the flow could take and this does not have.
    `trusting` takes it that what a source may give and does not say is given.
    """

    program: Program
    trusting: bool = False
    left: int = MOST_PLACES

    @cached_property
    def model(self) -> Model:
        return Model(self.program.flow)

    @cached_property
    def _gives(self) -> dict[tuple[str, Ending], Given]:
        return {}

    def given(self, state: str, ending: Ending) -> Given:
        key = (state, ending)
        if key not in self._gives:
            found = gives(self.program, self.program.states[state], ending)
            self._gives[key] = self._of_a_child(state, ending, found)
        return self._gives[key]

    def _of_a_child(self, state: str, ending: Ending, found: Given) -> Given:
        """What a child conversation knows at this end on every path through it."""
        there = self.program.states[state]
        if not isinstance(there, SubflowState) or not found.maybe:
            return found
        child = Paths(self.program.children[there.flow], self.trusting)
        surely = [
            name
            for name in there.returns
            if name in child.program.facts and not child.missing_at(name, ending.on, began=name in there.reads)
        ]
        return Given(frozenset(surely), found.maybe, found.untold)

    def missing_at(self, fact: str, state: str, *, began: bool = False) -> list[Taken]:
        """A shortest way to the state on which the fact is missing there; empty where it is known on every one, and
        where the state is the first and nothing has happened."""
        start: Place = (self.model.initial % (1 << 20), began)
        before: dict[Place, tuple[Place, Move] | None] = {start: None}
        frontier = [start]
        while frontier:
            following: list[Place] = []
            self.left -= len(frontier)
            if self.left < 0:
                raise TooMuch
            for place in frontier:
                if self.model.locations[place[0]].state == state and not place[1]:
                    return self._way(before, place)
                for move, there in self._taken(place, fact):
                    if there not in before:
                        before[there] = (place, move)
                        following.append(there)
            frontier = following
        return []

    def may_miss(self, fact: str, state: str) -> bool:
        """Whether the fact may be missing in the state; at the very start it is, unless who starts it gives it."""
        return state == self.program.flow.initial or bool(self.missing_at(fact, state))

    def _way(self, before: dict[Place, tuple[Place, Move] | None], place: Place) -> list[Taken]:
        path: list[Taken] = []
        while (found := before[place]) is not None:
            path.append((found[1], place))
            place = found[0]
        return path[::-1]

    def _taken(self, place: Place, fact: str) -> Iterator[Taken]:
        index, known = place
        here = self.model.locations[index]
        for move in (*self.model.moves_of(index), *self.stopped(index)):
            for after in self.after(here.state, move.ending, fact, known):
                if move.row is not None and not self._open(here, move, fact, after):
                    continue
                entered = self.program.states[self.model.locations[move.target].state]
                if after and self.forgets(entered, fact):
                    yield move, (move.target, False)
                else:
                    yield move, (move.target, after)

    def after(self, state: str, ending: Ending, fact: str, known: bool) -> tuple[bool, ...]:
        """Whether it is known once the state ended so: either, where both may be."""
        if fact.startswith(RESULT):
            has = fact.removeprefix(RESULT) == state and f"result:{state}" in ending.events
            return (True,) if has and ending.on in ("done", "complete", "partial") else (known,)
        found = self.given(state, ending)
        if fact in found.surely or (self.trusting and fact in found.untold):
            return (True,)
        spec = self.program.facts.get(fact)
        lost = spec is not None and not found.maybe.isdisjoint(spec.depends_on)
        if not known:
            return (False, True) if fact in found.maybe else (False,)
        return (True, False) if lost else (True,)

    def forgets(self, state: object, fact: str) -> bool:
        if not isinstance(state, WaitState):
            return False
        spec = self.program.facts.get(fact)
        return fact in state.forgets or (spec is not None and not set(spec.depends_on).isdisjoint(state.forgets))

    def _open(self, here: Location, move: Move, fact: str, known: bool) -> bool:
        """Whether the row can be the first that holds, as far as this fact tells."""
        for index, row in self.rows(here.state, move.on):
            holds = self._holds(row.guard, fact, known, bool(here.frames))
            if index == move.row:
                return holds is not False
            if holds is True:
                return False
        return True

    def rows(self, state: str, on: str) -> Rows:
        return (*self.model.rows.get((state, on), ()), *self.model.rows.get((ANY, on), ()))

    @cached_property
    def every_location(self) -> tuple[Location, ...]:
        index = 0
        while index < len(self.model.locations):
            self.model.moves_of(index)
            index += 1
        return tuple(self.model.locations)

    def _holds(self, guard: Guard, fact: str, known: bool, in_digression: bool) -> bool | None:
        """Whether the condition holds, as far as this fact tells; None where other things decide."""
        parts = [self._holds(part, fact, known, in_digression) for part in guard.parts]
        match guard.op:
            case "otherwise":
                return True
            case "in_digression":
                return in_digression
            case "all_of":
                return False if False in parts else None if None in parts else True
            case "any_of":
                return True if True in parts else None if None in parts else False
            case "not":
                return None if parts[0] is None else not parts[0]
            case "call":
                about = guard.name in ABOUT_A_FACT and is_built_in(self.program.flow, guard)
                if not about or str(guard.arguments[0]) != fact:
                    return None
                return (True if guard.name == "known" else None) if known else False

    def stopped(self, index: int) -> Iterator[Move]:
        """A limit of the turn instead of the outcome, or the rows in place of one that would break a policy."""
        here = self.model.locations[index]
        flow, states = self.program.flow, self.program.states
        if states[here.state].kind == "final":
            return
        for on in (LIMIT, POLICY):
            for choice in choices(flow, self.rows(here.state, on), bool(here.frames)):
                row = flow.transitions[choice.row]
                if row.target not in states:
                    continue
                wide = row.source == ANY or isinstance(states[row.target], HumanState | FinalState)
                there = here._replace(state=row.target, frames=() if wide else here.frames, fresh=False)
                target, stopped = self.model.index(there), "steps" if on == LIMIT else ""
                ending = Ending(on, events=(f"limit:{stopped}",) if stopped else (), limit=stopped)
                yield Move(ending, on, choice.row, target, (), target - index, False, ending.most, limit=stopped)


RESULT = "the result of "
"""Followed as a fact is: whether the state has a result."""


def reads_of(program: Program) -> Iterator[tuple[str, str, str, bool]]:
    """(state, fact, for what, whether nothing works without it) of everything that is given known facts."""
    for name, state in program.states.items():
        if isinstance(state, AgentState):
            yield from ((name, fact, f"the agent {state.agent!r}", False) for fact in state.reads)
            yield from ((name, f"{RESULT}{one}", f"the agent {state.agent!r}", False) for one in state.results)
            if state.judges is not None:
                yield name, f"{RESULT}{state.judges}", "the judge", False
        elif isinstance(state, BroadcastState):
            for one in state.members:
                yield from ((name, fact, f"the member {one.name!r}", False) for fact in one.reads)
            if state.plan is not None:
                yield from ((name, fact, "the workers", False) for fact in state.reads)
                yield name, f"{RESULT}{state.plan}", "the broadcast", False
        elif isinstance(state, HumanState):
            yield from ((name, fact, f"the {state.role}", False) for fact in state.shows)
        elif isinstance(state, SubflowState):
            yield from ((name, fact, f"the flow {state.flow!r}", False) for fact in state.reads)
        elif state.kind == "call":
            arguments = program.code.tools[state.tool].arguments.model_fields
            for fact in state.reads:
                needed = fact in arguments and arguments[fact].is_required()
                yield name, fact, f"the tool {state.tool!r}", needed


def asked_in_guards(program: Program) -> Iterator[tuple[int, str]]:
    """(row, fact) of every built-in guard about a fact."""
    for index, row in enumerate(program.flow.transitions):
        waiting = [row.guard]
        while waiting:
            guard = waiting.pop()
            waiting += guard.parts
            if guard.op == "call" and guard.name in ABOUT_A_FACT and is_built_in(program.flow, guard):
                yield index, str(guard.arguments[0])


__all__ = ["RESULT", "Paths", "asked_in_guards", "reads_of"]
