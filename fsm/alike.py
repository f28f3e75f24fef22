"""When a decision of another flow does what the recorded one did, though not in the same bytes.

Deadlines, clauses, row numbers, token bounds and costs follow from the flow's text and may change without anything
going another way. What an agent or a tool is asked may not: an answer is an answer to that question alone.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ..contracts.events import AgentRequested, Event, ToolRequested
from .conversation import Conversation

_WAY: Mapping[str, tuple[str, ...]] = {
    "conversation_started": ("subject", "state", "facts", "tenant", "parent"),
    "message_received": ("message", "disposition"),
    "message_taken": ("message", "forwarded"),
    "input_received": ("name", "facts"),
    "question_asked": ("state", "fact", "how"),
    "transition_taken": ("source", "on", "target", "move"),
    "transition_refused": ("source", "on", "reason"),
    "handoff_made": (),
    "agent_requested": (
        "state", "agent", "model", "attempt", "round", "facts", "tools", "prompt", "repairs", "purpose", "member",
        "caller", "position", "agents", "task", "results", "fallback", "cached", "background",
    ),
    "agent_returned": ("effect", "report", "late"),
    "retry_scheduled": ("state", "agent", "attempt", "round", "fallback"),
    "broadcast_started": ("state", "members", "needed"),
    "tool_requested": ("state", "tool", "caller", "request", "position", "facts", "approval"),
    "reply_sent": ("state", "text", "agent"),
    "task_opened": ("state", "role", "decisions", "facts", "approves", "approvals", "issues"),
    "task_decided": ("task", "decision"),
    "timer_set": ("state",),
    "timer_fired": ("timer",),
    "limit_reached": ("limit",),
    "command_refused": ("reason",),
    "late_result": ("state", "broadcast", "member", "effect", "outcome", "heard"),
    "subflow_started": ("state", "flow", "facts", "depth"),
    "conversation_ended": ("state",),
}  # fmt: skip
"""By type of event, what says where a conversation goes. Of types that are not here: everything."""
_NOTED: Mapping[str, Mapping[str, str]] = {
    "transition_taken": {"because": "clause", "verdicts": "guards", "context": "context"},
    "routing_decided": {"evidence": "scores", "issues": "issues"},
    "agent_requested": {"reserved_tokens": "budget", "reserved_cost": "budget", "timeout_seconds": "deadline"},
    "agent_returned": {"cost": "cost"},
    "message_received": {"reading": "reading"},
    "limit_reached": {"value": "limits", "maximum": "limits"},
    "timer_set": {"due": "deadline"},
    "task_opened": {"due": "deadline", "shown": "task"},
    "broadcast_started": {"due": "deadline"},
    "retry_scheduled": {"due": "deadline"},
    "handoff_made": {"handoff": "handoff"},
    "conversation_started": {"turn_due": "deadline"},
}
"""What else is told of it, in a word."""


def alike(was: Event, now: Event) -> bool:
    """Whether the two go the same way, so that the conversation after one may stand for that after the other."""
    if was.type != now.type:
        return False
    if was.type == "routing_decided" and now.type == "routing_decided":
        one, other = was.decision, now.decision
        return (was.state, was.message, was.agent, one.outcome, one.asks_model, one.queue, one.candidates) == (
            now.state, now.message, now.agent, other.outcome, other.asks_model, other.queue, other.candidates,
        )  # fmt: skip
    names = _WAY.get(was.type)
    if names is None:
        return was == now
    if was.type == "agent_requested" and now.type == "agent_requested" and not _same_history(was, now):
        return False
    return all(getattr(was, name) == getattr(now, name) for name in names)


def differs(was: Event, now: Event) -> Iterator[str]:
    """What is not as it was in two events that are `alike`, in a word each."""
    for name, word in _NOTED.get(was.type, {}).items():
        if getattr(was, name, None) != getattr(now, name, None):
            yield word
    if was.type == "routing_decided" and now.type == "routing_decided" and was.decision.stage != now.decision.stage:
        yield "stage"


def _same_history(was: AgentRequested, now: AgentRequested) -> bool:
    one, other = was.history, now.history
    return (one.policy, one.count, one.digest, one.summary, one.kept) == (
        other.policy, other.count, other.digest, other.summary, other.kept,
    )  # fmt: skip


def intent(event: AgentRequested | ToolRequested, before: Conversation, same: Mapping[int, int]) -> Any:
    """What is asked, as something that can be compared: two that are equal have the same answer.

    `before` is the conversation that the event was recorded in, for the values of the facts that are named;
    `same` gives for results that stand at another version now the version that they were recorded at.
    """
    facts = tuple((name, _value(before, name)) for name in event.facts)
    if isinstance(event, ToolRequested):
        request = same.get(event.request, event.request) if event.request is not None else None
        return ("tool", event.state, event.tool, event.caller, request, event.position, facts)
    history = event.history
    return (
        "agent", event.state, event.agent, event.model, event.purpose, event.member, event.prompt, event.tools,
        event.agents, event.repairs, event.round, event.attempt, event.fallback, event.task, event.results,
        history.policy, history.count, history.digest, history.summary, history.kept, facts,
    )  # fmt: skip


def _value(conversation: Conversation, name: str) -> Any:
    fact = conversation.known.get(name)
    return None if fact is None else (fact.value, fact.sealed)
