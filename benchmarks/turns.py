"""What a turn costs, and how that grows: Interlock and LangGraph in one run, interleaved, medians and ratios.

    pip install -e ".[bench]"
    python benchmarks/turns.py            # about three minutes; --turns 200 for a quick look

Interlock syncs every commit to the disk; LangGraph's saver runs at its own, weaker durability. A floor is
measured beside both: the same number of bytes written by plain `sqlite3`, two synced commits a turn.
"""

import argparse
import asyncio
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from interlock_side import NAME as INTERLOCK
from interlock_side import InterlockSide, program
from langgraph_side import NAME as LANGGRAPH
from langgraph_side import LangGraphSide
from workload import message

MARKS = (10, 100, 1_000)


async def growth(side: Any, turns: int) -> dict[str, Any]:
    """One conversation of `turns` turns: µs a turn and bytes stored at each mark."""
    await side.open()
    say = await side.start()
    spent: list[float] = []
    at: dict[int, tuple[float, int]] = {}
    for number in range(turns):
        began = time.perf_counter()
        await say(message(number))
        spent.append((time.perf_counter() - began) * 1e6)
        if number + 1 in MARKS:
            window = spent[-(8 if number < 20 else 50) :]
            at[number + 1] = (statistics.median(window), side.stored_bytes())
    await side.close()
    return {"at": at, "median": statistics.median(spent)}


async def cold(side_class: Any, folder: Path) -> float:
    """Seconds from opening the store to the whole conversation in memory, as a new process would."""
    times = []
    for _ in range(3):
        side = side_class(folder)
        began = time.perf_counter()
        await side.open()
        await side.resume()
        times.append(time.perf_counter() - began)
        await side.close()
    return statistics.median(times)


async def short(side_class: Any, conversations: int, turns: int) -> float:
    """µs a turn over short conversations, one after another, start included."""
    with tempfile.TemporaryDirectory() as folder:
        side = side_class(Path(folder))
        await side.open()
        began = time.perf_counter()
        for _ in range(conversations):
            say = await side.start()
            for number in range(turns):
                await say(message(number))
        spent = (time.perf_counter() - began) / (conversations * turns) * 1e6
        await side.close()
    return spent


def floor(bytes_a_turn: int, turns: int = 300) -> float:
    """µs for two synced commits of plain `sqlite3` that store as many bytes as a turn of ours."""
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "floor.db", isolation_level=None)
        connection.execute("pragma journal_mode=wal")
        connection.execute("pragma synchronous=full")
        connection.execute("create table event (id integer primary key, body blob)")
        body, spent = os.urandom(max(1, bytes_a_turn // 10)), []
        for _ in range(turns):
            began = time.perf_counter()
            for _ in range(2):
                connection.execute("begin immediate")
                connection.executemany("insert into event (body) values (?)", [(body,)] * 5)
                connection.execute("commit")
            spent.append((time.perf_counter() - began) * 1e6)
        connection.close()
    return statistics.median(spent)


def redecided(folder: Path) -> float:
    """Events decided again in a second, from the stored conversation."""
    from interlock.fsm.replay import redecide
    from interlock.persistence.sqlite_store import SqliteStore
    from interlock.service.loading import recorded

    store, compiled = SqliteStore(folder / "interlock.db"), program()
    stream = store.summaries()[0].stream
    entries = store.read(stream)
    began = time.perf_counter()
    found = redecide(compiled, stream, recorded(entries))
    spent = time.perf_counter() - began
    store.close()
    assert found.divergences == 0
    return len(entries) / spent


def import_seconds(module: str, times: int = 5) -> float:
    """Median seconds that `import module` takes in a new interpreter, less the interpreter's own start."""

    def run(code: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, cwd=tempfile.gettempdir())
        return time.perf_counter() - began

    return statistics.median(run(f"import {module}") for _ in range(times)) - statistics.median(
        run("pass") for _ in range(times)
    )


def row(what: str, ours: float, theirs: float, unit: str, better: str = "less") -> None:
    ratio = theirs / ours if better == "less" else ours / theirs
    print(f"{what:<44} {ours:>13,.0f} {theirs:>13,.0f} {unit:<8} {ratio:>8.1f} x")


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--turns", type=int, default=1_000)
    options.add_argument("--rounds", type=int, default=3)
    given = options.parse_args()
    print(f"A: {INTERLOCK}\nB: {LANGGRAPH}\n")
    print(f"{'':<44} {'A':>13} {'B':>13} {'':<8} {'A better':>10}")
    shorts: dict[Any, list[float]] = {InterlockSide: [], LangGraphSide: []}
    for _ in range(given.rounds):
        for side_class, found in shorts.items():
            found.append(await short(side_class, 10, 10))
    ours, theirs = (statistics.median(found) for found in shorts.values())
    row("a turn, short conversations", ours, theirs, "µs")
    row("turns a second", 1e6 / ours, 1e6 / theirs, "", "more")
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        a = await growth(InterlockSide(Path(one)), given.turns)
        b = await growth(LangGraphSide(Path(other)), given.turns)
        for mark in a["at"]:
            row(f"a turn, after {mark:,} turns of history", a["at"][mark][0], b["at"][mark][0], "µs")
        for mark in a["at"]:
            row(f"stored bytes a turn, over {mark:,} turns", a["at"][mark][1] / mark, b["at"][mark][1] / mark, "bytes")
        last = max(a["at"])
        row(
            f"cold resume of {given.turns:,} turns",
            await cold(InterlockSide, Path(one)) * 1e6,
            await cold(LangGraphSide, Path(other)) * 1e6,
            "µs",
        )
        lowest = floor(a["at"][last][1] // last)
        print(f"\nA at turn {last:,} / A at turn {min(a['at'])}: {a['at'][last][0] / a['at'][min(a['at'])][0]:.2f} x")
        print(
            f"floor (plain sqlite3, same bytes, two synced commits): {lowest:,.0f} µs; A is {ours / lowest:.1f} x that"
        )
        print(f"re-decided: {redecided(Path(one)):,.0f} events a second, without a model")
    print(
        f"import interlock: {import_seconds('interlock') * 1e3:,.0f} ms; "
        f"import langgraph.graph: {import_seconds('langgraph.graph') * 1e3:,.0f} ms"
    )


if __name__ == "__main__":
    asyncio.run(main())
