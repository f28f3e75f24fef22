"""The Merkle tree of RFC 6962: roots, and the proofs of RFC 9162 made and checked. Pure.

A node is named `(level, position)`: it stands over the leaves from `position << level` on, `1 << level` of them.
Only nodes over whole ranges are ever stored, so none ever changes; what hangs at the right edge is folded from
them when it is asked for.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence

Node = tuple[int, int]
Range = tuple[int, int]
Nodes = Callable[[Sequence[Node]], Mapping[Node, bytes]]
"""Looks up stored nodes, all that are asked for in one question."""

HASH_BYTES = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Of a tree without a leaf (RFC 6962 section 2.1)."""


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: what is needed to add leaves, and no more."""

    def __init__(self, size: int = 0, peaks: Sequence[bytes] = ()) -> None:
        """`peaks` are the nodes that `peaks_of(size)` names."""
        self.size = size
        self._peaks = list(peaks)

    def add(self, leaf: bytes) -> list[bytes]:
        """The nodes that the leaf completes, from the leaf itself upwards."""
        completed, above = [leaf], self.size
        while above & 1:
            completed.append(node_hash(self._peaks.pop(), completed[-1]))
            above >>= 1
        self._peaks.append(completed[-1])
        self.size += 1
        return completed

    def root(self) -> bytes:
        return _folded(self._peaks) if self._peaks else EMPTY_ROOT


def peaks_of(size: int) -> list[Node]:
    """The whole subtrees that a tree of this size consists of, from the left."""
    return _whole((0, size))


def completed_by(node: Node) -> int:
    """The index of the leaf that completed the node: its hash is kept there, `level` places above the leaf's."""
    level, position = node
    return ((position + 1) << level) - 1


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes."""
    edge = Frontier()
    for leaf in leaves:
        edge.add(leaf)
    return edge.root()


def root_at(size: int, nodes: Nodes) -> bytes:
    """The root of the tree's first `size` leaves."""
    return _hashes([(0, size)], nodes)[0] if size else EMPTY_ROOT


def inclusion_proof(index: int, size: int, nodes: Nodes) -> list[bytes]:
    """Why the leaf at `index` is in the tree of `size` leaves: the hashes beside its way up, its sibling first."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    beside, first, end = [], 0, size
    while end - first > 1:
        middle = first + _split(end - first)
        if index < middle:
            beside.append((middle, end))
            end = middle
        else:
            beside.append((first, middle))
            first = middle
    return _hashes(beside[::-1], nodes)


def consistency_proof(old: int, new: int, nodes: Nodes) -> list[bytes]:
    """Why the tree of `new` leaves begins with that of `old`; empty where there is nothing to show."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} does not extend one of {old}")
    if old == 0:
        return []
    beside, first, end, left, whole = [], 0, new, old, True
    while left != end - first:
        size = _split(end - first)
        if left <= size:
            beside.append((first + size, end))
            end = first + size
        else:
            beside.append((first, first + size))
            first, left, whole = first + size, left - size, False
    if not whole:
        beside.append((first, end))
    return _hashes(beside[::-1], nodes)


def is_included(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size or not _are_hashes([leaf, root, *proof]):
        return False
    node, last, found = index, size - 1, leaf
    for beside in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(beside, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, beside)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(old: int, new: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> bool:
    """RFC 9162 section 2.1.4.2; also where one of the trees is empty, or both are the same."""
    if not 0 <= old <= new or not _are_hashes([old_root, new_root, *proof]):
        return False
    if old == 0 or old == new:
        return not proof and old_root == (new_root if old else EMPTY_ROOT)
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = path[0]
    for beside in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            before, after = node_hash(beside, before), node_hash(beside, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, beside)
        node, last = node >> 1, last >> 1
    return last == 0 and (before, after) == (old_root, new_root)


def _are_hashes(values: Sequence[bytes]) -> bool:
    return all(len(one) == HASH_BYTES for one in values)


def _split(count: int) -> int:
    """The largest power of two below `count`: where RFC 6962 parts a range."""
    return 1 << (count - 1).bit_length() - 1


def _whole(part: Range) -> list[Node]:
    """The stored nodes that a range of the tree consists of, from the left."""
    first, end = part
    found = []
    while first < end:
        level = (end - first).bit_length() - 1
        found.append((level, first >> level))
        first += 1 << level
    return found


def _hashes(parts: Sequence[Range], nodes: Nodes) -> list[bytes]:
    wanted = [_whole(part) for part in parts]
    found = nodes([node for nodes_of in wanted for node in nodes_of])
    return [_folded([found[node] for node in nodes_of]) for nodes_of in wanted]


def _folded(peaks: Sequence[bytes]) -> bytes:
    result = peaks[-1]
    for peak in reversed(peaks[:-1]):
        result = node_hash(peak, result)
    return result
