"""A power cut at any moment loses nothing that was acknowledged; with durability off it does.

The real store runs on a disk that remembers every write and sync (`test_store_disk`). From the record the
files are rebuilt as a cut at each moment could have left them: unsynced writes kept, lost, or torn at
sectors of 512 bytes. The real store opens each, and every acknowledged entry must be there, in a chain
without a gap.
"""

import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import cache, partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from faults.test_store_disk import Disk, Step, in_a_process, is_new, reachable, states

from interlock.contracts.envelope import Head
from interlock.contracts.errors import InterlockError
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from support.figures import record as figure
from support.stores import LOG, after, decided

ROUNDS = 14


def record(disk: Disk, folder: str, synchronous: str) -> list[Step]:
    """Appends alone and together, with small and large payloads, checkpoints, closing and opening again."""
    heads = {stream: Head(stream) for stream in "abcd"}

    def opened() -> SqliteStore:
        store = SqliteStore(Path(folder) / "log.db", origin=LOG)

        def set_up(file: Any) -> None:
            file.pragma("wal_autocheckpoint = 12")
            if synchronous != "FULL":
                file._driver.execute(f"PRAGMA synchronous = {synchronous}")

        store._ask(set_up)
        return store

    def say(stream: str, done: Future[int]) -> None:
        disk.note(("said", stream, done.result()))

    store = opened()
    for turn in range(ROUNDS):
        together = [decided(heads[stream], size=3, written=[b"x" * (turn * 400)]) for stream in "abcd"[: 1 + turn % 4]]
        futures = [store.enqueue(append) for append in together]
        for append, future in zip(together, futures, strict=True):
            # Said on the thread that commits, before it does anything else: the earliest moment of knowing.
            future.add_done_callback(partial(say, append.summary.stream))
        for append, future in zip(together, futures, strict=True):
            future.result()
            heads[append.summary.stream] = after(append)
            disk.note(("entries", [(e.stream, e.version, e.data) for e in append.entries]))
        if turn % 5 == 4:
            store.close()
            store = opened()
    store.close()
    return disk.steps


@cache
def recorded(synchronous: str) -> tuple[list[Step], list[tuple[int, Any]]]:
    """The steps on the disk, and what was said before the step of which number."""
    with TemporaryDirectory() as folder:
        found = in_a_process("faults.test_store_power_cut", "record", folder, synchronous)
    steps: list[Step] = []
    said: list[tuple[int, Any]] = []
    for step in found:
        if step[0] == "note":
            said.append((len(steps), step[1]))
        else:
            steps.append(step)
    return steps, said


def what_is_wrong(files: dict[str, bytes], folder: Path, acknowledged: dict[str, int], sent: dict[Any, bytes]) -> str:
    """Empty if the log that a cut left holds everything acknowledged, and nothing that was not sent."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        with closing(SqliteStore(folder / "log.db", origin=LOG)) as store:
            report = verify(store)
            if not report.ok:
                return f"broken: {report.first}"
            for stream, length in acknowledged.items():
                if store.head(stream).length < length:
                    return f"lost: {stream} has {store.head(stream).length} of {length} acknowledged"
            stored = {(e.stream, e.version): e.data for stream in store.streams() for e in store.read(stream)}
            return "" if stored.items() <= sent.items() else "an entry that nobody sent"
    except InterlockError as error:
        return f"unusable: {error}"


TRIED: set[bytes] = set()
"""States that the long profile has tried in this process: another seed does not count them again."""


def cut_everywhere(
    synchronous: str, most: int, seed: int, folder: Path, already: set[bytes] | None = None
) -> tuple[int, Sequence[str]]:
    """How many states were tried, but those of `already`, and what was wrong in those where something was."""
    steps, said = recorded(synchronous)
    sent = {
        (stream, version): data for _, (kind, *rest) in said if kind == "entries" for stream, version, data in rest[0]
    }
    wrong, tried = [], 0
    for number, files in states(steps, most, seed):
        known: dict[str, int] = {}
        for before, (kind, *rest) in said:
            if kind == "said" and before <= number:
                known[rest[0]] = rest[1]
        if already is not None and not is_new((synchronous, sorted(files.items()), sorted(known.items())), already):
            continue
        tried += 1
        fault = what_is_wrong(files, folder / str(tried), known, sent)
        if fault:
            wrong.append(f"after step {number} of {len(steps)} (seed {seed}): {fault}")
        else:
            shutil.rmtree(folder / str(tried))
    return tried, wrong


@reachable
def test_no_power_cut_loses_what_was_acknowledged(tmp_path: Path):
    """Hundreds of moments, with nothing, everything or some sectors of the unsynced writes kept."""
    tried, wrong = cut_everywhere("FULL", 400, 20261121, tmp_path)
    assert wrong == []
    assert tried >= 300
    figure("F3", "power cuts of a store", tried=tried, wrong=0)


@reachable
@pytest.mark.full
@pytest.mark.parametrize("seed", range(30))
def test_no_power_cut_loses_what_was_acknowledged_at_length(tmp_path: Path, seed: int):
    """The same at every moment of the record, and with other sectors torn: states that no seed before had."""
    tried, wrong = cut_everywhere("FULL", 10**9, seed, tmp_path, TRIED)
    assert wrong == []
    figure("F3", "power cuts of a store", tried=tried, wrong=0)


CONTROLS = [60, pytest.param(1_000, marks=pytest.mark.full)]


def control(synchronous: str, most: int, folder: Path) -> None:
    tried, wrong = cut_everywhere(synchronous, most, 20261121, folder)
    assert any(": lost: " in fault for fault in wrong)
    figure("F3", f"power cuts with `synchronous={synchronous}`", tried=tried, wrong=len(wrong), control=True)


@reachable
@pytest.mark.parametrize("most", CONTROLS)
def test_with_durability_off_a_power_cut_does_lose(tmp_path: Path, most: int):
    """The control: without syncs the same check finds acknowledged entries lost."""
    control("OFF", most, tmp_path)


@reachable
@pytest.mark.parametrize("most", CONTROLS)
def test_with_syncs_left_to_checkpoints_a_power_cut_does_lose(tmp_path: Path, most: int):
    """The second control: `synchronous=NORMAL`, which many use with WAL, loses the last commits."""
    control("NORMAL", most, tmp_path)


@reachable
def test_the_record_holds_all_that_the_store_does_to_its_files():
    """Checkpoints, deletions, torn groups: otherwise the states would say little."""
    steps, said = recorded("FULL")
    kinds = {(step[0], step[1].removeprefix("log.db")) for step in steps}
    assert {
        ("write", ""),
        ("write", "-wal"),
        ("sync", ""),
        ("sync", "-wal"),
        ("delete", "-wal"),
        ("truncate", "-wal"),
        ("write", "-journal"),
        ("delete", "-journal"),
    } <= kinds
    assert sum(kind == "said" for _, (kind, *_) in said) == sum(1 + turn % 4 for turn in range(ROUNDS))
