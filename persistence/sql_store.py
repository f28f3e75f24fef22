"""A `Store` on a database that speaks SQL: what every such database has in common.

One connection in each process, and one thread that owns it. Reads run on the writing thread, so they see every
acknowledged append. After a failed write the connection is thrown away and a new one opened; the failed appends are
not tried again, and what was acknowledged is never in doubt.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime
from typing import Any, Generic, TypeVar

from ..contracts.archive import Archived
from ..contracts.envelope import Head
from ..contracts.errors import StorageError
from ..contracts.payload import Payload, PayloadAt
from ..contracts.protection import AgedPayload, MasterKey, Packed
from ..contracts.store import Append, FlowRow, Reservation, Spent, Status, StoredEntry, Summary, TimerRow
from . import ledger
from . import statements as sql
from .beside import Stray, strays
from .codec import Row, checked, summary_of
from .connection import Failures, LogConnection
from .cutting import archived_as, archived_in, archived_of
from .description import Description
from .grouped import GroupedLog
from .keyfile import KeyFile
from .misfits import Misfit
from .placing import misplaced
from .presence import Presence
from .refusals import check_gone, stream_archived
from .sql_tree import SqlTree
from .vault import Vault
from .whole import LENGTHS, NAMES, Rows, Whole, pieces
from .writer import Writer

C = TypeVar("C", bound=LogConnection)
T = TypeVar("T")


class SqlStore(ABC, Generic[C]):
    """Every method may be called from any thread. A process has one store for a log."""

    master: MasterKey
    """What wraps the keys of texts."""
    one_writer = False
    """Whether entries are numbered in the order of commits."""

    @abstractmethod
    def describe(self) -> Description:
        """What `interlock doctor` says of the database."""

    def server_time(self) -> datetime | None:
        """The database server's time; None where the database has no clock but this machine's."""
        return None

    def may_sequence(self) -> bool:
        """Whether this process may give places in the tree and keep checkpoints."""
        return True

    def may_erase(self) -> bool:
        """Whether the database's user may delete what people wrote."""
        return True

    def reads_texts(self) -> bool:
        """Whether the database's user may read what people wrote; an auditor's may not."""
        return self._ask(lambda connection: connection.reads_texts)

    def try_writing(self) -> None:
        """Write a row and take it back. Raises `StorageError` where the log cannot be written."""

        def attempt(connection: C) -> None:
            with suppress(_TakenBack), connection.writing():
                connection.add(sql.ADD_FLOW, [("try", "try", 0, b"", "")])
                raise _TakenBack

        self._ask(attempt)

    def try_key(self, *, every: bool = False) -> None:
        """Have the master key open one of the keys of texts, if there is any, or every one.

        Raises `KeyUnavailable` where it is missing, open to others, damaged, or another log's: nothing that anybody
        writes could be recorded.
        """
        if isinstance(self.master, KeyFile) and self.master.exists():
            self.master.ids()
        for row in self._rows(sql.A_KEY, limit=None if every else 1):
            self.vault.tried(row)

    @abstractmethod
    def tree(self) -> SqlTree[C]:
        """The Merkle tree over this log's entries."""

    @abstractmethod
    def presence(self) -> Presence:
        """Make this process one that performs effects; held until its `close`, which the caller owes."""

    def __init__(
        self, opened: Callable[[bool], C], failures: Failures, where: str, vault: Vault, *, in_clear: bool = False
    ) -> None:
        """`opened` gives a connection, and is told whether the one before it failed. `vault` opens payloads, and
        encrypts them unless they are written `in_clear`. Raises `StorageError`."""
        self._failures, self._where = failures, where
        self.vault, self.in_clear = vault, in_clear
        self._writer = Writer(lambda: GroupedLog(opened, failures, None if in_clear else vault), where)
        self.log: str = self._ask(lambda connection: connection.log)

    def enqueue(self, append: Append) -> "Future[int]":
        return self._writer.enqueue(checked(append))

    def append(self, append: Append) -> int:
        return self._writer.append(checked(append))

    def head(self, stream: str) -> Head:
        rows = self._rows(sql.HEAD, in_stream=stream) or self._refuse_archived(stream)
        return Head(stream, rows[0][0] + 1, rows[0][1]) if rows else Head(stream)

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StoredEntry]:
        rows = self._rows(sql.ENTRIES, in_stream=stream, first=after, limit=limit) or self._refuse_archived(stream)
        return tuple(StoredEntry(*row) for row in rows)

    def _refuse_archived(self, stream: str) -> tuple[()]:
        """Nothing of the stream is here. Raises `ConversationArchived` where its entries were pruned."""
        found = self._ask(lambda connection: archived_as(connection, stream))
        if found is not None:
            raise stream_archived(found)
        return ()

    def find_key(self, stream: str, key: str) -> int | None:
        rows = self._rows(sql.VERSION_OF_KEY, in_stream=stream, given=key)
        return rows[0][0] if rows else None

    def payload(self, stream: str, at: PayloadAt) -> Payload | None:
        rows = self._rows(sql.ONE_PAYLOAD, in_stream=stream, of=at.version, called=at.name)
        return self.vault.opened(stream, at.version, rows[0][1:], self._wrapped) if rows else None

    def payloads(self, stream: str, *, after: int = 0) -> dict[PayloadAt, Payload]:
        rows = self._rows(sql.PAYLOADS, in_stream=stream, first=after)
        return {
            PayloadAt(version=version, name=row[0]): self.vault.opened(stream, version, tuple(row), self._wrapped)
            for version, *row in rows
        }

    def _wrapped(self, key: str) -> Sequence[Row]:
        return self._rows(sql.KEY_OF_ID, under=key)

    def streams(self) -> Sequence[str]:
        found = tuple(stream for (stream,) in self._rows(sql.STREAMS))
        self._check_names(found)
        return found

    def _check_names(self, streams: Iterable[object]) -> None:
        if not all(isinstance(stream, str) for stream in streams):
            raise self._malformed("an entry or a conversation has no stream")

    def lengths(self) -> dict[str, int]:
        """Of every stream that has an entry or a projection, in order, how many entries it has."""
        found = {stream: 0 for (stream,) in self._rows(NAMES)} | dict(self._rows(LENGTHS))
        self._check_names(found)
        return {stream: found[stream] for stream in sorted(found)}

    def wholes(self, lengths: Mapping[str, int]) -> Iterator[Whole]:
        """These conversations, in their order, each as it is at one time. `lengths` says how many entries to expect."""
        for piece in pieces(lengths):
            rows = self._ask(lambda connection, piece=piece: Rows(connection, piece))  # type: ignore[misc]
            for stream in piece:
                yield rows.whole(stream, self.vault)

    def _malformed(self, what: str) -> StorageError:
        """Where pages were written over so that rows still read."""
        return StorageError(
            f"The database is malformed: {what}.",
            where=self._where,
            fix="Stop every process that uses it, keep the file as it is, and restore a backup that verifies.",
        )

    def put_flow(self, row: FlowRow) -> None:
        def put(connection: C) -> None:
            with connection.writing():  # looked up first, for the table refuses a row that exists, even with OR IGNORE
                if not connection.run(sql.FLOW_OF, under=row.digest):
                    connection.add(sql.ADD_FLOW, [(row.digest, row.name, row.version, row.body, row.source)])

        self._ask(put)

    def flow(self, digest: str) -> FlowRow | None:
        rows = self._rows(sql.FLOW_OF, under=digest)
        return FlowRow(*rows[0]) if rows else None

    def flows(self) -> Sequence[FlowRow]:
        found = tuple(FlowRow(*row) for row in self._rows(sql.FLOWS))
        if [(type(row.digest), type(row.body)) for row in found] != [(str, bytes)] * len(found):
            raise self._malformed("a flow has no digest or no body")
        return found

    def summary(self, stream: str) -> Summary | None:
        def both(connection: C) -> Summary | None:
            with connection.reading():
                rows = connection.run(sql.CONVERSATION_OF, in_stream=stream)
                return summary_of(rows[0], connection.run(sql.TIMERS_OF, in_stream=stream)) if rows else None

        return self._ask(both)

    def summaries(
        self,
        *,
        status: Status | None = None,
        undecided: bool = False,
        limit: int | None = None,
    ) -> Sequence[Summary]:
        statement = sql.CONVERSATIONS[status is not None, undecided]

        def all_of(connection: C) -> Sequence[Summary]:
            with connection.reading():
                rows = connection.run(statement, status=status, at_most=_at_most(connection, limit))
                return tuple(summary_of(row, connection.run(sql.TIMERS_OF, in_stream=row[0])) for row in rows)

        return self._ask(all_of)

    def due_timers(self, now: str, *, limit: int = 100) -> Sequence[TimerRow]:
        rows = self._rows(sql.DUE, now=now, limit=limit)
        return tuple(TimerRow(*row) for row in rows)

    def next_due(self) -> str | None:
        due: str | None = self._rows(sql.NEXT_DUE)[0][0]
        return due

    def claim(self, stream: str, owner: str, previous: str) -> bool:
        def take(connection: C) -> bool:
            with connection.writing():
                return connection.change(sql.CLAIM, in_stream=stream, new_owner=owner, previous=previous) == 1

        return self._ask(take)

    def reserve(self, reservation: Reservation, at_most: Spent) -> Spent | None:
        return self._ask(lambda connection: ledger.reserve(connection, reservation, at_most))

    def settle(self, stream: str, effect: int, used: Spent | None) -> None:
        self._ask(lambda connection: ledger.settle(connection, stream, effect, used))

    def reservations(self) -> Sequence[Reservation]:
        return self._ask(ledger.reservations)

    def spent(self, tenant: str, day: str) -> Spent:
        return self._ask(lambda connection: ledger.spent(connection, tenant, day))

    def streams_of(self, subject: str) -> Sequence[str]:
        return tuple(stream for (stream,) in self._rows(sql.STREAMS_OF, of_subject=subject))

    def payloads_of(self, subject: str) -> Mapping[str, int]:
        return dict(self._rows(sql.COUNTS_OF, of_subject=subject))

    def erase(self, appends: Sequence[Append], subject: str) -> tuple[int, int]:
        given = [checked(append) for append in appends]
        return self._ask(lambda _: self._writer.log.erase(given, subject))

    def prune(self, places: Sequence[tuple[str, PayloadAt]]) -> int:
        def drop(connection: C) -> int:
            with connection.writing():
                gone = 0
                for stream, at in places:
                    one = {"in_stream": stream, "of": at.version, "called": at.name}
                    done = connection.change(sql.DROP_PAYLOAD, **one)
                    if not done:  # another was first, or a trigger kept it
                        check_gone("texts", len(connection.run(sql.ONE_PAYLOAD, **one)), self._where)
                    gone += done
                return gone

        return self._ask(drop)

    def archived(self, subject: str | None = None) -> Sequence[Archived]:
        return self._ask(lambda one: archived_in(one) if subject is None else archived_of(one, subject))

    def packed(self, stream: str) -> Sequence[Packed]:
        return tuple(Packed(*row) for row in self._rows(sql.PAYLOADS, in_stream=stream, first=0))

    def unpacked(self, stream: str, packed: Sequence[Packed]) -> dict[PayloadAt, Payload]:
        rows = {one: (one.name, one.kind, one.r, one.body, one.key, one.nonce) for one in packed}
        return {
            PayloadAt(version=one.version, name=one.name): self.vault.opened(stream, one.version, row, self._wrapped)
            for one, row in rows.items()
            if one.key is None or self._wrapped(one.key)
        }

    def keys_among(self, keys: Iterable[str]) -> Collection[str]:
        return {key for key in keys if self._wrapped(key)}

    def subjects_with_keys(self) -> Collection[str]:
        return {subject for (subject,) in self._rows(sql.SUBJECTS_WITH_KEYS)}

    def cut(self, archived: Sequence[Archived]) -> tuple[int, int]:
        return self._ask(lambda _: self._writer.log.cut(archived))

    def aged(self, before: str, *, ended: bool = True) -> Sequence[AgedPayload]:
        return tuple(
            AgedPayload(stream, PayloadAt(version=version, name=name), kind, subject, event, when)
            for stream, version, name, kind, subject, event, when in self._rows(sql.AGED_PAYLOADS[ended], before=before)
        )

    def scrub(self) -> None:
        self._ask(lambda connection: connection.scrub())

    def strays(self) -> list[Stray]:
        """Rows beside the entries that fit no conversation."""
        return self._ask(strays)

    def misplaced(self) -> Sequence[tuple[str, int, str]]:
        """Stream and version of each entry that would get no place in the tree or another's, and what is wrong."""
        return self._ask(lambda connection: misplaced(connection, one_writer=self.one_writer))

    def altered_keys(self) -> Sequence[str]:
        """The ids of the keys of texts that were altered, as far as that can be seen here."""
        if not self.reads_texts():
            return []
        return [row[0] for row in self.vault.altered(self._rows(sql.KEYS))]

    def check_pages(self) -> None:
        """Raises `StorageError` where the file itself does not hold together; a server checks its own."""

    def unlike_ours(self) -> Sequence[str]:
        """What the schema says otherwise than this release's, but for missing triggers: `describe` names them."""
        return ()

    def strange_settings(self) -> Sequence[str]:
        """Names in the table `meta` that no release writes: the log's own name is all there is."""
        return tuple(str(name) for (name,) in self._rows(sql.STRANGE_META))

    def misfits(self) -> list[Misfit]:
        """Rows that hold what their table does not admit: none, where the database itself sees to that."""
        return []

    def close(self) -> None:
        self._writer.close()

    def _rows(self, statement: sql.Statement, *, limit: int | None = None, **values: Any) -> Sequence[Any]:
        def run(connection: C) -> Sequence[Any]:
            return connection.run(statement, at_most=_at_most(connection, limit), **values)

        return self._ask(run)

    def _ask(self, answer: Callable[[C], T]) -> T:
        def on_the_thread() -> T:
            try:
                return answer(self._writer.log.connection)
            except self._failures.raised as error:
                raise self._failures.translated(error, self._where) from error

        return self._writer.ask(on_the_thread)


class _TakenBack(Exception):
    """Undoes a write that was only tried."""


def _at_most(connection: LogConnection, limit: int | None) -> int | None:
    return connection.all_rows if limit is None else max(limit, 0)
