"""A store in memory: for tests, demonstrations and dry runs. Nothing outlives the process."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from threading import Lock
from uuid import uuid4

from ..contracts.archive import Archived
from ..contracts.envelope import Entry, Head
from ..contracts.errors import ConversationArchived, StreamMoved
from ..contracts.payload import Payload, PayloadAt
from ..contracts.protection import AgedPayload, Packed
from ..contracts.store import Append, FlowRow, Reservation, Spent, Status, StoredEntry, Summary, TimerRow
from .codec import checked, stored
from .cutting import moved
from .memory_tree import MemoryTree
from .presence import OnlyProcess, Presence
from .refusals import closed_store, stream_archived, stream_moved


class MemoryStore:
    """Passes the same suite as the store on SQLite; durable for as long as the object lives."""

    def __init__(self, *, origin: str = "") -> None:
        self.log = origin or f"interlock-{uuid4().hex}"
        self._lock = Lock()
        self._entries: dict[str, list[StoredEntry]] = {}
        self._keys: dict[tuple[str, str], int] = {}
        self._payloads: dict[str, dict[PayloadAt, Payload]] = {}
        self._flows: dict[str, FlowRow] = {}
        self._summaries: dict[str, Summary] = {}
        self._days: dict[tuple[str, str], Spent] = {}
        self._reservations: dict[tuple[str, int], Reservation] = {}
        self._closed = False
        self._present: set[str] = set()
        self._committed: list[StoredEntry] = []
        self._archived: dict[str, Archived] = {}
        self._tree = MemoryTree(self.log, lambda first: self._committed[first:])

    def presence(self) -> Presence:
        return OnlyProcess(self._present)

    def tree(self) -> MemoryTree:
        """The Merkle tree over this log's entries."""
        return self._tree

    def enqueue(self, append: Append) -> "Future[int]":
        append = checked(append)
        future: Future[int] = Future()
        with self._open():
            moved = self._refusal(append)
            if moved is None:
                self._record(append)
        if moved is None:
            future.set_result(append.summary.length)
        else:
            future.set_exception(moved)
        return future

    def append(self, append: Append) -> int:
        return self.enqueue(append).result()

    def _refusal(self, append: Append) -> StreamMoved | ConversationArchived | None:
        stream = append.summary.stream
        if stream in self._archived:
            return stream_archived(self._archived[stream])
        found = len(self._entries.get(stream, ()))
        repeated = any((stream, entry.key) in self._keys for entry in append.entries if entry.key is not None)
        return stream_moved(append, found) if repeated or found != append.expected else None

    def _record(self, append: Append) -> None:
        stream = append.summary.stream
        entries = [stored(entry) for entry in append.entries]
        self._entries.setdefault(stream, []).extend(entries)
        self._committed.extend(entries)
        for entry in append.entries:
            self._record_beside(entry)
        self._summaries[stream] = append.summary

    def _record_beside(self, entry: Entry) -> None:
        if entry.key is not None:
            self._keys[entry.stream, entry.key] = entry.version
        rows = self._payloads.setdefault(entry.stream, {})
        for payload in entry.payloads:
            rows[PayloadAt(version=entry.version, name=payload.name)] = payload

    def head(self, stream: str) -> Head:
        with self._open():
            entries = self._entries.get(stream)
            self._refuse_archived(stream)
            return Head(stream, len(entries), entries[-1].leaf) if entries else Head(stream)

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StoredEntry]:
        with self._open():
            self._refuse_archived(stream)
            found = self._entries.get(stream, [])[max(after, 0) :]
            return tuple(found if limit is None else found[:limit])

    def _refuse_archived(self, stream: str) -> None:
        if stream in self._archived:
            raise stream_archived(self._archived[stream])

    def find_key(self, stream: str, key: str) -> int | None:
        with self._open():
            return self._keys.get((stream, key))

    def payload(self, stream: str, at: PayloadAt) -> Payload | None:
        with self._open():
            return self._payloads.get(stream, {}).get(at)

    def payloads(self, stream: str, *, after: int = 0) -> dict[PayloadAt, Payload]:
        with self._open():
            return {at: found for at, found in self._payloads.get(stream, {}).items() if at.version >= after}

    def streams(self) -> Sequence[str]:
        with self._open():
            return tuple(sorted(self._entries))

    def put_flow(self, row: FlowRow) -> None:
        with self._open():
            self._flows.setdefault(row.digest, row)

    def flow(self, digest: str) -> FlowRow | None:
        with self._open():
            return self._flows.get(digest)

    def flows(self) -> Sequence[FlowRow]:
        with self._open():
            return tuple(sorted(self._flows.values(), key=lambda row: (row.name, row.version, row.digest)))

    def summary(self, stream: str) -> Summary | None:
        with self._open():
            return self._summaries.get(stream)

    def summaries(
        self,
        *,
        status: Status | None = None,
        undecided: bool = False,
        limit: int | None = None,
    ) -> Sequence[Summary]:
        with self._open():
            kept = [
                summary
                for summary in self._summaries.values()
                if (status is None or summary.status == status) and (summary.undecided > 0 or not undecided)
            ]
        kept.sort(key=lambda summary: summary.stream)
        kept.sort(key=lambda summary: summary.updated_at, reverse=True)
        return tuple(kept if limit is None else kept[:limit])

    def _live_timers(self) -> list[TimerRow]:
        with self._open():
            live = [
                timer for summary in self._summaries.values() if summary.status == "open" for timer in summary.timers
            ]
        return sorted(live, key=lambda timer: (timer.due, timer.stream, timer.timer))

    def due_timers(self, now: str, *, limit: int = 100) -> Sequence[TimerRow]:
        return tuple(timer for timer in self._live_timers() if timer.due <= now)[:limit]

    def next_due(self) -> str | None:
        live = self._live_timers()
        return live[0].due if live else None

    def claim(self, stream: str, owner: str, previous: str) -> bool:
        with self._open():
            summary = self._summaries.get(stream)
            if summary is None or summary.owner != previous:
                return False
            self._summaries[stream] = replace(summary, owner=owner)
            return True

    def reserve(self, reservation: Reservation, at_most: Spent) -> Spent | None:
        with self._open():
            day = (reservation.tenant, reservation.day)
            stands = self._days.get(day, Spent())
            after = stands.plus(reservation.amount)
            if not after.fits(at_most):
                return stands
            self._days[day] = after
            self._reservations[reservation.stream, reservation.effect] = reservation
            return None

    def settle(self, stream: str, effect: int, used: Spent | None) -> None:
        with self._open():
            found = self._reservations.pop((stream, effect), None)
            if found is not None and used is not None:
                day = (found.tenant, found.day)
                self._days[day] = self._days[day].minus(found.amount).plus(used)

    def reservations(self) -> Sequence[Reservation]:
        with self._open():
            return tuple(self._reservations[key] for key in sorted(self._reservations))

    def spent(self, tenant: str, day: str) -> Spent:
        with self._open():
            return self._days.get((tenant, day), Spent())

    def streams_of(self, subject: str) -> Sequence[str]:
        with self._open():
            return tuple(sorted(one.stream for one in self._summaries.values() if one.subject == subject))

    def payloads_of(self, subject: str) -> Mapping[str, int]:
        found = {stream: len(self.payloads(stream)) for stream in self.streams_of(subject)}
        return {stream: count for stream, count in found.items() if count}

    def erase(self, appends: Sequence[Append], subject: str) -> tuple[int, int]:
        gone = sum(self.payloads_of(subject).values())
        with self._open():
            for append in map(checked, appends):
                moved = self._refusal(append)
                if moved is not None:
                    raise moved
            for append in appends:
                self._record(append)
            for stream in [one.stream for one in self._summaries.values() if one.subject == subject]:
                self._payloads.pop(stream, None)
        return gone, 0

    def prune(self, places: Sequence[tuple[str, PayloadAt]]) -> int:
        with self._open():
            return sum(self._payloads.get(stream, {}).pop(at, None) is not None for stream, at in places)

    def aged(self, before: str, *, ended: bool = True) -> Sequence[AgedPayload]:
        with self._open():
            return tuple(
                AgedPayload(
                    stream, at, one.kind, self._summaries[stream].subject, self._entries[stream][at.version].type, when
                )
                for stream, rows in sorted(self._payloads.items())
                for at, one in sorted(rows.items(), key=lambda item: (item[0].version, item[0].name))
                # A clock that was set back makes nothing older: a text is as old as the newest event up to it.
                if (when := max(one.at for one in self._entries[stream][: at.version + 1])) < before
                and (self._summaries[stream].status == "ended") is ended
            )

    def archived(self, subject: str | None = None) -> Sequence[Archived]:
        with self._open():
            found = sorted(self._archived.values(), key=lambda one: one.stream)
        return tuple(one for one in found if subject in (None, one.subject))

    def packed(self, stream: str) -> Sequence[Packed]:
        rows = sorted(self.payloads(stream).items(), key=lambda row: (row[0].version, row[0].name))
        return tuple(Packed(at.version, at.name, one.kind, one.r, one.plaintext, None, None) for at, one in rows)

    def unpacked(self, stream: str, packed: Sequence[Packed]) -> Mapping[PayloadAt, Payload]:
        return {
            PayloadAt(version=one.version, name=one.name): Payload(one.name, one.kind, one.r or b"", one.body)
            for one in packed
            if one.key is None
        }

    def keys_among(self, keys: Iterable[str]) -> Collection[str]:
        return ()

    def subjects_with_keys(self) -> Collection[str]:
        return ()

    def cut(self, archived: Sequence[Archived]) -> tuple[int, int]:
        with self._open():
            for one in archived:
                summary = self._summaries.get(one.stream)
                if summary is None or (summary.length, summary.status) != (one.length, "ended"):
                    raise moved(one)
            self._tree.cut(archived)
            payloads = sum(len(self._payloads.pop(one.stream, {})) for one in archived)
            entries = sum(len(self._entries.pop(one.stream)) for one in archived)
            self._archived |= {one.stream: one for one in archived}
            for one in archived:
                del self._summaries[one.stream]
            self._keys = {key: at for key, at in self._keys.items() if key[0] not in self._archived}
            gone = self._archived
            self._committed = [one._replace(data=b"") if one.stream in gone else one for one in self._committed]
        return entries, payloads

    def scrub(self) -> None:
        """Nothing of it is anywhere."""

    def close(self) -> None:
        with self._lock:
            self._closed = True

    def _open(self) -> Lock:
        """The lock to hold. Raises `StorageError` after `close`, as a store on a disk does."""
        if self._closed:
            raise closed_store(self.log)
        return self._lock
