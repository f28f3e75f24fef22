"""What protects payloads at rest: a master key that wraps the data keys of people, wherever it is kept; and what
a store promises of erasing them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from .archive import Archived
from .payload import Payload, PayloadAt, PayloadClass
from .store import Append, Store
from .tree import TreeStore


class MasterKey(Protocol):
    """Two methods, so that a key management service fits behind them; the default is a file beside the log.

    Called when the key of a person is needed for the first time in a process, and never for a single payload.
    May block; raises `KeyUnavailable` where the key cannot be had, and then nothing is recorded.
    """

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key` (32 bytes) such that only `unwrap` with the same `context` gives it back."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped. Raises `KeyUnavailable` for another's, an altered one, or another context."""
        ...


@dataclass(frozen=True, slots=True)
class AgedPayload:
    """A payload of a conversation that has ended: of what class, at what type of event, and when that was.

    `when` is the time of the newest event up to it: where a clock was set back, the text is no older for that."""

    stream: str
    at: PayloadAt
    kind: PayloadClass
    subject: str
    event: str
    when: str


@dataclass(frozen=True, slots=True)
class Packed:
    """A payload as it lies in the database: with `key` and `nonce` encrypted, else in clear behind its `r`."""

    version: int
    name: str
    kind: PayloadClass
    r: bytes | None
    body: bytes
    key: str | None
    nonce: bytes | None


class KeepingStore(Store, Protocol):
    """A store whose payloads can be erased, pruned and encrypted, and that keeps records of it. Thread-safe."""

    def tree(self) -> TreeStore: ...

    def streams_of(self, subject: str) -> Sequence[str]:
        """The conversations of a subject, and those that hold payloads of it, in order."""
        ...

    def payloads_of(self, subject: str) -> Mapping[str, int]:
        """How many payloads of the subject each conversation holds."""
        ...

    def erase(self, appends: Sequence[Append], subject: str) -> tuple[int, int]:
        """Record `appends`, and delete every payload and key of the subject, all or none; durable on return.

        Returns how many payloads and keys went. Raises `StreamMoved` where a conversation has moved.
        """
        ...

    def prune(self, places: Sequence[tuple[str, PayloadAt]]) -> int:
        """Delete these payloads, in one transaction; returns how many there were."""
        ...

    def archived(self, subject: str | None = None) -> Sequence[Archived]:
        """The conversations (of the subject) whose entries were pruned, by name. To read or continue one of them
        raises `ConversationArchived`; `streams`, `summaries` and `streams_of` leave them out."""
        ...

    def packed(self, stream: str) -> Sequence[Packed]:
        """The payloads of a stream as they lie in the database, by version and name."""
        ...

    def unpacked(self, stream: str, packed: Sequence[Packed]) -> Mapping[PayloadAt, Payload]:
        """What such payloads say; those are left out whose key is gone. Raises as reading payloads does."""
        ...

    def keys_among(self, keys: Iterable[str]) -> Collection[str]:
        """Those of these data keys that are there: texts under the others are lost."""
        ...

    def subjects_with_keys(self) -> Collection[str]:
        """The subjects that have a data key."""
        ...

    def cut(self, archived: Sequence[Archived]) -> tuple[int, int]:
        """Mark these conversations as archived and delete their entries and payloads, all or none; durable on return.

        Returns how many entries and payloads went. Raises `StreamMoved` where one is not as it was archived, and
        `StorageError` where no signed record of the log says that they may go.
        """
        ...

    def aged(self, before: str, *, ended: bool = True) -> Sequence[AgedPayload]:
        """The payloads whose event is from before that time, of conversations that have ended, or of those that have
        not."""
        ...

    def scrub(self) -> None:
        """Leave nothing of deleted rows in the files of the database. Raises `StorageError` if it cannot now."""
        ...
