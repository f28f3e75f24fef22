"""What a store promises of its Merkle tree: the contract that every adapter is tested against.

Entries are committed without a place in the tree, so that no commit waits for another's. The sequencer gives them
their places afterwards, in the order of commits and without a gap.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from .archive import Archived


@dataclass(frozen=True, slots=True)
class Leaf:
    """An entry's place in the tree. `stream` is empty for a record of the log's own.

    `above` holds the hashes of the whole subtrees that the leaf completed, from the lowest, one after the other.
    """

    index: int
    stream: str
    version: int
    hash: bytes
    above: bytes = b""


@dataclass(frozen=True, slots=True)
class MapHead:
    """Where a conversation ends, as far as the tree goes: its last version, and that entry's leaf hash."""

    stream: str
    version: int
    leaf: bytes


@dataclass(frozen=True, slots=True)
class KeptRecord:
    """A record as stored: the entry is the truth, the columns repeat what it says."""

    number: int
    type: str
    at: str
    leaf: bytes
    entry: bytes


@dataclass(frozen=True, slots=True)
class Anchored:
    """A copy of the checkpoint of `size`, or a token over it, at a place outside this database."""

    size: int
    kind: str
    place: str
    at: str
    token: bytes = b""


class TreeStore(Protocol):
    """The tree over a store's entries, the log's own records, and what was signed of it. Thread-safe."""

    log: str
    """Origin of the log."""

    def sequencing(self, wait_seconds: float = 5.0) -> AbstractContextManager[None]:
        """Be the only sequencer, in all processes, for the block. Raises `StorageError` if another is for longer."""
        ...

    def waiting(self) -> int:
        """How many committed entries have no place yet."""
        ...

    def sequence(self, at_most: int = 1000) -> int:
        """Give the next committed entries their places, in one transaction; durable on return. Returns how many.

        Records come first, in their order, then conversations' entries, in the order of their commits.
        """
        ...

    def add_record(self, record: KeptRecord) -> None:
        """Keep the log's next record. Raises `StorageError` if it is not the next one."""
        ...

    def kept_records(self) -> Sequence[KeptRecord]:
        """Every record as it is kept, in order."""
        ...

    def records(self, after: int = 0) -> Sequence[bytes]:
        """The entries of the records from number `after` on, in order; those of the tree itself may be left out."""
        ...

    def last_record(self) -> tuple[int, bytes]:
        """How many records there are, and the leaf hash of the last (empty if none)."""
        ...

    def size(self) -> int:
        """How many leaves the tree has."""
        ...

    def nodes(self, wanted: Sequence[tuple[int, int]]) -> Mapping[tuple[int, int], bytes]:
        """The hashes of whole subtrees, each named by level and position. Raises `LogBroken` if one is not there."""
        ...

    def leaves(self, first: int, count: int) -> Sequence[tuple[Leaf, bytes]]:
        """Leaves in order, each with its entry (empty where the entry is gone)."""
        ...

    def index_of(self, stream: str, version: int) -> int | None:
        """The place of an entry; None while it waits."""
        ...

    def heads_root(self) -> tuple[bytes, int]:
        """The root of the map of heads, and how many conversations are in it: as of `size()` leaves."""
        ...

    def head_in_map(self, stream: str) -> tuple[MapHead, Sequence[bytes]] | None:
        """A conversation's head in the map, and the hashes beside its way to the root, the lowest first."""
        ...

    def head_nodes(self) -> Mapping[tuple[int, int], tuple[int, bytes]]:
        """The stored nodes of the map of heads, by depth and place: up to 2 for its conversations, and the hash."""
        ...

    def archived(self) -> Sequence[Archived]:
        """The conversations whose entries were pruned, by name; their leaves stay."""
        ...

    def checkpoints(self) -> Sequence[tuple[int, str]]:
        """Size and note of every signed checkpoint, the smallest first, without cosignatures."""
        ...

    def add_checkpoint(self, size: int, note: str) -> None:
        """Keep a signed checkpoint; the same again changes nothing."""
        ...

    def cosignatures(self, size: int) -> Sequence[str]:
        """Witnesses' signature lines of the checkpoint of `size`, in order."""
        ...

    def cosigned_sizes(self) -> Sequence[int]:
        """The sizes that such lines stand under, in order."""
        ...

    def add_cosignature(self, size: int, line: str) -> None: ...

    def anchors(self) -> Sequence[Anchored]:
        """Where checkpoints were anchored, by size, kind and place."""
        ...

    def add_anchor(self, anchor: Anchored) -> None: ...
