"""Writes and syncs that fail, one by one: nothing is acknowledged after an error, and nothing before it is lost."""

import shutil
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from faults.test_store_disk import FULL, IOERR_FSYNC, IOERR_WRITE, OK, Disk, in_a_process, reachable

from interlock.contracts.envelope import Head
from interlock.contracts.errors import StorageError
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from support.figures import record
from support.stores import LOG, after, decided

APPENDS = 8


def append_with_failures(
    disk: Disk, path: Path, kind: str, nth: int, code: int, lasting: int, appends: int = APPENDS
) -> dict[str, Any]:
    """Append to the log at `path` while from its `nth` on `lasting` steps of a kind fail; say what came of it."""
    seen = failed = 0

    def fails(step: str, file: str) -> int:
        nonlocal seen, failed
        if step != kind or not file.startswith(path.name):
            return OK
        seen += 1
        if nth <= seen < nth + lasting:
            failed += 1
            return code
        return OK

    acknowledged: list[tuple[tuple[str, int], bytes]] = []
    refusals: list[str] = []
    store = SqliteStore(path, origin=LOG)
    store._ask(lambda file: file.pragma("wal_autocheckpoint = 6"))
    disk.fails = fails
    for turn in range(appends):
        try:
            append = decided(store.head("a"), key=f"turn-{turn}", written=[b"x" * 900 * (turn % 8)])
            store.append(append)
            acknowledged += [(("a", entry.version), entry.data) for entry in append.entries]
        except StorageError as error:
            refusals.append(error.what)
    disk.fails = lambda step, file: OK
    try:
        healed = store.append(decided(store.head("a"), key="at-last"))
    except StorageError as error:
        healed = 0
        refusals.append(error.what)
    store.close()
    with closing(SqliteStore(path)) as again:
        stored = {(entry.stream, entry.version): entry.data for entry in again.read("a")}
        report = verify(again)
    return {
        "failed": failed,
        "refusals": refusals,
        "healed": healed,
        "ok": report.ok,
        "length": len(stored),
        "lost": [at for at, data in acknowledged if stored.get(at) != data],
        "said": len(acknowledged),
    }


def run_all(
    disk: Disk, folder: str, kinds: list[tuple[str, int]], upto: int, lasting: int, appends: int
) -> list[dict[str, Any]]:
    template = Path(folder) / "template.db"
    SqliteStore(template, origin=LOG).close()
    results = []
    for kind, code in kinds:
        for nth in range(1, upto + 1):
            path = Path(folder) / f"{kind}{code}-{nth}.db"
            shutil.copy(template, path)
            results.append(append_with_failures(disk, path, kind, nth, code, lasting, appends))
            for file in path.parent.glob(f"{path.name}*"):
                file.unlink()
    return results


@reachable
@pytest.mark.parametrize(("upto", "appends"), [(24, APPENDS), pytest.param(110, 40, marks=pytest.mark.full)])
@pytest.mark.parametrize("lasting", [1, 3])
def test_a_failing_disk_loses_nothing_acknowledged(tmp_path: Path, lasting: int, upto: int, appends: int):
    """Each write and each sync in turn fails, once or three times; then the disk is well again."""
    kinds = [("write", IOERR_WRITE), ("write", FULL), ("sync", IOERR_FSYNC)]
    results = in_a_process("faults.test_store_io_errors", "run_all", str(tmp_path), kinds, upto, lasting, appends)
    assert [result for result in results if result["lost"] or not result["ok"]] == []
    assert all(result["healed"] == result["length"] for result in results), "the store goes on with a new connection"
    assert all(result["said"] + 2 <= result["length"] for result in results)
    assert sum(result["failed"] for result in results) >= 60 * lasting
    refusals = {refusal.partition(" (")[0] for result in results for refusal in result["refusals"]}
    assert refusals == {"The disk reported an error.", "The disk is full."}
    failed, said = sum(result["failed"] for result in results), sum(result["said"] for result in results)
    record("F4", "writes and syncs that fail", tried=failed, wrong=0, seen={"acknowledged": said})


def forget(disk: Disk, folder: str) -> dict[str, Any]:
    """A store that acknowledges what failed: what the checks above must notice."""

    class Careless(SqliteStore):
        def append(self, append: Any) -> int:
            try:
                return super().append(append)
            except StorageError:
                return int(append.summary.length)

    globals()["SqliteStore"] = Careless
    path = Path(folder) / "log.db"
    SqliteStore(path, origin=LOG).close()
    return append_with_failures(disk, path, "write", 5, IOERR_WRITE, 1)


@reachable
def test_a_store_that_acknowledges_after_an_error_is_found(tmp_path: Path):
    """The control: with a store that hides the error, entries are missing."""
    found = in_a_process("faults.test_store_io_errors", "forget", str(tmp_path))
    assert found["lost"] != []
    record("F4", "a store that acknowledges after an error", tried=1, wrong=1, control=True)


def a_full_disk(disk: Disk, folder: str) -> list[Any]:
    """What several that wait together are told, and what can be read meanwhile."""
    with closing(SqliteStore(Path(folder) / "log.db", origin=LOG)) as store:
        first = decided(Head("a"))
        store.append(first)
        disk.fails = lambda step, file: FULL if step == "write" else OK
        futures = [store.enqueue(decided(head)) for head in (after(first), Head("b"), Head("c"))]
        told = [str(future.exception()) for future in futures]
        disk.fails = lambda step, file: OK
        return [told, [store.head(stream).length for stream in "abc"], store.append(decided(after(first)))]


@reachable
def test_everybody_in_a_failed_transaction_is_told(tmp_path: Path):
    """A full disk fails all that waited together, records none of it, and nothing that stood is lost."""
    told, lengths, later = in_a_process("faults.test_store_io_errors", "a_full_disk", str(tmp_path))
    assert (
        told
        == [
            (
                f"The disk is full. (SQLITE_FULL: database or disk is full) Where: {tmp_path / 'log.db'}. "
                "Fix: Free space on the database's disk; nothing that was acknowledged is lost."
            )
        ]
        * 3
    )
    assert (lengths, later) == ([2, 0, 0], 4)
