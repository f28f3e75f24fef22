"""Routing in two steps: measure the message (`evidence`), then decide from what was measured (`choose`).

`choose` never sees the text, so a recorded message is routed again without it, and a changed threshold
is tried on all of history. Numbers are compared as whole millionths: the log holds no floats.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from ..contracts.flow import RouterSpec
from ..contracts.routing import (
    Classifier,
    RouteStage,
    RoutingDecision,
    RoutingEvidence,
    RoutingPart,
    Score,
    StageVerdict,
)
from ..contracts.values import fixed, printable
from .clauses import clauses
from .issues import UNSURE, Issues, by_own_classifier, clear_best, distinct, in_scope, issues_in, ruled_labels
from .picking import picked_from
from .rules import rule_hits
from .screen import screened
from .thresholds import six, threshold_of

TOP, TOP_INDEPENDENT, TOP_OF_PART = 5, 12, 3
"""How many scores stand in the evidence: of a message, of one whose scores are independent, of a clause."""
BLOCKED = "blocked"
_NONE: RouteStage = "none"


# -- measuring ---------------------------------------------------------------------------------------


def evidence(
    spec: RouterSpec,
    text: str,
    *,
    classifier: Classifier | None,
    screener: Classifier | None = None,
    candidates: tuple[str, ...] = (),
    held: str | None = None,
) -> RoutingEvidence:
    """Everything that deciding needs to know about `text`; total on any text.

    A message that screening blocks, or that is longer than the router reads, is measured no further.
    `candidates` are the labels of the clarifying question that `text` answers; `held` is the label that has
    the conversation. `screener` is the classifier that `spec.screen_classifier` names.
    """
    screen = screened(spec, text, screener)
    if any(verdict.blocked for verdict in screen) or len(text) > spec.max_characters:
        return RoutingEvidence(screen=screen)
    measured = _measured(classifier, text) if classifier is not None else _Measured()
    return RoutingEvidence(
        screen=screen,
        escalations=rule_hits(spec.escalations, text),
        rules=rule_hits(spec.rules, text),
        picked=picked_from(spec, text, candidates),
        scores=measured.scores,
        scope=measured.scope,
        artefact=measured.artefact,
        independent=measured.independent,
        parts=_parts(spec, text, classifier) if spec.several and not measured.independent else (),
        held=held if held in spec.labels else None,
    )


def taken_up(decision: RoutingDecision) -> RoutingEvidence:
    """The evidence with which the next label of an earlier decision's queue is chosen: nothing is measured anew."""
    return RoutingEvidence(queued=decision.queue, offered=decision.offered)


@dataclass(frozen=True, slots=True)
class _Measured:
    scores: tuple[Score, ...] = ()
    scope: str | None = None
    artefact: str | None = None
    independent: bool = False


def _measured(classifier: Classifier, text: str) -> _Measured:
    ranked, scope = classifier.score(text)
    independent = getattr(classifier, "independent", False) is True
    top = TOP_INDEPENDENT if independent else TOP
    return _Measured(_scores(ranked, top), fixed(scope), classifier.digest, independent)


def _parts(spec: RouterSpec, text: str, classifier: Classifier | None) -> tuple[RoutingPart, ...]:
    found = []
    for clause in clauses(text):
        hits = rule_hits(spec.rules, clause)
        if classifier is None:
            found.append(RoutingPart(rules=hits))
            continue
        ranked, scope = classifier.score(clause)
        found.append(RoutingPart(rules=hits, scores=_scores(ranked, TOP_OF_PART), scope=fixed(scope)))
    return tuple(found)


def _scores(ranked: tuple[tuple[str, float], ...], most: int) -> tuple[Score, ...]:
    return tuple(Score(label=label, score=fixed(score)) for label, score in ranked[:most])


# -- deciding ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Said:
    """What one stage says: the outcome it chose (or nothing), a fixed phrase, and labels for afterwards."""

    chosen: str
    words: str = ""
    queue: tuple[str, ...] = ()
    offered: tuple[str, ...] = ()
    """Labels for the clarifying question about what is queued as `unsure`."""
    final: bool = True
    """Whether a later stage may not decide otherwise."""


def choose(spec: RouterSpec, evidence: RoutingEvidence) -> RoutingDecision:
    """The label, `unsure` or `blocked`: from the evidence alone, the same today and in ten years.

    In this order: a blocked screen closes; an escalation rule; what the person picked stands; rules that agree
    and pass the scope gate; the classifier above scope, threshold and margin; the router's agent; the label that
    has the conversation; otherwise unsure. Stages that the router does not declare are not mentioned.
    """
    verdicts: list[StageVerdict] = []
    decided, by = _Said(""), _NONE
    asks = False
    for stage, said in _stages(spec, evidence):
        open_to_it = not decided.chosen or (not decided.final and stage in ("model", "sticky"))
        reached = open_to_it and not asks
        verdicts.append(_said_of(stage, said.words if reached else "not reached"))
        if reached and said.chosen:
            decided, by = said, stage
        asks = asks or (reached and stage == "model" and evidence.modelled is None)
    outcome = decided.chosen or UNSURE
    measured = bool(evidence.scores) or evidence.scope is not None
    return RoutingDecision(
        outcome=outcome,
        stage=by,
        verdicts=tuple(verdicts),
        threshold=_threshold(spec, evidence) if measured else None,
        margin=spec.margin if measured else None,
        scope=spec.scope if measured else None,
        candidates=(decided.offered or _candidates(spec, evidence)) if outcome == UNSURE else (),
        queue=decided.queue,
        offered=decided.offered if UNSURE in decided.queue else (),
        asks_model=asks,
    )


def _stages(spec: RouterSpec, evidence: RoutingEvidence) -> Iterator[tuple[RouteStage, _Said]]:
    """Every stage in its order with what it says, whether it will be reached or not."""
    issues = issues_in(spec, evidence) if spec.several else None
    yield "screen", _by_screen(evidence)
    if spec.escalations or evidence.escalations:
        yield "escalation", _by_escalation(spec, evidence, issues)
    yield "picked", _by_person(spec, evidence, issues)
    if evidence.queued:
        yield "queued", _by_queue(spec, evidence)
    yield "rules", _by_rules(spec, evidence, issues)
    yield "classifier", _by_classifier(spec, evidence, issues)
    if spec.agent is not None:
        yield "model", _by_model(spec, evidence)
    if spec.sticky:
        yield "sticky", _by_holder(spec, evidence)


def _by_screen(evidence: RoutingEvidence) -> _Said:
    blocked = [verdict.rule for verdict in evidence.screen if verdict.blocked]
    if blocked:
        return _Said(BLOCKED, f"blocked by {printable(', '.join(blocked))}")
    return _Said("", "passed" if evidence.screen else "nothing screened")


def _by_escalation(spec: RouterSpec, evidence: RoutingEvidence, issues: Issues | None) -> _Said:
    labels = ruled_labels(spec, evidence.escalations)
    if not labels:
        return _Said("", "nothing to escalate")
    return _Said(labels[0], "the first escalation rule that matched", _besides(labels[0], issues, labels))


def _besides(chosen: str, issues: Issues | None, escalated: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What else the message is clear about, where several issues are kept: it waits behind what was chosen."""
    if issues is None:
        return ()
    return tuple(label for label in distinct((*escalated, *issues.labels)) if label != chosen)


def _by_person(spec: RouterSpec, evidence: RoutingEvidence, issues: Issues | None) -> _Said:
    if evidence.picked is None:
        return _Said("", "nothing picked")
    if evidence.picked not in spec.labels:
        return _Said("", "what was picked is no label of this router")
    return _Said(evidence.picked, "picked by the person", _besides(evidence.picked, issues))


def _by_queue(spec: RouterSpec, evidence: RoutingEvidence) -> _Said:
    waiting = tuple(label for label in evidence.queued if label in spec.labels or label == UNSURE)
    if not waiting:
        return _Said("", "what was queued is no label of this router")
    return _Said(waiting[0], "queued from an earlier message", waiting[1:], _offered(spec, evidence.offered))


def _by_rules(spec: RouterSpec, evidence: RoutingEvidence, issues: Issues | None) -> _Said:
    if issues is not None and issues.labels:
        if issues.labels[0] in issues.by_rules:
            return _queued(spec, issues)
        return _Said("", "the first issue is the classifier's")  # which queues what the rules found
    labels = ruled_labels(spec, evidence.rules)
    if not labels:
        return _Said("", "no rule matched")
    if len(labels) > 1:
        return _Said(UNSURE, "rules of different labels matched", final=False)
    if not in_scope(spec, evidence.scope):
        return _Said(UNSURE, "a rule matched a message that is out of scope", final=False)
    return _Said(labels[0], "every rule that matched agrees")


def _by_classifier(spec: RouterSpec, evidence: RoutingEvidence, issues: Issues | None) -> _Said:
    if issues is not None and issues.labels:
        return _queued(spec, issues)
    if not evidence.scores:
        return _Said("", "no scores")
    if not by_own_classifier(spec, evidence):
        return _Said("", "scored by another classifier than the flow's")
    if not in_scope(spec, evidence.scope):
        return _Said("", "out of scope")
    problem = clear_best(spec, evidence.scores)
    if problem:
        return _Said("", problem)
    return _Said(evidence.scores[0].label, "above scope, threshold and margin")


def _queued(spec: RouterSpec, issues: Issues) -> _Said:
    first, *rest = issues.labels
    waiting = (*rest, *((UNSURE,) if issues.unclear else ()))
    if not waiting:
        return _Said(first, "one clear issue in several clauses")
    return _Said(first, "several issues: the further ones are queued", waiting, _offered(spec, issues.unclear))


def _offered(spec: RouterSpec, labels: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(label for label in labels if label in spec.labels)[:2]


def _by_model(spec: RouterSpec, evidence: RoutingEvidence) -> _Said:
    if evidence.modelled is None:
        return _Said("", "to be asked")
    if evidence.modelled.label not in spec.labels:
        return _Said("", "the model was unsure")
    return _Said(evidence.modelled.label, "chosen by the model from the labels")


def _by_holder(spec: RouterSpec, evidence: RoutingEvidence) -> _Said:
    if evidence.held is None or evidence.held not in spec.labels:
        return _Said("", "no label has the conversation")
    return _Said(evidence.held, "unclear, and so it stays with the label that has the conversation")


def _threshold(spec: RouterSpec, evidence: RoutingEvidence) -> str:
    """That of the best label where labels have their own."""
    if not evidence.scores or not (spec.thresholds or spec.costs):
        return spec.threshold
    return six(threshold_of(spec, evidence.scores[0].label))


def _candidates(spec: RouterSpec, evidence: RoutingEvidence) -> tuple[str, ...]:
    """The two labels to ask about: what rules found first, then the best scores."""
    found = (*(hit.label for hit in evidence.rules), *(score.label for score in evidence.scores))
    return distinct(label for label in found if label in spec.labels)[:2]


@lru_cache(maxsize=4096)
def _said_of(stage: RouteStage, words: str) -> StageVerdict:
    """The same verdicts come at every turn: each is validated once."""
    return StageVerdict(stage=stage, said=words)
