"""A process that talks to the desk and its team until it is killed, and says over a pipe what it was promised."""

import asyncio
import json
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

from interlock.fsm.program import Program
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime
from support.runtime import CLERK
from support.subflows import World, desk, helper

TEXTS = ("hello", "help me", "pay", "a person", "bye", "work")
TURNS = 12


class FileWorld(World):
    """A world that outlives the process: each payment is one line with its key."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.calls = _Lines(path)


class _Lines(list[str]):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def append(self, key: str) -> None:
        with self._path.open("a") as file:
            file.write(f"{key}\n")


def lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def desk_of(path: Path) -> Program:
    return desk(FileWorld(path), deadline="2h")


async def talk(runtime: Runtime, chance: random.Random, acked: Callable[[str, int, int], None]) -> None:
    """One conversation, turn after turn, each under a key of its own; open tasks are decided, wherever they are."""
    outcome = await runtime.start("desk", conversation="talk", key="start")
    for number in range(TURNS):
        text, decision = chance.choice(TEXTS), chance.choice(("approve", "reject"))
        task = (await runtime.outcome("talk")).task
        if task is not None:
            known = decision if task.conversation != "talk" else "resolved"
            await runtime.decide_task(task.conversation, task.number, known, actor=CLERK)
        outcome = await runtime.say("talk", text, key=f"m{number}")
        acked(f"m{number}", outcome.version, outcome.length)
        if outcome.standing == "ended":
            return


def say(key: str, version: int, length: int) -> None:
    os.write(1, json.dumps({"acked": key, "at": [version, length]}).encode() + b"\n")


async def work(order: dict[str, str | int]) -> None:
    async with Runtime(SqliteStore(Path(str(order["path"]))), desk_of(Path(str(order["world"]))), helper()) as runtime:
        os.write(1, json.dumps({"ready": True}).encode() + b"\n")
        await talk(runtime, random.Random(order["seed"]), say)


if __name__ == "__main__":
    asyncio.run(work(json.loads(sys.argv[1])))
