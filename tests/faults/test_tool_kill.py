"""SIGKILL at every step of a turn with a tool: what was begun and has no end is listed, and nothing is done twice.

The steps are the moments before and after each commit, and before and after the tool acts. After each kill another
process opens the log: a call whose intent is recorded and whose result is not is undecided. One that takes an
idempotency key may be made again with that key; one that takes none is listed, and only a person says how it ended.
"""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from interlock.contracts.events import ToolRequested, ToolReturned
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime
from support.figures import record
from support.fork_server import ForkServer
from support.keys import KNOWN
from support.runtime import check_log, mini, of_type
from support.step_child import TALK, World, paying

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
CHILD = Path(__file__).parents[1] / "support" / "step_child.py"
TEXTS = {"pay": "pay", "once": "pay_unkeyed", "help tool": "pay"}
"""What is said, and the tool that it calls: by a state of its own, or by an agent."""


@pytest.fixture(scope="module")
def children() -> Iterator[ForkServer]:
    server = ForkServer(CHILD)
    yield server
    server.close()


def ended(children: ForkServer, folder: Path, text: str, dies_at: int) -> dict[str, int]:
    """How a child ended that was to die at that step, and how many steps it took if it lived."""
    order = {"log": str(folder / "log.db"), "world": str(folder / "world"), "text": text, "dies_at": dies_at}
    return next(children.order(order))


async def gone_on(folder: Path, text: str, seen: Counter[str], how: str = "") -> list[str]:
    """Another process takes over; everything that is otherwise than it must be."""
    world, wrong = World(folder / "world"), list[str]()
    program, tool = mini(world), TEXTS[text]
    with closing(SqliteStore(folder / "log.db", master=KNOWN)) as store:
        entries = store.read(TALK) if TALK in store.streams() else ()
        begun = {entry.version for entry in entries if entry.type == "tool_requested"}
        ended = {event.effect for event in of_type(store, TALK, ToolReturned)} if begun else set()
        undecided, before = begun - ended, world.acts()
        seen["acted and had no result"] += bool(undecided and before)
        seen["had not acted"] += bool(undecided and not before)
        async with Runtime(store, program, paying()) as runtime:
            left = {one.effect for one in await runtime.recover()}
            repeated = world.acts()[len(before) :]
            seen["undecided"] += len(undecided)
            seen["listed"] += len(left)
            seen["made again with their key"] += len(repeated)
            if tool == "pay_unkeyed" and (left != undecided or repeated):
                wrong.append(f"undecided {undecided}, listed {left}, made again {repeated}")
            if tool == "pay" and not undecided <= left | {int(key.rpartition(":")[2]) for _, key in repeated}:
                wrong.append(f"undecided {undecided}, listed {left}, made again {repeated}")
            for effect in left:
                await runtime.resolve(TALK, effect, how or ("done" if before else "failed"))
            await runtime.start(conversation=TALK, key="start")
            await runtime.say(TALK, text, key="said")
            if (await runtime.outcome(TALK)).standing == "working":
                wrong.append("it stands still")
        acts = Counter(key for _, key in world.acts())
        if len(acts) > 1 or (tool == "pay_unkeyed" and sum(acts.values()) > 1):
            wrong.append(f"done twice: {dict(acts)}")
        if len(of_type(store, TALK, ToolRequested)) < 1:
            wrong.append("it was never asked for")
        check_log(store, program)
    return wrong


def trial(children: ForkServer, folder: Path, text: str, dies_at: int, seen: Counter[str], how: str = "") -> list[str]:
    folder.mkdir()
    SqliteStore(folder / "log.db", master=KNOWN).close()
    found = ended(children, folder, text, dies_at)
    if found["ended"] != -signal.SIGKILL:
        return [f"it ended by itself: {found}"]
    return [f"{text!r}, step {dies_at}: {one}" for one in asyncio.run(gone_on(folder, text, seen, how))]


def steps_of(children: ForkServer, folder: Path, text: str) -> int:
    """How many steps the turn has, counted in a child that is left alive."""
    folder.mkdir()
    found = ended(children, folder, text, 0)
    assert found["ended"] == 0
    assert found["steps"] >= 8
    return found["steps"]


@pytest.mark.parametrize("rounds", [1, pytest.param(25, marks=pytest.mark.full)])
def test_a_kill_at_any_step_leaves_a_call_that_is_listed_and_never_made_twice(
    children: ForkServer, tmp_path: Path, rounds: int
) -> None:
    wrong, seen, kills = list[str](), Counter[str](), 0
    for text in TEXTS if rounds > 1 else ("once", "help tool"):
        steps = steps_of(children, tmp_path / text, text)
        for number in range(rounds):
            for step in range(1, steps + 1):
                wrong += trial(children, tmp_path / f"{text}-{number}-{step}", text, step, seen)
                kills += 1
    assert wrong == []
    assert min(seen["acted and had no result"], seen["had not acted"], seen["listed"]) > 0, seen
    record("F18", "SIGKILL at each step of a turn with a tool", tried=kills, wrong=0, seen=seen)


def test_control_saying_again_to_what_takes_no_key_does_it_twice(children: ForkServer, tmp_path: Path) -> None:
    """An operator who has every undecided call made again."""
    wrong, seen, steps = list[str](), Counter[str](), steps_of(children, tmp_path / "once", "once")
    for step in range(1, steps + 1):
        wrong += trial(children, tmp_path / str(step), "once", step, seen, "again")
    assert any("done twice" in one for one in wrong)
    record("F18", "an operator who says again", tried=steps, wrong=len(wrong), control=True)
