"""What facts allow: rows whose guards hold for some value that a fact may have, where it may be known at all.

Every guard of the flow's own code may hold or not. Whoever starts a conversation may give facts: told apart is what
can happen only then.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import combinations, product

from ..program import Program
from .choices import choices
from .counters import LOCATIONS
from .endings import Ending
from .known import Paths, asked_in_guards

MOST_FACTS = 6
"""Facts that are followed together; of others, either may be so."""
MOST = 30_000
"""Places that are looked at; past them nothing is said."""
Known = frozenset[str]


@dataclass(frozen=True, slots=True)
class Allowed:
    """States that can be come to, and rows that can be taken."""

    states: frozenset[str]
    rows: frozenset[int]


@dataclass
class Allowing:
    """A search over places and the facts that are known there."""

    program: Program
    facts: tuple[str, ...] = ()
    paths: Paths = field(init=False)

    def __post_init__(self) -> None:
        self.paths = Paths(self.program)
        self.facts = tuple(dict.fromkeys(fact for _, fact in asked_in_guards(self.program)))[:MOST_FACTS]
        self._open = lru_cache(maxsize=None)(self._opened)

    def found(self, *, given: bool) -> Allowed | None:
        """Everything that may happen; with `given`, whatever is known when it starts. None where it is too much."""
        model = self.paths.model
        sizes = range(len(self.facts) + 1) if given else range(1)
        starts = [frozenset(some) for size in sizes for some in combinations(self.facts, size)]
        seen = {(model.initial % LOCATIONS, one) for one in starts}
        frontier, rows = list(seen), set[int]()
        while frontier:
            if len(seen) > MOST:
                return None
            following = []
            for place in frontier:
                for row, there in self._taken(*place):
                    if row is not None:
                        rows.add(row)
                    if there not in seen:
                        seen.add(there)
                        following.append(there)
            frontier = following
        return Allowed(frozenset(model.locations[index].state for index, _ in seen), frozenset(rows))

    def _taken(self, index: int, known: Known) -> Iterator[tuple[int | None, tuple[int, Known]]]:
        model, paths = self.paths.model, self.paths
        here = model.locations[index]
        for move in (*model.moves_of(index), *paths.stopped(index)):
            for after in self._after(here.state, move.ending, known):
                if move.row is None or move.row in self._open(here.state, move.on, bool(here.frames), after):
                    entered = self.program.states[model.locations[move.target].state]
                    kept = frozenset(one for one in after if not paths.forgets(entered, one))
                    yield move.row, (move.target, kept)

    def _after(self, state: str, ending: Ending, known: Known) -> Iterator[Known]:
        each = (self.paths.after(state, ending, fact, fact in known) for fact in self.facts)
        for some in product(*each):
            yield frozenset(fact for fact, has in zip(self.facts, some, strict=True) if has)

    def _opened(self, state: str, on: str, deep: bool, known: Known) -> frozenset[int]:
        told = {fact: fact in known for fact in self.facts}
        return frozenset(one.row for one in choices(self.program.flow, self.paths.rows(state, on), deep, told))
