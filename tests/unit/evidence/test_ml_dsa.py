"""ML-DSA-44 beside Ed25519: both sign, both are asked for, and neither can be taken away."""

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.errors import CallError, InterlockError, SetupError
from interlock.contracts.records import KeyRotated, record_of
from interlock.persistence.evidence import mldsa
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.evidence.anchors import FolderAnchor
from interlock.persistence.evidence.checking import Outside, attested
from interlock.persistence.evidence.eras import handed_over, rotation_text
from interlock.persistence.evidence.keys import SigningKey, cosigned, new_key, signed
from interlock.persistence.evidence.notes import (
    ED25519,
    ML_DSA,
    Checkpoint,
    Note,
    NoteRefused,
    Signature,
    VerifierKey,
    cosigned_tree,
    note_of,
    verifier_key,
    verifier_keys,
    vouched,
)
from interlock.persistence.evidence.policy import policy_of
from interlock.persistence.evidence.signing import FileMemory
from interlock.persistence.evidence.witnessing import Witness, request_body
from interlock.persistence.memory_store import MemoryStore
from interlock.service.checkpointing import Checkpointer
from interlock.service.clock import ManualClock
from support.evidence import ORIGIN, Remembered, TestKey, filled
from support.tampering import bundle_of

HEAD = Checkpoint(ORIGIN, 7, bytes(range(32)))


@pytest.fixture
def both(tmp_path: Path) -> SigningKey:
    return new_key(tmp_path / "both.key", ORIGIN, ED25519, ML_DSA)


def signing_with(store: MemoryStore, key: Any, **given: Any) -> Checkpointer:
    return Checkpointer(store.tree(), key.signers, Remembered(), clock=ManualClock(), **given)


def test_the_message_is_that_of_tlog_cosignature() -> None:
    """Label, name, time, origin, start, end and hash, each as long as the specification says."""
    name, origin = b"witness.example/w", ORIGIN.encode()
    wanted = (
        b"subtree/v1\n\x00" + bytes([len(name)]) + name + struct.pack(">Q", 1_790_000_000)
        + bytes([len(origin)]) + origin + struct.pack(">QQ", 0, 7) + bytes(range(32))
    )  # fmt: skip
    assert cosigned_tree("witness.example/w", HEAD, 1_790_000_000) == wanted
    key = VerifierKey("witness.example/w", ML_DSA, bytes(mldsa.PUBLIC_BYTES))
    assert verifier_key(str(key)) == key
    assert alone.cosigned_message(alone.Key(str(key)), HEAD.text, 1_790_000_000) == wanted


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(NoteRefused, match="A name of 256 bytes cannot be signed with ML-DSA-44"):
        cosigned_tree("x" * 256, HEAD, 0)


def test_a_key_file_holds_a_key_of_each(both: SigningKey) -> None:
    """Two lines, and read again the same; the lines are in no other order, of one log, and of one algorithm each."""
    again = SigningKey(both.path)
    assert again.verifiers() == both.verifiers()
    assert [key.kind for key in again.verifiers()] == [ED25519, ML_DSA]
    assert verifier_keys("".join(f"{key}\n" for key in again.verifiers())) == again.verifiers()
    lines = both.path.read_text().splitlines()
    other = new_key(both.path.with_name("other"), "other", ML_DSA).path.read_text()
    for wrong in (lines[::-1], [lines[0], lines[0]], [lines[0], other.strip()], [lines[0], lines[1][:-3]]):
        both.path.write_text("\n".join(wrong) + "\n")
        with pytest.raises(SetupError, match="The file holds no signing key"):
            SigningKey(both.path)


@given(st.integers(0, (8 + 2420) * 8 - 1))
def test_no_bit_of_its_signature_can_be_changed(bit: int) -> None:
    """And the text's other lines are bound by Ed25519: here the second algorithm alone is looked at."""
    (line,) = NOTE.signatures[1:]
    changed = bytearray(line.signature)
    changed[bit // 8] ^= 1 << bit % 8
    note = Note(NOTE.text, (NOTE.signatures[0], Signature(line.name, line.key_id, bytes(changed))))
    assert NOTE.signed_by(KEYS[1])
    assert not note.signed_by(KEYS[1])
    assert note.signed_by(KEYS[0])
    assert not vouched(note, KEYS)
    theirs = alone.Note(str(note).encode())
    assert [theirs.signed_by(alone.Key(str(key))) for key in KEYS] == [True, False]


class Quantum:
    """A signer of ML-DSA-44 whose key is made of a number."""

    def __init__(self, name: str = ORIGIN, seed: int = 1) -> None:
        self._private, public = mldsa.opened(bytes([seed]) * 32)
        self._key = VerifierKey(name, ML_DSA, public)

    def verifier(self) -> VerifierKey:
        return self._key

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


NOTE = signed(HEAD.text, TestKey(), Quantum())
KEYS = (TestKey().verifier(), Quantum().verifier())


def test_both_are_asked_for_where_both_are_known() -> None:
    """With one line gone, exchanged for another log's, or of a key that is not known, it is not the log's word."""
    ed, dsa = NOTE.signatures
    assert vouched(NOTE, KEYS)
    assert vouched(NOTE, KEYS[:1])
    assert vouched(NOTE, KEYS[1:])
    assert not vouched(NOTE, ())
    for lines in (
        (ed,),
        (dsa,),
        (ed, Signature(dsa.name, b"none", dsa.signature)),
        (ed, cosigned(HEAD.text, Quantum(seed=2), 0)),
    ):
        assert not vouched(Note(HEAD.text, lines), KEYS)
    unknown = Signature(ORIGIN, b"\x00\x01\x02\x03", b"of an algorithm that nobody knows")
    assert vouched(Note(HEAD.text, (unknown, ed, dsa)), KEYS)


def test_a_key_of_an_unknown_algorithm_is_refused() -> None:
    for kind, public in ((2, bytes(32)), (5, bytes(32)), (6, bytes(32)), (7, bytes(1312)), (1, bytes(1312))):
        text = str(VerifierKey("log", kind, public))
        with pytest.raises(CallError, match="Give a vkey with an Ed25519 or ML-DSA-44 key"):
            verifier_key(text)
        with pytest.raises(alone.Bad, match="is no verifier key"):
            alone.Key(text)


def test_a_signature_of_a_text_is_none_of_a_checkpoint() -> None:
    """What is signed of a receipt or a manifest cannot be shown as a checkpoint's, nor the other way round."""
    text = signed("interlock bundle v1\n{}\n", Quantum())
    assert text.signed_by(KEYS[1])
    assert text.cosigned_at(KEYS[1]) is None
    assert text.signatures[0].key_id != KEYS[1].id
    assert not Note(HEAD.text, text.signatures).signed_by(KEYS[1])
    assert alone.Note(str(text).encode()).signed_by(alone.Key(str(KEYS[1])))


def test_a_log_signed_with_both_is_checked_with_both(both: SigningKey) -> None:
    """By `verify` and by the bundle's own verifier; and without the second line it is neither's word."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 3)
    made = signing_with(store, both).checkpoint()
    assert len(made.note.signatures) == 2
    keys = both.verifiers()
    assert str(attested(store.tree(), Outside(keys))) == "SELF-ATTESTED"
    stranger = Quantum(seed=9).verifier()
    found = attested(store.tree(), Outside((keys[0], stranger)))
    assert found.faults == (f"The checkpoint of size {made.checkpoint.size} is not signed with the log's key.",)
    files = bundle_of(store, signers=both.signers)
    assert reported(files, *keys).verdict == "SELF-ATTESTED"
    assert reported(files, keys[0]).verdict == "SELF-ATTESTED"
    assert reported(files, keys[0], stranger).faults == [
        f"signatures: checkpoint (size {made.checkpoint.size}) is not signed with the log's key."
    ]
    without = dict(files)
    note = note_of(files["MANIFEST"].decode())
    without["MANIFEST"] = str(Note(note.text, note.signatures[:1])).encode()
    assert reported(without, *keys).faults == ["signatures: the manifest is not signed with the log's key."]


def reported(files: Any, *keys: Any) -> alone.Report:
    return alone.check(files, alone.Trust([alone.Key(str(key)) for key in keys]))


def test_a_verifier_without_the_algorithm_says_so(both: SigningKey, monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts Ed25519 alone, and where that is not given, shows nothing."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 2)
    signing_with(store, both).checkpoint()
    files = bundle_of(store, signers=both.signers)
    monkeypatch.setattr(alone, "has_ml_dsa", lambda: False)
    found = reported(files, *both.verifiers())
    assert (found.verdict, found.says) == ("SELF-ATTESTED", [alone.NO_ML_DSA])
    found = reported(files, both.verifiers()[1])
    assert (found.verdict, found.missing) == (
        "NOT SHOWN",
        ["Only a key of ML-DSA-44 was given, which nothing here can check."],
    )
    monkeypatch.setattr(mldsa, "AVAILABLE", False)
    with pytest.raises(SetupError, match=r"The installed cryptography .* has no ML-DSA-44"):
        attested(store.tree(), Outside(both.verifiers()))
    with pytest.raises(SetupError, match="can be neither made nor checked"):
        new_key(both.path.with_name("more"), ORIGIN, ML_DSA)
    assert not both.path.with_name("more").exists()


def test_keys_are_changed_for_keys_of_both(both: SigningKey, tmp_path: Path) -> None:
    """From one algorithm to two, and to two others: who has any of the three follows to the last."""
    store, old = MemoryStore(origin=ORIGIN), new_key(tmp_path / "old", ORIGIN)
    third = new_key(tmp_path / "third", ORIGIN, ED25519, ML_DSA)
    filled(store, 2)
    signing = signing_with(store, old)
    signing.checkpoint()
    assert len(signing.rotate(Remembered(), *both.signers).note.signatures) == 3
    filled(store, 1, seed=5)
    signing.checkpoint()
    assert len(signing.rotate(Remembered(), *third.signers).note.signatures) == 4
    filled(store, 1, seed=6)
    signing.checkpoint()
    files = bundle_of(store, signers=third.signers)
    for keys in (old.verifiers(), both.verifiers(), third.verifiers(), third.verifiers()[1:]):
        assert attested(store.tree(), Outside(keys)).faults == ()
        assert reported(files, *keys).faults == []
    stranger = (new_key(tmp_path / "stranger", ORIGIN).verifier(),)
    assert "between keys that you do not know" in attested(store.tree(), Outside(stranger)).faults[0]
    found = reported(files, *stranger)  # it may be a still newer one
    assert (found.verdict, found.faults) == ("NOT SHOWN", [])
    assert f"is signed with {third.verifier()}, which is none of the keys that you gave" in found.missing[0]


def test_who_forges_one_algorithm_does_not_hand_over_the_other(both: SigningKey, tmp_path: Path) -> None:
    """A statement that leaves ML-DSA-44 out, or names another key of it, is not followed. The control is."""
    eras = [(0, key) for key in both.verifiers()]
    thief = new_key(tmp_path / "thief", ORIGIN, ED25519, ML_DSA)
    for old, new in (
        (both.signers[:1], thief.signers[:1]),
        (both.signers[:1], thief.signers),
        ((both.signers[0], thief.signers[1]), thief.signers),
    ):
        with pytest.raises(InterlockError, match="between keys that you do not know"):
            handed_over(eras, 5, statement(old, new), ORIGIN)
    assert handed_over(eras, 5, statement(both.signers, thief.signers), ORIGIN)[-1] == (5, thief.verifiers()[1])
    unsigned = rotation_text(ORIGIN, both.verifiers(), thief.verifiers())
    with pytest.raises(InterlockError, match="it is not signed by both keys"):
        handed_over(eras, 5, str(signed(unsigned, both.signers[0], *thief.signers)), ORIGIN)


def statement(old: Any, new: Any) -> str:
    text = rotation_text(ORIGIN, [one.verifier() for one in old], [one.verifier() for one in new])
    return str(signed(text, *old, *new))


def test_the_statement_of_two_keys_is_as_it_was() -> None:
    """Between keys of Ed25519 alone the first version stays, which earlier verifiers read."""
    old, new = TestKey().verifier(), TestKey(seed=2).verifier()
    assert rotation_text(ORIGIN, [old], [new]) == f"interlock key rotation v1\n{ORIGIN}\n{old}\n{new}\n"
    store = MemoryStore(origin=ORIGIN)
    filled(store, 1)
    signing = Checkpointer(store.tree(), [TestKey()], Remembered(), clock=ManualClock())
    signing.rotate(Remembered(), TestKey(seed=2))
    records = [record_of(data)[1] for leaf, data in store.tree().leaves(0, 100) if not leaf.stream]
    (rotated,) = [one for one in records if isinstance(one, KeyRotated)]
    assert rotated.statement.startswith("interlock key rotation v1\n")


def test_a_key_file_that_lost_its_second_line_does_not_sign(both: SigningKey) -> None:
    store = MemoryStore(origin=ORIGIN)
    filled(store, 1)
    size = signing_with(store, both).checkpoint().checkpoint.size
    both.path.write_text(both.path.read_text().splitlines()[0] + "\n")
    with pytest.raises(SetupError) as refused:
        signing_with(store, SigningKey(both.path)).checkpoint()
    assert refused.value.what == f"The last checkpoint (size {size}) was signed with ML-DSA-44 as well."


def test_a_witness_may_have_such_a_key_and_ask_for_it(both: SigningKey, tmp_path: Path) -> None:
    """It cosigns with the time; knows a log by both its keys; and a policy counts it."""
    store, key = MemoryStore(origin=ORIGIN), new_key(tmp_path / "w", "w.example", ML_DSA)
    filled(store, 1)
    note = signing_with(store, both).checkpoint().note
    witness = Witness(tmp_path / "seen", key, both.verifiers())
    without = Note(note.text, note.signatures[:1])
    assert witness.add_checkpoint(request_body(0, (), without), 1_790_000_000).status == 403
    answer = witness.add_checkpoint(request_body(0, (), note), 1_790_000_000)
    assert answer.status == 200
    policy = f"log {both.verifiers()[0]}\nlog {both.verifiers()[1]}\nwitness W {key.verifier()}\nquorum W\n"
    cosigned_note = note_of(str(note) + answer.body)
    assert policy_of(policy).cosigned(cosigned_note) == {"W": 1_790_000_000}
    assert alone.Note(str(cosigned_note).encode()).cosigned_at(alone.Policy(policy).witnesses["W"]) == 1_790_000_000
    timeless = Note(note.text, (cosigned(note.text, key, 0),))
    assert policy_of(policy).cosigned(timeless) == {}


def test_an_anchor_keeps_all_of_the_logs_own_signatures(both: SigningKey, tmp_path: Path) -> None:
    store = MemoryStore(origin=ORIGIN)
    filled(store, 1)
    folder = FolderAnchor(tmp_path / "bucket")
    made = signing_with(store, both, anchors=[folder]).checkpoint()
    (kept,) = folder.kept(ORIGIN)
    assert kept == str(made.note)
    assert str(attested(store.tree(), Outside(both.verifiers(), heads=(kept,)))) == "ANCHORED"


def test_the_memory_is_one_for_both(both: SigningKey, tmp_path: Path) -> None:
    """What was signed last is of the key file, not of an algorithm."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 1)
    memory = FileMemory(tmp_path / "head", ORIGIN)
    made = Checkpointer(store.tree(), both.signers, memory, clock=ManualClock()).checkpoint()
    assert memory.read() == made.checkpoint
