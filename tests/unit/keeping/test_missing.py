"""A text that is gone counts as erased only where the log says so; otherwise it is missing, and that is a fault."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from interlock.cli.examine_keeping import keeping
from interlock.cli.seeing import Looking, texts_seen
from interlock.contracts.canonical import canonical, leaf_hash, parsed
from interlock.contracts.errors import LogBroken, StreamMoved
from interlock.contracts.keeping import TextsPruned
from interlock.contracts.retention import RetentionPolicy, RetentionRule
from interlock.persistence.evidence.bundle import Selection, bundled
from interlock.persistence.evidence.checking import Outside, attested
from interlock.persistence.evidence.policy import Policy
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from interlock.service.archives import with_archives
from interlock.service.auditing import audited
from interlock.service.clock import ManualClock
from interlock.service.erasing import Eraser
from interlock.service.forking import Wiring, forked
from interlock.service.holding import placed, released
from interlock.service.missing import Accounts
from interlock.service.retention import Retention
from support.archives import archived_to, pruned
from support.erasure import PROGRAM, talked
from support.evidence import TestKey, checkpointer
from support.tampering import checked

HALF_A_YEAR = RetentionPolicy(rules=(RetentionRule(days=183),))
MISSING = "The payload {!r} is missing: nothing on the record says that it was erased"


def by_hand(path: Path, sql: str) -> int:
    """What somebody with the file and without a key does to it; returns how many rows it hit."""
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(sql).rowcount


def erase(store: Any, subject: str) -> None:
    eraser = Eraser(store)
    eraser.finish(eraser.ask(subject, by="dpo", ground="request 7"))


def exported(store: Any, streams: tuple[str, ...] | None = None) -> Any:
    """What the verifier says of a bundle, and the page in it."""
    checkpointer(store.tree()).checkpoint()
    files: dict[str, bytes] = {}
    selection, key = Selection(streams), TestKey(store.log)
    with store.tree().sequencing():
        policy = Policy((key.verifier(),))
        bundled(store, store.tree(), [key], policy, selection, files.__setitem__, lost=Accounts(store).lost)
    return checked(files, key=key), files["report.html"].decode()


# -- taken away ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [False, True])
async def test_texts_that_were_taken_away_are_missing(store: SqliteStore, path: Path, keys: bool) -> None:
    """Whoever may write the file deletes rows, with the keys or without: the log is broken, and nothing is `erased`."""
    count = by_hand(path, "DELETE FROM payload WHERE stream = 'anna-1'")
    assert count > 3
    if keys:
        by_hand(path, "DELETE FROM data_key WHERE subject = 'anna'")
    found = audited(store)
    assert not found.ok
    (first,) = [one for one in found.broken if one.stream == "anna-1"]
    assert first.what == MISSING.format("message") + "."
    assert found.erased == 0


async def test_one_text_among_many_is_missed(store: SqliteStore, path: Path) -> None:
    """It is named with its event."""
    place = max(store.payloads("anna-2"), key=lambda at: at.version)
    by_hand(path, f"DELETE FROM payload WHERE stream = 'anna-2' AND version = {place.version}")
    found = audited(store, streams=["anna-2"]).first
    assert found is not None
    assert (found.version, found.what) == (place.version, MISSING.format(place.name) + ".")


async def test_a_bundle_says_missing_and_does_not_hold(store: SqliteStore, path: Path) -> None:
    """Neither its verdict nor its page calls that an erasure."""
    by_hand(path, "DELETE FROM payload WHERE subject = 'anna'")
    report, page = exported(store)
    assert (report.verdict, report.erased) == ("BROKEN", 0)
    assert all("is missing, and no erasure of it is recorded" in one for one in report.faults)
    assert "[missing: " in page
    assert "[erased: " not in page
    assert "MISSING with no erasure recorded" in page


async def test_what_is_deleted_after_an_erasure_is_missing(store: SqliteStore, path: Path) -> None:
    """An erasure accounts for what was there before it, and for the texts of its subject alone."""
    erase(store, "anna")
    assert audited(store).ok
    await talked(store, "anna", [5], clock=ManualClock(later(1)))
    by_hand(path, "DELETE FROM payload WHERE stream IN ('anna-5', 'bert-3')")
    assert [one.stream for one in audited(store).broken] == ["anna-5", "bert-3"]


async def test_an_entry_that_says_erased_for_no_request_accounts_for_nothing(store: SqliteStore) -> None:
    """The request of an `erased` entry must be one of the log's records."""
    erase(store, "anna")
    accounts = Accounts(store)
    entries = store.read("anna-1")
    assert audited(store).ok
    accounts._read()
    accounts._asked.clear()
    accounts._done.clear()
    with_text = [one.version for one in entries if b'"commit":' in one.data]
    assert accounts._erased_up_to(entries, "anna") == 0
    assert with_text


UNASKED = "The entry says that texts were erased, and no record asks for that."


def with_request(path: Path, request: str) -> None:
    """What an administrator does by SQL alone: the records of the erasure go, and the entries name another request."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        if request == "ab" * 32:
            connection.execute("DELETE FROM record WHERE type LIKE 'erasure%'")
        for row, entry in connection.execute("SELECT id, entry FROM event WHERE type = 'erased'").fetchall():
            fields = parsed(entry)
            fields["data"]["request"] = request
            data = canonical(fields)
            connection.execute("UPDATE event SET entry = ?, leaf = ? WHERE id = ?", (data, leaf_hash(data), row))
        for _, made in triggers:
            connection.execute(made)


@pytest.mark.parametrize("whose", ["nobody's", "another's"])
async def test_an_erased_entry_of_a_request_that_is_not_on_record_is_found(
    store: SqliteStore, path: Path, whose: str
) -> None:
    """By `verify`, by `log`, by `doctor` and by who signs next, though every hash fits."""
    other = Eraser(store).ask("bert", by="dpo", ground="request 8").request.leaf.hex()
    checkpointer(store.tree()).checkpoint()
    erase(store, "anna")
    assert audited(store).ok
    with_request(path, "ab" * 32 if whose == "nobody's" else other)
    found = audited(store)
    assert {one.stream: one.what for one in found.broken} == dict.fromkeys(
        ("anna-1", "anna-2"), MISSING.format("message") + "."
    )
    assert found.erased == 0
    assert audited(store, streams=["anna-1"]).broken == found.broken[:1]
    texts = texts_seen(store, "anna-1", "log", Looking("carl"))
    assert texts.missing
    if whose == "nobody's":
        with pytest.raises(LogBroken) as refused:
            checkpointer(store.tree()).checkpoint()
        assert "says that texts were erased; no record asks (anna-" in refused.value.what


async def test_an_erased_entry_alone_needs_its_record(store: SqliteStore, path: Path) -> None:
    """Though no text is missing."""
    by_hand(path, "DELETE FROM payload WHERE stream = 'bert-3'")
    erase(store, "bert")
    with_request(path, "ab" * 32)
    await talked(store, "carl", [7])
    asked = {one.stream: one for one in verify(store, asked=Accounts(store).asked).broken}
    assert asked["bert-3"].what == UNASKED
    assert verify(store).ok  # the control


async def test_an_erasure_that_too_few_approved_accounts_for_nothing(store: SqliteStore) -> None:
    """Two people must; one asked."""
    eraser = Eraser(store)
    erasing = eraser.ask("anna", by="dpo", ground="request 7", approvals=2)
    accounts, request = Accounts(store), erasing.request.leaf.hex()
    assert accounts.asked(request) is None
    eraser.finish(eraser.approve("anna", by="head"))
    assert accounts.asked(request) == "anna"
    assert audited(store).ok


def later(days: int) -> datetime:
    return datetime.now(UTC) + timedelta(days=days)


# -- as the log says ----------------------------------------------------------------------------------------


async def test_an_erasure_alarms_nobody(store: SqliteStore) -> None:
    """Whole log, single conversations and a bundle: all erased, nothing missing."""
    erase(store, "anna")
    found = audited(store)
    assert (found.ok, found.erased > 6) == (True, True)
    assert audited(store, streams=["anna-1"]).ok
    report, page = exported(store)
    assert (report.faults, report.erased) == ([], found.erased)
    assert "MISSING" not in page


async def test_an_erasure_that_is_cut_off_alarms_nobody(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the one transaction nothing is missing, behind it every conversation says why."""
    eraser = Eraser(store)
    erasing = eraser.ask("anna", by="dpo", ground="request 7")
    assert audited(store).ok

    def crash() -> None:
        raise StreamMoved("cut off", where="here", fix="none")

    monkeypatch.setattr(store, "scrub", crash)
    with pytest.raises(StreamMoved):
        eraser.finish(erasing)
    found = audited(store)
    assert (found.ok, found.erased > 6) == (True, True)


async def test_retention_accounts_for_what_it_recorded(aged: tuple[SqliteStore, ManualClock], path: Path) -> None:
    """What it deleted alarms nobody; a text that was too young for it does."""
    store, clock = aged
    await talked(store, "anna", [1], clock=clock)
    clock.advance(timedelta(days=190).total_seconds())
    await talked(store, "bert", [2], clock=clock)
    Retention(store, HALF_A_YEAR, clock).prune(by="dpo")
    found = audited(store)
    assert (found.ok, found.erased > 3) == (True, True)
    clock.advance(timedelta(days=1).total_seconds())
    place = next(iter(store.payloads("bert-2")))
    by_hand(path, f"DELETE FROM payload WHERE stream = 'bert-2' AND version = {place.version}")
    (broken,) = audited(store).broken  # it was too young for the record
    assert broken.what.startswith(MISSING.format(place.name))


@pytest.fixture
async def spared(aged: tuple[SqliteStore, ManualClock]) -> tuple[SqliteStore, Retention]:
    """What bert wrote is as old as what anna wrote, and a hold keeps it."""
    store, clock = aged
    await talked(store, "anna", [1], clock=clock)
    await talked(store, "bert", [2], clock=clock)
    clock.advance(timedelta(days=190).total_seconds())
    retention = Retention(store, HALF_A_YEAR, clock)
    placed(retention.journal, subject="bert", conversation=None, by="counsel", ground="case 4")
    return store, retention


async def test_one_text_more_than_retention_took_is_missing(spared: tuple[SqliteStore, Retention], path: Path) -> None:
    """The records name what went: a text that they do not name is missing, however old it is."""
    store, retention = spared
    retention.prune(by="dpo")
    released(retention.journal, 0, by="counsel", ground="closed")
    assert audited(store).ok
    place = max(store.payloads("bert-2"), key=lambda at: at.version)
    by_hand(path, f"DELETE FROM payload WHERE stream = 'bert-2' AND version = {place.version}")
    (broken,) = audited(store).broken
    assert (broken.stream, broken.version, broken.what) == ("bert-2", place.version, MISSING.format(place.name) + ".")


async def test_another_text_instead_of_one_that_retention_took_is_missing(
    spared: tuple[SqliteStore, Retention], path: Path
) -> None:
    """As many are gone as the record says, but one of them is another: its place was not in the record."""
    store, retention = spared
    with closing(sqlite3.connect(path)) as backup:
        row = backup.execute("SELECT * FROM payload WHERE stream = 'anna-1' ORDER BY version LIMIT 1").fetchone()
    count = len(retention.prune(by="dpo").places)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"INSERT INTO payload VALUES ({', '.join('?' * len(row))})", row)
    found = audited(store)
    assert (found.ok, found.erased) == (True, count - 1)
    place = max(store.payloads("bert-2"), key=lambda at: at.version)
    by_hand(path, f"DELETE FROM payload WHERE stream = 'bert-2' AND version = {place.version}")
    (broken,) = audited(store).broken
    assert (broken.stream, broken.what) == ("bert-2", MISSING.format(place.name) + ".")


async def test_of_records_without_names_the_number_counts(spared: tuple[SqliteStore, Retention], path: Path) -> None:
    """An older release wrote no names: no more may be missing than its records say, of any conversation."""
    store, retention = spared
    places = retention.overdue().places
    retention.journal.note(TextsPruned(by="dpo", policy=HALF_A_YEAR.digest, conversations=1, payloads=len(places)))
    store.prune(places)
    assert audited(store).ok
    count = by_hand(path, "DELETE FROM payload WHERE stream = 'bert-2'")
    found = audited(store)
    assert {one.stream for one in found.broken} == {"anna-1", "bert-2"}
    assert all(f"; retention took {count} of {2 * count} such texts." in one.what for one in found.broken)


async def test_a_name_in_a_record_covers_no_text_without_a_name(
    spared: tuple[SqliteStore, Retention], path: Path
) -> None:
    """Records of both kinds: what the new ones name leaves no room for others, and the old ones keep theirs."""
    store, retention = spared
    retention.prune(by="dpo")
    retention.journal.note(TextsPruned(by="dpo", policy=HALF_A_YEAR.digest, conversations=1, payloads=1))
    first, second, *_ = sorted(store.payloads("bert-2"), key=lambda at: (at.version, at.name))
    for at, ok in ((first, True), (second, False)):
        by_hand(path, f"DELETE FROM payload WHERE stream = 'bert-2' AND version = {at.version} AND name = '{at.name}'")
        assert audited(store).ok == ok
    (broken,) = audited(store).broken
    assert (broken.stream, broken.what) == (
        "bert-2",
        f"{MISSING.format(first.name)}; retention took 1 of 2 such texts.",
    )


async def test_retention_that_is_cut_off_alarms_nobody(
    aged: tuple[SqliteStore, ManualClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Recorded and half done, and then done by the next run."""
    store, clock = aged
    await talked(store, "anna", [1, 2], clock=clock)
    clock.advance(timedelta(days=190).total_seconds())
    retention, whole = Retention(store, HALF_A_YEAR, clock), store.prune
    with monkeypatch.context() as cut:
        cut.setattr(store, "prune", lambda places: whole(places[:3]))
        retention.prune(by="dpo")
    assert (audited(store).ok, audited(store).erased) == (True, 3)
    retention.prune(by="dpo")
    assert (audited(store).ok, audited(store).erased > 6) == (True, True)


async def test_a_fork_lacks_what_its_parent_lacks(store: SqliteStore, path: Path) -> None:
    """Made after an erasure it is whole; what is taken from the fork alone is missing."""
    made = await forked(store, "bert-3", 8, Wiring([PROGRAM]), alone=True)
    by_hand(path, f"DELETE FROM payload WHERE stream = '{made.stream}'")
    assert [one.stream for one in audited(store).broken] == [made.stream]


# -- archives -----------------------------------------------------------------------------------------------


def keys_of_archive(store: SqliteStore, path: Path) -> tuple[str, ...]:
    found = attested(store.tree(), Outside((TestKey(store.log).verifier(),)))
    return with_archives(store, found, [path]).faults


def doctor(store: SqliteStore) -> tuple[str, str]:
    (one,) = [one for one in keeping(store) if one.name == "archives"]
    return one.result, one.says


async def test_keys_of_archived_texts_that_are_gone(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    """Sealed texts nobody can open any more: erased where the log says so, else a fault with the key's name."""
    signing, archive = checkpointer(store.tree()), tmp_path / "old"
    archived_to(store, archive, signing)
    pruned(store, archive, signing)
    assert (keys_of_archive(store, archive), doctor(store)[0]) == ((), "ok")
    erase(store, "bert")
    assert (keys_of_archive(store, archive), doctor(store)[0]) == ((), "ok")
    by_hand(path, "DELETE FROM data_key WHERE subject = 'anna'")
    faults = keys_of_archive(store, archive)
    assert len(faults) == 2
    assert all("of the texts of 'anna-" in one and "no erasure of 'anna' is recorded" in one for one in faults)


async def test_the_doctor_misses_the_keys_of_a_whole_archive(store: SqliteStore, path: Path, tmp_path: Path) -> None:
    """Without the archive it cannot tell who wrote a text; that nobody has a key left it can."""
    signing, archive = checkpointer(store.tree()), tmp_path / "old"
    archived_to(store, archive, signing)
    pruned(store, archive, signing)
    by_hand(path, "DELETE FROM data_key")
    assert doctor(store) == (
        "fail",
        "the data keys of all texts archived in old are missing, and no erasure is recorded",
    )
