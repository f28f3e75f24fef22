"""Figures: what each recorded event says, in the words of records. Ids, names, codes and counts only."""

from ..contracts.commands import AgentReport, Condition
from ..contracts.events import (
    AgentRequested,
    AgentReturned,
    ApprovalVoid,
    BroadcastEnded,
    CommandRefused,
    EffectResolved,
    Event,
    HandoffMade,
    HistorySummarised,
    Judged,
    LateResult,
    LimitReached,
    OverBudget,
    PolicyKept,
    RetryPlanned,
    RetryScheduled,
    RoutingDecided,
    TaskOpened,
    ToolRefused,
    ToolRequested,
    ToolReturned,
    TransitionRefused,
    TransitionTaken,
)
from ..contracts.subflow import Failing
from ..contracts.subflow_events import ParentLeft, SubflowEnded, SubflowLeft, SubflowStarted
from ..contracts.values import written_time
from ..fsm.program import Program

Figure = str | int | float | bool | tuple[str, ...] | None
Figures = dict[str, Figure]
Request = AgentRequested | ToolRequested


def confidence_of(event: RoutingDecided) -> float | None:
    """The score of the label that the classifier put first; None where it was not asked."""
    scores = event.evidence.scores
    return float(scores[0].score) if scores else None


def task_figures(event: TaskOpened) -> Figures:
    return {
        "state": event.state,
        "role": event.role,
        "decisions": event.decisions,
        "due": written_time(event.due),
        "facts": event.facts,
    }


def decision_figures(event: Event, state: str, routed: float | None) -> Figures | None:
    match event:
        case RoutingDecided():
            return _routing(event)
        case TransitionTaken():
            held = next((one.guard for one in event.verdicts if one.row == event.row), None)
            return {
                "source": event.source,
                "target": event.target,
                "on": event.on,
                "row": event.row,
                "policy": event.because,
                "guard": held,
                "move": event.move,
                "confidence": routed,
            }
        case PolicyKept():
            return {"source": state, **_kept(event)}
        case TransitionRefused():
            return {"source": event.source, "on": event.on, "reason": event.reason}
        case LimitReached():
            return {"source": state, "limit": event.limit, "value": event.value, "maximum": event.maximum}
        case OverBudget():
            return {"source": state, "agent": event.agent, "tokens": event.token_bound, "maximum": event.maximum}
        case HistorySummarised():
            summed = {"messages": event.replaced, "tokens": event.tokens_before, "budget_tokens": event.tokens_after}
            return {"source": state, "agent": event.agent, "caller": event.by, **summed}
        case RetryScheduled():
            due = written_time(event.due)
            return {"source": state, "agent": event.agent, "attempt": event.attempt, "due": due, "why": event.why}
        case ToolRefused():
            asked: Figures = {"tool": event.tool, "agent": event.agent}
            return {"source": state, **asked, "reason": event.reason, "position": event.position}
        case ApprovalVoid():
            return {"source": state, "tool": event.tool, "approval": event.approval, "reason": event.reason}
        case CommandRefused():
            return {"source": state, "command": event.command.kind, "reason": event.reason}
        case EffectResolved():
            return {"source": state, "effect": event.effect, "how": event.how}
        case BroadcastEnded() | LateResult() | RetryPlanned() | Judged():
            return _joint(event)
        case SubflowStarted() | SubflowLeft() | SubflowEnded() | ParentLeft():
            return _of_children(event, state)
        case _:
            return None


def _kept(event: PolicyKept) -> Figures:
    step: Figures = {"on": event.on, "row": event.row, "target": event.target, "tool": event.tool}
    return {**step, "policies": event.policies}


def _of_children(event: SubflowStarted | SubflowLeft | SubflowEnded | ParentLeft, state: str) -> Figures:
    """What became of a child conversation, and by which states an error came up from it."""
    match event:
        case SubflowStarted():
            return {"source": event.state, "child": event.child, "depth": event.depth, "facts": event.facts}
        case SubflowEnded():
            report, failing = event.report, _came_up(event.report.failing)
            return {"source": state, "effect": event.effect, "outcome": report.outcome, "late": event.late, **failing}
        case SubflowLeft():
            return {"source": state, "effect": event.effect, **_came_up(event.failing)}
        case ParentLeft():
            return {"source": state, "reason": event.type}


def _came_up(failing: Failing | None) -> Figures:
    if failing is None:
        return {}
    return {"reason": failing.reason, "path": tuple(str(place) for place in failing.path)}


def _joint(event: BroadcastEnded | LateResult | RetryPlanned | Judged) -> Figures:
    """What became of agents that were asked at once, and of what one was asked to judge."""
    match event:
        case BroadcastEnded():
            return {
                "source": event.state,
                "broadcast": event.broadcast,
                "outcome": event.outcome,
                "members": tuple(f"{one.name}:{one.status}" for one in event.members),
                "valid": event.valid,
                "percent": event.percent,
                "disagreed": event.disagreed,
            }
        case LateResult():
            return {
                "source": event.state,
                "broadcast": event.broadcast,
                "member": event.member,
                "effect": event.effect,
                "outcome": event.outcome,
            }
        case RetryPlanned():
            return {
                "source": event.state,
                "broadcast": event.broadcast,
                "members": event.members,
                "attempt": event.attempt,
                "due": written_time(event.due),
            }
        case Judged():
            return {"source": event.state, "judged": event.of, "verdict": event.verdict, "effect": event.request}


def _routing(event: RoutingDecided) -> Figures:
    decision, evidence = event.decision, event.evidence
    return {
        "source": event.state,
        "outcome": decision.outcome,
        "label": decision.outcome if decision.outcome not in ("unsure", "blocked") else None,
        "stage": decision.stage,
        "confidence": confidence_of(event),
        "threshold": _number(decision.threshold),
        "margin": _number(decision.margin),
        "scope": _number(evidence.scope),
        "candidates": decision.candidates,
        "artefact": evidence.artefact,
        "screen": tuple(one.rule for one in evidence.screen if one.blocked),
    }


def handoff_figures(event: HandoffMade, confidence: float | None) -> Figures:
    handoff = event.handoff
    own = getattr(handoff, "confidence", None)
    return {
        "source": handoff.source,
        "target": handoff.target,
        "why": handoff.why,
        "label": handoff.label,
        "confidence": _number(own) if own is not None else confidence,
        "tokens": handoff.history.token_bound,
        "history": handoff.history.policy,
        "messages": handoff.history.count,
        "facts": handoff.facts,
        "allowed_actions": handoff.constraints.allowed_actions,
        "budget_tokens": handoff.constraints.token_budget,
        "deadline": written_time(handoff.constraints.deadline),
        "warnings": handoff.warnings,
    }


def model_call_figures(program: Program, event: AgentReturned, request: Request | None) -> Figures:
    report = event.report
    asked: Figures = {}
    if isinstance(request, AgentRequested):
        asked = {
            "state": request.state,
            "agent": request.agent,
            "attempt": request.attempt,
            "round": request.round,
            "model": request.model,
            "purpose": request.purpose,
            "member": request.member,
        }
    if report.model:
        asked["model"] = report.model
    return {
        **asked,
        "effect": event.effect,
        "outcome": report.outcome,
        "reason": report.reason,
        **_spent(report),
        "cost_nano": event.cost,
        "currency": program.flow.currency,
        "latency_ms": report.latency_ms,
        "calls": len(report.calls) or None,
        "violations": len(report.violations) or None,
        "retry_after_seconds": report.retry_after_seconds,
        "request_id": report.request_id,
        "late": event.late or None,
    }


def _spent(report: AgentReport) -> Figures:
    if not report.usage.measured:
        return {"measured": False}
    return {
        "measured": True,
        "input_tokens": report.usage.input_tokens,
        "output_tokens": report.usage.output_tokens,
    }


def tool_call_figures(event: ToolReturned, request: Request | None) -> Figures:
    asked: Figures = {}
    if isinstance(request, ToolRequested):
        asked = {
            "state": request.state,
            "tool": request.tool,
            "caller": request.caller,
            "consequential": request.consequential,
        }
    report = event.report
    return {
        **asked,
        "effect": event.effect,
        "outcome": report.outcome,
        "reason": report.reason,
        "latency_ms": report.latency_ms,
        "late": event.late or None,
    }


def condition_figures(condition: Condition) -> Figures:
    """A breaker, a limiter or the pause after a cost storm, as this attempt left it for the ones after it."""
    return {
        "condition": condition.kind,
        "subject": condition.subject,
        "before": condition.before,
        "after": condition.after,
        "reason": condition.reason,
        "until": written_time(condition.until) if condition.until else None,
    }


def _number(text: str | None) -> float | None:
    return None if text is None else float(text)
