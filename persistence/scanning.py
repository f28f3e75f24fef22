"""Whole conversations read from a log many at once, on a connection that cannot write.

What walks over a history asks for entries stream by stream, and a question for each costs more than its answer.
"""

import json
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Protocol

from .sqlite_errors import translated

_LISTED = "SELECT stream, flow_name, flow_digest, started_at FROM conversation ORDER BY stream"
_ENTRIES = """
    SELECT e.stream, e.entry FROM json_each(?) AS asked CROSS JOIN event AS e ON e.stream = asked.value
    ORDER BY asked.key, e.version
"""


@dataclass(frozen=True, slots=True)
class Listed:
    """A conversation of the log, as its projection says."""

    stream: str
    flow_name: str
    flow_digest: str
    started_at: str


class Reading(Protocol):
    """What a `Scan` does, on either database."""

    def listed(self) -> Iterator[Listed]: ...

    def entries(self, streams: Sequence[str]) -> Iterator[tuple[str, list[bytes]]]: ...

    def close(self) -> None: ...


class Scan:
    """Reads one SQLite log. Of one thread; sees what was committed when each question is asked."""

    def __init__(self, path: Path) -> None:
        """Raises `StorageError` where the file cannot be opened."""
        self._path = path
        try:
            self._connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
        except sqlite3.Error as error:
            raise translated(error, path) from error

    def listed(self) -> Iterator[Listed]:
        """Every conversation, in the order of the streams."""
        for row in self._rows(_LISTED, ()):
            yield Listed(*row)

    def entries(self, streams: Sequence[str]) -> Iterator[tuple[str, list[bytes]]]:
        """Each of `streams` that has entries, in their order, with its entries."""
        rows = self._rows(_ENTRIES, (json.dumps(list(streams)),))
        for stream, found in groupby(rows, key=lambda row: row[0]):
            yield stream, [entry for _, entry in found]

    def _rows(self, statement: str, values: tuple[str, ...]) -> Iterator[tuple[Any, ...]]:
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise translated(error, self._path) from error

    def close(self) -> None:
        self._connection.close()
