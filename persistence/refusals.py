"""Refusals that every store words alike."""

from ..contracts.archive import Archived
from ..contracts.errors import ConversationArchived, StorageError, StreamMoved
from ..contracts.store import Append


class NotKept(StorageError):
    """A statement was run without an error, and its rows are not there: somebody's trigger or rule took them."""


_WHO = (
    "Somebody added a trigger or a rule that drops or changes rows: `interlock verify` names it. Nothing of this was "
    "recorded."
)


def check_kept(statement: str, where: str, *, given: int, done: int, changed: int | None = None) -> None:
    """Raises `NotKept` where of the `given` rows that `statement` writes only `done` were, or `changed` rows were, with
    those that triggers changed; None where the database does not say."""
    if done != given:
        raise NotKept(f"The database kept {done} of {given} rows of `{_table(statement)}`.", where=where, fix=_WHO)
    if changed not in (None, given):
        raise NotKept(
            f"A trigger changed rows while {given} of `{_table(statement)}` were written.", where=where, fix=_WHO
        )


def check_gone(what: str, left: int, where: str) -> None:
    """Raises `NotKept` where rows that were deleted are there."""
    if left:
        raise NotKept(f"The database still has {left} {what} that were deleted.", where=where, fix=_WHO)


def _table(statement: str) -> str:
    """Of an INSERT, UPDATE or DELETE as the statements are compiled."""
    words = statement.split()
    return words[1 if words[0] == "UPDATE" else 2].strip('"')


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


def set_back(said: str, head: str, where: str) -> StorageError:
    """The refusal of a database that names an older schema than its tables are of."""
    return StorageError(
        f"The database says that its schema is {said!r}, and has tables of a later one: somebody set "
        "`alembic_version` back.",
        where=where,
        fix=f"Nothing was changed. Keep a copy as it is and restore a backup; or write {head!r} there again, if this "
        "release wrote it last, and run `interlock verify`.",
    )


def closed_store(where: str) -> StorageError:
    return StorageError("The store is closed.", where=where, fix="Open it again, or close it after the last use.")
