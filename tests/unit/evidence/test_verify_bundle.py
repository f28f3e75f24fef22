"""The verifier that goes with a bundle: its verdicts, and that it stands alone."""

import ast
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.tree import MapHead
from interlock.persistence import heads, merkle
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.evidence.anchors import TimestampAnchor
from interlock.persistence.evidence.keys import cosigned
from interlock.persistence.evidence.notes import COSIGNATURE
from interlock.persistence.evidence.policy import policy_of
from interlock.persistence.memory_store import MemoryStore
from support.evidence import ORIGIN, TestKey, checkpointer, filled
from support.tampering import bundle_of, checked
from support.timestamping import Authority

WITNESSES = [TestKey(f"w.example/{n}", 20 + n, COSIGNATURE) for n in range(3)]
POLICY = "".join(f"witness W{n} {key.verifier()}\n" for n, key in enumerate(WITNESSES))
TWO_OF_THREE = f"log {TestKey().verifier()}\n{POLICY}group G 2 W0 W1 W2\nquorum G\n"


def made(*seen_by: int) -> tuple[MemoryStore, str]:
    """A log, its newest checkpoint, and cosignatures of these witnesses."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 3)
    note = checkpointer(store.tree()).checkpoint().note
    for number in seen_by:
        line = cosigned(note.text, WITNESSES[number], 1_790_000_000)
        store.tree().add_cosignature(store.tree().size(), str(line))
    return store, str(note)


def test_it_stands_alone():
    """Only the standard library, and two optional packages where they are used."""
    tree = ast.parse(Path(alone.__file__).read_text("utf-8"))
    names = {one.module or "" for one in ast.walk(tree) if isinstance(one, ast.ImportFrom)}
    names |= {name.name for one in ast.walk(tree) if isinstance(one, ast.Import) for name in one.names}
    outside = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert outside == {"cryptography", "rfc3161_client"}
    assert all(one.level == 0 for one in ast.walk(tree) if isinstance(one, ast.ImportFrom))


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [((), "SELF-ATTESTED"), ((1,), "SELF-ATTESTED"), ((0, 2), "WITNESSED(2 of 3)"), ((0, 1, 2), "WITNESSED(3 of 3)")],
)
def test_witnesses_count_if_the_auditors_policy_names_them(seen, verdict):
    """Never by the policy in the bundle: whoever makes the bundle writes that."""
    store, _ = made(*seen)
    assert str(checked(bundle_of(store), policy=TWO_OF_THREE)) == verdict
    assert str(checked(bundle_of(store))) == "SELF-ATTESTED"


def test_the_weakest_is_said():
    """A checkpoint from elsewhere covers what it covers: the rest is by the log's own word."""
    store, first = made()
    assert str(checked(bundle_of(store), first)) == "ANCHORED"
    filled(store, 1, seed=9)
    checkpointer(store.tree()).checkpoint()
    report = checked(bundle_of(store), first)
    assert str(report) == "SELF-ATTESTED"
    size = first.split("\n")[1]
    assert f"Anchored up to leaf {size} of {report.size}." in report.says


def test_a_checkpoint_that_the_bundle_cannot_answer_for_is_not_shown():
    """Of one conversation, it holds no proof from another checkpoint unless it was asked for."""
    store, first = made()
    stream = store.streams()[0]
    filled(store, 1, seed=9)
    checkpointer(store.tree()).checkpoint()
    report = checked(bundle_of(store, (stream,)), first)
    assert (report.verdict, "ask for one made with `--since`" in report.missing[0]) == ("NOT SHOWN", True)


def test_an_older_witness_is_told_from_a_newer_one():
    """With --not-before, who saw it long ago does not count."""
    store, _ = made(0, 1)
    for moment, verdict in ((1_789_999_999, "WITNESSED"), (1_790_000_001, "SELF-ATTESTED")):
        trust = alone.Trust(policy=alone.Policy(TWO_OF_THREE), not_before=moment)
        assert alone.check(bundle_of(store), trust).verdict == verdict


def test_a_conversation_without_its_end_is_not_complete():
    """The entries hold, each is proved, and the map of heads says that there is another."""
    store, _ = made()
    stream = next(one for one in store.streams() if store.head(one).length > 2)
    files = bundle_of(store, (stream,))
    name, last = f"entries/{alone.file_name(stream)}.jsonl", store.head(stream).length - 1
    files[name] = b"".join(line + b"\n" for line in files[name].split(b"\n")[:-2])
    del files[f"proofs/{alone.file_name(stream)}/{last}.tlog-proof"]
    check = alone.Check(files, alone.Trust())
    check.checkpoint, check.origin = alone.Checkpoint(files["checkpoint"]), ORIGIN
    check.manifest, check.whole = {"conversations": [stream]}, False
    check.tree()
    with pytest.raises(alone.Bad, match=f"is not complete: version {last - 1} is not where the log says that it ends"):
        check.complete()


@given(st.binary(min_size=32, max_size=32), st.binary(max_size=40), st.integers(0, 64 * 8 - 1))
def test_its_own_arithmetic_is_that_of_the_library(seed, message, bit):
    """RFC 8032 without any package: the same signatures hold, and the same do not."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), private.sign(message)
    assert alone.ed25519_alone(public, signature, message)
    changed = bytearray(signature)
    changed[bit // 8] ^= 1 << bit % 8
    assert alone.ed25519_alone(public, bytes(changed), message) == alone.ed25519(public, bytes(changed), message)
    assert not alone.ed25519_alone(public, signature, message + b"x")


def test_the_vector_of_rfc_8032_holds():
    """Section 7.1, test 3."""
    public = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
    signature = bytes.fromhex(
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
    )
    assert alone.ed25519_alone(public, signature, bytes.fromhex("af82"))
    assert not alone.ed25519_alone(public, signature, bytes.fromhex("af83"))
    assert not alone.ed25519_alone(public, signature[:63], b"")


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=1, max_size=40), st.data())
def test_its_tree_is_the_packages(leaves, data):
    """Two programs, written apart: the same roots, the same proofs."""
    size = data.draw(st.integers(1, len(leaves)))
    levels = alone.levels_of(leaves)
    nodes = {(level, at): one for level, row in enumerate(levels) for at, one in enumerate(row)}
    old, index = data.draw(st.integers(0, size)), data.draw(st.integers(0, size - 1))
    root = merkle.root_of(leaves[:size])
    assert alone.root_at(levels, size) == root

    def stored(wanted):
        return {one: nodes[one] for one in wanted}

    assert alone.included(leaves[index], index, size, merkle.inclusion_proof(index, size, stored), root)
    before = merkle.root_of(leaves[:old])
    assert alone.consistent(old, size, merkle.consistency_proof(old, size, stored), before, root)
    assert not alone.consistent(old, size, [bytes(32)], before, root) or (old, size) == (0, 0)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.integers(0, 9), max_size=20))
def test_its_map_of_heads_is_the_packages(ends):
    known = [MapHead(stream, version, bytes([version]) * 32) for stream, version in ends.items()]
    theirs = alone.map_root([alone.map_leaf(one.stream, one.version, one.leaf) for one in known])[1]
    assert theirs == heads.cell_of([heads.kept(one) for one in known]).hash


def test_its_policy_is_the_packages():
    policy, ours = alone.Policy(TWO_OF_THREE), policy_of(TWO_OF_THREE)
    for seen in ((), ("W0",), ("W0", "W1"), ("W0", "W1", "W2")):
        assert policy.met(seen) == ours.has_quorum(seen)
    for wrong in ("", "quorum X\n", "nonsense\n", POLICY + "group G 4 W0 W1\nquorum G\n"):
        with pytest.raises(alone.Bad):
            alone.Policy(wrong)


def test_a_time_stamp_anchors_a_checkpoint():
    """By an authority whose certificate the auditor brought; another's, or another checkpoint's, is refused."""
    authority = Authority(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))
    store = MemoryStore(origin=ORIGIN)
    filled(store, 2)
    anchor = TimestampAnchor("https://tsa.example", authority.post)
    assert checkpointer(store.tree(), anchors=[anchor]).checkpoint().failures == ()
    files = bundle_of(store)
    (name,) = [one for one in files if one.startswith("anchors/")]

    def report(ca: bytes | None, files: dict[str, bytes]) -> alone.Report:
        return alone.check(files, alone.Trust([alone.Key(str(TestKey().verifier()))], tsa_ca=ca))

    good = report(authority.pem(), files)
    assert (good.verdict, good.faults) == ("ANCHORED", [])
    assert any("existed at 2026-11-21T12:00:00" in one for one in good.says)
    assert report(None, files).verdict == "SELF-ATTESTED"
    other = Authority(authority.at)
    assert "does not hold" in report(other.pem(), files).faults[0]
    filled(store, 1, seed=3)
    checkpointer(store.tree()).checkpoint()
    later = bundle_of(store)
    later[name.replace(name[8:].split("-")[0], str(store.tree().size()), 1)] = later.pop(name)
    assert report(authority.pem(), later).verdict == "BROKEN"


@pytest.mark.parametrize("entry", [b'{"a":1,"a":2}', b'{"a":1.5}', b'{"a":NaN}', b"{", b"\xff", b"[" * 100_000])
def test_an_entry_says_one_thing(entry: bytes):
    """No key twice, no number that readers would round, nothing that no JSON reader takes."""
    with pytest.raises(alone.Bad, match="it cannot be read"):
        alone.entry_value(entry)


def test_a_bundle_that_cannot_be_read_is_a_wrong_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "b.zip").write_bytes(b"nonsense")
    assert alone.main([str(tmp_path / "b.zip")]) == 2
    assert "cannot check" in capsys.readouterr().err
    os.mkdir(tmp_path / "empty")
    assert alone.main([str(tmp_path / "empty")]) == 1
    assert "the bundle has no 'checkpoint'" in capsys.readouterr().out
