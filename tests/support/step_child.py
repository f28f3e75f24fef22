"""A fork server whose children end themselves with SIGKILL at a given step of a turn with a tool.

A step is the moment before and after each commit, and before and after the tool acts. One line of JSON on stdin is one
child: where its log is, what is said to it, and at which step it dies (0: never). It answers with how the child ended,
and how many steps a child took that lived. The world outside is a file with one line for each act.
"""

import asyncio
import json
import os
import signal
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, gives, rules, when
from interlock.contracts.store import Append
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime
from support.keys import KNOWN
from support.runtime import Bank, mini

TALK = "talk"


class Steps:
    """Counts the steps, and ends the process at one of them."""

    def __init__(self, last: int = 0) -> None:
        self.taken, self._last, self._lock = 0, last, threading.Lock()

    def here(self) -> None:
        with self._lock:
            self.taken += 1
            if self.taken == self._last:
                os.kill(os.getpid(), signal.SIGKILL)


class SteppedStore:
    """A store with a step before and after each commit."""

    def __init__(self, store: SqliteStore, steps: Steps) -> None:
        self._store, self._steps = store, steps

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def append(self, append: Append) -> int:
        self._steps.here()
        length = self._store.append(append)
        self._steps.here()
        return length

    def enqueue(self, append: Append) -> "Future[int]":
        done: Future[int] = Future()
        done.set_result(self.append(append))
        return done


class World(Bank):
    """What tools change outside: a file that outlives the process."""

    def __init__(self, path: Path, steps: Steps | None = None) -> None:
        super().__init__()
        self._path, self._steps = path, steps or Steps()
        self.answer = self._act

    def _act(self, name: str) -> None:
        self._steps.here()
        with self._path.open("a") as world:
            world.write(f"{name} {self.calls[-1][1]}\n")
        self._steps.here()

    def acts(self) -> list[tuple[str, str]]:
        """The tool and the key of each act, whoever did it."""
        if not self._path.exists():
            return []
        return [(name, key) for name, _, key in (line.partition(" ") for line in self._path.read_text().splitlines())]


def paying() -> ScriptedAgent:
    return ScriptedAgent(
        rules(
            after_tool("pay", then=gives(reply="Paid.")),
            when("tool", then=calls("pay", amount=3)),
            otherwise=gives(reply="Yes."),
        )
    )


async def lived(order: dict[str, Any]) -> int:
    steps = Steps(order["dies_at"])
    store: Any = SteppedStore(SqliteStore(Path(order["log"]), master=KNOWN), steps)
    async with Runtime(store, mini(World(Path(order["world"]), steps)), paying()) as runtime:
        await runtime.start(conversation=TALK, key="start")
        await runtime.say(TALK, order["text"], key="said")
    return steps.taken


def main() -> None:
    mini(Bank())  # what is imported late is imported once
    for line in sys.stdin:
        into, out = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(out, str(asyncio.run(lived(json.loads(line)))).encode())
            os._exit(0)
        os.close(out)
        with os.fdopen(into) as said:
            taken = said.read()
        _, status = os.waitpid(pid, 0)
        os.write(1, json.dumps({"ended": os.waitstatus_to_exitcode(status), "steps": int(taken or 0)}).encode() + b"\n")


if __name__ == "__main__":
    main()
