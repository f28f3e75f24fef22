"""The log on SQLite: one file, one connection in each process, one thread that owns it.

Durable at the return of `append`: WAL with `synchronous=FULL`. Several processes may open the same file on
one machine's local disk; network file systems are not supported. See
`docs/decisions/0001-sqlite-wal-lock.md`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..contracts.protection import MasterKey
from . import statements as sql
from .connection import Failures
from .description import Description, described
from .keyfile import KeyFile
from .locks import ProcessLock
from .misfits import Misfit, misfits
from .presence import FilePresence, Presence
from .sql_store import SqlStore
from .sql_tree import SqlTree
from .sqlite_errors import DATABASE_ERRORS, is_refused_row, translated
from .sqlite_file import SqliteFile
from .sqlite_sound import check_pages, unlike_ours
from .vault import Vault

_FAILURES = Failures(DATABASE_ERRORS, is_refused_row, translated)


class SqliteStore(SqlStore[SqliteFile]):
    """A `Store` on one SQLite file; every method may be called from any thread. A process has one for a file."""

    one_writer = True

    def __init__(
        self,
        path: Path | str,
        *,
        origin: str = "",
        wait_seconds: float = 5.0,
        master: MasterKey | None = None,
        in_clear: bool = False,
    ) -> None:
        """Open the log, or create it. Brings an older schema to this release's.

        `origin` names a new log; of an existing one it must be the name. `wait_seconds` is how long another
        process may keep the database locked. `master` wraps the keys of payloads; without it a `KeyFile` beside the
        log does, made when the first payload is written. `in_clear` writes payloads unencrypted. Raises
        `StorageError` if the file cannot be used; a key that is missing is refused when it is needed.
        """
        self.path = Path(path)
        self.master = master or KeyFile(self.path.with_name(self.path.name + ".key"))

        def opened(mend: bool) -> SqliteFile:
            return SqliteFile(self.path, wait_seconds=wait_seconds, origin=origin, mend=mend)

        super().__init__(opened, _FAILURES, str(self.path), Vault(self.master), in_clear=in_clear)

    def presence(self) -> Presence:
        """Make this process one that performs effects; held until its `close`, which the caller owes."""
        return FilePresence(self.path.with_name(self.path.name + ".workers"))

    def tree(self) -> SqlTree[SqliteFile]:
        """The Merkle tree over this log's entries."""
        return SqlTree(self._ask, self.log, str(self.path), self._sequencing)

    @contextmanager
    def _sequencing(self, wait_seconds: float) -> Iterator[None]:
        lock = ProcessLock(self.path.with_name(self.path.name + ".sequencer"))
        try:
            with lock.held(wait_seconds):
                yield
        finally:
            lock.close()

    def begun_last(self, limit: int) -> tuple[str, ...]:
        """The conversations that came into the log last, the newest first: by their place, not by their times."""
        return tuple(stream for (stream,) in self._ask(lambda file: file.run(sql.BEGUN_LAST, at_most=limit)))

    def check_pages(self) -> None:
        """Raises `StorageError` where pages, rows and indexes do not fit together."""
        self._ask(check_pages)

    def unlike_ours(self) -> Sequence[str]:
        return self._ask(unlike_ours)

    def describe(self) -> Description:
        """What `interlock doctor` says of the file."""
        return self._ask(described)

    def misfits(self) -> list[Misfit]:
        return self._ask(misfits)
