"""Random changes of rows on PostgreSQL: what `tests/faults/test_database_mutations.py` does to a file."""

import asyncio
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from interlock.contracts.errors import InterlockError
from interlock.persistence.evidence.checking import Outside, attested
from interlock.persistence.keyfile import KeyFile
from interlock.persistence.postgres_store import PostgresStore
from interlock.service.auditing import audited
from support.mutated import EVIDENCE, NOT_EVIDENCE_COLUMNS, other
from support.postgres import database, server, url_of
from support.small_log import written

TABLES = sorted({*EVIDENCE, "pending"} - {"checkpoint"})
"""A checkpoint's row is tried on SQLite: the same code reads it."""
OURS = "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND NOT tgisinternal"


@dataclass
class Kept:
    """The small log in a database of its own, which copies are made of."""

    name: str
    master: KeyFile
    outside: Outside

    def faults(self, url: str) -> list[str]:
        try:
            with closing(PostgresStore(url, master=self.master)) as store:
                report = audited(store)
                found = [*(one.what for one in report.broken), *report.beside]
                return found or list(attested(store.tree(), self.outside).faults)
        except InterlockError as error:
            return [error.what]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    folder = tmp_path_factory.mktemp("log")
    with database() as url:
        master = KeyFile(folder / "master.key")
        master.create()
        with closing(PostgresStore(url, origin="log.example/small", master=master)) as store:
            outside = asyncio.run(written(store, folder))
        yield Kept(url.rpartition("?")[0].rpartition("/")[2], master, outside)


@contextmanager
def copy(kept: Kept) -> Iterator[str]:
    name = f"interlock_{uuid4().hex[:16]}"
    with psycopg.connect(server(), autocommit=True) as connection:
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
        connection.execute(made.format(sql.Identifier(name), sql.Identifier(kept.name)))
        try:
            yield url_of(name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def changed(url: str, random: Random) -> str:
    """One value or one row, by the owner, whom no trigger stops; they are as before afterwards."""
    with psycopg.connect(url, autocommit=True) as connection:
        table = random.choice(TABLES)
        columns = [one[0] for one in connection.execute(f"SELECT * FROM {table} LIMIT 0").description or ()]
        rows = connection.execute(f"SELECT ctid::text, * FROM {table} ORDER BY ctid").fetchall()
        row = random.choice(rows)
        connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
        try:
            return _one(connection, table, columns, row, random)
        except psycopg.Error:
            return ""  # the database itself will not have it
        finally:
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER ALL")
            for (name,) in connection.execute(OURS, (table,)).fetchall():
                connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}")


def _one(connection: Any, table: str, columns: list[str], row: Any, random: Random) -> str:
    if random.random() < 0.25:
        connection.execute(f"DELETE FROM {table} WHERE ctid = %s::tid", row[:1])
        return f"{table} deleted"
    column = random.choice([one for one in columns if (table, one) not in NOT_EVIDENCE_COLUMNS])
    was = row[1 + columns.index(column)]
    new = other(was, random)
    if (type(new), new) == (type(was), was):
        return ""
    connection.execute(f"UPDATE {table} SET {column} = %s WHERE ctid = %s::tid", (new, row[0]))
    return f"{table}.{column}: {was!r:.80} -> {new!r:.80}"


def missed(kept: Kept, seeds: range) -> list[str]:
    found = []
    for seed in seeds:
        with copy(kept) as url:
            said = changed(url, Random(seed))
            if said and not kept.faults(url):
                found.append(f"seed {seed}: {said}")
    return found


def test_an_honest_database_raises_no_alarm(kept: Kept) -> None:
    with copy(kept) as url:
        assert kept.faults(url) == []


def test_every_changed_row_is_found(kept: Kept) -> None:
    assert missed(kept, range(10)) == []


@pytest.mark.full
def test_every_changed_row_is_found_in_hundreds(kept: Kept) -> None:
    assert missed(kept, range(1000, 1300)) == []


WAITS = "The entry has no place in the tree, and is not among those that wait for one."


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM pending", "UPDATE pending SET leaf = '\\x00'", "INSERT INTO pending VALUES (99999, 'x', 0, '\\x00')"],
)
def test_what_would_not_get_its_place_is_found(kept: Kept, statement: str) -> None:
    """The sequencer takes what waits in a table of its own: it holds exactly what has no place."""
    with copy(kept) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)
        assert WAITS in kept.faults(url)
