"""What is wrong with a database beside its entries, each in the words that an operator reads."""

import base64
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.canonical import parsed
from interlock.contracts.errors import NotEncodable, StorageError
from interlock.contracts.keeping import TextsPruned
from interlock.contracts.payload import PayloadAt
from interlock.persistence.evidence.notes import note_of
from interlock.persistence.keyfile import KeyFile
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import Broken
from interlock.service.auditing import audited
from interlock.service.clock import ManualClock
from interlock.service.erasing import Eraser
from interlock.service.forking import Wiring, forked
from interlock.service.journal import Journal
from interlock.service.runtime import Runtime
from support.evidence import TestKey, filled
from support.judged import Honest, honest
from support.mutated import closed, opened
from support.runtime import mini

Said = Callable[..., list[str]]


@pytest.fixture(scope="module")
def log() -> Iterator[Honest]:
    with honest() as found:
        yield found


@pytest.fixture
def said(log: Honest) -> Said:
    """What verifying says after these statements, by somebody whom no trigger stops."""

    def faults(*statements: str, keep_triggers: bool = True) -> list[str]:
        with closing(opened(log.file)) as connection:
            triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in triggers if keep_triggers else ():
                connection.execute(f"DROP TRIGGER {name}")
            for statement in statements:
                connection.execute(statement)
            for _, made in triggers if keep_triggers else ():
                connection.execute(made)
            found, _ = log.looked_at(closed(connection))
        return found

    return faults


# -- the file itself ----------------------------------------------------------------------------------------


NOTHING = "BEFORE DELETE ON event WHEN 0 BEGIN SELECT 1; END"
OTHERWISE = "it is declared otherwise than this release declares it."


@pytest.mark.parametrize(
    ("statements", "says"),
    [
        (["DROP INDEX ix_timer_due"], "Somebody removed the index ix_timer_due from the database."),
        (
            ["DROP TRIGGER event_refuses_delete", f"CREATE TRIGGER event_refuses_delete {NOTHING}"],
            "Somebody replaced the triggers that refuse changes: event_refuses_delete.",
        ),
        (
            ["DROP INDEX uq_leaf_stream_version", "CREATE INDEX uq_leaf_stream_version ON leaf (stream, version)"],
            f"Somebody changed the index uq_leaf_stream_version: {OTHERWISE}",
        ),
    ],
)
def test_a_schema_that_is_not_ours_is_found(said: Said, statements: list[str], says: str) -> None:
    """A trigger of the right name that does nothing is no guard."""
    assert said(*statements, keep_triggers=False) == [says]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ix_timer_due", f"Somebody changed the index ix_timer_due: {OTHERWISE}"),
        ("leaf_refuses_gap", "Somebody replaced the triggers that refuse changes: leaf_refuses_gap."),
    ],
)
def test_a_declaration_that_is_no_text_is_another(said: Said, name: str, says: str) -> None:
    """As a flipped bit makes it: SQLite reads it as before, and so must we."""
    cast = f"UPDATE sqlite_master SET sql = CAST(sql AS BLOB) WHERE name = '{name}'"
    assert said("PRAGMA writable_schema = ON", cast, keep_triggers=False) == [says]


def test_a_trigger_that_is_listed_with_another_name_of_its_table_is_found(said: Said) -> None:
    other = "UPDATE sqlite_master SET tbl_name = 'Leaf' WHERE name = 'leaf_refuses_gap'"
    found = said("PRAGMA writable_schema = ON", other, keep_triggers=False)
    assert found == [f"Somebody changed the trigger leaf_refuses_gap: {OTHERWISE}"]


def test_tables_and_indexes_of_others_are_let_be(said: Said) -> None:
    """An operator's index for a report, another program's table with a trigger of its own."""
    mine = ["CREATE INDEX mine ON event (at)", "CREATE TABLE theirs (x)", "CREATE TABLE more (x)"]
    other = "CREATE TRIGGER t AFTER INSERT ON theirs BEGIN INSERT INTO more VALUES (1); END"
    assert said(*mine, other, keep_triggers=False) == []


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TRIGGER t AFTER INSERT ON event BEGIN SELECT 1; END",
        "CREATE TRIGGER t BEFORE INSERT ON record BEGIN SELECT RAISE(IGNORE); END",
        "CREATE TRIGGER t AFTER INSERT ON theirs BEGIN DELETE FROM Payload; END",
    ],
)
def test_a_trigger_of_others_on_our_tables_is_a_fault(said: Said, made: str) -> None:
    """Whatever it says it does: it decides which rows are kept. One elsewhere that writes our tables, too."""
    found = said("CREATE TABLE theirs (x)", made, keep_triggers=False)
    assert found == ["Somebody put triggers on the log's tables that no release of Interlock makes: t."]


def test_a_trigger_that_is_listed_under_another_table_is_found(said: Said) -> None:
    """SQLite goes by what it says, and not by the table it is listed under."""
    made = "CREATE TRIGGER t BEFORE INSERT ON record BEGIN SELECT RAISE(IGNORE); END"
    other = "UPDATE sqlite_master SET tbl_name = 'theirs' WHERE name = 't'"
    try:
        found = said("CREATE TABLE theirs (x)", made, "PRAGMA writable_schema = ON", other, keep_triggers=False)
    except StorageError as error:  # so do most releases of SQLite, which read no such file
        found = [error.what]
    assert found in (
        ["Somebody put triggers on the log's tables that no release of Interlock makes: t."],
        ["The database is malformed. (SQLITE_CORRUPT: malformed database schema (t))"],
    )


def test_a_file_whose_pages_do_not_fit_is_not_believed(log: Honest) -> None:
    """An index that lacks a row: whoever asks by it is told less than there is."""
    with closing(opened(log.file)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        (made,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = 'ix_timer_due'").fetchone()
        connection.execute("DELETE FROM sqlite_master WHERE name = 'ix_timer_due'")
        half = closed(connection)
    with closing(opened(half)) as connection:
        connection.execute("DELETE FROM timer WHERE rowid = (SELECT min(rowid) FROM timer)")
        connection.execute("PRAGMA writable_schema = ON")
        with closing(opened(log.file)) as whole:
            page = whole.execute("SELECT rootpage FROM sqlite_master WHERE name = 'ix_timer_due'").fetchone()[0]
        row = ("index", "ix_timer_due", "timer", page, made)
        connection.execute("INSERT INTO sqlite_master VALUES (?, ?, ?, ?, ?)", row)
        broken = closed(connection)
    with pytest.raises(StorageError) as found:
        log.looked_at(broken)
    assert found.value.what == "The database is malformed: wrong # of entries in index ix_timer_due."
    assert found.value.fix == (
        "Stop every process that uses it, keep the file as it is, and restore a backup that verifies."
    )


def test_a_flow_without_a_body_is_a_malformed_database(tmp_path: Path) -> None:
    """Where pages were written over so that rows still read: said, not a traceback."""
    path = tmp_path / "log.db"
    with closing(SqliteStore(path)):
        pass
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = replace(sql, 'STRICT', '') WHERE name = 'flow'")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO flow VALUES ('d', 'f', 1, 'text', '')")
    with closing(SqliteStore(path)) as store, pytest.raises(StorageError) as found:
        store.flows()
    assert found.value.what == "The database is malformed: a flow has no digest or no body."


def test_what_are_no_bytes_is_no_json() -> None:
    with pytest.raises(NotEncodable) as found:
        parsed(7)  # type: ignore[arg-type]
    assert found.value.what == "Not JSON: TypeError."


# -- places in the tree -------------------------------------------------------------------------------------

TURN = "The entry is numbered before its predecessor: it would get a place in the tree out of turn."


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE event SET id = 0 WHERE id = (SELECT max(id) FROM event)", TURN),
        ("UPDATE event SET id = 1000 WHERE id = (SELECT min(id) FROM event)", TURN),
        ("INSERT INTO leaf VALUES (-1, 'x', 0, x'00', x'')", "There is a leaf before the first place of the tree."),
        (
            "UPDATE event SET id = id + 1000 WHERE stream = 'gone'",
            "The entry is numbered otherwise than it stands in the tree: its place among the commits was altered.",
        ),
    ],
)
def test_an_entry_that_would_be_signed_out_of_turn_is_found(said: Said, statement: str, says: str) -> None:
    """Its number says when it gets its place."""
    assert says in said(statement)


def test_numbers_say_nothing_but_their_order(said: Said) -> None:
    assert said("UPDATE event SET id = -1 WHERE id = (SELECT min(id) FROM event)") == []
    assert said("UPDATE event SET id = id + 1000 WHERE id = (SELECT max(id) FROM event)") == []


def test_an_entry_that_would_never_be_signed_is_found(tmp_path: Path) -> None:
    """Numbered so that the sequencer never comes to it."""
    with closing(SqliteStore(tmp_path / "log.db")) as store:
        filled(store, 1)
        assert store.misplaced() == []
        length = store.tree().waiting()
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as connection:
        connection.execute("DROP TRIGGER event_refuses_update")
        connection.execute("UPDATE event SET id = id - 1000")
    with closing(SqliteStore(tmp_path / "log.db")) as store:
        what = "The entry has no place in the tree, and is not among those that wait for one."
        assert store.misplaced() == [("c0-0", version, what) for version in range(length)]
        assert store.tree().waiting() == 0


def test_a_leaf_at_a_place_that_cannot_be_does_not_keep_the_verifier_busy(said: Said) -> None:
    """Two billion places that hold nothing are not walked over."""
    assert said("INSERT INTO leaf VALUES (8589934592, 'x', 0, x'00', x'')") == ["Leaf 1000 of the tree is missing."]


# -- texts and their keys -----------------------------------------------------------------------------------


def test_an_altered_key_is_found(said: Said, log: Honest) -> None:
    """In its bytes, in whose it is, or in which master key it names."""
    key = log.evidence["data_key"][0][0][1]
    says = f"The key {key} of a person's texts was altered: the master key does not open it."
    at = f"WHERE id = '{key}'"
    assert says in said(f"UPDATE data_key SET wrapped = CAST(wrapped || x'00' AS BLOB) {at}")
    assert says in said(f"UPDATE data_key SET wrapped = CAST(zeroblob(8) || substr(wrapped, 9) AS BLOB) {at}")


def test_the_key_file_of_another_log_is_no_alarm(log: Honest, tmp_path: Path) -> None:
    """Then no text can be opened, which is said; nothing was altered."""
    (tmp_path / "log.db").write_bytes(log.file)
    other = KeyFile(tmp_path / "other.key")
    other.create()
    for master in (other, KeyFile(tmp_path / "none.key")):
        with closing(SqliteStore(tmp_path / "log.db", master=master)) as store:
            report = audited(store)
        assert report.ok
        assert report.unopened


def test_a_text_of_no_event_is_found(said: Said, log: Honest) -> None:
    assert said("UPDATE payload SET version = -9 WHERE rowid = (SELECT min(rowid) FROM payload)") != []
    with closing(SqliteStore(log.folder / "log.db")) as store:
        (stray,) = store.strays()
    assert stray.what.endswith("is of an event that is not there.")


def test_a_text_that_went_without_a_word_is_found(log: Honest, tmp_path: Path) -> None:
    """Erased is what an entry says was erased, and pruned as many as the records say."""
    (tmp_path / "log.db").write_bytes(log.file)
    (tmp_path / "log.db.key").write_bytes((log.folder / "log.db.key").read_bytes())
    (tmp_path / "log.db.key").chmod(0o600)
    with closing(SqliteStore(tmp_path / "log.db")) as store:
        places = sorted(store.payloads("held"), key=lambda at: (at.version, at.name))
        erased = audited(store).erased
        assert erased > 0

        def gone(at: PayloadAt) -> str:
            assert store.prune([("held", at)]) == 1
            (broken,) = audited(store).broken
            assert (broken.stream, broken.version) == ("held", places[0].version)
            return broken.what

        first = f"The payload {places[0].name!r} is missing: nothing on the record says that it was erased"
        assert gone(places[0]) == f"{first}."
        note = TextsPruned(by="ops", policy="ab" * 32, conversations=1, payloads=1)
        Journal(store).note(note)
        assert not audited(store).ok  # the conversation has not ended, so that no retention took it
        assert audited(store).erased == erased
        assert gone(places[1]) == f"{first}; retention took 1 of 2 such texts."


async def test_a_text_deleted_before_an_erasure_is_found(tmp_path: Path) -> None:
    """The entry of the erasure says how many it took: one that had gone before is one too few."""
    with closing(SqliteStore(tmp_path / "log.db")) as store:
        clock = ManualClock()
        async with Runtime(store, mini(), ScriptedAgent(lambda _: gives(reply="Yes.")), clock=clock) as runtime:
            for name in ("one", "two"):
                await runtime.start(conversation=name, subject=name)
                await runtime.say(name, "help me")
        eraser = Eraser(store, clock)
        eraser.finish(eraser.ask("one", by="ops", ground="request 1"))
        assert audited(store).ok
        at = min(store.payloads("two"), key=lambda at: (at.version, at.name))
        store.prune([("two", at)])
        eraser.finish(eraser.ask("two", by="ops", ground="request 2"))
        report = audited(store)
    what = f"The payload {at.name!r} is missing: nothing on the record says that it was erased."
    assert report.broken == (Broken("two", at.version, what),)


async def test_a_fork_of_what_was_erased_lacks_what_its_parent_lacks(tmp_path: Path) -> None:
    """It could not take the texts along; what goes from the fork alone is found."""
    with closing(SqliteStore(tmp_path / "log.db")) as store:
        answers = ScriptedAgent(lambda _: gives(reply="Yes."))
        async with Runtime(store, mini(), answers, clock=ManualClock()) as runtime:
            await runtime.start(conversation="talk", subject="one")
            await runtime.say("talk", "help me")
            await runtime.say("talk", "help me again")
        places = sorted(store.payloads("talk"), key=lambda at: (at.version, at.name))
        Journal(store).note(TextsPruned(by="ops", policy="ab" * 32, conversations=1, payloads=1))
        store.prune([("talk", places[0])])
        made = await forked(store, "talk", places[-1].version, Wiring([mini()]), alone=True)
        assert {one.stream for one in audited(store).broken} == {"talk"}
        store.prune([(made.stream, places[1])])
        broken = audited(store).broken
    assert {one.stream for one in broken} == {"talk", made.stream}
    assert all(one.what.endswith("; retention took 1 of 2 such texts.") for one in broken)


# -- what is signed -----------------------------------------------------------------------------------------


def test_a_line_that_the_log_did_not_sign_is_found(said: Said, log: Honest) -> None:
    """Its own notes hold its own keys' signatures alone."""
    stranger = TestKey("log.example/small", 66)
    size, note = next(row for row in _rows(log, "SELECT size, note FROM checkpoint ORDER BY size"))
    signed = base64.b64encode(stranger.verifier().id + stranger.sign(note_of(note).text.encode())).decode()
    line = f"\u2014 log.example/small {signed}"
    assert said(f"UPDATE checkpoint SET note = note || '{line}' || char(10) WHERE size = {size}") == [
        f"The checkpoint of size {size} carries a signature that is not of the log's keys."
    ]


def test_a_line_in_the_name_of_a_witness_is_found(said: Said, log: Honest) -> None:
    """Under its key's own id, it must be its signature."""
    ((size, line),) = _rows(log, "SELECT size, line FROM cosignature")
    other = line[:-8] + ("AAAA" if line[-8:-4] != "AAAA" else "BBBB") + line[-4:]
    assert said(f"UPDATE cosignature SET line = '{other}'") == [
        f"A line under the checkpoint of size {size} is in the name of the witness W, who did not sign it."
    ]


def _rows(log: Honest, query: str) -> list[tuple[int, str]]:
    with closing(opened(log.file)) as connection:
        return connection.execute(query).fetchall()


def test_a_witness_of_a_checkpoint_that_is_gone_is_found(said: Said) -> None:
    assert said("UPDATE cosignature SET size = 3") == [
        "Witnesses signed a checkpoint of size 3 that is not in the log: it was deleted."
    ]


def test_a_row_of_a_conversation_without_an_entry_is_found(said: Said) -> None:
    """Even one that says itself that it has none."""
    columns = "flow_name, flow_version, flow_digest, subject, state, status, length, started_at, updated_at, undecided"
    found = said(
        f"INSERT INTO conversation (stream, {columns}, owner, tasks) "
        f"SELECT 'nowhere', {columns.replace('length', '0')}, owner, tasks FROM conversation LIMIT 1"
    )
    assert found[0] == "The projection has a conversation without an entry."
