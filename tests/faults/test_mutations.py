"""Random changes of a bundle and of a database: every one is found, and nothing is found where nothing was changed."""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import pytest

from interlock.cli.demo import demo
from interlock.contracts.errors import InterlockError
from interlock.persistence.evidence.checking import Outside, attested
from interlock.persistence.keyfile import KeyFile
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.auditing import audited
from support.evidence import ORIGIN, TestKey, checkpointer, filled
from support.tampering import as_administrator, bundle_of, checked

Files = dict[str, bytes]


# -- bundles ------------------------------------------------------------------------------------------------


def flip(files: Files, random: Random) -> None:
    name = random.choice([one for one in sorted(files) if files[one]])
    data = bytearray(files[name])
    data[random.randrange(len(data))] ^= 1 << random.randrange(8)
    files[name] = bytes(data)


def cut(files: Files, random: Random) -> None:
    name = random.choice([one for one in sorted(files) if files[one]])
    files[name] = files[name][: random.randrange(len(files[name]))]


def insert(files: Files, random: Random) -> None:
    name = random.choice(sorted(files))
    at = random.randrange(len(files[name]) + 1)
    files[name] = files[name][:at] + random.randbytes(1) + files[name][at:]


def remove(files: Files, random: Random) -> None:
    del files[random.choice(sorted(files))]


def add(files: Files, random: Random) -> None:
    files[f"entries/{random.randrange(99)}.jsonl"] = files[random.choice(sorted(files))]


def swap(files: Files, random: Random) -> None:
    one, other = random.sample(sorted(files), 2)
    if files[one] == files[other]:
        return flip(files, random)
    files[one], files[other] = files[other], files[one]
    return None


CHANGES: list[Callable[[Files, Random], None]] = [flip, flip, flip, cut, insert, remove, add, swap]


def undetected(count: int, seed: int) -> list[str]:
    """Changes of bundles, of whole logs and of a conversation in turn, that nothing showed."""
    store, random = MemoryStore(origin=ORIGIN), Random(seed)
    streams, signing = filled(store, 4, seed=seed), checkpointer(store.tree())
    signing.checkpoint()
    filled(store, 2, seed=seed + 1)
    signing.checkpoint()
    bundles = [bundle_of(store), bundle_of(store, (streams[0],), disclose=("note", "fact.p0"))]
    missed = []
    for number in range(count):
        change, files = random.choice(CHANGES), dict(bundles[number % 2])
        change(files, random)
        if checked(files).verdict != "BROKEN":
            missed.append(f"{number}: {change.__name__}")
    return missed


def test_every_change_of_a_bundle_is_found():
    assert undetected(300, 1) == []


@pytest.mark.full
def test_every_change_of_a_bundle_is_found_in_100000():
    assert [one for seed in range(100) for one in undetected(1000, seed)] == []


def alarms(count: int) -> list[str]:
    """Honest bundles that something was found in."""
    found = []
    for seed in range(count):
        random, store = Random(seed), MemoryStore(origin=ORIGIN)
        signing = checkpointer(store.tree())
        streams: list[str] = []
        head = ""
        for part in range(random.randrange(1, 3)):
            streams += filled(store, random.randrange(1, 4), seed=10 * seed + part, turns=2)
            head = str(signing.checkpoint().note)
        chosen = random.choice([None, tuple(random.sample(streams, random.randrange(1, len(streams) + 1)))])
        files = bundle_of(store, chosen, disclose=random.choice([("all",), ("none",), ("fact.p0", "message")]))
        if checked(files, head).verdict != "ANCHORED":
            found.append(f"seed {seed}: {checked(files, head).document()}")
    return found


def test_honest_bundles_raise_no_alarm():
    assert alarms(100) == []


@pytest.mark.full
def test_ten_thousand_honest_bundles_raise_no_alarm():
    assert alarms(10_000) == []


# -- databases ----------------------------------------------------------------------------------------------

NOT_COMPARED = {("event", "id"), ("conversation", "owner"), ("flow", "source")}
"""What no entry says: SECURITY.md lists them."""
TABLES = ("event", "leaf", "record", "checkpoint", "head", "head_node", "payload", "flow", "conversation")


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's fourteen conversations, with a signed checkpoint in their middle and at their end."""
    path = tmp_path_factory.mktemp("log") / "log.db"
    with redirect_stdout(StringIO()):
        demo(path, False, "", "", True)
    with closing(SqliteStore(path, master=KeyFile(path.with_name("log.db.key")))) as store:
        signing = checkpointer(store.tree(), signer=TestKey(store.log))
        store.tree().sequence(200)
        signing.checkpoint()
    return path


def faults_of(path: Path) -> bool:
    """Whether `interlock verify` finds anything."""
    try:
        with closing(SqliteStore(path, master=KeyFile(path.with_name("log.db.key")))) as store:
            outside = Outside(keys=(TestKey(store.log).verifier(),))
            return bool(not audited(store).ok or attested(store.tree(), outside).faults)
    except (InterlockError, sqlite3.Error):
        return True


def changed_row(path: Path, random: Random) -> str:
    """One column of one row gets another value, or a row goes."""
    with as_administrator(path) as connection:
        table = random.choice(TABLES)
        rows = connection.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid").fetchall()
        columns = [one[1] for one in connection.execute(f"PRAGMA table_info({table})")]
        row = random.choice(rows)
        # A payload's deletion is an erasure, and a checkpoint's takes nothing from those that are left.
        if random.random() < 0.2 and table not in ("payload", "checkpoint"):
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", row[:1])
            return f"{table} deleted"
        column = random.choice([one for one in columns if (table, one) not in NOT_COMPARED])
        value = row[1 + columns.index(column)]
        new: Any = other_value(value, random)
        try:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (new, row[0]))
        except sqlite3.IntegrityError:  # the database itself will not have it
            return ""
        return f"{table}.{column}: {value!r} -> {new!r}"


def other_value(value: Any, random: Random) -> Any:
    if isinstance(value, int):
        return value + random.choice([-1, 1, 7])
    if isinstance(value, bytes) and value:
        data = bytearray(value)
        data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        return bytes(data)
    if isinstance(value, str) and value:
        at = random.randrange(len(value))
        return value[:at] + ("y" if value[at] == "x" else "x") + value[at + 1 :]
    return b"x" if isinstance(value, bytes) else "x"


def rows_missed(log: Path, folder: Path, seeds: range) -> list[str]:
    missed = []
    for seed in seeds:
        copy = fresh(log, folder)
        said = changed_row(copy, Random(seed))
        if said and not faults_of(copy):
            missed.append(f"seed {seed}: {said}")
    return missed


def fresh(log: Path, folder: Path) -> Path:
    for one in folder.glob("log.db*"):
        if one.is_file():
            one.unlink()
    for name in ("log.db", "log.db.key"):
        shutil.copy(log.with_name(name), folder / name)
    return folder / "log.db"


def test_an_honest_database_raises_no_alarm(log: Path, tmp_path: Path):
    assert not faults_of(fresh(log, tmp_path))


def test_every_changed_row_is_found(log: Path, tmp_path: Path):
    assert rows_missed(log, tmp_path, range(40)) == []


@pytest.mark.full
def test_every_changed_row_is_found_in_thousands(log: Path, tmp_path: Path):
    assert rows_missed(log, tmp_path, range(5_000)) == []
