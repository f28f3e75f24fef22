"""Routing in plain words: which label, chosen by what, with which scores, and what waits."""

from ..contracts.events import RoutingDecided

_STAGE = {
    "rules": "a rule",
    "picked": "the customer's choice",
    "classifier": "the classifier",
    "screen": "the screen",
    "escalation": "an escalation rule",
    "queued": "its turn",
    "model": "the model",
    "sticky": "who has the conversation",
}


def scope_of(event: RoutingDecided) -> str:
    """Whose scope was measured, where it is no route."""
    return "" if event.agent is None else f"for the scope of {event.agent}: "


def routed_words(event: RoutingDecided) -> str:
    """What was decided, by which stage, and the best scores."""
    decision, scores = event.decision, event.evidence.scores
    best = ", ".join(f"{one.label} {one.score[:4]}" for one in scores[:2])
    if decision.outcome == "blocked":
        return f"screened out: {next(one.said for one in decision.verdicts if one.stage == 'screen')}"
    if decision.asks_model:
        return "abstains, and asks a model for the label"
    if decision.outcome == "unsure":
        stage = "classifier" if scores else "rules"
        why = next((one.said for one in decision.verdicts if one.stage == stage), "nothing fits")
        if not scores:
            return f"abstains: {why}"
        needs = f"needs {(decision.threshold or '0')[:4]}, and {(decision.margin or '0')[:4]} between them"
        return f"abstains: {why}; {best} ({needs})"
    by = _STAGE.get(decision.stage, decision.stage)
    waits = f"; {', '.join(one.label for one in event.issues)} waits" if event.issues else ""
    return f"routed to {decision.outcome} by {by}{f' ({best})' if decision.stage == 'classifier' else ''}{waits}"
