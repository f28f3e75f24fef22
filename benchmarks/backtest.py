"""A history of 100,000 conversations through a changed flow: time, throughput and memory, and what reading alone takes.

    python benchmarks/backtest.py                        # makes the history first: some minutes
    python benchmarks/backtest.py --conversations 5000   # a quick look

The history is the bank flow run on real messages (Banking77 where it is there, else the messages that the bank's
router was trained on): a few thousand distinct conversations of two messages each, and copies of them under new ids,
sealed anew, until there are as many as asked for. Run are: reading all entries and nothing else, twice (the plain-read
limit), the same flow, and a changed threshold. `--folder` keeps the history for another run.
"""

import argparse
import asyncio
import csv
import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from uuid import UUID

from interlock.contracts.canonical import leaf_hash
from interlock.contracts.envelope import Entry
from interlock.contracts.store import Append, FlowRow
from interlock.persistence.codec import entry_of
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.scanning import Scan
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.backtesting import PIECE, Finished, Selection, Variant, backtest_log
from interlock.service.executing import executor_for
from interlock.service.project import load_project

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("INTERLOCK_DATA") or ROOT.parent / "shared" / "data")
SEED = 20


def utterances() -> tuple[str, list[str]]:
    """Where the messages are from, and the messages."""
    path = DATA / "banking77" / "train.csv"
    if not path.is_file():
        path = ROOT / "examples" / "bank" / "utterances.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return str(path), [row["text"] for row in csv.DictReader(file)]


async def distinct(number: int, messages: list[str]) -> tuple[MemoryStore, list[str]]:
    """So many conversations of two messages each, led by the runtime with the bank's script."""
    from interlock.service.runtime import Runtime

    bank, store, rng = load_project("bank"), MemoryStore(), random.Random(SEED)
    assert bank.scripted
    names = []
    async with Runtime(store, bank.program, bank.scripted(), sources={bank.program.ref.digest: "bank"}) as runtime:
        for _ in range(number):
            name = str(UUID(int=rng.getrandbits(128), version=4))
            names.append(name)
            await runtime.start(conversation=name)
            for text in rng.sample(messages, 2):
                await runtime.say(name, text)
    return store, names


def copies(store: MemoryStore, names: list[str], number: int, log: str) -> Iterator[Append]:
    """Appends of `number` conversations: each of the distinct ones in turn, under a new id and sealed anew."""
    rng, made = random.Random(SEED + 1), 0
    while made < number:
        for name in names[: number - made]:
            fresh = str(UUID(int=rng.getrandbits(128), version=4))
            summary = store.summary(name)
            assert summary is not None
            timers = tuple(replace(timer, stream=fresh) for timer in summary.timers)
            payloads = store.payloads(name)
            entries, previous = list[Entry](), b""
            for row in store.read(name):
                entry = entry_of(row, payloads)
                data = row.data.replace(name.encode(), fresh.encode()).replace(store.log.encode(), log.encode())
                if entries:
                    data = data.replace(
                        store.read(name, limit=row.version)[-1].leaf.hex().encode(), previous.hex().encode()
                    )
                previous = leaf_hash(data)
                entries.append(replace(entry, stream=fresh, data=data, leaf=previous))
            made += 1
            yield Append(tuple(entries), 0, replace(summary, stream=fresh, timers=timers, owner=""))


def make(path: Path, number: int, of: int) -> None:
    """The history in a log of its own. Waits for the disk only where many conversations were enqueued."""
    source, messages = utterances()
    began = time.perf_counter()
    recorded, names = asyncio.run(distinct(min(of, number), messages))
    print(f"messages       {len(messages):,} from {source}")
    print(f"distinct       {len(names):,} conversations led by the runtime in {time.perf_counter() - began:.0f} s")
    began = time.perf_counter()
    store = SqliteStore(path, origin=recorded.log)
    for row in recorded.flows():
        store.put_flow(FlowRow(row.digest, row.name, row.version, row.body, "bank"))
    waiting = []
    for append in copies(recorded, names, number, store.log):
        waiting.append(store.enqueue(append))
        if len(waiting) == 2_000:
            for future in waiting:
                future.result()
            waiting.clear()
    for future in waiting:
        future.result()
    store.close()
    print(f"history        {number:,} conversations written in {time.perf_counter() - began:.0f} s")


def read_piece(piece: tuple[str, tuple[str, ...]]) -> tuple[int, int]:
    """Entries and bytes of some conversations, read and not looked at."""
    scan = Scan(Path(piece[0]))
    events = size = 0
    for _, rows in scan.entries(piece[1]):
        events += len(rows)
        size += sum(len(data) for data in rows)
    scan.close()
    return events, size


def plain_read(path: Path, jobs: int) -> tuple[float, int, int]:
    """Seconds, entries and bytes of reading every entry in as many processes as the backtest has."""
    scan = Scan(path)
    streams = [one.stream for one in scan.listed()]
    scan.close()
    pieces = [(str(path), tuple(streams[at : at + PIECE])) for at in range(0, len(streams), PIECE)]
    began = time.perf_counter()
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        found = list(pool.map(read_piece, pieces))
    return time.perf_counter() - began, sum(one for one, _ in found), sum(size for _, size in found)


def peak_mib() -> float:
    """The largest process so far, this one or one that has ended, in MiB."""
    return max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024


def cpu_seconds() -> float:
    """Of all processes that have ended, and of this one: on a busy machine, what a quiet one would take in all."""
    return sum(
        one.ru_utime + one.ru_stime
        for one in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def report(title: str, spent: float, cpu: float, found: Finished) -> None:
    tally = found.tally
    print(
        f"{title:<14} {spent:6.1f} s ({cpu:.0f} s of CPU)   {tally.conversations / spent:8,.0f} conversations/s "
        f"{tally.decisions / spent:8,.0f} decisions/s   {dict(tally.verdicts)}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--conversations", type=int, default=100_000)
    parser.add_argument("--distinct", type=int, default=3_000)
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--folder", type=Path, help="keep the history here, and use it where it is there")
    parser.add_argument("--threshold", default="0.7")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        path = (given.folder or Path(temporary)) / f"history-{given.conversations}.db"
        if not path.is_file():
            make(path, given.conversations, given.distinct)
        print(f"log            {path.stat().st_size / 2**20:,.0f} MiB, {given.jobs} processes")
        for _ in range(2):
            spent, events, size = plain_read(path, given.jobs)
            read = f"{events:,} entries, {size / 2**20:,.0f} MiB"
            print(f"plain read     {spent:6.1f} s   {events / spent:8,.0f} entries/s   {read}")
        for title, thresholds in (("same flow", ()), (f"threshold {given.threshold}", (("", given.threshold),))):
            began, used = time.perf_counter(), cpu_seconds()
            found = backtest_log(path, Variant("bank", thresholds), Selection(), executor_for(given.jobs))
            report(title, time.perf_counter() - began, cpu_seconds() - used, found)
            if not thresholds and found.tally.verdicts["same"] != found.tally.turns:
                sys.exit("the same flow must give the same turns")
        print(f"peak memory    {peak_mib():,.0f} MiB in the largest process")


if __name__ == "__main__":
    main()
