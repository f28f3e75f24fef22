"""Before the tree's head is signed: do the leaves that it adds still stand for their entries?

Who alters an entry in the database leaves its leaf as it was. What was signed before is compared by `verify`; here
only what came since, so that signing costs no more than what was written.
"""

from collections.abc import Iterator, Sequence

from ...contracts.canonical import leaf_hash, parsed
from ...contracts.errors import LogBroken, NotEncodable
from ...contracts.records import RECORDS
from ...contracts.tree import Leaf, TreeStore

CHUNK = 1000


def refuse_altered(tree: TreeStore, first: int) -> list[tuple[int, bytes]]:
    """Place and entry of every change of the log's key that was compared.

    Raises `LogBroken` at the first leaf from `first` on whose entry is gone, another, or out of its chain, or says
    that texts were erased though no record asks for it.
    """
    last: dict[str, bytes] = {}
    changes: list[tuple[int, bytes]] = []
    erased: list[tuple[Leaf, bytes]] = []
    archived = {one.stream: one.length for one in tree.archived()}
    for expected, (leaf, entry) in enumerate(_from(tree, first), first):
        if leaf.index != expected:
            raise _broken(leaf, f"Leaf {expected} of the tree is missing.")
        if not entry and leaf.version < archived.get(leaf.stream, 0):
            last[leaf.stream] = leaf.hash
            continue
        if not entry:
            raise _broken(leaf, f"The entry of leaf {leaf.index} is gone ({named(leaf)}).")
        if leaf_hash(entry) != leaf.hash:
            raise _broken(leaf, f"The entry of leaf {leaf.index} was altered ({named(leaf)}).")
        if _previous(entry) != (last.get(leaf.stream) or _before(tree, leaf)).hex():
            raise _broken(leaf, f"The entry of leaf {leaf.index} does not follow from the one before ({named(leaf)}).")
        last[leaf.stream] = leaf.hash
        if leaf.stream != RECORDS and b'"type":"erased"' in entry:
            erased.append((leaf, entry))
        if leaf.stream == RECORDS and b'"type":"key_rotated"' in entry:
            changes.append((expected, entry))
    _refuse_unasked(tree, erased)
    return changes


def _refuse_unasked(tree: TreeStore, erased: Sequence[tuple[Leaf, bytes]]) -> None:
    """Every record has its place by now, and stands before what was done as it asks."""
    asked = {leaf_hash(one).hex() for one in tree.records() if b'"erasure_asked"' in one} if erased else set()
    for leaf, entry in erased:
        fields = parsed(entry)
        if fields["type"] == "erased" and fields["data"].get("request") not in asked:
            raise _broken(
                leaf, f"The entry of leaf {leaf.index} says that texts were erased; no record asks ({named(leaf)})."
            )


def named(leaf: Leaf) -> str:
    return f"{leaf.stream} event {leaf.version}" if leaf.stream != RECORDS else f"record {leaf.version} of the log"


def _from(tree: TreeStore, first: int) -> Iterator[tuple[Leaf, bytes]]:
    for start in range(first, tree.size(), CHUNK):
        yield from tree.leaves(start, CHUNK)


def _before(tree: TreeStore, leaf: Leaf) -> bytes:
    """The leaf hash of the entry before this one in its conversation; empty for the first, and where it has none."""
    place = tree.index_of(leaf.stream, leaf.version - 1) if leaf.version else None
    return tree.leaves(place, 1)[0][0].hash if place is not None else b""


def _previous(entry: bytes) -> object:
    try:
        value = parsed(entry)
    except NotEncodable:
        return None
    return value.get("prev", "") if isinstance(value, dict) else None


def _broken(leaf: Leaf, what: str) -> LogBroken:
    return LogBroken(
        what,
        stream=leaf.stream,
        version=leaf.version,
        fix="Nothing was signed. Keep the file as evidence and restore a backup; `interlock verify` lists every break.",
    )
