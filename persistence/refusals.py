"""Refusals that every store words alike."""

from ..contracts.archive import Archived
from ..contracts.errors import ConversationArchived, StorageError, StreamMoved
from ..contracts.store import Append


def stream_moved(append: Append, found: int) -> StreamMoved:
    """The refusal of an append whose reader was overtaken, or whose key is in the stream already."""
    stream = append.summary.stream
    if found == append.expected:
        return StreamMoved(
            "An entry of the stream has this idempotency key already.",
            where=f"stream {stream}",
            fix="Read the stream again and return what the key's entry recorded.",
        )
    return StreamMoved(
        f"The stream has {found} entries, not {append.expected}.",
        where=f"stream {stream}",
        fix="Read the stream again, decide again, and append again.",
    )


def stream_archived(found: Archived) -> ConversationArchived:
    """The refusal of whatever needs entries that are in an archive, and of appends to a conversation that is."""
    return ConversationArchived(
        found.where,
        stream=found.stream,
        archive=found.archive,
        fix=f"Read them there: `interlock log --archive {found.archive} {found.stream}`. To go on, begin another one.",
    )


def closed_store(where: str) -> StorageError:
    return StorageError("The store is closed.", where=where, fix="Open it again, or close it after the last use.")
