"""Whole conversations read many at once, each as it was at one time: what walks over a log asks few questions.

A question to the store costs more than its answer for a stream of twenty entries, and verification has four.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, func, select

from ..contracts.errors import KeyUnavailable
from ..contracts.payload import Payload
from ..contracts.store import StoredEntry, Summary
from . import statements as sql
from .codec import Row, summary_of
from .connection import LogConnection
from .statements import Statement, columns
from .vault import Vault

MOST_ENTRIES = 1_000
"""Read at once, at most, where no single conversation is longer: five times as many take longer, each, than these."""
LENGTHS = sql.compiled(select(sql.EVENT.c.stream, func.count()).group_by(sql.EVENT.c.stream))
NAMES = sql.compiled(select(sql.CONVERSATION.c.stream))


class Place(NamedTuple):
    """Where a payload is, as `PayloadAt` says it: a tuple, for a log has millions."""

    version: int
    name: str


@dataclass(frozen=True, slots=True)
class Whole:
    """One conversation. `payloads` and `summary` raise `LogBroken` where a row does not hold; `payloads` gives None
    where the key that they lie under cannot be had here, or where the database's user may not read them."""

    stream: str
    entries: Sequence[StoredEntry]
    payloads: Callable[[], Mapping[Place, Payload] | None]
    summary: Callable[[], Summary | None]


def _of_streams(table: Any, names: Iterable[str], *order: str) -> Statement:
    """Rows of the streams in a JSON list."""
    given = bindparam("streams", type_=Text)

    def asked(listed: Any) -> Any:
        chosen = select(*(table.c[name] for name in names)).where(table.c.stream.in_(select(listed.c.value)))
        return chosen.order_by(*(table.c[name] for name in ("stream", *order)))

    return sql.compiled(asked(sql.json_list(given)), postgres=asked(sql.json_list(given, postgres=True)))


_ENTRIES = _of_streams(sql.EVENT, columns(sql.EVENT, without="id"), "version")
_PAYLOADS = _of_streams(
    sql.PAYLOAD, ("stream", "version", "name", "kind", "r", "body", "key_id", "nonce"), "version", "name"
)
_CONVERSATIONS = _of_streams(sql.CONVERSATION, columns(sql.CONVERSATION))
_TIMERS = _of_streams(sql.TIMER, columns(sql.TIMER), "timer")


def pieces(lengths: Mapping[str, int]) -> Iterator[list[str]]:
    """The streams, in their order, as many together as may be read at once."""
    piece: list[str] = []
    entries = 0
    for stream, length in lengths.items():
        if piece and entries + length > MOST_ENTRIES:
            yield piece
            piece, entries = [], 0
        piece.append(stream)
        entries += length + 1
    if piece:
        yield piece


_stored = partial(tuple.__new__, StoredEntry)
"""`StoredEntry(*row)` without its argument list."""


class Rows:
    """What the database says of some streams, read in one state of it."""

    def __init__(self, connection: LogConnection, streams: Sequence[str]) -> None:
        listed = json.dumps(streams)
        self.payloads: dict[str, list[Row]] = defaultdict(list)
        self.timers: dict[str, list[Row]] = defaultdict(list)
        with connection.reading():
            rows = map(_stored, connection.run(_ENTRIES, streams=listed))
            self.entries = {stream: list(found) for stream, found in groupby(rows, itemgetter(0))}
            self._reads_texts = connection.reads_texts
            for row in connection.run(_PAYLOADS, streams=listed) if self._reads_texts else ():
                self.payloads[row[0]].append(row)
            for stream, *timer in connection.run(_TIMERS, streams=listed):
                self.timers[stream].append(tuple(timer))
            self.conversations = {row[0]: row for row in connection.run(_CONVERSATIONS, streams=listed)}
            used = {row[6] for rows in self.payloads.values() for row in rows} - {None}
            self.keys = {key: connection.run(sql.KEY_OF_ID, under=key) for key in used}

    def whole(self, stream: str, vault: Vault) -> Whole:
        def payloads() -> Mapping[Place, Payload] | None:
            wrapped = self.keys.__getitem__
            if not self._reads_texts:
                return None
            try:
                return {
                    Place(row[1], row[2]): vault.opened(stream, row[1], row[2:], wrapped)
                    for row in self.payloads.get(stream, ())
                }
            except KeyUnavailable:
                return None

        def summary() -> Summary | None:
            row = self.conversations.get(stream)
            return None if row is None else summary_of(row, self.timers.get(stream, ()))

        return Whole(stream, self.entries.get(stream, ()), payloads, summary)
