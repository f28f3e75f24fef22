"""Load: a thousand submissions a minute over a hundred conversations, then more than the queue takes.

    python benchmarks/load.py             # three minutes; --minutes 1 for a quick look

A scripted agent answers after 50 ms; the log is SQLite with an fsync on every commit. Submissions come by the clock,
whether or not earlier ones are done, and a latency counts from the moment at which its submission was due.
"""

import argparse
import asyncio
import gc
import os
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from interlock_side import program
from workload import message

from interlock.agents.scripted import ScriptedAgent
from interlock.contracts.agents import AgentReply
from interlock.contracts.errors import Overloaded
from interlock.contracts.events import AgentReturned, MessageReceived
from interlock.contracts.store import Store
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from interlock.service.loading import recorded
from interlock.service.runtime import Runtime

AGENT_SECONDS = 0.05


@dataclass
class Steady:
    """What came of submissions by the clock."""

    seconds: list[float] = field(default_factory=list)
    """From when each was due until it was answered."""
    rss: list[int] = field(default_factory=list)
    """Bytes of the process at the start, in the middle and at the end."""
    refused: int = 0
    timeouts: int = 0
    turns_in_log: int = 0


@dataclass
class Overload:
    """What came of more submissions at once than may run and wait."""

    acknowledged: int = 0
    refused: int = 0
    refusal_seconds: list[float] = field(default_factory=list)
    acknowledged_in_log: int = 0
    refused_in_log: int = 0
    repeated: int = 0
    in_log_at_the_end: int = 0
    verified: bool = False


def agent(delay: float = AGENT_SECONDS) -> ScriptedAgent:
    answering = ScriptedAgent(lambda _: AgentReply(text="Your invoice is on its way."), delay_seconds=delay)
    answering.requests = _Forgotten()
    return answering


class _Forgotten(list):  # type: ignore[type-arg]
    """The scripted agent keeps every request for tests; here that would be the memory that is measured."""

    def append(self, _: object) -> None:
        return


async def steady(
    store: Store,
    *,
    submissions: int,
    a_minute: float,
    conversations: int,
    at_once: int = 1,
    delay: float = AGENT_SECONDS,
) -> Steady:
    """`submissions` at the rate `a_minute`, so many `at_once`, one conversation after the other."""
    found = Steady()
    async with Runtime(store, program(), agent(delay)) as runtime:
        talks = [(await runtime.start()).conversation for _ in range(conversations)]

        async def one(number: int, due: float) -> None:
            try:
                await runtime.say(talks[number % conversations], message(number))
            except Overloaded:
                found.refused += 1
            else:
                found.seconds.append(time.perf_counter() - due)

        for number in range(conversations):  # every conversation once, so that all is in memory that will be
            await runtime.say(talks[number], message(number))
        found.rss.append(_rss())
        began = time.perf_counter()
        running: set[asyncio.Task[None]] = set()
        for number in range(submissions):
            due = began + number // at_once * at_once * 60 / a_minute
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            task = asyncio.create_task(one(number, due))
            running.add(task)
            task.add_done_callback(running.discard)
            if number == submissions // 2:
                found.rss.append(_rss())
        await asyncio.gather(*running)
        found.rss.append(_rss())
    for talk in talks:
        returned = [event.event for event in recorded(store.read(talk)) if isinstance(event.event, AgentReturned)]
        found.timeouts += sum(event.report.outcome == "timeout" for event in returned)
        found.turns_in_log += sum(event.report.outcome == "done" for event in returned)
    found.turns_in_log -= conversations
    return found


async def overload(
    store: Store, *, submissions: int, concurrent: int, waiting: int, delay: float = AGENT_SECONDS
) -> Overload:
    """As many conversations as submissions, each with one, all at once; what is refused is sent again later."""
    found = Overload()
    async with Runtime(store, program(), agent(delay), concurrent=concurrent, waiting=waiting) as runtime:
        talks = [(await runtime.start()).conversation for _ in range(submissions)]
        refused: list[str] = []
        done: list[str] = []

        async def one(talk: str, due: float) -> None:
            try:
                await runtime.say(talk, message(0), key="only")
            except Overloaded:
                found.refusal_seconds.append(time.perf_counter() - due)
                refused.append(talk)
            else:
                done.append(talk)

        sent = []
        for talk in talks:
            sent.append(asyncio.create_task(one(talk, time.perf_counter())))
            await asyncio.sleep(0)
        await asyncio.gather(*sent)
        found.acknowledged, found.refused = len(done), len(refused)
        found.acknowledged_in_log = sum(_messages(store, talk) for talk in done)
        found.refused_in_log = sum(_messages(store, talk) for talk in refused)
        left = refused
        while left:
            refused = []
            await asyncio.gather(*(one(talk, time.perf_counter()) for talk in left[: concurrent + waiting]))
            left = left[concurrent + waiting :] + refused
        found.repeated = len(done) - found.acknowledged
    found.in_log_at_the_end = sum(_messages(store, talk) for talk in talks)
    found.verified = verify(store).ok
    return found


def _messages(store: Store, talk: str) -> int:
    return sum(isinstance(one.event, MessageReceived) for one in recorded(store.read(talk)))


def _rss() -> int:
    """Bytes of memory that the process holds now; 0 where the system does not say."""
    gc.collect()
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def percentile(values: list[float], percent: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=float, default=3)
    options.add_argument("--a-minute", type=float, default=1_000)
    options.add_argument("--conversations", type=int, default=100)
    given = options.parse_args()
    submissions = int(given.minutes * given.a_minute)
    print(f"{submissions:,} submissions at {given.a_minute:,.0f} a minute over {given.conversations} conversations")
    with tempfile.TemporaryDirectory() as folder:
        for at_once in (1, given.conversations):
            store = SqliteStore(Path(folder) / f"steady-{at_once}.db")
            found = await steady(
                store,
                submissions=submissions,
                a_minute=given.a_minute,
                conversations=given.conversations,
                at_once=at_once,
            )
            store.close()
            tell_steady(found, at_once)
        store = SqliteStore(Path(folder) / "overload.db")
        tell_overload(await overload(store, submissions=600, concurrent=100, waiting=100))
        store.close()


def tell_steady(found: Steady, at_once: int) -> None:
    ms = [value * 1e3 for value in found.seconds]
    rss = " → ".join(f"{size / 2**20:.0f}" for size in found.rss)
    print(f"{at_once} at once:")
    print(
        f"  answered {len(ms):,}, in the log {found.turns_in_log:,}; refused {found.refused}, timeouts {found.timeouts}"
    )
    print(f"  ms until answered: p50 {percentile(ms, 50):.0f}, p99 {percentile(ms, 99):.0f}, most {max(ms):.0f}")
    print(f"  of which the agent {AGENT_SECONDS * 1e3:.0f}; resident memory in MB: {rss}")


def tell_overload(found: Overload) -> None:
    us = [value * 1e6 for value in found.refusal_seconds[: found.refused]]
    print("600 submissions at once, where 100 run and 100 wait:")
    print(f"  acknowledged {found.acknowledged}, of these in the log {found.acknowledged_in_log}")
    print(f"  refused {found.refused}, of these in the log {found.refused_in_log}")
    print(f"  µs until refused: p50 {percentile(us, 50):.0f}, p99 {percentile(us, 99):.0f}, most {max(us):.0f}")
    print(f"  sent again with the same key: {found.repeated} done; {found.in_log_at_the_end} in the log, once each")
    print(f"  the log verifies: {found.verified}")


if __name__ == "__main__":
    asyncio.run(main())
