"""What a router is worth: accuracy, coverage against error, out-of-scope recall, and a promise with its bound.

Everything is computed from pairs, with the standard library. *Error* is the share of wrong routes among
what was routed; *coverage* is the share that was routed.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..contracts.errors import CallError
from ..contracts.values import fixed
from ..fsm.thresholds import MILLION, least_probability, six

Scored = tuple[float, bool]
"""The best label's score, and whether that label was right."""


@dataclass(frozen=True, slots=True)
class Point:
    """What routing everything at or above `threshold` does."""

    threshold: float
    routed: int
    wrong: int
    of: int

    @property
    def coverage(self) -> float:
        return self.routed / self.of

    @property
    def error(self) -> float:
        return self.wrong / self.routed


@dataclass(frozen=True, slots=True)
class Promise:
    """A threshold at which the error is at most `promised`, with this confidence, judged from `n` messages.

    `bound` is the Clopper-Pearson upper bound for `wrong` of `routed`. It holds for messages like those
    measured, and was chosen on them: measure it again on others.
    """

    promised: float
    confidence: float
    threshold: str
    coverage: float
    routed: int
    wrong: int
    n: int
    bound: float


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How messages with a known label fared. `confusion` counts (label, outcome) where they differ."""

    total: int
    right: int
    wrong: int
    abstained: int
    blocked: int
    confusion: tuple[tuple[tuple[str, str], int], ...]

    @property
    def accuracy(self) -> float:
        """Right among all."""
        return self.right / self.total if self.total else 0.0

    @property
    def coverage(self) -> float:
        return (self.right + self.wrong) / self.total if self.total else 0.0

    @property
    def error(self) -> float:
        """Wrong among the routed."""
        routed = self.right + self.wrong
        return self.wrong / routed if routed else 0.0


def outcomes(pairs: Iterable[tuple[str, str]]) -> Outcomes:
    """Counts over (true label, outcome) pairs; the outcomes `unsure` and `blocked` are no routes."""
    counts = Counter(pairs)
    total = sum(counts.values())
    right = sum(count for (label, outcome), count in counts.items() if label == outcome)
    abstained = sum(count for (_, outcome), count in counts.items() if outcome == "unsure")
    blocked = sum(count for (_, outcome), count in counts.items() if outcome == "blocked")
    mixed = [
        (pair, count) for pair, count in counts.items() if pair[0] != pair[1] and pair[1] not in ("unsure", "blocked")
    ]
    mixed.sort(key=lambda item: (-item[1], item[0]))
    return Outcomes(total, right, total - right - abstained - blocked, abstained, blocked, tuple(mixed))


def accuracy(pairs: Iterable[tuple[str, str]]) -> float:
    """The share of (true, given) pairs that are equal; 0 for none."""
    equal = [true == given for true, given in pairs]
    return sum(equal) / len(equal) if equal else 0.0


def coverage_curve(scored: Iterable[Scored]) -> tuple[Point, ...]:
    """One point per distinct score, from the strictest threshold to routing everything."""
    ranked = sorted(scored, key=lambda one: -one[0])
    points: list[Point] = []
    wrong = 0
    for routed, (score, right) in enumerate(ranked, 1):
        wrong += not right
        if routed == len(ranked) or ranked[routed][0] != score:
            points.append(Point(score, routed, wrong, len(ranked)))
    return tuple(points)


def coverage_at_error(scored: Iterable[Scored], error: float) -> float:
    """The largest share that can be routed with at most `error` among the routed."""
    return max((point.coverage for point in coverage_curve(scored) if point.error <= error), default=0.0)


def out_of_scope_recall(scopes: Sequence[float], threshold: float) -> float:
    """Of messages that are not ours, the share whose scope score is below the threshold."""
    return sum(scope < threshold for scope in scopes) / len(scopes) if scopes else 0.0


def auroc(inside: Sequence[float], outside: Sequence[float]) -> float:
    """How often a message that is ours scores above one that is not; equal scores count half."""
    if not inside or not outside:
        raise CallError("AUROC needs messages of both kinds.", fix="Give at least one inside and one outside.")
    ranked = sorted(outside)
    doubled = sum(bisect_left(ranked, score) + bisect_right(ranked, score) for score in inside)
    return doubled / (2 * len(inside) * len(outside))


def promise(scored: Sequence[Scored], promised: float, confidence: float = 0.95) -> Promise | None:
    """The threshold with the widest coverage whose error is at most `promised`, or None if too few agree."""
    kept = [point for point in coverage_curve(scored) if at_most(point.wrong, point.routed, promised) <= 1 - confidence]
    if not kept:
        return None
    widest = kept[-1]
    return Promise(
        promised=promised,
        confidence=confidence,
        threshold=_rounded_up(widest.threshold),
        coverage=widest.coverage,
        routed=widest.routed,
        wrong=widest.wrong,
        n=widest.of,
        bound=clopper_pearson(widest.wrong, widest.routed, confidence),
    )


def threshold_from_costs(misroute: int, escalation: int) -> str:
    """The least probability at which routing costs less: `(1 - p) * misroute < escalation`; 1 where none is enough."""
    return six(min(MILLION, least_probability(misroute, escalation)))


def clopper_pearson(wrong: int, n: int, confidence: float = 0.95) -> float:
    """The one-sided upper bound for an error seen `wrong` times in `n`: the rate at which so few are this rare.

    Clopper and Pearson (1934), by bisection on the binomial tail.
    """
    if not 0 <= wrong <= n:
        raise CallError(f"{wrong} wrong of {n} is not possible.", fix="Give 0 <= wrong <= n.")
    low, high = (wrong / n if n else 0.0), 1.0
    if wrong == n:
        return 1.0
    for _ in range(60):
        middle = (low + high) / 2
        if at_most(wrong, n, middle) > 1 - confidence:
            low = middle
        else:
            high = middle
    return high


def at_most(wrong: int, n: int, rate: float) -> float:
    """The probability of at most `wrong` errors in `n` when each has probability `rate`."""
    if wrong >= n:
        return 1.0
    return _incomplete_beta(n - wrong, wrong + 1, 1 - rate)


def _incomplete_beta(a: float, b: float, x: float) -> float:
    """The regularised incomplete beta function, by Lentz's continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return min(1.0, max(0.0, x))
    if x > (a + 1) / (a + b + 2):
        return 1 - _incomplete_beta(b, a, 1 - x)
    logarithm = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    tiny = 1e-300
    c, d = 1.0, 1 / _away(1 - (a + b) * x / (a + 1), tiny)
    fraction = d
    for m in range(1, 10_000):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for step in (even, odd):
            d, c = 1 / _away(1 + step * d, tiny), _away(1 + step / c, tiny)
            fraction *= d * c
        if abs(d * c - 1) < 1e-14:
            break
    return math.exp(logarithm) * fraction / a


def _away(number: float, tiny: float) -> float:
    return number if abs(number) > tiny else tiny


def _rounded_up(threshold: float) -> str:
    """Six decimals that are not below the threshold, so that nothing more is routed than was counted."""
    return fixed(min(1.0, math.ceil(threshold * 1_000_000) / 1_000_000))
