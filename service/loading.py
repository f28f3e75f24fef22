"""A conversation read back from its entries: the same fold as in normal running, there is no other path."""

from collections.abc import Callable, Sequence

from ..contracts.envelope import Head, opened
from ..contracts.errors import CallError, LogBroken, NotEncodable
from ..contracts.events import ConversationStarted
from ..contracts.imported import ConversationImported
from ..contracts.store import StoredEntry
from ..fsm.conversation import Conversation
from ..fsm.program import Program
from ..fsm.replay import Recorded, check_states
from .live import Live


def recorded(entries: Sequence[StoredEntry]) -> list[Recorded]:
    """Entries opened for reading. Raises `LogBroken` at the first that is no known event."""
    found = []
    for entry in entries:
        try:
            envelope, event = opened(entry.data)
        except NotEncodable as error:
            raise LogBroken(
                error.what,
                stream=entry.stream,
                version=entry.version,
                fix="Run `interlock verify`; if it passes, use a release that knows this event.",
            ) from error
        found.append(Recorded(envelope, event, entry.data, entry.leaf))
    return found


def loaded(conversation: str, entries: Sequence[StoredEntry], pinned: Callable[[str], Program]) -> Live:
    """The live conversation after `entries`. `pinned` gives the program of a flow digest, or raises."""
    opened_entries = recorded(entries)
    first = opened_entries[0].event
    if isinstance(first, ConversationImported):
        raise CallError(
            "The conversation was imported: it was led elsewhere, and cannot go on here.",
            where=f"conversation {conversation}",
            fix="Read it with `interlock log`, or start a conversation of a flow.",
        )
    if not isinstance(first, ConversationStarted):
        raise LogBroken(
            "The stream does not begin with its start.", stream=conversation, version=0, fix="Run `interlock verify`."
        )
    live = Live(conversation, pinned(first.flow.digest), Conversation(id=conversation), Head(conversation))
    for version, one in enumerate(opened_entries):
        check_states(live.program, conversation, version, one.event)
    live.take(
        ((one.event, one.envelope.key, entry.at) for one, entry in zip(opened_entries, entries, strict=True)),
        Head(conversation, len(entries), entries[-1].leaf),
    )
    return live
