"""What imported events do to a conversation: it has ended before it came, and only what was said is counted."""

from ..contracts.imported import IMPORTED, ConversationImported, MessageImported
from .conversation import Conversation


def told_by_import(conversation: Conversation, event: ConversationImported | MessageImported) -> Conversation:
    """The conversation after an imported event; its version is left to the caller."""
    if isinstance(event, ConversationImported):
        return conversation.changed(status="ended", flow=IMPORTED, subject=event.subject, state=IMPORTED.name)
    if event.text is None or event.role not in ("user", "assistant"):
        return conversation
    if event.role == "assistant":
        return conversation.changed(messages=conversation.messages + 1)
    turn = conversation.turn.changed(number=conversation.turn.number + 1, message=conversation.version)
    return conversation.changed(messages=conversation.messages + 1, received=conversation.received + 1, turn=turn)
