"""What a classifier did with labelled messages, put into the figures that people decide by.

A route is wrong where the label is not one of the message's; every route of a message that is out of scope is
wrong. Nothing here knows how the messages were scored: held out in training, or read from a file.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..contracts.errors import CallError
from ..contracts.routing import Classifier
from .evaluation import (
    Point,
    Promise,
    Reliability,
    Scored,
    auroc,
    coverage_at_error,
    coverage_curve,
    mixed_coverage,
    out_of_scope_recall,
    promise,
    promise_with_outside,
    reliability,
)
from .examples import Example

PROMISES = (0.01, 0.02, 0.05, 0.10)
KEPT_IN_SCOPE = 0.97
"""The suggested scope threshold lets this share of the messages that are ours pass."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One message: its labels (none if it is out of scope), the scores in descending order, and the scope score."""

    labels: frozenset[str]
    ranked: tuple[tuple[str, float], ...]
    scope: float
    outside: bool = False

    @property
    def right(self) -> bool:
        return self.ranked[0][0] in self.labels

    @property
    def scored(self) -> Scored:
        return self.ranked[0][1], self.right


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """One label: its examples, how many were recognised, and how often it was given wrongly."""

    label: str
    examples: int
    recognised: int
    wrongly_given: int

    @property
    def recall(self) -> float:
        return self.recognised / self.examples if self.examples else 0.0


@dataclass(frozen=True, slots=True)
class Measurement:
    """Figures over labelled messages. `share` is the share of traffic taken to be out of scope."""

    inside: int
    outside: int
    accuracy: float
    top_two: float
    """The share of messages whose label is among the two best: what a clarifying question can offer."""
    labels: tuple[LabelFigures, ...]
    confusion: tuple[tuple[str, str, int], ...]
    curve: tuple[Point, ...]
    """Of messages that are ours, from the strictest threshold on."""
    mixed: tuple[Point, ...]
    """Of all messages as they were given."""
    coverage: tuple[tuple[float, float, float], ...]
    """For each error: the share that can be routed of what is ours, and of all traffic."""
    promises: tuple[tuple[float, Promise | None], ...]
    share: float | None
    """None where promises are for the messages as they were given."""
    reliability: Reliability
    scope: str
    """The scope threshold that `scope_recall` is for."""
    scope_auroc: float | None
    scope_recall: float | None


def judge(classifier: Classifier, examples: Iterable[Example]) -> list[Judged]:
    """Each example scored by the classifier."""
    found = []
    for one in examples:
        ranked, scope = classifier.score(one.text)
        found.append(Judged(one.labels, ranked, scope, one.outside))
    return found


def measured(
    judged: Sequence[Judged], *, scope: str | None = None, share: float | None = None, each_counts: float = 1.0
) -> Measurement:
    """Everything at once. `scope` is the gate to report on; without it one is suggested.

    With `share`, promises are for traffic of which that share is out of scope, whatever was given; without it,
    for messages as they were given. `each_counts` is below 1 where near copies make messages count for less.
    """
    ours = [one for one in judged if not one.outside]
    others = [one for one in judged if one.outside]
    if not ours:
        raise CallError("No message has a label.", fix="Give labelled messages, besides those out of scope.")
    scored, all_scored = [one.scored for one in ours], [one.scored for one in judged]
    leaked = [one.ranked[0][1] for one in others]
    gate = scope or _suggested([one.scope for one in ours])
    weighted = share if share is not None and others else None
    promises: list[tuple[float, Promise | None]] = []
    coverage: list[tuple[float, float, float]] = []
    for error in PROMISES:
        if weighted is None:
            kept = promise(all_scored if share is None else scored, error, each_counts=each_counts)
            everything = coverage_at_error(all_scored, error)
        else:
            kept = promise_with_outside(scored, leaked, weighted, error, each_counts=each_counts)
            everything = mixed_coverage(scored, leaked, weighted, error)
        promises.append((error, kept))
        coverage.append((error, coverage_at_error(scored, error), everything))
    return Measurement(
        inside=len(ours),
        outside=len(others),
        accuracy=sum(one.right for one in ours) / len(ours),
        top_two=sum(any(label in one.labels for label, _ in one.ranked[:2]) for one in ours) / len(ours),
        labels=_by_label(ours),
        confusion=_confusion(ours),
        curve=coverage_curve(scored),
        mixed=coverage_curve(all_scored),
        coverage=tuple(coverage),
        promises=tuple(promises),
        share=weighted,
        reliability=reliability(all_scored, weights_of(judged, weighted)),
        scope=gate,
        scope_auroc=auroc([one.scope for one in ours], [one.scope for one in others]) if others else None,
        scope_recall=out_of_scope_recall([one.scope for one in others], float(gate)) if others else None,
    )


def weights_of(judged: Sequence[Judged], share: float | None) -> list[float] | None:
    """What each message counts for, so that `share` of the whole is out of scope."""
    if share is None:
        return None
    others = sum(one.outside for one in judged)
    ours = len(judged) - others
    return [share / others if one.outside else (1 - share) / ours for one in judged]


def _suggested(scopes: Sequence[float]) -> str:
    thousandths = int(sorted(scopes)[int(len(scopes) * (1 - KEPT_IN_SCOPE))] * 1_000)
    return f"{thousandths // 1_000}.{thousandths % 1_000:03d}000"


def _by_label(ours: Sequence[Judged]) -> tuple[LabelFigures, ...]:
    examples = Counter(label for one in ours for label in one.labels)
    recognised = Counter(one.ranked[0][0] for one in ours if one.right)
    wrongly = Counter(one.ranked[0][0] for one in ours if not one.right)
    return tuple(
        LabelFigures(label, examples[label], recognised[label], wrongly[label])
        for label in sorted({*examples, *wrongly})
    )


def _confusion(ours: Sequence[Judged]) -> tuple[tuple[str, str, int], ...]:
    """(label, given instead, how often), the most frequent first."""
    mixed = Counter((label, one.ranked[0][0]) for one in ours if not one.right for label in sorted(one.labels)[:1])
    return tuple((*pair, count) for pair, count in sorted(mixed.items(), key=lambda item: (-item[1], item[0])))


@dataclass(frozen=True, slots=True)
class SeveralFigures:
    """Messages with several labels at given thresholds: what is routed, asked about, and left.

    `left` counts labels that were neither routed nor asked about; `alone` those in messages of which nothing
    at all was routed or asked, so that the whole message is unsure and a person is asked anyway.
    """

    messages: int
    labels: int
    routed: int
    wrongly: int
    asked: int
    left: int
    alone: int
    asking: int
    """Messages in which something is asked about."""

    @property
    def recall(self) -> float:
        return self.routed / self.labels if self.labels else 0.0

    @property
    def precision(self) -> float:
        return self.routed / (self.routed + self.wrongly) if self.routed + self.wrongly else 0.0

    @property
    def silent(self) -> float:
        """The share of labels that nobody would hear of."""
        return (self.left - self.alone) / self.labels if self.labels else 0.0


def several_measured(judged: Iterable[Judged], threshold: float, notice: float) -> SeveralFigures:
    """What a router with `several` does with independent scores; one noticed label makes the rest be asked about."""
    messages = labels = routed = wrongly = asked = left = alone = asking = 0
    for one in judged:
        clear = {label for label, score in one.ranked if score >= threshold}
        noticed = {label for label, score in one.ranked if score >= notice} - clear
        rest = one.labels - clear
        messages, labels = messages + 1, labels + len(one.labels)
        routed, wrongly = routed + len(one.labels & clear), wrongly + len(clear - one.labels)
        asking += bool(noticed)
        if noticed:
            asked += len(rest)
        else:
            left += len(rest)
            alone += len(rest) if not clear else 0
    return SeveralFigures(messages, labels, routed, wrongly, asked, left, alone, asking)
