"""Records: one for each decision, handoff, model call, tool call and task that a commit put into the log.

A record says what its entry says, in the words that dashboards and alerts ask for, and adds what only the
performing of an effect knows (how an answer finished, previews). It is made after the commit, from the
committed entries: what is not in the log has no record, and each process records what it wrote itself.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from ..contracts.envelope import Entry
from ..contracts.events import (
    AgentRequested,
    AgentReturned,
    ApprovalVoid,
    BroadcastEnded,
    CommandRefused,
    ConversationStarted,
    EffectResolved,
    Event,
    HandoffMade,
    HistorySummarised,
    InputReceived,
    Judged,
    LateResult,
    LimitReached,
    MessageReceived,
    MessageTaken,
    OverBudget,
    PolicyKept,
    RetryPlanned,
    RetryScheduled,
    RoutingDecided,
    TaskDecided,
    TaskEndorsed,
    TaskOpened,
    ToolRefused,
    ToolRequested,
    ToolReturned,
    TransitionRefused,
    TransitionTaken,
)
from ..contracts.subflow_events import ParentLeft, SubflowEnded, SubflowLeft, SubflowStarted
from ..fsm.conversation import Conversation
from ..fsm.program import Program
from .figures import (
    Figure,
    Figures,
    Request,
    condition_figures,
    confidence_of,
    decision_figures,
    handoff_figures,
    model_call_figures,
    task_figures,
    tool_call_figures,
)
from .redaction import Preview

RecordKind = Literal["decision", "handoff", "model_call", "tool_call", "task", "condition"]


@dataclass(frozen=True, slots=True)
class Record:
    """What one entry says. `trace` is the conversation and the number of the turn, as in a handoff's envelope.

    `figures` hold ids, names of the flow, codes and counts; a text is a `Preview`, or it is not there.
    """

    kind: RecordKind
    entry: str
    """Type of the event."""
    conversation: str
    trace: str
    version: int
    at: str
    flow: str
    figures: Mapping[str, Figure] = field(default_factory=dict)

    def fields(self) -> dict[str, Figure]:
        """Everything but the kind, flat, without what is unknown or empty."""
        common: dict[str, Figure] = {
            "entry": self.entry,
            "conversation": self.conversation,
            "trace": self.trace,
            "version": self.version,
            "at": self.at,
            "flow": self.flow,
        }
        return common | {name: one for name, one in self.figures.items() if one not in (None, "", ())}

    def without_previews(self) -> "Record":
        if PREVIEWS.isdisjoint(self.figures):
            return self
        return replace(self, figures={name: one for name, one in self.figures.items() if name not in PREVIEWS})


@dataclass(slots=True)
class Performing:
    """What is known of an effect in hand beside its intent event."""

    conversation: str
    effect: int
    request: Request
    program: Program
    provider: str = ""
    """Name of the adapter that was asked."""
    finish: str = ""
    prompt: Preview | None = None
    reply: Preview | None = None
    hidden: tuple[str, ...] = ()
    """Texts of the conversation's sealed facts: no preview shows them."""


RECORDED: frozenset[type[Event]] = frozenset(
    {
        AgentReturned,
        ApprovalVoid,
        BroadcastEnded,
        CommandRefused,
        EffectResolved,
        HandoffMade,
        HistorySummarised,
        Judged,
        LateResult,
        LimitReached,
        OverBudget,
        ParentLeft,
        PolicyKept,
        RetryPlanned,
        RetryScheduled,
        RoutingDecided,
        SubflowEnded,
        SubflowLeft,
        SubflowStarted,
        TaskDecided,
        TaskEndorsed,
        TaskOpened,
        ToolRefused,
        ToolReturned,
        TransitionRefused,
        TransitionTaken,
    }
)
"""Events that have a record. What the others tell is in the record of what they lead to, or the log's alone."""
Found = Callable[[int], Performing | None]
FIELDS = frozenset(
    {
        *("entry", "conversation", "trace", "version", "at", "flow", "source", "target", "on", "row", "policy", "move"),
        *("guard", "label", "stage", "confidence", "threshold", "margin", "scope", "candidates", "artefact", "reason"),
        *("limit", "value", "maximum", "state", "agent", "tokens", "tool", "position", "command", "effect", "how"),
        *("why", "history", "messages", "budget_tokens", "allowed_actions", "deadline", "facts", "warnings", "model"),
        *("attempt", "round", "outcome", "input_tokens", "output_tokens", "measured", "cost_nano", "currency"),
        *("latency_ms", "retry_after_seconds", "request_id", "calls", "violations", "finish", "late", "caller"),
        *("consequential", "role", "decisions", "decision", "due", "task", "condition", "screen"),
        *("purpose", "member", "members", "broadcast", "valid", "percent", "disagreed", "judged", "verdict"),
        *("child", "depth", "path", "approval", "policies"),
        *("subject", "before", "after", "until"),
    }
)
"""Every figure but the previews. None of them can hold what a person or a model wrote."""
PREVIEWS = frozenset({"prompt_preview", "reply_preview"})


def begins_turn(event: Event) -> bool:
    """Whether the conversation's turn number goes up with the event; the fold says the same, a law compares."""
    if isinstance(event, MessageReceived):
        return event.disposition in ("taken", "forwarded")
    return isinstance(event, MessageTaken | InputReceived | TaskDecided)


def records_of(
    program: Program, before: Conversation, entries: Iterable[Entry], performing: Found, confidence: float | None = None
) -> Iterator[Record]:
    """The records of committed `entries`, in order. `before` is the conversation that they were added to.

    `confidence` is that of the latest routing, for handoffs that follow from it in a later commit.
    """
    turn, state, requests = before.turn.number, before.state, dict(before.pending)
    routed: float | None = None
    for entry in entries:
        event = entry.event
        turn += begins_turn(event)
        if isinstance(event, RoutingDecided) and event.agent is None:
            routed = confidence = confidence_of(event)
        if isinstance(event, AgentRequested | ToolRequested):
            requests[entry.version] = event
        if type(event) not in RECORDED:
            state = event.state if isinstance(event, ConversationStarted) else state
            continue
        for kind, figures in _told(program, event, state, (routed, confidence), requests, performing):
            yield Record(
                kind=kind,
                entry=event.type,
                conversation=entry.stream,
                trace=f"{entry.stream}:{turn}",
                version=entry.version,
                at=entry.at,
                flow=program.ref.name,
                figures=figures,
            )
        if isinstance(event, TransitionTaken):
            state, routed = event.target, None


_Told = tuple[RecordKind, Figures]


def _told(
    program: Program,
    event: Event,
    state: str,
    confidences: tuple[float | None, float | None],
    requests: Mapping[int, Request],
    performing: Found,
) -> Iterator[_Told]:
    """The record of one event; an event that is no decision, handoff, call or task has none.

    `confidences` are that of the routing whose row is taken next, and that of the latest routing.
    """
    routed, confidence = confidences
    match event:
        case HandoffMade():
            yield "handoff", handoff_figures(event, confidence)
        case AgentReturned():
            seen = performing(event.effect)
            request = requests.get(event.effect) or (seen.request if seen else None)
            yield "model_call", model_call_figures(program, event, request) | _performed(seen)
            for condition in event.report.conditions:
                yield "condition", condition_figures(condition)
        case ToolReturned():
            seen = performing(event.effect)
            request = requests.get(event.effect) or (seen.request if seen else None)
            yield "tool_call", tool_call_figures(event, request)
        case TaskOpened():
            yield "task", task_figures(event)
        case TaskDecided() | TaskEndorsed():
            yield "task", {"task": event.task, "decision": event.decision, "state": state}
        case _:
            decided = decision_figures(event, state, routed)
            if decided is not None:
                yield "decision", decided


def _performed(seen: Performing | None) -> Figures:
    """What only the one who called the model knows."""
    return {"finish": seen.finish, "prompt_preview": seen.prompt, "reply_preview": seen.reply} if seen else {}
