"""Refusals that every store words alike."""

from ..contracts.errors import StorageError, StreamMoved
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


def closed_store(where: str) -> StorageError:
    return StorageError("The store is closed.", where=where, fix="Open it again, or close it after the last use.")
