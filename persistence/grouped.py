"""Appends committed together: those whose stream has moved are left out, and one that fails hurts itself alone."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, TypeVar

from ..contracts.archive import Archived
from ..contracts.envelope import Entry
from ..contracts.errors import InterlockError
from ..contracts.store import Append, TimerRow
from . import statements as sql
from .codec import Row, clear_row, conversation_row, event_row
from .connection import Failures, LogConnection
from .cutting import archived_as, cut
from .refusals import NotKept, check_gone, stream_archived, stream_moved
from .vault import Vault

C = TypeVar("C", bound=LogConnection)
_MOST_REMEMBERED = 10_000


class GroupedLog(Generic[C]):
    """The connection's owner: commits together, and opens a new connection after a failure."""

    def __init__(self, opened: Callable[[bool], C], failures: Failures, vault: Vault | None) -> None:
        """`opened` gives a connection, and is told whether the one before it failed. Without a vault, payloads are
        written in clear."""
        self._opened, self._vault = opened, vault
        self._failures = failures
        self._connection: C | None = opened(False)
        # What this connection last saw of each stream: its length and deadlines. True for as long as no other
        # connection has committed.
        self._seen: dict[str, tuple[int, tuple[TimerRow, ...]]] = {}

    @property
    def connection(self) -> C:
        """A connection that may be trusted: after a failed write, a new one."""
        if self._connection is not None and self._connection.suspect:
            broken, self._connection = self._connection, None
            broken.close()
        if self._connection is None:
            self._forget()
            self._connection = self._opened(True)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def commit(self, appends: Sequence[Append]) -> Sequence[int | Exception]:
        try:
            return self._together(appends)
        except self._failures.raised as error:
            self._forget()
            refused = self._failures.is_refused_row(error)
            if refused and len(appends) == 1 and (found := self._moved_to(appends[0])) is not None:
                return [stream_moved(appends[0], found)]
            if not refused or len(appends) == 1:
                raise self._failures.translated(error, self._where()) from error
        except InterlockError as error:
            self._forget()
            if not isinstance(error, NotKept) or len(appends) == 1:
                raise
        except Exception as error:
            self._forget()
            if len(appends) == 1:  # a value that the driver cannot write, such as a name with a lone surrogate
                raise self._failures.translated(error, self._where()) from error
        except BaseException:
            self._forget()
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
        connection = self.connection
        outcomes: list[int | Exception] = []
        taken: list[Append] = []
        with connection.writing():
            streams = sorted({append.summary.stream for append in appends})
            known = {stream: self._seen[stream][0] for stream in streams if stream in self._seen}
            if not connection.hold(streams, known) or len(self._seen) > _MOST_REMEMBERED:
                self._forget()
            self._look_up(connection, set(streams) - self._seen.keys())
            for append in appends:
                stream = append.summary.stream
                length, _ = self._seen[stream]
                if length == append.expected:
                    taken.append(append)
                    outcomes.append(append.summary.length)
                    self._seen[stream] = (append.summary.length, self._seen[stream][1])
                elif length == sql.ARCHIVED_LENGTH:
                    outcomes.append(self._archived(connection, append))
                else:
                    outcomes.append(stream_moved(append, length))
            self._record(connection, taken)
        return outcomes

    def _archived(self, connection: C, append: Append) -> Exception:
        """The refusal of an append to a conversation whose entries were pruned."""
        found = archived_as(connection, append.summary.stream)
        return stream_archived(found) if found else stream_moved(append, 0)

    def _record(self, connection: C, appends: Sequence[Append]) -> None:
        # In the order of the streams: two processes that write the same streams then never wait for each other.
        ordered = sorted(appends, key=lambda append: append.summary.stream)
        entries = [(entry, append.summary.subject) for append in ordered for entry in append.entries]
        last = {append.summary.stream: append.summary for append in ordered}
        moved = [summary for stream, summary in last.items() if self._seen[stream][1] != summary.timers]
        connection.add(sql.ADD_EVENT, [event_row(entry) for entry, _ in entries])
        connection.add(sql.ADD_PAYLOAD, self._payload_rows(connection, entries))
        connection.add(sql.PUT_CONVERSATION, [conversation_row(summary) for summary in last.values()])
        connection.clear(sql.DROP_TIMERS, [(summary.stream,) for summary in moved])
        connection.add(sql.ADD_TIMER, [(t.stream, t.timer, t.due) for summary in moved for t in summary.timers])
        for stream, summary in last.items():
            self._seen[stream] = (summary.length, summary.timers)

    def erase(self, appends: Sequence[Append], subject: str) -> tuple[int, int]:
        """Record the appends and delete the subject's payloads and keys: all or none. Returns how many of each.

        Raises `StreamMoved` if a stream has moved, or if the subject has one that is not among them.
        """
        connection = self.connection
        try:
            with connection.writing():
                self._forget()
                streams = sorted(append.summary.stream for append in appends)
                connection.hold(streams, {})
                self._look_up(connection, set(streams))
                for append in appends:
                    if self._seen[append.summary.stream][0] == sql.ARCHIVED_LENGTH:
                        raise self._archived(connection, append)
                    if self._seen[append.summary.stream][0] != append.expected:
                        raise stream_moved(append, self._seen[append.summary.stream][0])
                self._record(connection, appends)
                payloads = connection.change(sql.DROP_PAYLOADS_OF, of_subject=subject)
                keys = connection.change(sql.DROP_KEYS_OF, of_subject=subject)
                left = sum(count for _, count in connection.run(sql.COUNTS_OF, of_subject=subject))
                check_gone("texts", left, self._where())
                check_gone("keys", len(connection.run(sql.KEYS_OF, subjects=json.dumps([subject]))), self._where())
                return payloads, keys
        finally:
            self._forget()
            if self._vault is not None:
                self._vault.forget(subject)

    def cut(self, given: Sequence[Archived]) -> tuple[int, int]:
        """Prune what is archived; returns how many entries and texts went. Raises as `cutting.cut`."""
        connection = self.connection
        try:
            return cut(connection, given)
        finally:
            self._forget()

    def _payload_rows(self, connection: C, entries: Sequence[tuple[Entry, str]]) -> list[Row]:
        """Encrypted under keys that the database holds, or that are added to it in this transaction."""
        written = [(entry, payload, subject) for entry, subject in entries for payload in entry.payloads]
        if self._vault is None:
            return [clear_row(*one) for one in written]

        def stored(subjects: Sequence[str]) -> Sequence[Row]:
            return connection.run(sql.KEYS_OF, subjects=json.dumps(subjects))

        any_wrapped = partial(connection.run, sql.ANY_KEY, at_most=1)
        connection.add(sql.ADD_KEY, self._vault.ready({subject for _, _, subject in written}, stored, any_wrapped))
        return [self._vault.row(*one) for one in written]

    def _forget(self) -> None:
        """What this connection knows of the database may be known no longer."""
        self._seen.clear()
        if self._vault is not None:
            self._vault.forget_current()

    def _look_up(self, connection: C, streams: set[str]) -> None:
        """Where these streams end now, in one question for all."""
        if streams:
            for stream, length in connection.run(sql.LENGTHS, streams=json.dumps(sorted(streams))):
                timers = connection.run(sql.TIMERS_OF, in_stream=stream) if length > 0 else ()
                self._seen[stream] = (length, tuple(TimerRow(stream, timer, due) for timer, due in timers))

    def _moved_to(self, append: Append) -> int | None:
        """How long the stream is that refused a row because it has moved, or has one of the keys."""
        stream = append.summary.stream
        keys = [entry.key for entry in append.entries if entry.key is not None]
        if any(self.connection.run(sql.VERSION_OF_KEY, in_stream=stream, given=key) for key in keys):
            return append.expected
        head = self.connection.run(sql.HEAD, in_stream=stream)
        length = head[0][0] + 1 if head else 0
        return None if length == append.expected else length

    def _where(self) -> str:
        return self._connection.where if self._connection is not None else "the database"
