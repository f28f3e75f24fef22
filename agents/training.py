"""Training the linear table: weights, scores that are probabilities, and an estimate that can be relied on.

With scikit-learn (the extra `ml`) where it is installed, else with the standard library alone; running the table
needs neither. Every figure of the report is of messages that the table measured had not seen, nor near copies of
them. The same examples and seed give the same bytes with the same versions of scikit-learn and NumPy.
"""

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

from ..contracts.canonical import sha256_hex
from ..contracts.errors import CallError, SetupError
from ..fsm.thresholds import six
from .calibration import LARGEST_SAMPLE, fit_logistic, fit_sharpness, sample, seeded
from .classifier import Scoring, signals
from .evaluation import Promise
from .examples import Example, folds_of, near_copies
from .exporting import written
from .fitting import OUTSIDE, Fit, Fitted, fit_plain
from .fitting_sklearn import fit_sklearn, installed
from .measuring import Judged, Measurement, SeveralFigures, measured, several_measured

Backend = Literal["auto", "sklearn", "plain"]
SHARE_OUTSIDE, SHARE_UNSEEN = 0.2, 0.05
"""The share of traffic taken to be none of ours, where nobody says otherwise: with examples of it, and without."""
_WITHHELD = 3
"""How many times a third of the labels is withheld, to see how messages of unknown labels look."""
_MOST_SILENT = 0.05
_FOR_SHARPNESS = 1_500
_KEPT_SCORES = 12
_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")

F = TypeVar("F", bound=Fitted)
Progress = Callable[[str, int, int], None]
"""Called with what is being done, how many steps are done, and of how many."""


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What the table was made of, and what held-out messages say of it."""

    backend: str
    examples: int
    out_of_scope: int
    folds: int
    features: int
    measured: Measurement
    judged: tuple[Judged, ...]
    """Every example as a table judged it that had not seen it: for other thresholds, costs and plots."""
    several: SeveralFigures | None
    """Of labels that are independent of each other, at the thresholds that are suggested."""
    threshold: str | None
    notice: str | None

    @property
    def accuracy(self) -> float:
        return self.measured.accuracy

    @property
    def labels(self) -> tuple[tuple[str, int, float], ...]:
        """Each label with its examples and the share of them that was recognised."""
        return tuple((one.label, one.examples, one.recall) for one in self.measured.labels if one.examples)

    @property
    def promises(self) -> tuple[tuple[float, Promise | None], ...]:
        return self.measured.promises

    @property
    def scope(self) -> str:
        return self.measured.scope

    @property
    def scope_auroc(self) -> float | None:
        return self.measured.scope_auroc

    @property
    def scope_recall(self) -> float | None:
        return self.measured.scope_recall

    def coverage_at(self, error: float) -> float:
        """The share of what is ours that can be routed at this error."""
        return next(ours for each, ours, _ in self.measured.coverage if each == error)


@dataclass(frozen=True, slots=True)
class TrainedRouter:
    """The artefact's bytes, their SHA-256, and what was measured."""

    artefact: bytes
    digest: str
    report: TrainingReport


def train(
    examples: Iterable[tuple[str, str]],
    *,
    seed: int,
    out_of_scope: Iterable[str] = (),
    folds: int = 5,
    backend: Backend = "auto",
    share: float | None = None,
) -> TrainedRouter:
    """A linear table for (text, label) pairs; `train_examples` has the rest."""
    pairs = [Example(text, frozenset({label})) for text, label in examples]
    others = [Example(text, frozenset(), outside=True) for text in out_of_scope]
    return train_examples([*pairs, *others], seed=seed, folds=folds, backend=backend, share=share)


def quiet(what: str, done: int, of: int) -> None:
    """Nothing is shown."""


def train_examples(
    examples: Iterable[Example],
    *,
    seed: int,
    folds: int = 5,
    backend: Backend = "auto",
    share: float | None = None,
    progress: Progress = quiet,
) -> TrainedRouter:
    """A linear table, calibrated for traffic of which `share` is none of ours (a fifth with examples of it).

    Where an example has several labels, or none, every label is scored for itself. Raises `SetupError` where
    scikit-learn was asked for and is not there, and `CallError` for labels that cannot be trained. A few seconds
    for ten thousand examples with scikit-learn and half a minute without, times `folds` plus four.
    """
    name, fit = _fit_of(backend)
    return train_with(examples, fit, written, name, seed=seed, folds=folds, share=share, progress=progress)


def train_with(
    examples: Iterable[Example],
    fit: Callable[..., F],
    write: Callable[[F, Scoring], bytes],
    name: str,
    *,
    seed: int,
    folds: int,
    share: float | None,
    progress: Progress,
) -> TrainedRouter:
    """The same with any way to fit, and to write what was fitted."""
    given = sorted(set(examples), key=lambda one: (one.outside, one.text, sorted(one.labels)))
    labels = _labels_of(given, folds)
    if share is None:
        share = SHARE_OUTSIDE if any(one.outside for one in given) else SHARE_UNSEEN
    if not 0 <= share < 1:
        raise CallError(f"A share of {share} of the traffic is not possible.", fix="Give a number from 0 to below 1.")
    return _Work(given, labels, fit, seed, folds, progress).trained(write, share, name)


def _fit_of(backend: Backend) -> tuple[str, Fit]:
    if backend == "plain" or (backend == "auto" and not installed()):
        return "standard library", fit_plain
    if not installed():
        raise SetupError(
            "Training with scikit-learn was asked for, and it is not installed.",
            fix="pip install 'interlock[ml]', or train with the standard library: --backend plain.",
        )
    return "scikit-learn", fit_sklearn


def _labels_of(examples: Sequence[Example], folds: int) -> tuple[str, ...]:
    counts = Counter(label for one in examples for label in one.labels)
    if len(counts) < 2:
        raise CallError(f"There are examples of {len(counts)} labels.", fix="Give examples of at least two labels.")
    if folds < 2:
        raise CallError(f"{folds} folds leave nothing to measure on.", fix="Use 2 or more.")
    several = any(len(one.labels) != 1 for one in examples if not one.outside)
    for label, count in sorted(counts.items()):
        if not _NAME.fullmatch(label):
            raise CallError(
                f"The label {label!r} is not a name.", fix="Use ASCII letters, digits and underscores, at most 64."
            )
        if count < folds and not several:
            raise CallError(
                f"The label {label!r} has {count} examples, fewer than the {folds} folds.",
                fix="Write more examples, or use fewer folds.",
            )
    texts: dict[str, Example] = {}
    for one in examples:
        other = texts.setdefault(one.text, one)
        if other.outside != one.outside:
            raise CallError(f"The example {one.text[:60]!r} is labelled and out of scope.", fix="Keep one of them.")
        if other is not one:
            raise CallError(f"The example {one.text[:60]!r} has 2 labels.", fix="Keep one of them.")
    return tuple(sorted(counts))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A message as a table saw it that was not trained on it: its margins, and the share of its words it knows."""

    margins: list[float]
    known: float


class _Work(Generic[F]):
    """One training: the examples, and the fits that measuring and writing need."""

    def __init__(
        self,
        given: Sequence[Example],
        labels: tuple[str, ...],
        fit: Callable[..., F],
        seed: int,
        folds: int,
        progress: Progress,
    ) -> None:
        self.given, self.labels, self.fit, self.seed, self.folds = given, labels, fit, seed, folds
        self.outside = any(one.outside for one in given)
        self.independent = any(len(one.labels) != 1 for one in given if not one.outside)
        self.columns = (*labels, *((OUTSIDE,) if self.outside else ()))
        self.truth = [frozenset({OUTSIDE}) if one.outside else one.labels for one in given]
        self.withheld = 0 if self.independent or len(labels) < 2 * _WITHHELD else _WITHHELD
        self.progress, self.done = progress, 0

    def trained(self, write: Callable[[F, Scoring], bytes], share: float, backend: str) -> TrainedRouter:
        clusters = near_copies(self.given)
        seen = self._held_out(folds_of(self.given, clusters, self.folds, self.seed))
        scoring = self._scoring(seen, self._strangers(), share)
        fitted = self._fitted(range(len(self.given)), self.columns, "learning from all examples")
        artefact = write(fitted, scoring)
        judged = tuple(
            Judged(one.labels, *_shortened(scoring.of([*held.margins], held.known)), one.outside)
            for one, held in zip(self.given, seen, strict=True)
        )
        counts = len(set(clusters)) / len(clusters)
        report = self._report(judged, backend, fitted, share, counts)
        return TrainedRouter(artefact, sha256_hex(artefact), report)

    def _fitted(self, places: Sequence[int], columns: Sequence[str], what: str) -> F:
        self.progress(what, self.done, self.folds + self.withheld + 1)
        texts, truth = [self.given[place].text for place in places], [self.truth[place] for place in places]
        fitted = self.fit(texts, truth, columns, seed=self.seed)
        self.done += 1
        self.progress(what, self.done, self.folds + self.withheld + 1)
        return fitted

    def _seen(self, fitted: Fitted, places: Sequence[int]) -> list[_Seen]:
        texts = [self.given[place].text for place in places]
        return [_Seen(margins, fitted.known(text)) for text, margins in zip(texts, fitted.margins(texts), strict=True)]

    def _held_out(self, folds: Sequence[int]) -> list[_Seen]:
        found: dict[int, _Seen] = {}
        for fold in range(self.folds):
            away = [place for place, own in enumerate(folds) if own == fold]
            kept = [place for place, own in enumerate(folds) if own != fold]
            fitted = self._fitted(kept, self.columns, f"measuring on held-out messages, {fold + 1} of {self.folds}")
            found.update(zip(away, self._seen(fitted, away), strict=True))
        return [found[place] for place in range(len(folds))]

    def _strangers(self) -> list[_Seen]:
        """Messages of labels that the table does not know: what is like ours, and still none of them."""
        order = list(self.labels)
        seeded(self.seed).shuffle(order)
        found: list[_Seen] = []
        for turn in range(self.withheld):
            gone = frozenset(order[turn :: self.withheld])
            away = [place for place, labels in enumerate(self.truth) if labels & gone]
            kept = [place for place, labels in enumerate(self.truth) if not labels & gone]
            columns = [column for column in self.columns if column not in gone]
            fitted = self._fitted(kept, columns, f"withholding labels, {turn + 1} of {self.withheld}")
            some = sample(len(away), self.seed, LARGEST_SAMPLE // (2 * self.withheld))
            found += self._seen(fitted, [away[place] for place in some])
        return found

    def _scoring(self, seen: Sequence[_Seen], strangers: Sequence[_Seen], share: float) -> Scoring:
        ours = [place for place, one in enumerate(self.given) if not one.outside]
        ours = [ours[place] for place in sample(len(ours), self.seed)]
        others = [one for one, example in zip(seen, self.given, strict=True) if example.outside]
        groups = [group for group in (others, strangers) if group]
        sides = [self._sides([seen[place] for place in ours]), *(self._sides(group) for group in groups)]
        scope = _scope(sides, self.outside)
        if self.independent:
            return self._made(1.0, scope, self._each([(seen[place], self.given[place]) for place in ours]))
        own = [self.labels.index(next(iter(self.given[place].labels))) for place in ours]
        margins = [margins for margins, _, _ in sides[0]]
        sharpness = fit_sharpness(margins[:_FOR_SHARPNESS], own[:_FOR_SHARPNESS])
        rows, right, weights = [], [], []
        for number, side in enumerate(sides):
            weight = (1 - share) / len(side) if not number else share / len(groups) / len(side)
            for place, (one, outside, known) in enumerate(side):
                best = max(one)
                total = math.fsum(math.exp((margin - best) * sharpness) for margin in one)
                rows.append(signals(one, outside, total, known))
                right.append(not number and one.index(best) == own[place])
                weights.append(weight * len(ours))
        return self._made(sharpness, scope, fit_logistic(rows, right, weights))

    def _made(self, sharpness: float, scope: tuple[float, float, float], confidence: Sequence[float]) -> Scoring:
        """Rounded as they are written, so that what is reported is what the table will say."""
        return Scoring(
            self.labels,
            self.outside,
            round(sharpness * 1_000) / 1_000,
            (round(scope[0], 3), round(scope[1], 3), round(scope[2], 3)),
            tuple(round(one * 1_000) / 1_000 for one in confidence),
            self.independent,
        )

    def _sides(self, seen: Sequence[_Seen]) -> list[tuple[list[float], float, float]]:
        """Margins of labels, that of none of ours, and the share of known words."""
        if self.outside:
            return [(one.margins[:-1], one.margins[-1], one.known) for one in seen]
        return [(one.margins, 0.0, one.known) for one in seen]

    def _each(self, pairs: Sequence[tuple[_Seen, Example]]) -> tuple[float, ...]:
        """For labels that are scored for themselves: the constant, and of the margin."""
        rows = [
            (margin, label in example.labels)
            for one, example in pairs
            for margin, label in zip(one.margins, self.labels, strict=False)
        ]
        rows = [rows[place] for place in sample(len(rows), self.seed, 5 * LARGEST_SAMPLE)]
        return fit_logistic([(margin,) for margin, _ in rows], [right for _, right in rows])

    def _report(
        self, judged: tuple[Judged, ...], backend: str, fitted: Fitted, share: float, counts: float
    ) -> TrainingReport:
        threshold, notice = suggested(judged) if self.independent else (None, None)
        several = None
        if threshold is not None and notice is not None:
            several = several_measured(judged, float(threshold), float(notice))
        return TrainingReport(
            backend=backend,
            examples=sum(not one.outside for one in self.given),
            out_of_scope=sum(one.outside for one in self.given),
            folds=self.folds,
            features=len(fitted.words.features) + len(fitted.letters.features),
            measured=measured(judged, share=share, each_counts=counts),
            judged=judged,
            several=several,
            threshold=threshold,
            notice=notice,
        )


def _scope(sides: Sequence[Sequence[tuple[list[float], float, float]]], outside: bool) -> tuple[float, float, float]:
    """Of the best margin, of the outside margin, and constant; a fixed one where nothing tells ours from others."""
    ours, *others = sides
    if not others:
        return 4.0, 0.0, 2.0
    rows = [(max(margins), *((margin,) if outside else ())) for side in sides for margins, margin, _ in side]
    truth = [number == 0 for number, side in enumerate(sides) for _ in side]
    weights = [
        len(ours) / (len(side) * (len(others) if number else 1)) for number, side in enumerate(sides) for _ in side
    ]
    constant, of_best, *of_outside = fit_logistic(rows, truth, weights)
    return of_best, of_outside[0] if of_outside else 0.0, constant


def _shortened(
    scored: tuple[tuple[tuple[str, float], ...], float],
) -> tuple[tuple[tuple[str, float], ...], float]:
    return scored[0][:_KEPT_SCORES], scored[1]


def suggested(judged: Sequence[Judged]) -> tuple[str, str]:
    """For independent labels: the threshold with the best balance of routed and wrongly routed labels (F1), and the
    highest score to ask from at which at most one true label in twenty is left in silence."""
    ranked = sorted(((score, label in one.labels) for one in judged for label, score in one.ranked), reverse=True)
    total = sum(len(one.labels) for one in judged)
    best, threshold, right = 0.0, 1.0, 0
    for given, (score, true) in enumerate(ranked, 1):
        right += true
        balance = 2 * right / (given + total)
        if balance > best:
            best, threshold = balance, score
    least = float(_six_down(threshold))
    steps = [least * step / 40 for step in range(39, 0, -1)]
    notice = next((step for step in steps if several_measured(judged, least, step).silent <= _MOST_SILENT), steps[-1])
    return _six_down(threshold), _six_down(notice)


def _six_down(number: float) -> str:
    return six(math.floor(number * 1_000) * 1_000)
