"""What follows an attempt that did not succeed: the same agent again, at once or after a wait; then the state's
fallbacks in their order; then the state's outcome.

Every wait is a decision with a durable timer, and never longer than what is left of the turn.
"""

from datetime import datetime
from typing import Literal

from ..contracts.commands import AgentReport
from ..contracts.events import AgentRequested, RetryScheduled
from ..contracts.flow import CACHED, AgentState
from ..contracts.values import MAX_SECONDS, printable
from .draft import Draft, Wait

RETRIED = ("invalid", "timeout", "failed")
"""Outcomes of an attempt that are followed by another one, where the state has any left."""
NOT_ASKED = frozenset({"breaker_open", "cost_storm", "rate_limited", "too_busy"})
"""Reasons why an agent could not be asked at all: where there is a fallback, it is not tried again."""
Following = Literal["again", "wait", "fallback"]


def following(draft: Draft, state: AgentState, request: AgentRequested, report: AgentReport) -> Following:
    """What comes after an attempt of the state's run that ended with one of `RETRIED`."""
    fallback_left = request.fallback < len(state.fallbacks)
    if request.attempt >= attempts_of(state, request.fallback):
        return "fallback"
    if report.outcome == "failed" and report.reason in NOT_ASKED and fallback_left:
        return "fallback"
    if report.outcome == "invalid" or not state.backoff_seconds:
        return "again"
    return "wait" if _due(draft, state, request, report) is not None else "fallback"


def attempts_of(state: AgentState, fallback: int) -> int:
    """How often the agent may be asked in one visit: the state's own (0), or one of its fallbacks."""
    if not fallback:
        return state.attempts
    return 1 if state.fallbacks[fallback - 1] == CACHED else state.fallback_attempts


def wait(draft: Draft, state: AgentState, request: AgentRequested, report: AgentReport) -> None:
    """Set the timer after which the agent is asked again, and ask to be told when it is due."""
    due = _due(draft, state, request, report) or draft.at
    timer = draft.record(
        RetryScheduled(
            state=state.name,
            agent=request.agent,
            attempt=request.attempt + 1,
            round=request.round,
            fallback=request.fallback,
            due=due,
            why=printable(report.reason or report.outcome),
        )
    )
    draft.effects.append(Wait(timer, due))


def _due(draft: Draft, state: AgentState, request: AgentRequested, report: AgentReport) -> datetime | None:
    """When the agent may be asked again; None where the turn would be over by then."""
    doubled = state.backoff_seconds << min(request.attempt - 1, 20)
    seconds = max(min(doubled, state.backoff_most_seconds), report.retry_after_seconds or 0)
    turn_due = draft.conversation.turn.due
    if seconds > MAX_SECONDS:
        return None
    due = draft.later(seconds)
    return due if turn_due is None or due < turn_due else None
