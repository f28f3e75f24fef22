"""What the events of child conversations do to their parent. Holds no rule, as `evolve`, of which this is a part."""

from ..contracts.events import MessageReceived
from ..contracts.subflow import Outlay
from ..contracts.subflow_events import SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted
from .approvals import asked_for
from .conversation import Child, Conversation, Turn, less, more


def forwarded(conversation: Conversation, message: tuple[int, MessageReceived]) -> Conversation:
    """The message is for the child that the customer is in."""
    effect = conversation.child
    if effect is None:
        return conversation
    child = conversation.children[effect]
    return _with_child(conversation, effect, child.changed(forwarded=(*child.forwarded, message)))


def _with_child(conversation: Conversation, effect: int, child: Child) -> Conversation:
    return conversation.changed(children=more(conversation.children, effect, child))


def of_children(
    conversation: Conversation, event: SubflowStarted | SubflowReplied | SubflowLeft | SubflowEnded
) -> Conversation:
    if isinstance(event, SubflowStarted):
        begun = conversation.turn.changed(subflows=conversation.turn.subflows + 1)
        return _with_child(conversation.changed(turn=begun), conversation.version, Child(event))
    child = conversation.children.get(event.effect)
    if child is None:
        return conversation
    if isinstance(event, SubflowReplied):
        kept = tuple(one for one in child.forwarded if one[0] not in event.taken)
        return _with_child(conversation, event.effect, child.changed(heard=event.version + 1, forwarded=kept))
    if isinstance(event, SubflowLeft):
        told = conversation.changed(turn=conversation.turn.changed(failing=event.failing))
        return _with_child(told, event.effect, child.changed(left=True))
    for requester in event.report.requesters:
        conversation = asked_for(conversation, requester)
    untaken = [one for one in child.forwarded if one[0] > event.report.upto or one[0] in event.report.untaken]
    outlay = event.report.outlay
    ended = conversation.changed(
        tokens=conversation.tokens + outlay.conversation_tokens,
        cost=conversation.cost + outlay.conversation_cost,
        children=less(conversation.children, event.effect),
        inbox=tuple(sorted((*untaken, *conversation.inbox), key=lambda one: one[0])),
    )
    if event.late:
        return ended
    turn = _settled(conversation.turn, outlay).changed(due=event.turn_due, failing=event.report.failing)
    return ended.changed(turn=turn, visit=conversation.visit.changed(timer=None, due=None))


def _settled(turn: Turn, outlay: Outlay) -> Turn:
    """What the child spent since the last input is spent in the turn that goes on here."""
    return turn.changed(
        agent_calls=turn.agent_calls + outlay.agent_calls,
        tokens=turn.tokens + outlay.turn_tokens,
        cost=turn.cost + outlay.turn_cost,
        subflows=turn.subflows + outlay.subflows,
    )
