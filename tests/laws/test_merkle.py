"""The Merkle tree: published roots, proofs that hold, and no forged proof that does."""

import hashlib
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymerkle import InmemoryTree

from interlock.contracts.canonical import leaf_hash
from interlock.persistence import merkle
from interlock.persistence.merkle import Frontier, Node

# The leaves and roots of Certificate Transparency's reference implementation.
CT_LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


class Kept:
    """Every whole node of a tree, by its name."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.nodes: dict[Node, bytes] = {}
        self.roots = [merkle.EMPTY_ROOT]
        edge = Frontier()
        for index, leaf in enumerate(leaves):
            for level, found in enumerate(edge.add(leaf)):
                self.nodes[level, index >> level] = found
                assert merkle.completed_by((level, index >> level)) == index
            self.roots.append(edge.root())

    def __call__(self, wanted: Sequence[Node]) -> Mapping[Node, bytes]:
        return {node: self.nodes[node] for node in wanted}


def leaves_of(seed: int, size: int) -> list[bytes]:
    random = Random(seed)
    return [leaf_hash(random.randbytes(random.randrange(40))) for _ in range(size)]


def test_the_roots_are_those_that_certificate_transparency_published():
    """RFC 6962: the eight known trees, and the empty one."""
    leaves = [leaf_hash(bytes.fromhex(data)) for data in CT_LEAVES]
    kept = Kept(leaves)
    assert [root.hex() for root in kept.roots[1:]] == CT_ROOTS
    assert kept.roots[0].hex() == hashlib.sha256().hexdigest()
    assert [merkle.root_at(size, kept) for size in range(9)] == kept.roots


def test_the_proofs_are_those_that_certificate_transparency_published():
    """An inclusion proof and a consistency proof of its reference implementation, hash by hash."""
    kept = Kept([leaf_hash(bytes.fromhex(data)) for data in CT_LEAVES])
    assert [one.hex() for one in merkle.inclusion_proof(0, 8, kept)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [one.hex() for one in merkle.consistency_proof(6, 8, kept)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 21, 64])
def test_every_proof_of_a_tree_holds(size):
    """Of every leaf in every tree, and of every tree in every later one."""
    leaves = leaves_of(size, size)
    kept = Kept(leaves)
    for new in range(1, size + 1):
        for index in range(new):
            proof = merkle.inclusion_proof(index, new, kept)
            assert merkle.is_included(leaves[index], index, new, proof, kept.roots[new])
        for old in range(new + 1):
            proof = merkle.consistency_proof(old, new, kept)
            assert merkle.is_consistent(old, new, proof, kept.roots[old], kept.roots[new])


def flipped(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


def forged(proof: list[bytes]) -> list[list[bytes]]:
    """Every bit of it flipped, every hash left out, doubled, or swapped with the next; one more at either end."""
    found = []
    for at, one in enumerate(proof):
        found += [[*proof[:at], flipped(one, bit), *proof[at + 1 :]] for bit in range(256)]
        found += [[*proof[:at], *others, *proof[at + 1 :]] for others in ([], [one, one], [one[:-1]])]
    for at, (one, other) in enumerate(pairwise(proof)):
        found.append([*proof[:at], other, one, *proof[at + 2 :]])
    return [*found, [*proof, bytes(32)], [bytes(32), *proof]]


@pytest.mark.parametrize(("index", "size"), [(0, 1), (0, 2), (4, 5), (6, 7), (5, 11), (12, 13)])
def test_no_forged_inclusion_proof_holds(index, size):
    """Any bit, any hash missing or doubled, another index, another leaf, another root: all are refused."""
    leaves = leaves_of(3, size + 3)
    kept = Kept(leaves)
    proof, leaf, root = merkle.inclusion_proof(index, size, kept), leaves[index], kept.roots[size]
    assert merkle.is_included(leaf, index, size, proof, root)
    assert not any(merkle.is_included(leaf, index, size, other, root) for other in forged(proof))
    assert not any(merkle.is_included(leaf, other, size, proof, root) for other in {*range(-2, size + 3)} - {index})
    assert not any(merkle.is_included(flipped(leaf, bit), index, size, proof, root) for bit in range(256))
    assert not any(merkle.is_included(leaf, index, size, proof, flipped(root, bit)) for bit in range(256))
    assert not merkle.is_included(leaf, index, size, proof, kept.roots[size + 1])
    assert not merkle.is_included(leaf[:-1], index, size, proof, root)


@pytest.mark.parametrize(("old", "new"), [(1, 2), (2, 4), (3, 7), (4, 7), (6, 8), (7, 13), (8, 13), (5, 5)])
def test_no_forged_consistency_proof_holds(old, new):
    """Any bit, any hash missing or doubled, other sizes or roots: all are refused."""
    kept = Kept(leaves_of(4, new + 1))
    proof, before, after = merkle.consistency_proof(old, new, kept), kept.roots[old], kept.roots[new]
    assert merkle.is_consistent(old, new, proof, before, after)
    assert not any(merkle.is_consistent(old, new, other, before, after) for other in forged(proof))
    assert not any(merkle.is_consistent(old, new, proof, flipped(before, bit), after) for bit in range(256))
    assert not any(merkle.is_consistent(old, new, proof, before, flipped(after, bit)) for bit in range(256))
    assert not merkle.is_consistent(new + 1, new, proof, before, after)
    assert not merkle.is_consistent(-1, new, proof, before, after)
    if old != new:
        assert not merkle.is_consistent(old, old, proof, before, before)
        assert not merkle.is_consistent(old, new, [], before, after)


def test_from_nothing_to_anything_needs_no_proof_and_takes_none():
    kept = Kept(leaves_of(1, 3))
    assert merkle.is_consistent(0, 3, [], merkle.EMPTY_ROOT, kept.roots[3])
    assert not merkle.is_consistent(0, 3, [bytes(32)], merkle.EMPTY_ROOT, kept.roots[3])
    assert not merkle.is_consistent(0, 3, [], kept.roots[1], kept.roots[3])


def test_a_proof_of_what_cannot_be_is_not_made():
    kept = Kept(leaves_of(1, 3))
    with pytest.raises(ValueError, match="leaf 3 is not in a tree of 3"):
        merkle.inclusion_proof(3, 3, kept)
    with pytest.raises(ValueError, match="a tree of 3 does not extend one of 4"):
        merkle.consistency_proof(4, 3, kept)


@given(st.lists(st.binary(max_size=20), max_size=80), st.data())
def test_a_tree_grown_leaf_by_leaf_is_the_tree_of_its_leaves(entries, data):
    """Wherever growing stopped and went on, from the peaks alone."""
    leaves = [leaf_hash(entry) for entry in entries]
    kept = Kept(leaves)
    pause = data.draw(st.integers(0, len(leaves)))
    edge = Frontier(pause, [kept.nodes[node] for node in merkle.peaks_of(pause)])
    for leaf in leaves[pause:]:
        edge.add(leaf)
    assert edge.root() == kept.roots[len(leaves)] == merkle.root_of(leaves)


def agrees(seed: int) -> None:
    """One random tree, here and in `pymerkle`: each root, an inclusion proof and a consistency proof."""
    random = Random(seed)
    entries = [random.randbytes(random.randrange(1, 60)) for _ in range(random.randrange(1, 90))]
    theirs = InmemoryTree(algorithm="sha256")
    for entry in entries:
        theirs.append_entry(entry)
    kept = Kept([leaf_hash(entry) for entry in entries])
    size = random.randrange(1, len(entries) + 1)
    assert theirs.get_root(size) == kept.roots[size]
    index, old = random.randrange(size), random.randrange(1, size + 1)
    there = theirs.prove_inclusion(index + 1, size).serialize()["path"]
    assert {*there[1:]} == {one.hex() for one in merkle.inclusion_proof(index, size, kept)}
    proof = merkle.consistency_proof(old, size, kept)
    assert merkle.is_consistent(old, size, proof, theirs.get_root(old), theirs.get_root(size))


def test_another_implementation_agrees_on_random_trees():
    """`pymerkle`, on 200 trees."""
    for seed in range(200):
        agrees(seed)


@pytest.mark.full
def test_another_implementation_agrees_on_ten_thousand_random_trees():
    for seed in range(10_000):
        agrees(seed)
