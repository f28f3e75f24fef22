"""Writes that the disk confirms and does not make: what they take from the log is noticed, and never taken for the log.

The real store appends, and signs after each append, on a disk that drops one write, or half of it, and says that all is
well. Whatever comes of it is one of four: everything is there all the same (a later write repaired it); SQLite or the
store refuses; `verify` finds it; or the tree does not extend what was signed last, which nobody can then sign over.
"""

import shutil
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest
from faults.test_store_disk import Disk, in_a_process, reachable

from interlock.contracts.errors import InterlockError
from interlock.persistence.evidence.signing import FileMemory, SigningRefused, refuse_old_copy
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from support.evidence import ORIGIN, checkpointer
from support.figures import record
from support.stores import decided

AFTERWARDS = 6
"""Turns that follow a lie."""


def append_with_a_lie(disk: Disk, folder: Path, nth: int, reaches: int, appends: int) -> list[str]:
    """What came of a log whose `nth` write was cut to so many bytes: of its files as a killed process would leave them,
    and of those that were closed. Empty if there was no such write."""
    path, killed, seen, lied = folder / "log.db", folder.with_name(f"{folder.name}-killed"), 0, False

    def lies(step: str, file: str) -> int | None:
        nonlocal seen, lied
        seen += file.startswith(path.name)
        if seen != nth or lied:
            return None
        lied = True
        return reaches

    acknowledged: dict[int, bytes] = {}
    refused = ""
    try:
        with closing(SqliteStore(path)) as store:
            store._ask(lambda file: file.pragma(f"wal_autocheckpoint = {6 if nth % 2 else 60}"))
            signing, disk.lies = checkpointer(store.tree(), folder), lies
            left = appends
            for turn in range(appends):
                left = min(left, AFTERWARDS) - 1 if lied else left
                if left < 0:
                    break
                written = [b"x" * 900 * (turn % 8)]
                append = decided(store.head("a"), key=f"turn-{turn}", written=written, log=ORIGIN)
                store.append(append)
                acknowledged |= {entry.version: entry.data for entry in append.entries}
                if turn % 2:
                    signing.checkpoint()
            signing.checkpoint()
            shutil.copytree(folder, killed)
    except InterlockError as error:
        refused = error.what
    finally:
        disk.lies = lambda step, file: None
    if not lied:
        return []
    if not killed.exists():
        shutil.copytree(folder, killed)
    return [what_it_came_to(one, acknowledged, refused) for one in (killed / path.name, path)]


def what_it_came_to(path: Path, acknowledged: dict[int, bytes], refused: str) -> str:
    try:
        with closing(SqliteStore(path)) as store:
            report, tree = verify(store), store.tree()
            if not report.ok:
                return "verify"
            stored = {entry.version: entry.data for entry in store.read("a")}
            intact = all(stored.get(version) == data for version, data in acknowledged.items())
            last = FileMemory(path.with_name("signed.head"), ORIGIN).last()
            try:
                if last is not None:
                    refuse_old_copy(last.head, tree.size(), tree.nodes)
            except SigningRefused:
                return "signed head"
            return ("refused at once" if refused else "repaired") if intact else "MISSED"
    except InterlockError:
        return "refused when opened"


def run_all(disk: Disk, folder: str, writes: range, appends: int) -> list[str]:
    template = Path(folder) / "template"
    template.mkdir()
    SqliteStore(template / "log.db", origin=ORIGIN).close()
    found: list[str] = []
    for nth in writes:
        for reaches in (0, 700):
            copy = Path(folder) / f"{nth}-{reaches}"
            shutil.copytree(template, copy)
            found += append_with_a_lie(disk, copy, nth, reaches, appends)
            for one in Path(folder).glob(f"{copy.name}*"):
                shutil.rmtree(one)
    return found


@reachable
@pytest.mark.parametrize(
    ("writes", "appends"), [(range(17, 41, 3), 6), pytest.param(range(1, 281), 60, marks=pytest.mark.full)]
)
def test_a_write_that_was_never_made_is_noticed(tmp_path: Path, writes: range, appends: int):
    """Every write in turn is dropped or torn; nothing that was acknowledged is missing unnoticed."""
    came_to = Counter(in_a_process("faults.test_store_lies", "run_all", str(tmp_path), writes, appends))
    assert came_to["MISSED"] == 0, came_to
    assert sum(came_to.values()) > len(writes)
    unnoticed_by_sqlite = came_to["signed head"] + came_to["verify"]
    assert unnoticed_by_sqlite > 0, came_to
    tried, seen = sum(came_to.values()), dict(came_to)
    record("F5", "writes that were confirmed and not made", tried=tried, wrong=0, seen=seen)
    record("F5", "the same, with SQLite's own checks alone", tried=tried, wrong=unnoticed_by_sqlite, control=True)
