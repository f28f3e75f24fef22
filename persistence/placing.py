"""Entries that their database would never place in the tree, or in another order than they were committed in.

An entry without a place is under no checkpoint. So every one must be where the sequencer will find it.
"""

from collections.abc import Sequence

from sqlalchemy import text

from .connection import LogConnection
from .statements import Statement, compiled

_BACKWARDS = compiled(
    text("""
    SELECT stream, version FROM (
        SELECT stream, version, id, lag(id) OVER (PARTITION BY stream ORDER BY version) AS before FROM event
    ) AS numbered WHERE before >= id ORDER BY stream, version
""")
)
_OVERTAKEN = compiled(
    text("""
    SELECT stream, version FROM (
        SELECT e.stream, e.version, e.id, lag(e.id) OVER (ORDER BY l.position) AS before
        FROM leaf AS l JOIN event AS e ON e.stream = l.stream AND e.version = l.version
    ) AS numbered WHERE before >= id ORDER BY stream, version
""")
)
_NEVER_PLACED = compiled(
    text("""
    SELECT e.stream, e.version FROM event AS e
    LEFT JOIN leaf AS l ON l.stream = e.stream AND l.version = e.version
    WHERE l.stream IS NULL AND e.id <= coalesce((
        SELECT max(d.id) FROM leaf AS m JOIN event AS d ON d.stream = m.stream AND d.version = m.version
    ), 0) ORDER BY e.stream, e.version
"""),
    postgres=text("""
    SELECT coalesce(e.stream, p.stream), coalesce(e.version, p.version) FROM (
        SELECT d.* FROM event AS d LEFT JOIN leaf AS l ON l.stream = d.stream AND l.version = d.version
        WHERE l.stream IS NULL
    ) AS e
    FULL JOIN pending AS p ON p.stream = e.stream AND p.version = e.version
    WHERE e.stream IS NULL OR p.stream IS NULL OR p.leaf <> e.leaf OR p.id <> e.id ORDER BY 1, 2
"""),
)
_BEFORE_THE_FIRST = compiled(text("SELECT stream, version FROM leaf WHERE position < 0 ORDER BY position"))

Check = tuple[Statement, str]
_EVERYWHERE: tuple[Check, ...] = (
    (_BACKWARDS, "The entry is numbered before its predecessor: it would get a place in the tree out of turn."),
    (_NEVER_PLACED, "The entry has no place in the tree, and is not among those that wait for one."),
    (_BEFORE_THE_FIRST, "There is a leaf before the first place of the tree."),
)
_ONE_WRITER: tuple[Check, ...] = (
    (
        _OVERTAKEN,
        "The entry is numbered otherwise than it stands in the tree: its place among the commits was altered.",
    ),
)
"""Where one file has one writer, numbers are the order of commits."""


def misplaced(connection: LogConnection, *, one_writer: bool) -> Sequence[tuple[str, int, str]]:
    """Stream and version of each such entry, and what is wrong. Reads one state of the database."""
    with connection.reading():
        return [
            (stream, version, what)
            for statement, what in (*_EVERYWHERE, *(_ONE_WRITER if one_writer else ()))
            for stream, version in connection.run(statement)
        ]
