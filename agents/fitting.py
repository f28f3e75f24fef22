"""Fitting the weights of a linear table, with the standard library alone.

A passive-aggressive learner (Crammer et al., 2006) with averaged weights: each example that is not right by a
margin of 1 moves its own label's weights towards it, and the strongest wrong label's away. Two to three
points behind scikit-learn's support vector machine, and nothing to install. `fitting_sklearn.py` is the other.
"""

import math
import random
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from .calibration import seeded
from .classifier import UNIT, known_share, letter_features, word_features, words_of

MANY_EXAMPLES = 5_000
"""From here on a word must occur in two examples to count; with fewer, every word is worth keeping."""
OUTSIDE = "~"
"""The column of *none of ours*: no name, so no label can be called that, and last in order."""
_EPOCHS = 4
_LARGEST_STEP = 0.5

Truth = Sequence[frozenset[str]]
"""The labels of each message; of *none of ours* the set with `OUTSIDE`."""


@dataclass(frozen=True, slots=True)
class FittedBlock:
    """The features of one kind, in order, each with its idf (in 1/256) and one weight per column."""

    features: tuple[str, ...]
    idf: tuple[int, ...]
    weights: Sequence[Sequence[float]]


class Fitted(Protocol):
    """Weights that were learned, before they are written. Columns are labels in order, `OUTSIDE` last."""

    @property
    def words(self) -> FittedBlock: ...
    @property
    def letters(self) -> FittedBlock: ...
    @property
    def intercepts(self) -> tuple[float, ...]: ...

    def margins(self, texts: Sequence[str]) -> list[list[float]]:
        """One row per text, one margin per column."""
        ...

    def known(self, text: str) -> float:
        """The share of the words in `text` that were trained."""
        ...


class Fit(Protocol):
    """Learns from texts and their labels; the same call gives the same weights."""

    def __call__(self, texts: Sequence[str], truth: Truth, columns: Sequence[str], *, seed: int) -> Fitted: ...


def fit_plain(texts: Sequence[str], truth: Truth, columns: Sequence[str], *, seed: int) -> "PlainFitted":
    """Weights by the learner of this module. About two seconds per thousand examples of 150 labels."""
    few = len(texts) < MANY_EXAMPLES
    words = Vocabulary.of(texts, word_features, 1 if few else 2)
    letters = Vocabulary.of(texts if few else (), letter_features, 2)
    place = {column: number for number, column in enumerate(columns)}
    own = [sorted(place[label] for label in labels) for labels in truth]
    learner = Learner(len(columns), len(words.idf) + len(letters.idf))
    vectors = [_joined(words.vector(text), letters.vector(text), len(words.idf)) for text in texts]
    learner.learn(vectors, own, seeded(seed))
    weights = learner.averaged()
    return PlainFitted(
        words.block(weights[: len(words.idf)]),
        letters.block(weights[len(words.idf) :]),
        (0.0,) * len(columns),
        words,
        letters,
    )


Vector = list[tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Features that occur often enough, each with its inverse document frequency."""

    cut: Callable[[str], list[str]]
    numbers: dict[str, int]
    idf: tuple[int, ...]

    @classmethod
    def of(cls, texts: Sequence[str], cut: Callable[[str], list[str]], least: int) -> "Vocabulary":
        occurs: Counter[str] = Counter()
        for text in texts:
            occurs.update(set(cut(text)))
        kept = sorted(feature for feature, count in occurs.items() if count >= least)
        idf = tuple(round(UNIT * (1 + math.log((1 + len(texts)) / (1 + occurs[feature])))) for feature in kept)
        return cls(cut, {feature: number for number, feature in enumerate(kept)}, idf)

    def vector(self, text: str) -> Vector:
        """Weights of the features in `text`, of length 1 together."""
        counts = Counter(number for number in map(self.numbers.get, self.cut(text)) if number is not None)
        found = [(number, self.idf[number] * (1 + math.log(count))) for number, count in sorted(counts.items())]
        length = math.sqrt(sum(value * value for _, value in found))
        return [(number, value / length) for number, value in found]

    def block(self, weights: Sequence[Sequence[float]]) -> FittedBlock:
        return FittedBlock(tuple(self.numbers), self.idf, weights)


def _joined(words: Vector, letters: Vector, shift: int) -> Vector:
    return words + [(number + shift, value) for number, value in letters]


@dataclass(frozen=True, slots=True)
class PlainFitted:
    words: FittedBlock
    letters: FittedBlock
    intercepts: tuple[float, ...]
    _words: Vocabulary
    _letters: Vocabulary

    def margins(self, texts: Sequence[str]) -> list[list[float]]:
        return [self._margins(text) for text in texts]

    def known(self, text: str) -> float:
        return known_share(words_of(text), self._words.numbers)

    def _margins(self, text: str) -> list[float]:
        total = [0.0] * len(self.intercepts)
        for block, vocabulary in ((self.words, self._words), (self.letters, self._letters)):
            for number, value in vocabulary.vector(text):
                total = [sum_ + value * weight for sum_, weight in zip(total, block.weights[number], strict=True)]
        return total


class Learner:
    """One row of weights per feature, made when the feature is first moved."""

    def __init__(self, columns: int, features: int) -> None:
        self.columns = columns
        self.rows: list[list[float] | None] = [None] * features
        self.moved: list[list[float] | None] = [None] * features
        """Each change times the step at which it was made, for the average over all steps."""
        self.steps = 1

    def learn(self, vectors: Sequence[Vector], own: Sequence[Sequence[int]], chance: random.Random) -> None:
        order = list(range(len(vectors)))
        for _ in range(_EPOCHS):
            chance.shuffle(order)
            for number in order:
                self._see(vectors[number], own[number])
                self.steps += 1

    def _see(self, vector: Vector, own: Sequence[int]) -> None:
        """Move the weights so that every own label stands a margin above every other."""
        total = self._sums(vector)
        if len(own) < self.columns:
            weakest = min(own, key=total.__getitem__) if own else None
            owned = set(own)
            rival = max((column for column in range(self.columns) if column not in owned), key=total.__getitem__)
            self._part(vector, weakest, rival, total)

    def _part(self, vector: Vector, right: int | None, wrong: int, total: Sequence[float]) -> None:
        above = (total[right] if right is not None else 0.0) - total[wrong]
        size = sum(value * value for _, value in vector)
        if above >= 1 or not size:
            return
        step = min(_LARGEST_STEP, (1 - above) / (2 * size))
        for number, value in vector:
            row, moved = self.rows[number], self.moved[number]
            if row is None or moved is None:
                row = self.rows[number] = [0.0] * self.columns
                moved = self.moved[number] = [0.0] * self.columns
            change = step * value
            if right is not None:
                row[right] += change
                moved[right] += change * self.steps
            row[wrong] -= change
            moved[wrong] -= change * self.steps

    def _sums(self, vector: Vector) -> list[float]:
        total = [0.0] * self.columns
        for number, value in vector:
            row = self.rows[number]
            if row is not None:
                total = [sum_ + value * weight for sum_, weight in zip(total, row, strict=True)]
        return total

    def averaged(self) -> list[list[float]]:
        none = [0.0] * self.columns
        return [
            none
            if row is None or moved is None
            else [one - two / self.steps for one, two in zip(row, moved, strict=True)]
            for row, moved in zip(self.rows, self.moved, strict=True)
        ]


def labels_in(truth: Iterable[frozenset[str]]) -> list[str]:
    """Every label in order; `OUTSIDE` sorts behind all names."""
    return sorted(set().union(*truth))
