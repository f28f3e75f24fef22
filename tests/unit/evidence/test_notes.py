"""Signed notes, checkpoints and keys: the published examples, and what is refused."""

import os
import sys

import pytest

from interlock.contracts.errors import CallError, SetupError
from interlock.persistence.evidence.keys import SigningKey, cosigned, new_key, signed
from interlock.persistence.evidence.notes import (
    COSIGNATURE,
    Checkpoint,
    Note,
    NoteRefused,
    checkpoint_of,
    note_of,
    signed_checkpoint,
    verifier_key,
)
from support.evidence import ORIGIN, TestKey

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SPEC_KEY = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
SPEC_CHECKPOINT = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeM"
    "cTOAYQ8=\n"
    "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0x"
    "Ue+mbIUBkBIfZ+qnA==\n"
)
HEAD = Checkpoint(ORIGIN, 7, bytes(range(32)))


def test_the_published_note_verifies():
    """The example of Go's note package, and its key: read, verified, and written back byte for byte."""
    note, key = note_of(GO_NOTE), verifier_key(GO_KEY)
    assert note.signed_by(key)
    assert (str(note), str(key)) == (GO_NOTE, GO_KEY)
    assert not Note(note.text.replace("cryptography", "astrology"), note.signatures).signed_by(key)


def test_the_keys_and_checkpoints_of_the_specifications_are_read():
    """C2SP signed-note's key has the id it says; tlog-cosignature's checkpoint has its origin, size, root, signers."""
    assert str(verifier_key(SPEC_KEY)) == SPEC_KEY
    note = note_of(SPEC_CHECKPOINT)
    found = checkpoint_of(note)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert (found.text, str(note)) == (note.text, SPEC_CHECKPOINT)
    assert [(one.name, len(one.signature)) for one in note.signatures] == [
        ("example.com/behind-the-sofa", 64),
        ("witness.example.com/w1", 72),
    ]


def test_a_checkpoint_that_was_signed_verifies_with_its_key_alone():
    log, other = TestKey(), TestKey(seed=2)
    data = str(signed(HEAD.text, other, log))
    assert signed_checkpoint(data, log.verifier()) == HEAD
    with pytest.raises(NoteRefused, match="is not signed with the key"):
        signed_checkpoint(data, TestKey(seed=3).verifier())
    with pytest.raises(NoteRefused, match="is of the log 'log"):
        signed_checkpoint(data, TestKey("other").verifier())


def test_no_bit_of_a_checkpoint_can_be_changed():
    """Every bit of the note but those of the blank line's form: it is refused, or not what was signed."""
    log = TestKey()
    data = str(signed(HEAD.text, log)).encode()
    for bit in range(len(data) * 8):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        try:
            text = changed.decode()
            found = signed_checkpoint(text, log.verifier())
        except (UnicodeDecodeError, NoteRefused):
            continue
        pytest.fail(f"bit {bit}: {found}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n",
        "a\n\n",
        "a\n\nno dash\n",
        "a\n\n— name\n",
        "a\n\n— name !!!\n",
        "a\n\n— name AAAA\n",
        "a\r\n\n— n AAAAAAAA\n",
    ],
)
def test_what_is_no_note_is_refused(text):
    with pytest.raises(NoteRefused, match="This is no signed note"):
        note_of(text)


@pytest.mark.parametrize(
    "text", ["o\n", "o\n01\n", "o\n7\nAAAA\n", "o\n-1\n" + HEAD.text[-45:], "\n7\n" + HEAD.text[-45:]]
)
def test_what_is_no_checkpoint_is_refused(text):
    with pytest.raises(NoteRefused, match="its text is no checkpoint"):
        checkpoint_of(Note(text, ()))


def test_a_note_has_at_most_a_hundred_signatures():
    line = str(note_of(GO_NOTE).signatures[0])
    with pytest.raises(NoteRefused, match="it has 101 signatures; at most 100 are read"):
        note_of("a\n\n" + f"{line}\n" * 101)


def test_a_cosignature_binds_the_time():
    witness = TestKey("w", 9, COSIGNATURE)
    line = cosigned(HEAD.text, witness, 1_790_000_000)
    assert Note(HEAD.text, (line,)).cosigned_at(witness.verifier()) == 1_790_000_000
    later = type(line)(line.name, line.key_id, (1_790_000_001).to_bytes(8, "big") + line.signature[8:])
    assert Note(HEAD.text, (later,)).cosigned_at(witness.verifier()) is None
    assert not Note(HEAD.text, (line,)).signed_by(witness.verifier())
    assert Note(HEAD.text, (line,)).cosigned_at(TestKey("w", 9).verifier()) is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("nonsense", "'nonsense' is no verifier key"),
        (SPEC_KEY.replace("530d", "530e"), "does not fit its hash '530e903a'"),
        (SPEC_KEY[:-1], "is no verifier key"),
        ("a b" + SPEC_KEY, "is no verifier key"),
    ],
)
def test_what_is_no_verifier_key_is_refused(text, says):
    with pytest.raises(CallError, match=says):
        verifier_key(text)


def test_a_key_file_is_its_owners_alone(tmp_path):
    """Mode 0600, never written over; one that others may read is refused."""
    path = tmp_path / "log.key"
    made = new_key(path, ORIGIN)
    assert path.stat().st_mode & 0o777 == 0o600
    again = SigningKey(path)
    assert again.verifier() == made.verifier()
    assert again.verifier().verifies(made.sign(b"x"), b"x")
    with pytest.raises(SetupError, match="The key file cannot be made"):
        new_key(path, ORIGIN)
    if sys.platform != "win32":
        os.chmod(path, 0o640)
        with pytest.raises(SetupError, match="Others may read the signing key: its mode is 0640"):
            SigningKey(path)


@pytest.mark.parametrize("text", ["", "PRIVATE+KEY+a+00000000+AAAA\n", GO_KEY, "\n"])
def test_a_file_that_holds_no_key_is_refused(tmp_path, text):
    path = tmp_path / "k"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SetupError, match="The file holds no signing key"):
        SigningKey(path)


def test_a_missing_key_and_a_bad_name_are_refused(tmp_path):
    with pytest.raises(SetupError, match="The signing key cannot be read"):
        SigningKey(tmp_path / "none")
    with pytest.raises(SetupError, match="'a b' cannot be the name of a key"):
        new_key(tmp_path / "k", "a b")
