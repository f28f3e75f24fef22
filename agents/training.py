"""Training the linear table with scikit-learn (the extra `ml`); running it needs only `classifier.py`.

The estimate in the report is cross-validated: no message is judged by a table that was trained on it.
The same examples and seed give the same bytes with the same versions of scikit-learn and NumPy.
"""

import base64
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..contracts.canonical import canonical, sha256_hex
from ..contracts.errors import CallError, SetupError
from ..contracts.values import fixed
from .classifier import FORMAT, MILLION, UNIT, ZERO, BlockFile, TableFile, letter_features, word_features
from .evaluation import Promise, Scored, accuracy, auroc, coverage_at_error, out_of_scope_recall, promise

OUTSIDE = "~"
"""The column of *none of ours*: no name, so no label can be called that, and last in order."""
MANY_EXAMPLES = 5_000
"""From here on a word must occur in two examples to count; with fewer, every word is worth keeping."""
PROMISES = (0.01, 0.02, 0.05, 0.10)
KEPT_IN_SCOPE = 0.97
"""The suggested scope threshold lets this share of the held-out messages that are ours pass."""


_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Cross-validated figures. `promises` are for messages that are ours, without a scope gate."""

    examples: int
    out_of_scope: int
    labels: tuple[tuple[str, int, float], ...]
    """Each label with its examples and the share of them that was recognised."""
    folds: int
    features: int
    accuracy: float
    coverage_at_2_percent: float
    coverage_at_5_percent: float
    promises: tuple[tuple[float, Promise | None], ...]
    scope: str
    """The suggested scope threshold: `KEPT_IN_SCOPE` of what is ours passes it."""
    scope_auroc: float | None
    scope_recall: float | None
    """The share of out-of-scope examples below the suggested scope; None without such examples."""


@dataclass(frozen=True, slots=True)
class TrainedRouter:
    """The artefact's bytes, their SHA-256, and what was measured."""

    artefact: bytes
    digest: str
    report: TrainingReport


def train(
    examples: Iterable[tuple[str, str]], *, seed: int, out_of_scope: Iterable[str] = (), folds: int = 5
) -> TrainedRouter:
    """A linear table for (text, label) pairs. `out_of_scope` are messages that are none of ours.

    Raises `SetupError` without scikit-learn, and `CallError` for labels that cannot be trained. Takes a
    few seconds for ten thousand examples, times `folds` plus one.
    """
    _needs_sklearn()
    pairs, outside = sorted(set(examples)), sorted(set(out_of_scope))
    labels = _labels_of(pairs, folds)
    for text in {text for text, _ in pairs}.intersection(outside):
        raise CallError(f"The example {text[:60]!r} is labelled and out of scope.", fix="Keep one of them.")
    texts = [text for text, _ in pairs] + outside
    truth = [label for _, label in pairs] + [OUTSIDE] * len(outside)
    held_out = _held_out_margins(texts, truth, folds, seed)
    sharpness = _sharpness(held_out[: len(pairs), : len(labels)], [labels.index(label) for _, label in pairs])
    scope = _scope(held_out, len(labels), len(pairs))
    fitted = _fit(texts, truth, seed)
    artefact = _exported(fitted, labels, bool(outside), sharpness, scope)
    return TrainedRouter(
        artefact, sha256_hex(artefact), _report(pairs, labels, held_out, sharpness, scope, folds, fitted)
    )


def _needs_sklearn() -> None:
    try:
        import sklearn  # noqa: F401
    except ImportError as error:
        raise SetupError(
            "Training a router needs scikit-learn, which is not installed.", fix="pip install 'interlock[ml]'"
        ) from error


def _labels_of(pairs: Sequence[tuple[str, str]], folds: int) -> tuple[str, ...]:
    counts = Counter(label for _, label in pairs)
    if len(counts) < 2:
        raise CallError(f"There are examples of {len(counts)} labels.", fix="Give examples of at least two labels.")
    if folds < 2:
        raise CallError(f"{folds} folds leave nothing to measure on.", fix="Use 2 or more.")
    for label, count in sorted(counts.items()):
        if not _NAME.fullmatch(label):
            raise CallError(
                f"The label {label!r} is not a name.", fix="Use ASCII letters, digits and underscores, at most 64."
            )
        if count < folds:
            raise CallError(
                f"The label {label!r} has {count} examples, fewer than the {folds} folds.",
                fix="Write more examples, or use fewer folds.",
            )
    text, occurs = Counter(text for text, _ in pairs).most_common(1)[0]
    if occurs > 1:
        raise CallError(f"The example {text[:60]!r} has {occurs} labels.", fix="Keep one of them.")
    return tuple(sorted(counts))


@dataclass(frozen=True, slots=True)
class _Fitted:
    words: Any
    letters: Any
    machine: Any

    def features(self, texts: Sequence[str]) -> Any:
        from scipy.sparse import hstack

        return hstack([self.words.transform(texts), self.letters.transform(texts)]).tocsr()

    def margins(self, texts: Sequence[str]) -> Any:
        """One column per label in sorted order, *none of ours* last."""
        import numpy

        found = self.machine.decision_function(self.features(texts))
        return found if found.ndim == 2 else numpy.stack([-found, found], axis=1)

    @property
    def weights(self) -> tuple[Any, Any]:
        """Weights by column and feature, and one intercept per column; two labels share one separating plane."""
        import numpy

        weights, intercepts = self.machine.coef_, self.machine.intercept_
        if len(intercepts) == 1:
            return numpy.vstack([-weights, weights]), numpy.concatenate([-intercepts, intercepts])
        return weights, intercepts


def _fit(texts: Sequence[str], truth: Sequence[str], seed: int) -> _Fitted:
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.svm import LinearSVC

    least = 1 if len(texts) < MANY_EXAMPLES else 2
    words = TfidfVectorizer(analyzer=word_features, sublinear_tf=True, min_df=least)
    letters = TfidfVectorizer(analyzer=letter_features, sublinear_tf=True, min_df=2)
    features = hstack([words.fit_transform(texts), letters.fit_transform(texts)]).tocsr()
    return _Fitted(words, letters, LinearSVC(C=1.0, random_state=seed).fit(features, truth))


def _held_out_margins(texts: Sequence[str], truth: Sequence[str], folds: int, seed: int) -> Any:
    """Margins of every text, from a table that did not see it."""
    import numpy
    from sklearn.model_selection import StratifiedKFold

    margins = numpy.zeros((len(texts), len(set(truth))))
    for seen, unseen in StratifiedKFold(folds, shuffle=True, random_state=seed).split(texts, truth):
        fitted = _fit([texts[place] for place in seen], [truth[place] for place in seen], seed)
        margins[unseen] = fitted.margins([texts[place] for place in unseen])
    return margins


def _sharpness(margins: Any, truth: Sequence[int]) -> int:
    """The factor, in millionths, at which the softmax of the margins fits best: golden section on the log loss."""
    import numpy

    def loss(exponent: float) -> float:
        scaled = margins * math.exp(exponent)
        scaled = scaled - scaled.max(axis=1, keepdims=True)
        own = scaled[numpy.arange(len(truth)), truth]
        return float((numpy.log(numpy.exp(scaled).sum(axis=1)) - own).mean())

    low, high, golden = math.log(0.5), math.log(50.0), (math.sqrt(5) - 1) / 2
    for _ in range(40):
        left, right = high - golden * (high - low), low + golden * (high - low)
        low, high = (low, right) if loss(left) < loss(right) else (left, high)
    return round(math.exp((low + high) / 2) * 1_000) * 1_000


def _scope(margins: Any, labels: int, inside: int) -> tuple[int, int, int]:
    """The logistic over best and outside margin, in millionths; a fixed one where nothing outside was given."""
    import numpy
    from sklearn.linear_model import LogisticRegression

    if inside == len(margins):
        return 4 * MILLION, 0, 2 * MILLION
    told = numpy.stack([margins[:, :labels].max(axis=1), margins[:, labels]], axis=1)
    fitted = LogisticRegression(class_weight="balanced").fit(told, [place < inside for place in range(len(margins))])
    of_best, of_outside = (round(float(number) * 1_000) * 1_000 for number in fitted.coef_[0])
    return of_best, of_outside, round(float(fitted.intercept_[0]) * 1_000) * 1_000


def _exported(
    fitted: _Fitted, labels: tuple[str, ...], outside: bool, sharpness: int, scope: tuple[int, int, int]
) -> bytes:
    weights, intercepts = fitted.weights
    step = max(1, math.ceil(float(abs(weights).max()) / (ZERO - 1) * 1_000_000_000))
    words = len(fitted.words.vocabulary_)
    file = TableFile(
        format=FORMAT,
        labels=labels,
        outside=outside,
        words=_exported_block(fitted.words, weights[:, :words], step),
        letters=_exported_block(fitted.letters, weights[:, words:], step),
        weight=step,
        intercepts=tuple(round(float(number) * MILLION) for number in intercepts),
        sharpness=sharpness,
        scope=scope,
    )
    return canonical(file.model_dump(mode="json"))


def _exported_block(vectorizer: Any, weights: Any, step: int) -> BlockFile:
    import numpy

    steps = numpy.rint(weights.T * (1_000_000_000 / step)).astype(numpy.int64) + ZERO
    idf = numpy.rint(vectorizer.idf_ * UNIT)
    return BlockFile(
        features="\n".join(vectorizer.get_feature_names_out()),
        idf=base64.b64encode(idf.astype("<u2").tobytes()).decode(),
        weights=base64.b64encode(steps.astype("<u2").tobytes()).decode(),
    )


def _report(
    pairs: Sequence[tuple[str, str]],
    labels: tuple[str, ...],
    margins: Any,
    sharpness: int,
    scope: tuple[int, int, int],
    folds: int,
    fitted: _Fitted,
) -> TrainingReport:
    import numpy

    own = margins[: len(pairs), : len(labels)]
    powers = numpy.exp((own - own.max(axis=1, keepdims=True)) * (sharpness / MILLION))
    best = own.argmax(axis=1)
    given = [(label, labels[place]) for (_, label), place in zip(pairs, best, strict=True)]
    scored: list[Scored] = [
        (float(score), true == found) for score, (true, found) in zip(1 / powers.sum(axis=1), given, strict=True)
    ]
    told = numpy.stack([margins[:, : len(labels)].max(axis=1), margins[:, -1], numpy.ones(len(margins))], axis=1)
    ours = [float(number) for number in 1 / (1 + numpy.exp(-told @ numpy.array(scope) / MILLION))]
    inside, outside = ours[: len(pairs)], ours[len(pairs) :]
    gate = math.floor(sorted(inside)[int(len(inside) * (1 - KEPT_IN_SCOPE))] * 1_000) / 1_000
    return TrainingReport(
        examples=len(pairs),
        out_of_scope=len(outside),
        labels=tuple(
            (label, sum(true == label for true, _ in given), accuracy(pair for pair in given if pair[0] == label))
            for label in labels
        ),
        folds=folds,
        features=len(fitted.words.vocabulary_) + len(fitted.letters.vocabulary_),
        accuracy=accuracy(given),
        coverage_at_2_percent=coverage_at_error(scored, 0.02),
        coverage_at_5_percent=coverage_at_error(scored, 0.05),
        promises=tuple((error, promise(scored, error)) for error in PROMISES),
        scope=fixed(gate),
        scope_auroc=auroc(inside, outside) if outside else None,
        scope_recall=out_of_scope_recall(outside, gate) if outside else None,
    )
