"""Durable turns a second, with 1, 10 and 100 conversations at once, on SQLite and PostgreSQL.

    pip install -e ".[test]" && python benchmarks/durable.py      # --turns 200 for a quick look

Three things in one run, interleaved, on the same disk. *turns*: the whole runtime, which decides, hashes and records.
*store*: the same appends, made beforehand, through the store alone. *raw*: the same rows of the same bytes, through
`sqlite3` or `psycopg` and nothing else, one commit for each append, as many writers at once as there are conversations.
Every commit is fsynced; a turn of this flow has two. The collector of garbage is set for a process that serves, as
docs/resilience.md advises; `--collector-as-is` leaves it as Python has it.
"""

import argparse
import asyncio
import gc
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from queue import SimpleQueue

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import psycopg
from interlock_side import program
from workload import answer, message

from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.store import Append, Store
from interlock.persistence.codec import conversation_row, event_row
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime
from support.postgres import database

AT_ONCE = (1, 10, 100)
MOST_CONNECTIONS = 50
PARTS = ("turns", "store", "raw")
Rows = Sequence[Sequence[tuple[object, ...]]]
"""For each table, the rows of one append."""

TABLES = {
    "event": 7,
    "payload": 6,
    "conversation": 13,
}
"""Columns of each table of the floor: keys and bytes as ours, without triggers or foreign keys."""


class Answers:
    """A model that answers at once, and keeps nothing of what it was asked."""

    name = "answers"

    def __init__(self) -> None:
        self._said = count()

    async def run(self, request: AgentRequest) -> AgentReply:
        return AgentReply(text=answer(next(self._said)))


class Remembers(MemoryStore):
    """Keeps the appends of a run, to be made again."""

    def __init__(self) -> None:
        super().__init__(origin="interlock-benchmark")
        self.appends: list[Append] = []

    def enqueue(self, append: Append) -> "Future[int]":
        self.appends.append(append)
        return super().enqueue(append)


async def run_turns(store: Store, conversations: int, turns: int) -> float:
    """Turns a second; the conversations are begun before the clock runs."""
    async with Runtime(store, program(), Answers()) as runtime:
        begun = [(await runtime.start()).conversation for _ in range(conversations)]

        async def talk(conversation: str) -> None:
            for turn in range(turns // conversations):
                await runtime.say(conversation, message(turn))

        started = time.perf_counter()
        await asyncio.gather(*map(talk, begun))
        return turns / (time.perf_counter() - started)


def appends_of(conversations: int, turns: int) -> list[list[Append]]:
    """The appends of such a run, those of each conversation apart."""
    store = Remembers()
    asyncio.run(run_turns(store, conversations, turns))
    apart: dict[str, list[Append]] = {}
    for append in store.appends:
        apart.setdefault(append.summary.stream, []).append(append)
    return list(apart.values())


def through(write: Callable[[Append], object], apart: list[list[Append]], turns: int) -> float:
    """Turns a second, each conversation on a thread of its own."""

    def one(appends: list[Append]) -> None:
        for append in appends:
            write(append)

    started = time.perf_counter()
    with ThreadPoolExecutor(len(apart)) as pool:
        list(pool.map(one, apart))
    return turns / (time.perf_counter() - started)


def rows_of(append: Append) -> Rows:
    payloads = [
        (entry.stream, entry.version, one.name, one.kind, one.r, one.plaintext)
        for entry in append.entries
        for one in entry.payloads
    ]
    return ([event_row(entry) for entry in append.entries], payloads, [conversation_row(append.summary)])


def statements(place: str) -> list[str]:
    made = []
    for table, columns in TABLES.items():
        verb = "INSERT INTO"
        tail = ""
        if table == "conversation":
            tail = " ON CONFLICT (c0) DO UPDATE SET " + ", ".join(f"c{n} = excluded.c{n}" for n in range(1, columns))
        made.append(f"{verb} {table} VALUES ({', '.join([place] * columns)}){tail}")
    return made


def tables(binary: str) -> list[str]:
    types = {"event": ["TEXT", "INT", "TEXT", "TEXT", "TEXT", binary, binary]}
    types["payload"] = ["TEXT", "INT", "TEXT", "TEXT", binary, binary]
    types["conversation"] = ["TEXT", "TEXT", "INT", *["TEXT"] * 4, "INT", "TEXT", "TEXT", "INT", "TEXT", "TEXT"]
    keys = {"event": "c0, c1", "payload": "c0, c1, c2", "conversation": "c0"}
    columns = {table: ", ".join(f"c{n} {kind}" for n, kind in enumerate(kinds)) for table, kinds in types.items()}
    return [f"CREATE TABLE {table} ({columns[table]}, PRIMARY KEY ({keys[table]}))" for table in types]


@contextmanager
def raw_sqlite(folder: str) -> Iterator[Callable[[Append], object]]:
    """One connection and a lock around it: SQLite has one writer."""
    lock = threading.Lock()
    with closing(sqlite3.connect(Path(folder) / "raw.db", isolation_level=None, check_same_thread=False)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        for table in tables("BLOB"):
            connection.execute(table)
        verbs = statements("?")

        def write(append: Append) -> None:
            with lock:
                connection.execute("BEGIN IMMEDIATE")
                for verb, rows in zip(verbs, rows_of(append), strict=True):
                    connection.executemany(verb, rows)
                connection.execute("COMMIT")

        yield write


@contextmanager
def raw_postgres(url: str) -> Iterator[Callable[[Append], object]]:
    """A connection for each writer, as far as a server takes them."""
    with psycopg.connect(url, autocommit=True) as first:
        for table in tables("BYTEA"):
            first.execute(table)
    verbs = statements("%s")
    free: SimpleQueue[psycopg.Connection] = SimpleQueue()
    opened = [psycopg.connect(url) for _ in range(MOST_CONNECTIONS)]
    for connection in opened:
        free.put(connection)

    def write(append: Append) -> None:
        connection = free.get()
        with connection.cursor() as cursor:
            for verb, rows in zip(verbs, rows_of(append), strict=True):
                cursor.executemany(verb, rows)
        connection.commit()
        free.put(connection)

    yield write
    for connection in opened:
        connection.close()


def measured(engine: str, conversations: int, turns: int) -> dict[str, float]:
    apart = appends_of(conversations, turns)
    found = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        database() as ours,
        database() as again,
        database(ready=False) as bare,
    ):

        def opened(name: str, url: str) -> SqliteStore | PostgresStore:
            origin = "interlock-benchmark"
            return (
                SqliteStore(Path(folder) / name, origin=origin)
                if engine == "SQLite"
                else PostgresStore(url, origin=origin)
            )

        with closing(opened("turns.db", ours)) as store:
            found["turns"] = asyncio.run(run_turns(store, conversations, turns))
        with closing(opened("store.db", again)) as store:
            found["store"] = through(store.append, apart, turns)
        with raw_sqlite(folder) if engine == "SQLite" else raw_postgres(bare) as write:
            found["raw"] = through(write, apart, turns)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=2_000, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--collector-as-is", action="store_true", help="leave Python's collector of garbage as it is")
    chosen = parser.parse_args()
    if not chosen.collector_as_is:
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
    print(f"{'':12} {'at once':>8} {'turns/s':>10} {'store/s':>10} {'raw/s':>10} {'turns:raw':>10} {'store:raw':>10}")
    for engine in ("SQLite", "PostgreSQL"):
        for conversations in AT_ONCE:
            rounds = [measured(engine, conversations, chosen.turns) for _ in range(chosen.rounds)]
            turns, store, raw = (statistics.median(one[part] for one in rounds) for part in PARTS)
            print(
                f"{engine:12} {conversations:8} {turns:10,.0f} {store:10,.0f} {raw:10,.0f} "
                f"{turns / raw:10.2f} {store / raw:10.2f}"
            )


if __name__ == "__main__":
    main()
