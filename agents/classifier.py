"""The linear table: a trained classifier as one JSON file, run with the standard library alone.

Features are words, pairs of words and the letter sequences inside words, weighted by TF-IDF; each
label has one weight per feature. All labels' weights of a feature are kept side by side in one large
integer (a lane of 64 bits each), so that one multiplication scores every label, exactly, and the same
on every machine. Training is in `training.py`; it cuts features with the functions here.
"""

import base64
import binascii
import math
import re
import sys
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from ..contracts.canonical import sha256_hex
from ..contracts.errors import FlowError
from ..contracts.values import Name, SafeInt, Value

FORMAT: Final = "interlock-linear-table/1"
MAX_FILE_BYTES = 64_000_000
MAX_TABLE_CELLS = 32_000_000
MAX_FEATURES = 1_000_000
"""Of one kind; below it no lane of 64 bits can overflow, whatever the message."""
ZERO = 32_768
"""Weights are stored as unsigned 16 bits; this one stands for 0."""
UNIT = 256
"""Term and document frequencies are whole multiples of 1/256."""
MILLION = 1_000_000

LETTERS = range(2, 5)
"""Letter sequences of 2, 3 and 4, with a space at each end of the word."""
LONGEST_WORD = 32
"""Of a longer word (a link, a key) only this beginning is cut into letter sequences."""

_WORD = re.compile(r"\w+(?:'\w+)*")
_DIGITS = str.maketrans({**dict.fromkeys("123456789", "0"), "\u2019": "'"})
# 1 + ln(count), as scikit-learn's `sublinear_tf`; a word said more than 64 times weighs as one said 64 times.
_TERM = tuple(round(UNIT * (1 + math.log(max(1, count)))) for count in range(65))


def words_of(text: str) -> list[str]:
    """The words, without case; every digit is a 0, so that no amount is a feature of its own."""
    return _WORD.findall(text.casefold().translate(_DIGITS))


def word_features(text: str) -> list[str]:
    """Words and pairs of neighbours."""
    words = words_of(text)
    return words + [f"{first} {second}" for first, second in pairwise(words)]


def letters_of(word: str) -> list[str]:
    """The letter sequences inside one word."""
    padded = f" {word[:LONGEST_WORD]} "
    return [padded[start : start + size] for size in LETTERS for start in range(len(padded) - size + 1)]


def letter_features(text: str) -> list[str]:
    return [piece for word in words_of(text) for piece in letters_of(word)]


class BlockFile(Value):
    """The features of one kind, joined by line feeds, with their idf and weights (little-endian, base64).

    Weights are row by row, a row per feature, one unsigned 16-bit number per label.
    """

    features: str
    idf: str
    weights: str


class TableFile(Value):
    """The artefact. Numbers are whole: `millionths` of what they stand for where nothing else is said."""

    format: Literal["interlock-linear-table/1"]
    labels: tuple[Name, ...] = Field(min_length=2, max_length=4_096)
    outside: bool
    """Whether the last weight of each row is for *none of ours* and belongs to no label."""
    words: BlockFile
    letters: BlockFile
    weight: SafeInt = Field(gt=0)
    """What one step of a weight stands for, in billionths."""
    intercepts: tuple[SafeInt, ...]
    sharpness: SafeInt = Field(gt=0)
    """Margins times this give probabilities by softmax."""
    scope: tuple[SafeInt, SafeInt, SafeInt]
    """Of the best margin, of the outside margin, and constant: their logistic is the scope score."""


class _Block:
    """One kind of features: which row each has, and the rows as large integers, made when first touched."""

    def __init__(self, features: dict[str, int], idf: "array[int]", weights: "array[int]", lanes: int) -> None:
        self.features, self.idf, self.lanes = features, idf, lanes
        self._weights = weights
        self._rows: list[int | None] = [None] * len(idf)

    def row(self, number: int) -> int:
        found = self._rows[number]
        if found is None:
            lanes = array("Q", self._weights[number * self.lanes : (number + 1) * self.lanes])
            found = self._rows[number] = int.from_bytes(_little(lanes).tobytes(), "little")
        return found

    def margins(self, counts: dict[int, int]) -> list[float]:
        """Each lane's weighted sum over the features counted, divided by the length of their vector."""
        if not counts:
            return [0.0] * self.lanes
        total = weight_sum = square_sum = 0
        row, rows, idf = self.row, self._rows, self.idf
        for number, count in counts.items():
            weight = idf[number] * (UNIT if count == 1 else _TERM[min(count, 64)])
            total += weight * (rows[number] or row(number))
            weight_sum += weight
            square_sum += weight * weight
        sums = _little(array("Q", total.to_bytes(8 * self.lanes, "little")))
        zero, length = ZERO * weight_sum, math.sqrt(square_sum)
        return [(lane - zero) / length for lane in sums]


class LinearTable:
    """A `Classifier` read from an artefact. Scores are probabilities among the labels; scope is apart."""

    def __init__(self, file: TableFile, digest: str) -> None:
        lanes = len(file.labels) + file.outside
        self.digest = digest
        self.labels: tuple[str, ...] = file.labels
        self._outside = file.outside
        self._words = _block("words", file.words, lanes, digest)
        self._letters = _block("letters", file.letters, lanes, digest)
        self._intercepts = [number / MILLION for number in file.intercepts]
        self._weight = file.weight / 1_000_000_000
        self._sharpness = file.sharpness / MILLION
        self._scope = [number / MILLION for number in file.scope]
        self._pieces: dict[str, tuple[int, ...]] = {}

    @classmethod
    def load(cls, path: Path | str, expected_digest: str | None = None) -> "LinearTable":
        """The table in the file at `path`. Raises `FlowError` for a missing, foreign, changed or hostile file."""
        try:
            with Path(path).open("rb") as file:
                data = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise FlowError(
                f"The classifier's artefact cannot be read: {error.strerror or error}.",
                where=str(path),
                fix="Train it again, or correct `artefact` in the flow.",
            ) from error
        return cls.from_bytes(data, expected_digest, where=str(path))

    @classmethod
    def from_bytes(cls, data: bytes, expected_digest: str | None = None, *, where: str = "") -> "LinearTable":
        if len(data) > MAX_FILE_BYTES:
            raise FlowError(
                f"The classifier's artefact is larger than {MAX_FILE_BYTES} bytes.",
                where=where,
                fix="Train with fewer labels or examples.",
            )
        digest = sha256_hex(data)
        if expected_digest is not None and digest != expected_digest:
            raise FlowError(
                f"The classifier's artefact has digest {digest}, and the flow names {expected_digest}.",
                where=where,
                fix="Restore the file that the flow names, or put the new digest into the flow as a new version.",
            )
        try:
            file = TableFile.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            place = ".".join(str(part) for part in first["loc"]) or "the file"
            raise _unreadable(f"{place}: {first['msg']}", where) from error
        return cls(_checked(file, where), digest)

    def margins(self, text: str) -> list[float]:
        """The margin of each label in the order of `labels`, then that of *none of ours* if there is one."""
        words = words_of(text)
        by_words = self._words.margins(self._word_counts(words))
        by_letters = self._letters.margins(self._letter_counts(words))
        weight = self._weight
        return [
            (first + second) * weight + constant
            for first, second, constant in zip(by_words, by_letters, self._intercepts, strict=True)
        ]

    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        """All labels with probabilities in descending order, and how likely the message is ours at all."""
        margins = self.margins(text)
        outside = margins.pop() if self._outside else 0.0
        best, sharpness = max(margins), self._sharpness
        powers = [math.exp((margin - best) * sharpness) for margin in margins]
        total = math.fsum(powers)
        ranked = sorted(zip(powers, self.labels, strict=True), key=lambda pair: -pair[0])
        of_best, of_outside, constant = self._scope
        ours = constant + of_best * best + of_outside * outside
        return tuple((label, power / total) for power, label in ranked), _logistic(ours)

    def _word_counts(self, words: list[str]) -> dict[int, int]:
        counts: dict[int, int] = {}
        find = self._words.features.get
        for number in map(find, words):
            if number is not None:
                counts[number] = counts.get(number, 0) + 1
        for first, second in pairwise(words):
            number = find(f"{first} {second}")
            if number is not None:
                counts[number] = counts.get(number, 0) + 1
        return counts

    def _letter_counts(self, words: list[str]) -> dict[int, int]:
        counts: dict[int, int] = {}
        for word in words:
            for number in self._pieces.get(word) or self._pieces_of(word):
                counts[number] = counts.get(number, 0) + 1
        return counts

    def _pieces_of(self, word: str) -> tuple[int, ...]:
        """The rows of the letter sequences in `word`. Only trained words are kept: nothing a person wrote."""
        features = self._letters.features
        pieces = tuple(features[piece] for piece in letters_of(word) if piece in features)
        if word in self._words.features:
            self._pieces[word] = pieces
        return pieces


def _logistic(number: float) -> float:
    return 1 / (1 + math.exp(-max(-60.0, min(60.0, number))))


def _little(numbers: "array[int]") -> "array[int]":
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _unreadable(what: str, where: str) -> FlowError:
    return FlowError(
        f"The classifier's artefact is not an {FORMAT} file: {what}.",
        where=where,
        fix="Train it again with this version of Interlock.",
    )


def _checked(file: TableFile, where: str) -> TableFile:
    """`file` if its parts fit together."""
    for problem in _problems(file):
        raise _unreadable(problem, where)
    return file


def _problems(file: TableFile) -> Iterator[str]:
    lanes = len(file.labels) + file.outside
    if len(set(file.labels)) != len(file.labels):
        yield "a label occurs twice"
    if len(file.intercepts) != lanes:
        yield f"{len(file.intercepts)} intercepts for {lanes} columns"


def _block(name: str, file: BlockFile, lanes: int, where: str) -> _Block:
    names = file.features.split("\n") if file.features else []
    features = {feature: number for number, feature in enumerate(names)}
    if len(features) != len(names):
        raise _unreadable(f"{name}: a feature occurs twice", where)
    if len(names) > MAX_FEATURES or len(names) * lanes > MAX_TABLE_CELLS:
        raise _unreadable(f"{name}: {len(names)} features are too many", where)
    idf = _numbers(f"{name}.idf", file.idf, len(names), where)
    if idf and min(idf) == 0:
        raise _unreadable(f"{name}.idf: a feature weighs nothing", where)
    return _Block(features, idf, _numbers(f"{name}.weights", file.weights, len(names) * lanes, where), lanes)


def _numbers(name: str, encoded: str, count: int, where: str) -> "array[int]":
    """`count` unsigned 16-bit numbers."""
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable(f"{name}: not base64", where) from error
    if len(data) != 2 * count:
        raise _unreadable(f"{name}: {len(data)} bytes, and {2 * count} are needed", where)
    return _little(array("H", data))
