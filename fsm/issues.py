"""Several issues in one message: which labels its clauses give, and whether something in it is left to ask about.

Nothing is dropped in silence: what is clear becomes a label, what is likely ours and not clear becomes
`unsure` at the end of the queue, and the rest is on the record as measured and out of scope.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from ..contracts.flow import RouterSpec
from ..contracts.routing import RoutingEvidence, RoutingPart, RuleHit, Score
from .thresholds import millionths, threshold_of

UNSURE = "unsure"


@dataclass(frozen=True, slots=True)
class Issues:
    """Labels in the order of the message, those that rules gave among them, and likely ones to be asked about."""

    labels: tuple[str, ...]
    by_rules: frozenset[str]
    unclear: tuple[str, ...]


def issues_in(spec: RouterSpec, evidence: RoutingEvidence) -> Issues:
    """What a router with `several` finds; empty where the message is one clause and no rule matched."""
    whole = RoutingPart(rules=evidence.rules, scores=evidence.scores, scope=evidence.scope)
    parts = evidence.parts or ((whole,) if evidence.independent else ())
    found: list[str] = []
    likely: list[tuple[str, ...]] = []
    for part in parts:
        clear = (*_by_rules(spec, part), *_by_scores(spec, evidence, part))
        found += clear
        if evidence.independent or not clear:
            likely.append(_noticed(spec, part))
    ruled = _by_rules(spec, whole)
    labels = distinct((*found, *ruled))
    known = set(labels)
    if not evidence.independent:  # a clause whose best guess is clear already says more of the same
        likely = [one for one in likely if one and one[0] not in known]
    unclear = distinct(label for one in likely for label in one if label not in known)
    by_rules = frozenset((*ruled, *(label for part in parts for label in _by_rules(spec, part))))
    return Issues(labels, by_rules, unclear)


def in_scope(spec: RouterSpec, scope: str | None) -> bool:
    return scope is None or millionths(scope) >= millionths(spec.scope)


def clear_best(spec: RouterSpec, scores: tuple[Score, ...]) -> str:
    """Why the best score does not settle the label; nothing where it does."""
    first, *rest = scores
    best = millionths(first.score)
    if first.label not in spec.labels:
        return "the best label is no label of this router"
    if best < threshold_of(spec, first.label):
        return "below the threshold"
    if best - (millionths(rest[0].score) if rest else 0) < millionths(spec.margin):
        return "the two best are too close"
    return ""


def distinct(labels: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(labels))


def ruled_labels(spec: RouterSpec, hits: tuple[RuleHit, ...]) -> tuple[str, ...]:
    return distinct(hit.label for hit in hits if hit.label in spec.labels)


def _by_rules(spec: RouterSpec, part: RoutingPart) -> tuple[str, ...]:
    return ruled_labels(spec, part.rules) if in_scope(spec, part.scope) else ()


def _by_scores(spec: RouterSpec, evidence: RoutingEvidence, part: RoutingPart) -> tuple[str, ...]:
    if not part.scores or not in_scope(spec, part.scope) or not by_own_classifier(spec, evidence):
        return ()
    if evidence.independent:
        return tuple(
            one.label
            for one in part.scores
            if one.label in spec.labels and millionths(one.score) >= threshold_of(spec, one.label)
        )
    return () if clear_best(spec, part.scores) else (part.scores[0].label,)


def by_own_classifier(spec: RouterSpec, evidence: RoutingEvidence) -> bool:
    return spec.classifier is None or evidence.artefact is None or evidence.artefact == spec.classifier


def _noticed(spec: RouterSpec, part: RoutingPart) -> tuple[str, ...]:
    """Labels that are likely enough to be asked about, the best first."""
    least = millionths(spec.notice)
    return tuple(one.label for one in part.scores if one.label in spec.labels and millionths(one.score) >= least)
