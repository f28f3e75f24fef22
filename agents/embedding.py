"""A classifier over embeddings: a sentence becomes a vector, and a linear table over vectors does the rest.

For labels with few examples: at five of each, embeddings are worth ten points over words. The model that embeds is
named by whoever uses it and stays outside the artefact; the artefact says which one it was trained with.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import mul
from pathlib import Path
from typing import Final, Literal, Protocol

from pydantic import Field, ValidationError

from ..contracts.canonical import canonical, sha256_hex
from ..contracts.errors import CallError, FlowError, SetupError
from ..contracts.values import Name, SafeInt, Value, added
from .calibration import seeded
from .classifier import MAX_FILE_BYTES, MILLION, ZERO, Scoring, numbers_in
from .examples import Example
from .exporting import encoded
from .fitting import FittedBlock, Learner, Truth
from .fitting_sklearn import installed, planes
from .training import Progress, TrainedRouter, quiet, train_with

FORMAT: Final = "interlock-embedding-table/1"
_NOTHING = FittedBlock((), (), ())


class Embedder(Protocol):
    """Turns texts into vectors of `size` numbers. Deterministic: the same text gives the same vector anywhere."""

    @property
    def name(self) -> str:
        """Names the model and its version; a table refuses an embedder of another name."""
        ...

    @property
    def size(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One vector per text, in order."""
        ...


class Model2VecEmbedder:
    """Static embeddings from a folder on disk, by the library model2vec (the extra `embedding`); no torch.

    Nothing is downloaded: `folder` holds the model. Raises `SetupError` without the library or the model.
    """

    def __init__(self, folder: Path | str) -> None:
        path = Path(folder)
        if not path.is_dir():
            raise SetupError(
                f"There is no embedding model in {str(path)!r}.",
                fix="Give the folder of a model2vec model on this machine.",
            )
        try:
            from model2vec import StaticModel
        except ImportError as error:
            raise SetupError(
                "Embedding needs model2vec, which is not installed.", fix="pip install 'interlock[embedding]'"
            ) from error
        self._model = StaticModel.from_pretrained(str(path))
        self.name = path.name
        self.size = int(self._model.dim)

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        found: list[list[float]] = self._model.encode(list(texts)).tolist()
        return found


class EmbeddingFile(Value):
    """The artefact. Numbers are whole: millionths where nothing else is said; weights are a row per column."""

    format: Literal["interlock-embedding-table/1"]
    labels: tuple[Name, ...] = Field(min_length=2, max_length=4_096)
    outside: bool
    embedder: str
    size: SafeInt = Field(gt=0, le=16_384)
    weights: str
    weight: SafeInt = Field(gt=0)
    """What one step of a weight stands for, in billionths."""
    intercepts: tuple[SafeInt, ...]
    sharpness: SafeInt = Field(gt=0)
    scope: tuple[SafeInt, SafeInt, SafeInt]
    independent: bool = added(False)
    confidence: tuple[SafeInt, ...]


class EmbeddingTable:
    """A `Classifier` read from an artefact, with the embedder that it was trained with."""

    def __init__(self, file: EmbeddingFile, digest: str, embedder: Embedder) -> None:
        lanes = len(file.labels) + file.outside
        stored = numbers_in("weights", file.weights, file.size * lanes, digest)
        step = file.weight / 1_000_000_000
        self.digest, self.labels, self.independent = digest, file.labels, file.independent
        self._embedder = embedder
        self._rows = [
            [(one - ZERO) * step for one in stored[lane * file.size : (lane + 1) * file.size]] for lane in range(lanes)
        ]
        self._intercepts = [number / MILLION for number in file.intercepts]
        of_best, of_outside, constant = (number / MILLION for number in file.scope)
        confidence = tuple(number / MILLION for number in file.confidence)
        self._scoring = Scoring(
            file.labels, file.outside, file.sharpness / MILLION, (of_best, of_outside, constant), confidence,
            file.independent,
        )  # fmt: skip

    @classmethod
    def load(cls, path: Path | str, embedder: Embedder, expected_digest: str | None = None) -> "EmbeddingTable":
        """Raises `FlowError` for a missing, foreign or changed file, or one that another embedder is needed for."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise FlowError(
                f"The classifier's artefact cannot be read: {error.strerror or error}.",
                where=str(path),
                fix="Train it again, or correct `artefact` in the flow.",
            ) from error
        return cls.from_bytes(data, embedder, expected_digest, where=str(path))

    @classmethod
    def from_bytes(
        cls, data: bytes, embedder: Embedder, expected_digest: str | None = None, *, where: str = ""
    ) -> "EmbeddingTable":
        digest = sha256_hex(data)
        if expected_digest is not None and digest != expected_digest:
            raise FlowError(
                f"The classifier's artefact has digest {digest}, and the flow names {expected_digest}.",
                where=where,
                fix="Restore the file that the flow names, or put the new digest into the flow as a new version.",
            )
        try:
            if len(data) > MAX_FILE_BYTES:
                raise ValueError(f"it is larger than {MAX_FILE_BYTES} bytes")
            file = EmbeddingFile.model_validate_json(data)
        except ValueError as error:
            said = error.errors(include_url=False)[0]["msg"] if isinstance(error, ValidationError) else str(error)
            raise _unreadable(said, where) from error
        if (embedder.name, embedder.size) != (file.embedder, file.size):
            raise FlowError(
                f"The artefact was trained with the embedder {file.embedder!r} of {file.size} numbers, and this is "
                f"{embedder.name!r} of {embedder.size}.",
                where=where,
                fix="Use the same model, or train again with this one.",
            )
        lanes = len(file.labels) + file.outside
        if len(set(file.labels)) != len(file.labels) or len(file.intercepts) != lanes:
            raise _unreadable("its labels and columns do not fit together", where)
        if len(file.confidence) != (2 if file.independent else 6):
            raise _unreadable(f"{len(file.confidence)} numbers of confidence", where)
        return cls(file, digest, embedder)

    def score(self, text: str) -> tuple[tuple[tuple[str, float], ...], float]:
        """All labels with scores in descending order, and how likely the message is ours at all."""
        (vector,) = unit_vectors(self._embedder, [text])
        margins = [
            sum(map(mul, row, vector)) + constant for row, constant in zip(self._rows, self._intercepts, strict=True)
        ]
        return self._scoring.of(margins, 1.0 if any(vector) else 0.0)


def _unreadable(what: str, where: str) -> FlowError:
    return FlowError(
        f"The classifier's artefact is not an {FORMAT} file: {what}.",
        where=where,
        fix="Train it again with this version of Interlock.",
    )


def unit_vectors(embedder: Embedder, texts: Sequence[str]) -> list[list[float]]:
    """The embeddings, each of length 1; a text that gives nothing stays at zero."""
    found = []
    for vector in embedder.embed(texts):
        if len(vector) != embedder.size:
            raise CallError(
                f"The embedder {embedder.name!r} gave {len(vector)} numbers, and says {embedder.size}.",
                fix="Mend the embedder.",
            )
        length = math.sqrt(sum(value * value for value in vector))
        found.append([value / length for value in vector] if length else [0.0] * embedder.size)
    return found


def train_embedded(
    examples: Iterable[Example],
    embedder: Embedder,
    *,
    seed: int,
    folds: int = 5,
    share: float | None = None,
    progress: Progress = quiet,
) -> TrainedRouter:
    """An artefact over the embedder's vectors; measured and calibrated as `train_examples` does."""
    given = list(examples)
    texts = sorted({one.text for one in given})
    known = dict(zip(texts, unit_vectors(embedder, texts), strict=True))

    def fit(some: Sequence[str], truth: Truth, columns: Sequence[str], *, seed: int) -> _Embedded:
        rows = [known[text] for text in some]
        if installed():
            import numpy

            weights, intercepts = planes(numpy.array(rows), truth, columns, seed)
            return _Embedded(weights.tolist(), tuple(intercepts.tolist()), known)
        return _Embedded(_learnt(rows, truth, columns, seed), (0.0,) * len(columns), known)

    name = f"the embedder {embedder.name}"
    return train_with(
        given, fit, lambda fitted, scoring: _written(fitted, scoring, embedder), name,
        seed=seed, folds=folds, share=share, progress=progress,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Embedded:
    """One row of weights per column; there are no words to know."""

    rows: Sequence[Sequence[float]]
    intercepts: tuple[float, ...]
    vectors: dict[str, list[float]]

    @property
    def words(self) -> FittedBlock:
        return _NOTHING

    @property
    def letters(self) -> FittedBlock:
        return _NOTHING

    def known(self, text: str) -> float:
        return 1.0 if any(self.vectors[text]) else 0.0

    def margins(self, texts: Sequence[str]) -> list[list[float]]:
        return [
            [
                sum(map(mul, row, self.vectors[text])) + constant
                for row, constant in zip(self.rows, self.intercepts, strict=True)
            ]
            for text in texts
        ]


def _learnt(rows: Sequence[Sequence[float]], truth: Truth, columns: Sequence[str], seed: int) -> list[list[float]]:
    """Weights by the learner of the standard library."""
    place = {column: number for number, column in enumerate(columns)}
    learner = Learner(len(columns), len(rows[0]))
    vectors = [list(enumerate(row)) for row in rows]
    learner.learn(vectors, [sorted(place[label] for label in labels) for labels in truth], seeded(seed))
    return [list(column) for column in zip(*learner.averaged(), strict=True)]


def _written(fitted: _Embedded, scoring: Scoring, embedder: Embedder) -> bytes:
    largest = max((abs(weight) for row in fitted.rows for weight in row), default=0.0)
    step = max(1, math.ceil(largest / (ZERO - 1) * 1_000_000_000))
    of_best, of_outside, constant = (round(number * MILLION) for number in scoring.scope)
    file = EmbeddingFile(
        format=FORMAT,
        labels=scoring.labels,
        outside=scoring.outside,
        embedder=embedder.name,
        size=embedder.size,
        weights=encoded(array("H", (round(w * 1_000_000_000 / step) + ZERO for row in fitted.rows for w in row))),
        weight=step,
        intercepts=tuple(round(number * MILLION) for number in fitted.intercepts),
        sharpness=round(scoring.sharpness * MILLION),
        scope=(of_best, of_outside, constant),
        independent=scoring.independent,
        confidence=tuple(round(number * MILLION) for number in scoring.confidence),
    )
    return canonical(file.model_dump(mode="json"))
