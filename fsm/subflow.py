"""Child conversations: when one begins, what it says and how it ends in its parent, and how an error comes up.

The parent's log holds an intent, each reply and the end; the child has a log of its own, whose id derives from
the intent's place. A child that its parent went on without stays on the parent's list until its end is recorded,
so that a restart finds it.
"""

from ..contracts.canonical import sha256_hex
from ..contracts.commands import FlowRef, Leave, SubflowDone, SubflowSaid
from ..contracts.events import (
    ConversationEnded,
    MessageTaken,
    ReplySent,
    TimerSet,
    TransitionTaken,
)
from ..contracts.flow import SubflowState
from ..contracts.subflow import FAILED, PARENT_LEFT, Failing, ParentRef, Place
from ..contracts.subflow_events import ParentLeft, SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted
from ..contracts.values import ConversationId
from . import queueing
from .asking import turn_is_over
from .bounds import most as most_of
from .bounds import room_for
from .draft import Draft, TendChild
from .outcomes import outcomes_of


def child_id(parent: str, version: int) -> ConversationId:
    """The child that the parent's event `version` begins: half a SHA-256, written as a UUID of version 8 (RFC 9562).

    A restart finds the same child, and nobody chooses its id.
    """
    digest = sha256_hex(f"interlock subflow\n{parent}\n{version}".encode())
    variant = "89ab"[int(digest[16], 16) % 4]
    return ConversationId(f"{digest[:8]}-{digest[8:12]}-8{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}")


def begin(draft: Draft, state: SubflowState) -> str | None:
    """Begin the state's child conversation; `limit` where it would stand too deep, the turn has begun as many as
    it may, or its time is over."""
    if late := turn_is_over(draft):
        return late
    conversation, limits = draft.conversation, draft.program.flow.limits
    above = conversation.parent.depth if conversation.parent else 0
    most = above + limits.subflow_depth
    if conversation.parent:
        most = min(most, conversation.parent.most)
    if above + 1 > most:
        return draft.reach("subflow_depth", above + 1, most)
    allowed = most_of(draft, "subflows")
    if conversation.turn.subflows >= allowed:
        return draft.reach("subflows", conversation.turn.subflows, allowed)
    spec = draft.program.subflows[state.flow]
    due = draft.later(state.deadline_seconds)
    effect = draft.record(
        SubflowStarted(
            state=state.name,
            flow=FlowRef(name=spec.flow, version=spec.version, digest=spec.digest),
            child=child_id(conversation.name, conversation.version),
            facts=tuple(name for name in state.reads if conversation.facts.known(name)),
            depth=above + 1,
            most=most,
            due=due,
            approving=draft.approving,
            room=room_for(draft, spec),
        )
    )
    draft.record(TimerSet(state=state.name, due=due))
    draft.effects.append(TendChild(effect))
    return None


def parent_of(parent: str, effect: int, started: SubflowStarted) -> ParentRef:
    """What the child's own start says of its parent."""
    return ParentRef(
        conversation=ConversationId(parent),
        effect=effect,
        depth=started.depth,
        most=started.most,
        approving=started.approving,
        room=started.room,
    )


def here(draft: Draft) -> Place:
    return Place(flow=draft.program.ref.name, state=draft.conversation.state)


def replied(draft: Draft, body: SubflowSaid) -> None:
    """The child's reply becomes the parent's, once; nothing where the child is not the present one."""
    child = draft.conversation.children.get(body.effect)
    if child is None or child.left or body.version < child.heard:
        return
    version = draft.record(
        SubflowReplied(
            effect=body.effect,
            version=body.version,
            reply=body.reply,
            token_bound=body.token_bound,
            taken=body.taken,
        )
    )
    draft.record(ReplySent(state=draft.conversation.state, agent=version, token_bound=body.token_bound))


def ended(draft: Draft, body: SubflowDone) -> str | None:
    """Record the child's end; the state's outcome, or None where the parent went on without it before.

    An end that is not one of the state's outcomes counts as `failed`: it is not the flow that was declared.
    """
    child = draft.conversation.children.get(body.effect)
    if child is None:
        return None
    state = draft.program.states[child.started.state]
    known = outcomes_of(draft.program.flow, state)
    report = body.report
    version = draft.record(SubflowEnded(effect=body.effect, report=report, turn_due=draft.turn_due, late=child.left))
    if child.left or not isinstance(state, SubflowState):
        return None
    draft.learn(tuple(one for one in report.facts if one.name in state.returns), "subflow", version)
    return report.outcome if report.outcome in known else FAILED


def overdue(draft: Draft) -> str | None:
    """The deadline passed: the parent goes on without the child, and `failed` is the outcome."""
    _leave(draft, "deadline")
    return FAILED


def moving_on(draft: Draft, on: str) -> None:
    """The state is left, whatever for: a child that is still open is on its own from here."""
    _leave(draft, on)


def _leave(draft: Draft, reason: str) -> None:
    effect = draft.conversation.child
    if effect is not None:
        draft.record(SubflowLeft(effect=effect, failing=Failing(reason=reason, path=(here(draft),))))
        draft.effects.append(TendChild(effect))


def left(draft: Draft, body: Leave) -> str | None:
    """The parent left: this conversation ends where it stands. Says why it cannot, where it cannot."""
    if draft.conversation.parent is None:
        return "no_parent"
    if draft.conversation.status == "ended":
        return "ended"
    draft.record(ParentLeft())
    _leave(draft, PARENT_LEFT)
    failing = Failing(reason=PARENT_LEFT, path=(here(draft),))
    queueing.dropped(draft, "ended", told=False)
    draft.record(ConversationEnded(state=draft.conversation.state, failing=failing))
    return None


def failing_end(draft: Draft) -> Failing:
    """Why a conversation that has just moved into a failure ended badly.

    An error that came up from a child in this turn is passed on, with the state that the child was in here;
    else the state that was left is the failing one, and the trigger is the reason.
    """
    if draft.conversation.turn.failing is not None:
        return draft.conversation.turn.failing
    moves = [event for event in draft.events if isinstance(event, TransitionTaken)]
    source, on = (moves[-1].source, moves[-1].on) if moves else (draft.conversation.state, FAILED)
    return Failing(reason=on, path=(Place(flow=draft.program.ref.name, state=source),))


def forward(draft: Draft, effect: int) -> None:
    """Messages that were queued meanwhile are for the child that the person is in now."""
    for version, _ in draft.conversation.inbox:
        draft.record(MessageTaken(message=version, turn_due=draft.turn_due, forwarded=True))
    draft.effects.append(TendChild(effect))
