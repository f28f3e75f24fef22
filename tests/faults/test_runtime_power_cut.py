"""A power cut while the runtime works: turns that were acknowledged are there, and tools acted only on durable intents.

The runtime runs conversations on a disk that remembers every write and sync (`test_store_disk`). From the record the
files are rebuilt as a cut at many moments could have left them; a new runtime opens each, recovers, and goes on.
The control runs the same with durability off, and must lose turns.
"""

import asyncio
import shutil
from collections.abc import Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from faults.test_store_disk import Disk, Step, in_a_process, is_new, reachable, states

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, gives, rules, when
from interlock.contracts.errors import InterlockError
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime
from support.figures import record as figure
from support.keys import KNOWN
from support.runtime import Bank, check_log, mini

TALKS = ("one", "two")
TEXTS = ("help tool", "pay", "once", "form", "Paris", "12.50", "help")


def paying() -> ScriptedAgent:
    return ScriptedAgent(
        rules(
            after_tool("pay", then=gives(reply="Paid.")),
            when("tool", then=calls("pay", amount=3)),
            otherwise=gives(reply="Yes."),
        )
    )


def record(disk: Disk, folder: str, synchronous: str) -> list[Step]:
    """Conversations side by side; every returned turn and every act of a tool is noted where it happened."""
    bank = Bank()

    def acted(name: str) -> None:
        disk.note(("acted", *bank.calls[-1]))

    bank.answer = acted
    store = SqliteStore(Path(folder) / "log.db", master=KNOWN)

    def set_up(file: Any) -> None:
        file.pragma("wal_autocheckpoint = 20")
        if synchronous != "FULL":
            file._driver.execute(f"PRAGMA synchronous = {synchronous}")

    store._ask(set_up)

    async def talk(runtime: Runtime, name: str) -> None:
        outcome = await runtime.start(conversation=name, key="start")
        disk.note(("acked", name, "start", outcome.version, outcome.length))
        for number, text in enumerate(TEXTS):
            outcome = await runtime.say(name, text, key=str(number))
            disk.note(("acked", name, str(number), outcome.version, outcome.length))

    async def work() -> None:
        async with Runtime(store, mini(bank), paying()) as runtime:
            await asyncio.gather(*(talk(runtime, name) for name in TALKS))

    asyncio.run(work())
    store.close()
    return disk.steps


@cache
def recorded(synchronous: str) -> tuple[list[Step], list[tuple[int, Any]]]:
    """The steps on the disk, and what happened before the step of which number."""
    with TemporaryDirectory() as folder:
        found = in_a_process("faults.test_runtime_power_cut", "record", folder, synchronous)
    steps: list[Step] = []
    happened: list[tuple[int, Any]] = []
    for step in found:
        if step[0] == "note":
            happened.append((len(steps), step[1]))
        else:
            steps.append(step)
    return steps, happened


def what_is_wrong(files: dict[str, bytes], folder: Path, happened: Sequence[Any]) -> str:
    """Empty if everything acknowledged is there, every act has its intent, and recovery acts on nothing twice."""
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    try:
        with closing(SqliteStore(folder / "log.db", master=KNOWN)) as store:
            for kind, *rest in happened:
                if kind == "acked":
                    name, key, version, length = rest
                    if store.head(name).length < length or store.find_key(name, f"c:{key}") != version:
                        return f"lost: {name} {key}"
                else:
                    stream, _, version = rest[1].rpartition(":")
                    entries = store.read(stream, after=int(version), limit=1)
                    if not entries or entries[0].type != "tool_requested":
                        return f"acted without intent: {rest}"
            return asyncio.run(gone_on(store, [tuple(rest) for kind, *rest in happened if kind == "acted"]))
    except InterlockError as error:
        return f"unusable: {error}"


async def gone_on(store: SqliteStore, acted: Sequence[Any]) -> str:
    """Recover as an operator would, send the last message again, and look at what was done."""
    bank = Bank()
    program = mini(bank)
    async with Runtime(store, program, paying()) as runtime:
        for one in await runtime.recover():
            known = any(key == f"{one.conversation}:{one.effect}" for _, key in acted)
            await runtime.resolve(one.conversation, one.effect, "done" if known else "failed")
        for name in store.streams():
            outcome = await runtime.outcome(name)
            if outcome.standing == "working":
                return f"stuck: {name} in {outcome.state}"
    twice = [call for call in bank.calls if call in acted and call[0] == "pay_unkeyed"]
    if twice:
        return f"twice: {twice}"
    check_log(store, program)
    return ""


TRIED: set[bytes] = set()
"""States that the long profile has tried in this process: another seed does not count them again."""


def cut_everywhere(
    synchronous: str, most: int, seed: int, folder: Path, already: set[bytes] | None = None
) -> tuple[int, Sequence[str]]:
    """How many states were tried, but those of `already`, and what was wrong in those where something was."""
    steps, happened = recorded(synchronous)
    wrong, tried = [], 0
    for number, files in states(steps, most, seed):
        known = [what for before, what in happened if before <= number]
        if already is not None and not is_new((synchronous, sorted(files.items()), known), already):
            continue
        tried += 1
        fault = what_is_wrong(files, folder / str(tried), known)
        if fault:
            wrong.append(f"after step {number} of {len(steps)} (seed {seed}): {fault}")
        else:
            shutil.rmtree(folder / str(tried))
    return tried, wrong


@reachable
def test_a_power_cut_loses_no_turn_and_leaves_no_act_without_its_intent(tmp_path: Path) -> None:
    """A hundred moments, with nothing, everything or some sectors of the unsynced writes kept."""
    tried, wrong = cut_everywhere("FULL", 100, 20261121, tmp_path)
    assert wrong == []
    assert tried >= 80
    figure("F3", "power cuts of a runtime", tried=tried, wrong=0)


@reachable
@pytest.mark.full
@pytest.mark.parametrize("seed", range(4))
def test_a_power_cut_loses_no_turn_at_length(tmp_path: Path, seed: int) -> None:
    """The same at every moment of the record."""
    tried, wrong = cut_everywhere("FULL", 10**9, seed, tmp_path, TRIED)
    assert wrong == []
    figure("F3", "power cuts of a runtime", tried=tried, wrong=0)


@reachable
def test_control_with_durability_off_turns_are_lost(tmp_path: Path) -> None:
    """Without syncs the same checks find it."""
    tried, wrong = cut_everywhere("OFF", 40, 20261121, tmp_path)
    assert any(": lost: " in fault for fault in wrong)
    figure("F3", "power cuts of a runtime with `synchronous=OFF`", tried=tried, wrong=len(wrong), control=True)
