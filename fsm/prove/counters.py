"""The counters of a turn as digits of one number: which are counted, and what a row or a call does to them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

COUNTED = 1_000
"""A limit of a turn above this bounds nothing that anybody would wait or pay for: it is not counted."""
LOCATIONS = 1 << 20
"""Room for locations in a configuration: the lowest digit."""
Check = tuple[int, int, int, int]
"""Weight, radix, least and most of a digit."""


@dataclass(frozen=True, slots=True)
class Counter:
    """A digit from 0 to `most`. One that `sticks` stays at `most`; any other is never counted beyond."""

    name: str
    weight: int
    most: int
    sticks: bool = False

    @property
    def radix(self) -> int:
        return self.most + 1

    def within(self, least: int, most: int) -> Check:
        return (self.weight, self.radix, least, min(most, self.most))

    def of(self, configuration: int) -> int:
        return configuration // self.weight % self.radix


@dataclass(frozen=True, slots=True)
class Bump:
    """A change of counters that may be made where all `checks` hold."""

    checks: tuple[Check, ...] = ()
    delta: int = 0

    def and_(self, other: "Bump") -> "Bump":
        return Bump((*self.checks, *other.checks), self.delta + other.delta)


class Counters:
    """The digits above the location, in their order."""

    def __init__(self, most: Mapping[str, int], sticking: Sequence[str] = ()) -> None:
        self.by_name: dict[str, Counter] = {}
        weight = LOCATIONS
        for name, limit in most.items():
            counter = Counter(name, weight, limit, name in sticking)
            self.by_name[name] = counter
            weight *= counter.radix

    def get(self, name: str) -> Counter | None:
        return self.by_name.get(name)

    def bumps(self, name: str, by: int = 1) -> tuple[Bump, ...]:
        """One more (or `by`) of a counter: where there is room, and where one that sticks is full already."""
        counter = self.by_name.get(name)
        if counter is None or by == 0:
            return (Bump(),)
        fits = Bump((counter.within(0, counter.most - by),), by * counter.weight) if by <= counter.most else None
        full = Bump((counter.within(counter.most, counter.most),)) if counter.sticks else None
        return tuple(one for one in (fits, full) if one is not None)

    def full(self, name: str) -> Bump | None:
        """Where the counter is at its most; None where it is not counted."""
        counter = self.by_name.get(name)
        return None if counter is None else Bump((counter.within(counter.most, counter.most),))

    def values(self, configuration: int) -> dict[str, int]:
        return {name: counter.of(configuration) for name, counter in self.by_name.items()}


def product_of(*choices: Sequence[Bump]) -> list[Bump]:
    """Every combination."""
    found = [Bump()]
    for some in choices:
        found = [one.and_(other) for one in found for other in some]
    return found
