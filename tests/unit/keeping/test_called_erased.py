"""A bundle may call a text erased only where the log records that; of another it says missing, or withheld.

Whoever makes a bundle can leave a text out: they may withhold it. They cannot call that an erasure.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from unit.keeping.test_missing import HALF_A_YEAR, by_hand, erase, later

from interlock.contracts.keeping import TextsPruned
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.evidence.bundle import Selection, bundled
from interlock.persistence.evidence.policy import Policy
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.auditing import audited
from interlock.service.clock import ManualClock
from interlock.service.forking import Wiring, forked
from interlock.service.missing import Accounts
from interlock.service.retention import Retention
from support.erasure import PROGRAM, talked
from support.evidence import TestKey, checkpointer
from support.tampering import checked, resigned

LIE = "is called erased, and no erasure of it is recorded: it is missing, or withheld."
SCOPES = pytest.mark.parametrize("scope", ["all", "some"])


def files_of(store: Any, scope: str, *streams: str, honest: bool = True) -> dict[str, bytes]:
    """A bundle of everything, or of these conversations. Who is not honest calls erased whatever is not there."""
    checkpointer(store.tree()).checkpoint()
    files: dict[str, bytes] = {}
    selection, key = Selection(streams if scope == "some" else None), TestKey(store.log)
    with store.tree().sequencing():
        policy, lost = Policy((key.verifier(),)), Accounts(store).lost if honest else None
        bundled(store, store.tree(), [key], policy, selection, files.__setitem__, lost=lost)
    return files


@SCOPES
async def test_what_somebody_took_away_is_no_erasure(store: SqliteStore, path: Path, scope: str) -> None:
    """The exporter says `erased` of what they deleted: every such text is named, and none counts as erased."""
    count = by_hand(path, "DELETE FROM payload WHERE stream = 'anna-1'")
    report = checked(files_of(store, scope, "anna-1", honest=False))
    assert (report.verdict, report.erased, report.lost) == ("BROKEN", 0, count)
    assert [one for one in report.faults if one.endswith(LIE)] == report.faults
    assert report.faults[0].startswith("payloads: the text 'message' of anna-1 version ")
    assert not audited(store).ok  # as `interlock verify` says of the log


@SCOPES
async def test_an_erasure_that_is_on_the_record_holds(store: SqliteStore, scope: str) -> None:
    """Also in a bundle of one conversation, which holds the records of that person's erasure and of nobody else's."""
    erase(store, "anna")
    erase(store, "bert")
    files = files_of(store, scope, "anna-1")
    report = checked(files)
    assert (report.faults, report.missing, report.lost) == ([], [], 0)
    assert report.erased > 3
    if scope == "some":
        said = [alone.entry_value(data) for name, data in files.items() if name.startswith("records/")]
        assert [one["type"] for one in said] == ["erasure_asked", "erasure_done", "heads_taken"]
        assert not [name for name, data in files.items() if b"bert" in data and name != "verify_bundle.py"]


async def test_without_its_record_an_erased_entry_accounts_for_nothing(store: SqliteStore) -> None:
    """The request that the entry names is a record of the log: a bundle that leaves it out does not hold."""
    erase(store, "anna")
    files = files_of(store, "some", "anna-1")
    for name in [one for one in files if one.startswith("records/") and b"erasure_asked" in files[one]]:
        del files[name], files[f"proofs/{name[:-5]}.tlog-proof"]
    report = checked(resigned(files))
    assert report.verdict == "BROKEN"
    assert [one for one in report.faults if one.endswith(LIE)]


async def test_what_was_written_after_an_erasure_is_not_erased_by_it(store: SqliteStore, path: Path) -> None:
    """Nor is what another person wrote."""
    erase(store, "anna")
    await talked(store, "anna", [5], clock=ManualClock(later(1)))
    by_hand(path, "DELETE FROM payload WHERE stream IN ('anna-5', 'bert-3')")
    report = checked(files_of(store, "all", honest=False))
    assert {one.split(" of ")[1].split(" version")[0] for one in report.faults} == {"anna-5", "bert-3"}
    assert report.erased > 3


@SCOPES
async def test_retention_is_bound_to_the_texts_that_it_names(
    aged: tuple[SqliteStore, ManualClock], path: Path, scope: str
) -> None:
    """What its record names is erased; another text of that age is not, nor one that was too young for it."""
    store, clock = aged
    await talked(store, "anna", [1], clock=clock)
    clock.advance(timedelta(days=190).total_seconds())
    await talked(store, "bert", [2], clock=clock)
    Retention(store, HALF_A_YEAR, clock).prune(by="dpo")
    report = checked(files_of(store, scope, "anna-1", "bert-2"))
    assert (report.faults, report.lost, report.erased > 3) == ([], 0, True)
    count = by_hand(path, "DELETE FROM payload WHERE stream = 'bert-2'")
    report = checked(files_of(store, scope, "anna-1", "bert-2", honest=False))
    assert (report.lost, len([one for one in report.faults if one.endswith(LIE)])) == (count, count)


@SCOPES
async def test_of_records_without_names_the_number_counts(
    aged: tuple[SqliteStore, ManualClock], path: Path, scope: str
) -> None:
    """An older release wrote no names: no more may be called erased than its records say."""
    store, clock = aged
    await talked(store, "anna", [1], clock=clock)
    await talked(store, "bert", [2], clock=clock)
    clock.advance(timedelta(days=190).total_seconds())
    retention = Retention(store, HALF_A_YEAR, clock)
    count = by_hand(path, "DELETE FROM payload WHERE stream = 'anna-1'")
    retention.journal.note(TextsPruned(by="dpo", policy=HALF_A_YEAR.digest, conversations=1, payloads=count))
    report = checked(files_of(store, scope, "anna-1", "bert-2"))
    assert (report.faults, report.erased) == ([], count)
    by_hand(path, "DELETE FROM payload WHERE stream = 'bert-2'")
    report = checked(files_of(store, scope, "anna-1", "bert-2", honest=False))
    assert report.faults == [
        f"payloads: {2 * count} texts are called erased by retention, and fewer are on the record."
    ]


async def test_what_a_fork_took_over_is_judged_where_it_came_from(store: SqliteStore, path: Path) -> None:
    """With the parent it holds or does not; alone, the verifier says which bundle would show it."""
    made = await forked(store, "bert-3", 8, Wiring([PROGRAM]), alone=True)
    taken = by_hand(path, f"DELETE FROM payload WHERE version < 8 AND stream IN ('bert-3', '{made.stream}')")
    report = checked(files_of(store, "some", made.stream, honest=False))
    assert (report.verdict, report.erased) == ("SELF-ATTESTED", taken // 2)
    (told,) = [one for one in report.says if "took over from bert-3" in one]
    assert told.endswith("called erased: whether that is on the record, a bundle with that conversation shows.")
    for both in (files_of(store, "some", made.stream, "bert-3", honest=False), files_of(store, "all", honest=False)):
        report = checked(both)
        assert {one.split(" of ")[1].split(" version")[0] for one in report.faults} == {"bert-3"}
        assert (report.lost, report.erased) == (taken // 2, taken // 2)


async def test_a_text_of_a_fork_that_its_parent_has_is_missing(store: SqliteStore, path: Path) -> None:
    made = await forked(store, "bert-3", 8, Wiring([PROGRAM]), alone=True)
    count = by_hand(path, f"DELETE FROM payload WHERE stream = '{made.stream}'")
    report = checked(files_of(store, "all", honest=False))
    assert (report.verdict, report.lost) == ("BROKEN", count)
