"""Making scores mean what they say: probabilities fitted on messages that the table was not trained on.

Standard library only. What is fitted is small (two to six numbers), so a sample of messages is enough.
"""

import math
import random
from collections.abc import Sequence

LARGEST_SAMPLE = 4_000
"""Rows that are looked at; more change the fit by less than it is uncertain."""
_RIDGE = 1e-3


def seeded(seed: int) -> random.Random:
    """Chance that is the same every time: for folds and samples, never for secrets."""
    return random.Random(seed)  # noqa: S311


def logistic(number: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, number))))


def sample(count: int, seed: int, most: int = LARGEST_SAMPLE) -> list[int]:
    """Places of at most `most` of `count` rows, in order; the same for the same seed."""
    if count <= most:
        return list(range(count))
    return sorted(seeded(seed).sample(range(count), most))


def fit_logistic(
    rows: Sequence[Sequence[float]], truth: Sequence[bool], weights: Sequence[float] | None = None
) -> tuple[float, ...]:
    """Coefficients, the constant first, whose logistic says how likely `truth` is: Newton's method with a small ridge.

    Rows that can be separated perfectly get large coefficients, and never infinite ones.
    """
    size = len(rows[0]) + 1 if rows else 1
    found = [0.0] * size
    each = weights or [1.0] * len(rows)
    for _ in range(25):
        gradient = [-_RIDGE * value for value in found]
        curvature = [[_RIDGE if one == other else 0.0 for other in range(size)] for one in range(size)]
        for row, right, weight in zip(rows, truth, each, strict=True):
            told = (1.0, *row)
            likely = logistic(sum(one * value for one, value in zip(found, told, strict=True)))
            miss, bend = weight * (right - likely), weight * likely * (1 - likely)
            for one in range(size):
                gradient[one] += miss * told[one]
                bent = bend * told[one]
                for other in range(one + 1):
                    curvature[one][other] += bent * told[other]
        step = _solved(curvature, gradient)
        found = [value + change for value, change in zip(found, step, strict=True)]
        if max(map(abs, step)) < 1e-7:
            break
    return tuple(found)


def _solved(lower: list[list[float]], right: list[float]) -> list[float]:
    """The solution of a symmetric positive system given by its lower half: Cholesky."""
    size = len(right)
    root = [[0.0] * size for _ in range(size)]
    for one in range(size):
        for other in range(one + 1):
            rest = lower[one][other] - math.fsum(root[one][k] * root[other][k] for k in range(other))
            root[one][other] = math.sqrt(max(rest, 1e-12)) if one == other else rest / root[other][other]
    half = [0.0] * size
    for one in range(size):
        half[one] = (right[one] - math.fsum(root[one][k] * half[k] for k in range(one))) / root[one][one]
    whole = [0.0] * size
    for one in reversed(range(size)):
        rest = half[one] - math.fsum(root[k][one] * whole[k] for k in range(one + 1, size))
        whole[one] = rest / root[one][one]
    return whole


def fit_sharpness(margins: Sequence[Sequence[float]], truth: Sequence[int]) -> float:
    """The factor at which the softmax of the margins fits best: golden section on the log loss."""
    gaps = [[margin - row[own] for margin in row] for row, own in zip(margins, truth, strict=True)]

    def loss(exponent: float) -> float:
        factor, total = math.exp(exponent), 0.0
        for row in gaps:
            most = max(row) * factor
            total += most + math.log(math.fsum(math.exp(gap * factor - most) for gap in row))
        return total

    low, high, golden = math.log(0.5), math.log(50.0), (math.sqrt(5) - 1) / 2
    left, right = high - golden * (high - low), low + golden * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(16):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - golden * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + golden * (high - low)
            at_right = loss(right)
    return math.exp((low + high) / 2)
