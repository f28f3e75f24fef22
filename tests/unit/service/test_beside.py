"""What runs beside the turns: late members, background retries, operators' turns, deadlines, recovery, closing."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from interlock.agents.scripted import ScriptedAgent, fails, gives
from interlock.agents.tools import tool
from interlock.contracts.errors import CallError
from interlock.contracts.events import AgentRequested, LateResult
from interlock.contracts.store import Summary
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code, Subflow
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.beside import Beside, owners_after
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.runtime import OPERATOR, Bank, check_log, mini, of_type, path_of
from support.subflows import check_family, child_of, desk

ROUND = """
flow: round
version: 1
owner: tests
initial: start
agents:
  a: {instructions: A, history: none}
  b: {instructions: B, history: none}
states:
  start: {kind: wait, deadline: 1d}
  checks: {kind: broadcast, members: {a: {timeout: 10s}, b: {timeout: 10s}}, quorum: 1, retries: 1,
           retry_after: 5m, deadline: 15s}
  more: {kind: wait, deadline: 1d}
  act: {kind: call, tool: pay, timeout: 10s}
  hold: {kind: wait, deadline: 1d, inputs: [late_result]}
  over: {kind: final}
transitions:
  - [start, message, otherwise, checks, R-1]
  - [checks, complete, otherwise, more, R-1]
  - [checks, partial, otherwise, more, R-1]
  - [more, message, otherwise, act, R-2]
  - [act, done, otherwise, hold, R-2]
  - [hold, message, otherwise, act, R-2]
  - [hold, late_result, otherwise, over, R-3]
  - [any, expired, otherwise, over, R-3]
  - [any, timeout, otherwise, over, R-3]
  - [any, failed, otherwise, over, R-3]
  - [any, limit, otherwise, over, R-3]
"""


class Gate:
    """What holds a member, and a tool, until it is opened."""

    def __init__(self) -> None:
        self.opened, self.asked, self.calls = asyncio.Event(), 0, list[str]()
        self.tool_opened = threading.Event()

    async def member(self, _: Any) -> str:
        self.asked += 1
        await self.opened.wait()
        return "here"

    def program(self) -> Program:
        @tool(consequential=True, says="Pays.")
        def pay(context: ToolContext) -> dict[str, bool]:
            self.calls.append(context.idempotency_key)
            self.tool_opened.wait(10)
            return {}

        code = Code.of(tools=[pay])
        return compiled(read_flow(ROUND, code).flow, code)


async def until(holds: Callable[[], bool]) -> None:
    """Until it holds; a test that waits in vain fails within seconds."""
    async with asyncio.timeout(5):
        while not holds():  # noqa: ASYNC110 - what is waited for is in the log
            await asyncio.sleep(0.002)


def summary(store: MemoryStore, stream: str) -> Summary:
    found = store.summary(stream)
    assert found is not None
    return found


@asynccontextmanager
async def two(program: Program, store: MemoryStore, clock: ManualClock, b: Any) -> AsyncIterator[tuple[Any, Any]]:
    """Two processes on one log that know of each other."""
    present = set[str]()
    one, other = (
        Runtime(store, program, ScriptedAgent({"a": "a", "b": b}), clock=clock, presence=OnlyProcess(present))
        for _ in range(2)
    )
    async with one, other:
        yield one, other


@pytest.mark.parametrize("alive", [True, False])
async def test_a_late_member_stays_with_who_asked_it(alive: bool) -> None:
    """Another process that writes a word does not ask the member again; where the first died, it does."""
    gate, store = Gate(), MemoryStore()
    async with two(gate.program(), store, ManualClock(), gate.member) as (one, other):
        await one.start(conversation="talk")
        assert (await one.say("talk", "go")).state == "more"
        await other.give("talk", "late_result")
        assert summary(store, "talk").owner == one._presence.owner
        if not alive:
            one._presence.close()
        recovering = asyncio.create_task(other.recover())
        await (until(recovering.done) if alive else until(lambda: gate.asked == 2))
        assert gate.asked == (1 if alive else 2)
        gate.opened.set()
        await recovering
        await until(lambda: not one._beside.effects)
    assert len(of_type(store, "talk", LateResult)) == 1
    check_log(store, [gate.program()])


async def test_two_processes_with_effects_of_one_conversation_leave_each_other_theirs() -> None:
    """One pays while the other asks a member again in the background: neither does what the other has in hand."""
    gate, store, clock, answers = Gate(), MemoryStore(), ManualClock(), [0]

    async def first_fails(request: Any) -> Any:
        answers[0] += 1
        return fails("server_error") if answers[0] == 1 else await gate.member(request)

    async with two(gate.program(), store, clock, first_fails) as (one, other):
        await one.start(conversation="talk")
        await one.say("talk", "go")
        paying = asyncio.create_task(one.say("talk", "pay"))
        await until(lambda: bool(gate.calls))
        clock.advance(301)
        firing = asyncio.create_task(other.fire_due())
        await until(lambda: gate.asked == 1)
        await other.recover()
        await one.recover()
        assert len(gate.calls) == 1, "the payment was made again while it was being made"
        gate.tool_opened.set()
        await paying
        await one.recover()
        await other.recover()
        assert gate.asked == 1, "the member was asked again while it was being asked"
        assert summary(store, "talk").owner == other._presence.owner, "who has nothing in hand any more lets go"
        gate.opened.set()
        await firing
    assert len(gate.calls) == 1
    check_log(store, [gate.program()])


def test_owners_join_the_living() -> None:
    """Who lives stays, who died goes, and who only writes does not come."""
    present = set[str]()
    me, you = OnlyProcess(present), OnlyProcess(present)
    assert owners_after(you.owner, me, begins=False) == you.owner
    assert owners_after(you.owner, me, begins=True) == f"{you.owner} {me.owner}"
    assert owners_after(f"{you.owner} {me.owner}", me, begins=True) == f"{you.owner} {me.owner}"
    you.close()
    assert owners_after(you.owner, me, begins=False) == me.owner


@pytest.mark.parametrize("state", ["pay", "once"])
async def test_what_an_operators_turn_performs_is_in_hand(state: str) -> None:
    """Recovery beside it does nothing, and nobody resolves it; when it is over, it was performed once."""
    opened, store = threading.Event(), MemoryStore()
    bank = Bank(answer=lambda _: opened.wait(10) and None)
    program = mini(bank, rows=f"  - [any, operator_fallback, otherwise, {state}, P-0]\n")
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        await runtime.start(conversation="talk")
        acting = asyncio.create_task(runtime.give("talk", "operator_fallback", actor=OPERATOR))
        await until(lambda: bool(bank.calls))
        assert await runtime.recover() == ()
        (effect,) = runtime._conversations._live["talk"].conversation.pending
        with pytest.raises(CallError, match="being performed by a living process"):
            await runtime.resolve("talk", effect, "again")
        opened.set()
        assert (await acting).state == "more"
    assert len(bank.calls) == 1
    check_log(store, program)


async def test_a_busy_conversation_holds_up_its_own_deadlines_alone() -> None:
    """Its background retry waits for the turn in hand; another conversation's deadline does not."""
    gate, store, clock = Gate(), MemoryStore(), ManualClock()
    agent = ScriptedAgent({"a": "a", "b": fails("server_error")})
    async with Runtime(store, gate.program(), agent, clock=clock) as runtime:
        await runtime.start(conversation="other")
        clock.advance(86_000)
        await runtime.start(conversation="busy")
        await runtime.say("busy", "go")
        paying = asyncio.create_task(runtime.say("busy", "pay"))
        await until(lambda: bool(gate.calls))
        clock.advance(401)
        timers = asyncio.create_task(runtime.run_timers(0.002))
        await until(lambda: summary(store, "other").state == "over")
        assert not paying.done()
        gate.tool_opened.set()
        await paying
        await until(lambda: len(of_type(store, "busy", AgentRequested)) == 3)
        timers.cancel()
    check_log(store, [gate.program()])


async def test_recovery_of_one_conversation_holds_up_no_deadline() -> None:
    """A model that is slow to be asked again is nobody else's matter."""
    gate, store, clock = Gate(), MemoryStore(), ManualClock()
    program = mini()

    async def slow(request: Any) -> Any:
        await gate.member(request)
        return gives(reply="Yes.")

    agent = ScriptedAgent(slow)
    async with Runtime(store, program, agent, clock=clock) as died:
        await died.start(conversation="left")
        await died.start(conversation="other")
        turn = asyncio.create_task(died.say("left", "help"))
        await until(lambda: gate.asked == 1)
        await died.close(0)
        with pytest.raises(asyncio.CancelledError):
            await turn
    async with Runtime(store, program, agent, clock=clock) as runtime:
        timers = asyncio.create_task(runtime.run_timers(0.002, 0.002))
        await until(lambda: gate.asked == 2)
        clock.advance(1_801)
        await until(lambda: summary(store, "other").state == "silent")
        assert gate.asked == 2
        gate.opened.set()
        await until(lambda: summary(store, "left").state == "more")
        timers.cancel()
    check_log(store, program)


async def test_a_subflows_deadline_is_kept_while_the_child_works() -> None:
    """The parent goes on at its deadline, though its turn waits for what the child's model says."""
    gate, store, clock = Gate(), MemoryStore(), ManualClock()

    async def slow(request: Any) -> Any:
        await gate.member(request)
        return gives(outcome="done", reply="Helped.")

    program = desk(deadline="1m")
    async with Runtime(store, program, ScriptedAgent({"helper": slow}), clock=clock) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        helping = asyncio.create_task(runtime.say("talk", "help"))
        await until(lambda: gate.asked == 1)
        assert await runtime.fire_due() == 0, "it is not due yet"
        clock.advance(61)
        async with asyncio.timeout(5):
            assert await runtime.fire_due() == 1
        assert path_of(store, "talk")[-1] == "failed>clerk"
        assert not helping.done()
        gate.opened.set()
        await helping
    assert summary(store, child_of(store, "talk")).status == "ended"
    check_family(store, program)


LATE = """
flow: round
version: 1
owner: tests
initial: checks
agents:
  a: {instructions: A, history: none}
  b: {instructions: B, history: none}
states:
  checks: {kind: broadcast, members: {a: {timeout: 10s}, b: {timeout: 10s}}, quorum: 1, deadline: 15s}
  hold: {kind: wait, deadline: 1d, inputs: [late_result]}
  over: {kind: final}
transitions:
  - [checks, complete, otherwise, hold, R-1]
  - [checks, partial, otherwise, hold, R-1]
  - [hold, message, otherwise, hold, R-2]
  - [hold, late_result, otherwise, over, R-3]
  - [any, expired, otherwise, over, R-3]
  - [any, failed, otherwise, over, R-3]
  - [any, limit, otherwise, over, R-3]
"""
TOP = """
flow: top
version: 1
owner: tests
initial: start
subflows: {round: round.yaml}
states:
  start: {kind: wait, deadline: 30m}
  team:  {kind: subflow, flow: round, deadline: 1h}
  more:  {kind: wait, deadline: 30m}
  over:  {kind: final}
transitions:
  - [start, message, otherwise, team, P-1]
  - [team, over, otherwise, more, P-2]
  - [team, failed, otherwise, over, P-2]
  - [more, message, otherwise, team, P-1]
  - [any, expired, otherwise, over, P-3]
  - [any, limit, otherwise, over, P-3]
"""


async def test_a_late_result_that_ends_a_child_is_told_to_its_parent() -> None:
    """At once, not when somebody next looks."""
    gate, store = Gate(), MemoryStore()
    below = Code()
    child = read_flow(LATE, below).flow
    code = Code.of(subflows={"round": Subflow(child, below)})
    program = compiled(read_flow(TOP, code).flow, code)
    async with Runtime(store, program, ScriptedAgent({"a": "a", "b": gate.member})) as runtime:
        await runtime.start("top", conversation="talk")
        await runtime.say("talk", "go")
        assert path_of(store, "talk") == ["message>team"]
        gate.opened.set()
        await until(lambda: path_of(store, child_of(store, "talk"))[-1] == "late_result>over")
        await until(lambda: summary(store, "talk").state == "more")
    check_family(store, program)


async def test_closing_waits_for_what_its_turns_leave_behind() -> None:
    """A member that a closing turn lets go is recorded before the runtime is closed."""
    gate, store, a_opened = Gate(), MemoryStore(), asyncio.Event()

    async def a(_: Any) -> str:
        await a_opened.wait()
        return "a"

    runtime = Runtime(store, gate.program(), ScriptedAgent({"a": a, "b": gate.member}))
    async with runtime:
        await runtime.start(conversation="talk")
        turn = asyncio.create_task(runtime.say("talk", "go"))
        await until(lambda: gate.asked == 1)
        closing = asyncio.create_task(runtime.close(5))
        await asyncio.sleep(0)
        a_opened.set()
        await turn
        await asyncio.sleep(0.01)
        assert not closing.done()
        gate.opened.set()
        await closing
    assert len(of_type(store, "talk", LateResult)) == 1
    check_log(store, [gate.program()])


async def test_closing_cuts_off_what_outlives_its_time() -> None:
    """Nothing runs after it, also what nobody waits for; recovery asks the member again."""
    gate, store = Gate(), MemoryStore()
    async with Runtime(store, gate.program(), ScriptedAgent({"a": "a", "b": gate.member})) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "go")
        await runtime.close(0.01)
        assert not runtime._beside.tasks
        assert not runtime._beside.effects
    async with Runtime(store, gate.program(), ScriptedAgent({"a": "a", "b": "b"})) as runtime:
        await runtime.recover()
    assert len(of_type(store, "talk", LateResult)) == 1
    check_log(store, [gate.program()])


async def test_a_conversation_is_not_read_again_under_a_commit() -> None:
    """An operator's turn holds `writing` alone: who looks waits for it, and then sees what it recorded."""
    store, program = MemoryStore(), mini()
    present = set[str]()
    agent = ScriptedAgent([])
    async with (
        Runtime(store, program, agent, presence=OnlyProcess(present)) as one,
        Runtime(store, program, agent, presence=OnlyProcess(present)) as other,
    ):
        await one.start(conversation="talk")
        await other.say("talk", "form")
        live = one._conversations._live["talk"]
        async with live.writing:
            looking = asyncio.create_task(one._conversations.current("talk"))
            await asyncio.sleep(0.05)
            assert live.conversation.state == "start", "it was read again in the middle of a commit"
        assert (await looking).conversation.state == "form"


async def test_work_beside_runs_at_once_and_once() -> None:
    """One that is under way is left to whoever began it; when it has ended, it may be begun again."""
    beside, opened, begun = Beside(), asyncio.Event(), list[str]()

    async def slow() -> str:
        begun.append("slow")
        await opened.wait()
        return "slow"

    async def quick() -> str:
        begun.append("quick")
        return "quick"

    lines = [[("slow", slow), ("behind", quick)], [("quick", quick)]]
    first = asyncio.create_task(beside.each(lines))
    await until(lambda: begun == ["slow", "quick"])
    assert await beside.each([[("slow", slow)], [("quick", quick)]]) == ["quick"]
    opened.set()
    assert await first == ["slow", "quick", "quick"]
    assert await beside.each([[("slow", slow)]]) == ["slow"]
