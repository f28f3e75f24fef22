"""What the events of child conversations do to their parent. Holds no rule, as `evolve`, of which this is a part."""

from ..contracts.events import MessageReceived
from ..contracts.subflow_events import SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted
from .approvals import asked_for
from .conversation import Child, Conversation, less, more


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
        return _with_child(conversation, conversation.version, Child(event))
    child = conversation.children.get(event.effect)
    if child is None:
        return conversation
    if isinstance(event, SubflowReplied):
        return _with_child(conversation, event.effect, child.changed(heard=event.version + 1))
    if isinstance(event, SubflowLeft):
        told = conversation.changed(turn=conversation.turn.changed(failing=event.failing))
        return _with_child(told, event.effect, child.changed(left=True))
    for requester in event.report.requesters:
        conversation = asked_for(conversation, requester)
    untaken = [one for one in child.forwarded if one[0] > event.report.upto or one[0] in event.report.untaken]
    ended = conversation.changed(
        children=less(conversation.children, event.effect),
        inbox=tuple(sorted((*untaken, *conversation.inbox), key=lambda one: one[0])),
    )
    if event.late:
        return ended
    turn = conversation.turn.changed(due=event.turn_due, failing=event.report.failing)
    return ended.changed(turn=turn, visit=conversation.visit.changed(timer=None, due=None))
