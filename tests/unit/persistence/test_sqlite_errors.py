"""Each way in which SQLite fails says what to do; the errors here are SQLite's own."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from interlock.contracts.errors import StorageError
from interlock.persistence.sqlite_errors import translated


def raised(path: Path, *statements: str, uri: str = "") -> sqlite3.Error:
    with closing(sqlite3.connect(f"file:{path}{uri}", uri=True, isolation_level=None, timeout=0)) as connection:
        try:
            for statement in statements:
                connection.execute(statement)
        except sqlite3.Error as error:
            return error
    raise AssertionError("nothing was refused")


def test_a_read_only_database(tmp_path: Path):
    """Opened without leave to write."""
    sqlite3.connect(tmp_path / "log.db").close()
    error = translated(raised(tmp_path / "log.db", "CREATE TABLE t (a)", uri="?mode=ro"), "log.db")
    assert str(error) == (
        "The database is read-only. (SQLITE_READONLY: attempt to write a readonly database) Where: log.db. "
        "Fix: Make the file and its folder writable for this user."
    )


def test_a_full_disk(tmp_path: Path):
    """SQLite's own limit of pages is answered as a full disk is."""
    error = translated(
        raised(
            tmp_path / "log.db",
            "PRAGMA max_page_count = 2",
            "CREATE TABLE t (a)",
            "INSERT INTO t VALUES (zeroblob(100000))",
        ),
        "log.db",
    )
    assert str(error) == (
        "The disk is full. (SQLITE_FULL: database or disk is full) Where: log.db. "
        "Fix: Free space on the database's disk; nothing that was acknowledged is lost."
    )


def test_a_locked_database(tmp_path: Path):
    """Another connection holds the write lock."""
    with closing(sqlite3.connect(tmp_path / "log.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        error = translated(raised(tmp_path / "log.db", "BEGIN IMMEDIATE"), "log.db")
    assert error.what == "The database is locked by another program. (SQLITE_BUSY: database is locked)"


def test_a_path_that_cannot_be_opened(tmp_path: Path):
    """The folder is missing."""
    with pytest.raises(sqlite3.Error) as raised_:
        sqlite3.connect(tmp_path / "missing" / "log.db")
    error = translated(raised_.value, "log.db")
    assert error.what == "The database cannot be opened. (SQLITE_CANTOPEN: unable to open database file)"
    assert error.fix == "The folder must exist and be writable for this user."


def test_an_error_nobody_foresaw():
    """It is named whole, and the reader is told that the outcome is not known."""
    error = translated(UnicodeError("odd"), "log.db")
    assert str(error) == (
        "The database failed. (UnicodeError: odd) Where: log.db. Fix: See the cause. What was being written "
        "may or may not be recorded: read the stream again before deciding."
    )


def test_an_error_of_ours_stays_as_it_is():
    """Translated twice is translated once."""
    error = StorageError("once")
    assert translated(error, "log.db") is error
