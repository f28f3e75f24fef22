"""A full disk while the runtime works: it stops, fails closed, and goes on when there is space again.

The real store on a disk that is full from any write on (`test_store_disk`): no tool acts without its intent in the log,
no turn is answered that is not there, and once there is space the same conversations come to their end.
"""

import asyncio
from collections import Counter
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from faults.test_runtime_power_cut import paying
from faults.test_store_disk import FULL, OK, Disk, in_a_process, reachable

from interlock.contracts.errors import StorageError
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime
from support.figures import record
from support.keys import KNOWN
from support.runtime import Bank, check_log, mini

TEXTS = ("help tool", "pay", "once", "help")
MOST_TURNS = 60


async def through_a_full_disk(disk: Disk, path: Path, nth: int, lasting: int) -> dict[str, Any]:
    """One conversation on a disk that is full from its `nth` write on, until `lasting` submissions have failed; it ends
    a few turns later."""
    bank, seen, refused, faults = Bank(), 0, 0, list[str]()

    def fails(step: str, file: str) -> int:
        nonlocal seen
        seen += step == "write" and file.startswith(path.name)
        return FULL if step == "write" and file.startswith(path.name) and seen >= nth and refused < lasting else OK

    with closing(SqliteStore(path, master=KNOWN)) as store:
        program = mini(bank)
        async with Runtime(store, program, paying()) as runtime:
            disk.fails = fails
            said = after = 0
            while after < len(TEXTS) and said < MOST_TURNS:
                text, number, said = None if not said else TEXTS[said % len(TEXTS)], said, said + 1
                after += refused >= lasting
                for _ in range(lasting + 2):
                    try:
                        if text is None:
                            outcome = await runtime.start(conversation="talk", key="start")
                        else:
                            outcome = await runtime.say("talk", text, key=str(number))
                    except StorageError as error:
                        refused += 1
                        if not error.what.startswith("The disk is full."):
                            faults.append(error.what)
                        continue
                    if store.head("talk").length < outcome.length:
                        faults.append(f"{text!r} was answered, and is not in the log")
                    break
                for one in await runtime.recover():
                    acted = any(key == f"{one.conversation}:{one.effect}" for _, key in bank.calls)
                    await runtime.resolve(one.conversation, one.effect, "done" if acted else "failed")
            disk.fails = lambda step, file: OK
            ended = (await runtime.outcome("talk")).standing
        for name, key in bank.calls:
            entries = store.read("talk", after=int(key.rpartition(":")[2]), limit=1)
            if not entries or entries[0].type != "tool_requested":
                faults.append(f"{name} acted under {key} without its intent")
        unkeyed = Counter(key for name, key in bank.calls if name == "pay_unkeyed")
        faults += [f"{key} was paid {times} times" for key, times in unkeyed.items() if times > 1]
        check_log(store, program)
        messages = sum(entry.type == "message_received" for entry in store.read("talk"))
    if messages != said - 1 or ended == "working":
        faults.append(f"{messages} messages of {said - 1}, {ended}")
    return {"refused": refused, "faults": faults}


def run_all(disk: Disk, folder: str, upto: int) -> list[dict[str, Any]]:
    results = []
    for nth in range(1, upto + 1):
        for lasting in (1, 3):
            with TemporaryDirectory(dir=folder) as place:
                path = Path(place) / "log.db"
                SqliteStore(path, master=KNOWN).close()
                results.append({"nth": nth} | asyncio.run(through_a_full_disk(disk, path, nth, lasting)))
    return results


@reachable
@pytest.mark.parametrize("upto", [12, pytest.param(550, marks=pytest.mark.full)])
def test_a_full_disk_stops_the_runtime_and_space_lets_it_go_on(tmp_path: Path, upto: int) -> None:
    """Full from each of the first writes on; the callers say the same again until it is answered."""
    results = in_a_process("faults.test_runtime_disk_full", "run_all", str(tmp_path), upto)
    assert [result for result in results if result["faults"]] == []
    hit = [result["refused"] for result in results if result["refused"]]
    assert len(hit) >= 20
    record("F7", "a full disk under a runtime", tried=len(hit), wrong=0, seen={"submissions_refused": sum(hit)})
