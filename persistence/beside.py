"""Rows beside the entries that contradict the conversation they stand for, or stand for none.

Commitments bind what a payload says; whom it is of, and under which key it lies, only its columns say. So these
are compared here, over the whole log in two questions.
"""

from dataclasses import dataclass

from sqlalchemy import text

from .connection import LogConnection
from .statements import compiled

_PAYLOADS = compiled(
    text("""
    SELECT p.stream, p.version, p.name, c.stream IS NULL, c.stream IS NULL OR p.subject <> c.subject,
        e.stream IS NULL, k.id IS NULL
    FROM payload AS p
    LEFT JOIN conversation AS c ON c.stream = p.stream
    LEFT JOIN event AS e ON e.stream = p.stream AND e.version = p.version
    LEFT JOIN data_key AS k ON k.id = p.key_id AND k.subject = p.subject
    WHERE c.stream IS NULL OR p.subject <> c.subject OR e.stream IS NULL
        OR (p.key_id IS NULL) <> (p.nonce IS NULL)
        OR (p.key_id IS NOT NULL AND (k.id IS NULL OR p.r IS NOT NULL))
    ORDER BY p.stream, p.version, p.name
""")
)
_TIMERS = compiled(
    text("""
    SELECT t.stream FROM timer AS t LEFT JOIN conversation AS c ON c.stream = t.stream
    WHERE c.stream IS NULL ORDER BY t.stream
""")
)


@dataclass(frozen=True, slots=True)
class Stray:
    """A row of `table` that does not fit. `foreign`: there is no conversation of that name at all."""

    table: str
    stream: str
    version: int
    what: str
    foreign: bool


def strays(connection: LogConnection) -> list[Stray]:
    """Every payload row of another subject, under a key that is not its subject's, of no conversation or event, or half
    in clear; and every deadline of no conversation."""
    with connection.reading():
        payloads = connection.run(_PAYLOADS) if connection.reads_texts else ()  # an auditor may not see whose they are
        timers = connection.run(_TIMERS)
    found = [Stray("payload", row[0], row[1], _said(*row[2:3], *row[4:]), bool(row[3])) for row in payloads]
    return [*found, *(Stray("timer", stream, 0, "", True) for (stream,) in timers)]


def _said(name: str, of_another: int, nowhere: int, no_key: int) -> str:
    if of_another:
        return f"The payload {name!r} is kept under another subject than the conversation's."
    if nowhere:
        return f"The payload {name!r} is of an event that is not there."
    if no_key:
        return f"The payload {name!r} is encrypted under a key that its subject does not have."
    return f"The payload {name!r} is marked as encrypted and in clear at once."
