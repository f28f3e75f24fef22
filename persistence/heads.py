"""The map of heads: one hash that says where every conversation ends, so that one of them can be shown complete.

A binary tree in which a conversation's place is the SHA-256 of its name, read bit by bit: so it can stand at one
place only, and nobody can show two ends of it under one root. A subtree with one conversation is that
conversation's leaf, one with none is `EMPTY`. Pure.

    leaf  = SHA-256(0x00 || SHA-256(stream) || RFC 8785 {"leaf","stream","version"})
    node  = SHA-256(0x01 || left || right)
    empty = SHA-256(0x02)
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from ..contracts.canonical import canonical
from ..contracts.tree import MapHead

STORED_DEPTH = 16
"""Nodes are stored down to this depth; below it, the few conversations of a subtree are hashed again."""


class Cell(NamedTuple):
    """A subtree: its hash, and whether it holds no conversation (0), one (1) or several (2)."""

    kind: int
    hash: bytes


EMPTY = Cell(0, hashlib.sha256(b"\x02").digest())
Kept = tuple[bytes, bytes]
"""A conversation's key, and its leaf in the map."""


def key_of(stream: str) -> bytes:
    return hashlib.sha256(stream.encode("utf-8", "surrogatepass")).digest()


def map_leaf(head: MapHead) -> bytes:
    value = canonical({"leaf": head.leaf.hex(), "stream": head.stream, "version": head.version})
    return hashlib.sha256(b"\x00" + key_of(head.stream) + value).digest()


def kept(head: MapHead) -> Kept:
    return key_of(head.stream), map_leaf(head)


def bucket_of(key: bytes) -> int:
    """The subtree at the stored depth that the key is in."""
    return _prefix(key, STORED_DEPTH)


def bounds(bucket: int) -> tuple[bytes, bytes]:
    """The first key of a bucket, and the last."""
    first = bucket.to_bytes(STORED_DEPTH // 8, "big")
    return first + bytes(32 - len(first)), first + b"\xff" * (32 - len(first))


def joined(left: Cell, right: Cell) -> Cell:
    if left.kind == 0 and right.kind < 2:
        return right
    if right.kind == 0 and left.kind < 2:
        return left
    return Cell(2, hashlib.sha256(b"\x01" + left.hash + right.hash).digest())


def cell_of(heads: Sequence[Kept], depth: int = 0) -> Cell:
    """The subtree at `depth` that holds just these."""
    if len(heads) < 2:
        return Cell(1, heads[0][1]) if heads else EMPTY
    sides = _parted(heads, depth)
    return joined(cell_of(sides[0], depth + 1), cell_of(sides[1], depth + 1))


class HeadMap:
    """The map over stored nodes: `bucket` gives the conversations of a subtree at the stored depth."""

    def __init__(
        self,
        bucket: Callable[[int], Sequence[Kept]],
        get: Callable[[int, int], Cell | None],
        put: Callable[[int, int, Cell], None],
    ) -> None:
        self._bucket, self._stored, self._put = bucket, get, put

    def moved(self, keys: Iterable[bytes]) -> None:
        """Hash again what is above these conversations, whose heads have moved."""
        places = sorted({bucket_of(key) for key in keys})
        for place in places:
            self._put(STORED_DEPTH, place, cell_of(self._bucket(place), STORED_DEPTH))
        for depth in range(STORED_DEPTH - 1, -1, -1):
            places = sorted({place >> 1 for place in places})
            for place in places:
                sides = self._get(depth + 1, 2 * place), self._get(depth + 1, 2 * place + 1)
                self._put(depth, place, joined(*sides))

    def root(self) -> bytes:
        return self._get(0, 0).hash

    def proof(self, key: bytes) -> list[bytes]:
        """The hashes beside the way from the conversation's leaf to the root, the lowest first."""
        beside: list[bytes] = []
        for depth in range(STORED_DEPTH):
            if self._get(depth, _prefix(key, depth)).kind < 2:
                return beside[::-1]
            beside.append(self._get(depth + 1, _prefix(key, depth + 1) ^ 1).hash)
        heads, depth = self._bucket(bucket_of(key)), STORED_DEPTH
        while len(heads) > 1:
            sides, mine = _parted(heads, depth), _bit(key, depth)
            beside.append(cell_of(sides[1 - mine], depth + 1).hash)
            heads, depth = sides[mine], depth + 1
        return beside[::-1]

    def _get(self, depth: int, place: int) -> Cell:
        return self._stored(depth, place) or EMPTY


def is_head(head: MapHead, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the map with this root says that the conversation ends here."""
    key, found = kept(head)
    if len(proof) > 256:
        return False
    for depth, beside in zip(range(len(proof) - 1, -1, -1), proof, strict=True):
        pair = (beside, found) if _bit(key, depth) else (found, beside)
        found = hashlib.sha256(b"\x01" + pair[0] + pair[1]).digest()
    return found == root


def _bit(key: bytes, depth: int) -> int:
    return key[depth >> 3] >> (7 - (depth & 7)) & 1


def _prefix(key: bytes, depth: int) -> int:
    return int.from_bytes(key[:4], "big") >> (32 - depth)


def _parted(heads: Sequence[Kept], depth: int) -> tuple[list[Kept], list[Kept]]:
    sides: tuple[list[Kept], list[Kept]] = ([], [])
    for one in heads:
        sides[_bit(one[0], depth)].append(one)
    return sides
