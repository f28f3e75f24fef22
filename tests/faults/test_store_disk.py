"""A disk that remembers and fails: SQLite's own VFS, wrapped, in the process that runs the real store.

The wrapper is installed as SQLite's default file layer through ctypes, in the very library that `sqlite3`
uses, so the store under test is the store as shipped. It records every write, sync, truncation, creation
and deletion in order, and can make one of them fail. From the record, `states` gives the files as a power
cut could have left them. Run in a process of its own: `in_a_process`.
"""

import ctypes
import hashlib
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
SECTOR = 512
OK, FULL, IOERR_WRITE, IOERR_FSYNC, IOERR_TRUNCATE = 0, 13, 778, 1034, 1546
OPEN_CREATE, OPEN_JOURNAL, OPEN_WAL = 0x4, 0x800, 0x80000

# Paths are passed on as the pointers they came as: SQLite keeps them, and reads what stands behind their end.
_file, _vfs, _text = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
OPEN = ctypes.CFUNCTYPE(ctypes.c_int, _vfs, _text, _file, ctypes.c_int, ctypes.POINTER(ctypes.c_int))
DELETE = ctypes.CFUNCTYPE(ctypes.c_int, _vfs, _text, ctypes.c_int)
WRITE = ctypes.CFUNCTYPE(ctypes.c_int, _file, ctypes.c_void_p, ctypes.c_int, ctypes.c_int64)
TRUNCATE = ctypes.CFUNCTYPE(ctypes.c_int, _file, ctypes.c_int64)
SYNC = ctypes.CFUNCTYPE(ctypes.c_int, _file, ctypes.c_int)


class Vfs(ctypes.Structure):
    """`sqlite3_vfs`, version 3 (https://sqlite.org/c3ref/vfs.html)."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("file_size", ctypes.c_int),
        ("longest_path", ctypes.c_int),
        ("next", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("data", ctypes.c_void_p),
        ("open", OPEN),
        ("delete", DELETE),
        ("rest", ctypes.c_void_p * 14),
    ]


class Methods(ctypes.Structure):
    """`sqlite3_io_methods`, version 3 (https://sqlite.org/c3ref/io_methods.html)."""

    _fields_ = [
        ("version", ctypes.c_int),
        ("close", ctypes.c_void_p),
        ("read", ctypes.c_void_p),
        ("write", WRITE),
        ("truncate", TRUNCATE),
        ("sync", SYNC),
        ("rest", ctypes.c_void_p * 13),
    ]


def sqlite_library() -> Any:
    """The library that `sqlite3` runs on, or None where it is built in and hides its names."""
    import _sqlite3

    try:
        library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
        library.sqlite3_vfs_find.restype = ctypes.POINTER(Vfs)
        library.sqlite3_vfs_find.argtypes = [ctypes.c_char_p]
        library.sqlite3_vfs_register.argtypes = [ctypes.POINTER(Vfs), ctypes.c_int]
    except (AttributeError, OSError):
        return None
    return library


reachable = pytest.mark.skipif(
    sys.platform == "win32" or sqlite_library() is None,
    reason="the file layer of this Python's SQLite is hidden",
)

Step = tuple[Any, ...]
"""("create", file, makes its folder durable), ("write", file, offset, bytes), ("truncate", file, size),
("sync", file), ("delete", file, folder synced), or ("note", anything the test said)."""


class Disk:
    """Installed once in a process; `steps` is the record, `fails` says which step goes wrong and how."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.fails: Callable[[str, str], int] = lambda step, file: OK
        self.lies: Callable[[str, str], int | None] = lambda step, file: None
        """How many bytes of this write reach the disk, which says that all did; None for all."""
        self._names: dict[int, str] = {}
        self._methods: dict[int, tuple[Methods, Methods]] = {}
        library = sqlite_library()
        self._real = library.sqlite3_vfs_find(None)
        self._wrapped = Vfs.from_buffer_copy(self._real.contents)
        self._wrapped.name = b"remembering"
        self._callbacks = [OPEN(self._open), DELETE(self._delete)]
        self._wrapped.open, self._wrapped.delete = self._callbacks
        self._of_file = (WRITE(self._write), TRUNCATE(self._truncate), SYNC(self._sync))
        assert library.sqlite3_vfs_register(ctypes.byref(self._wrapped), 1) == OK

    def note(self, said: Any) -> None:
        self.steps.append(("note", said))

    def _open(self, _: Any, path: int | None, file: int, flags: int, out: Any) -> int:
        existed = path is None or os.path.exists(ctypes.string_at(path))
        result = self._real.contents.open(ctypes.addressof(self._real.contents), path, file, flags, out)
        if result == OK and path is not None:
            name = os.path.basename(ctypes.string_at(path).decode())
            self._names[file] = name
            if not existed:
                # The unix VFS syncs the folder with the first sync of a journal or write-ahead log that it made.
                self.steps.append(("create", name, bool(flags & (OPEN_JOURNAL | OPEN_WAL))))
            slot = ctypes.c_void_p.from_address(file)
            real = slot.value or 0
            if real not in self._methods:
                original = Methods.from_address(real)
                changed = Methods.from_buffer_copy(original)
                changed.write, changed.truncate, changed.sync = self._of_file
                self._methods[real] = (original, changed)
                self._methods[ctypes.addressof(changed)] = (original, changed)
            slot.value = ctypes.addressof(self._methods[real][1])
        return int(result)

    def _original(self, file: int) -> Methods:
        return self._methods[ctypes.c_void_p.from_address(file).value or 0][0]

    def _write(self, file: int, data: int, size: int, offset: int) -> int:
        name = self._names.get(file, "")
        failure = self.fails("write", name)
        if failure != OK:
            return failure
        written = self.lies("write", name)
        reached = size if written is None else min(written, size)
        result = self._original(file).write(file, data, reached, offset) if reached else OK
        if result == OK and name and reached == size:
            self.steps.append(("write", name, offset, ctypes.string_at(data, size)))
        return int(result)

    def _truncate(self, file: int, size: int) -> int:
        name = self._names.get(file, "")
        failure = self.fails("truncate", name)
        if failure != OK:
            return failure
        result = self._original(file).truncate(file, size)
        if result == OK and name:
            self.steps.append(("truncate", name, size))
        return int(result)

    def _sync(self, file: int, flags: int) -> int:
        name = self._names.get(file, "")
        failure = self.fails("sync", name)
        if failure != OK:
            return failure
        result = self._original(file).sync(file, flags)
        if result == OK and name:
            self.steps.append(("sync", name))
        return int(result)

    def _delete(self, _: Any, path: int, folder_synced: int) -> int:
        name = os.path.basename(ctypes.string_at(path).decode())
        result = self._real.contents.delete(ctypes.addressof(self._real.contents), path, folder_synced)
        if result == OK:
            self.steps.append(("delete", name, bool(folder_synced)))
        return int(result)


@dataclass
class Platter:
    """One file: what is surely on the disk, and what was asked for since the last sync."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Step] = field(default_factory=list)
    listed: bool = False
    """Whether the folder's entry is surely on the disk."""
    lists_folder: bool = False

    def left(self, keeps: Callable[[], bool]) -> bytes:
        """The content after a power cut: of what is pending, each sector or truncation as `keeps` decides."""
        content = bytearray(self.durable)
        for step in self.pending:
            apply(content, step, keeps)
        return bytes(content)


def apply(content: bytearray, step: Step, keeps: Callable[[], bool]) -> None:
    if step[0] == "truncate":
        if keeps():
            del content[step[2] :]
            content.extend(bytes(step[2] - len(content)))
        return
    _, _, offset, data = step
    start = 0
    while start < len(data):
        end = min(len(data), start + SECTOR - (offset + start) % SECTOR)
        if keeps():
            if len(content) < offset + start:
                content.extend(bytes(offset + start - len(content)))
            content[offset + start : offset + end] = data[start:end]
        start = end


class Replay:
    """The disk while a record is played: `after` each step, `cut` gives the files that a power cut leaves."""

    def __init__(self) -> None:
        self.files: dict[str, Platter] = {}
        self.deleted: dict[str, Platter] = {}

    def after(self, step: Step) -> None:
        kind, name = step[0], step[1]
        if kind == "create":
            self.files[name] = Platter(lists_folder=step[2])
        elif kind in ("write", "truncate"):
            self.files[name].pending.append(step)
        elif kind == "sync":
            platter = self.files[name]
            platter.durable, platter.pending = bytearray(platter.left(lambda: True)), []
            if platter.lists_folder:
                self._list()
        elif kind == "delete":
            self.deleted[name] = self.files.pop(name)
            if step[2]:
                self._list()

    def _list(self) -> None:
        self.deleted.clear()
        for platter in self.files.values():
            platter.listed, platter.lists_folder = True, False

    def cut(self, keeps: Callable[[], bool]) -> dict[str, bytes]:
        kept = {name: p for name, p in self.deleted.items() if p.listed and not keeps()}
        kept |= {name: p for name, p in self.files.items() if p.listed or keeps()}
        return {name: platter.left(keeps) for name, platter in kept.items()}


def states(steps: Sequence[Step], most: int, seed: int) -> Iterator[tuple[int, dict[str, bytes]]]:
    """At most `most` states that a power cut could leave, evenly over the record: for each moment chosen,
    nothing unsynced was kept, everything was, or each sector by chance."""
    chance = random.Random(seed)
    ways: list[Callable[[], bool]] = [
        lambda: False,
        lambda: True,
        lambda: chance.random() < 0.5,
        lambda: chance.random() < 0.1,
        lambda: chance.random() < 0.9,
    ]
    every = max(1, -(-len(steps) * len(ways) // most))
    replay, turn = Replay(), 0
    for number, step in enumerate(steps, start=1):
        replay.after(step)
        for way in ways:
            turn += 1
            if turn % every == 0:
                yield number, replay.cut(way)


def is_new(state: Any, known: set[bytes]) -> bool:
    """Whether `state` is none of `known`, which has it from then on."""
    digest, before = hashlib.sha256(repr(state).encode()).digest(), len(known)
    known.add(digest)
    return len(known) > before


def in_a_process(module: str, function: str, *arguments: object) -> Any:
    """What `function(disk, *arguments)` returns in a new process with the disk installed."""
    code = (
        "import pickle, sys, importlib; from faults.test_store_disk import Disk; "
        "module, function, arguments = pickle.load(sys.stdin.buffer); disk = Disk(); "
        "result = getattr(importlib.import_module(module), function)(disk, *arguments); "
        "sys.stdout.buffer.write(pickle.dumps(result))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=pickle.dumps((module, function, arguments)),
        env=environment,
        capture_output=True,
        timeout=1_800,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return pickle.loads(done.stdout)


def play(disk: Disk, folder: str) -> list[Step]:
    """A little of everything, in rollback and in WAL mode."""
    import sqlite3

    connection = sqlite3.connect(f"{folder}/play.db", isolation_level=None)
    connection.execute("CREATE TABLE t (a)")
    connection.execute("PRAGMA journal_mode = WAL")
    for n in range(5):
        connection.execute("INSERT INTO t VALUES (zeroblob(?))", (n * 1000,))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.close()
    return disk.steps


@reachable
def test_the_record_gives_the_files_that_are_there(tmp_path: Path):
    """Played to its end with everything kept, the record is byte for byte what lies on the disk."""
    steps = in_a_process(__name__.replace("tests.", ""), "play", str(tmp_path))
    replay = Replay()
    for step in steps:
        replay.after(step)
    there = {file.name: file.read_bytes() for file in tmp_path.iterdir() if not file.name.endswith("-shm")}
    assert {"play.db"} <= set(there)
    assert replay.cut(lambda: True) == there
    assert {step[0] for step in steps} == {"create", "write", "sync", "truncate", "delete"}


def test_only_what_was_synced_is_sure():
    """The model itself: unsynced sectors may go one by one, synced ones never, and torn writes are torn at sectors."""
    replay = Replay()
    for step in [("create", "f", True), ("write", "f", 0, b"a" * 600), ("sync", "f"), ("write", "f", 500, b"b" * 600)]:
        replay.after(step)
    assert replay.cut(lambda: False) == {"f": b"a" * 600}
    assert replay.cut(lambda: True) == {"f": b"a" * 500 + b"b" * 600}
    answers = iter([False, True, False])
    assert replay.cut(lambda: next(answers)) == {"f": b"a" * 512 + b"b" * 512}
    replay.after(("delete", "f", False))
    assert replay.cut(lambda: False) == {"f": b"a" * 600}
    assert replay.cut(lambda: True) == {}


def test_a_file_whose_folder_was_not_synced_may_be_gone():
    """A new file's name is only as durable as the folder it stands in."""
    replay = Replay()
    for step in [("create", "f", False), ("write", "f", 0, b"a"), ("sync", "f")]:
        replay.after(step)
    assert replay.cut(lambda: False) == {}
    for step in [("create", "f-wal", True), ("sync", "f-wal")]:
        replay.after(step)
    assert replay.cut(lambda: False) == {"f": b"a", "f-wal": b""}
