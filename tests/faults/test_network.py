"""Partitions, half-open lines, resets and slow answers, to the database and to the model: nothing is done twice, nobody
waits for ever, and what is unknown is looked up.

The runtime works on PostgreSQL through a line that fails at any message (`support/line.py`). A caller whose submission
failed sends it again with the same key; an operator resolves what is undecided by what happened outside. The model is
the `openai` client on a server that hangs, resets and drips.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from typing import Any, cast

import pytest

from interlock.agents.openai_model import OpenAIAgent
from interlock.contracts.errors import InterlockError, StorageError, StreamMoved
from interlock.contracts.events import AgentRequested, AgentReturned, MessageReceived
from interlock.contracts.flow import BreakerSpec
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.postgres_store import PostgresStore
from interlock.service.protection import Resilience
from interlock.service.runtime import Runtime
from interlock.service.spending import Storm
from support.figures import record
from support.keys import KNOWN
from support.kill_child import slow_script
from support.line import How, Line
from support.openai_server import OpenAIServer, Received, Served, completion, drip, hang, openai_server, reset, status
from support.postgres import database, server_socket
from support.runtime import Bank, check_log, mini, of_type
from support.stores import LOG, decided

__all__ = ["openai_server"]
QUIET = Resilience(breaker=BreakerSpec(failures=10_000), storm=Storm(times=0))
"""No breaker: every attempt is made."""
ANSWER_SECONDS, WAIT_SECONDS = 0.5, 0.5
LONGEST_SECONDS = 12.0
"""For one call: it may find its connection silent, and wait for a new one, which takes 2 s at most."""
TEXTS = ("help tool", "pay", "once", "help me", "person", "what")
HOW: tuple[How, ...] = ("silent", "reset", "cut", "slow")


@pytest.fixture
def line() -> Iterator[tuple[Line, str, str]]:
    """The line, the database through it, and the database without it."""
    with database() as url:
        found = Line(server_socket())
        try:
            base, _, _ = url.partition("@/")
            name = url.partition("@/")[2].partition("?")[0]
            yield found, f"{base}@127.0.0.1:{found.port}/{name}?sslmode=disable&gssencmode=disable", url
        finally:
            found.close()


def through(url: str) -> PostgresStore:
    return PostgresStore(url, wait_seconds=WAIT_SECONDS, answer_seconds=ANSWER_SECONDS, master=KNOWN)


@pytest.mark.parametrize("how", ["silent", "cut", "reset"])
def test_a_line_that_fails_is_given_up_and_the_next_call_has_a_new_one(line: tuple[Line, str, str], how: How) -> None:
    """Silence is no reason to wait for ever: the caller is told that it is unknown what was recorded."""
    wire, url, _ = line
    PostgresStore(line[2], origin=LOG).close()
    with closing(through(url)) as store:
        first = decided(store.head("s"), key="first", size=1)
        store.append(first)
        wire.fails(how)
        began = time.monotonic()
        with pytest.raises(StorageError, match="The connection to the database failed") as told:
            store.append(decided(store.head("s"), key="second", size=1))
        assert time.monotonic() - began < LONGEST_SECONDS
        assert "may or may not be recorded" in told.value.fix
        if how == "silent":
            assert "the server has not answered for 1 s" in told.value.what
        wire.heals()
        assert store.find_key("s", "second") is None
        assert store.append(decided(store.head("s"), key="second", size=1)) == 2


def test_a_wait_for_a_lock_is_no_silence(line: tuple[Line, str, str]) -> None:
    """A conversation that another process holds is waited for as long as was said, and refused by the server."""
    PostgresStore(line[2], origin=LOG).close()
    with closing(through(line[1])) as store, closing(PostgresStore(line[2])) as other:
        store.append(decided(store.head("s"), size=1))
        held = other._ask(lambda connection: connection._open)
        held.execute("BEGIN")
        held.execute("SELECT * FROM conversation WHERE stream = 's' FOR UPDATE")
        with pytest.raises(StorageError, match="locked by another program"):
            store.append(decided(store.head("s"), size=1))
        held.execute("ROLLBACK")
        assert store.append(decided(store.head("s"), size=1)) == 2


# -- the runtime on a database behind a bad line ------------------------------------------------------------


class Caller:
    """Sends each message until it is answered, always with its key, and notes how long each call took."""

    def __init__(self, wire: Line, store: PostgresStore, bank: Bank, chance: random.Random) -> None:
        self.wire, self.store, self.bank, self.chance = wire, store, bank, chance
        self.failures, self.longest, self.keys = 0, 0.0, 0

    async def turn(self, runtime: Runtime, talk: str, text: str, keyed: bool) -> None:
        self.keys += 1
        key = f"m{self.keys}"
        for attempt in range(40):
            began = time.monotonic()
            try:
                given = key if keyed else f"{key}-{attempt}"
                await (runtime.say(talk, text, key=given) if text else runtime.start(conversation=talk, key=key))
            except (StorageError, StreamMoved):
                self.failures += 1
            else:
                return
            finally:
                self.longest = max(self.longest, time.monotonic() - began)
                self.wire.heals()
            with suppress(StorageError):
                await self.resolved(runtime)
        raise AssertionError(f"{text!r} was never answered")

    async def resolved(self, runtime: Runtime) -> None:
        for one in await runtime.recover():
            acted = any(key == f"{one.conversation}:{one.effect}" for _, key in self.bank.calls)
            await runtime.resolve(one.conversation, one.effect, "done" if acted else "failed")


async def talked(wire: Line, url: str, faults: int, seed: int, *, keyed: bool = True) -> tuple[Caller, list[str]]:
    """Conversations through a line that fails so often; everything that was lost or done twice."""
    chance, bank = random.Random(seed), Bank()
    program, sent, wrong = mini(bank, limits="{conversation_messages: 10000}"), Counter[str](), list[str]()
    with closing(through(url)) as store:
        caller = Caller(wire, store, bank, chance)
        async with Runtime(store, program, slow_script()) as runtime:
            for number in range(faults):
                talk = f"talk-{number // 6}"
                if talk not in sent:
                    await caller.turn(runtime, talk, "", keyed)
                wire.fails(HOW[number % len(HOW)], after=chance.randrange(30))
                await caller.turn(runtime, talk, chance.choice(TEXTS), keyed)
                sent[talk] += 1
            await caller.resolved(runtime)
            for talk in sent:
                if (await runtime.outcome(talk)).standing == "working":
                    wrong.append(f"{talk} stands still")
        for talk, messages in sent.items():
            found = len(of_type(store, talk, MessageReceived))
            if found != messages:
                wrong.append(f"{talk} has {found} messages of {messages}")
        calls = Counter(key for name, key in bank.calls if name == "pay_unkeyed")
        wrong += [f"{key} was paid {times} times" for key, times in calls.items() if times > 1]
        for name, key in bank.calls:
            stream, _, version = key.rpartition(":")
            entries = store.read(stream, after=int(version), limit=1)
            if not entries or entries[0].type != "tool_requested":
                wrong.append(f"{name} acted under {key} without its intent")
        check_log(store, program)
    return caller, wrong


@pytest.mark.parametrize("faults", [16, pytest.param(400, marks=pytest.mark.full)])
async def test_a_bad_line_to_the_database_loses_and_doubles_nothing(line: tuple[Line, str, str], faults: int) -> None:
    wire, url, direct = line
    PostgresStore(direct, origin=LOG).close()
    caller, wrong = await talked(wire, url, faults, 12)
    assert wrong == []
    assert wire.hits > faults // 4
    assert caller.failures > 0
    assert caller.longest < LONGEST_SECONDS
    seen = {"submissions that failed": caller.failures, "longest call (ms)": int(caller.longest * 1000)}
    record("F12", "failures of the line to the database", tried=wire.hits, wrong=0, seen=seen)


async def test_control_a_caller_without_keys_says_things_twice(line: tuple[Line, str, str]) -> None:
    """The same, sent again under another key: what was recorded before the line failed is there twice."""
    PostgresStore(line[2], origin=LOG).close()
    caller, wrong = await talked(line[0], line[1], 24, 12, keyed=False)
    assert any(" messages of " in one for one in wrong)
    record("F12", "callers without keys", tried=caller.failures, wrong=len(wrong), control=True)


# -- the model ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turns", [12, pytest.param(300, marks=pytest.mark.full)])
async def test_a_bad_line_to_the_model_costs_declared_time_and_asks_nothing_twice(
    openai_server: OpenAIServer, turns: int
) -> None:
    """Every request is one recorded attempt, every attempt has an end, and no turn outlasts its attempts."""
    chance, store, program = random.Random(12), MemoryStore(), mini(Bank(), timeout="1s")

    def answered(request: Received) -> Served:
        yes = completion({"outcome": "done", "reply": "Yes.", "city": ""})
        made: Any = chance.choice([hang(), reset(yes), drip(yes), status(500), yes])
        return cast(Served, made(request) if callable(made) else made)

    openai_server.answers_with(answered)
    longest = 0.0
    agent = OpenAIAgent(api_key="test", base_url=openai_server.url)
    async with agent, Runtime(store, program, agent, resilience=QUIET) as runtime:
        runtime.performer.protection.pause = lambda _: asyncio.sleep(0)
        for number in range(turns):
            await runtime.start(conversation=f"talk-{number}")
            began = time.monotonic()
            with suppress(InterlockError):
                await runtime.say(f"talk-{number}", "help me")
            longest = max(longest, time.monotonic() - began)
    asked = sum(len(of_type(store, talk, AgentRequested)) for talk in store.streams())
    ended = sum(len(of_type(store, talk, AgentReturned)) for talk in store.streams())
    assert asked == ended
    assert len(openai_server.requests) <= asked
    assert longest < 2 * 1.0 + 5
    check_log(store, program)
    seen = {"attempts": asked, "longest turn (ms)": int(longest * 1000)}
    record("F12", "turns on a bad line to the model", tried=turns, wrong=0, seen=seen)
