"""What follows an attempt that fails: waits, further attempts, fallbacks in their order, and then a person."""

import asyncio
from typing import Any

import pytest

from interlock.agents.scripted import Answer, ScriptedAgent, fails
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.events import (
    AgentRequested,
    AgentReturned,
    HandoffMade,
    LimitReached,
    ReplySent,
    RetryScheduled,
    TimerFired,
    TransitionTaken,
)
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.patterns import Pauses
from support.runtime import OPERATOR, check_log, events_of, of_type
from support.trouble import running, troubled

DOWN = fails("server_error")
SLOW = fails("timeout", kind="timeout")


def failing(times: int, then: Answer = "Here you are.", *, how: Answer = DOWN) -> Any:
    """Fails so many times, then answers."""
    left = [times]

    def answer(_: AgentRequest) -> Answer:
        left[0] -= 1
        return how if left[0] >= 0 else then

    return answer


def asked(play: Any) -> list[tuple[str, int, int]]:
    return [(one.agent, one.attempt, one.fallback) for one in play.of(AgentRequested)]


async def test_waits_double_up_to_the_declared_most():
    program = troubled("attempts: 6, backoff: 2s, backoff_most: 10s")
    async with running(program, {"first": failing(5)}) as play:
        outcome = await play.say("hello")
        assert outcome.replies == ("Here you are.", "Hello.")
        assert play.pause.asked == [2, 4, 8, 10, 10]
        scheduled = play.of(RetryScheduled)
        assert [(one.agent, one.attempt, one.why) for one in scheduled] == [
            ("first", attempt, "server_error") for attempt in range(2, 7)
        ]
        assert len(play.of(TimerFired)) == 5


async def test_without_a_backoff_the_agent_is_asked_again_at_once():
    """The control: nothing is waited for, and nothing is recorded of it."""
    async with running(troubled("attempts: 3"), {"first": failing(2)}) as play:
        await play.say("hello")
        assert play.pause.asked == []
        assert play.of(RetryScheduled) == []
        assert asked(play) == [("first", 1, 0), ("first", 2, 0), ("first", 3, 0)]


async def test_the_provider_may_ask_for_a_longer_wait():
    program = troubled("attempts: 3, backoff: 2s, backoff_most: 5s")
    script = {"first": failing(2, how=fails("rate_limited", retry_after_seconds=30))}
    async with running(program, script) as play:
        await play.say("hello")
        assert play.pause.asked == [30, 30]


async def test_a_broken_contract_is_repaired_at_once():
    program = troubled("attempts: 2, backoff: 20s")
    broken = fails("not_the_contract", kind="invalid")
    async with running(program, {"first": failing(1, how=broken)}) as play:
        await play.say("hello")
        assert play.pause.asked == []
        assert asked(play) == [("first", 1, 0), ("first", 2, 0)]


async def test_no_wait_passes_the_deadline_of_the_turn():
    """The next fallback is asked instead, at once."""
    program = troubled("attempts: 5, backoff: 8s, fallbacks: [second]", limits="{turn_seconds: 20}")
    async with running(program, {"first": DOWN, "second": "I can help."}) as play:
        outcome = await play.say("hello")
        assert play.pause.asked == [8]
        assert asked(play) == [("first", 1, 0), ("first", 2, 0), ("second", 1, 1)]
        assert outcome.replies[0] == "I can help."


async def test_without_a_fallback_a_wait_too_long_is_the_outcome():
    program = troubled("attempts: 5, backoff: 30s", limits="{turn_seconds: 20}")
    async with running(program, {"first": SLOW}) as play:
        outcome = await play.say("hello")
        assert asked(play) == [("first", 1, 0)]
        assert outcome.state == "desk"
        assert play.of(TransitionTaken)[-1].on == "timeout"


async def test_fallbacks_are_asked_in_order_and_then_a_person():
    program = troubled("attempts: 2, fallbacks: [second, third], fallback_attempts: 2")
    async with running(program, {"first": DOWN, "second": SLOW, "third": DOWN}) as play:
        outcome = await play.say("hello")
        assert asked(play) == [
            ("first", 1, 0),
            ("first", 2, 0),
            ("second", 1, 1),
            ("second", 2, 1),
            ("third", 1, 2),
            ("third", 2, 2),
        ]
        assert outcome.standing == "with_person"
        assert play.path[-1] == "failed>desk"
        made = [(one.handoff.source, one.handoff.target, one.handoff.why) for one in play.of(HandoffMade)]
        assert made == [("first", "second", "fallback"), ("second", "third", "fallback")]


@pytest.mark.parametrize("reason", ["breaker_open", "rate_limited", "cost_storm", "too_busy"])
async def test_an_agent_that_cannot_be_asked_is_not_tried_again_where_there_is_a_fallback(reason: str):
    program = troubled("attempts: 3, fallbacks: [second]")
    async with running(program, {"first": fails(reason), "second": "I can help."}) as play:
        await play.say("hello")
        assert asked(play) == [("first", 1, 0), ("second", 1, 1)]


async def test_a_fallback_is_a_handoff_and_counts_against_the_limits():
    program = troubled("attempts: 1, fallbacks: [second, third]", limits="{handoffs: 1}")
    async with running(program, {"first": DOWN, "second": DOWN, "third": "I can help."}) as play:
        await play.say("hello")
        assert asked(play) == [("first", 1, 0), ("second", 1, 1)]
        assert [(one.limit, one.value, one.maximum) for one in play.of(LimitReached)] == [("handoffs", 1, 1)]
        assert play.path[-1] == "limit>desk"


async def test_an_answer_that_is_unsure_is_an_answer():
    """The control: only an attempt without any result has a fallback."""
    program = troubled("attempts: 2, fallbacks: [second]")
    async with running(program, {"first": AgentReply(refused=True, text="no")}) as play:
        await play.say("hello")
        assert asked(play) == [("first", 1, 0)]
        assert play.of(TransitionTaken)[-1].on == "refused"


# -- while it waits ------------------------------------------------------------------------------------


class Held:
    """A pause that ends when told."""

    def __init__(self) -> None:
        self.begun, self.end = asyncio.Event(), asyncio.Event()

    async def __call__(self, seconds: float) -> None:
        self.begun.set()
        await self.end.wait()


async def test_a_message_during_a_wait_is_queued():
    program, held = troubled("attempts: 2, backoff: 5s"), Held()
    async with running(program, {"first": failing(1)}, pause=held) as play:
        first = asyncio.create_task(play.runtime.say(play.id, "hello", key="a"))
        await held.begun.wait()
        assert (await play.runtime.outcome(play.id)).standing == "working"
        second = asyncio.create_task(play.runtime.say(play.id, "are you there?", key="b"))
        await asyncio.sleep(0.01)
        held.end.set()
        assert (await first).replies == ("Here you are.", "Hello.")
        assert (await second).replies == ("Here you are.", "Hello.")


async def test_an_operator_ends_a_wait_and_nothing_is_asked_any_more():
    program, held = troubled("attempts: 2, backoff: 5s"), Held()
    async with running(program, {"first": failing(1)}, pause=held) as play:
        turn = asyncio.create_task(play.runtime.say(play.id, "hello", key="a"))
        await held.begun.wait()
        assert (await play.runtime.give(play.id, "operator_human", actor=OPERATOR)).state == "desk"
        assert (await asyncio.wait_for(turn, 5)).state == "desk"
        assert asked(play) == [("first", 1, 0)]
        assert play.of(TimerFired) == []
        play.clock.advance(60)
        assert await play.runtime.fire_due() == 0


async def test_a_due_wait_is_left_to_the_turn_that_sleeps_through_it():
    program, held = troubled("attempts: 2, backoff: 5s"), Held()
    async with running(program, {"first": failing(1)}, pause=held) as play:
        turn = asyncio.create_task(play.runtime.say(play.id, "hello", key="a"))
        await held.begun.wait()
        play.clock.advance(6)
        assert await asyncio.wait_for(play.runtime.fire_due(), 5) == 0
        held.end.set()
        assert (await turn).replies[0] == "Here you are."
        assert len(play.of(TimerFired)) == 1


async def test_after_a_crash_the_wait_goes_on_from_the_log():
    """Another process asks again when the wait is over, and not before."""
    program, store, clock, held = troubled("attempts: 2, backoff: 5s"), MemoryStore(), ManualClock(), Held()
    agent = ScriptedAgent({"first": failing(1)})
    dying = Runtime(store, program, agent, clock=clock, presence=OnlyProcess(), pause=held)
    await dying.__aenter__()
    opening = await dying.start("trouble")
    turn = asyncio.create_task(dying.say(opening.conversation, "hello", key="a"))
    await held.begun.wait()
    await dying.close(grace_seconds=0)
    with pytest.raises(asyncio.CancelledError):
        await turn
    async with Runtime(store, program, agent, clock=clock, presence=OnlyProcess(), pause=Pauses(clock)) as runtime:
        assert await runtime.recover() == ()
        assert await runtime.fire_due() == 0
        clock.advance(6)
        assert await runtime.fire_due() == 1
        outcome = await runtime.say(opening.conversation, "hello", key="a")
        assert outcome.state == "start"
        assert [one.agent for one in of_type(store, opening.conversation, AgentRequested)] == ["first", "first"]
        assert await runtime.fire_due() == 0
    assert any(isinstance(one, TimerFired) for one in events_of(store, opening.conversation))
    check_log(store, [program])


async def test_a_wait_found_too_late_ends_the_turn_at_its_limit():
    program, store, clock, held = troubled("attempts: 2, backoff: 5s"), MemoryStore(), ManualClock(), Held()
    agent = ScriptedAgent({"first": failing(1)})
    dying = Runtime(store, program, agent, clock=clock, presence=OnlyProcess(), pause=held)
    await dying.__aenter__()
    opening = await dying.start("trouble")
    turn = asyncio.create_task(dying.say(opening.conversation, "hello", key="a"))
    await held.begun.wait()
    await dying.close(grace_seconds=0)
    with pytest.raises(asyncio.CancelledError):
        await turn
    clock.advance(4_000)
    async with Runtime(store, program, agent, clock=clock, presence=OnlyProcess(), pause=Pauses(clock)) as runtime:
        assert await runtime.fire_due() == 1
        assert (await runtime.outcome(opening.conversation)).state == "desk"
    assert [one.limit for one in of_type(store, opening.conversation, LimitReached)] == ["turn_seconds"]


# -- the answer given before ---------------------------------------------------------------------------

CACHING = "history: none, cache: 10m"


async def test_the_answer_given_before_is_given_again_and_marked():
    program = troubled("attempts: 1, fallbacks: [cached]", first=CACHING)
    store, clock, agent = MemoryStore(), ManualClock(), {"first": failing(0)}
    async with running(program, agent, store=store, clock=clock) as play:
        await play.say("What are your hours?")
        (answered,) = [at for at, one in enumerate(play.events) if isinstance(one, AgentReturned)]
        second = await play.runtime.start("trouble")
        play.agent._by_agent["first"] = DOWN
        outcome = await play.runtime.say(second.conversation, "What are your hours?")
        assert outcome.replies[:2] == ("(An earlier answer to the same question:)", "Here you are.")
        looked, found = (
            list(of_type(store, second.conversation, kind))[-1] for kind in (AgentRequested, AgentReturned)
        )
        assert looked.cached
        assert looked.fallback == 1
        assert (looked.reserved_tokens, looked.reserved_cost) == (0, 0)
        assert (found.report.cached_from.stream, found.report.cached_from.version) == (play.id, answered)
        assert found.cost == 0
        assert len(play.agent.requests) == 2
        said = [one.text for one in of_type(store, second.conversation, ReplySent)]
        assert said == ["state.start", "phrase.cached", "", "state.start"]


@pytest.mark.parametrize(
    ("words", "later"), [("What are your hours", 0), ("What are your hours?", 601)], ids=["other words", "too old"]
)
async def test_another_question_or_an_old_answer_is_no_answer(words: str, later: int):
    program = troubled("attempts: 1, fallbacks: [cached]", first=CACHING)
    async with running(program, {"first": failing(1, DOWN, how="Here you are.")}) as play:
        await play.say("What are your hours?")
        play.clock.advance(later)
        outcome = await play.say(words)
        assert outcome.state == "desk"
        last = play.of(AgentReturned)[-1].report
        assert (last.outcome, last.reason, last.cached_from) == ("failed", "not_cached", None)


async def test_an_answer_whose_text_was_erased_is_gone():
    program = troubled("attempts: 1, fallbacks: [cached]", first=CACHING)
    async with running(program, {"first": failing(1, DOWN, how="Here you are.")}) as play:
        await play.say("What are your hours?")
        answers = play.runtime.performer.answers
        assert len(answers._kept) == 1
        play.runtime.texts.forget(play.id)
        play.store._payloads.clear()  # type: ignore[attr-defined]
        assert (await play.say("What are your hours?")).state == "desk"
        assert play.of(AgentReturned)[-1].report.reason == "not_cached"


async def test_no_other_tenant_gets_an_answer():
    program = troubled("attempts: 1, fallbacks: [cached]", first=CACHING)
    async with running(program, {"first": failing(1, DOWN, how="Here you are.")}) as play:
        await play.say("What are your hours?")
        other = await play.runtime.start("trouble", tenant="another")
        outcome = await play.runtime.say(other.conversation, "What are your hours?")
        assert outcome.state == "desk"
