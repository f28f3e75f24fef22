"""One connection to a PostgreSQL database: what is asked of it, and how it is written.

Everything here runs on the one thread that owns the connection.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.rows import TupleRow

from ..contracts.errors import StorageError
from . import statements as sql
from .postgres_errors import DATABASE_ERRORS, is_refused_row, translated
from .postgres_patience import PatientConnection
from .postgres_schema import connected, refuse_unfit, shown, to_head
from .refusals import check_kept
from .statements import Statement

BUDGET_LOCK = 0x1A7E_0002
"""The name of our advisory locks on budgets."""
_NOW, _SCRUB = "SELECT pg_current_xact_id()::text", "SELECT interlock_scrub(%s::xid8)"
_READS_TEXTS = "SELECT has_table_privilege('payload', 'SELECT') AND has_table_privilege('data_key', 'SELECT')"
_PAUSE_SECONDS = 0.05
_HELD = "SELECT stream, length FROM conversation WHERE stream = ANY(%s) ORDER BY stream FOR UPDATE"


class PostgresConnection:
    """The connection, outside of any transaction but within `writing` and `reading`.

    `suspect` is set once the connection has failed: it must then be closed, a new one opened, and what was being
    written looked up, for the commit may have happened.
    """

    all_rows = None

    def __init__(self, url: str, *, wait_seconds: float, answer_seconds: float, origin: str) -> None:
        """Connect, and create or upgrade the tables. Raises `StorageError`, and then holds nothing."""
        self.url, self._wait_seconds = url, wait_seconds
        self.suspect = False
        self.where = shown(url)
        self._driver: PatientConnection | None = None
        try:
            self._driver = connected(url, wait_seconds, answer_seconds)
            refuse_unfit(self._driver, self.where)
            to_head(url, self._driver, self.where)
            self.log = self._origin(origin)
        except BaseException as error:
            self.close()
            if isinstance(error, DATABASE_ERRORS):
                raise translated(error, self.where) from error
            raise

    @cached_property
    def reads_texts(self) -> bool:
        (found,) = self._open.execute(_READS_TEXTS).fetchone() or (False,)
        return bool(found)

    def run(self, statement: Statement, **values: Any) -> Sequence[Any]:
        return self._execute(statement, values).fetchall()

    def change(self, statement: Statement, **values: Any) -> int:
        return self._execute(statement, values).rowcount

    def add(self, statement: Statement, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            with self._watched(), self._open.cursor() as cursor:
                cursor.executemany(statement.postgres.sql.encode(), rows)
                check_kept(statement.postgres.sql, self.where, given=len(rows), done=cursor.rowcount)

    def clear(self, statement: Statement, rows: list[tuple[Any, ...]]) -> None:
        if rows:
            with self._watched(), self._open.cursor() as cursor:
                cursor.executemany(statement.postgres.sql.encode(), rows)

    @contextmanager
    def writing(self) -> Iterator[None]:
        with self._transaction("BEGIN ISOLATION LEVEL READ COMMITTED"):
            yield

    @contextmanager
    def reading(self) -> Iterator[None]:
        with self._transaction("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            yield

    def hold(self, streams: Sequence[str], known: Mapping[str, int]) -> bool:
        """Locks the rows of these conversations, in one order everywhere, so that nobody waits in a circle. A new
        conversation has no row: of two processes that begin it, the unique index refuses the second."""
        with self._watched():
            rows = self._open.execute(_HELD, (list(streams),)).fetchall()
        return known == {stream: length for stream, length in rows if stream in known}

    def hold_budget(self, name: str) -> None:
        with self._watched():
            self._open.execute("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", (BUDGET_LOCK, name))

    def scrub(self) -> None:
        """Write the tables of texts and keys anew, without what was deleted; the old files go. What the server's own
        log of writes holds is the server's.

        Raises `StorageError` where a transaction that began before this lasts longer than the wait: nothing is lost,
        and it is to be done again.
        """
        driver, seconds = self._open, self._open.answer_seconds
        driver.answer_seconds = None  # it says nothing until it is done, however large the tables are
        try:
            self._write_anew()
        finally:
            driver.answer_seconds = seconds

    def _write_anew(self) -> None:
        until = time.monotonic() + self._wait_seconds
        with self._watched():
            now = self._open.execute(_NOW).fetchone()
            while self._open.execute(_SCRUB, now).fetchone() != (True,):
                if time.monotonic() > until:
                    raise StorageError(
                        "A transaction that began before the deletion still sees what was deleted.",
                        where=self.where,
                        fix="End it, and ask again: `pg_stat_activity` names it. Texts and keys are deleted; until "
                        "then they stand in the files of the database.",
                    )
                time.sleep(_PAUSE_SECONDS)

    def close(self) -> None:
        if self._driver is not None:
            driver, self._driver = self._driver, None
            with suppress(psycopg.Error):
                driver.close()

    @property
    def _open(self) -> PatientConnection:
        if self._driver is None:
            raise StorageError("The connection is closed.", where=self.where, fix="Open the store again.")
        return self._driver

    def _execute(self, statement: Statement, values: Mapping[str, Any]) -> "psycopg.Cursor[TupleRow]":
        found = statement.postgres
        with self._watched():
            return self._open.execute(found.sql.encode(), found.values(**values))

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._watched():
            self._open.execute(begin.encode())
        try:
            yield
            with self._watched():
                self._open.execute("COMMIT")  # durable when this line has been passed
        except BaseException as error:
            if isinstance(error, DATABASE_ERRORS) and not is_refused_row(error):
                self.suspect = True
            try:
                if not self._open.closed:  # of one that is, the server undoes what was begun
                    self._open.execute("ROLLBACK")
            except psycopg.Error:
                self.suspect = True
            raise

    @contextmanager
    def _watched(self) -> Iterator[None]:
        """After a failure of the connection itself, it is not asked again."""
        try:
            yield
        except psycopg.OperationalError:
            self.suspect = True
            raise

    def _origin(self, wanted: str) -> str:
        """The origin of this log: given or made when the database is new, and fixed from then on."""
        found = self._kept_origin()
        if found is None:
            with suppress(psycopg.errors.IntegrityError):  # another process was first
                self.add(sql.ADD_META, [("log", wanted or f"interlock-{uuid4().hex}")])
            found = self._kept_origin()
        if wanted and wanted != found:
            raise StorageError(
                f"The log's origin is {found!r}, not {wanted!r}.",
                where=self.where,
                fix="Open it without an origin, or give the URL of the other log.",
            )
        return str(found)

    def _kept_origin(self) -> str | None:
        rows = self.run(sql.GET_META, called="log")
        return str(rows[0][0]) if rows else None
