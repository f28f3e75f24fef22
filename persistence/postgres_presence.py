"""Which processes are alive, by locks that PostgreSQL lets go when a process's connection ends.

Each process that performs effects holds an advisory lock named after it, on a connection of its own. A process that
is cut off from the server counts as dead, and another takes its work over: what it then still appends is refused, for
the stream has moved.
"""

import hashlib
from contextlib import suppress
from threading import Lock
from uuid import uuid4

import psycopg
from psycopg.rows import TupleRow

from .postgres_errors import translated
from .postgres_schema import connected, shown

_HOLDS = """
    SELECT EXISTS (
        SELECT 1 FROM pg_locks
        WHERE locktype = 'advisory' AND granted AND objsubid = 1
          AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND classid::bigint = %s AND objid::bigint = %s
    )
"""
_WAIT_SECONDS = 5.0


class PostgresPresence:
    """Presence by advisory locks."""

    def __init__(self, url: str) -> None:
        """Take a new name. Raises `StorageError` where the server cannot be reached."""
        self.owner = uuid4().hex
        self._url, self._where = url, shown(url)
        self._asking = Lock()
        self._closed = False
        self._connection: psycopg.Connection[TupleRow] | None = None
        try:
            self._take()
        except psycopg.Error as error:
            raise translated(error, self._where) from error

    def is_alive(self, owner: str) -> bool:
        """Raises `StorageError` where the server cannot be asked: then nobody's work is taken over."""
        high, low = divmod(_number(owner) % 2**64, 2**32)
        with self._asking:
            if self._closed:
                return False
            try:
                connection = self._connection
                if connection is None or connection.closed:
                    connection = self._take()
                row = connection.execute(_HOLDS, (high, low)).fetchone()
            except psycopg.Error as error:
                self._let_go()
                raise translated(error, self._where) from error
        return row is not None and bool(row[0])

    def close(self) -> None:
        with self._asking:
            self._closed = True
            self._let_go()

    def _take(self) -> "psycopg.Connection[TupleRow]":
        """The lock of our name, on a new connection."""
        self._connection = connection = connected(self._url, _WAIT_SECONDS)
        connection.execute("SELECT pg_advisory_lock(%s)", (_number(self.owner),))
        return connection

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()


def _number(owner: str) -> int:
    """The lock of that name: 64 bits with a sign."""
    return int.from_bytes(hashlib.sha256(f"interlock worker {owner}".encode()).digest()[:8], "big", signed=True)
