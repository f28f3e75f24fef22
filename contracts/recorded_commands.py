"""The way back from an event to the command that it records: what replay decides again."""

from typing import assert_never

from .commands import (
    AgentEnded,
    CommandBody,
    Decide,
    Fire,
    Give,
    Leave,
    Migrate,
    Resolve,
    Routed,
    Say,
    Start,
    SubflowDone,
    SubflowSaid,
    ToolEnded,
)
from .events import (
    AgentRequested,
    AgentReturned,
    AgentToolEnded,
    ApprovalVoid,
    BroadcastEnded,
    BroadcastStarted,
    CommandRefused,
    ConversationEnded,
    ConversationStarted,
    EffectResolved,
    Event,
    FactForgotten,
    FactSkipped,
    FactsRecorded,
    FlowChanged,
    HandoffMade,
    HistorySummarised,
    InputReceived,
    IssuesDropped,
    Judged,
    LateResult,
    LimitReached,
    MessageReceived,
    MessageTaken,
    OverBudget,
    PolicyKept,
    QuestionAsked,
    ReplySent,
    RetryPlanned,
    RetryScheduled,
    RoutingDecided,
    TaskDecided,
    TaskEndorsed,
    TaskOpened,
    TimerFired,
    TimerSet,
    ToolRefused,
    ToolRequested,
    ToolReturned,
    TransitionRefused,
    TransitionTaken,
)
from .imported import ConversationImported, MessageImported
from .keeping import Erase, Erased
from .subflow_events import ParentLeft, SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted


def command_of(event: Event) -> CommandBody | None:
    """The command that `event` records, or None for an event that only follows from another."""
    match event:
        case ConversationStarted():
            return Start(
                flow=event.flow,
                subject=event.subject,
                facts=event.facts,
                tenant=event.tenant,
                parent=event.parent,
                requesters=event.requesters,
                forks=event.forks,
            )
        case FlowChanged():
            return Migrate(
                before=event.before,
                flow=event.flow,
                stood=event.stood,
                currency=event.currency,
                renamed=event.renamed,
                watched=event.watched,
            )
        case MessageReceived():
            return Say(message=event.message, token_bound=event.token_bound, reading=event.reading)
        case InputReceived():
            return Give(name=event.name, facts=event.facts)
        case RoutingDecided():
            return Routed(state=event.state, message=event.message, evidence=event.evidence)
        case AgentReturned():
            return AgentEnded(effect=event.effect, report=event.report, undercounted=event.undercounted)
        case ToolReturned():
            return ToolEnded(effect=event.effect, report=event.report)
        case TaskDecided() | TaskEndorsed():
            return Decide(
                task=event.task, decision=event.decision, reason=event.reason, shown=event.shown, signed=event.signed
            )
        case TimerFired():
            return Fire(timer=event.timer)
        case EffectResolved():
            return Resolve(effect=event.effect, how=event.how)
        case SubflowReplied():
            return SubflowSaid(
                effect=event.effect,
                version=event.version,
                reply=event.reply,
                token_bound=event.token_bound,
                taken=event.taken,
            )
        case SubflowEnded():
            return SubflowDone(effect=event.effect, report=event.report)
        case ParentLeft():
            return Leave()
        case Erased():
            return Erase(request=event.request, payloads=event.payloads)
        case CommandRefused():
            return event.command
        case (
            MessageTaken()
            | FactsRecorded()
            | FactForgotten()
            | FactSkipped()
            | QuestionAsked()
            | IssuesDropped()
            | TransitionTaken()
            | TransitionRefused()
            | PolicyKept()
            | HandoffMade()
            | AgentRequested()
            | AgentToolEnded()
            | RetryScheduled()
            | HistorySummarised()
            | OverBudget()
            | BroadcastStarted()
            | BroadcastEnded()
            | LateResult()
            | RetryPlanned()
            | Judged()
            | ToolRequested()
            | ApprovalVoid()
            | ToolRefused()
            | ReplySent()
            | TaskOpened()
            | TimerSet()
            | LimitReached()
            | ConversationEnded()
            | SubflowStarted()
            | SubflowLeft()
            | ConversationImported()
            | MessageImported()
        ):
            return None
        case _:
            assert_never(event)
