"""Archive and prune: what goes is provably in the archive, and everything that stays verifies as before."""

import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.errors import CallError
from interlock.contracts.tree import TreeStore
from interlock.persistence import merkle
from interlock.persistence.evidence import verify_bundle
from interlock.persistence.evidence.bundle import Selection, bundled
from interlock.persistence.evidence.checking import Outside, attested
from interlock.persistence.evidence.policy import Policy
from interlock.persistence.verify import verify
from support.archives import archived_to, each_file, lived, pruned, reopened, store_of
from support.evidence import TestKey, checkpointer
from support.tampering import checked

seeds = st.integers(0, 10_000)
OUTSIDE = Outside(keys=(TestKey().verifier(),))


@contextmanager
def folder():
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def everything_of(store, tree: TreeStore) -> dict[str, bytes]:
    """A bundle of all that the log has."""
    files: dict[str, bytes] = {}
    with tree.sequencing():
        bundled(store, tree, [TestKey()], Policy((TestKey().verifier(),)), Selection(), files.__setitem__)
    return files


def every_proof_holds(tree: TreeStore, hashes: list[bytes]) -> None:
    size = tree.size()
    root = merkle.root_at(size, tree.nodes)
    for index, leaf in enumerate(hashes):
        assert merkle.is_included(leaf, index, size, merkle.inclusion_proof(index, size, tree.nodes), root)
        old = merkle.root_at(index, tree.nodes)
        assert old == merkle.root_of(hashes[:index])
        proof = merkle.consistency_proof(index, size, tree.nodes)
        assert merkle.is_consistent(index, size, proof, old, root)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@given(seed=seeds, ended=st.integers(1, 5), still_open=st.integers(0, 3))
def test_what_stays_verifies_and_what_went_is_in_the_archive(kind, seed, ended, still_open):
    """Root, old checkpoints and every proof stand; log and bundle verify; the archive verifies alone, and holds it."""
    archive_prune_and_check(kind, seed, ended, still_open)


@pytest.mark.parametrize(("kind", "seed"), [("postgres", 1), ("postgres", 2), ("clear", 3)])
def test_it_holds_on_every_store(kind, seed):
    """On PostgreSQL, and on SQLite without encryption, whose archives hold the texts as they are."""
    archive_prune_and_check(kind, seed, 4, 2)


def archive_prune_and_check(kind: str, seed: int, ended: int, still_open: int) -> None:
    with folder() as place, store_of(kind, place) as store:
        tree, signing = store.tree(), checkpointer(store.tree())
        gone, stay = lived(store, ended, still_open, seed=seed)
        first = signing.checkpoint()
        before = {stream: store.read(stream) for stream in store.streams()}
        archived_to(store, place / "old", signing)
        size = tree.size()
        hashes = [leaf.hash for leaf, _ in tree.leaves(0, size)]
        done = pruned(store, place / "old", signing)
        assert (done.done, done.conversations, done.entries) == (True, len(gone), sum(len(before[s]) for s in gone))
        assert [leaf.hash for leaf, _ in tree.leaves(0, size)] == hashes
        every_proof_holds(tree, [leaf.hash for leaf, _ in tree.leaves(0, tree.size())])
        assert (store.streams(), [one.stream for one in store.archived()]) == (tuple(sorted(stay)), sorted(gone))
        assert verify(store).ok
        found = attested(tree, Outside(keys=OUTSIDE.keys, heads=(str(first.note),)))
        assert (found.faults, found.archived, dict(found.archives)) == ((), done.entries, {"old": len(gone)})
        lived(store, 1, 1, seed=seed + 20_000)
        signing.checkpoint()
        report = checked(everything_of(store, tree), str(first.note))
        assert (report.faults, report.archived) == ([], done.entries)
        alone = verify_bundle.check(
            verify_bundle.read(place / "old"), verify_bundle.Trust([verify_bundle.Key(str(OUTSIDE.keys[0]))])
        )
        assert (alone.verdict, alone.faults) == ("SELF-ATTESTED", [])
        held = reopened(place / "old")
        for stream in gone:
            assert held.lines(stream) == [entry.data for entry in before[stream]]


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
@given(seed=seeds, data=st.data())
def test_an_archive_that_was_touched_prunes_nothing(kind, seed, data):
    """One changed, missing or added byte anywhere in it: refused, and the log is as it was."""
    with folder() as place, store_of(kind, place) as store:
        signing = checkpointer(store.tree())
        lived(store, 3, 1, seed=seed)
        archived_to(store, place / "old", signing)
        files = sorted(each_file(place / "old"))
        victim = data.draw(st.sampled_from(files), label="file")
        body, how = victim.read_bytes(), data.draw(st.sampled_from(["flip", "cut", "remove", "add"]))
        if how == "remove" or not body:
            victim.unlink()
        elif how == "cut":
            victim.write_bytes(body[:-1])
        elif how == "add":
            victim.write_bytes(body + b" ")
        else:
            at = data.draw(st.integers(0, len(body) - 1))
            victim.write_bytes(body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])
        before = {stream: store.read(stream) for stream in store.streams()}
        size = store.tree().size()
        with pytest.raises(CallError):
            pruned(store, place / "old", signing)
        assert {stream: store.read(stream) for stream in store.streams()} == before
        assert (store.archived(), store.tree().size()) == ((), size)


@given(seed=seeds)
def test_several_archives_one_after_the_other(seed):
    """Segment after segment goes; each archive verifies, and so does what is left after each."""
    with folder() as place, store_of("sqlite", place) as store:
        signing, tree = checkpointer(store.tree()), store.tree()
        for number in range(3):
            lived(store, 2, 1, seed=seed + number)
            archived_to(store, place / f"part-{number}", signing)
            assert pruned(store, place / f"part-{number}", signing).conversations == 2
            signing.checkpoint()
            assert attested(tree, OUTSIDE).faults == ()
            assert checked(everything_of(store, tree)).faults == []
        assert len(store.archived()) == 6
        assert dict(attested(tree, OUTSIDE).archives) == {"part-0": 2, "part-1": 2, "part-2": 2}
