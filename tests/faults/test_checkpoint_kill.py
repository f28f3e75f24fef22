"""A checkpoint that is cut off at any step breaks nothing, and is told from one that somebody deleted.

Whoever signs is killed behind each step: each batch of leaves, each record, the memory beside the key (before and after
it is in place), the signature, the row. After each, the log is verified with what is remembered; then the next
checkpoint is made, and verified again. The control has a memory that does not note what got into the log.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest
from faults.test_sequencer_kill import opened
from faults.test_store_disk import TESTS

from interlock.contracts.errors import SetupError
from interlock.persistence.evidence.anchors import FolderAnchor
from interlock.persistence.evidence.checking import Attested, Outside, attested
from interlock.persistence.evidence.signing import FileMemory, Remembered
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from interlock.service.checkpointing import Checkpointer
from interlock.service.clock import SystemClock
from support.evidence import ORIGIN, TestKey, checkpointer, filled
from support.figures import record
from support.postgres import database
from support.tampering import as_administrator

CHILD = """
import os, signal, sys
from pathlib import Path
from interlock.persistence.evidence.signing import FileMemory
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.checkpointing import Checkpointer
from interlock.service.clock import SystemClock
from interlock.service.checkpointing import Checkpointer
from interlock.service.clock import SystemClock
from support.evidence import ORIGIN, TestKey

def dies_behind(step):
    passed = [0]
    def watch(owner, name):
        does = getattr(owner, name)
        def done(*given, **more):
            found = does(*given, **more)
            passed[0] += 1
            if passed[0] == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return found
        setattr(owner, name, done)
    return watch

def live(place, memory, step, new=""):
    store = PostgresStore(place) if place.startswith("postgres") else SqliteStore(place)
    tree, memory, key, watch = store.tree(), FileMemory(Path(memory), ORIGIN), TestKey(), dies_behind(step)
    for owner, names in (
        (tree, ("checkpoints", "sequence", "add_record", "add_checkpoint")),
        (memory, ("moved", "keep")), (key, ("sign",)), (os, ("fsync",)),
    ):
        for name in names:
            watch(owner, name)
    signing = Checkpointer(tree, [key], memory, clock=SystemClock())
    signing.rotate(FileMemory(Path(new), ORIGIN), TestKey(seed=2)) if new else signing.checkpoint()
    os._exit(0)

for line in sys.stdin:  # the imports are paid once
    life = os.fork()
    if life == 0:
        try:
            place, memory, step, *new = line.split()
            live(place, memory, int(step), *new)
        finally:
            os._exit(1)
    os.write(1, f"{os.waitpid(life, 0)[1]}\\n".encode())
"""
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
Opened = SqliteStore | PostgresStore


class Signers:
    """Lives that make a checkpoint each, and are killed behind a step of it."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def lives(self, place: str, memory: Path, step: int, new: Path | str = "") -> bool:
        """Whether it came to its end before that step. With the memory of a `new` key, it changes to that."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{place} {memory} {step} {new}\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        assert os.WIFSIGNALED(status) or status == 0
        return status == 0


@pytest.fixture(scope="module")
def signers() -> Iterator[Signers]:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Signers(process)
        assert process.stdin is not None
        process.stdin.close()


@contextmanager
def place_of(kind: str, folder: Path) -> Iterator[str]:
    with ExitStack() as begun:
        yield str(folder / "log.db") if kind == "sqlite" else begun.enter_context(database())


def looked_at(store: Opened, last: Remembered | None) -> Attested:
    assert verify(store).ok
    return attested(store.tree(), Outside(keys=(TestKey().verifier(),), remembered=last))


def memory_in(folder: Path) -> FileMemory:
    return FileMemory(folder / "signed.head", ORIGIN)


def killed(signers: Signers, kind: str, folder: Path, step: int, *, first: bool) -> tuple[bool, str, bool]:
    """Whether the signer came to its end, what was remarked, and whether a memory without notes cries wolf."""
    folder.mkdir()
    with place_of(kind, folder) as place:
        with closing(opened(place)) as store:
            filled(store, 2)
            if not first:
                checkpointer(store.tree(), folder).checkpoint()
                filled(store, 2, seed=1)
        ended = signers.lives(place, folder / "signed.head", step)
        with closing(opened(place)) as store:
            last, size = memory_in(folder).last(), store.tree().size()
            newest = max((size for size, _ in store.tree().checkpoints()), default=0)
            cut_off = last is not None and newest < (last.head.size or size)
            found = looked_at(store, last)
            assert (found.faults, len(found.remarks)) == ((), int(cut_off)), step
            blind = looked_at(store, last and (Remembered(last.head) if last.head.size else None))
            assert checkpointer(store.tree(), folder).checkpoint().checkpoint.size == store.tree().size()
            again = looked_at(store, memory_in(folder).last())
            assert (again.faults, str(again)) == ((), "SELF-ATTESTED")
            assert [one for one in again.remarks if not one.startswith("The log's records speak of")] == []
    return ended, "".join(found.remarks), bool(blind.faults)


@pytest.mark.parametrize("first", [True, False], ids=["the first", "a later one"])
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_checkpoint_that_is_cut_off_breaks_nothing(signers: Signers, tmp_path: Path, kind: str, first: bool) -> None:
    remarks, false_alarms, step, ended = set[str](), 0, 0, False
    while not ended:
        step += 1
        assert step < 60
        ended, remark, alarm = killed(signers, kind, tmp_path / str(step), step, first=first)
        remarks.add(remark)
        false_alarms += alarm
    assert step > 10
    assert false_alarms > 1  # the control: so it was, and could not be told from a deletion
    said = [one for one in remarks if one]
    assert "" in remarks
    assert [one for one in said if "was begun and did not get into the log" in one] == said
    assert any("The first checkpoint" in one for one in said) == first
    which, where = "the first" if first else "a", "SQLite" if kind == "sqlite" else "PostgreSQL"
    blind = f"a memory that does not note what got into the log, {where}"
    record("F9", f"SIGKILL behind each step of {which} checkpoint, {where}", tried=step, wrong=0)
    record("F9", blind, tried=step, wrong=false_alarms, control=True)


def test_one_that_was_deleted_is_told_though_the_next_was_cut_off(signers: Signers, tmp_path: Path) -> None:
    """The next one was begun, and its signer killed: what was kept before must still be there."""
    place, memory = tmp_path / "log.db", memory_in(tmp_path)
    with closing(SqliteStore(place, origin=ORIGIN)) as store:
        filled(store, 2)
        size = checkpointer(store.tree(), tmp_path).checkpoint().checkpoint.size
        filled(store, 1, seed=1)
    step = 0
    while (last := memory.last()) is None or last.head == last.kept:
        step += 1
        signers.lives(str(place), memory.path, step)
        with closing(SqliteStore(place)) as store:
            assert len(store.tree().checkpoints()) == 1
    with closing(SqliteStore(place)) as store:
        assert looked_at(store, last).faults == ()
    with as_administrator(place) as connection:
        connection.execute("DELETE FROM checkpoint")
    with closing(SqliteStore(place)) as store:
        deleted = (
            f"A checkpoint of {size} leaves was in the log, as stands beside the signing key, and is there no more"
        )
        assert looked_at(store, last).faults == (f"{deleted}: it was deleted.",)


def test_a_note_that_was_lost_is_made_up_for(tmp_path: Path) -> None:
    """The row is there and the note that it is was lost: a weaker memory, until the next checkpoint looks."""
    memory = memory_in(tmp_path)
    with closing(SqliteStore(tmp_path / "log.db", origin=ORIGIN)) as store:
        filled(store, 2)
        made = checkpointer(store.tree(), tmp_path).checkpoint()
        full = memory.path.read_text("utf-8")
        memory.path.write_text(full.replace(f'"size": {made.checkpoint.size}}}}}', '"size": 0}}'), "utf-8")
        last = memory.last()
        assert last is not None
        assert last.kept is not None
        assert (last.head.size, last.kept.size) == (made.checkpoint.size, 0)
        assert looked_at(store, last).remarks == ()
        assert checkpointer(store.tree(), tmp_path).checkpoint().fresh is False
        assert memory.path.read_text("utf-8") == full


def test_a_memory_of_an_older_release_reads_as_it_did(tmp_path: Path) -> None:
    """It does not say what got into the log: a checkpoint that is not there may have been deleted."""
    memory, place = memory_in(tmp_path), tmp_path / "log.db"
    with closing(SqliteStore(place, origin=ORIGIN)) as store:
        filled(store, 2)
        checkpointer(store.tree(), tmp_path).checkpoint()
        filled(store, 2, seed=1)
        size = checkpointer(store.tree(), tmp_path).checkpoint().checkpoint.size
    text = memory.path.read_text("utf-8")
    memory.path.write_text(text[: text.index(', "kept"')] + "}\n", "utf-8")
    with as_administrator(place) as connection:
        connection.execute("DELETE FROM checkpoint WHERE size = ?", (size,))
    with closing(SqliteStore(place)) as store:
        (fault,) = looked_at(store, memory.last()).faults
        assert fault == (
            f"{size} leaves were signed for, as stands beside the signing key, and that checkpoint is not in the log: "
            "it was deleted, or interrupted (then `interlock checkpoint` makes the next)."
        )
        assert checkpointer(store.tree(), tmp_path).checkpoint().fresh
        assert looked_at(store, memory.last()).faults == ()


def test_older_checkpoints_that_are_gone_are_named(tmp_path: Path) -> None:
    """The level stays, for a newer one covers what they covered; what is known of them is said."""
    place = tmp_path / "log.db"
    with closing(SqliteStore(place, origin=ORIGIN)) as store:
        sizes = []
        for seed in range(4):
            filled(store, 1, seed=seed)
            anchors = [FolderAnchor(tmp_path / "elsewhere")] if seed == 1 else []
            sizes.append(checkpointer(store.tree(), tmp_path, anchors=anchors).checkpoint().checkpoint.size)
        whole = looked_at(store, memory_in(tmp_path).last())
        assert whole.remarks == ()
    speak = (
        "The log's records speak of {} not in the log ({}): interrupted when made, or deleted. A newer one covers what "
    )
    deleted = f"A checkpoint of {sizes[1]} leaves is not in the log any more, though it was anchored at "
    for gone, remarks in (
        ((0,), [speak.format("1 checkpoint that is", sizes[0])]),
        ((0, 1), [speak.format("1 checkpoint that is", sizes[0]), deleted]),
        ((0, 1, 2), [speak.format("2 checkpoints that are", f"{sizes[0]}, {sizes[2]}"), deleted]),
    ):
        with as_administrator(place) as connection:
            connection.executemany("DELETE FROM checkpoint WHERE size = ?", [(sizes[one],) for one in gone])
        with closing(SqliteStore(place)) as store:
            found = looked_at(store, memory_in(tmp_path).last())
        assert (found.faults, str(found), found.signed) == ((), str(whole), whole.signed)
        assert len(found.remarks) == len(remarks)
        for said in remarks:
            assert any(one.startswith(said) for one in found.remarks), found.remarks


def test_a_change_of_keys_that_is_cut_off_is_completed_with_the_new_key(signers: Signers, tmp_path: Path) -> None:
    """Behind each step: one of the two keys signs, the other is refused, and the log holds with either of them."""
    old, new, step, ended, refused = TestKey(), TestKey(seed=2), 0, False, set[str]()
    while not ended:
        step += 1
        assert step < 60
        folder = tmp_path / str(step)
        folder.mkdir()
        place = folder / "log.db"
        with closing(SqliteStore(place, origin=ORIGIN)) as store:
            filled(store, 2)
            checkpointer(store.tree(), folder, signer=old).checkpoint()
            filled(store, 2, seed=1)
        ended = signers.lives(str(place), memory_in(folder).path, step, folder / "new.head")
        with closing(SqliteStore(place)) as store:
            assert looked_at(store, memory_in(folder).last()).faults == ()
            signed = []
            for seed, (key, name) in enumerate(((old, "signed.head"), (new, "new.head"), (old, "signed.head")), 3):
                signing = Checkpointer(store.tree(), [key], FileMemory(folder / name, ORIGIN), clock=SystemClock())
                filled(store, 1, seed=seed)
                try:
                    signing.checkpoint()
                    signed.append(key)
                except SetupError as error:
                    refused.add(" ".join(error.what.split()[:4]))
                assert store.tree().checkpoints()
                assert looked_at(store, None).faults == (), (step, signed)
            assert signed in ([old, old], [new]), step
    assert {"A change to the", "The last checkpoint (size", "This key was changed"} <= refused
