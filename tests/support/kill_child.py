"""A process that runs conversations until it is killed, and says over a pipe what it was promised.

Run as a script it is a fork server: it imports everything once, then forks a child for each order (one JSON
line on stdin), so a cycle costs milliseconds. A child writes one line before each submission and one after
each that returned; what it was told has happened must be in the log whatever kills it.

The world outside is a file: tools append one line for each call. Lines of `pay` with the same key are one
payment, as with any service that takes idempotency keys; each line of `pay_unkeyed` is a payment of its own.
"""

import asyncio
import json
import os
import random
import signal
import sys
import threading
import time
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, gives, rules, when
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.store import Append
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code
from interlock.fsm.program import Program
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime
from support.runtime import CLERK, Answer, mini_with

TEXTS = ("help me", "help tool", "pay", "once", "person", "expert", "what", "form", "Paris", "25.50")
TALKING_AT_ONCE = 3
LONGEST_SECONDS = 5.0


@cache
def world_program(world: Path) -> Program:
    """The small flow, with tools that act on the file `world`."""

    def act(name: str, key: str) -> None:
        time.sleep(random.uniform(0, 0.003))
        descriptor = os.open(world, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{name} {key}\n".encode())
        finally:
            os.close(descriptor)
        time.sleep(random.uniform(0, 0.003))

    @tool(says="Looks something up.")
    def look_up(what: str) -> dict[str, Any]:
        return {"found": what}

    @tool(consequential=True, says="Pays once for each key.")
    def pay(context: ToolContext, amount: int = 1) -> dict[str, Any]:
        act("pay", context.idempotency_key)
        return {"paid": True}

    @tool(consequential=True, keyed=False, says="Pays, and knows no key.")
    def pay_unkeyed(context: ToolContext, amount: int = 1) -> dict[str, Any]:
        act("pay_unkeyed", context.idempotency_key)
        return {"paid": True}

    return mini_with(
        Code.of(tools=[look_up, pay, pay_unkeyed], contracts=[Answer]),
        limits="{conversation_messages: 10000, agent_calls: 6}",
    )


def slow_script() -> ScriptedAgent:
    """Answers after up to three milliseconds, so that a kill may fall while a model is asked."""
    table = rules(
        after_tool("pay", then=gives(reply="Paid.")),
        when("tool", then=calls("pay", amount=3)),
        otherwise=gives(reply="Yes."),
    )

    async def script(request: AgentRequest) -> AgentReply:
        await asyncio.sleep(random.uniform(0, 0.003))
        answer: Any = table(request)
        return answer if isinstance(answer, AgentReply) else gives(reply="Yes.")

    return ScriptedAgent(script)


class AcknowledgesEarly:
    """THE CONTROL: a store that says *durable* first and writes later. It must be caught."""

    def __init__(self, store: SqliteStore, late_seconds: float) -> None:
        self._store, self._late_seconds = store, late_seconds
        self._lock = threading.Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def enqueue(self, append: Append) -> "Future[int]":
        done: Future[int] = Future()
        done.set_result(append.summary.length)
        threading.Timer(self._late_seconds, self._write, (append,)).start()
        return done

    def append(self, append: Append) -> int:
        return self.enqueue(append).result()

    def _write(self, append: Append) -> None:
        with self._lock:
            self._store.enqueue(append)


def say(**fields: Any) -> None:
    """One line to whoever waits, in one write: a kill never cuts it."""
    os.write(1, json.dumps(fields).encode() + b"\n")


async def talk(runtime: Runtime, name: str, chance: random.Random) -> None:
    """One conversation, turn after turn, each with a key of its own."""

    async def submitted(key: str, text: str, act: Any) -> Any:
        say(sending=[name, key, text])
        outcome = await act
        say(acked=[name, key, outcome.version, outcome.length, outcome.state])
        return outcome

    outcome = await submitted("start", "", runtime.start(conversation=name, key="start"))
    number = 0
    while outcome.standing != "ended":
        number += 1
        if outcome.task is not None:
            task = outcome.task.number
            outcome = await submitted(
                f"d{number}",
                f"decide {task}",
                runtime.decide_task(name, task, "resolved", actor=CLERK, key=f"d{number}"),
            )
            continue
        text = chance.choice(TEXTS)
        outcome = await submitted(f"m{number}", text, runtime.say(name, text, key=f"m{number}"))


async def work(order: dict[str, Any]) -> None:
    chance = random.Random(order["seed"])
    random.seed(order["seed"])
    store: Any = SqliteStore(Path(order["path"]))
    if order.get("late_seconds"):
        store = AcknowledgesEarly(store, order["late_seconds"])
    async with Runtime(store, world_program(Path(order["world"])), slow_script()) as runtime:
        say(ready=True)
        talks = [
            talk(runtime, f"{order['name']}-{number}", random.Random(chance.random()))
            for number in range(TALKING_AT_ONCE)
        ]
        await asyncio.gather(*talks)
    say(finished=True)


def main() -> None:
    """Serve orders until stdin closes. A child that is not killed in time ends itself."""
    for line in sys.stdin:
        order = json.loads(line)
        world_program(Path(order["world"]))  # read and checked once for all the children of a log
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(tell)
            os.read(told, 1)  # until it was said who this is: nothing may come before that line
            signal.setitimer(signal.ITIMER_REAL, LONGEST_SECONDS)  # SIGALRM ends a child that nobody kills
            code = 1
            try:
                asyncio.run(work(order))
                code = 0
            except BaseException:
                import traceback

                traceback.print_exc()
            finally:
                os._exit(code)
        say(pid=pid)
        os.close(tell)
        os.close(told)
        _, status = os.waitpid(pid, 0)
        say(ended=os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    main()
