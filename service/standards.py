"""Standards for a backtest in CI: `rerouted>1%` fails when more than one turn in a hundred goes elsewhere."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..contracts.errors import CallError
from ..contracts.values import listed
from .tally import VERDICTS, Tally

_RULE = re.compile(r"\s*([a-z_]+)\s*>\s*([0-9]+(?:\.[0-9]+)?)\s*(%?)\s*")
_OTHERS = ("changed", "policies", "failed")
"""Every turn that is not the same; turns that break a policy and did not; conversations that could not be judged."""
NAMES = (*(one for one in VERDICTS if one != "same"), *_OTHERS)


@dataclass(frozen=True, slots=True)
class Standard:
    """One rule: what is counted, and how much of it is too much, as a number or a share of all turns."""

    name: str
    most: Fraction
    percent: bool
    written: str


@dataclass(frozen=True, slots=True)
class Met:
    """How a standard fared: the number of turns (or conversations), of how many."""

    standard: Standard
    number: int
    of: int

    @property
    def holds(self) -> bool:
        if self.standard.percent:
            return self.number * 100 <= self.standard.most * max(self.of, 1)
        return self.number <= self.standard.most


def read_standards(rules: Sequence[str]) -> tuple[Standard, ...]:
    """Raises `CallError` for a rule that is none."""
    return tuple(_read(one) for one in rules)


def _read(rule: str) -> Standard:
    found = _RULE.fullmatch(rule)
    if found is None or found[1] not in NAMES:
        raise CallError(
            f"{rule!r} is no standard.",
            fix=f"Write `NAME>NUMBER` or `NAME>PERCENT%`, as in 'rerouted>1%'. Names are {listed(NAMES)}.",
        )
    return Standard(found[1], Fraction(found[2]), found[3] == "%", rule)


def measured(standards: Sequence[Standard], tally: Tally) -> tuple[Met, ...]:
    """Each standard against what was found."""
    numbers = {
        "changed": tally.turns - tally.verdicts["same"],
        "policies": sum((tally.breaks - tally.broke).values()),
        "failed": tally.failed,
    }
    return tuple(
        Met(
            one,
            numbers.get(one.name, tally.verdicts[one.name]),
            tally.conversations + tally.failed if one.name == "failed" else tally.turns,
        )
        for one in standards
    )
