"""What the store on PostgreSQL promises beyond every store: append-only for all, many processes, honest errors."""

import random
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import psycopg
import pytest

from interlock.contracts.envelope import Head
from interlock.contracts.errors import StorageError, StreamMoved
from interlock.contracts.keeping import HoldReleased
from interlock.contracts.store import FlowRow
from interlock.persistence.postgres_presence import PostgresPresence
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.verify import verify
from interlock.service.journal import Journal
from support.postgres import database, url_of
from support.stores import LOG, after, decided


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with database() as found:
        with closing(PostgresStore(found, origin=LOG)) as store:
            store.append(decided(Head("a"), size=3, written=[b"text"]))
            store.put_flow(FlowRow("d", "flow", 1, b"{}", "x"))
        yield found


REWRITES = [
    ("UPDATE event SET entry = ''", "event is append-only: no UPDATE"),
    ("DELETE FROM event WHERE version = 1", "event is append-only: no DELETE"),
    ("TRUNCATE event CASCADE", "event is append-only: no TRUNCATE"),
    ("UPDATE flow SET body = ''", "flow is append-only: no UPDATE"),
    ("DELETE FROM flow", "flow is append-only: no DELETE"),
    ("TRUNCATE flow", "flow is append-only: no TRUNCATE"),
    ("UPDATE meta SET value = 'other'", "meta is append-only: no UPDATE"),
    ("DELETE FROM meta", "meta is append-only: no DELETE"),
    (
        (
            "INSERT INTO event (stream, version, type, at, leaf, entry) VALUES ('a', 0, 't', '', '', '') "
            "ON CONFLICT (stream, version) DO UPDATE SET entry = ''"
        ),
        "event is append-only",
    ),
    (
        "INSERT INTO event (stream, version, type, at, leaf, entry) VALUES ('a', 9, 't', '', '', '')",
        "the version is not the next of its stream",
    ),
    (
        "INSERT INTO event (stream, version, type, at, leaf, entry) VALUES ('new', 1, 't', '', '', '')",
        "the version is not the next of its stream",
    ),
    (
        (
            "MERGE INTO event USING (SELECT 'a' AS s) AS x ON event.stream = x.s AND event.version = 0 "
            "WHEN MATCHED THEN DELETE"
        ),
        "event is append-only: no DELETE",
    ),
]


@pytest.mark.parametrize("role", ["origin", "replica"])
@pytest.mark.parametrize(("statement", "said"), REWRITES)
def test_nobody_rewrites_the_log(url: str, statement: str, said: str, role: str) -> None:
    """Not the owner of the tables either, nor with triggers switched off as for a replica."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"SET session_replication_role = {role}".encode())
        with pytest.raises(psycopg.Error, match=said):
            connection.execute(statement.encode())
    with closing(PostgresStore(url)) as store:
        assert verify(store).ok


def test_a_multi_row_insert_leaves_no_gap(url: str) -> None:
    """The trigger sees the rows of its own statement."""
    with psycopg.connect(url) as connection:
        rows = "('m', 0, 't', '', '\\x00', ''), ('m', 1, 't', '', '\\x01', '')"
        connection.execute(f"INSERT INTO event (stream, version, type, at, leaf, entry) VALUES {rows}".encode())
        with pytest.raises(psycopg.Error, match="not the next"):
            connection.execute(
                "INSERT INTO event (stream, version, type, at, leaf, entry) VALUES ('n', 0, 't', '', '\\x02', ''), "
                "('n', 2, 't', '', '\\x03', '')"
            )


def test_the_second_opens_what_the_first_made(url: str) -> None:
    """Of one origin; another name is refused."""
    with closing(PostgresStore(url)) as store:
        assert store.log == LOG
    with pytest.raises(StorageError, match="The log's origin is 'interlock-test', not 'other'"):
        PostgresStore(url, origin="other")


def test_processes_that_open_an_empty_database_at_once_agree() -> None:
    """One makes the tables; all have one origin."""
    with database(ready=False) as empty, ThreadPoolExecutor(4) as pool:
        stores = list(pool.map(PostgresStore, [empty] * 4))
        try:
            assert len({store.log for store in stores}) == 1
        finally:
            for store in stores:
                store.close()


def test_other_tables_are_not_taken_for_ours() -> None:
    with database(ready=False) as taken:
        with psycopg.connect(taken) as connection:
            connection.execute("CREATE TABLE event (x int)")
        with pytest.raises(StorageError, match="The database holds the tables of another program") as refused:
            PostgresStore(taken)
        assert "search_path" in refused.value.fix
        with psycopg.connect(taken) as connection:
            connection.execute("CREATE SCHEMA ours")
        with closing(PostgresStore(f"{taken}&options=-csearch_path%3Dours")) as store:
            assert store.append(decided(Head("a"), log=store.log)) == 2


def test_a_schema_of_a_later_release_is_refused() -> None:
    with database() as later:
        with psycopg.connect(later) as connection:
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
        with pytest.raises(StorageError, match="The database has schema '9999'; this release knows 0001"):
            PostgresStore(later)


def test_an_encoding_that_cannot_hold_what_people_write_is_refused() -> None:
    with database() as made, psycopg.connect(made, autocommit=True) as connection:
        connection.execute(
            "CREATE DATABASE interlock_ascii TEMPLATE template0 ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        try:
            with pytest.raises(StorageError, match="The database's encoding is SQL_ASCII"):
                PostgresStore(url_of("interlock_ascii"))
        finally:
            connection.execute("DROP DATABASE interlock_ascii WITH (FORCE)")


@pytest.mark.parametrize(
    ("change", "said", "fix"),
    [
        (("host=", "host=/nowhere"), "The connection to the database failed", "Check that the server runs"),
        (("interlock_", "missing_"), "The connection to the database failed", "Check that the server runs"),
    ],
)
def test_what_cannot_be_reached_is_named(url: str, change: tuple[str, str], said: str, fix: str) -> None:
    with pytest.raises(StorageError, match=said) as refused:
        PostgresStore(url.replace(*change))
    assert fix in refused.value.fix


def test_a_password_is_never_shown(url: str) -> None:
    secret = url.replace("postgres@", "postgres:hunter2@")
    with pytest.raises(StorageError) as refused:
        PostgresStore(secret.replace("interlock_", "missing_"))
    assert "hunter2" not in f"{refused.value} {refused.value.where} {refused.value.fix}"


@pytest.fixture
def two() -> Iterator[tuple[PostgresStore, PostgresStore, str]]:
    """Two processes' stores on one log."""
    with database() as found:
        first = PostgresStore(found, origin=LOG)
        second = PostgresStore(found)
        yield first, second, found
        first.close()
        second.close()


def test_of_two_processes_one_appends(two: tuple[PostgresStore, PostgresStore, str]) -> None:
    """Also where both begin the conversation; the loser is told how long the stream is now."""
    first, second, _ = two
    begun = decided(Head("s"))
    assert first.append(begun) == 2
    with pytest.raises(StreamMoved, match="The stream has 2 entries, not 0"):
        second.append(begun)
    with pytest.raises(StreamMoved, match="has 2 entries, not 0"):
        second.append(decided(Head("s"), key="another", size=1))
    assert second.append(decided(after(begun))) == 4
    with pytest.raises(StreamMoved, match="has 4 entries, not 2"):
        first.append(decided(after(begun), key="late"))
    assert verify(first).ok


def test_a_group_hurts_only_the_one_that_lost(two: tuple[PostgresStore, PostgresStore, str]) -> None:
    first, second, _ = two
    with ThreadPoolExecutor(8) as pool:
        for turn in range(15):
            both = [*((first, turn, n) for n in range(4)), *((second, turn, n) for n in range(4))]

            def try_to(one: tuple[PostgresStore, int, int]) -> bool:
                store, turn, n = one
                try:
                    store.append(decided(Head(f"s{turn}-{n}"), key=f"{id(store)}"))
                except StreamMoved:
                    return False
                return True

            assert sum(pool.map(try_to, both)) == 4
    assert verify(first).ok


@pytest.mark.parametrize("appends", [400, pytest.param(100_000, marks=pytest.mark.full)])
def test_many_writers_leave_no_gap_and_no_fork(two: tuple[PostgresStore, PostgresStore, str], appends: int) -> None:
    """Every success is one entry more; every stream verifies."""
    first, second, _ = two
    streams = [f"s{n}" for n in range(5)]

    def work(seed: int) -> int:
        chance, store = random.Random(seed), (first, second)[seed % 2]
        done = 0
        while done < appends // 8:
            try:
                store.append(decided(store.head(chance.choice(streams)), key=f"{seed}-{done}", size=1))
            except StreamMoved:
                continue
            done += 1
        return done

    with ThreadPoolExecutor(8) as pool:
        total = sum(pool.map(work, range(8)))
    report = verify(second)
    assert (report.broken, report.events) == ((), total)


def test_a_cut_connection_is_replaced(two: tuple[PostgresStore, PostgresStore, str]) -> None:
    """The one who was cut is told; the next call has a new connection."""
    first, second, url = two
    begun = decided(Head("s"))
    first.append(begun)
    with psycopg.connect(url, autocommit=True) as operator:
        operator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    for store in (first, second):
        with pytest.raises(StorageError, match="The connection to the database failed") as told:
            store.head("s")
        assert "may or may not be recorded" in told.value.fix
    assert first.head("s") == second.head("s") == after(begun)
    assert first.append(decided(after(begun))) == 4


def test_a_conversation_that_is_held_is_waited_for(url: str) -> None:
    """For as long as was said, then refused with what to do; nothing is recorded."""
    with closing(PostgresStore(url, wait_seconds=0.2)) as store, psycopg.connect(url) as operator:
        begun = decided(Head("held"))
        store.append(begun)
        operator.execute("SELECT * FROM conversation WHERE stream = 'held' FOR UPDATE")
        with pytest.raises(StorageError, match="locked by another program") as refused:
            store.append(decided(after(begun)))
        assert "allow a longer wait" in refused.value.fix
        operator.rollback()
        assert store.append(decided(after(begun))) == 4


def test_who_has_lost_the_server_is_dead_to_the_others(two: tuple[PostgresStore, PostgresStore, str]) -> None:
    """And lives again under its name once it has a connection."""
    first, second, url = two
    one, other = first.presence(), second.presence()
    assert one.is_alive(other.owner)
    assert other.is_alive(one.owner)
    assert not one.is_alive("f" * 32)
    assert isinstance(other, PostgresPresence)
    assert other._connection is not None
    with psycopg.connect(url, autocommit=True) as operator:
        gone = operator.execute("SELECT pg_terminate_backend(%s, 30000)", (other._connection.info.backend_pid,))
        assert gone.fetchone() == (True,)
    assert not one.is_alive(other.owner)
    with pytest.raises(StorageError, match="The connection to the database failed"):
        other.is_alive(one.owner)
    assert one.is_alive(one.owner)
    assert other.is_alive(other.owner)
    assert one.is_alive(other.owner)
    one.close()
    assert not one.is_alive(one.owner)
    deadline = time.monotonic() + 30
    while other.is_alive(one.owner):  # until the server has noticed
        assert time.monotonic() < deadline
        time.sleep(0.02)
    other.close()
    other.close()


ROLES = ("interlock_app", "interlock_sequencer", "interlock_auditor", "interlock_eraser")
_RECORD = "INSERT INTO record SELECT (SELECT coalesce(max(number), -1) + 1 FROM record),"
ACTS = {
    "append": "INSERT INTO event (stream, version, type, at, leaf, entry) VALUES ('{fresh}', 0, 't', '', '\\x00', '')",
    "rewrite": "UPDATE event SET entry = '\\x00' WHERE stream = 'a'",
    "remove": "DELETE FROM event WHERE stream = 'a'",
    "empty": "TRUNCATE event CASCADE",
    "read": "SELECT entry FROM event",
    "listen": "SELECT body FROM payload",
    "erase": "DELETE FROM payload WHERE stream = '{fresh}'",
    "alter": "UPDATE payload SET body = ''",
    "place": "INSERT INTO leaf SELECT (SELECT coalesce(max(position), -1) + 1 FROM leaf), '{fresh}', 0, '\\x00', ''",
    "record": f"{_RECORD} 'hold_placed', '', '\\x01', '{{{{\"type\": \"hold_placed\"}}}}'",
    "disguise": f"{_RECORD} 'texts_read', '', '\\x01', '{{{{\"type\": \"hold_placed\"}}}}'",
    "note half a reading": f"{_RECORD} 'texts_read', '', '\\x01', '{{{{\"type\": \"texts_read\"}}}}'",
    "sign": "INSERT INTO checkpoint SELECT coalesce(max(size), 0) + 1, 'note' FROM checkpoint",
    "project": "UPDATE conversation SET updated_at = updated_at",
    "rename": "UPDATE meta SET value = 'other'",
    "forget": "DELETE FROM pending",
    "disable": "ALTER TABLE event DISABLE TRIGGER ALL",
    "skip": "SET session_replication_role = replica",
    "drop": "DROP TABLE event CASCADE",
}
MAY = {
    "interlock_app": {"append", "read", "listen", "project"},
    "interlock_sequencer": {"read", "place", "sign", "forget", "record", "disguise", "note half a reading"},
    "interlock_auditor": {"read"},
    "interlock_eraser": {"read", "listen", "erase"},
}


@pytest.mark.parametrize("role", ROLES)
def test_each_role_may_do_its_work_and_nothing_else(url: str, role: str) -> None:
    """Every act of the table, tried as a user who is a member of the role alone."""
    done = set()
    for act, statement in ACTS.items():
        with psycopg.connect(url) as connection:
            connection.execute(f"SET SESSION AUTHORIZATION {role}".encode())
            try:
                connection.execute(statement.format(fresh=f"{role}-{act}").encode())
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.RestrictViolation):
                pass  # a trigger of the latter kind stands before the eraser, who deletes what is archived
            else:
                done.add(act)
            connection.rollback()
    assert done == MAY[role]


def test_the_work_goes_on_under_the_roles(url: str) -> None:
    """The app appends, the sequencer gives places and the auditor reads, each on a connection of its role; what one
    may not do is refused with what to do about it."""
    as_app, as_sequencer, as_auditor = (f"{url}&options=-crole%3D{role}" for role in ROLES[:3])
    with (
        closing(PostgresStore(as_app)) as app,
        closing(PostgresStore(as_sequencer)) as sequencer,
        closing(PostgresStore(as_auditor)) as auditor,
    ):
        begun = decided(Head("roles"), written=[b"said"], timers=((0, "2026-11-21T12:00:01.000000Z"),))
        assert app.append(begun) == 2
        assert app.append(decided(after(begun))) == 4
        with pytest.raises(StorageError, match="The database's user may not do this") as refused:
            app.tree().sequence()
        assert refused.value.fix == (
            "What gives places in the tree and signs it runs as a member of `interlock_sequencer`."
        )
        with pytest.raises(StorageError, match="permission denied for table record") as refused:
            Journal(app).note(HoldReleased(by="ops", ground="", hold=0))
        assert refused.value.fix == (
            "This is recorded before it is done. A member of `interlock_app` records readings; the rest takes "
            "`interlock_sequencer`, too."
        )
        assert Journal(app).read_texts("roles", by="anna", through="log")
        assert [one.may_sequence() for one in (app, sequencer, auditor)] == [False, True, False]
        with sequencer.tree().sequencing():
            while sequencer.tree().sequence():
                pass
        assert auditor.tree().waiting() == 0
        assert auditor.tree().index_of("roles", 3) is not None
        assert len(auditor.read("roles")) == 4
        with pytest.raises(StorageError, match="may not do this") as refused:
            auditor.payloads("roles")
        assert refused.value.fix.startswith("Run as a member of `interlock_app`, which writes and reads the log.")
        with pytest.raises(StorageError, match="may not do this"):
            auditor.append(decided(Head("forged")))


@pytest.mark.parametrize("appends", [240, pytest.param(100_000, marks=pytest.mark.full)])
def test_a_sequencer_beside_many_writers_misses_none(appends: int) -> None:
    """Every entry gets one place; those of a stream in their order, though they commit in any."""
    with database() as found, closing(PostgresStore(found, origin=LOG)) as other:
        writers = [PostgresStore(found) for _ in range(3)]
        over = threading.Event()

        def write(seed: int) -> None:
            store, chance, done = writers[seed % 3], random.Random(seed), 0
            while done < appends // 6:
                try:
                    store.append(decided(store.head(f"s{chance.randrange(6)}"), key=f"{seed}-{done}", size=1))
                except StreamMoved:
                    continue
                done += 1

        def place() -> None:
            tree = other.tree()
            while not over.is_set() or tree.waiting():
                with tree.sequencing():
                    tree.sequence(7)

        with ThreadPoolExecutor(7) as pool:
            placing = pool.submit(place)
            list(pool.map(write, range(6)))
            over.set()
            placing.result()
        leaves = [leaf for leaf, _ in other.tree().leaves(0, appends + 1)]
        assert [leaf.index for leaf in leaves] == list(range(appends // 6 * 6))
        for stream in other.streams():
            mine = [leaf.version for leaf in leaves if leaf.stream == stream]
            assert mine == list(range(other.head(stream).length))
        for store in writers:
            store.close()


def test_control_the_order_of_numbers_misses_who_commits_late() -> None:
    """The control: a reader that goes on from the last number it saw, as on SQLite, never sees the late one."""
    row = "INSERT INTO event (stream, version, type, at, leaf, entry) VALUES (%s, 0, 't', '', '', '')"
    with database() as found, psycopg.connect(found) as late, psycopg.connect(found) as early:
        late.execute(row, ("late",))
        early.execute(row, ("early",))
        early.commit()
        seen = early.execute("SELECT max(id) FROM event").fetchone()
        early.commit()
        late.commit()
        assert early.execute("SELECT stream FROM event WHERE id > %s", seen).fetchall() == []
        waiting = early.execute("SELECT stream FROM pending ORDER BY id").fetchall()
        assert waiting == [("late",), ("early",)]
