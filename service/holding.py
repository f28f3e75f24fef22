"""Legal holds: nothing of a person, or of a conversation, is erased or pruned while one stands."""

from ..contracts.errors import CallError
from ..contracts.keeping import HoldPlaced, HoldReleased
from ..contracts.values import SubjectId, listed
from .journal import Journal, Recorded


def placed(journal: Journal, *, subject: str | None, conversation: str | None, by: str, ground: str) -> Recorded:
    """Record the hold. Raises `CallError` where there is no such subject; the conversation was looked up before."""
    store = journal.store
    if subject is not None and not store.streams_of(subject) and not store.archived(subject):
        raise CallError(f"There is no subject {subject!r} in this log.", fix="Name one that conversations have.")
    return journal.note(
        HoldPlaced(
            by=by, ground=ground, subject=SubjectId(subject) if subject is not None else None, conversation=conversation
        )
    )


def released(journal: Journal, hold: int, *, by: str, ground: str) -> Recorded:
    """Record its end. Raises `CallError` where no such hold stands."""
    standing = journal.holds()
    if hold not in standing:
        raise CallError(f"No hold {hold} stands.", fix=f"Those that stand are {listed(sorted(standing))}.")
    return journal.note(HoldReleased(by=by, ground=ground, hold=hold))
