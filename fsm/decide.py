"""Every rule, in one pure function: what happened to a conversation, and what is decided of it.

`decide` gets ids, times, texts' commitments and results through the command; it returns events to
record and effects to perform after they are durable. Deciding the same again gives the same events,
byte for byte: that is what replay checks.
"""

from typing import assert_never

from ..contracts.commands import (
    AgentEnded,
    AgentReport,
    Command,
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
from ..contracts.events import (
    AgentRequested,
    CommandRefused,
    ConversationStarted,
    EffectResolved,
    InputReceived,
    MessageReceived,
    TimerFired,
    TransitionRefused,
)
from ..contracts.flow import (
    LATE_RESULT,
    OPERATOR_INPUTS,
    AgentState,
    BroadcastState,
    CollectState,
    HumanState,
    RouteState,
    SubflowState,
    WaitState,
)
from ..contracts.keeping import Erase, Erased
from . import broadcast, labelling, migrating, moves, runs, scope, subflow, tasks
from .conversation import Conversation
from .draft import CallAgent, Decision, Draft, Effect, RunTool, TendChild
from .program import Program

OPERATOR_ROLE = "operator"


def decide(program: Program, conversation: Conversation, command: Command) -> Decision:
    """What `command` leads to. Pure; an empty decision records nothing and changes nothing."""
    draft = Draft(program, conversation, command)
    match command.body:
        case Start():
            _start(draft, command.body)
        case Say():
            _say(draft, command.body)
        case Give():
            _give(draft, command.body)
        case Routed():
            _routed(draft, command.body)
        case AgentEnded():
            moves.settle(draft, runs.agent_returned(draft, command.body))
        case ToolEnded():
            moves.settle(draft, runs.tool_returned(draft, command.body))
        case Decide():
            moves.settle(draft, tasks.decided(draft, command.body))
        case Fire():
            _fire(draft, command.body)
        case Resolve():
            _resolve(draft, command.body)
        case SubflowSaid():
            subflow.replied(draft, command.body)
        case SubflowDone():
            moves.settle(draft, subflow.ended(draft, command.body))
        case Leave():
            _left(draft, command.body)
        case Erase():  # in whatever state, also after the end: it says what happened to the texts
            draft.record(Erased(request=command.body.request, payloads=command.body.payloads))
        case Migrate():
            migrating.moved(draft, command.body)
        case _:
            assert_never(command.body)
    return draft.finished()


def effects_of(conversation: Conversation) -> tuple[Effect, ...]:
    """The effects that were begun and have not ended: what a restart performs, lists or has resolved.

    Children come last: what this conversation has in hand itself goes before.
    """
    return (
        *(
            CallAgent(at, event) if isinstance(event, AgentRequested) else RunTool(at, event)
            for at, event in sorted(conversation.undecided.items())
        ),
        *(TendChild(effect) for effect in sorted(conversation.children)),
    )


def _refuse(draft: Draft, body: CommandBody, reason: str) -> None:
    draft.record(CommandRefused.model_validate({"command": body, "reason": reason}))


def _start(draft: Draft, body: Start) -> None:
    if draft.conversation.status != "new":
        _refuse(draft, body, "already_started")
        return
    flow = draft.program.flow
    version = draft.record(
        ConversationStarted(
            flow=body.flow,
            subject=body.subject,
            state=flow.initial,
            facts=body.facts,
            turn_due=draft.turn_due,
            tenant=body.tenant,
            parent=body.parent,
            requester=draft.requester,
            requesters=body.requesters,
            policies=draft.program.watches,
            origin="forked" if body.forks else "live",
            forks=body.forks,
        )
    )
    draft.learn(body.facts, "caller", version)
    moves.settle(draft, moves.enter(draft))


def _say(draft: Draft, body: Say) -> None:
    conversation, limits = draft.conversation, draft.program.flow.limits

    def received(disposition: str) -> int:
        return draft.record(
            MessageReceived.model_validate(
                {
                    "message": body.message,
                    "token_bound": body.token_bound,
                    "reading": body.reading,
                    "disposition": disposition,
                    "turn_due": draft.turn_due if disposition in ("taken", "forwarded") else None,
                    "by": draft.requester,
                }
            )
        )

    if conversation.status == "ended":
        received("refused")
        draft.reply("phrase.ended")
    elif body.message.length > limits.message_bytes:
        received("refused")
        draft.record(TransitionRefused(source=conversation.state, on="message", reason="too_long"))
        draft.reply("phrase.too_long")
    elif conversation.at_work:
        received("queued")
    elif isinstance(draft.state, HumanState):
        received("noted")
        draft.reply(f"meanwhile.{conversation.state}")
    elif conversation.received >= limits.conversation_messages:
        received("taken")
        moves.settle(
            draft, draft.reach("conversation_messages", conversation.received + 1, limits.conversation_messages)
        )
    elif conversation.child is not None:
        received("forwarded")
        draft.effects.append(TendChild(conversation.child))
    else:
        version = received("taken")
        moves.settle(draft, moves.take_message(draft, body.reading, version))


def _give(draft: Draft, body: Give) -> None:
    if draft.conversation.status == "ended":
        _refuse(draft, body, "ended")
        return
    if body.name in OPERATOR_INPUTS and OPERATOR_ROLE not in draft.command.actor.roles:
        _refuse(draft, body, "role_missing")
        return
    state = draft.state
    heard = isinstance(state, WaitState) and body.name in state.inputs and body.name != LATE_RESULT
    expected = body.name in OPERATOR_INPUTS or heard
    if not expected or moves.row_for(draft, body.name) is None:
        _refuse(draft, body, "not_waiting")
        return
    version = draft.record(InputReceived(name=body.name, facts=body.facts, turn_due=draft.turn_due, by=draft.requester))
    draft.learn(body.facts, "caller", version)
    moves.settle(draft, body.name)


def _routed(draft: Draft, body: Routed) -> None:
    state = draft.state if draft.conversation.status == "open" else None
    if isinstance(state, AgentState) and state.name == body.state and scope.awaits_scope(draft, state):
        moves.settle(draft, scope.measured(draft, state, body))
        return
    if not isinstance(state, RouteState) or state.name != body.state or draft.conversation.pending:
        _refuse(draft, body, "not_waiting")
        return
    moves.settle(draft, labelling.routed(draft, state, body.message, body.evidence))


def _fire(draft: Draft, body: Fire) -> None:
    """A deadline of a state that was left since is over and done: nothing is recorded."""
    if draft.conversation.status != "open":
        return
    if body.timer in draft.conversation.background:
        broadcast.retry(draft, body.timer)
        return
    if draft.conversation.visit.timer != body.timer:
        return
    retry = draft.conversation.visit.retry
    if retry is not None:
        moves.settle(draft, runs.ask_after_wait(draft, body.timer, retry))
        return
    draft.record(TimerFired(timer=body.timer, turn_due=draft.turn_due))
    if isinstance(draft.state, WaitState | CollectState | HumanState):
        moves.settle(draft, "expired")
    elif isinstance(draft.state, BroadcastState):
        moves.settle(draft, broadcast.settle(draft, draft.state, expired=True))
    elif isinstance(draft.state, SubflowState):
        moves.settle(draft, subflow.overdue(draft))


def _left(draft: Draft, body: Leave) -> None:
    reason = subflow.left(draft, body)
    if reason is not None:
        _refuse(draft, body, reason)


def _resolve(draft: Draft, body: Resolve) -> None:
    pending = draft.conversation.unfinished.get(body.effect)
    if pending is None:
        _refuse(draft, body, "not_pending")
        return
    late = body.effect not in draft.conversation.pending
    version = draft.record(EffectResolved(effect=body.effect, how=body.how))
    if body.how == "again":
        again = (
            CallAgent(body.effect, pending) if isinstance(pending, AgentRequested) else RunTool(body.effect, pending)
        )
        draft.effects.append(again)
    elif isinstance(pending, AgentRequested) and late:
        report = AgentReport(outcome="failed", reason="given_up")
        moves.settle(draft, broadcast.answered_late(draft, pending, report, body.effect, version))
    elif isinstance(pending, AgentRequested):
        report = AgentReport(outcome="failed", reason="given_up")
        moves.settle(draft, runs.agent_outcome(draft, pending, report, body.effect, version))
    else:
        moves.settle(draft, runs.tool_outcome(draft, pending, body.how))
