"""What a decided route does to the fold: the label, how sure it was, and what else waits. Holds no rule."""

from ..contracts.events import RoutingDecided
from ..contracts.routing import RoutingDecision, RoutingEvidence
from .conversation import Conversation, Routing

SURE = 1_000_000
_NO_LABELS = ("unsure", "blocked")
_CERTAIN = ("rules", "picked", "escalation", "queued")


def routed(conversation: Conversation, event: RoutingDecided) -> Conversation:
    """While the router's agent is asked, the label and the candidates stay what they were."""
    decision = event.decision
    if event.agent is not None:  # an agent's scope was measured: that is no route
        return conversation.changed(visit=conversation.visit.changed(scoped=True))
    conversation = conversation.changed(issues=event.issues)
    if decision.asks_model:
        return conversation.changed(visit=conversation.visit.changed(routing=Routing(event.message, event.evidence)))
    return conversation.changed(
        label=decision.outcome,
        candidates=decision.candidates,
        held=conversation.held if decision.outcome in _NO_LABELS else decision.outcome,
        confidence=confidence_of(decision, event.evidence),
        visit=conversation.visit.changed(routing=None),
    )


def confidence_of(decision: RoutingDecision, evidence: RoutingEvidence) -> int:
    """The score of the label that was taken, or of the best one, in millionths; rules and choices are sure."""
    if decision.stage in _CERTAIN:
        return SURE
    scores = {one.label: int(one.score.replace(".", "")) for one in evidence.scores}
    return scores.get(decision.outcome, max(scores.values(), default=0))
