"""People and time: tasks, named inputs, operators, and deadlines that survive whoever set them."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.errors import CallError, LogError
from interlock.contracts.events import (
    AgentReturned,
    CommandRefused,
    InputReceived,
    MessageReceived,
    TaskDecided,
    TaskOpened,
    TimerFired,
)
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.runtime import CLERK, OPERATOR, STRANGER, check_log, mini, of_type, path_of

HELPFUL = ScriptedAgent(lambda _: gives(reply="Yes."))


async def test_a_person_decides_and_the_conversation_goes_on() -> None:
    """The decision, who took it and its reason are in the log; the reason's text only as a payload."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        opened = await runtime.say("talk", "person please")
        assert opened.standing == "with_person"
        assert opened.task
        assert (opened.task.role, opened.task.decisions) == ("clerk", ("resolved", "close"))
        outcome = await runtime.decide_task("talk", opened.task.number, "close", actor=CLERK, reason="Was angry.")
        assert (outcome.state, outcome.standing, outcome.replies) == ("bye", "ended", ("Goodbye.",))
        assert outcome.task is None
    (decided,) = of_type(store, "talk", TaskDecided)
    assert (decided.task, decided.decision, decided.reason.length) == (opened.task.number, "close", 10)
    assert not any(b"angry" in entry.data for entry in store.read("talk"))
    entry = store.read("talk", after=outcome.version, limit=1)[0]
    assert b'"id":"clerk-7"' in entry.data
    check_log(store, program)


async def test_a_decision_that_may_not_be_taken_is_refused_on_the_record() -> None:
    """Wrong role, wrong decision, wrong task, a second time: each refusal is an event, and nothing moves."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        task = (await runtime.say("talk", "person")).task
        assert task
        for number, decision, actor, reason in (
            (task.number, "resolved", STRANGER, "role_missing"),
            (task.number, "explode", CLERK, "unknown_decision"),
            (task.number + 1, "resolved", CLERK, "unknown_task"),
            (0, "resolved", CLERK, "unknown_task"),
        ):
            outcome = await runtime.decide_task("talk", number, decision, actor=actor)
            assert (outcome.state, outcome.standing, outcome.task) == ("desk", "with_person", task)
            assert of_type(store, "talk", CommandRefused)[-1].reason == reason
        await runtime.decide_task("talk", task.number, "resolved", actor=CLERK)
        await runtime.decide_task("talk", task.number, "close", actor=CLERK)
        assert of_type(store, "talk", CommandRefused)[-1].reason == "unknown_task"
        assert (await runtime.outcome("talk")).state == "more"
    check_log(store, program)


async def test_what_a_customer_writes_to_the_desk_is_kept_and_answered() -> None:
    """While a person has the case, messages are noted; the flow does not move."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "person")
        outcome = await runtime.say("talk", "help, are you there?")
        assert (outcome.state, outcome.replies) == ("desk", ("The clerk comes soon.",))
    assert of_type(store, "talk", MessageReceived)[-1].disposition == "noted"
    check_log(store, program)


async def test_a_task_that_nobody_decides_expires_where_the_flow_says() -> None:
    """Four hours: not a second sooner; afterwards the task cannot be decided any more."""
    store, program, clock = MemoryStore(), mini(), ManualClock()
    async with Runtime(store, program, HELPFUL, clock=clock) as runtime:
        await runtime.start(conversation="talk")
        task = (await runtime.say("talk", "person")).task
        assert task
        assert task.due == clock.now() + timedelta(hours=4)
        clock.advance(4 * 3600 - 1)
        assert await runtime.fire_due() == 0
        clock.advance(1)
        assert await runtime.fire_due() == 1
        assert await runtime.fire_due() == 0
        outcome = await runtime.decide_task("talk", task.number, "resolved", actor=CLERK)
        assert (outcome.state, outcome.standing) == ("silent", "ended")
    assert len(of_type(store, "talk", TimerFired)) == 1
    check_log(store, program)


async def test_deadlines_survive_a_restart(tmp_path: Path) -> None:
    """Set by one runtime, fired by the next one on the same file: of a wait, of a form and of a person."""
    program, clock = mini(), ManualClock()
    store = SqliteStore(tmp_path / "log.db")
    async with Runtime(store, program, HELPFUL, clock=clock) as runtime:
        for name, texts in (("wait", []), ("form", ["form"]), ("desk", ["person"])):
            await runtime.start(conversation=name)
            for text in texts:
                await runtime.say(name, text)
    store.close()
    store = SqliteStore(tmp_path / "log.db")
    async with Runtime(store, program, HELPFUL, clock=clock) as runtime:
        states = {}
        for minutes in (15, 30, 240):
            clock.moment = ManualClock().moment + timedelta(minutes=minutes)
            assert await runtime.fire_due() == 1
            states[minutes] = {name: (await runtime.outcome(name)).state for name in ("wait", "form", "desk")}
    assert states == {
        15: {"wait": "start", "form": "silent", "desk": "desk"},
        30: {"wait": "silent", "form": "silent", "desk": "desk"},
        240: {"wait": "silent", "form": "silent", "desk": "silent"},
    }
    check_log(store, program)
    store.close()


async def test_a_message_puts_the_deadline_off() -> None:
    """Each wait has its own deadline, and the old one does not fire."""
    store, program, clock = MemoryStore(), mini(), ManualClock()
    async with Runtime(store, program, HELPFUL, clock=clock) as runtime:
        await runtime.start(conversation="talk")
        clock.advance(29 * 60)
        await runtime.say("talk", "help")
        clock.advance(14 * 60)
        assert await runtime.fire_due() == 0
        clock.advance(60)
        assert await runtime.fire_due() == 1
        assert (await runtime.outcome("talk")).state == "silent"
    check_log(store, program)


async def test_two_runtimes_fire_a_deadline_once(tmp_path: Path) -> None:
    """Both look at the same moment: one fires, the other sees that it was done."""
    program, clock = mini(), ManualClock()
    store = SqliteStore(tmp_path / "log.db")
    async with (
        Runtime(store, program, HELPFUL, clock=clock) as one,
        Runtime(store, program, HELPFUL, clock=clock) as two,
    ):
        for number in range(10):
            await one.start(conversation=f"talk-{number}")
            await two.outcome(f"talk-{number}")
        clock.advance(3600)
        await asyncio.gather(one.fire_due(), two.fire_due())
    for number in range(10):
        assert len(of_type(store, f"talk-{number}", TimerFired)) == 1
    check_log(store, program)
    store.close()


async def test_a_deadline_is_fired_by_a_runtime_that_knew_an_older_state(tmp_path: Path) -> None:
    """Who set it is gone; the other has an old reading of the conversation in memory, and fires all the same."""
    program, clock = mini(), ManualClock()
    store = SqliteStore(tmp_path / "log.db")
    async with Runtime(store, program, HELPFUL, clock=clock) as two:
        async with Runtime(store, program, HELPFUL, clock=clock) as one:
            await one.start(conversation="talk")
            await two.outcome("talk")
            await one.say("talk", "help")
        clock.advance(3600)
        assert await two.fire_due() == 1
        assert (await two.outcome("talk")).state == "silent"
    check_log(store, program)
    store.close()


async def test_one_conversation_that_cannot_be_read_stops_no_deadline_of_another() -> None:
    """Its flow is not loaded here, and it is the oldest of all that are due."""
    store, clock = MemoryStore(), ManualClock()
    old, new = mini(), mini(version=2)
    async with Runtime(store, old, HELPFUL, clock=clock) as runtime:
        for number in range(150):
            await runtime.start(conversation=f"old-{number}")
    clock.advance(1)
    async with Runtime(store, new, HELPFUL, clock=clock) as runtime:
        await runtime.start(conversation="new")
        clock.advance(3600)
        assert await runtime.fire_due() == 1
        assert (await runtime.outcome("new")).state == "silent"
    check_log(store, (old, new))


async def test_timers_go_on_after_a_failure() -> None:
    """The loop that fires deadlines reports what failed and tries again at the next tick."""
    store, program, clock = MemoryStore(), mini(), ManualClock()

    class Hiccup(Runtime):
        failures = 2

        async def fire_due(self) -> int:
            if self.failures:
                self.failures -= 1
                raise LogError("The disk is away.")
            return await super().fire_due()

    async with Hiccup(store, program, HELPFUL, clock=clock) as runtime:
        await runtime.start(conversation="talk")
        clock.advance(3600)
        timers = asyncio.create_task(runtime.run_timers(0.001))
        for _ in range(1000):
            await asyncio.sleep(0.002)
            if (await runtime.outcome("talk")).state == "silent":
                break
        timers.cancel()
        assert (await runtime.outcome("talk")).state == "silent"
    check_log(store, program)


async def test_a_named_input_moves_a_state_that_waits_for_it() -> None:
    """With facts of the caller's, which are then known."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        outcome = await runtime.give("talk", "signed_in", {"city": "Paris", "amount": "12.50"}, key="g")
        assert outcome.state == "more"
        assert await runtime.give("talk", "signed_in", {"city": "Paris", "amount": "12.50"}, key="g") == outcome
        assert (await runtime.say("talk", "form")).state == "more", "the form has all it asks for"
    (given,) = of_type(store, "talk", InputReceived)
    assert [fact.name for fact in given.facts] == ["city", "amount"]
    assert not any(b"Paris" in entry.data for entry in store.read("talk"))
    assert check_log(store, program).folds["talk"].known["amount"].value == 1250


async def test_an_input_that_nobody_waits_for_is_refused_on_the_record() -> None:
    """An unknown name, one of another state's, and one after the end."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        await runtime.give("talk", "signed_out")
        await runtime.give("talk", "message")
        await runtime.give("talk", "expired")
        await runtime.say("talk", "help")
        await runtime.give("talk", "signed_in")
        assert (await runtime.outcome("talk")).state == "more"
        await runtime.say("talk", "bye")
        await runtime.give("talk", "signed_in")
    assert [event.reason for event in of_type(store, "talk", CommandRefused)] == ["not_waiting"] * 4 + ["ended"]
    check_log(store, program)


@pytest.mark.parametrize(
    "facts",
    [
        {"amount": "1e999999999"},
        {"amount": "NaN"},
        {"amount": "-1"},
        {"amount": [1]},
        {"amount": 2**60},
        {"amount": True},
        {"nothing": 1},
        {"city": ""},
        {"city": 5},
        {"paid": "yes"},
        {"amount": None},
        {"amount": float("inf")},
        {"city": b"x"},
    ],
)
async def test_facts_that_do_not_fit_the_flow_are_refused_before_anything_is_recorded(facts: dict[str, object]) -> None:
    """The refusal names them; nothing is appended."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        with pytest.raises(CallError, match=f"These facts do not fit the flow: '{next(iter(facts))}'"):
            await runtime.start(conversation="talk", facts=facts)
        assert store.head("talk").length == 0
        await runtime.start(conversation="talk")
        with pytest.raises(CallError, match="These facts do not fit the flow"):
            await runtime.give("talk", "signed_in", facts)
    check_log(store, program)


async def test_an_operator_stops_what_runs_and_the_late_result_changes_nothing() -> None:
    """Killed while the model thinks: its answer is recorded as late, and moves nothing."""
    store, program = MemoryStore(), mini()
    gate, reached = asyncio.Event(), asyncio.Event()

    async def held(_: AgentRequest) -> AgentReply:
        reached.set()
        await gate.wait()
        return gives(reply="Yes.", city="Rome")

    async with Runtime(store, program, ScriptedAgent(held)) as one, Runtime(store, program, HELPFUL) as two:
        await one.start(conversation="talk")
        turn = asyncio.create_task(one.say("talk", "help"))
        await reached.wait()
        refused = await two.give("talk", "operator_kill", actor=CLERK)
        assert refused.standing == "working"
        assert of_type(store, "talk", CommandRefused)[-1].reason == "role_missing"
        killed = await two.give("talk", "operator_kill", actor=OPERATOR)
        assert (killed.state, killed.standing, killed.replies) == ("stopped", "ended", ("Stopped.",))
        gate.set()
        outcome = await turn
        assert (outcome.state, outcome.standing) == ("stopped", "ended")
    assert of_type(store, "talk", AgentReturned)[-1].late
    assert "city" not in check_log(store, program).folds["talk"].known
    assert path_of(store, "talk")[-1] == "operator_kill>stopped"


async def test_an_operator_brings_a_person_in() -> None:
    """From a form as from anywhere; the task is opened as any other."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "form")
        outcome = await runtime.give("talk", "operator_human", actor=OPERATOR)
        assert outcome.standing == "with_person"
    assert of_type(store, "talk", TaskOpened)
    check_log(store, program)


async def test_a_message_after_the_end_is_recorded_and_answered() -> None:
    """It is refused, not lost, and nothing moves."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "bye")
        outcome = await runtime.say("talk", "one more thing")
        assert (outcome.state, outcome.standing) == ("bye", "ended")
        assert outcome.replies
    assert of_type(store, "talk", MessageReceived)[-1].disposition == "refused"
    check_log(store, program)
