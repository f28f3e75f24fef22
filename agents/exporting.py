"""What was fitted, written as an artefact: whole numbers in JSON, and nothing that could run."""

import base64
import math
import sys
from array import array
from collections.abc import Sequence

from ..contracts.canonical import canonical
from .classifier import FORMAT, MILLION, ZERO, BlockFile, Scoring, TableFile
from .fitting import Fitted, FittedBlock


def written(fitted: Fitted, scoring: Scoring) -> bytes:
    """The artefact's bytes."""
    blocks = (fitted.words, fitted.letters)
    largest = max((abs(weight) for block in blocks for row in _rows(block) for weight in row), default=0.0)
    step = max(1, math.ceil(largest / (ZERO - 1) * 1_000_000_000))
    of_best, of_outside, constant = (round(number * MILLION) for number in scoring.scope)
    file = TableFile(
        format=FORMAT,
        labels=scoring.labels,
        outside=scoring.outside,
        words=_block(fitted.words, step),
        letters=_block(fitted.letters, step),
        weight=step,
        intercepts=tuple(round(number * MILLION) for number in fitted.intercepts),
        sharpness=round(scoring.sharpness * MILLION),
        scope=(of_best, of_outside, constant),
        independent=scoring.independent,
        confidence=tuple(round(number * MILLION) for number in scoring.confidence),
    )
    return canonical(file.model_dump(mode="json"))


def _rows(block: FittedBlock) -> Sequence[Sequence[float]]:
    tolist = getattr(block.weights, "tolist", None)
    rows: Sequence[Sequence[float]] = tolist() if tolist is not None else block.weights
    return rows


def _block(block: FittedBlock, step: int) -> BlockFile:
    factor = 1_000_000_000 / step
    weights = array("H", (round(weight * factor) + ZERO for row in _rows(block) for weight in row))
    return BlockFile(features="\n".join(block.features), idf=encoded(array("H", block.idf)), weights=encoded(weights))


def encoded(numbers: "array[int]") -> str:
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()
