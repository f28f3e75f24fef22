"""One connection to the database file: how it is opened, set, brought to this release's schema, and written.

Everything here runs on the one thread that owns the connection.
"""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import OperationalError

from ..contracts.errors import StorageError
from . import statements as sql
from .locks import ProcessLock
from .migrations import HEAD, REVISIONS
from .refusals import check_kept, set_back
from .settings import PRAGMAS, needs_write_lock, refuse_old_sqlite
from .sqlite_errors import DATABASE_ERRORS, cause_of, is_refused_row, translated
from .statements import Statement


class SqliteFile:
    """The connection, with the lock that its writes need.

    `suspect` is set once a write has failed in a way that may have touched the disk: the connection must
    then be closed and a new one opened with `mend=True`, and never be asked to commit again.
    """

    def __init__(self, path: Path, *, wait_seconds: float, origin: str, mend: bool = False) -> None:
        """Open or create the database, under the lock. Raises `StorageError`, and then holds nothing."""
        refuse_old_sqlite(sqlite3.sqlite_version_info)
        self.path = path
        self.suspect = False
        self.all_rows, self.reads_texts = -1, True
        self._seen_at = -1
        self._wait_seconds = wait_seconds
        self.lock_path = path.with_name(path.name + ".lock")
        self._lock = ProcessLock(self.lock_path)
        self.takes_turns = needs_write_lock()
        self._connection: Connection | None = None
        try:
            with self._lock.held(wait_seconds):
                new = not path.exists()
                self._connection = self._connected()
                self._driver = _driver_of(self._connection)
                self._to_head()
                if new:
                    _for_its_owner_alone(path)
                self._leave_no_doubt(needed=mend)
                self.log = self._origin(origin)
        except BaseException as error:
            self.close()
            if isinstance(error, Exception):
                raise translated(error, path) from error
            raise

    def run(self, statement: Statement, **values: Any) -> Sequence[Any]:
        """The rows that `statement` gives, from the driver's own connection: `exec_driver_sql` costs as much again."""
        return self._ready.execute(statement.sql, statement.values(**values)).fetchall()

    def change(self, statement: Statement, **values: Any) -> int:
        before = self._driver.total_changes
        done = self._open.exec_driver_sql(statement.sql, statement.values(**values)).rowcount
        check_kept(statement.sql, self.where, given=done, done=done, changed=self._driver.total_changes - before)
        return done

    def add(self, statement: Statement, rows: list[tuple[Any, ...]]) -> None:
        """On the driver's own connection: every commit passes here, and `exec_driver_sql` costs as much again.

        `rowcount` leaves out what triggers do and `total_changes` counts it; ours change nothing.
        """
        if rows:
            before = self._driver.total_changes
            done = self._driver.executemany(statement.sql, rows).rowcount
            changed = self._driver.total_changes - before
            if not done == changed == len(rows):
                check_kept(statement.sql, self.where, given=len(rows), done=done, changed=changed)

    def clear(self, statement: Statement, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            self._driver.executemany(statement.sql, rows)

    def pragma(self, name: str) -> Any:
        """The value of a PRAGMA."""
        return self._driver.execute(f"PRAGMA {name}").fetchone()[0]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A write transaction: durable when the block has been left, and undone if it raises.

        A failure before the first write leaves the connection as it was. One after it makes the connection
        `suspect`, unless it was only a refused row that could be rolled back.
        """
        with self._lock.held(self._wait_seconds) if self.takes_turns else nullcontext():
            self._driver.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._driver.execute("COMMIT")  # durable when this line has been passed
            except BaseException as error:
                self.suspect = isinstance(error, DATABASE_ERRORS) and not is_refused_row(error)
                self._roll_back()
                raise

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Several reads of one state of the database."""
        self._driver.execute("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    def hold(self, streams: Sequence[str], known: Mapping[str, int]) -> bool:
        """The write transaction holds the whole file; `data_version` tells whether another has committed."""
        before, self._seen_at = self._seen_at, self.pragma("data_version")
        return before == self._seen_at

    def hold_budget(self, name: str) -> None:
        """Nothing more: the write transaction holds the whole file."""

    @property
    def where(self) -> str:
        return str(self.path)

    def scrub(self) -> None:
        """Rewrite the file without its free pages, and empty the write-ahead log.

        Raises `StorageError` where another program reads the log for longer than the wait: nothing is lost, and
        it is to be done again.
        """
        with self._lock.held(self._wait_seconds) if self.takes_turns else nullcontext():
            self._driver.execute("VACUUM")
            self._leave_no_doubt(needed=True)

    def close(self) -> None:
        """Let go of the file. Closing the last connection checkpoints, so it takes its turn as a write does."""
        if self._connection is not None:
            connection, self._connection = self._connection, None
            # Whoever keeps the lock from us has a connection of its own: then ours is not the last one.
            with suppress(StorageError, *DATABASE_ERRORS), self._lock.held(self._wait_seconds):
                connection.close()
            with suppress(*DATABASE_ERRORS):
                connection.close()
        self._lock.close()

    @property
    def _open(self) -> Connection:
        if self._connection is None:
            raise self._closed()
        return self._connection

    @property
    def _ready(self) -> sqlite3.Connection:
        """The driver's connection, as long as it is open."""
        if self._connection is None:
            raise self._closed()
        return self._driver

    def _closed(self) -> StorageError:
        return StorageError("The connection is closed.", where=str(self.path), fix="Open the store again.")

    def _roll_back(self) -> None:
        # SQLite rolls back by itself on some errors, and then has no transaction to end.
        try:
            if self._driver.in_transaction:
                self._driver.execute("ROLLBACK")
        except sqlite3.Error:
            self.suspect = True

    def _connected(self) -> Connection:
        def connect() -> sqlite3.Connection:
            # Without an isolation level the driver begins and ends nothing by itself: its own transactions are
            # DEFERRED, and upgrading one to write fails at once with SQLITE_BUSY, whatever the timeout.
            return sqlite3.connect(
                self.path,
                timeout=self._wait_seconds,
                isolation_level=None,
                check_same_thread=False,
            )

        engine = create_engine("sqlite+pysqlite://", creator=connect, poolclass=NullPool)
        connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        try:
            for name, value in PRAGMAS:
                connection.exec_driver_sql(f"PRAGMA {name} = {value}")
            mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar()
        except BaseException:
            connection.close()
            raise
        if mode != "wal":
            connection.close()
            raise StorageError(
                f"The journal mode is {mode!r}, not 'wal'.",
                where=str(self.path),
                fix="Put the database on a local disk: a network file system or memory cannot hold a log.",
            )
        return connection

    def _leave_no_doubt(self, *, needed: bool) -> None:
        """Move everything that is committed out of the write-ahead log, with writes and syncs of its own.

        After a failed sync the kernel may hold pages that it counts as clean and never wrote. What a commit
        left in the log, here or in a process that died, must then not be built upon: its content is written
        anew, to the database file. Where another connection reads meanwhile this is given up at once, or, if it
        is `needed` because a write of ours has failed, waited for, and then the connection is refused.
        """
        wait_ms = int(self._wait_seconds * 1000)
        self.pragma(f"busy_timeout = {wait_ms if needed else 0}")
        busy, _, _ = self._driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        self.pragma(f"busy_timeout = {wait_ms}")
        if busy and needed:
            raise StorageError(
                "A write failed, and the log file cannot be emptied while another program reads.",
                where=str(self.path),
                fix="End the other program's transaction; nothing is written until then.",
            )

    def _revision(self) -> str | None:
        """The schema's revision, by plain SQL: Alembic costs more to import than the rest of opening."""
        tables = {
            name
            for (name,) in self._open.exec_driver_sql(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        }
        found = None
        if "alembic_version" in tables:
            found = self._open.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
        if tables and (found is None or "event" not in tables):
            raise StorageError(
                "The database holds the tables of another program.",
                where=str(self.path),
                fix="Give the path of an Interlock database, or of a new file.",
            )
        if found is not None and found not in REVISIONS:
            raise StorageError(
                f"The database has schema {found!r}; this release knows {', '.join(REVISIONS)}.",
                where=str(self.path),
                fix="A newer release wrote it: install that release or a later one.",
            )
        return found

    def _to_head(self) -> None:
        """Apply the missing revisions, all or none. The caller holds the lock."""
        if (found := self._revision()) == HEAD:
            return
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        config.attributes["connection"] = self._open
        self._driver.execute("BEGIN IMMEDIATE")
        try:
            command.upgrade(config, "head")
            self._driver.execute("COMMIT")
        except OperationalError as error:
            if found is None or not str(cause_of(error)).endswith("already exists"):
                raise
            raise set_back(found, HEAD, self.where) from error
        finally:
            self._roll_back()

    def _origin(self, wanted: str) -> str:
        """The origin of this log: given or made when the database is new, and fixed from then on."""
        rows = self.run(sql.GET_META, called="log")
        if not rows:
            self._driver.execute("BEGIN IMMEDIATE")
            self.add(sql.ADD_META, [("log", wanted or f"interlock-{uuid4().hex}")])
            self._driver.execute("COMMIT")
            rows = self.run(sql.GET_META, called="log")
        found = str(rows[0][0])
        if wanted and wanted != found:
            raise StorageError(
                f"The log's origin is {found!r}, not {wanted!r}.",
                where=str(self.path),
                fix="Open it without an origin, or give the path of the other log.",
            )
        return found


def _driver_of(connection: Connection) -> sqlite3.Connection:
    """The driver's connection: BEGIN, COMMIT and PRAGMA go there, for they need nothing of SQLAlchemy."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, sqlite3.Connection):
        raise StorageError("The driver is not sqlite3.", fix="Report this: it cannot happen.")
    return driver


def _for_its_owner_alone(path: Path) -> None:
    """What people wrote is in it. SQLite gives side files that it makes later the same permissions."""
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with suppress(FileNotFoundError):
            file.chmod(0o600)
