"""Triggers that drop or change rows without an error: what is evidence is kept, or refused and nothing happened."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.contracts.envelope import Head
from interlock.contracts.errors import StorageError
from interlock.contracts.keeping import HoldPlaced
from interlock.contracts.store import FlowRow
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.protecting import encrypted_in, rewrapped_in
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.auditing import audited
from interlock.service.erasing import Eraser
from interlock.service.holding import placed
from interlock.service.journal import Journal
from support.erasure import talked
from support.evidence import ORIGIN, checkpointer
from support.postgres import database
from support.stores import LOG, decided

FOREIGN = "Somebody put triggers on the log's tables that no release of Interlock makes: silent."
IGNORED = "BEFORE INSERT ON {} BEGIN SELECT RAISE(IGNORE); END"


def written(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for one in statements:
            connection.execute(one)


def rows(path: Path) -> dict[str, int]:
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in sorted(names)}


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    found = tmp_path / "log.db"
    with closing(SqliteStore(found, origin=ORIGIN)) as store:
        await talked(store, "anna", [1])
        checkpointer(store.tree()).checkpoint()
    return found


def hold(store: Any) -> object:
    return placed(Journal(store), by="dpo", ground="a case", subject=None, conversation=next(iter(store.streams())))


def erase(store: Any) -> object:
    eraser = Eraser(store)
    return eraser.finish(eraser.ask("anna", by="dpo", ground="request 7"))


def turn(store: Any) -> object:
    return store.append(decided(Head("new"), size=3, log=store.log, written=[b"text"]))


def one_entry(store: Any) -> object:
    """On PostgreSQL a trigger of ours refuses the second entry where the first is not there."""
    return store.append(decided(Head("new"), size=1, log=store.log, written=[b"text"]))


def flow(store: Any) -> object:
    return store.put_flow(FlowRow("d", "flow", 1, b"{}", "x"))


def read(store: Any) -> object:
    return Journal(store).read_texts("anna-1", by="carl", through="log")


def sign(store: Any) -> object:
    store.append(decided(Head("more"), size=2, log=store.log))
    return checkpointer(store.tree()).checkpoint()


ACTS: list[tuple[str, Callable[[Any], object]]] = [
    *((table, turn) for table in ("event", "payload", "conversation", "data_key")),
    *(("record", act) for act in (hold, erase, read)),
    *((table, sign) for table in ("leaf", "head", "head_node", "checkpoint")),
    ("flow", flow),
    *((table, erase) for table in ("event", "conversation")),
]


@pytest.mark.parametrize(("table", "act"), ACTS, ids=[f"{act.__name__} without {table}" for table, act in ACTS])
def test_what_is_not_kept_is_refused(path: Path, table: str, act: Callable[[Any], object]) -> None:
    """Nothing is acknowledged, no text is decrypted or deleted; and `verify` names the trigger."""
    before = rows(path)
    written(path, f"CREATE TRIGGER silent {IGNORED.format(table)}")
    with closing(SqliteStore(path)) as store:
        with pytest.raises(StorageError) as refused:
            act(store)
        assert f" rows of `{table}`." in refused.value.what
        assert refused.value.what.startswith("The database kept 0 of ")
        assert "`interlock verify` names it. Nothing of this was recorded." in refused.value.fix
        assert audited(store).beside == (FOREIGN,)
    after = rows(path)
    assert (after["payload"], after["data_key"]) == (before["payload"], before["data_key"])
    assert after[table] == before[table]


BESIDE = [
    "AFTER INSERT ON payload BEGIN DELETE FROM payload WHERE stream = NEW.stream; END",
    "AFTER INSERT ON payload BEGIN UPDATE payload SET body = x'00' WHERE stream = NEW.stream; END",
    "BEFORE INSERT ON payload BEGIN INSERT INTO theirs VALUES (1); SELECT RAISE(IGNORE); END",
    "AFTER INSERT ON conversation BEGIN DELETE FROM payload; END",
]


@pytest.mark.parametrize("made", BESIDE)
def test_a_trigger_that_changes_rows_beside_is_refused(path: Path, made: str) -> None:
    """One that takes a row away again, changes it, or has another counted in its place."""
    before = rows(path)
    written(path, "CREATE TABLE theirs (x)", f"CREATE TRIGGER silent {made}")
    with closing(SqliteStore(path)) as store:
        with pytest.raises(StorageError) as refused:
            turn(store)
        assert refused.value.what.startswith(("A trigger changed rows while ", "The database kept 0 of "))
        assert "Nothing of this was recorded." in refused.value.fix
    assert rows(path) == {**before, "theirs": 0}


@pytest.mark.parametrize("table", ["payload", "data_key"])
def test_an_erasure_that_deletes_nothing_is_refused(path: Path, table: str) -> None:
    """The entry that says `erased` is not written either."""
    before = rows(path)
    written(path, f"CREATE TRIGGER silent BEFORE DELETE ON {table} BEGIN SELECT RAISE(IGNORE); END")
    with closing(SqliteStore(path)) as store:
        with pytest.raises(StorageError) as refused:
            erase(store)
        what = "texts" if table == "payload" else "keys"
        assert refused.value.what == f"The database still has {before[table]} {what} that were deleted."
    after = rows(path)
    assert [after[name] for name in ("event", "payload", "data_key")] == [
        before[name] for name in ("event", "payload", "data_key")
    ]


def test_keys_and_texts_that_are_not_written_anew_are_refused(tmp_path: Path) -> None:
    """Else the old master key would be thrown away, and texts said to be encrypted that lie in clear."""
    path = tmp_path / "log.db"
    with closing(SqliteStore(path, origin=LOG, in_clear=True)) as store:
        turn(store)
    written(path, "CREATE TRIGGER silent BEFORE UPDATE ON payload BEGIN SELECT RAISE(IGNORE); END")
    with closing(SqliteStore(path)) as store, pytest.raises(StorageError, match="kept 0 of 1 rows of `payload`"):
        encrypted_in(store)
    written(path, "DROP TRIGGER silent")
    with closing(SqliteStore(path)) as store:
        assert encrypted_in(store) == 1
    written(path, "CREATE TRIGGER silent BEFORE UPDATE ON data_key BEGIN SELECT RAISE(IGNORE); END")
    with closing(SqliteStore(path)) as store, pytest.raises(StorageError, match="kept 0 of 1 rows of `data_key`"):
        rewrapped_in(store)


def test_one_of_several_that_is_not_kept_hurts_itself_alone(path: Path) -> None:
    """Appends committed together: the others are tried alone."""
    written(path, "CREATE TRIGGER silent BEFORE INSERT ON event WHEN NEW.stream = 'b' BEGIN SELECT RAISE(IGNORE); END")
    with closing(SqliteStore(path)) as store:
        appends = [decided(Head(name), size=2, log=store.log) for name in ("a", "b", "c")]
        found = store._writer.log.commit(appends)
        assert [type(one).__name__ for one in found] == ["int", "NotKept", "int"]
        assert (store.head("a").length, store.head("b").length, store.head("c").length) == (2, 0, 2)


def test_without_the_trigger_all_of_it_is_kept(path: Path) -> None:
    """The control."""
    with closing(SqliteStore(path)) as store:
        for act in (turn, flow, read, sign, erase, hold):
            act(store)
        assert FOREIGN not in audited(store).beside
        assert [one.act.type for one in Journal(store).acts()][-1] == "hold_placed"
        assert store.head("new").length == 3


# -- PostgreSQL ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with database() as found:
        with closing(PostgresStore(found, origin=LOG)) as store:
            store.append(decided(Head("a"), size=3, written=[b"text"]))
        with psycopg.connect(found, autocommit=True) as connection:
            connection.execute("CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        yield found


@pytest.mark.parametrize("table", ["event", "payload", "conversation", "record", "flow"])
@pytest.mark.parametrize("how", ["trigger", "rule"])
def test_what_postgresql_does_not_keep_is_refused(url: str, table: str, how: str) -> None:
    made, dropped = f"CREATE RULE silent AS ON INSERT TO {table} DO INSTEAD NOTHING", f"DROP RULE silent ON {table}"
    if how == "trigger":
        made = f"CREATE TRIGGER silent BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION nothing()"
        dropped = f"DROP TRIGGER silent ON {table}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(made.encode())
        try:
            with closing(PostgresStore(url)) as store:
                with pytest.raises(StorageError) as refused:
                    {"record": hold, "flow": flow}.get(table, one_entry)(store)
                assert refused.value.what.startswith("The database kept 0 of ")
                assert refused.value.what.endswith(f" rows of `{table}`.")
                assert store.head("new").length == 0
                assert [one.act for one in Journal(store).acts() if isinstance(one.act, HoldPlaced)] == []
                rule = f"Somebody put the rule silent on the table {table}, which may drop or change rows."
                assert (FOREIGN if how == "trigger" else rule) in audited(store).beside
        finally:
            connection.execute(dropped.encode())


def test_hidden_rows_and_a_trigger_called_as_one_of_ours_are_named(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("ALTER TABLE payload ENABLE ROW LEVEL SECURITY")
        connection.execute("CREATE TRIGGER event_waits AFTER INSERT ON payload FOR EACH ROW EXECUTE FUNCTION nothing()")
        with closing(PostgresStore(url)) as store:
            found = audited(store).beside
        connection.execute("ALTER TABLE payload DISABLE ROW LEVEL SECURITY")
        connection.execute("DROP TRIGGER event_waits ON payload")
    assert FOREIGN.replace("silent", "event_waits") in found
    assert "Somebody switched on row security for the table payload, which hides rows." in found
    with closing(PostgresStore(url)) as store:
        assert audited(store).beside == ()
