"""The records of what people do to the log: written before or in the act, read back to know what stands.

A record is the log's own entry: chained, in the Merkle tree, under the next checkpoint. Nothing here is decided by a
flow, so it belongs to no conversation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TypeGuard

from ..contracts.canonical import leaf_hash
from ..contracts.errors import LogBroken, NotEncodable
from ..contracts.keeping import Act, HoldPlaced, HoldReleased, ReadThrough, TextsRead
from ..contracts.payload import Payload, PayloadAt
from ..contracts.protection import KeepingStore
from ..contracts.records import HeadsTaken, KeyRotated, RecordEnvelope, record_bytes, record_of
from ..contracts.store import Store
from ..contracts.tree import KeptRecord
from ..contracts.values import written_time
from .clock import Clock, SystemClock


@dataclass(frozen=True, slots=True)
class Recorded:
    """An act as it stands: its number among the records, when it was, and the leaf of its entry."""

    number: int
    at: datetime
    act: Act
    leaf: bytes


class Journal:
    """Acts on one log. Safe in several processes: each act gets the next number."""

    def __init__(self, store: KeepingStore, clock: Clock | None = None) -> None:
        self.store, self._clock = store, clock or SystemClock()
        self._tree = store.tree()

    def note(self, act: Act) -> Recorded:
        """Record the act; durable on return. Raises `StorageError` where it cannot: then the act must not be done."""
        with self._tree.sequencing():
            number, previous = self._tree.last_record()
            now = self._clock.now()
            entry = record_bytes(act, number=number, at=now, log=self.store.log, previous=previous)
            leaf = leaf_hash(entry)
            self._tree.add_record(KeptRecord(number, act.type, written_time(now), leaf, entry))
        return Recorded(number, now, act, leaf)

    def acts(self, after: int = 0) -> Iterator[Recorded]:
        """Every act from record `after` on, in order. Raises `LogBroken` at a record that is none."""
        for entry in self._tree.records(after):
            envelope, found = self._opened(entry)
            if not isinstance(found, HeadsTaken | KeyRotated):
                yield Recorded(envelope.record, envelope.at, found, leaf_hash(entry))

    def _opened(self, entry: bytes) -> tuple[RecordEnvelope, Act | HeadsTaken | KeyRotated]:
        try:
            return record_of(entry)
        except NotEncodable as error:
            raise LogBroken(error.what, stream="", version=0, where="the log's records", fix=error.fix) from error

    def holds(self) -> Mapping[int, HoldPlaced]:
        """The holds that stand, by the number of their record."""
        standing: dict[int, HoldPlaced] = {}
        for one in self.acts():
            if isinstance(one.act, HoldPlaced):
                standing[one.number] = one.act
            elif isinstance(one.act, HoldReleased):
                standing.pop(one.act.hold, None)
        return standing

    def read_texts(self, stream: str, *, by: str, through: ReadThrough, ground: str = "") -> dict[PayloadAt, Payload]:
        """The texts of a conversation for a person to see: recorded first, so that no reading goes unrecorded."""
        self.note(TextsRead(by=by, ground=ground, through=through, conversation=stream))
        return self.store.payloads(stream)


def is_keeping(store: Store) -> TypeGuard[KeepingStore]:
    """Whether the store has records of its own: every one of ours has."""
    return hasattr(store, "streams_of") and hasattr(store, "tree")
