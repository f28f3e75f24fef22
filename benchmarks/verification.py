"""What each check of a verification costs an event, on both stores; printed by `evidence.py`.

    python benchmarks/verification.py [CONVERSATIONS]

The log is the bank's: real messages, encrypted texts, about twenty entries of some 700 bytes a conversation, copied
under new ids as in `backtest.py`. All in processor time of one core, the median of three rounds. The mark is 300,000
events a second, 3.3 µs an event for everything.
"""

import asyncio
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import msgspec
import orjson
from backtest import copies, distinct, utterances

from interlock.contracts.canonical import leaf_hash, parsed
from interlock.contracts.payload import Payload, commitment
from interlock.contracts.store import StoredEntry
from interlock.persistence import verify as verifying
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.whole import Whole
from interlock.service.auditing import audited
from interlock.service.executing import collecting_seldom
from support.postgres import database

ROUNDS = 3
MARK = 1e6 / 300_000
Log = SqliteStore | PostgresStore


class Table:
    """Rows of µs an event."""

    def __init__(self, events: int) -> None:
        self.events = events

    def cost(self, work: Callable[[], object]) -> float:
        spent = []
        for _ in range(ROUNDS):
            began = time.process_time()
            work()
            spent.append(time.process_time() - began)
        return median(spent) / self.events * 1e6

    def row(self, name: str, cost: float) -> float:
        print(f"  {name:<62} {cost:7.2f} µs {1e6 / max(cost, 1e-3):12,.0f} events/s")
        return cost


def filled(store: Log, recorded: MemoryStore, names: list[str], conversations: int) -> None:
    for row in recorded.flows():
        store.put_flow(row)
    for future in [store.enqueue(one) for one in copies(recorded, names, conversations, store.log)]:
        future.result()


def entries_of(wholes: list[Whole]) -> Iterator[StoredEntry]:
    for whole in wholes:
        yield from whole.entries


def chained(wholes: list[Whole], log: str) -> None:
    for whole in wholes:
        previous = b""
        for position, row in enumerate(whole.entries):
            verifying._entry(row, whole.stream, position, previous, log)
            previous = row.leaf


def table(title: str, store: Log) -> Table:
    lengths = store.lengths()
    wholes = list(store.wholes(lengths))
    rows = list(entries_of(wholes))
    size = sum(len(row.data) for row in rows) / len(rows)
    found: list[list[Payload]] = [list((whole.payloads() or {}).values()) for whole in wholes]
    texts = [one for group in found for one in group]
    print(f"\n{title}: {len(rows):,} entries of {size:.0f} bytes, {len(texts):,} texts, {len(wholes):,} conversations")
    of = Table(len(rows))
    read = msgspec.json.Decoder().decode
    data = [row.data for row in rows]
    of.row("the rows read, nothing looked at", of.cost(lambda: sum(len(one.entries) for one in store.wholes(lengths))))
    leaf = of.row("leaf: SHA-256 of the bytes", of.cost(lambda: [leaf_hash(one) and None for one in data]))
    form = of.row("canonical form: read and written again", of.cost(lambda: [parsed(one) and None for one in data]))
    of.row("  of which: read once (msgspec)", of.cost(lambda: [read(one) and None for one in data]))
    sort = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
    both = of.cost(lambda: [orjson.dumps(read(one), option=sort) and None for one in data])
    of.row("  of which: read, and written sorted (orjson)", both)
    of.row("`prev` and columns", of.cost(lambda: chained(wholes, store.log)) - leaf - form)
    pairs = [(row, parsed(row.data)) for row in rows]
    of.row("which texts an entry names", of.cost(lambda: [verifying._refs(*one) and None for one in pairs]))
    of.row("texts opened: AES-256-GCM", of.cost(lambda: [one.payloads() and None for one in wholes]))
    of.row("texts' commitments: HMAC", of.cost(lambda: [commitment(one.r, one.plaintext) and None for one in texts]))
    of.row("the conversation's row", of.cost(lambda: [one.summary() and None for one in wholes]))
    return of


def together(of: Table, store: Log) -> None:
    """Nothing of the log is held in memory beside: as it is with `interlock verify`."""
    whole = of.row("verify: all of the above", of.cost(lambda: verifying.verify(store)))
    all_of = of.cost(lambda: audited(store))
    of.row("  and the fold of every event (`interlock verify`): more", all_of - whole)
    of.row("`interlock verify`, without the tree", all_of)
    print(f"  the mark of 300,000 events a second is {MARK:.2f} µs")


def main(conversations: int = 1_000) -> None:
    recorded, names = asyncio.run(distinct(min(100, conversations), utterances()[1]))
    with TemporaryDirectory() as folder, ExitStack() as stack:
        url = stack.enter_context(database())
        for title, opened in (
            ("SQLite", lambda: SqliteStore(Path(folder) / "log.db")),
            ("PostgreSQL", lambda: PostgresStore(url, master=None)),
        ):
            with closing(opened()) as store, collecting_seldom():  # as `interlock verify` does
                filled(store, recorded, names, conversations)
                of = table(title, store)
                together(of, store)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
