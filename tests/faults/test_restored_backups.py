"""An old backup in the place of the log: nobody signs it, nothing starts on it, no witness takes it.

The log is signed, a copy is kept, the log goes on and is signed again, the copy is restored, and work goes on there. A
signer that remembers refuses every time; the control is one that does not, whose signature the witness refuses.
"""

import os
import shutil
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random
from typing import Protocol

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from interlock.persistence.evidence.notes import COSIGNATURE, Checkpoint, checkpoint_of, note_of
from interlock.persistence.evidence.signing import FileMemory, SigningRefused, refuse_old_copy
from interlock.persistence.evidence.witnessing import Witness, request_body
from interlock.persistence.merkle import consistency_proof
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.checkpointing import Signed
from support.evidence import ORIGIN, TestKey, checkpointer, filled
from support.figures import record
from support.postgres import OneServer, database, own_server, server, server_of_one_test

FULL = pytest.mark.full
LOG, WITNESS = TestKey(), TestKey("witness.example/w", 9, COSIGNATURE)
Store = SqliteStore | PostgresStore


class Place(Protocol):
    """Where a log is, and how it is copied and brought back. Copied and restored while nobody has it open."""

    def opened(self) -> Store: ...

    def copy(self) -> None: ...

    def restore(self) -> None: ...


class CopiedFiles:
    """SQLite: the database and what stands beside it, as a copy of the folder takes them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.kept = folder / "log", folder / "kept"
        self.folder.mkdir()

    def opened(self) -> Store:
        return SqliteStore(self.folder / "log.db", origin=ORIGIN)

    def copy(self) -> None:
        shutil.copytree(self.folder, self.kept)

    def restore(self) -> None:
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept, self.folder)


class BackedUp(CopiedFiles):
    """SQLite's own backup of the database."""

    def copy(self) -> None:
        self.kept.mkdir()
        with (
            closing(sqlite3.connect(self.folder / "log.db")) as log,
            closing(sqlite3.connect(self.kept / "log.db")) as kept,
        ):
            log.backup(kept)

    def restore(self) -> None:
        for file in self.folder.glob("log.db*"):
            if file.is_file() and file.suffix != ".key":
                file.unlink()
        shutil.copy(self.kept / "log.db", self.folder)


class CopiedDatabase:
    """PostgreSQL: a copy of the database beside it, on the same server."""

    def __init__(self, url: str) -> None:
        self.url, self.name = url, str(conninfo_to_dict(url)["dbname"])

    def opened(self) -> Store:
        return PostgresStore(self.url, origin=ORIGIN)

    def copy(self) -> None:
        self._made(f"{self.name}_kept", self.name)

    def restore(self) -> None:
        with psycopg.connect(server(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))
        self._made(self.name, f"{self.name}_kept")

    def close(self) -> None:
        with psycopg.connect(server(), autocommit=True) as connection:
            kept = sql.Identifier(f"{self.name}_kept")
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(kept))

    def _made(self, name: str, of: str) -> None:
        with psycopg.connect(server(), autocommit=True) as connection:
            made = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
            connection.execute(made.format(sql.Identifier(name), sql.Identifier(of)))


class Dumped(CopiedDatabase):
    """PostgreSQL: `pg_dump`, and the dump restored into a new database."""

    def __init__(self, url: str, folder: Path, programs: Path) -> None:
        super().__init__(url)
        self.file, self.programs = folder / "dump", programs

    def copy(self) -> None:
        subprocess.run(
            [self.programs / "pg_dump", "--format=custom", f"--file={self.file}", self.url],
            check=True,
            capture_output=True,
        )

    def restore(self) -> None:
        with psycopg.connect(server(), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(self.name)))
        self._made(self.name, "template0")
        subprocess.run(
            [self.programs / "pg_restore", f"--dbname={self.url}", self.file], check=True, capture_output=True
        )


class BaseBackup:
    """PostgreSQL: `pg_basebackup` of the whole server, put in the place of its folder."""

    def __init__(self, one: OneServer, folder: Path) -> None:
        self.server, self.kept = one, folder / "base"

    def opened(self) -> Store:
        return PostgresStore(self.server.url, origin=ORIGIN)

    def copy(self) -> None:
        program = Path(self.server.server.bin_path) / "pg_basebackup"
        subprocess.run(
            [program, f"--pgdata={self.kept}", f"--dbname={self.server.url}", "--checkpoint=fast"],
            check=True,
            capture_output=True,
        )

    def restore(self) -> None:
        folder = self.server.folder
        owner = folder.stat()
        self.server.kill()
        for one in folder.iterdir():
            if one.name not in ("log", ".handle_pids.json"):
                shutil.rmtree(one) if one.is_dir() and not one.is_symlink() else one.unlink()
        shutil.copytree(self.kept, folder, dirs_exist_ok=True)
        for path, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(Path(path) / name, owner.st_uid, owner.st_gid)
        shutil.rmtree(self.kept)
        self.server.start_again()


def shown(witness: Witness, store: Store, signed: Signed, known: int) -> list[int]:
    """The witness's answers to a signer who says what he knows, and then what the witness said that it knows."""
    new, answers, old = signed.checkpoint.size, list[int](), known
    for _ in range(2):
        proof = consistency_proof(old, new, store.tree().nodes) if old else []
        answer = witness.add_checkpoint(request_body(old, proof, signed.note), 1_790_000_000)
        answers.append(answer.status)
        if answer.status != 409 or int(answer.body) > new:
            return answers
        old = int(answer.body)
    return answers


def trial(place: Place, folder: Path, random: Random, came_to: Counter[str]) -> list[str]:
    """One copy and one restore; everything that was otherwise than it must be."""
    witness, wrong = Witness(folder / "witness", WITNESS, [LOG.verifier()]), list[str]()
    with closing(place.opened()) as store:
        filled(store, random.randrange(1, 3), seed=1, turns=2)
        first = checkpointer(store.tree(), folder).checkpoint()
        assert shown(witness, store, first, 0) == [200]
        filled(store, random.randrange(2), seed=2, turns=1)  # perhaps with some that are not signed yet
    place.copy()
    with closing(place.opened()) as store:
        filled(store, random.randrange(1, 3), seed=3, turns=2)
        last = checkpointer(store.tree(), folder).checkpoint()
        assert shown(witness, store, last, first.checkpoint.size) == [200]
    place.restore()
    with closing(place.opened()) as store:
        filled(store, random.choice([0, 0, 1, 5]), seed=4, turns=2)
        before, leaves = len(store.tree().checkpoints()), store.tree().size()
        memory = FileMemory(folder / "signed.head", ORIGIN)
        for refused, act in {
            "start": lambda: refuse_old_copy(memory.read(), store.tree().size(), store.tree().nodes),
            "signature": lambda: checkpointer(store.tree(), folder).checkpoint(),
        }.items():
            came_to[f"{refused}s tried"] += 1
            if not is_refused(act):
                wrong.append(f"no {refused} refused")
        if len(store.tree().checkpoints()) != before or memory.read() != last.checkpoint:
            wrong.append("something was signed, or forgotten")
        if store.tree().size() != leaves:
            wrong.append("what was refused added leaves to the old copy")
        forged = checkpointer(store.tree()).checkpoint()  # the control: it remembers nothing
        came_to["signed by who forgot"] += 1
        came_to["that differ"] += forged.checkpoint != last.checkpoint
        answers = shown(witness, store, forged, first.checkpoint.size)
        came_to.update(f"witness {answer}" for answer in answers)
        if not set(answers) <= {409, 422} or checkpoint_of_witness(witness) != last.checkpoint:
            wrong.append(f"the witness answered {answers}")
    return wrong


def checkpoint_of_witness(witness: Witness) -> Checkpoint:
    return checkpoint_of(note_of(str(witness.latest(ORIGIN))))


def is_refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except SigningRefused:
        return True
    return False


def said(what: str, trials: int, came_to: Counter[str]) -> None:
    seen = {name: count for name, count in sorted(came_to.items()) if "differ" not in name}
    record("F10", what, tried=trials, wrong=0, seen=seen)
    record("F10", f"a signer that remembers nothing: {what}", tried=trials, wrong=came_to["that differ"], control=True)


@pytest.mark.parametrize("trials", [range(6), *(pytest.param(range(n, n + 50), marks=FULL) for n in range(0, 500, 50))])
@pytest.mark.parametrize("how", [CopiedFiles, BackedUp])
def test_a_restored_copy_of_sqlite_is_refused(tmp_path: Path, how: type[CopiedFiles], trials: range) -> None:
    came_to, wrong = Counter[str](), []
    for number in trials:
        folder = tmp_path / str(number)
        folder.mkdir()
        wrong += [f"{number}: {one}" for one in trial(how(folder), folder, Random(number), came_to)]
        shutil.rmtree(folder)
    assert wrong == []
    assert came_to["that differ"] == len(trials)
    said({CopiedFiles: "copied files, SQLite", BackedUp: "backups, SQLite"}[how], len(trials), came_to)


@pytest.fixture
def programs() -> Path:
    """Where the server's own `pg_dump` and `pg_basebackup` are."""
    if os.environ.get("INTERLOCK_TEST_POSTGRES"):
        pytest.skip("no programs of the version of the server that INTERLOCK_TEST_POSTGRES names")
    return Path(own_server().bin_path)


@pytest.mark.parametrize("trials", [range(1), *(pytest.param(range(n, n + 10), marks=FULL) for n in range(0, 100, 10))])
def test_a_restored_copy_of_a_postgresql_database_is_refused(tmp_path: Path, trials: range) -> None:
    came_to, wrong = Counter[str](), []
    for number in trials:
        folder = tmp_path / str(number)
        folder.mkdir()
        with database() as url, closing(CopiedDatabase(url)) as place:
            wrong += [f"{number}: {one}" for one in trial(place, folder, Random(number), came_to)]
    assert wrong == []
    said("copied databases, PostgreSQL", len(trials), came_to)


@pytest.mark.parametrize("trials", [range(1), pytest.param(range(20), marks=FULL)])
def test_a_restored_dump_of_postgresql_is_refused(tmp_path: Path, programs: Path, trials: range) -> None:
    came_to, wrong = Counter[str](), []
    for number in trials:
        folder = tmp_path / str(number)
        folder.mkdir()
        with database() as url:
            place = Dumped(url, folder, programs)
            wrong += [f"{number}: {one}" for one in trial(place, folder, Random(number), came_to)]
    assert wrong == []
    said("dumps, PostgreSQL", len(trials), came_to)


@pytest.fixture
def one_server() -> Iterator[OneServer]:
    with server_of_one_test() as found:
        yield found


@pytest.mark.full
@pytest.mark.parametrize("trials", [range(10)])
def test_a_restored_base_backup_is_refused(
    tmp_path: Path, one_server: OneServer, programs: Path, trials: range
) -> None:
    came_to, wrong = Counter[str](), []
    for number in trials:
        folder = tmp_path / str(number)
        folder.mkdir()
        with psycopg.connect(one_server.url, autocommit=True) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        place = BaseBackup(one_server, folder)
        wrong += [f"{number}: {one}" for one in trial(place, folder, Random(number), came_to)]
    assert wrong == []
    said("`pg_basebackup` of a server", len(trials), came_to)
