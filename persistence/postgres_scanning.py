"""Whole conversations read from a PostgreSQL database many at once, on a connection that cannot write."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from operator import itemgetter
from typing import Any

import psycopg

from .postgres_errors import translated
from .postgres_schema import connected, shown
from .scanning import Listed

_LISTED = "SELECT stream, flow_name, flow_digest, started_at FROM conversation ORDER BY stream"
_ENTRIES = """
    SELECT event.stream, event.entry FROM unnest(%s::text[]) WITH ORDINALITY AS asked (stream, place)
    JOIN event ON event.stream = asked.stream ORDER BY asked.place, event.version
"""
_WAIT_SECONDS = 5.0


class PostgresScan:
    """Reads one log as `Scan` does, on a connection of its own."""

    def __init__(self, url: str) -> None:
        """Raises `StorageError` where the server cannot be reached."""
        self._where = shown(url)
        try:
            self._connection = connected(url, _WAIT_SECONDS)
            self._connection.execute("SET default_transaction_read_only = on")
        except psycopg.Error as error:
            raise translated(error, self._where) from error

    def listed(self) -> Iterator[Listed]:
        """Every conversation, in the order of the streams."""
        for row in self._rows(_LISTED):
            yield Listed(*row)

    def entries(self, streams: Sequence[str]) -> Iterator[tuple[str, list[bytes]]]:
        """Each of `streams` that has entries, in their order, with its entries."""
        for stream, found in groupby(self._rows(_ENTRIES, list(streams)), key=itemgetter(0)):
            yield stream, [entry for _, entry in found]

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement.encode(), values or None).fetchall()
        except psycopg.Error as error:
            raise translated(error, self._where) from error

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()
