"""Rows of types that no table admits, put in by somebody who rewrote the schema: a verdict, never a traceback."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.tables import METADATA
from interlock.service.auditing import audited
from support.archives import archived_to, pruned
from support.erasure import talked
from support.evidence import ORIGIN, checkpointer

VALUES = ["NULL", "x'ff'", "'text'"]


def put(path: Path, table: str, column: str, value: str) -> int:
    """Strip the table of its types, write the value into its last row, and put the schema back; 0 if it has none."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        (whole,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (table,)).fetchone()
        connection.execute("PRAGMA writable_schema = ON")
        bare = whole.replace(" STRICT", "").replace("NOT NULL", "")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (bare, table))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        last = f"(SELECT max(rowid) FROM {table})"
        count = connection.execute(f"UPDATE {table} SET {column} = {value} WHERE rowid = {last}").rowcount
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (whole, table))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for _, sql in triggers:
            connection.execute(sql)
    return count


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with a row in most tables: an archive was pruned from it, and it goes on."""
    folder = tmp_path_factory.mktemp("whole")
    with closing(SqliteStore(folder / "log.db", origin=ORIGIN)) as store:
        signing = checkpointer(store.tree())
        asyncio.run(talked(store, "anna", [1]))
        archived_to(store, folder / "old", signing)
        pruned(store, folder / "old", signing)
        asyncio.run(talked(store, "bert", [2]))
        signing.checkpoint()
        assert audited(store).ok
        assert store.misfits() == []
    return folder / "log.db"


def copied(whole: Path, folder: Path) -> Path:
    for one in whole.parent.iterdir():
        if one.is_file():
            (folder / one.name).write_bytes(one.read_bytes())
    return folder / whole.name


TABLES = [
    *("event", "payload", "data_key", "conversation", "flow", "archived"),
    *("leaf", "record", "checkpoint", "head", "head_node"),
]


@pytest.mark.parametrize("table", TABLES)
def test_no_value_of_another_type_is_met_by_a_traceback(whole: Path, tmp_path: Path, table: str) -> None:
    """Every column of every table that a log needs, with every type that it may not have: table and row are named."""
    tried = 0
    for column in METADATA.tables[table].columns:
        for value in VALUES:
            log = copied(whole, tmp_path)
            try:
                if not put(log, table, column.name, value):
                    continue
            except sqlite3.Error:  # a primary key of integers takes nothing else, whatever the schema says
                continue
            with closing(SqliteStore(log)) as store:
                misfits = store.misfits()
                if not misfits:  # a value that the column may have
                    continue
                assert f"the table {table} holds " in str(misfits[0])
                assert f" in {column.name}, where " in str(misfits[0])
                assert audited(store).beside == tuple(map(str, misfits))
            tried += 1
    assert tried >= 2


@pytest.mark.parametrize(
    ("table", "column", "value", "says"),
    [
        ("event", "entry", "'text'", "holds text in entry, where blob belongs."),
        ("event", "version", "'a'", "holds text in version, where integer belongs."),
        ("flow", "body", "NULL", "holds nothing in body, where blob belongs."),
        ("flow", "digest", "NULL", "holds nothing in digest, where text belongs."),
        ("flow", "source", "x''", "holds blob in source, where text belongs."),
        ("archived", "length", "NULL", "holds nothing in length, where integer belongs."),
        ("archived", "record", "x'ff'", "holds blob in record, where integer belongs."),
        ("record", "entry", "7", "holds integer in entry, where blob belongs."),
    ],
)
def test_verify_and_doctor_name_the_row(
    run: Any, whole: Path, tmp_path: Path, table: str, column: str, value: str, says: str
) -> None:
    """Each of these stopped one of the two with a traceback once."""
    log = copied(whole, tmp_path)
    assert put(log, table, column, value) == 1
    for command in ("verify", "doctor"):
        ran = run(command, "--db", log)
        assert (ran.code, f"of the table {table} {says}" in ran.words) == (1, True), ran.words
    found = run("verify", "--db", log, "--json").json
    assert (found["ok"], found["attestation"]) == (False, "BROKEN")
