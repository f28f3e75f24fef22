"""What people do to the log itself: reading texts, erasing a person, holding, pruning, keys. Each is a record.

Records stand in the tree beside the conversations' entries (`contracts/records.py`). They name people and subjects
by pseudonyms; a ground is a reference of whoever acts, such as the number of a request, and never a person's name.
"""

import hashlib
from typing import Annotated, Literal

from pydantic import Field

from .payload import bytes_of
from .values import ActorId, Count, Digest, SubjectId, Value, added

Ground = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{0,200}$")]
"""Why somebody acted: one line of at most 200 characters. It is kept as long as the log: no personal data."""
ArchiveName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]
"""What an archive is called, in the log and by people. No personal data."""
TextHash = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
"""Names one text, as `text_hash` makes it."""
ReadThrough = Literal["log", "chat", "tasks", "export", "compare", "route", "service"]


class TextsRead(Value):
    """Somebody was about to see the texts of a conversation; recorded before they were shown."""

    type: Literal["texts_read"] = "texts_read"
    by: ActorId
    ground: Ground = ""
    through: ReadThrough
    conversation: str


class HoldPlaced(Value):
    """From here on nothing of the subject, or of the conversation, is erased or pruned."""

    type: Literal["hold_placed"] = "hold_placed"
    by: ActorId
    ground: Ground
    subject: SubjectId | None = None
    conversation: str | None = None


class HoldReleased(Value):
    """The hold of record `hold` is over."""

    type: Literal["hold_released"] = "hold_released"
    by: ActorId
    ground: Ground
    hold: Count


class ErasureAsked(Value):
    """Somebody asked to erase a subject. `approvals` is how many people must, who asked included."""

    type: Literal["erasure_asked"] = "erasure_asked"
    by: ActorId
    ground: Ground
    subject: SubjectId
    approvals: Count


class ErasureApproved(Value):
    """Another person approved the erasure that record `request` asks for."""

    type: Literal["erasure_approved"] = "erasure_approved"
    by: ActorId
    request: Count


class ErasureRefused(Value):
    """An erasure was asked for and not done: a hold stands against it, or the same person approved twice."""

    type: Literal["erasure_refused"] = "erasure_refused"
    by: ActorId
    ground: Ground = ""
    subject: SubjectId
    reason: Literal["held", "same_person"]
    hold: Count | None = None


class ErasureDone(Value):
    """The erasure of record `request` is complete: rows and keys are gone, and no free page holds them."""

    type: Literal["erasure_done"] = "erasure_done"
    request: Count
    conversations: Count
    payloads: Count


def text_hash(stream: str, version: int, name: str) -> str:
    """The first 16 bytes of SHA-256 over where a text is. It names the text to whoever has its conversation, and tells
    nobody else which conversation that is: names of streams are random."""
    place = bytes_of(f"interlock pruned text v1\n{stream}\n{version}\n{name}")
    return hashlib.sha256(place).hexdigest()[:32]


class TextsPruned(Value):
    """Texts whose time was over were deleted, as the policy with this digest says: `texts`, in the order of their
    hashes. Records of an older release have their number alone."""

    type: Literal["texts_pruned"] = "texts_pruned"
    by: ActorId
    ground: Ground = ""
    policy: Digest
    conversations: Count
    payloads: Count
    texts: tuple[TextHash, ...] = added(())


class SegmentPruned(Value):
    """The entries of ended conversations go from the database; `archive` has them. Recorded and signed before.

    `manifest` is the SHA-256 of the archive's MANIFEST, `listing` that over what is kept of the conversations
    (`contracts/archive.py`), and `statement` a note over both that the log's key has signed. The archive was made of
    the tree of `size` leaves; the entries have their places from leaf `first` to leaf `last`, not all of those between.
    """

    type: Literal["segment_pruned"] = "segment_pruned"
    by: ActorId
    ground: Ground
    archive: ArchiveName
    manifest: Digest
    listing: Digest
    size: Count
    first: Count
    last: Count
    conversations: Count
    entries: Count
    payloads: Count
    least_days: Count
    statement: str


class PruneRefused(Value):
    """Somebody asked to prune what a hold keeps: nothing was done."""

    type: Literal["prune_refused"] = "prune_refused"
    by: ActorId
    ground: Ground
    archive: ArchiveName
    hold: Count


class KeysChanged(Value):
    """`encrypted`: texts that lay in clear were encrypted. `rotated`: data keys were wrapped by a new master key."""

    type: Literal["keys_changed"] = "keys_changed"
    by: ActorId
    ground: Ground = added("")
    how: Literal["encrypted", "rotated"]
    count: Count


class ApproverNamed(Value):
    """From here on `person` signs approvals with this Ed25519 key (hexadecimal), under any of `accounts`; without a
    key, from here on with none."""

    type: Literal["approver_named"] = "approver_named"
    by: ActorId
    ground: Ground = ""
    person: ActorId
    accounts: tuple[ActorId, ...] = ()
    key: Digest | None = None


Act = (
    TextsRead
    | HoldPlaced
    | HoldReleased
    | ErasureAsked
    | ErasureApproved
    | ErasureRefused
    | ErasureDone
    | TextsPruned
    | SegmentPruned
    | PruneRefused
    | KeysChanged
    | ApproverNamed
)


# -- in the conversation ----------------------------------------------------------------------------


class Erase(Value):
    """Note in the conversation that its texts are being erased; `request` is the leaf of the record that asks it."""

    kind: Literal["erase"] = "erase"
    request: Digest
    payloads: Count


class Erased(Value):
    """The texts of this conversation's subject were erased, in the same transaction. Nothing else changes."""

    type: Literal["erased"] = "erased"
    request: Digest
    payloads: Count
