"""The Merkle tree on a database that speaks SQL, beside the store whose entries it is over."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Generic, Protocol, TypeVar

from ..contracts.archive import Archived
from ..contracts.errors import LogBroken, StorageError
from ..contracts.records import RECORDS
from ..contracts.tree import Anchored, KeptRecord, Leaf, MapHead
from . import tree_statements as sql
from .connection import LogConnection
from .cutting import archived_in
from .heads import Cell, HeadMap, bounds, kept, key_of
from .merkle import HASH_BYTES, Frontier, Node, completed_by, peaks_of

C = TypeVar("C", bound=LogConnection)
A_co = TypeVar("A_co", bound=LogConnection, covariant=True)
T = TypeVar("T")
Waiting = tuple[str, int, bytes]
"""Stream, version and leaf hash of an entry that has no place yet."""


class Asked(Protocol[A_co]):
    """Answers on the thread that owns the connection."""

    def __call__(self, answer: Callable[[A_co], T]) -> T: ...


class SqlTree(Generic[C]):
    """A `TreeStore` on the connection of its store."""

    def __init__(
        self, ask: Asked[C], log: str, where: str, exclusion: Callable[[float], AbstractContextManager[None]]
    ) -> None:
        """`exclusion` keeps other sequencers out, in all processes."""
        self.log = log
        self._ask, self._where, self._exclusion = ask, where, exclusion

    def sequencing(self, wait_seconds: float = 5.0) -> AbstractContextManager[None]:
        return self._exclusion(wait_seconds)

    def waiting(self) -> int:
        def count(connection: C) -> int:
            with connection.reading():
                events = connection.run(sql.COUNT_WAITING_EVENTS, first=_last_sequenced(connection))[0][0]
                records = connection.run(sql.COUNT_RECORDS)[0][0] - connection.run(sql.RECORDS_SEQUENCED)[0][0]
                return int(events) + int(records)

        return self._ask(count)

    def sequence(self, at_most: int = 1000) -> int:
        def place(connection: C) -> int:
            with connection.writing():
                return _place(connection, _next(connection, at_most))

        return self._ask(place)

    def add_record(self, record: KeptRecord) -> None:
        def add(connection: C) -> None:
            with connection.writing():
                found = connection.run(sql.COUNT_RECORDS)[0][0]
                if found != record.number:
                    raise StorageError(
                        f"The log has {found} records; {record.number} is not the next.",
                        where=self._where,
                        fix="Add records inside `sequencing`, and read how many there are first.",
                    )
                connection.add(sql.ADD_RECORD, [(record.number, record.type, record.at, record.leaf, record.entry)])

        self._ask(add)

    def records(self, after: int = 0) -> Sequence[bytes]:
        return tuple(entry for (entry,) in self._rows(sql.ACTS, first=after))

    def kept_records(self) -> Sequence[KeptRecord]:
        return tuple(KeptRecord(*row) for row in self._rows(sql.RECORDS_KEPT))

    def last_record(self) -> tuple[int, bytes]:
        rows = self._rows(sql.LAST_RECORD)
        return (rows[0][0] + 1, rows[0][1]) if rows else (0, b"")

    def size(self) -> int:
        return int(self._rows(sql.SIZE)[0][0])

    def nodes(self, wanted: Sequence[Node]) -> Mapping[Node, bytes]:
        return self._ask(lambda connection: _nodes(connection, wanted))

    def leaves(self, first: int, count: int) -> Sequence[tuple[Leaf, bytes]]:
        rows = self._rows(sql.LEAVES, first=first, past=first + count)
        return tuple((Leaf(*row[:5]), row[5] or b"") for row in rows)

    def unlike(self, streams: Sequence[str] | None = None) -> Sequence[tuple[str, int]]:
        """Where the tree has another leaf than the entry, or the entry is gone and not archived; of all conversations,
        or of these."""
        if streams is None:
            return tuple((stream, version) for stream, version in self._rows(sql.UNLIKE))
        return tuple(
            (stream, version) for one in streams for stream, version in self._rows(sql.UNLIKE_OF, in_stream=one)
        )

    def index_of(self, stream: str, version: int) -> int | None:
        rows = self._rows(sql.INDEX_OF, in_stream=stream, of_version=version)
        return int(rows[0][0]) if rows else None

    def heads_root(self) -> tuple[bytes, int]:
        def root(connection: C) -> tuple[bytes, int]:
            with connection.reading():
                return _map_of(connection).root(), int(connection.run(sql.COUNT_HEADS)[0][0])

        return self._ask(root)

    def head_in_map(self, stream: str) -> tuple[MapHead, Sequence[bytes]] | None:
        key = key_of(stream)

        def both(connection: C) -> tuple[MapHead, Sequence[bytes]] | None:
            with connection.reading():
                rows = connection.run(sql.HEAD_OF, of_key=key)
                return (MapHead(*rows[0]), _map_of(connection).proof(key)) if rows else None

        return self._ask(both)

    def head_nodes(self) -> Mapping[tuple[int, int], tuple[int, bytes]]:
        return {(depth, place): (kind, found) for depth, place, kind, found in self._rows(sql.HEAD_NODES)}

    def archived(self) -> Sequence[Archived]:
        return self._ask(archived_in)

    def checkpoints(self) -> Sequence[tuple[int, str]]:
        return tuple((size, note) for size, note in self._rows(sql.CHECKPOINTS))

    def add_checkpoint(self, size: int, note: str) -> None:
        def add(connection: C) -> None:
            with connection.writing():
                rows = connection.run(sql.CHECKPOINT_OF, of_size=size)
                if not rows:
                    connection.add(sql.ADD_CHECKPOINT, [(size, note)])
                elif rows[0][0] != note:
                    raise StorageError(
                        f"Another checkpoint of size {size} is kept already.",
                        where=self._where,
                        fix="Keep the database as it is: two checkpoints of one size are evidence of a fork.",
                    )

        self._ask(add)

    def cosignatures(self, size: int) -> Sequence[str]:
        return tuple(line for (line,) in self._rows(sql.COSIGNATURES, of_size=size))

    def cosigned_sizes(self) -> Sequence[int]:
        return tuple(size for (size,) in self._rows(sql.COSIGNED))

    def add_cosignature(self, size: int, line: str) -> None:
        def add(connection: C) -> None:
            with connection.writing():
                if (line,) not in [tuple(row) for row in connection.run(sql.COSIGNATURES, of_size=size)]:
                    connection.add(sql.ADD_COSIGNATURE, [(size, line)])

        self._ask(add)

    def anchors(self) -> Sequence[Anchored]:
        return tuple(Anchored(*row) for row in self._rows(sql.ANCHORS))

    def add_anchor(self, anchor: Anchored) -> None:
        def add(connection: C) -> None:
            with connection.writing():
                there = [tuple(row)[:3] for row in connection.run(sql.ANCHORS)]
                if (anchor.size, anchor.kind, anchor.place) not in there:
                    row = (anchor.size, anchor.kind, anchor.place, anchor.at, anchor.token)
                    connection.add(sql.ADD_ANCHOR, [row])

        self._ask(add)

    def _rows(self, statement: Any, **values: Any) -> Sequence[Any]:
        return self._ask(lambda connection: connection.run(statement, **values))


def _last_sequenced(connection: LogConnection) -> int:
    rows = connection.run(sql.LAST_SEQUENCED)
    return int(rows[0][0]) if rows else 0


def _next(connection: LogConnection, at_most: int) -> list[Waiting]:
    """What gets its place now, in order."""
    first = connection.run(sql.RECORDS_SEQUENCED)[0][0]
    records = connection.run(sql.WAITING_RECORDS, first=first, at_most=at_most)
    found = [(RECORDS, number, leaf) for number, leaf in records]
    if len(found) < at_most:
        last = _last_sequenced(connection)
        rows = connection.run(sql.WAITING_EVENTS, first=last, at_most=at_most - len(found))
        found += [(stream, version, leaf) for stream, version, leaf in rows]
    return found


def _place(connection: LogConnection, waiting: Iterable[Waiting]) -> int:
    """Inside a write transaction: the leaves, and the heads that they move. Returns how many."""
    size = int(connection.run(sql.SIZE)[0][0])
    peaks = _nodes(connection, peaks_of(size))
    edge = Frontier(size, [peaks[node] for node in peaks_of(size)])
    leaves, heads = [], {}
    for stream, version, leaf in waiting:
        position = edge.size
        leaves.append((position, stream, version, leaf, b"".join(edge.add(leaf)[1:])))
        if stream != RECORDS:
            heads[stream] = MapHead(stream, version, leaf)
    connection.add(sql.ADD_LEAF, leaves)
    connection.add(sql.PUT_HEAD, [(key_of(one.stream), one.stream, one.version, one.leaf) for one in heads.values()])
    _map_of(connection).moved(key_of(stream) for stream in heads)
    return len(leaves)


def _nodes(connection: LogConnection, wanted: Sequence[Node]) -> Mapping[Node, bytes]:
    positions = json.dumps(sorted({completed_by(node) for node in wanted}))
    rows = {position: (leaf, above) for position, leaf, above in connection.run(sql.NODES, positions=positions)}
    found = {}
    for node in wanted:
        leaf, above = rows.get(completed_by(node), (b"", b""))
        at = (node[0] - 1) * HASH_BYTES
        found[node] = above[at : at + HASH_BYTES] if node[0] else leaf
        if len(found[node]) != HASH_BYTES:
            raise LogBroken(
                f"The tree lacks its node {node}.", stream=RECORDS, version=completed_by(node), where="the Merkle tree",
                fix="Somebody removed leaves or wrote others: keep the file as evidence, and restore a backup.",
            )  # fmt: skip
    return found


def _map_of(connection: LogConnection) -> HeadMap:
    def bucket(place: int) -> list[tuple[bytes, bytes]]:
        first, last = bounds(place)
        return [kept(MapHead(*row)) for row in connection.run(sql.HEADS_BETWEEN, first=first, past=last)]

    def get(depth: int, place: int) -> Cell | None:
        rows = connection.run(sql.HEAD_NODE_OF, at_depth=depth, at_place=place)
        return Cell(*rows[0]) if rows else None

    def put(depth: int, place: int, cell: Cell) -> None:
        connection.add(sql.PUT_HEAD_NODE, [(depth, place, cell.kind, cell.hash)])

    return HeadMap(bucket, get, put)
