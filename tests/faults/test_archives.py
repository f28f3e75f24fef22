"""Pruning under attack and under crashes: no entry goes without its record, and no crash loses one."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.contracts.archive import Archived, listing_digest, statement_text
from interlock.contracts.canonical import leaf_hash
from interlock.contracts.envelope import Head
from interlock.contracts.errors import CallError, ConversationArchived, StorageError, StreamMoved
from interlock.contracts.keeping import PruneRefused, SegmentPruned
from interlock.persistence.evidence.checking import Outside, attested
from interlock.persistence.evidence.keys import signed
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from interlock.service.archiving import Range, chosen
from interlock.service.clock import ManualClock
from interlock.service.holding import placed, released
from interlock.service.journal import Journal
from interlock.service.pruning import Pruner
from support.archives import LATER, archived_to, lived, log_with_archive, pruned, reopened, store_of
from support.evidence import FLOW, ORIGIN, TestKey, checkpointer
from support.stores import NOON, after, decided
from support.tampering import as_administrator, checked, shown

OUTSIDE = Outside(keys=(TestKey().verifier(),))
KINDS = ["memory", "sqlite", "postgres"]


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with store_of(request.param, tmp_path) as made:
        yield made


# -- what is pruned takes nothing more ---------------------------------------------------------------------------


def test_a_pruned_conversation_says_where_it_is(store: Any, tmp_path: Path) -> None:
    """To read it, to continue it and to begin it again are refused, by one error that names the archive."""
    path, signing, gone, stay = log_with_archive(store, tmp_path)
    heads = {stream: store.head(stream) for stream in gone}
    pruned(store, path, signing)
    said = f"The entries of {gone[0]!r} were pruned from this log; they are archived in 'archive-0'."
    for attempt in (
        lambda: store.read(gone[0]),
        lambda: store.head(gone[0]),
        lambda: store.append(decided(heads[gone[0]], log=store.log)),
        lambda: store.append(decided(Head(gone[0]), log=store.log)),
    ):
        with pytest.raises(ConversationArchived) as refused:
            attempt()
        assert (refused.value.what, refused.value.archive, refused.value.code) == (said, "archive-0", "archived")
        assert "interlock log --archive archive-0" in refused.value.fix
    assert store.summary(gone[0]) is None
    assert store.payloads(gone[0]) == {}
    going_on = decided(store.head(stay[0]), key="more", log=store.log)
    assert store.append(going_on) == after(going_on).length
    assert (store.streams(), verify(store).ok) == (tuple(sorted(stay)), True)


def test_another_process_that_knows_it_is_told_too(tmp_path: Path) -> None:
    """One store prunes, another has the conversation's length in memory."""
    with store_of("sqlite", tmp_path) as store, closing(SqliteStore(tmp_path / "log.db")) as other:
        other.put_flow(FLOW)
        append = decided(Head("x"), log=store.log, flow=FLOW.digest)
        other.append(append)
        last = decided(after(append), log=store.log, flow=FLOW.digest, status="ended")
        other.append(last)
        signing = checkpointer(store.tree())
        archived_to(store, tmp_path / "old", signing)
        pruned(store, tmp_path / "old", signing)
        with pytest.raises(ConversationArchived):
            other.append(decided(after(last), log=store.log, flow=FLOW.digest))


# -- what stands against it ----------------------------------------------------------------------------------------


def test_a_hold_stands_against_it(store: Any, tmp_path: Path) -> None:
    """A conversation or subject that is held is neither archived nor pruned; the attempt is on the record."""
    path, signing, gone, _ = log_with_archive(store, tmp_path)
    journal = Journal(store, ManualClock())
    hold = placed(journal, subject=None, conversation=gone[1], by="legal", ground="case 4").number
    with pytest.raises(CallError) as refused:
        pruned(store, path, signing)
    assert refused.value.what == f"Hold {hold} (case 4) stands over conversation {gone[1]!r}, which the archive holds."
    assert isinstance(list(journal.acts())[-1].act, PruneRefused)
    assert store.archived() == ()
    signing.checkpoint()
    found = chosen(store, Range(), in_clear=True)
    assert [(one.stream, one.why) for one in found.kept if "Hold" in one.why] == [
        (gone[1], f"Hold {hold} stands over it.")
    ]
    released(journal, hold, by="legal", ground="case 4 is closed")
    assert pruned(store, path, signing).done


def test_a_hold_that_is_acknowledged_before_the_cut_stops_it(
    store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Placed at any moment of the prune, it stops it, or it is not acknowledged before the entries are gone."""
    path, signing, gone, _ = log_with_archive(store, tmp_path)
    journal, real, cut = Journal(store, ManualClock()), Pruner._cut_unless_held, store.cut

    def late(self: Pruner, *given: Any) -> Any:
        placed(journal, subject=None, conversation=gone[1], by="legal", ground="case 4")
        return real(self, *given)

    def locked(rows: Any) -> Any:
        with pytest.raises(StorageError), store.tree().sequencing(0.01):
            raise AssertionError("A hold could be recorded here.")
        return cut(rows)

    with monkeypatch.context() as patched:
        patched.setattr(Pruner, "_cut_unless_held", late)
        with pytest.raises(CallError, match="stands over conversation"):
            pruned(store, path, signing)
    assert store.archived() == ()
    assert isinstance(list(journal.acts())[-1].act, PruneRefused)
    released(journal, next(iter(journal.holds())), by="legal", ground="case 4 is closed")
    monkeypatch.setattr(store, "cut", locked)
    assert pruned(store, path, signing).done


def test_two_prunes_at_once_end_as_one(store: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that comes second says that it was pruned before, by which record."""
    path, signing, gone, _ = log_with_archive(store, tmp_path)
    cut = store.cut

    def twice(rows: Any) -> Any:
        cut(rows)
        return cut(rows)

    monkeypatch.setattr(store, "cut", twice)
    found = pruned(store, path, signing)
    assert (found.again, found.done, {one.stream for one in store.archived()}) == (True, False, set(gone))
    assert found.record == store.archived()[0].record


def test_another_archive_of_the_same_is_not_the_one_that_the_record_names(store: Any, tmp_path: Path) -> None:
    """What it holds went to the other one: that must be kept."""
    path, signing, _, _ = log_with_archive(store, tmp_path)
    archived_to(store, tmp_path / "other", signing)
    assert pruned(store, path, signing).done
    with pytest.raises(CallError) as refused:
        pruned(store, tmp_path / "other", signing)
    assert refused.value.what == "Its conversations were pruned before to another archive: 'archive-0'."
    assert refused.value.fix.startswith("Keep the archive that the record names")
    assert pruned(store, path, signing).again


def test_nothing_goes_before_its_time(store: Any, tmp_path: Path) -> None:
    """Six months unless another law allows less; one moment before that is refused."""
    path, _, gone, _ = log_with_archive(store, tmp_path)
    last = max(one.updated_at for one in store.summaries() if one.stream in gone)
    ended = NOON.fromisoformat(last.replace("Z", "+00:00"))
    for days in (183, 30):
        pruner = Pruner(store, ManualClock(ended + timedelta(days=days)), least_days=days)
        with pytest.raises(CallError, match=rf"conversations ended less than {days} days ago"):
            pruner.plan(reopened(path), by="dpo")
    pruner = Pruner(store, ManualClock(ended + timedelta(days=183, microseconds=1)))
    assert pruner.plan(reopened(path), by="dpo").entries > 0


def test_what_keeps_a_segment_is_named(tmp_path: Path) -> None:
    """Open ones, those that go on behind the range, and those with texts in clear."""
    with store_of("clear", tmp_path) as store:
        signing, tree = checkpointer(store.tree()), store.tree()
        gone, stay = lived(store, 3, 2)
        signing.checkpoint()
        size = tree.size()
        found = chosen(store, Range(), in_clear=True)
        assert {one.stream: one.why for one in found.kept} == dict.fromkeys(stay, "It is open.")
        clear = {one.stream for one in chosen(store, Range()).kept if one.why == "It has texts in clear."}
        assert clear == {stream for stream in gone if store.payloads(stream)}
        lasts = {stream: tree.index_of(stream, store.head(stream).length - 1) for stream in gone}
        firsts = {stream: tree.index_of(stream, 0) for stream in gone}
        latest = max(gone, key=lambda stream: lasts[stream] or 0)
        part = chosen(store, Range(through=lasts[latest]), in_clear=True)
        expected = {stream for stream in gone if (lasts[stream] or 0) < (lasts[latest] or 0)}
        assert {one.stream for one in part.conversations} == expected
        if (firsts[latest] or 0) < (lasts[latest] or 0):
            assert ("It goes on behind the range.") in {one.why for one in part.kept if one.stream == latest}
        assert chosen(store, Range(through=size + 99), in_clear=True).entries == found.entries


def test_one_that_went_on_after_it_was_archived_stays(store: Any, tmp_path: Path) -> None:
    """An entry more, or a text less, than the archive has: refused, and nothing went."""
    path, signing, gone, _ = log_with_archive(store, tmp_path)
    stream = next(one for one in gone if store.payloads(one))
    (at, *_) = store.payloads(stream)
    store.prune([(stream, at)])
    with pytest.raises(CallError, match="The archive holds other texts of the conversation than this log"):
        pruned(store, path, signing)
    store.append(decided(store.head(stream), key="x:1", log=store.log, status="ended"))
    with pytest.raises(CallError, match="The conversation is not as it was archived"):
        pruned(store, path, signing)
    assert store.archived() == ()


def test_an_archive_of_another_log_prunes_nothing(tmp_path: Path) -> None:
    """Of another name it does not verify; of the same name and key it is of another tree."""
    for number, origin in enumerate((ORIGIN, "another.example/log")):
        folder = tmp_path / str(number)
        folder.mkdir()
        with (
            closing(SqliteStore(folder / "mine.db", origin=ORIGIN)) as mine,
            closing(SqliteStore(folder / "other.db", origin=origin)) as other,
        ):
            path, *_ = log_with_archive(other, folder, seed=number)
            _, signing, *_ = log_with_archive(mine, folder, seed=number + 5)
            with pytest.raises(CallError) as refused:
                pruned(mine, path, signing)
            foreign, unknown = (
                "The archive is of another tree than this log's first",
                "The archive is of another log: its name",
            )
            assert (foreign if origin == ORIGIN else unknown) in refused.value.what
            assert mine.archived() == ()


def test_a_bundle_is_no_archive(tmp_path: Path) -> None:
    with store_of("sqlite", tmp_path) as store:
        lived(store, 2, 0)
        signing = checkpointer(store.tree())
        signing.checkpoint()
        store.close()
    folder = tmp_path / "bundle"
    for name, data in shown(tmp_path / "log.db").items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    with pytest.raises(CallError, match="This is no archive: it does not say what it keeps for the log"):
        reopened(folder)


# -- crashes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["_recorded", "checkpoint", "cut", "scrub"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_crash_loses_nothing(
    store: Any, tmp_path: Path, step: str, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut off before or after each step, the entries are in the log, or in the archive; the same call finishes it."""
    path, signing, gone, _ = log_with_archive(store, tmp_path)
    before = {stream: [entry.data for entry in store.read(stream)] for stream in gone}
    owner = {"_recorded": Pruner, "checkpoint": type(signing)}.get(step, store)
    real = getattr(owner, step)

    def cut_off(*given: Any, **named: Any) -> Any:
        if when == "after":
            real(*given, **named)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(owner, step, cut_off)
        with pytest.raises(KeyboardInterrupt):
            pruned(store, path, signing)
    signing.checkpoint()
    is_cut = step == "scrub" or (step, when) == ("cut", "after")
    assert {one.stream for one in store.archived()} == (set(gone) if is_cut else set())
    held = reopened(path)
    for stream, data in before.items():
        assert held.lines(stream) == data
        if not is_cut:
            assert [entry.data for entry in store.read(stream)] == data
    assert (attested(store.tree(), OUTSIDE).faults, verify(store).ok) == ((), True)
    done = pruned(store, path, signing)
    assert (done.again, done.done) == (is_cut, not is_cut)
    assert {one.stream for one in store.archived()} == set(gone)
    assert attested(store.tree(), OUTSIDE).faults == ()
    records = [one for one in Journal(store).acts() if isinstance(one.act, SegmentPruned)]
    assert len(records) == 1


def test_an_append_between_check_and_cut_is_not_lost(tmp_path: Path) -> None:
    """The transaction sees that the conversation has grown, and nothing goes."""
    with store_of("sqlite", tmp_path) as store:
        path, _, gone, _ = log_with_archive(store, tmp_path)
        rows = [replace(one, record=0) for one in reopened(path).conversations]
        store.append(decided(store.head(gone[0]), key="late", log=store.log, status="ended"))
        with pytest.raises(StreamMoved, match="The conversation is not as it was archived, with"):
            store.cut(rows)
        assert (store.archived(), verify(store).ok) == ((), True)


# -- attacks --------------------------------------------------------------------------------------------------------


def found_by_auditors(path: Path) -> tuple[tuple[str, ...], list[str]]:
    """What `verify` finds with the log's key, and what a bundle of everything shows."""
    with closing(SqliteStore(path)) as store:
        here = attested(store.tree(), OUTSIDE).faults
    return here, checked(shown(path)).faults


def sqlite_log(tmp_path: Path) -> tuple[Path, list[str], tuple[Archived, ...]]:
    with store_of("sqlite", tmp_path) as store:
        path, signing, gone, _ = log_with_archive(store, tmp_path)
        rows = reopened(path).conversations
        signing.checkpoint()
    return tmp_path / "log.db", gone, rows


def delete(connection: Any, stream: str) -> None:
    for table in ("timer", "conversation", "payload", "event"):
        connection.execute(f"DELETE FROM {table} WHERE stream = ?", (stream,))


def insert(connection: Any, one: Archived, record: int) -> None:
    row = (one.stream, one.length, one.leaf, one.subject, one.flow_name, one.state, one.started_at, one.updated_at)
    connection.execute(f"INSERT INTO archived VALUES ({','.join('?' * 10)})", (*row, one.archive, record))


def test_control_an_honest_prune_is_no_alarm(tmp_path: Path) -> None:
    with store_of("sqlite", tmp_path) as store:
        path, signing, *_ = log_with_archive(store, tmp_path)
        pruned(store, path, signing)
    assert found_by_auditors(tmp_path / "log.db") == ((), [])


def test_entries_deleted_without_a_record_show(tmp_path: Path) -> None:
    """The administrator removes the triggers, deletes a conversation, and puts them back."""
    path, gone, _ = sqlite_log(tmp_path)
    with as_administrator(path) as connection:
        delete(connection, gone[0])
    here, there = found_by_auditors(path)
    assert here
    assert "and no archive is said to have it" in there[0]


def test_entries_said_to_be_archived_without_a_record_show(tmp_path: Path) -> None:
    """The same, with the conversation marked as archived by a record that says something else."""
    path, gone, rows = sqlite_log(tmp_path)
    with as_administrator(path) as connection:
        delete(connection, gone[0])
        insert(connection, next(one for one in rows if one.stream == gone[0]), 0)
    here, there = found_by_auditors(path)
    assert "which says nothing of it: their entries were deleted." in here[0]
    assert "entries were deleted" in there[0]


def test_entries_deleted_beside_an_honest_prune_show(tmp_path: Path) -> None:
    """After a real prune, another conversation is deleted and slipped under the same record."""
    with store_of("sqlite", tmp_path) as store:
        path, signing, *_ = log_with_archive(store, tmp_path)
        done = pruned(store, path, signing)
        (more, *_), _ = lived(store, 1, 0, seed=9)
        signing.checkpoint()
        summary, head = store.summary(more), store.head(more)
        assert summary
        assert done.record is not None
    slipped = Archived(
        more, head.length, head.leaf, summary.subject, summary.flow_name, summary.state, summary.started_at,
        summary.updated_at, "archive-0", done.record,
    )  # fmt: skip
    with as_administrator(tmp_path / "log.db") as connection:
        delete(connection, more)
        insert(connection, slipped, done.record)
    here, there = found_by_auditors(tmp_path / "log.db")
    assert "entries were deleted that it does not name." in here[0]
    assert "entries were deleted that it does not name" in there[0]


def forged(store: Any, rows: list[Archived], signer: TestKey) -> int:
    """A record of a prune that never was, of an archive that nobody has."""
    listing = listing_digest(rows)
    text = statement_text(store.log, "nowhere", "ab" * 32, listing, store.tree().size())
    act = SegmentPruned(
        by="dba", ground="cleaning", archive="nowhere", manifest="ab" * 32, listing=listing, size=store.tree().size(),
        first=0, last=1, conversations=len(rows), entries=sum(one.length for one in rows), payloads=0, least_days=0,
        statement=str(signed(text, signer)),
    )  # fmt: skip
    return Journal(store, ManualClock()).note(act).number


@pytest.mark.parametrize("has_the_key", [False, True])
def test_a_forged_prune_event(tmp_path: Path, has_the_key: bool) -> None:
    """Over rows that no archive has. Without the log's key it shows; with it, only asking for the archive shows it
    (the control: whoever has the key signs what they please)."""
    path, gone, rows = sqlite_log(tmp_path)
    with closing(SqliteStore(path)) as store:
        mine = [replace(one, archive="nowhere") for one in rows if one.stream == gone[0]]
        record = forged(store, mine, TestKey() if has_the_key else TestKey(seed=7))
        checkpointer(store.tree()).checkpoint()  # the honest checkpointer signs what stands in the log
    with as_administrator(path) as connection:
        delete(connection, gone[0])
        insert(connection, mine[0], record)
    here, there = found_by_auditors(path)
    assert bool(here) is bool(there) is not has_the_key
    if not has_the_key:
        assert here == (f"That entries were archived in 'nowhere' (record {record}) is not signed with the log's key.",)
        assert "that entries were archived in 'nowhere' is not signed with the log's key" in there[0]


def test_an_archive_with_another_listing_than_the_tree_shows(tmp_path: Path) -> None:
    """A row that says a shorter conversation than the tree has."""
    with store_of("sqlite", tmp_path) as store:
        path, signing, gone, _ = log_with_archive(store, tmp_path)
        pruned(store, path, signing)
    with as_administrator(tmp_path / "log.db") as connection:
        connection.execute("UPDATE archived SET leaf = ? WHERE stream = ?", (leaf_hash(b"x"), gone[0]))
    here, there = found_by_auditors(tmp_path / "log.db")
    assert f"{gone[0]} is said to be archived, and ends elsewhere in the tree." in here
    assert there


# -- the triggers --------------------------------------------------------------------------------------------------


FORGED = "('{stream}', 1, X'00', 's', 'f', 'x', 'a', 'b', 'nowhere', {record})"
ATTEMPTS = {
    "DELETE FROM event WHERE stream = '{stream}'": "event is append-only: no DELETE",
    "INSERT INTO archived VALUES " + FORGED: "archived: no signed record of the log says so",
    "INSERT OR REPLACE INTO archived VALUES " + FORGED: "archived: no signed record of the log says so",
    "DELETE FROM archived": "archived is append-only: no DELETE",
    "UPDATE archived SET length = 0": "archived is append-only: no UPDATE",
    "INSERT INTO event (stream, version, type, at, leaf, entry) VALUES ('{gone}', 0, 't', '', X'00', X'00')": (
        "event is append-only: the stream is archived"
    ),
}


def with_one_prune(store: Any, tmp_path: Path) -> tuple[str, str, int]:
    """A conversation that stays, one that went, and the record of it."""
    path, signing, gone, stay = log_with_archive(store, tmp_path)
    done = pruned(store, path, signing)
    assert done.record is not None
    return stay[0], gone[0], done.record


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_sqlite_lets_nothing_else_go(tmp_path: Path, attempt: str) -> None:
    """Not what is not archived, and nothing is archived that no signed record says."""
    import sqlite3

    with store_of("sqlite", tmp_path) as store:
        stay, gone, record = with_one_prune(store, tmp_path)
        with closing(sqlite3.connect(tmp_path / "log.db")) as connection:
            for given in {0, record} if "leaf" not in attempt else {0}:
                statement = attempt.format(stream=stay, gone=gone, record=given)
                with pytest.raises(sqlite3.IntegrityError, match=ATTEMPTS[attempt]):
                    connection.execute(statement)


@pytest.mark.parametrize("attempt", [one for one in ATTEMPTS if "REPLACE" not in one])
def test_postgresql_lets_nothing_else_go(tmp_path: Path, attempt: str) -> None:
    """Not the owner of the tables either, nor as a replica."""
    with store_of("postgres", tmp_path) as store:
        assert isinstance(store, PostgresStore)
        url = store.url
        stay, gone, record = with_one_prune(store, tmp_path)
        for role in ("origin", "replica"):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute(f"SET session_replication_role = {role}".encode())
                statement = attempt.format(stream=stay, gone=gone, record=record).replace("X'00'", "'\\x00'")
                with pytest.raises(psycopg.Error, match=ATTEMPTS[attempt]):
                    connection.execute(statement.encode())


def test_the_eraser_deletes_what_the_sequencer_recorded(tmp_path: Path) -> None:
    """On PostgreSQL, each on a connection of its role: the app can do neither, the eraser alone nothing."""
    with store_of("postgres", tmp_path) as store:
        assert isinstance(store, PostgresStore)
        path, signing, gone, _ = log_with_archive(store, tmp_path)
        as_eraser = closing(PostgresStore(f"{store.url}&options=-crole%3Dinterlock_eraser"))
        as_app = closing(PostgresStore(f"{store.url}&options=-crole%3Dinterlock_app"))
        with as_eraser as eraser, as_app as app:
            held = reopened(path)
            with pytest.raises(StorageError, match="no signed record of the log says so"):
                eraser.cut([replace(one, record=0) for one in held.conversations])
            record = Pruner(store, ManualClock(LATER))._recorded(held, [TestKey()], 0, "dpo", "rule 4")
            rows = [replace(one, record=record) for one in held.conversations]
            with pytest.raises(StorageError, match="no signed record of the log says so"):
                eraser.cut(rows)
            signing.checkpoint()
            with pytest.raises(StorageError, match="may not do this"):
                app.cut(rows)
            assert eraser.cut(rows)[0] == held.entries
            with pytest.raises(ConversationArchived):
                app.read(gone[0])
        assert (attested(store.tree(), OUTSIDE).faults, verify(store).ok) == ((), True)


def test_a_store_does_not_cut_without_a_record(store: Any, tmp_path: Path) -> None:
    """Called from code, too."""
    path, *_ = log_with_archive(store, tmp_path)
    rows = [replace(one, record=0) for one in reopened(path).conversations]
    with pytest.raises(StorageError, match="no signed record of the log says so"):
        store.cut(rows)
    assert (store.archived(), verify(store).ok) == ((), True)
