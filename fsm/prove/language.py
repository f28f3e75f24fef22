"""What can be observed of a flow, as a language: which sequences of events one flow allows and another does not.

Both are run side by side, each in every location that the events so far may have led to. How far counters go is left
out (limits are compared as numbers), and so is what conditions on data say: each may hold or not.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...contracts.flow import AgentState, Flow
from ..policies.judging import watches_of
from .counters import LOCATIONS
from .explore import MOST_CONFIGURATIONS, explore
from .model import Model
from .monitor import Kept
from .moving import Move

Letter = tuple[str, ...]
"""What is observed of one step: words of fsm/prove/monitor.py, in their order."""
Spots = frozenset[int]
NOWHERE: Spots = frozenset()
MOST_PAIRS = 50_000
"""Pairs of sets of locations that are looked at."""
MOST_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Behaviour:
    """After `path`, in `state`, one flow allows `step` and the other does not: the shortest such path."""

    state: str
    step: Letter
    path: Letter

    @property
    def words(self) -> Letter:
        """The whole sequence that tells the flows apart."""
        return (*self.path, *self.step)


class Language:
    """A flow's language. `names` are other names for its states, in whose place they stand."""

    def __init__(self, flow: Flow, names: Mapping[str, str] | None = None, most: int = MOST_CONFIGURATIONS) -> None:
        self._names = names or {}
        self._model = Model(flow, frozenset(), tuple(Kept(one) for one in watches_of(flow)))
        explored = explore(self._model, most)
        self.complete = explored.complete
        self._steps: dict[int, dict[Letter, set[int]]] = {}
        for index in {one % LOCATIONS for one in explored.before}:
            found = self._steps[index] = {}
            for letter, target in self._of(index):
                found.setdefault(letter, set()).add(target)
        self.first: Letter = (self._named(f"enter:{flow.initial}"),)
        self.start: Spots = frozenset({self._model.initial % LOCATIONS})

    def steps(self, spots: Spots) -> dict[Letter, set[int]]:
        """Where each observation may lead from any of these locations."""
        found: dict[Letter, set[int]] = {}
        for spot in spots:
            for letter, targets in self._steps.get(spot, {}).items():
                found.setdefault(letter, set()).update(targets)
        return found

    def states(self, spots: Spots) -> str:
        """The states of the locations, in words."""
        return ", ".join(sorted({self._state(self._model.locations[one].state) for one in spots}))

    def _of(self, index: int) -> Iterator[tuple[Letter, int]]:
        here = self._model.states[self._model.locations[index].state]
        for move in self._model.moves_of(index):
            if letter := self._letter(move):
                yield letter, (move.to if move.new_turn else index + move.to) % LOCATIONS
        if isinstance(here, AgentState):  # what it may ask: no move, where no policy speaks of it
            for tool in here.tools:
                yield (f"tool:{tool}",), index

    def _letter(self, move: Move) -> Letter:
        ending = move.ending
        words = ending.events if move.limit in ("", ending.limit) else (f"limit:{move.limit}",)
        if move.row is not None:
            target = self._model.location(move.target).state
            final = self._model.states[target].kind == "final"
            words = (*words, f"enter:{target}", *((f"end:{target}",) if final else ()))
        return tuple(self._named(word) for word in words)

    def _state(self, name: str) -> str:
        return self._names.get(name, name)

    def _named(self, word: str) -> str:
        """The word with the state in it under its other name."""
        kind, colon, name = word.partition(":")
        if kind not in ("enter", "end", "decided", "result", "confirmed"):
            return word
        state, dot, rest = name.partition(".")
        return f"{kind}{colon}{self._state(state)}{dot}{rest}"


@dataclass(frozen=True, slots=True)
class Difference:
    """Behaviours that are only in the new flow, and only in the old one. Not `complete`: there may be more."""

    added: tuple[Behaviour, ...]
    removed: tuple[Behaviour, ...]
    complete: bool


def difference(old: Language, new: Language, most: int = MOST_PAIRS) -> Difference:
    """Breadth first, so that each behaviour comes with a shortest path; each step from each state once."""
    added: dict[tuple[str, Letter], Behaviour] = {}
    removed: dict[tuple[str, Letter], Behaviour] = {}
    if old.first != new.first:
        begins = Behaviour("", new.first, ()), Behaviour("", old.first, ())
        return Difference((begins[0],), (begins[1],), complete=False)
    seen: dict[tuple[Spots, Spots], Letter] = {(old.start, new.start): new.first}
    frontier = list(seen)
    while frontier and len(seen) <= most:
        following = []
        for before in frontier:
            path = seen[before]
            steps = old.steps(before[0]), new.steps(before[1])
            for letter in sorted({*steps[0], *steps[1]}):
                there = tuple(frozenset(one.get(letter, NOWHERE)) for one in steps)
                if not there[0]:
                    state = new.states(before[1])
                    added.setdefault((state, letter), Behaviour(state, letter, path))
                elif not there[1]:
                    state = old.states(before[0])
                    removed.setdefault((state, letter), Behaviour(state, letter, path))
                elif (pair := (there[0], there[1])) not in seen:
                    seen[pair] = (*path, *letter)
                    following.append(pair)
        frontier = following
    whole = not frontier and old.complete and new.complete
    return Difference(tuple(added.values()), tuple(removed.values()), whole)
