"""SIGKILL at any moment: what was acknowledged is there, nothing is done twice, and every conversation goes on.

A cycle: a child process runs three conversations at once; it is killed after a random time; this process opens
the same file, recovers, sends again what was never answered, and compares the log with what the child was told
and with what happened in the world outside.
"""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.events import MessageReceived, ToolRequested
from interlock.contracts.store import Store
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime
from support.figures import record
from support.fork_server import ForkServer
from support.kill_child import slow_script, world_program
from support.runtime import CLERK, check_log, of_type

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
CHILD = Path(__file__).parents[1] / "support" / "kill_child.py"
CYCLES_IN_A_FILE = 10
BATCHES, CYCLES = 4, 50
MOST = 300
"""Kills until a control must have failed; on a busy machine few of them meet a call."""


@dataclass
class Promised:
    """What one child said before it died."""

    sent: dict[tuple[str, str], str] = field(default_factory=dict)
    acked: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    code: int = 0

    @property
    def unanswered(self) -> list[tuple[str, str, str]]:
        return [(name, key, text) for (name, key), text in self.sent.items() if (name, key) not in self.acked]


def killed(children: ForkServer, order: dict[str, Any], *, after: float, even_before_it_is_ready: bool) -> Promised:
    """Run a child, kill it, and give what it said."""
    said = children.order(order)
    pid, promised = next(said)["pid"], Promised()
    if not even_before_it_is_ready:
        assert next(said) == {"ready": True}
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    for line in said:
        if "ended" in line:
            promised.code = line["ended"]
            break
        if "sending" in line:
            name, key, text = line["sending"]
            promised.sent[name, key] = text
        elif "acked" in line:
            name, key, version, length, _ = line["acked"]
            promised.acked[name, key] = version, length
    return promised


@pytest.fixture(scope="module")
def children() -> Iterator[ForkServer]:
    server = ForkServer(CHILD)
    yield server
    server.close()


@dataclass
class Seen:
    """What all cycles together came to."""

    cycles: int = 0
    acked: int = 0
    resubmitted: int = 0
    undecided: int = 0
    recovered: int = 0
    acted: int = 0
    repeated_with_the_same_key: int = 0
    events: int = 0

    @property
    def figures(self) -> dict[str, int]:
        return {name: count for name, count in asdict(self).items() if name != "cycles"}


def world_lines(world: Path) -> list[tuple[str, str]]:
    if not world.exists():
        return []
    return [(name, key) for name, _, key in (line.partition(" ") for line in world.read_text().splitlines())]


def lost(store: Store, promised: Promised) -> list[str]:
    """Everything the child was told and the log does not hold. Looked at before anything is recovered."""
    found = []
    for (name, key), (version, length) in promised.acked.items():
        entries = store.read(name, after=version, limit=1)
        if store.head(name).length < length or not entries or entries[0].key != f"c:{key}":
            found.append(
                f"{name} {key} was acknowledged at version {version} of {length}; the log has {store.head(name).length}"
            )
    return found


def acted_without_intent(store: Store, world: Path) -> list[str]:
    """Calls of tools whose intent event is not in the log."""
    found = []
    for name, key in world_lines(world):
        stream, _, version = key.rpartition(":")
        entries = store.read(stream, after=int(version), limit=1)
        if not entries or entries[0].type != "tool_requested":
            found.append(f"{name} acted under {key} and the log has no such intent")
    return found


def acted_twice(world: Path) -> list[str]:
    """Effects that happened more than once: any two calls of the tool that knows no key."""
    calls = Counter(key for name, key in world_lines(world) if name == "pay_unkeyed")
    return [f"{key} was paid {times} times" for key, times in calls.items() if times > 1]


async def recovered(store: SqliteStore, promised: Promised, world: Path, how: str, seen: Seen) -> list[str]:
    """Start again as an operator would: recover, find out what happened outside, send again what got no answer.

    Returns the conversations that stand where nothing will move them.
    """
    program = world_program(world)
    async with Runtime(store, program, slow_script()) as runtime:
        seen.recovered += len(store.summaries(undecided=True))
        left = await runtime.recover()
        seen.undecided += len(left)
        happened = {key for _, key in world_lines(world)}
        for one in left:
            truth = "done" if f"{one.conversation}:{one.effect}" in happened else "failed"
            await runtime.resolve(one.conversation, one.effect, how or truth)
        for name, key, text in promised.unanswered:
            seen.resubmitted += 1
            if key == "start":
                await runtime.start(conversation=name, key=key)
            elif text.startswith("decide "):
                await runtime.decide_task(name, int(text.split()[1]), "resolved", actor=CLERK, key=key)
            else:
                await runtime.say(name, text, key=key)
        names = {name for name, _ in promised.sent}
        standing = {name: (await runtime.outcome(name)).standing for name in names}
    return [f"{name} is {how}" for name, how in standing.items() if how == "working"]


def miscounted(store: Store, promised: Promised) -> list[str]:
    """Submissions that are not in the log exactly once, or whose payment was not asked for exactly once."""
    found = []
    for stream in {name for name, _ in promised.sent}:
        wanted = Counter({"pay": 0, "pay_unkeyed": 0})
        for (name, key), text in promised.sent.items():
            if name != stream:
                continue
            if store.find_key(stream, f"c:{key}") is None:
                found.append(f"{stream} {key} was sent and is nowhere")
            wanted["pay"] += text in ("pay", "help tool")
            wanted["pay_unkeyed"] += text == "once"
        messages = len(of_type(store, stream, MessageReceived))
        if messages != sum(1 for name, key in promised.sent if name == stream and key.startswith("m")):
            found.append(f"{stream} has {messages} messages")
        asked = Counter(event.tool for event in of_type(store, stream, ToolRequested))
        in_forms = sum(1 for (name, _), text in promised.sent.items() if name == stream and text == "form")
        if not in_forms and asked != +wanted:  # inside a form, "pay" and "help" are answers to a question
            found.append(f"{stream} asked for {dict(asked)}, wanted {dict(+wanted)}")
    return found


def cycle(
    children: ForkServer, folder: Path, number: int, seed: int, seen: Seen, *, late_seconds: float = 0, how: str = ""
) -> list[str]:
    """One kill and everything after it; returns what was broken."""
    chance = random.Random(seed)
    path, world = folder / f"log-{number // CYCLES_IN_A_FILE}.db", folder / f"world-{number // CYCLES_IN_A_FILE}"
    order = {
        "path": str(path),
        "world": str(world),
        "name": f"talk-{number}",
        "seed": seed,
        "late_seconds": late_seconds,
    }
    if not path.exists():
        SqliteStore(path).close()
    before = len(world_lines(world))
    promised = killed(children, order, after=chance.uniform(0, 0.12), even_before_it_is_ready=chance.random() < 0.1)
    assert promised.code == -signal.SIGKILL, f"the child ended by itself with {promised.code}"
    store = SqliteStore(path)
    try:
        broken = lost(store, promised) + acted_without_intent(store, world)
        if late_seconds:
            return broken
        broken += asyncio.run(recovered(store, promised, world, how, seen))
        broken += acted_without_intent(store, world) + acted_twice(world) + miscounted(store, promised)
        checked = check_log(store, world_program(world), sorted({name for name, _ in promised.sent}))
    finally:
        store.close()
    lines = world_lines(world)
    seen.cycles += 1
    seen.acked += len(promised.acked)
    seen.events += checked.events
    seen.acted += len(lines) - before
    seen.repeated_with_the_same_key += len(lines[before:]) - len(set(lines[before:]))
    return broken


@pytest.mark.parametrize("batch", range(BATCHES))
def test_a_kill_loses_nothing_that_was_acknowledged_and_does_nothing_twice(
    children: ForkServer, tmp_path: Path, batch: int
) -> None:
    """At any moment: the log holds what was acknowledged, verifies, decides again the same, and goes on."""
    run_cycles(children, tmp_path, range(batch * CYCLES, (batch + 1) * CYCLES))


@pytest.mark.full
@pytest.mark.parametrize("batch", range(100))
def test_thousands_of_kills_lose_nothing(children: ForkServer, tmp_path: Path, batch: int) -> None:
    """The same, for a bound ten times as narrow."""
    run_cycles(children, tmp_path, range(1_000 + batch * 100, 1_100 + batch * 100))


def run_cycles(children: ForkServer, folder: Path, numbers: range) -> None:
    seen = Seen()
    for number in numbers:
        seed = random.randrange(2**32)
        broken = cycle(children, folder, number, seed, seen)
        assert not broken, f"cycle {number}, seed {seed}: {broken}"
    assert seen.acked > seen.cycles, "the children were killed before they did anything: nothing was tested"
    assert seen.acted > 0
    assert seen.resubmitted > 0
    record("F1", "SIGKILL of a process that runs conversations", tried=seen.cycles, wrong=0, seen=seen.figures)


def test_control_a_store_that_acknowledges_before_it_writes_is_caught(children: ForkServer, tmp_path: Path) -> None:
    """The same checks on a store that says *durable* 80 ms too early: turns are lost, and tools act unlogged."""
    broken: list[str] = []
    harmed = 0
    for number in range(MOST):
        found = cycle(children, tmp_path, number, random.randrange(2**32), Seen(), late_seconds=0.08)
        broken, harmed = broken + found, harmed + bool(found)
        if any("acknowledged" in one for one in broken) and any("no such intent" in one for one in broken):
            record("F1", "a store that acknowledges early", tried=number + 1, wrong=harmed, control=True)
            return
    pytest.fail(f"{MOST} kills of a store that lies, and the checks found only {broken}")


def test_control_repeating_an_undecided_call_is_caught(children: ForkServer, tmp_path: Path) -> None:
    """The same checks with an operator who always says `again`: the tool without a key pays twice."""
    for number in range(MOST):
        broken = cycle(children, tmp_path, number, random.randrange(2**32), Seen(), how="again")
        if any("times" in one for one in broken):
            record("F1", "an operator who repeats", tried=number + 1, wrong=1, control=True)
            return
    pytest.fail(f"{MOST} kills with every undecided call repeated, and nothing was found to be done twice")
