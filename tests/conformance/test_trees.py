"""What every tree must do: one suite for all of them, whatever the order in which entries came."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.canonical import leaf_hash
from interlock.contracts.envelope import Head
from interlock.contracts.errors import StorageError
from interlock.contracts.records import RECORDS
from interlock.contracts.tree import Anchored, KeptRecord, Leaf, MapHead
from interlock.persistence import heads, merkle
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from support.evidence import ORIGIN, checkpointer, filled
from support.postgres import database
from support.stores import after, decided

Kept = MemoryStore | SqliteStore | PostgresStore


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request, tmp_path: Path) -> Iterator[Kept]:
    with ExitStack() as begun:
        made: Kept
        if request.param == "memory":
            made = MemoryStore(origin=ORIGIN)
        elif request.param == "sqlite":
            made = SqliteStore(tmp_path / "log.db", origin=ORIGIN)
        else:
            made = PostgresStore(begun.enter_context(database()), origin=ORIGIN)
        begun.callback(made.close)
        yield made


def test_entries_get_their_places_in_the_order_of_their_commits(store: Kept):
    """Gap-free, each once, in batches of any size; and the tree is that of their leaves."""
    expected, at = [], {name: Head(name) for name in "ab"}
    for name in "abbaabab":
        append = decided(at[name], log=store.log)
        store.append(append)
        at[name] = after(append)
        expected += [(entry.stream, entry.version, entry.leaf, entry.data) for entry in append.entries]
    tree = store.tree()
    assert (tree.size(), tree.waiting()) == (0, 16)
    assert [tree.sequence(5) for _ in range(5)] == [5, 5, 5, 1, 0]
    found = tree.leaves(0, 100)
    assert [(leaf.stream, leaf.version, leaf.hash, data) for leaf, data in found] == expected
    assert [leaf.index for leaf, _ in found] == list(range(16))
    assert (tree.size(), tree.waiting(), tree.index_of("b", 1), tree.index_of("b", 99)) == (16, 0, 3, None)
    for size in range(17):
        assert merkle.root_at(size, tree.nodes) == merkle.root_of(leaf for _, _, leaf, _ in expected[:size])
    assert tree.leaves(15, 9) == (found[15],)


def test_every_proof_of_the_stored_tree_holds(store: Kept):
    filled(store, 5)
    tree = store.tree()
    while tree.sequence(7):
        pass
    size, leaves = tree.size(), tree.leaves(0, 1000)
    root = merkle.root_at(size, tree.nodes)
    for leaf, data in leaves:
        proof = merkle.inclusion_proof(leaf.index, size, tree.nodes)
        assert merkle.is_included(leaf_hash(data), leaf.index, size, proof, root)
        old = merkle.root_at(leaf.index, tree.nodes)
        assert merkle.is_consistent(leaf.index, size, merkle.consistency_proof(leaf.index, size, tree.nodes), old, root)


def test_records_stand_in_the_tree_beside_the_conversations(store: Kept):
    """Before what waits, in their own order; and none is left out or added out of turn."""
    tree = store.tree()
    store.append(decided(Head("a"), log=store.log))
    first = KeptRecord(0, "heads_taken", "2026", leaf_hash(b"first"), b"first")
    tree.add_record(first)
    assert tree.kept_records() == (first,)
    assert tree.last_record() == (1, leaf_hash(b"first"))
    assert (tree.waiting(), tree.sequence(), tree.waiting()) == (3, 3, 0)
    assert tree.leaves(0, 1) == ((Leaf(0, RECORDS, 0, leaf_hash(b"first")), b"first"),)
    with pytest.raises(StorageError) as refused:
        tree.add_record(KeptRecord(2, "heads_taken", "2026", leaf_hash(b"third"), b"third"))
    assert refused.value.what == "The log has 1 records; 2 is not the next."


def test_one_sequencer_at_a_time(store: Kept):
    """The second waits, and then says who is in its way."""
    tree = store.tree()
    with (
        tree.sequencing(),
        pytest.raises(StorageError, match="Another process kept the database locked for 0"),
        store.tree().sequencing(0.01),
    ):
        pass
    with tree.sequencing(0.01):
        pass


def test_the_map_says_where_every_conversation_ends(store: Kept):
    """Its proofs hold for each conversation's last entry and for nothing else, after any number of batches."""
    streams, tree = filled(store, 40, turns=2), store.tree()
    while tree.sequence(9):
        pass
    root, count = tree.heads_root()
    assert count == len(streams)
    kept = [heads.kept(MapHead(s, store.head(s).length - 1, store.head(s).leaf)) for s in streams]
    assert root == heads.cell_of(kept).hash
    for stream in streams:
        found = tree.head_in_map(stream)
        assert found is not None
        head, proof = found
        assert head == MapHead(stream, store.head(stream).length - 1, store.head(stream).leaf)
        assert heads.is_head(head, proof, root)
        assert not heads.is_head(MapHead(stream, head.version - 1, head.leaf), proof, root)
        assert not heads.is_head(MapHead(stream, head.version, bytes(32)), proof, root)
        assert not heads.is_head(head, proof[1:], root)
        assert not heads.is_head(head, [bytes(32), *proof], root)
    assert tree.head_in_map("nobody") is None


def test_an_empty_tree_answers(store: Kept):
    tree = store.tree()
    assert (tree.size(), tree.waiting(), tree.sequence(), tree.heads_root()) == (0, 0, 0, (heads.EMPTY.hash, 0))
    assert (tree.checkpoints(), tree.anchors(), tree.cosignatures(3), tree.leaves(0, 5)) == ((), (), (), ())


def test_what_was_signed_is_kept_once(store: Kept):
    """The same checkpoint again changes nothing; another one of that size is a fork, and refused."""
    tree = store.tree()
    tree.add_checkpoint(3, "note")
    tree.add_checkpoint(3, "note")
    with pytest.raises(StorageError, match="Another checkpoint of size 3 is kept already"):
        tree.add_checkpoint(3, "other")
    for line in ("b", "a", "b"):
        tree.add_cosignature(3, line)
    anchor = Anchored(3, "folder", "/there", "2026", b"token")
    for _ in range(2):
        tree.add_anchor(anchor)
    assert (tree.checkpoints(), tree.cosignatures(3), tree.anchors()) == (((3, "note"),), ("a", "b"), (anchor,))


@given(st.lists(st.tuples(st.text(max_size=5), st.integers(0, 9)), max_size=40, unique_by=lambda one: one[0]))
def test_a_conversation_has_one_place_in_the_map(given_heads):
    """Whatever the names: the map of some heads proves each of them, and no other end of any."""
    known = [MapHead(stream, version, leaf_hash(stream.encode())) for stream, version in given_heads]
    kept = {heads.kept(one)[0]: heads.kept(one) for one in known}
    cells: dict[tuple[int, int], heads.Cell] = {}

    def bucket(place):
        return sorted(one for key, one in kept.items() if heads.bucket_of(key) == place)

    def put(depth, place, cell):
        cells[depth, place] = cell

    grown = heads.HeadMap(bucket, lambda depth, place: cells.get((depth, place)), put)
    grown.moved(kept)
    assert grown.root() == heads.cell_of(list(kept.values())).hash
    for one in known:
        proof = grown.proof(heads.key_of(one.stream))
        assert heads.is_head(one, proof, grown.root())
        assert not heads.is_head(MapHead(one.stream, one.version + 1, one.leaf), proof, grown.root())


def test_both_trees_are_the_same_tree(tmp_path: Path):
    """The same appends and checkpoints give the same leaves, roots, maps and notes."""
    answers = []
    with closing(SqliteStore(tmp_path / "log.db", origin=ORIGIN)) as there:
        for store in (MemoryStore(origin=ORIGIN), there):
            filled(store, 6)
            tree = store.tree()
            signing = checkpointer(tree)
            notes = [str(signing.checkpoint().note)]
            filled(store, 3, seed=7)
            notes.append(str(signing.checkpoint().note))
            assert str(signing.checkpoint().note) == notes[-1]
            answers.append((notes, tree.leaves(0, 1000), tree.heads_root(), tree.head_nodes(), tree.checkpoints()))
    assert answers[0] == answers[1]
