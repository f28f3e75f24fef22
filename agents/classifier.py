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
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from itertools import pairwise
from operator import itemgetter, mul
from pathlib import Path
from typing import Final, Literal

from pydantic import Field, ValidationError

from ..contracts.canonical import sha256_hex
from ..contracts.errors import FlowError
from ..contracts.values import Name, SafeInt, Value, added
from .calibration import logistic

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
SIGNALS = 5
"""How many numbers `signals` gives."""

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
    independent: bool = added(False)
    """Whether each label is scored for itself: `confidence` then makes a probability of its margin."""
    confidence: tuple[SafeInt, ...] = added(())
    """Constant, then one number for each of `signals`: their logistic says how likely the best label is right.
    Of independent labels the constant, and of the margin. Without it scores are probabilities among the labels."""


def signals(margins: Sequence[float], outside: float, total: float, known: float) -> tuple[float, ...]:
    """What tells a right best label from a wrong one.

    Its margin, the distance to the second, how little the others weigh together (`total` is the softmax's
    denominator over the best), the margin of *none of ours*, and the share of words that were trained.
    """
    first, second = nlargest(2, margins)
    return first, first - second, -math.log(total), outside, known


def known_share(words: Sequence[str], features: Container[str]) -> float:
    return sum(word in features for word in words) / len(words) if words else 0.0


@dataclass(frozen=True, slots=True)
class Scoring:
    """From margins to scores; what each number means is said in `TableFile`."""

    labels: tuple[str, ...]
    outside: bool
    sharpness: float
    scope: tuple[float, float, float]
    confidence: tuple[float, ...]
    independent: bool = False

    def of(self, margins: list[float], known: float) -> tuple[tuple[tuple[str, float], ...], float]:
        """All labels with scores in descending order, and the scope score."""
        outside = margins.pop() if self.outside else 0.0
        best = max(margins)
        of_best, of_outside, constant = self.scope
        scope = logistic(constant + of_best * best + of_outside * outside)
        if self.independent:
            base, slope = self.confidence
            return self._ranked([logistic(base + slope * margin) for margin in margins]), scope
        sharpness = self.sharpness
        powers = [math.exp((margin - best) * sharpness) for margin in margins]
        total = math.fsum(powers)
        if not self.confidence:
            return self._ranked([power / total for power in powers]), scope
        told = signals(margins, outside, total, known)
        right = logistic(self.confidence[0] + sum(map(mul, self.confidence[1:], told)))
        others = min(right, (1 - right) / (total - 1)) if total > 1 else right
        scores = [power * others for power in powers]
        scores[margins.index(best)] = right
        return self._ranked(scores), scope

    def _ranked(self, scores: list[float]) -> tuple[tuple[str, float], ...]:
        ranked = sorted(zip(scores, self.labels, strict=True), key=itemgetter(0), reverse=True)
        return tuple((label, score) for score, label in ranked)


class _Block:
    """One kind of features: which row each has, and the rows as large integers, made when first touched."""

    def __init__(self, features: dict[str, int], idf: "array[int]", weights: "array[int]", lanes: int) -> None:
        self.features, self.idf, self.lanes = features, idf, lanes
        self._weights = weights
        self._rows: list[int | None] = [None] * len(idf)
        self._names: list[str] = []

    def row(self, number: int) -> int:
        found = self._rows[number]
        if found is None:
            lanes = array("Q", self._weights[number * self.lanes : (number + 1) * self.lanes])
            found = self._rows[number] = int.from_bytes(_little(lanes).tobytes(), "little")
        return found

    def name(self, number: int) -> str:
        if not self._names:
            self._names = list(self.features)
        return self._names[number]

    def parts(self, counts: dict[int, int], lanes: tuple[int, int]) -> Iterator[tuple[str, float]]:
        """What each feature counted adds to the first lane's sum more than to the second's."""
        weights = {number: self.idf[number] * _TERM[min(count, 64)] for number, count in counts.items()}
        length = math.sqrt(sum(weight * weight for weight in weights.values()))
        first, second = lanes
        for number, weight in weights.items():
            start = number * self.lanes
            yield self.name(number), weight * (self._weights[start + first] - self._weights[start + second]) / length

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
        self.independent = file.independent
        self._words = _block("words", file.words, lanes, digest)
        self._letters = _block("letters", file.letters, lanes, digest)
        self._intercepts = [number / MILLION for number in file.intercepts]
        self._weight = file.weight / 1_000_000_000
        self._scoring = Scoring(
            file.labels,
            file.outside,
            file.sharpness / MILLION,
            (file.scope[0] / MILLION, file.scope[1] / MILLION, file.scope[2] / MILLION),
            tuple(number / MILLION for number in file.confidence),
            file.independent,
        )
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
        return self._margins(words_of(text))

    def _margins(self, words: list[str]) -> list[float]:
        by_words = self._words.margins(self._word_counts(words))
        by_letters = self._letters.margins(self._letter_counts(words))
        weight = self._weight
        return [
            (first + second) * weight + constant
            for first, second, constant in zip(by_words, by_letters, self._intercepts, strict=True)
        ]

    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        """All labels with scores in descending order, and how likely the message is ours at all.

        A score is the probability that the message is ours and of that label; what is missing to 1 is the
        chance that it is neither. Independent labels have each their own.
        """
        words = words_of(text)
        return self._scoring.of(self._margins(words), known_share(words, self._words.features))

    def weighed(self, text: str, label: str, rival: str) -> tuple[tuple[str, float], ...]:
        """What in `text` spoke for `label` and against `rival`: words and pairs of words, the heaviest first.

        Each with its part of the difference between the two margins; letters count for the word they stand in.
        """
        words = words_of(text)
        lanes = self.labels.index(label), self.labels.index(rival)
        found: dict[str, float] = {}
        for name, part in self._words.parts(self._word_counts(words), lanes):
            found[name] = found.get(name, 0.0) + part * self._weight
        counts = self._letter_counts(words)
        of_pieces = dict(self._letters.parts(counts, lanes))
        times = {self._letters.name(number): count for number, count in counts.items()}
        for word in words:
            for piece in letters_of(word):
                if piece in of_pieces:
                    found[word] = found.get(word, 0.0) + of_pieces[piece] / times[piece] * self._weight
        return tuple(sorted(found.items(), key=lambda one: -abs(one[1])))

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
    if len(file.confidence) not in ((2,) if file.independent else (0, 1 + SIGNALS)):
        yield f"{len(file.confidence)} numbers of confidence"


def _block(name: str, file: BlockFile, lanes: int, where: str) -> _Block:
    names = file.features.split("\n") if file.features else []
    features = {feature: number for number, feature in enumerate(names)}
    if len(features) != len(names):
        raise _unreadable(f"{name}: a feature occurs twice", where)
    if len(names) > MAX_FEATURES or len(names) * lanes > MAX_TABLE_CELLS:
        raise _unreadable(f"{name}: {len(names)} features are too many", where)
    idf = numbers_in(f"{name}.idf", file.idf, len(names), where)
    if idf and min(idf) == 0:
        raise _unreadable(f"{name}.idf: a feature weighs nothing", where)
    return _Block(features, idf, numbers_in(f"{name}.weights", file.weights, len(names) * lanes, where), lanes)


def numbers_in(name: str, encoded: str, count: int, where: str) -> "array[int]":
    """`count` unsigned 16-bit numbers."""
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _unreadable(f"{name}: not base64", where) from error
    if len(data) != 2 * count:
        raise _unreadable(f"{name}: {len(data)} bytes, and {2 * count} are needed", where)
    return _little(array("H", data))
