"""The log on PostgreSQL: any number of processes on any number of machines, each with one connection for the log.

Durable at the return of `append`: `synchronous_commit = on` on a server with `fsync`. A process commits the waiting
conversations in one transaction; nothing is locked but the rows of these conversations. Use the primary: what a
standby shows may be behind.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import datetime

import psycopg
from sqlalchemy import text

from ..contracts.errors import StorageError
from ..contracts.protection import MasterKey
from .connection import Failures
from .description import Description
from .keyfile import KeyFile
from .postgres_connection import PostgresConnection
from .postgres_description import CLOCK, MAY_SEQUENCE, described, unlike_ours
from .postgres_errors import DATABASE_ERRORS, is_refused_row, translated
from .postgres_patience import ANSWER_SECONDS
from .postgres_presence import PostgresPresence
from .postgres_schema import connected, shown
from .presence import Presence
from .sql_store import SqlStore
from .sql_tree import SqlTree
from .statements import compiled
from .vault import Vault

SEQUENCER_LOCK = 0x1A7E_0003
"""The name of the advisory lock of who gives the places in the tree."""
_FAILURES = Failures(DATABASE_ERRORS, is_refused_row, translated)

_MAY_ERASE = compiled(
    text("SELECT has_table_privilege('payload', 'DELETE') AND has_table_privilege('data_key', 'DELETE')")
)


class PostgresStore(SqlStore[PostgresConnection]):
    """A `Store` on one PostgreSQL database; every method may be called from any thread."""

    def __init__(
        self,
        url: str,
        *,
        origin: str = "",
        wait_seconds: float = 5.0,
        answer_seconds: float = ANSWER_SECONDS,
        master: MasterKey | None = None,
    ) -> None:
        """Open the log at `url` (`postgresql://user@host/database`), or create its tables.

        `origin` names a new log; of an existing one it must be the name. `wait_seconds` is how long to wait for
        the server, and for a conversation that another process is writing; a server that is silent for
        `answer_seconds` more is given up, and what was being written may or may not be recorded. `master` wraps the
        keys of payloads, the same in every process; without it they are written in clear, for no node may make a key
        of its own. Raises `StorageError`.
        """
        self.url = url

        def opened(_: bool) -> PostgresConnection:
            return PostgresConnection(url, wait_seconds=wait_seconds, answer_seconds=answer_seconds, origin=origin)

        self.master = master or KeyFile("no-master-key")
        super().__init__(opened, _FAILURES, shown(url), Vault(self.master), in_clear=master is None)

    def describe(self) -> Description:
        """What `interlock doctor` says of the database."""
        return self._ask(described)

    def unlike_ours(self) -> Sequence[str]:
        return self._ask(unlike_ours)

    def server_time(self) -> datetime | None:
        found: datetime = self._rows(CLOCK)[0][0]
        return found

    def may_sequence(self) -> bool:
        """Whether the user of the URL is a member of `interlock_sequencer`, or owns the tables."""
        return bool(self._rows(MAY_SEQUENCE)[0][0])

    def may_erase(self) -> bool:
        """Whether the user of the URL is a member of `interlock_eraser`, or owns the tables."""
        return bool(self._rows(_MAY_ERASE)[0][0])

    def tree(self) -> SqlTree[PostgresConnection]:
        """The Merkle tree over this log's entries."""
        return SqlTree(self._ask, self.log, self._where, self._sequencing)

    @contextmanager
    def _sequencing(self, wait_seconds: float) -> Iterator[None]:
        """One sequencer at a time, by a lock that the server lets go with its connection. One that was cut off and
        does not know it yet cannot give a place twice: the tree refuses a position that is not the next."""
        try:
            lock = connected(self.url, wait_seconds)
        except psycopg.Error as error:
            raise translated(error, self._where) from error
        with closing(lock):
            try:
                lock.execute("SELECT pg_advisory_lock(%s)", (SEQUENCER_LOCK,))
            except psycopg.errors.LockNotAvailable as error:
                raise StorageError(
                    f"Another process kept the database locked for {wait_seconds:g} s.",
                    where=self._where,
                    fix="Find the process that gives the places in the tree and end it, or allow a longer wait.",
                ) from error
            except psycopg.Error as error:
                raise translated(error, self._where) from error
            try:
                yield
            finally:
                with suppress(psycopg.Error):  # with its connection it goes too, but somewhat later
                    lock.execute("SELECT pg_advisory_unlock(%s)", (SEQUENCER_LOCK,))

    def presence(self) -> Presence:
        """Make this process one that performs effects; held until its `close`, which the caller owes."""
        return PostgresPresence(self.url)
