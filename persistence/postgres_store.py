"""The log on PostgreSQL: any number of processes on any number of machines, each with one connection for the log.

Durable at the return of `append`: `synchronous_commit = on` on a server with `fsync`. A process commits the waiting
conversations in one transaction; nothing is locked but the rows of these conversations. Use the primary: what a
standby shows may be behind.
"""

from ..contracts.protection import MasterKey
from .connection import Failures
from .keyfile import KeyFile
from .postgres_connection import PostgresConnection
from .postgres_errors import DATABASE_ERRORS, is_refused_row, translated
from .postgres_presence import PostgresPresence
from .postgres_schema import shown
from .presence import Presence
from .sql_store import SqlStore
from .vault import Vault

_FAILURES = Failures(DATABASE_ERRORS, is_refused_row, translated)


class PostgresStore(SqlStore[PostgresConnection]):
    """A `Store` on one PostgreSQL database; every method may be called from any thread."""

    def __init__(
        self, url: str, *, origin: str = "", wait_seconds: float = 5.0, master: MasterKey | None = None
    ) -> None:
        """Open the log at `url` (`postgresql://user@host/database`), or create its tables.

        `origin` names a new log; of an existing one it must be the name. `wait_seconds` is how long to wait for
        the server, and for a conversation that another process is writing. `master` wraps the keys of payloads, the
        same in every process; without it they are written in clear, for no node may make a key of its own. Raises
        `StorageError`.
        """
        self.url = url

        def opened(_: bool) -> PostgresConnection:
            return PostgresConnection(url, wait_seconds=wait_seconds, origin=origin)

        vault = Vault(master or KeyFile("no-master-key"))
        super().__init__(opened, _FAILURES, shown(url), vault, in_clear=master is None)

    def presence(self) -> Presence:
        """Make this process one that performs effects; held until its `close`, which the caller owes."""
        return PostgresPresence(self.url)
