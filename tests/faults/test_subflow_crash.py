"""A process that dies between any two commits of parent and children, and one that is killed: nothing lost, nothing
doubled, and the family says the same as without the crash."""

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.events import MessageReceived, ReplySent, TransitionTaken
from interlock.contracts.store import Store
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.children import Children
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.patterns import Died, DyingStore
from support.runtime import CLERK, OPERATOR, of_type, path_of
from support.subflow_child import desk_of, lines_of, talk
from support.subflows import World, check_family, child_of, desk, family_of, helper

CHILD = Path(__file__).parents[1] / "support" / "subflow_child.py"
KILLS = 8


async def _wait_for_person(runtime: Runtime, store: Store, decision: str) -> None:
    child = child_of(store, "talk")
    outcome = await runtime.outcome(child)
    if outcome.task is not None:
        await runtime.decide_task(child, outcome.task.number, decision, actor=CLERK, key="decided")


async def _helped_and_paid(runtime: Runtime, store: Store, clock: ManualClock) -> None:
    for number, text in enumerate(("hello", "help me", "pay it", "hello again", "bye")):
        await runtime.say("talk", text, key=f"m{number}")


async def _decided_by_a_person(runtime: Runtime, store: Store, clock: ManualClock) -> None:
    await runtime.say("talk", "hello", key="m0")
    await runtime.say("talk", "a person", key="m1")
    await _wait_for_person(runtime, store, "approve")
    await runtime.say("talk", "thanks", key="m2")


async def _killed_by_an_operator(runtime: Runtime, store: Store, clock: ManualClock) -> None:
    await runtime.say("talk", "hello", key="m0")
    await runtime.say("talk", "help me", key="m1")
    await runtime.give("talk", "operator_human", actor=OPERATOR, key="kill")


async def _overdue(runtime: Runtime, store: Store, clock: ManualClock) -> None:
    await runtime.say("talk", "hello", key="m0")
    clock.advance(601)
    await runtime.fire_due()


async def _overdue_inside(runtime: Runtime, store: Store, clock: ManualClock) -> None:
    await runtime.say("talk", "hello", key="m0")
    await runtime.say("talk", "a person", key="m1")
    clock.advance(3_601)
    await runtime.fire_due()


STORIES = {
    "helped and paid": (_helped_and_paid, "2h"),
    "decided by a person": (_decided_by_a_person, "2h"),
    "killed by an operator": (_killed_by_an_operator, "2h"),
    "overdue": (_overdue, "10m"),
    "overdue inside": (_overdue_inside, "2h"),
}


def said_in(store: Store, stream: str) -> tuple[list[str], int, int]:
    """What must be the same with and without a crash: the way, the messages, and how much was replied."""
    return (
        path_of(store, stream),
        len(of_type(store, stream, MessageReceived)),
        len(of_type(store, stream, ReplySent)),
    )


async def run(store: Any, world: World, story: str, clock: ManualClock) -> None:
    act, deadline = STORIES[story]
    async with Runtime(store, desk(world, deadline=deadline), helper(), clock=clock, presence=OnlyProcess()) as runtime:
        assert await runtime.recover() == ()
        await runtime.start("desk", conversation="talk", key="start")
        await act(runtime, store, clock)


async def crashed_after(commits: int, story: str) -> tuple[MemoryStore, World]:
    """The process dies after so many commits; another takes over, and the callers try again."""
    store, world, clock = MemoryStore(), World(), ManualClock()
    with suppress(Died):
        await run(DyingStore(store, commits), world, story, clock)
    await run(store, world, story, clock)
    return store, world


async def played(story: str) -> tuple[DyingStore, World]:
    """The story without a crash."""
    reference, paid = DyingStore(MemoryStore(), 10_000), World()
    await run(reference, paid, story, ManualClock())
    check_family(reference.store, desk(paid, deadline=STORIES[story][1]))
    assert reference.done > 4
    return reference, paid


def check_same(store: MemoryStore, world: World, reference: DyingStore, paid: World, story: str) -> None:
    """The family that went through a crash says what the one says that did not."""
    check_family(store, desk(world, deadline=STORIES[story][1]))
    family, again = family_of(reference.store, "talk"), family_of(store, "talk")
    assert len(again) == len(family)
    assert [said_in(store, one) for one in again] == [said_in(reference.store, one) for one in family]
    assert world.payments == paid.payments
    assert not store.summaries(status="ended", undecided=True)


@pytest.mark.parametrize("story", STORIES)
async def test_a_crash_after_any_commit_of_the_family_loses_nothing_and_doubles_nothing(story: str) -> None:
    """Every boundary between two commits of any of the three logs."""
    reference, paid = await played(story)
    for commits in range(reference.done):
        store, world = await crashed_after(commits, story)
        check_same(store, world, reference, paid, story)


async def test_control_a_restart_that_forgets_children_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same checks, where the process that takes over does not bring back what children said, nor tell them
    anything: after most of the crashes it shows."""
    story = "killed by an operator"
    reference, paid = await played(story)

    async def nothing(*_: Any, **__: Any) -> list[Any]:
        return []

    caught = 0
    for commits in range(reference.done):
        store, world, clock = MemoryStore(), World(), ManualClock()
        with suppress(Died):
            await run(DyingStore(store, commits), world, story, clock)
        with monkeypatch.context() as patched:
            patched.setattr(Children, "tended", nothing)
            await run(store, world, story, clock)
        with suppress(IndexError):
            try:
                check_same(store, world, reference, paid, story)
            except AssertionError:
                caught += 1
    assert caught > reference.done / 2


# -- SIGKILL --------------------------------------------------------------------------------------------


def killed(path: Path, world: Path, seed: int, after: float) -> dict[str, list[int]]:
    """A child process talks, and is killed after so many seconds; what it was promised, by its keys."""
    order = json.dumps({"path": str(path), "world": str(world), "seed": seed})
    inherited = os.pathsep.join([str(CHILD.parents[1]), *(entry for entry in sys.path if entry)])
    process = subprocess.Popen(
        [sys.executable, str(CHILD), order],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": inherited},
        cwd=CHILD.parents[1],
    )
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"ready": True}
    time.sleep(after)
    os.kill(process.pid, signal.SIGKILL)
    promised: dict[str, list[int]] = {}
    for line in process.stdout:
        said = json.loads(line)
        promised[said["acked"]] = said["at"]
    process.stdout.close()
    assert process.wait() in (-signal.SIGKILL, 0)
    return promised


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_kill_at_any_moment_leaves_a_family_that_goes_on(tmp_path: Path) -> None:
    """SIGKILL while three levels work on a file: acknowledged turns are there, and each payment was made once."""
    chance, acted, acked = random.Random(20261121), 0, 0
    for number in range(KILLS):
        path, world = tmp_path / f"{number}.db", tmp_path / f"world-{number}"
        SqliteStore(path).close()
        promised = killed(path, world, number, chance.uniform(0, 0.25))
        store = SqliteStore(path)
        try:
            for key, (version, length) in promised.items():
                assert store.head("talk").length >= length, f"kill {number}: {key} was acknowledged and is gone"
                assert store.read("talk", after=version, limit=1)[0].key == f"c:{key}"
            asyncio.run(_goes_on(store, world, number))
            check_family(store, desk_of(world))
            asked = [one for one in _moves(store) if one.source == "pay"]
            assert len(set(lines_of(world))) == len(asked), f"kill {number}: a payment was lost or made twice"
        finally:
            store.close()
        acted += len(lines_of(world))
        acked += len(promised)
    assert acted > 0
    assert acked > KILLS


async def _goes_on(store: SqliteStore, world: Path, seed: int) -> None:
    async with Runtime(store, desk_of(world), helper()) as runtime:
        assert await runtime.recover() == ()
        await talk(runtime, random.Random(seed), lambda *_: None)


def _moves(store: Store) -> list[TransitionTaken]:
    return [one for stream in store.streams() for one in of_type(store, stream, TransitionTaken)]
