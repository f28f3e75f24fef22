"""Changing the master key is all or nothing: where the database refuses, the same key wraps as before."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from interlock.contracts.envelope import Head
from interlock.contracts.errors import StorageError
from interlock.persistence.keyfile import KeyFile
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service import keys
from support.postgres import database
from support.stores import LOG, decided


def refused_by(path: Path, when: str) -> None:
    """The database fails at each change of a data key that is so."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(
            f"CREATE TRIGGER no BEFORE UPDATE ON data_key {when} BEGIN SELECT RAISE(ABORT, 'no room'); END"
        )


def test_a_database_that_fails_leaves_the_key_file_as_it_is(tmp_path: Path) -> None:
    """Byte for byte; and when it works again, the key is changed."""
    path, master = tmp_path / "log.db", KeyFile(tmp_path / "log.key")
    with closing(SqliteStore(path, origin=LOG, master=master)) as store:
        store.append(decided(Head("a"), written=[b"one"]))
        before = master.path.read_bytes()
        refused_by(path, "")
        with pytest.raises(StorageError, match="no room"):
            keys.rotate(store, by="ops")
        assert master.path.read_bytes() == before
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TRIGGER no")
        assert keys.rotate(store, by="ops") == 1
        assert (len(master.ids()), master.path.read_bytes() != before) == (1, True)
        assert [one.plaintext for one in store.payloads("a").values()] == [b"one"]


def test_a_failure_on_the_way_leaves_the_old_key_wrapping(tmp_path: Path) -> None:
    """The new key stays readable, for another process may have used it meanwhile; the next rotation is whole."""
    path, master = tmp_path / "log.db", KeyFile(tmp_path / "log.key")
    with closing(SqliteStore(path, origin=LOG, master=master)) as store:
        store.append(decided(Head("a"), written=[b"one"]))
        (before,) = master.ids()
        refused_by(path, "WHEN OLD.wrapped <> NEW.wrapped")
        with pytest.raises(StorageError, match="no room"):
            keys.rotate(store, by="ops")
        assert (len(master.ids()), master.ids()[-1]) == (2, before)
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("DROP TRIGGER no")
        assert keys.rotate(store, by="ops") == 1
        assert (len(master.ids()), before in master.ids()) == (1, False)
        assert [one.plaintext for one in store.payloads("a").values()] == [b"one"]


@pytest.mark.parametrize("texts", [True, False])
def test_who_may_not_rewrap_changes_no_key(tmp_path: Path, texts: bool) -> None:
    """On PostgreSQL the owner rotates: a member of the app's role is refused before the file is touched."""
    master = KeyFile(tmp_path / "log.key")
    with database() as url:
        with closing(PostgresStore(url, origin=LOG, master=master)) as store:
            master.create()
            if texts:
                store.append(decided(Head("a"), written=[b"one"]))
            before = master.path.read_bytes()
        sign = "&" if "?" in url else "?"
        with closing(PostgresStore(f"{url}{sign}options=-crole%3Dinterlock_app", master=master)) as app:
            with pytest.raises(StorageError, match="user may not do this"):
                keys.rotate(app, by="ops")
            assert master.path.read_bytes() == before
        with closing(PostgresStore(url, master=master)) as store:
            assert keys.rotate(store, by="ops") == int(texts)
            assert master.path.read_bytes() != before
