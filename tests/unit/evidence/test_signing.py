"""Checkpoints: what is signed is never taken back, whoever restores what."""

import os
import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from interlock.contracts.errors import InterlockError, SetupError, StorageError
from interlock.contracts.records import HeadsTaken, KeyRotated, record_of
from interlock.persistence import merkle
from interlock.persistence.evidence.keys import SigningKey, new_key
from interlock.persistence.evidence.notes import NoteRefused, note_of, signed_checkpoint
from interlock.persistence.evidence.receipts import receipt, receipt_of
from interlock.persistence.evidence.signing import FileMemory, SigningRefused
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.checkpointing import Checkpointer
from support.evidence import ORIGIN, Remembered, TestKey, checkpointer, filled


def test_a_checkpoint_is_over_everything_that_was_acknowledged():
    """Its root is that of all leaves, its last one a record of where every conversation ends."""
    store = MemoryStore(origin=ORIGIN)
    streams, tree = filled(store, 5), store.tree()
    signed = checkpointer(tree).checkpoint()
    head = signed_checkpoint(str(signed.note), TestKey().verifier())
    assert (head.size, head.root, tree.waiting()) == (tree.size(), merkle.root_at(tree.size(), tree.nodes), 0)
    envelope, record = record_of(tree.leaves(head.size - 1, 1)[0][1])
    root, count = tree.heads_root()
    assert record == HeadsTaken(root=root.hex(), conversations=count, leaves=head.size - 1)
    assert (count, envelope.log, envelope.record) == (len(streams), ORIGIN, 0)


def test_where_nothing_is_new_nothing_is_signed_again():
    store = MemoryStore(origin=ORIGIN)
    filled(store, 2)
    signing = checkpointer(store.tree())
    first, again = signing.checkpoint(), signing.checkpoint()
    assert (first.fresh, again.fresh, str(first.note)) == (True, False, str(again.note))
    filled(store, 1, seed=4)
    assert signing.checkpoint().checkpoint.size > first.checkpoint.size
    assert len(store.tree().checkpoints()) == 2


def test_an_old_backup_is_refused(tmp_path: Path):
    """Restored in the place of the log, with everything the database knew: what was signed is known elsewhere."""
    path, copy = tmp_path / "log.db", tmp_path / "backup.db"
    with closing(SqliteStore(path, origin=ORIGIN)) as store:
        filled(store, 3)
        checkpointer(store.tree(), tmp_path).checkpoint()
    shutil.copy(path, copy)
    shutil.copy(path.with_name("log.db.key"), copy.with_name("backup.db.key"))
    with closing(SqliteStore(path)) as store:
        filled(store, 3, seed=1)
        checkpointer(store.tree(), tmp_path).checkpoint()
    with closing(SqliteStore(copy)) as store:
        with pytest.raises(SigningRefused, match="it has"):  # at once, though nothing is new in it
            checkpointer(store.tree(), tmp_path).checkpoint()
        size = store.tree().size()
        filled(store, 2, seed=2)
        with pytest.raises(SigningRefused) as refused:
            checkpointer(store.tree(), tmp_path).checkpoint()
        assert refused.value.what.startswith("The tree does not extend what was signed last: it has ")
        filled(store, 9, seed=3)
        with pytest.raises(SigningRefused, match="it has"):
            checkpointer(store.tree(), tmp_path).checkpoint()
        assert (store.tree().size(), len(store.tree().checkpoints())) == (size, 1)  # nothing got a place by it
        while store.tree().sequence():
            """Longer than what was signed, and still another tree."""
        with pytest.raises(SigningRefused, match="leaves are not those that were signed for"):
            checkpointer(store.tree(), tmp_path).checkpoint()
        assert len(store.tree().checkpoints()) == 1
    with closing(SqliteStore(path)) as store:
        filled(store, 1, seed=4)
        assert checkpointer(store.tree(), tmp_path).checkpoint().fresh


def test_without_the_memory_the_backup_would_be_signed(tmp_path: Path):
    """The control: a signer that forgets signs the fork."""
    path, copy = tmp_path / "log.db", tmp_path / "backup.db"
    with closing(SqliteStore(path, origin=ORIGIN)) as store:
        filled(store, 3)
    shutil.copy(path, copy)
    shutil.copy(path.with_name("log.db.key"), copy.with_name("backup.db.key"))
    for one, seed in ((path, 1), (copy, 2)):
        with closing(SqliteStore(one)) as store:
            filled(store, 3, seed=seed)
            assert checkpointer(store.tree()).checkpoint().fresh


def test_it_is_remembered_before_the_signature_exists(tmp_path: Path):
    """A crash between the two costs a signature and never gives two."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 2)

    class Dies(TestKey):
        def sign(self, message: bytes) -> bytes:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        checkpointer(store.tree(), tmp_path, signer=Dies()).checkpoint()
    memory = FileMemory(tmp_path / "signed.head", ORIGIN)
    assert memory.read().size == store.tree().size()
    filled(store, 1, seed=8)
    assert checkpointer(store.tree(), tmp_path).checkpoint().checkpoint.size == store.tree().size()


def test_the_memory_is_of_one_log_and_whole(tmp_path: Path):
    path = tmp_path / "signed.head"
    FileMemory(path, ORIGIN).moved(lambda last: last)
    with pytest.raises(SetupError, match="This key has signed for the log 'log"):
        FileMemory(path, "other").read()
    path.write_text("{}")
    with pytest.raises(SetupError, match="What was signed last cannot be read"):
        FileMemory(path, ORIGIN).read()
    assert not [one for one in os.listdir(tmp_path) if one.startswith(".")]


def test_a_key_is_changed_on_the_record_and_by_both():
    """The statement and the checkpoint over it are signed with the old key and the new; then the new signs alone."""
    store, old, new = MemoryStore(origin=ORIGIN), TestKey(), TestKey(seed=2)
    filled(store, 2)
    signing = checkpointer(store.tree(), signer=old)
    signing.checkpoint()
    both = signing.rotate(Remembered(), new)
    filled(store, 1, seed=5)
    after = signing.checkpoint()
    assert signed_checkpoint(str(both.note), old.verifier()) == signed_checkpoint(str(both.note), new.verifier())
    assert signed_checkpoint(str(after.note), new.verifier()) == after.checkpoint
    with pytest.raises(NoteRefused):
        signed_checkpoint(str(after.note), old.verifier())
    records = [record_of(data)[1] for leaf, data in store.tree().leaves(0, 1000) if not leaf.stream]
    rotated = next(one for one in records if isinstance(one, KeyRotated))
    statement = note_of(rotated.statement)
    assert statement.signed_by(old.verifier())
    assert statement.signed_by(new.verifier())
    assert f"{old.verifier()}\n{new.verifier()}" in statement.text


def test_a_process_whose_key_was_changed_says_so_once(tmp_path: Path):
    """It hands out no receipt under a key that signs no more, and makes no checkpoint; the control before does both."""
    store, old, new = MemoryStore(origin=ORIGIN), TestKey(), TestKey(seed=2)
    filled(store, 1)
    running = Checkpointer(store.tree(), [old], FileMemory(tmp_path / "old.head", ORIGIN))
    size = running.checkpoint().checkpoint.size
    entry = ("c0-0", 0, store.read("c0-0")[0].leaf, "2026-01-01T00:00:00.000000Z")
    with capture_logs() as said:
        running.start(every_seconds=60)
        assert running.receipt(*entry)
        other = Checkpointer(store.tree(), [old], FileMemory(tmp_path / "old.head", ORIGIN))
        other.rotate(FileMemory(tmp_path / "new.head", ORIGIN), new, place="/keys/new")
        filled(store, 1, seed=5)
        assert [running.receipt(*entry), running.receipt(*entry)] == ["", ""]
        running.close()
    (line,) = said
    assert line["event"] == "signing_key_changed"
    assert line["why"] == (
        "the log's key was changed for another, /keys/new; this process signs nothing more: start it again with "
        "INTERLOCK_SIGNING_KEY=/keys/new. The next checkpoint with the new key covers what it records"
    )
    assert store.tree().waiting() > 0
    after = Checkpointer(store.tree(), [new], FileMemory(tmp_path / "new.head", ORIGIN)).checkpoint()
    assert after.checkpoint.size > size


def test_another_key_signs_only_once_it_was_rotated_to():
    """A key that somebody made by mistake would sign checkpoints that nobody believes."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 1)
    size = checkpointer(store.tree()).checkpoint().checkpoint.size
    with pytest.raises(SetupError) as refused:
        checkpointer(store.tree(), signer=TestKey(seed=2)).checkpoint()
    assert refused.value.what == f"The last checkpoint (size {size}) was signed with another key."


def test_a_receipt_is_signed_at_once_and_of_one_entry():
    store, key = MemoryStore(origin=ORIGIN), TestKey()
    stream = filled(store, 1)[0]
    note = receipt(store, [key], stream, 1)
    found = receipt_of(str(note), key.verifier())
    entry = store.read(stream)[1]
    assert (found.stream, found.version, found.leaf, found.at) == (stream, 1, entry.leaf, entry.at)
    with pytest.raises(NoteRefused, match="The receipt is not signed with the key"):
        receipt_of(str(note).replace("\n1\n", "\n2\n"), key.verifier())
    with pytest.raises(NoteRefused, match="This is no receipt"):
        receipt_of(str(checkpointer(store.tree()).checkpoint().note), key.verifier())
    with pytest.raises(InterlockError, match="There is no event 99 of"):
        receipt(store, [key], stream, 99)


def test_checkpoints_are_made_while_a_server_runs_and_when_it_stops(tmp_path: Path):
    """After so many entries, after so long, and at the end."""
    with closing(SqliteStore(tmp_path / "log.db", origin=ORIGIN)) as store:
        tree = store.tree()
        signing = checkpointer(tree, signer=SigningKey(new_key(tmp_path / "k", ORIGIN).path))
        signing.start(every_seconds=0.02)
        filled(store, 2)
        for _ in range(500):
            if tree.checkpoints():
                break
            signing._stop.wait(0.01)
        assert tree.checkpoints()
        filled(store, 2, seed=1)
        signing.close()
        signing.close()
        assert (tree.waiting(), tree.checkpoints()[-1][0]) == (0, tree.size())


def test_a_server_that_is_away_is_told_once(monkeypatch: pytest.MonkeyPatch):
    """And again when it goes away again; each checkpoint is told, too."""
    store, told = MemoryStore(origin=ORIGIN), list[Any]()
    answers: list[int | str] = ["away", "away", "away", 0, "away", "gone", 1]
    filled(store, 1)
    signing = checkpointer(store.tree())

    def waiting() -> int:
        answer = answers.pop(0) if answers else 0
        if isinstance(answer, str):
            raise StorageError(answer)
        return answer

    monkeypatch.setattr(signing.tree, "waiting", waiting)
    signing.start(every_seconds=0.001, tell=told.append)
    while answers:
        signing._stop.wait(0.01)
    signing.close()
    assert [one.what if isinstance(one, StorageError) else one.fresh for one in told] == [
        *("away", "away", "gone"),
        *(True, False),
    ]


def test_a_witness_that_is_down_holds_nothing_up():
    """What fails is said, and the checkpoint stands."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 1)

    class Down:
        url = "https://down.example"

        def cosign(self, note, tree):
            raise StorageError("It is down.")

    signed = checkpointer(store.tree(), witnesses=[Down()]).checkpoint()
    assert signed.failures == ("witness https://down.example: It is down.",)
    assert store.tree().checkpoints()
