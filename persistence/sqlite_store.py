"""The log on SQLite: one file, one connection in each process, one thread that owns it.

Durable at the return of `append`: WAL with `synchronous=FULL`. Several processes may open the same file on
one machine's local disk; network file systems are not supported. See
`docs/decisions/0001-sqlite-wal-lock.md`.
"""

import json
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import TypeVar

from ..contracts.envelope import Head
from ..contracts.errors import InterlockError, StorageError
from ..contracts.payload import Payload, PayloadAt
from ..contracts.store import Append, FlowRow, Reservation, Spent, Status, StoredEntry, Summary, TimerRow
from . import ledger
from . import statements as sql
from .codec import checked, conversation_row, event_row, payload_of, payload_rows, summary_of
from .description import Description, described
from .presence import FilePresence, Presence
from .refusals import stream_moved
from .sqlite_errors import DATABASE_ERRORS, is_refused_row, translated
from .sqlite_file import SqliteFile
from .writer import Writer

T = TypeVar("T")
_MOST_REMEMBERED = 10_000


class _SqliteLog:
    """The connection's owner: commits together, and opens a new connection after a failure."""

    def __init__(self, opened: Callable[[bool], SqliteFile]) -> None:
        self._opened = opened
        self._file: SqliteFile | None = opened(False)
        # What this connection last saw of each stream: its length and deadlines. True for as long as no other
        # connection has committed, which `data_version` tells inside the transaction.
        self._seen: dict[str, tuple[int, tuple[TimerRow, ...]]] = {}
        self._seen_at = -1

    @property
    def file(self) -> SqliteFile:
        """A connection that may be trusted: after a failed write, a new one."""
        if self._file is not None and self._file.suspect:
            broken, self._file = self._file, None
            broken.close()
        if self._file is None:
            self._seen.clear()
            self._file = self._opened(True)
        return self._file

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def commit(self, appends: Sequence[Append]) -> Sequence[int | Exception]:
        try:
            return self._together(appends)
        except DATABASE_ERRORS as error:
            self._seen.clear()
            refused = is_refused_row(error)
            if refused and len(appends) == 1 and self._has_a_key_of(appends[0]):
                return [stream_moved(appends[0], appends[0].expected)]
            if not refused or len(appends) == 1:
                raise translated(error, self._where()) from error
        except InterlockError:
            self._seen.clear()
            raise
        except Exception as error:
            self._seen.clear()
            if len(appends) == 1:  # a value that the driver cannot write, such as a name with a lone surrogate
                raise translated(error, self._where()) from error
        except BaseException:
            self._seen.clear()
            raise
        # One append of several cannot be written. Nothing was recorded: each goes alone, and hurts itself only.
        return [self._alone(append) for append in appends]

    def _alone(self, append: Append) -> int | Exception:
        try:
            return self.commit([append])[0]
        except InterlockError as error:
            return error

    def _together(self, appends: Sequence[Append]) -> Sequence[int | Exception]:
        """One transaction for all: those whose stream has moved are left out of it."""
        file = self.file
        outcomes: list[int | Exception] = []
        taken: list[Append] = []
        with file.writing():
            self._forget_if_others_wrote(file)
            self._look_up(file, {append.summary.stream for append in appends} - self._seen.keys())
            for append in appends:
                stream = append.summary.stream
                length, _ = self._seen[stream]
                if length == append.expected:
                    taken.append(append)
                    outcomes.append(append.summary.length)
                    self._seen[stream] = (append.summary.length, self._seen[stream][1])
                else:
                    outcomes.append(stream_moved(append, length))
            self._record(file, taken)
        return outcomes

    def _record(self, file: SqliteFile, appends: Sequence[Append]) -> None:
        entries = [(entry, append.summary.subject) for append in appends for entry in append.entries]
        last = {append.summary.stream: append.summary for append in appends}
        moved = [summary for stream, summary in last.items() if self._seen[stream][1] != summary.timers]
        file.add(sql.ADD_EVENT, [event_row(entry) for entry, _ in entries])
        file.add(sql.ADD_PAYLOAD, [row for entry, subject in entries for row in payload_rows(entry, subject)])
        file.add(sql.PUT_CONVERSATION, [conversation_row(summary) for summary in last.values()])
        file.add(sql.DROP_TIMERS, [(summary.stream,) for summary in moved])
        file.add(sql.ADD_TIMER, [(t.stream, t.timer, t.due) for summary in moved for t in summary.timers])
        for stream, summary in last.items():
            self._seen[stream] = (summary.length, summary.timers)

    def _forget_if_others_wrote(self, file: SqliteFile) -> None:
        now = file.pragma("data_version")
        if now != self._seen_at or len(self._seen) > _MOST_REMEMBERED:
            self._seen.clear()
            self._seen_at = now

    def _look_up(self, file: SqliteFile, streams: set[str]) -> None:
        """Where these streams end now, in one question for all."""
        if streams:
            for stream, length in file.run(sql.LENGTHS, streams=json.dumps(sorted(streams))):
                timers = file.run(sql.TIMERS_OF, in_stream=stream) if length else ()
                self._seen[stream] = (length, tuple(TimerRow(stream, timer, due) for timer, due in timers))

    def _has_a_key_of(self, append: Append) -> bool:
        return any(
            self.file.run(sql.VERSION_OF_KEY, in_stream=entry.stream, given=entry.key)
            for entry in append.entries
            if entry.key is not None
        )

    def _where(self) -> str:
        return str(self._file.path) if self._file is not None else "the database"


class SqliteStore:
    """A `Store` on one SQLite file; every method may be called from any thread.

    A process has one store for a file. Reads run on the writing thread, so they see every acknowledged
    append. After a failed write the connection is thrown away and a new one opened; the failed appends are
    not tried again, and what was acknowledged is never in doubt.
    """

    def __init__(self, path: Path | str, *, origin: str = "", wait_seconds: float = 5.0) -> None:
        """Open the log, or create it. Brings an older schema to this release's.

        `origin` names a new log; of an existing one it must be the name. `wait_seconds` is how long another
        process may keep the database locked. Raises `StorageError` if the file cannot be used.
        """
        self.path = Path(path)

        def opened(mend: bool) -> SqliteFile:
            return SqliteFile(self.path, wait_seconds=wait_seconds, origin=origin, mend=mend)

        self._writer = Writer(lambda: _SqliteLog(opened), str(self.path))
        self.log = self._ask(lambda file: file.log)

    def enqueue(self, append: Append) -> "Future[int]":
        return self._writer.enqueue(checked(append))

    def append(self, append: Append) -> int:
        return self._writer.append(checked(append))

    def head(self, stream: str) -> Head:
        rows = self._ask(lambda file: file.run(sql.HEAD, in_stream=stream))
        return Head(stream, rows[0][0] + 1, rows[0][1]) if rows else Head(stream)

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StoredEntry]:
        rows = self._ask(lambda file: file.run(sql.ENTRIES, in_stream=stream, first=after, at_most=_at_most(limit)))
        return tuple(StoredEntry(*row) for row in rows)

    def find_key(self, stream: str, key: str) -> int | None:
        rows = self._ask(lambda file: file.run(sql.VERSION_OF_KEY, in_stream=stream, given=key))
        return rows[0][0] if rows else None

    def payload(self, stream: str, at: PayloadAt) -> Payload | None:
        rows = self._ask(lambda file: file.run(sql.ONE_PAYLOAD, in_stream=stream, of=at.version, called=at.name))
        return payload_of(*rows[0][1:]) if rows else None

    def payloads(self, stream: str, *, after: int = 0) -> dict[PayloadAt, Payload]:
        rows = self._ask(lambda file: file.run(sql.PAYLOADS, in_stream=stream, first=after))
        return {PayloadAt(version=version, name=row[0]): payload_of(*row) for version, *row in rows}

    def streams(self) -> Sequence[str]:
        found = tuple(stream for (stream,) in self._ask(lambda file: file.run(sql.STREAMS)))
        if not all(isinstance(stream, str) for stream in found):
            raise StorageError(
                "The database is malformed: an entry has no stream.",
                where=str(self.path),
                fix="Stop every process that uses it, keep the file as it is, and restore a backup that verifies.",
            )
        return found

    def put_flow(self, row: FlowRow) -> None:
        def put(file: SqliteFile) -> None:
            with file.writing():  # looked up first, for the table refuses a row that exists, even with OR IGNORE
                if not file.run(sql.FLOW_OF, under=row.digest):
                    file.add(sql.ADD_FLOW, [(row.digest, row.name, row.version, row.body, row.source)])

        self._ask(put)

    def flow(self, digest: str) -> FlowRow | None:
        rows = self._ask(lambda file: file.run(sql.FLOW_OF, under=digest))
        return FlowRow(*rows[0]) if rows else None

    def flows(self) -> Sequence[FlowRow]:
        return tuple(FlowRow(*row) for row in self._ask(lambda file: file.run(sql.FLOWS)))

    def summary(self, stream: str) -> Summary | None:
        def both(file: SqliteFile) -> Summary | None:
            with file.reading():
                rows = file.run(sql.CONVERSATION_OF, in_stream=stream)
                return summary_of(rows[0], file.run(sql.TIMERS_OF, in_stream=stream)) if rows else None

        return self._ask(both)

    def summaries(
        self,
        *,
        status: Status | None = None,
        undecided: bool = False,
        limit: int | None = None,
    ) -> Sequence[Summary]:
        statement = sql.CONVERSATIONS[status is not None, undecided]

        def all_of(file: SqliteFile) -> Sequence[Summary]:
            with file.reading():
                rows = file.run(statement, status=status, at_most=_at_most(limit))
                return tuple(summary_of(row, file.run(sql.TIMERS_OF, in_stream=row[0])) for row in rows)

        return self._ask(all_of)

    def due_timers(self, now: str, *, limit: int = 100) -> Sequence[TimerRow]:
        rows = self._ask(lambda file: file.run(sql.DUE, now=now, at_most=_at_most(limit)))
        return tuple(TimerRow(*row) for row in rows)

    def next_due(self) -> str | None:
        due: str | None = self._ask(lambda file: file.run(sql.NEXT_DUE))[0][0]
        return due

    def claim(self, stream: str, owner: str, previous: str) -> bool:
        def take(file: SqliteFile) -> bool:
            with file.writing():
                return file.change(sql.CLAIM, in_stream=stream, new_owner=owner, previous=previous) == 1

        return self._ask(take)

    def reserve(self, reservation: Reservation, at_most: Spent) -> Spent | None:
        return self._ask(lambda file: ledger.reserve(file, reservation, at_most))

    def settle(self, stream: str, effect: int, used: Spent | None) -> None:
        self._ask(lambda file: ledger.settle(file, stream, effect, used))

    def reservations(self) -> Sequence[Reservation]:
        return self._ask(ledger.reservations)

    def spent(self, tenant: str, day: str) -> Spent:
        return self._ask(lambda file: ledger.spent(file, tenant, day))

    def presence(self) -> Presence:
        """Make this process one that performs effects; held until its `close`, which the caller owes."""
        return FilePresence(self.path.with_name(self.path.name + ".workers"))

    def describe(self) -> Description:
        """What `interlock doctor` says of the file."""
        return self._ask(described)

    def close(self) -> None:
        self._writer.close()

    def _ask(self, answer: Callable[[SqliteFile], T]) -> T:
        def on_the_thread() -> T:
            try:
                return answer(self._writer.log.file)
            except DATABASE_ERRORS as error:
                raise translated(error, self.path) from error

        return self._writer.ask(on_the_thread)


def _at_most(limit: int | None) -> int:
    return -1 if limit is None else max(limit, 0)
