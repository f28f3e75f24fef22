"""Every call ends in its time, whatever the adapter does; what comes later is dropped and told of."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.errors import AgentFailed
from interlock.contracts.events import AgentReturned
from interlock.persistence.memory_store import MemoryStore
from interlock.service.bounded import Bounds
from interlock.service.runtime import Runtime
from support.runtime import check_log, mini, of_type, path_of

REPLY = AgentReply(text='{"reply": "At last."}')


class Hanging:
    """An adapter that keeps no bound. A `stubborn` one swallows being cancelled, and answers when `let_go` is set."""

    name = "hanging"

    def __init__(self, *, stubborn: bool = False) -> None:
        self.stubborn, self.let_go, self.cancelled = stubborn, asyncio.Event(), 0

    async def run(self, request: AgentRequest) -> AgentReply:
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                if not self.stubborn:
                    raise
        return REPLY


async def hung(agent: Hanging) -> tuple[MemoryStore, list[Any]]:
    """One message to an agent that hangs, with a second for each of its calls."""
    store, program = MemoryStore(), mini(timeout="1s", attempts=1)
    with capture_logs() as records:
        async with Runtime(store, program, agent) as runtime:
            runtime.performer.bounds = Bounds(grace_seconds=0.05)
            await runtime.start(conversation="talk")
            outcome = await asyncio.wait_for(runtime.say("talk", "help"), 5)
            assert outcome.state == "desk"
            if agent.stubborn:
                assert runtime.performer.bounds.orphans == 1
                agent.let_go.set()
                await asyncio.sleep(0.01)
            assert runtime.performer.bounds.orphans == 0
    check_log(store, program)
    return store, records


async def test_a_hanging_adapter_ends_as_timeout_and_its_task_with_it() -> None:
    """The shell's own bound: the flow takes its `timeout` row, and nothing is left running."""
    agent = Hanging()
    store, records = await hung(agent)
    assert path_of(store, "talk")[-1] == "timeout>desk"
    assert [event.report.reason for event in of_type(store, "talk", AgentReturned)] == ["timeout"]
    assert agent.cancelled == 1
    assert [record["event"] for record in records] == ["call_given_up"]


async def test_a_result_that_comes_after_its_time_changes_nothing_and_is_told_of() -> None:
    """An adapter that swallows being cancelled: its answer is one structured record, without its text."""
    store, records = await hung(Hanging(stubborn=True))
    assert [event.report.outcome for event in of_type(store, "talk", AgentReturned)] == ["timeout"]
    late = [record for record in records if record["event"] == "late_result_dropped"]
    assert [(record["agent"], record["error"]) for record in late] == [("helper", "")]
    assert "At last" not in str(records)


async def test_control_without_the_bound_the_turn_hangs() -> None:
    """The same agent under a bound of an hour: the turn does not end by itself."""
    agent, store, program = Hanging(), MemoryStore(), mini(timeout="1s", attempts=1)
    async with Runtime(store, program, agent) as runtime:
        runtime.performer.bounds = Bounds(grace_seconds=3_600)
        await runtime.start(conversation="talk")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(runtime.say("talk", "help"), 1.5)
        agent.let_go.set()


async def test_closing_ends_the_calls_that_were_given_up() -> None:
    """A task that swallowed the first cancellation gets another one; one that ignores all is reported."""
    bounds, stops = Bounds(grace_seconds=0), asyncio.Event()

    async def deaf(times: float) -> str:
        while times > 0 and not stops.is_set():
            try:
                await stops.wait()
            except asyncio.CancelledError:
                times -= 1
        raise asyncio.CancelledError

    for times in (2, float("inf")):
        with pytest.raises(AgentFailed, match=r"No answer within 0 s, and the adapter did not end by itself\."):
            await bounds.within(0, deaf(times), agent="helper", effect="talk:1")
    with capture_logs() as records:
        await bounds.close(0.05)
    assert [(record["event"], record["count"]) for record in records] == [("calls_left_running", 1)]
    stops.set()
    await asyncio.sleep(0.01)
    assert bounds.orphans == 0


async def test_whoever_is_cancelled_cancels_the_call() -> None:
    """The turn that waits for it is cut off: the call does not go on alone."""
    request: Any = None
    for steps in (1, 2, 3):
        bounds, agent = Bounds(), Hanging()
        waiting = asyncio.create_task(bounds.within(60, agent.run(request), agent="helper", effect="talk:1"))
        for _ in range(steps):
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        await bounds.close()
        assert (agent.cancelled, bounds.orphans) == (1, 0)


@pytest.mark.parametrize(
    "raised", [ValueError("x"), SystemExit(3), AgentFailed("It failed."), asyncio.CancelledError()]
)
async def test_what_a_call_raises_is_raised_and_the_loop_goes_on(raised: BaseException) -> None:
    """Also what would end the event loop if a task raised it."""

    async def raising() -> str:
        raise raised

    with pytest.raises(type(raised)):
        await Bounds().within(5, raising(), agent="helper", effect="talk:1")


async def test_a_call_that_ends_in_time_gives_its_result() -> None:
    """And leaves nothing behind."""
    bounds = Bounds()

    async def prompt() -> str:
        return "here"

    make: Callable[[], Any] = prompt
    assert await bounds.within(5, make(), agent="helper", effect="talk:1") == "here"
    assert bounds.orphans == 0
