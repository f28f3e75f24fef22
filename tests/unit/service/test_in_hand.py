"""Work in hand: who performs it, who may end it, and that it ends in its time."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from interlock import CallError, Runtime, ScriptedAgent, recorded
from interlock.agents.scripted import gives
from interlock.contracts.agents import AgentReply, ToolCall
from interlock.contracts.commands import Actor
from interlock.contracts.events import AgentRequested, LimitReached, ToolRequested, TransitionTaken
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.clock import ManualClock
from support.runtime import Bank, check_log, mini, of_type

OPERATOR = Actor(kind="human", id="o-1", roles=("operator",))


def paying(times: int) -> ScriptedAgent:
    """An agent that proposes so many payments at once, and then is done."""
    asked = [AgentReply(tool_calls=tuple(ToolCall(str(n), "pay", '{"amount": 500}') for n in range(times)))]
    return ScriptedAgent(lambda _: asked.pop() if asked else gives(reply="Paid."))


async def test_another_process_that_writes_does_not_take_the_work_over(tmp_path: Path) -> None:
    """A message queued by a second runtime leaves the effect with the first, and recovery lets it be."""
    going, let_go = asyncio.Event(), asyncio.Event()

    async def thinking(_: Any) -> AgentReply:
        going.set()
        await let_go.wait()
        return gives(reply="Yes.")

    store, other = SqliteStore(tmp_path / "log.db"), SqliteStore(tmp_path / "log.db")
    program, calls = mini(), ScriptedAgent(thinking)
    async with Runtime(store, program, calls) as first, Runtime(other, program, calls) as second:
        await first.start(conversation="talk")
        turn = asyncio.create_task(first.say("talk", "help"))
        await going.wait()
        assert (await second.say("talk", "are you there?")).standing == "working"
        assert await second.recover() == ()
        with pytest.raises(CallError, match="being performed by a living process"):
            await second.resolve("talk", max(first_effects(store)), "failed")
        let_go.set()
        await turn
        assert len(calls.requests) <= 2
    check_log(store, program)
    store.close()
    other.close()


def first_effects(store: Any) -> list[int]:
    return [one.envelope.ver for one in recorded(store.read("talk")) if isinstance(one.event, AgentRequested)]


async def test_an_operator_ends_a_turn_in_hand_and_what_is_left_of_it_does_not_run() -> None:
    """A kill does not wait for the model; the result comes late, and its calls are not made."""
    going, let_go = asyncio.Event(), asyncio.Event()

    async def proposing(_: Any) -> AgentReply:
        going.set()
        await let_go.wait()
        return AgentReply(tool_calls=(ToolCall("1", "pay", '{"amount": 500}'),))

    bank, store = Bank(), MemoryStore()
    program = mini(bank)
    async with Runtime(store, program, ScriptedAgent(proposing)) as runtime:
        await runtime.start(conversation="talk")
        turn = asyncio.create_task(runtime.say("talk", "help"))
        await going.wait()
        killed = await asyncio.wait_for(runtime.give("talk", "operator_kill", actor=OPERATOR), 5)
        assert killed.standing == "ended"
        let_go.set()
        await turn
    assert of_type(store, "talk", ToolRequested) == []
    check_log(store, program)


async def test_calls_proposed_together_run_one_after_another_within_the_turns_time() -> None:
    """Thirty payments proposed at once do not outlive the turn: its deadline stands before each."""
    store = MemoryStore()
    program = mini(Bank(), limits="{turn_seconds: 60}")
    clock = ManualClock()
    agent = paying(30)

    async with Runtime(store, program, agent, clock=clock) as runtime:
        await runtime.start(conversation="talk")
        real = runtime.performer.run_tool

        async def slow(live: Any, effect: Any) -> Any:
            clock.advance(25)
            return await real(live, effect)

        runtime.performer.run_tool = slow  # type: ignore[method-assign]
        outcome = await runtime.say("talk", "help")
    assert outcome.state == "desk"
    assert len(of_type(store, "talk", ToolRequested)) == 3
    assert [event.limit for event in of_type(store, "talk", LimitReached)] == ["turn_seconds"]
    check_log(store, program)


async def test_a_closed_runtime_takes_no_work() -> None:
    """Its name is given up, so another would do the same work again."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        await runtime.start(conversation="talk")
    with pytest.raises(CallError, match="This runtime is closed"):
        await runtime.say("talk", "hello")


async def test_a_listener_that_raises_loses_nothing() -> None:
    """What is recorded is recorded, and the turn goes on."""

    def listener(*_: object) -> None:
        raise RuntimeError("mine")

    store, program = MemoryStore(), mini()
    async with Runtime(store, program, ScriptedAgent(lambda _: gives(reply="Yes.")), on_event=listener) as runtime:
        await runtime.start(conversation="talk")
        outcome = await runtime.say("talk", "help")
        assert "Yes." in outcome.replies
    check_log(store, program)


async def test_a_digression_that_a_person_takes_over_is_not_returned_to() -> None:
    """Left by a flow-wide row it is over: later states find no digression open."""
    store = MemoryStore()
    rows = "  - [any, help, otherwise, push helper, P-10]\n"
    program = mini(rows=rows, own_help=False)
    refusing = [gives(outcome="refused", reply="I may not.")]
    agent = ScriptedAgent(lambda _: refusing.pop() if refusing else gives(reply="Because."))
    async with Runtime(store, program, agent) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "form")
        outcome = await runtime.say("talk", "help")
        assert outcome.state == "desk"
    assert of_type(store, "talk", TransitionTaken)[-1].move == "leave"
    check_log(store, program)
