"""Which processes are alive, told by locks that the system lets go of."""

import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from interlock.contracts.errors import StorageError
from interlock.persistence.locks import ProcessLock
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import FilePresence, OnlyProcess
from interlock.persistence.sqlite_store import SqliteStore

CHILD = """
import sys
from pathlib import Path
from interlock.persistence.presence import FilePresence
print(FilePresence(Path(sys.argv[1])).owner, flush=True)
sys.stdin.read()
"""


def test_a_process_is_alive_until_it_is_killed(tmp_path: Path):
    """SIGKILL lets the lock go: no heartbeat, no waiting."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with closing(FilePresence(tmp_path)) as ours:
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(tmp_path)],
            env=environment,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        with process:
            assert process.stdout is not None
            owner = process.stdout.readline().strip()
            assert ours.is_alive(owner)
            process.kill()
            process.wait()
            assert not ours.is_alive(owner)
        assert (tmp_path / f"{owner}.lock").exists()
        FilePresence(tmp_path).close()
        assert not (tmp_path / f"{owner}.lock").exists(), "the next process removes what the dead one left"
        assert ours.is_alive(ours.owner), "and never a living one's"
        assert (tmp_path / f"{ours.owner}.lock").exists()


def test_two_in_one_process_see_each_other(tmp_path: Path):
    """Presence belongs to whoever holds it, also within one process."""
    first, second = FilePresence(tmp_path), FilePresence(tmp_path)
    assert first.is_alive(second.owner)
    assert second.is_alive(first.owner)
    first.close()
    first.close()
    assert not second.is_alive(first.owner)
    assert not first.is_alive(first.owner)
    second.close()
    assert [file.name for file in tmp_path.iterdir()] == ["registry.lock"]


@pytest.mark.parametrize("name", ["", "0" * 32, "../log", "registry", "x" * 32])
def test_a_name_nobody_took_is_not_alive(tmp_path: Path, name: str):
    """An owner comes out of the database: whatever it says, no other file is touched."""
    with closing(FilePresence(tmp_path / "workers")) as presence:
        assert not presence.is_alive(name)
        assert sorted(file.name for file in (tmp_path / "workers").iterdir()) == sorted(
            ["registry.lock", f"{presence.owner}.lock"]
        )


def test_memory_has_one_process():
    """A log in memory is performed by nobody else."""
    presence = MemoryStore().presence()
    assert isinstance(presence, OnlyProcess)
    assert presence.is_alive(presence.owner)
    assert not presence.is_alive("other")
    presence.close()
    assert not presence.is_alive(presence.owner)


def test_a_store_keeps_its_processes_beside_its_file(tmp_path: Path):
    """Everything that belongs to a log has its name."""
    with closing(SqliteStore(tmp_path / "log.db")) as store, closing(store.presence()) as presence:
        assert (tmp_path / "log.db.workers" / f"{presence.owner}.lock").exists()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path):
    """A file stands where the folder should."""
    (tmp_path / "workers").write_text("")
    with pytest.raises(StorageError, match=r"^The folder of running processes cannot be made: File exists\."):
        FilePresence(tmp_path / "workers")


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path):
    """Also by two descriptors of one process; and it can be taken again after it was let go."""
    one, two = ProcessLock(tmp_path / "lock"), ProcessLock(tmp_path / "lock")
    assert one.take_now()
    assert not two.take_now()
    with pytest.raises(StorageError, match=r"^Another process kept the database locked for 0 s\."):
        two.take(0)
    one.release()
    with two.held(1):
        assert not one.take_now()
    assert one.take_now()
    one.close()
    one.close()
    two.close()


def test_the_log_can_be_read_by_its_owner_alone(tmp_path: Path):
    """It holds what people wrote; SQLite gives its side files the same permissions."""
    with closing(SqliteStore(tmp_path / "log.db")):
        modes = {
            path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.name.startswith("log.db")
        }
    assert {name: mode for name, mode in modes.items() if mode & 0o077 and not name.endswith(".workers")} == {}
