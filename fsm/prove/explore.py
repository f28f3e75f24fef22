"""Exploring: every configuration that can be reached, breadth first, so that the way to each is a shortest one."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from .counters import LOCATIONS
from .model import Model
from .moving import Move

MOST_CONFIGURATIONS = 2_000_000
"""Past this many, a search stops and proves nothing any more."""
Told = Callable[[int, int], None]
"""Told now and then how many configurations and transitions are known."""
Guarded = tuple[tuple[tuple[tuple[int, int, int, int], ...], int], ...]


class Compiled:
    """Moves of each location as bare numbers: differences, guarded differences, and where new turns begin."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.plain: list[tuple[int, ...] | None] = []
        self.guarded: list[Guarded] = []
        self.jumps: list[tuple[int, ...]] = []

    def add(self, index: int) -> tuple[int, ...]:
        """Compile a location; room is made for those that are known by now."""
        moves = self.model.moves_of(index)
        missing = len(self.model.locations) - len(self.plain)
        self.plain += [None] * missing
        self.guarded += [()] * missing
        self.jumps += [()] * missing
        plain = tuple(dict.fromkeys(one.to for one in moves if not one.new_turn and not one.checks))
        free = frozenset(plain)
        self.plain[index] = plain
        self.guarded[index] = tuple(
            dict.fromkeys(
                (one.checks, one.to) for one in moves if not one.new_turn and one.checks and one.to not in free
            )
        )
        self.jumps[index] = tuple(dict.fromkeys(one.to for one in moves if one.new_turn))
        return plain

    def within_turn(self, configuration: int) -> list[int]:
        """Where one more move within the turn leads."""
        index = configuration % LOCATIONS
        found = [configuration + one for one in self.plain[index] or ()]
        found += [configuration + to for checks, to in self.guarded[index] if allows(checks, configuration)]
        return found


def allows(checks: Iterable[tuple[int, int, int, int]], configuration: int) -> bool:
    return all(least <= configuration // weight % radix <= most for weight, radix, least, most in checks)


@dataclass
class Explored:
    """What a search found. `before` has for each configuration the one it was reached from; the first has itself."""

    model: Model
    compiled: Compiled
    before: dict[int, int]
    transitions: int = 0
    complete: bool = True
    turns: tuple[int, ...] = ()
    """Configurations in which a turn begins."""
    _rows: frozenset[int] | None = field(default=None, repr=False)

    def path_to(self, configuration: int) -> list[int]:
        """Configurations from the first to this one."""
        path = [configuration]
        while self.before[path[-1]] != path[-1]:
            path.append(self.before[path[-1]])
        return path[::-1]

    def moves_from(self, configuration: int) -> Iterator[tuple[Move, int]]:
        """Every move that can be made here, and where it leads."""
        for move in self.model.moves_of(configuration % LOCATIONS):
            if move.new_turn:
                yield move, move.to
            elif allows(move.checks, configuration):
                yield move, configuration + move.to

    def move_between(self, source: int, target: int, *, within_turn: bool = False) -> Move:
        """The plainest move that leads from one to the other: of several, what happens every day.

        An input may lead to the same configuration as a move `within_turn`; where a turn goes round, it is none.
        """
        moves = (move for move, to in self.moves_from(source) if to == target and not (within_turn and move.new_turn))
        return min(moves, key=_oddness)

    def at(self) -> dict[int, list[int]]:
        """The configurations of each location."""
        found: dict[int, list[int]] = {}
        for one in self.before:
            found.setdefault(one % LOCATIONS, []).append(one)
        return found


def nobody(_configurations: int, _transitions: int) -> None:
    """Nobody asked."""


def explore(model: Model, most: int = MOST_CONFIGURATIONS, told: Told = nobody) -> Explored:
    """Everything that can be reached, until `most` configurations are known; `told` hears of each step in breadth."""
    compiled = Compiled(model)
    before = {model.initial: model.initial}
    transitions, complete = 0, True
    frontier = [model.initial]
    jumped: set[int] = set()
    turns: dict[int, None] = {model.initial: None}
    plain, guarded = compiled.plain, compiled.guarded
    compiled.add(model.initial % LOCATIONS)
    while frontier:
        following: list[int] = []
        for here in frontier:
            index = here % LOCATIONS
            if index >= len(plain) or plain[index] is None:
                compiled.add(index)
            deltas = plain[index] or ()
            transitions += len(deltas) + len(guarded[index])
            for delta in deltas:
                there = here + delta
                if there not in before:
                    before[there] = here
                    following.append(there)
            for checks, delta in guarded[index]:
                for weight, radix, least, last in checks:
                    if not least <= here // weight % radix <= last:
                        break
                else:
                    there = here + delta
                    if there not in before:
                        before[there] = here
                        following.append(there)
            if index not in jumped:
                jumped.add(index)
                for there in compiled.jumps[index]:
                    turns[there] = None
                    transitions += 1
                    if there not in before:
                        before[there] = here
                        following.append(there)
        frontier = following
        told(len(before), transitions)
        if len(before) > most:
            complete = False
            break
    if not complete:
        for here in frontier:
            if here % LOCATIONS >= len(plain) or plain[here % LOCATIONS] is None:
                compiled.add(here % LOCATIONS)
    return Explored(model, compiled, before, transitions, complete, tuple(turns))


def _oddness(move: Move) -> int:
    """How seldom it happens: an outcome first, then trouble, then what somebody must go out of their way for."""
    if move.limit:
        return 3
    if move.on in ("over_budget", "unapproved", "late_result") or move.ending.cause == "operator":
        return 2
    return int(move.on in ("unsure", "refused", "invalid", "timeout", "failed", "partial", "expired", "gave_up"))


def components(explored: Explored) -> list[list[int]]:
    """Strongly connected parts of what happens within turns, those that are led to first."""
    within, before = explored.compiled.within_turn, explored.before
    return connected(before, lambda here: [one for one in within(here) if one in before])


def connected(nodes: Iterable[int], successors: Callable[[int], Iterable[int]]) -> list[list[int]]:
    """Strongly connected parts, those that are led to first (Tarjan, 1972)."""
    order: dict[int, int] = {}
    low: dict[int, int] = {}
    open_: set[int] = set()
    stack: list[int] = []
    found: list[list[int]] = []

    def enter(node: int) -> tuple[int, Iterator[int]]:
        order[node] = low[node] = len(order)
        stack.append(node)
        open_.add(node)
        return node, iter(successors(node))

    for root in nodes:
        work = [] if root in order else [enter(root)]
        while work:
            here, targets = work[-1]
            for there in targets:
                if there not in order:
                    work.append(enter(there))
                    break
                if there in open_ and order[there] < low[here]:
                    low[here] = order[there]
            else:
                work.pop()
                if work and low[here] < low[work[-1][0]]:
                    low[work[-1][0]] = low[here]
                if low[here] == order[here]:
                    part: list[int] = []
                    while not part or part[-1] != here:
                        part.append(stack.pop())
                        open_.discard(part[-1])
                    found.append(part)
    return found
