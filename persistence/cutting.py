"""Pruning on a database that speaks SQL: the entries of archived conversations go, all or none."""

from collections.abc import Sequence

from ..contracts.archive import Archived
from ..contracts.errors import StreamMoved
from . import archive_statements as sql
from .connection import LogConnection
from .refusals import check_gone
from .statements import PAYLOADS


def archived_in(connection: LogConnection) -> Sequence[Archived]:
    return tuple(Archived(*row) for row in connection.run(sql.ARCHIVED_ALL))


def archived_of(connection: LogConnection, subject: str) -> Sequence[Archived]:
    return tuple(Archived(*row) for row in connection.run(sql.ARCHIVED_OF_SUBJECT, of_subject=subject))


def archived_as(connection: LogConnection, stream: str) -> Archived | None:
    rows = connection.run(sql.ARCHIVED_OF, in_stream=stream)
    return Archived(*rows[0]) if rows else None


def cut(connection: LogConnection, given: Sequence[Archived]) -> tuple[int, int]:
    """One transaction: each conversation is marked as archived, and its entries and texts go. Returns how many of each.

    Raises `StreamMoved` where one is not as it was archived, and what the triggers raise where no signed record of
    the log says that they may go: then nothing went.
    """
    entries = payloads = 0
    with connection.writing():
        # The conversations' rows first, in one order everywhere: whoever is about to append waits for them.
        for one in sorted(given, key=lambda one: one.stream):
            connection.change(sql.DROP_TIMERS_OF, in_stream=one.stream)
            if connection.change(sql.DROP_CONVERSATION, in_stream=one.stream, of_length=one.length) != 1:
                raise moved(one)
        rows = [
            (
                *(one.stream, one.length, one.leaf, one.subject, one.flow_name, one.state),
                *(one.started_at, one.updated_at, one.archive, one.record),
            )
            for one in given
        ]
        connection.add(sql.ADD_ARCHIVED, rows)
        for one in given:
            payloads += connection.change(sql.DROP_PAYLOADS_IN, in_stream=one.stream)
            check_gone("texts", len(connection.run(PAYLOADS, in_stream=one.stream, first=0)), connection.where)
            gone = connection.change(sql.DROP_EVENTS_IN, in_stream=one.stream)
            if gone != one.length:
                raise moved(one)
            entries += gone
    return entries, payloads


def moved(one: Archived) -> StreamMoved:
    return StreamMoved(
        f"The conversation is not as it was archived, with {one.length} entries and ended.",
        where=f"stream {one.stream}",
        fix="Make the archive anew; nothing was pruned.",
    )
