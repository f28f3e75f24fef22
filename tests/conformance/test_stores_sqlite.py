"""What the store on SQLite promises beyond every store: append-only for all, many processes, honest errors."""

import os
import sqlite3
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from interlock.contracts.envelope import Head
from interlock.contracts.errors import StorageError
from interlock.contracts.store import FlowRow
from interlock.persistence.migrations import HEAD, REVISIONS
from interlock.persistence.settings import needs_write_lock
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.triggers import ON_SQLITE
from interlock.persistence.verify import verify
from support.stores import LOG, decided

TESTS = Path(__file__).parents[1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    opened = SqliteStore(path, origin=LOG)
    yield opened
    opened.close()


def raw(path: Path) -> "closing[sqlite3.Connection]":
    """A connection of another program: with SQLite's own defaults."""
    return closing(sqlite3.connect(path, isolation_level=None))


REWRITES = [
    ("UPDATE event SET entry = x'00'", "event is append-only: no UPDATE"),
    ("UPDATE OR REPLACE event SET version = 1 WHERE version = 0", "event is append-only: no UPDATE"),
    ("DELETE FROM event", "event is append-only: no DELETE"),
    ("DELETE FROM event WHERE version = 1", "event is append-only: no DELETE"),
    ("INSERT OR REPLACE INTO event SELECT * FROM event", "event is append-only"),
    (
        "REPLACE INTO event (stream, version, type, at, leaf, entry) VALUES ('a', 0, 't', '', x'', x'')",
        "event is append-only",
    ),
    (
        "REPLACE INTO event (id, stream, version, type, at, leaf, entry) VALUES (1, 'b', 0, 't', '', x'', x'')",
        "event is append-only: the row exists",
    ),
    (
        (
            "REPLACE INTO event (stream, version, type, at, idempotency_key, leaf, entry) "
            "VALUES ('a', 2, 't', '', 'k0', x'', x'')"
        ),
        "event is append-only: the row exists",
    ),
    (
        "INSERT INTO event (stream, version, type, at, leaf, entry) VALUES ('a', 3, 't', '', x'', x'')",
        "event is append-only: the version is not the next of its stream",
    ),
    ("UPDATE flow SET body = x'00'", "flow is append-only: no UPDATE"),
    ("DELETE FROM flow", "flow is append-only: no DELETE"),
    ("REPLACE INTO flow VALUES ('d', 'other', 1, x'00', '')", "flow is append-only: the row exists"),
    ("UPDATE meta SET value = 'other'", "meta is append-only: no UPDATE"),
    ("DELETE FROM meta", "meta is append-only: no DELETE"),
    ("REPLACE INTO meta VALUES ('log', 'other')", "meta is append-only: the row exists"),
]


@pytest.mark.parametrize("recursive", ["ON", "OFF"])
@pytest.mark.parametrize(("statement", "refusal"), REWRITES)
def test_no_connection_rewrites_the_log(store: SqliteStore, path: Path, statement: str, refusal: str, recursive: str):
    """UPDATE, DELETE, REPLACE and a gap are refused in the database itself, whoever asks."""
    store.append(decided(Head("a")))
    store.put_flow(FlowRow("d", "refund", 1, b"{}", "here"))
    before = store.read("a"), store.flows()
    with raw(path) as connection:
        connection.execute(f"PRAGMA recursive_triggers = {recursive}")
        with pytest.raises(sqlite3.IntegrityError, match=refusal):
            connection.execute(statement)
    assert (store.read("a"), store.flows()) == before
    assert verify(store).ok


def test_payloads_can_be_erased(store: SqliteStore, path: Path):
    """Erasing deletes payload rows; the chain stands, and the loss is counted and not a break."""
    store.append(decided(Head("a"), written=[b"one", b"two"]))
    with raw(path) as connection:
        connection.execute("DELETE FROM payload WHERE name = 'fact.p0'")
    report = verify(store)
    assert (report.ok, report.payloads, report.erased) == (True, 1, 1)


def test_an_erased_payload_is_gone_from_the_file(path: Path):
    """`secure_delete`: after the checkpoint the bytes are nowhere on the disk, of a text in clear too."""
    store = SqliteStore(path, in_clear=True)
    secret = b"the-name-of-a-person"
    store.append(decided(Head("a"), written=[secret], log=store.log))
    store.close()
    assert secret in path.read_bytes()
    store = SqliteStore(path)
    with raw(path) as connection:
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("DELETE FROM payload")
    store.close()
    assert [file.name for file in path.parent.iterdir() if file.is_file() and secret in file.read_bytes()] == []


def test_the_settings_are_what_the_design_says(store: SqliteStore):
    """WAL, synchronous=FULL, foreign keys, recursive triggers, secure delete, no memory map."""
    names = (
        "journal_mode",
        "synchronous",
        "foreign_keys",
        "recursive_triggers",
        "secure_delete",
        "mmap_size",
        "busy_timeout",
        "trusted_schema",
    )
    found = store._ask(lambda file: [file.pragma(name) for name in names])
    assert found == ["wal", 2, 1, 1, 1, 0, 5000, 0]


def test_the_description_names_a_trigger_that_was_dropped(store: SqliteStore, path: Path):
    """An operator sees which guard is missing, and which lock is in use."""
    store.append(decided(Head("a"), size=3, written=[b"text"]))
    assert store.describe().missing_triggers == ()
    with raw(path) as connection:
        connection.execute("DROP TRIGGER event_refuses_delete")
    described = store.describe()
    assert described.missing_triggers == ("event_refuses_delete",)
    assert set(described.triggers) == ON_SQLITE.keys() - {"event_refuses_delete"}
    assert described.counts == {
        "events": 3,
        "payloads": 1,
        "conversations": 1,
        "flows": 0,
        "data_keys": 1,
        "timers": 0,
    }
    lock = "with" if needs_write_lock() else "without"
    assert described.durability == f"journal wal, synchronous FULL, {lock} a lock between processes"
    assert (described.durable, described.schema, described.log) == (True, HEAD, LOG)
    assert described.engine == f"SQLite {sqlite3.sqlite_version}"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((3, 40, 1), True),
        ((3, 51, 2), True),
        ((3, 51, 3), False),
        ((3, 52, 0), False),
        ((4, 0, 0), False),
    ],
)
def test_the_lock_is_for_releases_with_the_wal_reset_bug(version: tuple[int, ...], expected: bool):
    """3.51.3 is the first release that needs none."""
    assert needs_write_lock(version) is expected


def test_the_log_keeps_its_origin(path: Path):
    """The origin is given once; a log of another origin is not opened by mistake."""
    SqliteStore(path, origin="first").close()
    with closing(SqliteStore(path)) as again:
        assert again.log == "first"
    with pytest.raises(StorageError) as refused:
        SqliteStore(path, origin="second")
    assert refused.value.what == "The log's origin is 'first', not 'second'."


CHILD = """
import sys
from interlock.contracts.envelope import Head
from interlock.contracts.errors import StreamMoved
from interlock.persistence.sqlite_store import SqliteStore
from support.stores import LOG, after, decided
path, me, turns = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = SqliteStore(path, origin=LOG)
own, won = Head(me), 0
for turn in range(turns):
    append = decided(own, key=f"{me}-{turn}", written=[me.encode()])
    store.append(append)
    own = after(append)
    while True:
        try:
            store.append(decided(store.head("shared"), key=f"{me}-{turn}"))
            break
        except StreamMoved:
            pass
store.close()
print("done")
"""


def child(*arguments: object, code: str = CHILD) -> "subprocess.Popen[str]":
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_two_processes_lose_nothing_and_make_no_gap(path: Path):
    """Both create the file at once, and append to streams of their own and to one that they share."""
    turns = 60
    children = [child(path, name, turns) for name in ("one", "two")]
    for process in children:
        out, errors = process.communicate(timeout=60)
        assert (process.returncode, out, errors) == (0, "done\n", "")
    with closing(SqliteStore(path)) as store:
        assert {name: store.head(name).length for name in store.streams()} == {
            "one": 2 * turns,
            "two": 2 * turns,
            "shared": 4 * turns,
        }
        report = verify(store)
        assert (report.broken, report.events, report.payloads) == ((), 8 * turns, 2 * turns)
        keys = {entry.key for entry in store.read("shared")}
        assert keys == {None} | {f"{name}-{turn}" for name in ("one", "two") for turn in range(turns)}
    with raw(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_several_processes_may_create_the_file_at_once(path: Path):
    """One applies the migrations, the others wait for it; all agree on the origin."""
    code = """
    import sys
    from interlock.persistence.sqlite_store import SqliteStore
    store = SqliteStore(sys.argv[1])
    print(store.log)
    store.close()
    """
    children = [child(path, code=code) for _ in range(4)]
    answers = {process.communicate(timeout=60) for process in children}
    assert len(answers) == 1
    assert next(iter(answers))[1] == ""


def test_opening_an_existing_log_does_not_import_alembic(path: Path):
    """Alembic costs more to import than everything else there is to do."""
    SqliteStore(path).close()
    code = """
    import sys
    from interlock.persistence.sqlite_store import SqliteStore
    SqliteStore(sys.argv[1]).close()
    print([name for name in sys.modules if name.startswith("alembic")])
    """
    assert child(path, code=code).communicate(timeout=60) == ("[]\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_is_told_to_open_its_own(path: Path):
    """The thread stays with the parent; the child would wait for ever."""
    code = """
    import os, sys
    from interlock.persistence.sqlite_store import SqliteStore
    store = SqliteStore(sys.argv[1])
    if os.fork() == 0:
        try:
            store.head("a")
        except Exception as error:
            print(error.what, flush=True)
        store.close()
        os._exit(0)
    os.wait()
    store.close()
    """
    out, errors = child(path, code=code).communicate(timeout=60)
    assert (out, errors) == ("The store was opened before this process was forked.\n", "")


def test_a_long_reader_does_not_keep_others_from_opening(path: Path):
    """Somebody looks at the file with another tool for an hour: the store opens, writes and closes all the same."""
    with closing(SqliteStore(path, origin=LOG)) as store, raw(path) as reader:
        store.append(decided(Head("a")))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM event").fetchall()
        store.append(decided(Head("b")))
        began = time.monotonic()
        with closing(SqliteStore(path, wait_seconds=60)) as second:
            assert second.append(decided(Head("c"))) == 2
        assert time.monotonic() - began < 30
        assert store.streams() == ("a", "b", "c")


def test_a_locked_database_is_said_to_be_locked(path: Path):
    """Another program that keeps a transaction open is named as the cause; afterwards the store goes on."""
    with closing(SqliteStore(path, origin=LOG, wait_seconds=0.05)) as store, raw(path) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StorageError) as refused:
            store.append(decided(Head("a")))
        assert refused.value.what == "The database is locked by another program. (SQLITE_BUSY: database is locked)"
        assert refused.value.fix == "End that program's transaction, or allow a longer wait."
        assert store.head("a") == Head("a")
        connection.execute("ROLLBACK")
        assert store.append(decided(Head("a"))) == 2


@pytest.mark.skipif(not needs_write_lock(), reason="this SQLite needs no lock")
def test_a_process_that_keeps_the_lock_is_said_to(path: Path):
    """Not only SQLite's own lock can be held too long."""
    from interlock.persistence.locks import ProcessLock

    with closing(SqliteStore(path, origin=LOG, wait_seconds=0.05)) as store:
        lock = ProcessLock(Path(f"{path}.lock"))
        lock.take(1)
        with pytest.raises(StorageError) as refused:
            store.append(decided(Head("a")))
        assert refused.value.what == "Another process kept the database locked for 0.05 s."
        lock.close()
        assert store.append(decided(Head("a"))) == 2


def test_a_file_that_is_no_database_is_left_alone(path: Path):
    """It is refused by name, and not one byte of it changes."""
    path.write_bytes(b"this is a letter to the bank " * 100)
    before = path.read_bytes()
    with pytest.raises(StorageError) as refused:
        SqliteStore(path)
    assert refused.value.what == ("The file is not an SQLite database. (SQLITE_NOTADB: file is not a database)")
    assert str(path) in str(refused.value)
    assert path.read_bytes() == before


def test_another_programs_database_is_left_alone(path: Path):
    """Our tables are not added to somebody else's."""
    with raw(path) as connection:
        connection.execute("CREATE TABLE customers (name TEXT)")
    with pytest.raises(StorageError, match=r"^The database holds the tables of another program\."):
        SqliteStore(path)
    with raw(path) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("customers",)]


def test_a_newer_schema_is_refused(path: Path):
    """An old release does not write what it does not understand."""
    SqliteStore(path).close()
    with raw(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StorageError) as refused:
        SqliteStore(path)
    assert refused.value.what == f"The database has schema '9999'; this release knows {', '.join(REVISIONS)}."
    assert refused.value.fix == "A newer release wrote it: install that release or a later one."


def test_a_malformed_database_is_said_to_be_malformed(path: Path):
    """Pages overwritten by something else are reported as what they are, with what to do."""
    store = SqliteStore(path, origin=LOG)
    for n in range(50):
        store.append(decided(Head(f"s{n}"), written=[b"x" * 2000]))
    store.close()
    data = bytearray(path.read_bytes())
    data[5 * 4096 :] = b"\xff" * (len(data) - 5 * 4096)
    path.write_bytes(data)
    with pytest.raises(StorageError) as refused:
        SqliteStore(path)
    assert refused.value.what.startswith("The database is malformed. (SQLITE_CORRUPT")
    assert "restore a backup" in refused.value.fix


def test_a_folder_that_is_not_there_is_named(tmp_path: Path):
    """The commonest mistake of all."""
    with pytest.raises(StorageError) as refused:
        SqliteStore(tmp_path / "missing" / "log.db")
    assert refused.value.what == "The lock file cannot be opened: No such file or directory."
    assert refused.value.where.endswith("missing/log.db.lock")


def test_a_conversation_without_a_name_is_a_malformed_database(tmp_path: Path):
    """As a torn page can leave one: `verify` says so, and does not fall over."""
    path = tmp_path / "log.db"
    with closing(SqliteStore(path, origin=LOG)) as store:
        store.append(decided(Head("a")))
        with closing(sqlite3.connect(path, isolation_level=None)) as administrator:
            administrator.execute("PRAGMA legacy_alter_table = ON")
            administrator.execute("ALTER TABLE conversation RENAME TO moved")
            administrator.execute("CREATE TABLE conversation AS SELECT * FROM moved")  # with none of its constraints
            administrator.execute("UPDATE conversation SET stream = NULL")
        with pytest.raises(StorageError, match="malformed: an entry or a conversation has no stream") as told:
            verify(store)
        assert "restore a backup that verifies" in told.value.fix
