"""What a recorded event does to a conversation. Total, and holds no rule: it will run on today's
events for years, whatever `decide` becomes."""

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, assert_never

from ..contracts.events import (
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
from ..contracts.facts import KnownFact
from ..contracts.imported import ConversationImported, MessageImported
from ..contracts.keeping import Erased
from ..contracts.subflow_events import ParentLeft, SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted
from .approvals import asked_for, endorsed, given, opened, used
from .callers import caller_goes_on
from .children import forwarded, of_children
from .conversation import NO_PENDING, NOTHING, REMEMBERED, Conversation, Frame, Question, Turn, Visit, less, more
from .handing import asked_run
from .imports import told_by_import
from .lineage import under_another_flow
from .members import asked_all, asked_member, heard_late, left_behind, member_answered, with_output, without_answer
from .policies.alphabet import TELLING, observed
from .policies.judging import after
from .routes import routed

PER_CALL_TOKENS = 120
"""What names, marks and fixed words around one tool call or result take in a prompt, at most."""


_TELLING = frozenset(TELLING)
_NEW_TURN, _NEW_VISIT = Turn(), Visit()
"""Changed rather than made: a frozen dataclass of twenty fields takes twice as long to make as to copy."""


def fold(identity: str, events: Iterable[Event], start: Conversation | None = None) -> Conversation:
    """The conversation after `events`, from the beginning or from `start`."""
    conversation = start or Conversation(id=identity)
    for event in events:
        conversation = evolve(conversation, event)
    return conversation


def evolve(conversation: Conversation, event: Event) -> Conversation:
    """The conversation after one more event. Never refuses and never raises on a well-formed event."""
    following = _evolved(conversation, event)
    return _watching(following, event, conversation.version) if following.watches else following


def _watching(conversation: Conversation, event: Event, at: int) -> Conversation:
    """The automata of its policies, after the words of one more event."""
    if type(event) not in _TELLING:
        return conversation
    words, seen = observed(event, at, conversation.seen)
    watched = after(conversation.watches, conversation.watched, words) if words else conversation.watched
    if watched == conversation.watched and seen == conversation.seen:
        return conversation
    return conversation.changed(watched=watched, seen=seen)


def _evolved(conversation: Conversation, event: Event) -> Conversation:
    at, following = conversation.version, conversation.version + 1
    match event:
        # What happens most stands first: a case that does not apply costs a third of a microsecond.
        case TransitionTaken():
            return _moved(conversation, event).changed(version=following)
        case ReplySent():
            return _remembered(conversation, f"{event.text}|{event.agent}", event.token_bound).changed(
                version=following
            )
        case TimerSet():
            return conversation.changed(version=following, visit=conversation.visit.changed(timer=at, due=event.due))
        case ConversationStarted():
            return conversation.changed(
                version=following,
                status="open",
                flow=event.flow,
                subject=event.subject,
                tenant=event.tenant,
                state=event.state,
                turn=_NEW_TURN.changed(due=event.turn_due, visits=MappingProxyType({event.state: 1})),
                visit=_NEW_VISIT.changed(entered=at),
                parent=event.parent,
                requesters=frozenset(one for one in (event.requester, *event.requesters) if one),
                watches=event.policies,
                watched=(0,) * len(event.policies),
                forks=event.forks,
            )
        case FlowChanged():
            return under_another_flow(conversation, event).changed(version=following)
        case MessageReceived():
            return _received(conversation, event).changed(version=following)
        case MessageTaken():
            inbox = tuple(one for one in conversation.inbox if one[0] != event.message)
            taken = conversation.changed(
                version=following, inbox=inbox, turn=_next_turn(conversation, event.turn_due, event.message)
            )
            queued = next((one for one in conversation.inbox if one[0] == event.message), None)
            return forwarded(taken, queued) if event.forwarded and queued else taken
        case InputReceived():
            turn = _next_turn(conversation, event.turn_due, conversation.turn.message)
            return asked_for(conversation, event.by).changed(version=following, turn=turn)
        case FactsRecorded():
            return conversation.changed(version=following, known=known_after(conversation.known, event))
        case FactForgotten():
            return conversation.changed(version=following, known=known_after(conversation.known, event))
        case FactSkipped():
            skipped = conversation.visit.changed(skipped=(*conversation.visit.skipped, event.name))
            return conversation.changed(version=following, visit=skipped)
        case QuestionAsked():
            visit = conversation.visit.changed(question=Question(event.fact, event.attempt))
            return conversation.changed(version=following, visit=visit)
        case RoutingDecided():
            return routed(conversation, event).changed(version=following)
        case IssuesDropped():
            issues = conversation.issues if event.reason == "too_many" else ()
            return conversation.changed(version=following, issues=issues)
        case HandoffMade():
            return conversation.changed(version=following, handoffs=conversation.handoffs + 1)
        case AgentRequested():
            return _asked_agent(conversation, event).changed(version=following)
        case AgentReturned():
            return _agent_returned(conversation, event).changed(version=following)
        case AgentToolEnded():
            visit = _carrying(caller_goes_on(conversation.visit, event), event.token_bound + PER_CALL_TOKENS)
            return conversation.changed(version=following, visit=_handled(visit, event.position))
        case ToolRequested():
            visit = _handled(conversation.visit, event.position)
            if event.caller == "state":
                visit = visit.changed(attempts=visit.attempts + 1)
            turn = conversation.turn.changed(tool_calls=conversation.turn.tool_calls + 1)
            pending = more(conversation.pending, at, event)
            return used(conversation, event).changed(version=following, turn=turn, visit=visit, pending=pending)
        case ToolReturned():
            if event.late:
                return conversation.changed(version=following)
            visit = _carrying(conversation.visit, event.report.result_token_bound + PER_CALL_TOKENS)
            return conversation.changed(
                version=following, visit=visit, pending=less(conversation.pending, event.effect)
            )
        case ToolRefused():
            told = PER_CALL_TOKENS + sum(len(problem) for problem in event.problems)
            visit = _handled(_carrying(conversation.visit, told), event.position)
            return conversation.changed(version=following, visit=visit)
        case EffectResolved():
            return (conversation if event.how == "again" else _given_up(conversation, event.effect)).changed(
                version=following
            )
        case TaskOpened():
            return opened(conversation, event).changed(version=following, held=None)
        case TaskEndorsed():
            return endorsed(conversation, event).changed(version=following)
        case TaskDecided():
            return given(conversation, event).changed(
                version=following,
                turn=_next_turn(conversation, event.turn_due, conversation.turn.message),
                visit=conversation.visit.changed(task=None, opened=None, endorsed=(), timer=None, due=None),
                handed_on=(),
            )
        case TimerFired() if event.timer in conversation.background:
            return conversation.changed(version=following, background=less(conversation.background, event.timer))
        case TimerFired():
            return conversation.changed(
                version=following,
                turn=conversation.turn.changed(due=event.turn_due),
                visit=conversation.visit.changed(timer=None, due=None, retry=None),
            )
        case ConversationEnded():
            return conversation.changed(
                version=following,
                status="ended",
                visit=_NEW_VISIT.changed(entered=at),
                frames=(),
                pending=NO_PENDING,
                background=NOTHING,
                failing=event.failing,
            )
        case SubflowStarted() | SubflowReplied() | SubflowLeft() | SubflowEnded():
            return of_children(conversation, event).changed(version=following)
        case BroadcastStarted():
            return asked_all(conversation, event).changed(version=following)
        case HistorySummarised():
            return conversation.changed(version=following, summaries=more(conversation.summaries, event.agent, event))
        case RetryScheduled():
            visit = conversation.visit.changed(timer=at, due=event.due, retry=event)
            return conversation.changed(version=following, visit=visit)
        case RetryPlanned():
            return conversation.changed(version=following, background=more(conversation.background, at, event))
        case LateResult() if event.heard:
            turn = conversation.turn.changed(due=event.turn_due)
            return heard_late(conversation, event).changed(version=following, turn=turn)
        case ConversationImported() | MessageImported():
            return told_by_import(conversation, event).changed(version=following)
        case (
            TransitionRefused()
            | PolicyKept()
            | LimitReached()
            | OverBudget()
            | CommandRefused()
            | BroadcastEnded()
            | LateResult()
            | Judged()
            | ParentLeft()
            | ApprovalVoid()
            | Erased()
        ):
            return conversation.changed(version=following)
        case _:
            assert_never(event)


def _given_up(conversation: Conversation, effect: int) -> Conversation:
    """An effect whose end a person told; a member of a broadcast has no result then."""
    request = conversation.pending.get(effect)
    if isinstance(request, AgentRequested):
        conversation = without_answer(conversation, request, effect)
    return conversation.changed(
        pending=less(conversation.pending, effect),
        awaited=less(conversation.awaited, effect) if effect in conversation.awaited else conversation.awaited,
    )


def _carrying(visit: Visit, tokens: int) -> Visit:
    return visit.changed(carried_tokens=visit.carried_tokens + tokens)


def _handled(visit: Visit, position: int) -> Visit:
    return visit.changed(proposed=tuple(one for one in visit.proposed if one[0] > position))


def _next_turn(conversation: Conversation, due: Any, message: int) -> Turn:
    return _NEW_TURN.changed(number=conversation.turn.number + 1, due=due, message=message)


def _received(conversation: Conversation, event: MessageReceived) -> Conversation:
    at = conversation.version
    if event.disposition == "refused":
        return conversation.changed(received=conversation.received + 1)
    known = _remembered(conversation, event.message.commit, event.token_bound)
    known = known.changed(received=conversation.received + 1)
    if event.disposition != "noted":
        known = asked_for(known, event.by)
    if event.disposition == "queued":
        return known.changed(inbox=(*conversation.inbox, (at, event)))
    if event.disposition == "forwarded":
        return forwarded(known.changed(turn=_next_turn(conversation, event.turn_due, at)), (at, event))
    if event.disposition == "taken":
        visit = conversation.visit.changed(timer=None, due=None)
        return known.changed(turn=_next_turn(conversation, event.turn_due, at), visit=visit)
    return known


def _remembered(conversation: Conversation, what: str, tokens: int) -> Conversation:
    """One more message in the history; the digest rolls, so any stretch of history can be checked."""
    rolled = hashlib.sha256(f"{conversation.history_digest}|{what}".encode()).hexdigest()
    return conversation.changed(
        messages=conversation.messages + 1,
        history_digest=rolled,
        history_tokens=conversation.history_tokens + tokens,
        recent_tokens=(*conversation.recent_tokens[-(REMEMBERED - 1) :], tokens),
    )


def known_after(known: Mapping[str, KnownFact], event: Event) -> Mapping[str, KnownFact]:
    """What is known after the event."""
    if isinstance(event, FactsRecorded):
        return MappingProxyType({**known, **{fact.name: fact for fact in event.facts}})
    if isinstance(event, FactForgotten):
        return MappingProxyType({name: fact for name, fact in known.items() if name != event.name})
    return known


def _moved(conversation: Conversation, event: TransitionTaken) -> Conversation:
    turn = _entered(conversation.turn, event)
    conversation = left_behind(conversation)
    if event.move == "push":
        frame = Frame(conversation.state, conversation.visit)
        return conversation.changed(
            state=event.target,
            turn=turn,
            visit=_NEW_VISIT.changed(entered=conversation.version, on=event.on),
            frames=(*conversation.frames, frame),
            pending=NO_PENDING,
        )
    if event.move == "return" and conversation.frames:
        frame = conversation.frames[-1]
        return conversation.changed(
            state=frame.state,
            turn=turn,
            visit=frame.visit.changed(timer=None, due=None),
            frames=conversation.frames[:-1],
            pending=NO_PENDING,
        )
    return conversation.changed(
        state=event.target,
        turn=turn,
        visit=_NEW_VISIT.changed(entered=conversation.version, on=event.on),
        frames=() if event.move == "leave" else conversation.frames,
        pending=NO_PENDING,
    )


def _entered(turn: Turn, event: TransitionTaken) -> Turn:
    """One more step; the target is entered unless a digression only comes back to it."""
    entries = (
        turn.visits if event.move == "return" else more(turn.visits, event.target, turn.visits.get(event.target, 0) + 1)
    )
    contexts = turn.contexts
    if event.context is not None:
        contexts = more(contexts, event.context, contexts.get(event.context, 0) + 1)
    return turn.changed(steps=turn.steps + 1, visits=entries, contexts=contexts)


def _asked_agent(conversation: Conversation, event: AgentRequested) -> Conversation:
    """A call is counted and its budget reserved, of the turn too if anybody waits for it."""
    conversation = conversation.changed(
        tokens=conversation.tokens + event.reserved_tokens, cost=conversation.cost + event.reserved_cost
    )
    if event.background:
        return conversation.changed(awaited=more(conversation.awaited, conversation.version, event))
    turn = conversation.turn
    conversation = conversation.changed(
        turn=turn.changed(
            agent_calls=turn.agent_calls + (0 if event.cached else 1),
            tokens=turn.tokens + event.reserved_tokens,
            cost=turn.cost + event.reserved_cost,
        ),
        pending=more(conversation.pending, conversation.version, event),
    )
    return asked_member(conversation, event) if event.member is not None else asked_run(conversation, event)


def _agent_returned(conversation: Conversation, event: AgentReturned) -> Conversation:
    """The reservation is settled: what was reserved goes, what was used stays."""
    request = conversation.unfinished.get(event.effect)
    if not isinstance(request, AgentRequested):
        return conversation
    used = event.report.usage.tokens if event.report.usage.measured else request.reserved_tokens
    tokens, cost = used - request.reserved_tokens, event.cost - request.reserved_cost
    conversation = conversation.changed(tokens=conversation.tokens + tokens, cost=conversation.cost + cost)
    if event.effect in conversation.awaited:
        return conversation.changed(awaited=less(conversation.awaited, event.effect))
    turn = conversation.turn.changed(tokens=conversation.turn.tokens + tokens, cost=conversation.turn.cost + cost)
    conversation = conversation.changed(turn=turn, pending=less(conversation.pending, event.effect))
    if request.purpose in ("label", "summary"):
        return conversation
    if request.member is not None:
        return member_answered(conversation, request, event)
    told = sum(call.arguments.length + PER_CALL_TOKENS for call in event.report.calls) + sum(
        len(violation) for violation in event.report.violations
    )
    visit = _carrying(conversation.visit, told)
    visit = visit.changed(proposal=conversation.version, proposed=tuple(enumerate(event.report.calls)))
    return with_output(conversation.changed(visit=visit), request, event)
