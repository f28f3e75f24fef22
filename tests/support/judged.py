"""What `interlock verify` makes of a database file, and whether that is right."""

import shutil
import tempfile
from asyncio import run
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from random import Random
from typing import Any, Literal
from unittest.mock import patch

from interlock.contracts import records
from interlock.contracts.errors import InterlockError
from interlock.persistence import sqlite_sound, verify
from interlock.persistence.evidence import checking
from interlock.persistence.evidence.checking import Attested, Outside, attested
from interlock.persistence.keyfile import KeyFile
from interlock.persistence.sqlite_errors import DATABASE_ERRORS, translated
from interlock.persistence.sqlite_file import SqliteFile
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.statements import Statement
from interlock.persistence.vault import Vault
from interlock.service import archives, auditing, journal, loading, pruning
from interlock.service.archives import with_archives
from interlock.service.auditing import audited
from support.mutated import closed, differing, evidence, fewer_signatures, mutated, opened
from support.small_log import written

Verdict = Literal["detected", "refused", "equal", "weaker", "missed", "crashed"]
"""`detected`: a fault is named. `refused`: the file cannot be read at all, and that is said, with its place and a
remedy. `equal`: no evidence was changed. `weaker`: a checkpoint or a signature is gone, the others still hold, and
less is said to be signed. The last two must not be."""


class Here(SqliteStore):
    """The store without its thread: nothing writes meanwhile, and handing over costs more than answering."""

    def __init__(self, path: Path) -> None:
        self.path, self._where = path, str(path)
        self.master = KeyFile(path.with_name(path.name + ".key"))
        self.vault = Vault(self.master)
        self._file = SqliteFile(path, wait_seconds=1.0, origin="")
        self.log = self._file.log

    def _ask(self, answer: Any) -> Any:
        try:
            return answer(self._file)
        except DATABASE_ERRORS as error:
            raise translated(error, self._where) from error

    def close(self) -> None:
        self._file.close()


def _run(file: SqliteFile, statement: Statement, **values: Any) -> Any:
    """As `SqliteFile.run`, without the rows' column names."""
    return file._driver.execute(statement.sql, statement.values(**values)).fetchall()


@dataclass(frozen=True)
class Honest:
    """A log that nobody touched, and a folder in memory where changed copies of it are looked at."""

    folder: Path
    file: bytes
    outside: Outside
    evidence: dict[str, Any]
    attested: Attested

    def verdict(self, file: bytes) -> tuple[Verdict, str]:
        """What is made of the file, and why."""
        try:
            faults, found = self.looked_at(file)
        except InterlockError as error:
            return "refused", str(error)
        except Exception as error:  # what a command would print as a bug of ours
            return "crashed", f"{type(error).__name__}: {error}"
        if faults:
            return "detected", faults[0]
        changed = differing(self.evidence, evidence(file))
        more = [name for name in COUNTED if getattr(found, name) > getattr(self.attested, name)]
        if more or (changed and changed != ["checkpoint"]):
            return "missed", ", ".join([*more, *changed])
        if changed and fewer_signatures(self.file, file):
            return "weaker", ""
        return ("missed", "checkpoint") if changed else ("equal", "")

    def looked_at(self, file: bytes) -> tuple[list[str], Attested]:
        path = self.folder / "log.db"
        for ending in ("", "-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        path.write_bytes(file)
        with closing(Here(path)) as store:
            report = audited(store)
            if not report.ok:
                return [*(one.what for one in report.broken), *report.beside], Attested()
            found = attested(store.tree(), self.outside)
            found = with_archives(store, found, [self.folder / "archive"] if found.keys else ())
            return list(found.faults), found


COUNTED = ("signed", "anchored", "witnessed", "seen", "checkpoints")
"""What is said to attest the log: a change may lessen it, never add to it."""


@contextmanager
def remembering() -> Iterator[None]:
    """Pure functions of bytes answer at once what they were asked before: nearly all entries of a copy are the same."""
    with ExitStack() as patches:
        for module, name in (
            *((one, "parsed") for one in (verify, checking, auditing, records)),
            *((one, "record_of") for one in (checking, journal)),
            (loading, "opened"),
            (sqlite_sound, "_plain"),
        ):
            patches.enter_context(patch.object(module, name, lru_cache(4096)(getattr(module, name))))
        patches.enter_context(patch.object(SqliteFile, "run", _run))
        patches.enter_context(patch.object(archives, "opened", _opened_once()))
        yield


def _opened_once() -> Any:
    """The archive is beside the log and never changed: for the same keys it is opened once."""
    open_it, known = pruning.opened, dict[tuple[Any, ...], Any]()

    def opened_once(path: Path, eras: Any) -> Any:
        asked = path, tuple(eras)
        if asked not in known:
            known[asked] = open_it(path, eras)
        return known[asked]

    return opened_once


@contextmanager
def honest() -> Iterator[Honest]:
    """The small log in a folder in memory, where there is one."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="interlock-", dir=memory if memory.is_dir() else None))
    try:
        with closing(SqliteStore(folder / "log.db", origin="log.example/small")) as store:
            outside = run(written(store, folder))
            found = with_archives(store, attested(store.tree(), outside), [folder / "archive"])
        with closing(opened((folder / "log.db").read_bytes())) as connection:
            file = closed(connection)
        told = evidence(file)
        assert isinstance(told, dict), told
        with remembering():
            yield Honest(folder, file, outside, told, found)
    finally:
        shutil.rmtree(folder)


@dataclass
class Tally:
    """How many changes came to which verdict, and those that should not have."""

    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


def tallied(log: Honest, seeds: range, *, raw: bool) -> Tally:
    found = Tally()
    for seed in seeds:
        file, said = mutated(log.file, Random(seed), raw=raw)
        verdict, why = log.verdict(file)
        found.counts[verdict] += 1
        if verdict in ("missed", "crashed"):
            found.wrong.append(f"seed {seed}: {said}: {verdict}, {why}")
    return found


def without_a_check(log: Honest, **known: Any) -> Honest:
    """The same log looked at by an auditor who brings less."""
    return replace(log, outside=replace(log.outside, **known))
