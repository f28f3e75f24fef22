"""What a router is worth: accuracy, coverage against error, out-of-scope recall, and a promise with its bound.

Everything is computed from pairs, with the standard library. *Error* is the share of wrong routes among
what was routed; *coverage* is the share that was routed.
"""

import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

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
    leaked: int = 0
    """Messages out of scope that are routed as well; 0 where none were given apart."""
    traffic: float | None = None
    """The share of traffic that is routed, what is out of scope included; None where that is `coverage`."""


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


def promise(
    scored: Sequence[Scored], promised: float, confidence: float = 0.95, *, each_counts: float = 1.0
) -> Promise | None:
    """The threshold with the widest coverage whose error is at most `promised`, or None if too few agree.

    `each_counts` is below 1 where messages resemble each other, so that a hundred of them say less than a hundred.
    """
    kept = [
        point
        for point in coverage_curve(scored)
        if at_most(point.wrong * each_counts, point.routed * each_counts, promised) <= 1 - confidence
    ]
    if not kept:
        return None
    widest = kept[-1]
    return _promised(
        widest,
        promised,
        confidence,
        clopper_pearson(widest.wrong * each_counts, widest.routed * each_counts, confidence),
    )


def promise_with_outside(
    scored: Sequence[Scored],
    outside: Sequence[float],
    share: float,
    promised: float,
    confidence: float = 0.95,
    *,
    each_counts: float = 1.0,
) -> Promise | None:
    """The same for traffic of which `share` is out of scope, where whatever of that is routed is wrong.

    `outside` are the best scores of messages that are out of scope. Both bounds, of what is ours and of what is
    not, get half of the doubt, so that together they hold with `confidence`.
    """
    each = 1 - (1 - confidence) / 2
    ranked = sorted(outside)
    points = coverage_curve(scored)
    found: tuple[Point, float, int] | None = None
    for point in points[:: max(1, len(points) // 500)]:
        routed = (1 - share) * point.coverage
        leaks = len(ranked) - bisect_left(ranked, point.threshold)
        wrong = clopper_pearson(point.wrong * each_counts, point.routed * each_counts, each)
        leaked = share * clopper_pearson(leaks, len(ranked), each)
        bound = (routed * wrong + leaked) / (routed + leaked)
        if bound <= promised:
            found = point, bound, leaks
    if found is None:
        return None
    point, bound, leaks = found
    traffic = (1 - share) * point.coverage + share * leaks / max(1, len(ranked))
    return replace(_promised(point, promised, confidence, bound), leaked=leaks, traffic=traffic)


def _promised(point: Point, promised: float, confidence: float, bound: float) -> Promise:
    return Promise(
        promised=promised,
        confidence=confidence,
        threshold=_rounded_up(point.threshold),
        coverage=point.coverage,
        routed=point.routed,
        wrong=point.wrong,
        n=point.of,
        bound=bound,
    )


@dataclass(frozen=True, slots=True)
class Bin:
    """Messages whose best score lay between two tenths: how many, the mean score, and the share that was right."""

    count: int
    score: float
    right: float


@dataclass(frozen=True, slots=True)
class Reliability:
    """Whether scores mean what they say. `error` is the mean distance between score and share (ECE, ten bins)."""

    error: float
    bins: tuple[Bin, ...]


def reliability(scored: Sequence[Scored], weights: Sequence[float] | None = None) -> Reliability:
    """Bins of equal width from 0 to 1; those without messages are left out. `weights` say what each counts for."""
    by_tenth: dict[int, list[tuple[float, bool, float]]] = {}
    for (score, right), weight in zip(scored, weights or [1.0] * len(scored), strict=True):
        by_tenth.setdefault(min(9, int(score * 10)), []).append((score, right, weight))
    bins = []
    gap = whole = 0.0
    for _, some in sorted(by_tenth.items()):
        mass = sum(weight for _, _, weight in some)
        mean = sum(score * weight for score, _, weight in some) / mass
        share = sum(right * weight for _, right, weight in some) / mass
        bins.append(Bin(len(some), mean, share))
        gap, whole = gap + mass * abs(mean - share), whole + mass
    return Reliability(gap / whole if whole else 0.0, tuple(bins))


def mixed_coverage(scored: Sequence[Scored], outside: Sequence[float], share: float, error: float) -> float:
    """The largest share of traffic that can be routed with at most `error` among the routed, where `share` of it
    is out of scope; `outside` are the best scores of such messages."""
    ours, others = (1 - share) / max(1, len(scored)), share / max(1, len(outside))
    ranked = sorted(
        [(score, ours, not right) for score, right in scored] + [(score, others, True) for score in outside],
        key=lambda one: -one[0],
    )
    best = routed = wrong = 0.0
    for place, (score, weight, is_wrong) in enumerate(ranked):
        routed, wrong = routed + weight, wrong + weight * is_wrong
        last = place + 1 == len(ranked) or ranked[place + 1][0] != score
        if last and wrong <= error * routed:
            best = routed
    return best


def threshold_from_costs(misroute: int, escalation: int) -> str:
    """The least probability at which routing costs less: `(1 - p) * misroute < escalation`; 1 where none is enough."""
    return six(min(MILLION, least_probability(misroute, escalation)))


def clopper_pearson(wrong: float, n: float, confidence: float = 0.95) -> float:
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


def at_most(wrong: float, n: float, rate: float) -> float:
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
