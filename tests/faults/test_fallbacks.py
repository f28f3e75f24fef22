"""The process dies at each commit of a turn that waits, tries again, falls back and sums up: another one goes on."""

from contextlib import suppress
from typing import Any

import pytest

from interlock.agents.scripted import Answer, ScriptedAgent, fails, gives
from interlock.contracts.agents import AgentRequest
from interlock.contracts.events import AgentRequested, HistorySummarised, RetryScheduled, TimerFired
from interlock.contracts.flow import BreakerSpec
from interlock.fsm.program import Program
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.clock import ManualClock
from interlock.service.protection import Resilience
from interlock.service.runtime import Runtime
from support.handed import handed
from support.patterns import Died, DyingStore, Pauses
from support.runtime import check_log, events_of, path_of
from support.trouble import troubled

NO_BREAKER = Resilience(breaker=BreakerSpec(failures=10_000))
DOWN = fails("server_error")
FALLING = troubled("attempts: 3, backoff: 2s, fallbacks: [second, third]")
SUMMING = handed(front="history: summary, window: 1, summariser: scribe", working="attempts: 2, backoff: 2s")


def falling() -> ScriptedAgent:
    return ScriptedAgent({"first": DOWN, "second": DOWN, "third": "I can help."})


def summing() -> ScriptedAgent:
    """The scribe fails at the first attempt of each summary: the request says which it is."""

    def scribe(request: AgentRequest) -> Answer:
        asked.append(request.effect)
        return DOWN if len(set(asked)) % 2 else "Short."

    asked: list[str] = []
    return ScriptedAgent({"front": gives(reply="A whole sentence to sum up."), "scribe": scribe})


async def _talk(runtime: Runtime, flow: str) -> None:
    await runtime.start(flow, conversation="conversation", key="start")
    for number in range(2):
        await runtime.say("conversation", f"This is message number {number}.", key=f"m{number}")


def _kinds(store: Any) -> list[type]:
    return [type(one) for one in events_of(store, "conversation")]


@pytest.mark.parametrize(("program", "agent"), [(FALLING, falling), (SUMMING, summing)], ids=["fallbacks", "summary"])
async def test_a_crash_at_any_commit_loses_no_wait_and_doubles_no_attempt(program: Program, agent: Any) -> None:
    flow = program.flow.name

    def runtime(store: Any, clock: ManualClock, script: ScriptedAgent) -> Runtime:
        pause, presence = Pauses(clock), OnlyProcess()
        return Runtime(store, program, script, clock=clock, presence=presence, pause=pause, resilience=NO_BREAKER)

    reference, clock = DyingStore(MemoryStore(), 10_000), ManualClock()
    async with runtime(reference, clock, agent()) as whole:
        await _talk(whole, flow)
    kinds, path = _kinds(reference.store), path_of(reference.store, "conversation")
    assert RetryScheduled in kinds
    assert (HistorySummarised in kinds) == (program is SUMMING)
    for commits in range(1, reference.done):
        store, clock, script = MemoryStore(), ManualClock(), agent()
        with suppress(Died):
            async with runtime(DyingStore(store, commits), clock, script) as dying:
                await _talk(dying, flow)
        async with runtime(store, clock, script) as again:
            assert await again.recover() == ()
            clock.advance(10)
            await again.fire_due()
            await _talk(again, flow)
            await again.fire_due()
        assert path_of(store, "conversation") == path, f"after {commits} commits"
        assert _kinds(store) == kinds, f"after {commits} commits"
        fired = [one.timer for one in events_of(store, "conversation") if isinstance(one, TimerFired)]
        assert len(fired) == len(set(fired))
        asked = [one for one in events_of(store, "conversation") if isinstance(one, AgentRequested)]
        assert len(asked) == kinds.count(AgentRequested)
        check_log(store, [program])
