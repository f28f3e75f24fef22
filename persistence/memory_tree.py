"""The Merkle tree of a store in memory. Nothing outlives the process."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Lock

from ..contracts.archive import Archived
from ..contracts.errors import StorageError
from ..contracts.records import RECORDS
from ..contracts.store import StoredEntry
from ..contracts.tree import Anchored, KeptRecord, Leaf, MapHead
from .heads import Cell, HeadMap, Kept, bucket_of, kept, key_of
from .merkle import Frontier, Node

Committed = Callable[[int], Sequence[StoredEntry]]
"""The committed entries from the given one on, in the order of commits."""


class MemoryTree:
    """Passes the same suite as the tree on SQLite; as durable as its store."""

    def __init__(self, log: str, committed: Committed) -> None:
        self.log = log
        self._committed = committed
        self._sequencer, self._lock = Lock(), Lock()
        self._edge = Frontier()
        self._leaves: list[tuple[Leaf, bytes]] = []
        self._places: dict[tuple[str, int], int] = {}
        self._nodes: dict[Node, bytes] = {}
        self._records: list[KeptRecord] = []
        self._records_placed = 0
        self._heads: dict[str, MapHead] = {}
        self._buckets: dict[int, dict[bytes, Kept]] = {}
        self._cells: dict[tuple[int, int], Cell] = {}
        self._map = HeadMap(self._bucket, lambda depth, place: self._cells.get((depth, place)), self._put)
        self._checkpoints: dict[int, str] = {}
        self._cosignatures: set[tuple[int, str]] = set()
        self._anchors: dict[tuple[int, str, str], Anchored] = {}
        self._archived: dict[str, Archived] = {}

    @contextmanager
    def sequencing(self, wait_seconds: float = 5.0) -> Iterator[None]:
        if not self._sequencer.acquire(timeout=wait_seconds):
            raise StorageError(
                f"Another process kept the database locked for {wait_seconds:g} s.",
                where=self.log,
                fix="Find the process that has the lock file open and end it, or allow a longer wait.",
            )
        try:
            yield
        finally:
            self._sequencer.release()

    def waiting(self) -> int:
        with self._lock:
            return len(self._committed(self._events_placed())) + len(self._records) - self._records_placed

    def _events_placed(self) -> int:
        return len(self._leaves) - self._records_placed

    def sequence(self, at_most: int = 1000) -> int:
        with self._lock:
            before = len(self._leaves)
            for record in self._records[self._records_placed :][:at_most]:
                self._place(RECORDS, record.number, record.leaf, record.entry)
                self._records_placed += 1
            for entry in self._committed(self._events_placed())[: at_most - (len(self._leaves) - before)]:
                self._place(entry.stream, entry.version, entry.leaf, entry.data)
                self._heads[entry.stream] = MapHead(entry.stream, entry.version, entry.leaf)
            moved = {leaf.stream for leaf, _ in self._leaves[before:] if leaf.stream != RECORDS}
            for stream in moved:
                one = kept(self._heads[stream])
                self._buckets.setdefault(bucket_of(one[0]), {})[one[0]] = one
            self._map.moved(key_of(stream) for stream in moved)
            return len(self._leaves) - before

    def _place(self, stream: str, version: int, leaf: bytes, data: bytes) -> None:
        index = self._edge.size
        completed = self._edge.add(leaf)
        for level, found in enumerate(completed):
            self._nodes[level, index >> level] = found
        self._leaves.append((Leaf(index, stream, version, leaf, b"".join(completed[1:])), data))
        self._places[stream, version] = index

    def add_record(self, record: KeptRecord) -> None:
        with self._lock:
            if record.number != len(self._records):
                raise StorageError(
                    f"The log has {len(self._records)} records; {record.number} is not the next.",
                    where=self.log,
                    fix="Add records inside `sequencing`, and read how many there are first.",
                )
            self._records.append(record)

    def kept_records(self) -> Sequence[KeptRecord]:
        with self._lock:
            return tuple(self._records)

    def records(self, after: int = 0) -> Sequence[bytes]:
        with self._lock:
            return tuple(record.entry for record in self._records[after:])

    def last_record(self) -> tuple[int, bytes]:
        with self._lock:
            return len(self._records), self._records[-1].leaf if self._records else b""

    def size(self) -> int:
        return len(self._leaves)

    def nodes(self, wanted: Sequence[Node]) -> Mapping[Node, bytes]:
        with self._lock:
            return {node: self._nodes[node] for node in wanted}

    def leaves(self, first: int, count: int) -> Sequence[tuple[Leaf, bytes]]:
        with self._lock:
            return tuple(self._leaves[first : first + count])

    def index_of(self, stream: str, version: int) -> int | None:
        return self._places.get((stream, version))

    def heads_root(self) -> tuple[bytes, int]:
        with self._lock:
            return self._map.root(), len(self._heads)

    def head_in_map(self, stream: str) -> tuple[MapHead, Sequence[bytes]] | None:
        with self._lock:
            head = self._heads.get(stream)
            return (head, self._map.proof(key_of(stream))) if head else None

    def head_nodes(self) -> Mapping[tuple[int, int], tuple[int, bytes]]:
        with self._lock:
            return {at: (cell.kind, cell.hash) for at, cell in self._cells.items()}

    def archived(self) -> Sequence[Archived]:
        with self._lock:
            return tuple(self._archived[stream] for stream in sorted(self._archived))

    def cut(self, archived: Sequence[Archived]) -> None:
        """The entries of these conversations go, and their leaves stay. Raises `StorageError` where no record that a
        checkpoint covers says that they may."""
        with self._lock:
            for one in archived:
                if not self._is_recorded(one):
                    raise StorageError(
                        "The database refused the row. (archived: no signed record of the log says so)",
                        where=self.log,
                        fix="Prune with `interlock prune`, which records it first.",
                    )
            self._archived |= {one.stream: one for one in archived}
            self._leaves = [(leaf, b"" if leaf.stream in self._archived else data) for leaf, data in self._leaves]

    def _is_recorded(self, one: Archived) -> bool:
        place = self._places.get((RECORDS, one.record))
        last = self._places.get((one.stream, one.length - 1))
        return (
            place is not None
            and self._records[one.record].type == "segment_pruned"
            and any(size > place for size in self._checkpoints)
            and last is not None
            and self._leaves[last][0].hash == one.leaf
            and (one.stream, one.length) not in self._places
        )

    def checkpoints(self) -> Sequence[tuple[int, str]]:
        with self._lock:
            return tuple(sorted(self._checkpoints.items()))

    def add_checkpoint(self, size: int, note: str) -> None:
        with self._lock:
            if self._checkpoints.setdefault(size, note) != note:
                raise StorageError(
                    f"Another checkpoint of size {size} is kept already.",
                    where=self.log,
                    fix="Keep the database as it is: two checkpoints of one size are evidence of a fork.",
                )

    def cosignatures(self, size: int) -> Sequence[str]:
        with self._lock:
            return tuple(sorted(line for at, line in self._cosignatures if at == size))

    def cosigned_sizes(self) -> Sequence[int]:
        with self._lock:
            return tuple(sorted({at for at, _ in self._cosignatures}))

    def add_cosignature(self, size: int, line: str) -> None:
        with self._lock:
            self._cosignatures.add((size, line))

    def anchors(self) -> Sequence[Anchored]:
        with self._lock:
            return tuple(self._anchors[key] for key in sorted(self._anchors))

    def add_anchor(self, anchor: Anchored) -> None:
        with self._lock:
            self._anchors.setdefault((anchor.size, anchor.kind, anchor.place), anchor)

    def _bucket(self, place: int) -> Sequence[Kept]:
        return sorted(self._buckets.get(place, {}).values())

    def _put(self, depth: int, place: int, cell: Cell) -> None:
        self._cells[depth, place] = cell
