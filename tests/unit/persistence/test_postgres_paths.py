"""Whatever a session calls its tables, and whatever stands in a schema before the log's, its rules ask its own."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from interlock.contracts.envelope import Head
from interlock.persistence.keyfile import KeyFile
from interlock.persistence.postgres_store import PostgresStore
from interlock.service.auditing import audited
from interlock.service.journal import Journal
from support.postgres import database
from support.stores import LOG, decided

HELD = (
    "INSERT INTO record SELECT (SELECT coalesce(max(number), -1) + 1 FROM record), 'hold_released', '', '\\x01', "
    "convert_to('{\"type\": \"hold_released\"}', 'UTF8')"
)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with database() as found:
        with closing(PostgresStore(found, origin=LOG, master=KeyFile(tmp_path / "key"))) as store:
            store.append(decided(Head("a"), written=[b"said"]))
        yield found


def done_as(url: str, role: str, *statements: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(f"SET SESSION AUTHORIZATION {role}".encode())
        for one in statements:
            connection.execute(one.encode())


@pytest.mark.parametrize(
    ("role", "own", "then"),
    [
        ("interlock_app", ["CREATE TEMP TABLE leaf ()"], HELD),
        (
            "interlock_eraser",
            [
                "CREATE TEMP TABLE archived AS SELECT stream, length FROM conversation",
                "CREATE TEMP TABLE leaf AS SELECT stream, version, leaf AS hash, 0 AS position FROM event",
            ],
            "DELETE FROM event",
        ),
        ("interlock_app", [], "INSERT INTO pending VALUES (99, 'nobody', 0, '')"),
        (
            "interlock_app",
            [],
            "INSERT INTO event (stream, version, type, at, leaf, entry) VALUES ('', 0, 't', '', '', '')",
        ),
    ],
)
def test_a_table_of_ones_own_opens_nothing(url: str, role: str, own: list[str], then: str) -> None:
    with pytest.raises(
        (psycopg.errors.InsufficientPrivilege, psycopg.errors.IntegrityError, psycopg.errors.RaiseException)
    ):
        done_as(url, role, *own, then)


def test_an_entry_waits_for_its_place_whatever_the_session_calls_pending(url: str) -> None:
    done_as(
        url,
        "interlock_app",
        "CREATE TEMP TABLE pending (id BIGINT, stream TEXT, version INT, leaf BYTEA)",
        "INSERT INTO event (stream, version, type, at, leaf, entry) VALUES ('b', 0, 't', '', '\\x01', '')",
    )
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT 1 FROM pending WHERE stream = 'b'").fetchone() == (1,)


def test_the_app_records_readings_and_no_half_ones(url: str, tmp_path: Path) -> None:
    """Whole, chained and hashed, by the same rules for every text; anything less is refused."""
    as_app = f"{url}&options=-crole%3Dinterlock_app"
    with closing(PostgresStore(as_app, master=KeyFile(tmp_path / "key"))) as app:
        for ground in ("", 'a "quoted" \\ reason', "für Prüfung № 7 \u2028 🎈"):
            Journal(app).read_texts("a", by="anna", through="log", ground=ground)
    with psycopg.connect(url) as connection:
        (entry,) = connection.execute("SELECT entry FROM record ORDER BY number DESC LIMIT 1").fetchone() or (b"",)
        good = entry.decode()
    for bad in (good.replace('"v":1', '"v":2'), good.replace(',"schema":1', ""), good + " ", good.replace("anna", "")):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="this is no reading of texts"):
            done_as(
                url,
                "interlock_app",
                "INSERT INTO record SELECT max(number) + 1, 'texts_read', max(at), "
                f"sha256('\\x00'::bytea || convert_to($${bad}$$, 'UTF8')), convert_to($${bad}$$, 'UTF8') FROM record",
            )


CHANGES = {
    "ALTER FUNCTION interlock_event_refuses_change() SET search_path = evil, public": (
        "Somebody replaced the triggers that refuse changes: event_refuses_change."
    ),
    "ALTER FUNCTION interlock_waits() SECURITY INVOKER": (
        "Somebody replaced the triggers that refuse changes: event_waits."
    ),
    "CREATE OR REPLACE FUNCTION interlock_scrub(since xid8) RETURNS boolean LANGUAGE sql AS 'SELECT true'": (
        "Somebody replaced the function by which erased texts leave the files."
    ),
    "ALTER TABLE anchor SET UNLOGGED": (
        "Somebody made the table anchor unlogged: it is emptied by a crash of the server."
    ),
    "ALTER TABLE timer RENAME TO timers; CREATE VIEW timer AS SELECT * FROM timers": (
        "The table timer is not there: somebody put something else in its place, such as a view."
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_stands_in_the_place_of_ours_is_named(url: str, change: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE SCHEMA evil")
        owner.execute(change.encode())
    with closing(PostgresStore(url)) as store:
        assert CHANGES[change] in audited(store).beside


def test_a_catalog_of_somebodys_own_hides_nothing(url: str) -> None:
    """A view before the server's catalog, and a database that says so: the connection says where it looks."""
    with psycopg.connect(url, autocommit=True) as owner:
        name = owner.info.dbname
        owner.execute("CREATE VIEW pg_trigger AS SELECT * FROM pg_catalog.pg_trigger")
        owner.execute(f"ALTER DATABASE {name} SET search_path = public, pg_catalog".encode())
        owner.execute("ALTER TABLE event DISABLE TRIGGER event_refuses_change")
        owner.execute(
            "CREATE OR REPLACE VIEW pg_trigger AS SELECT oid, tgrelid, tgparentid, tgname, tgfoid, tgtype, "
            "'A'::\"char\" AS tgenabled, tgisinternal, tgconstrrelid, tgconstrindid, tgconstraint, tgdeferrable, "
            "tginitdeferred, tgnargs, tgattr, tgargs, tgqual, tgoldtable, tgnewtable FROM pg_catalog.pg_trigger"
        )
    with closing(PostgresStore(url)) as store:
        assert "Somebody removed the triggers that refuse changes: event_refuses_change." in audited(store).beside


def test_a_schema_of_the_users_own_name_is_not_looked_at(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as owner:
        user = owner.info.user
        owner.execute(f"CREATE SCHEMA {user}".encode())
    with closing(PostgresStore(url)) as store:
        assert audited(store).beside == ()
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute(f"DROP SCHEMA {user}".encode())
