"""Agents in trouble: each trouble ends as declared, opens what it should, and leaves the others alone.

A clock that moves when told: whoever waits for a token or a slot moves it, so nothing here sleeps.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from interlock import OpenAIAgent, ScriptedAgent
from interlock.agents.scripted import fails, gives
from interlock.cli.story import told
from interlock.contracts.agents import AgentReply
from interlock.contracts.commands import Condition
from interlock.contracts.events import AgentRequested, AgentReturned
from interlock.contracts.flow import BreakerSpec
from interlock.contracts.limits import Usage
from interlock.persistence.memory_store import MemoryStore
from interlock.service.bounded import Bounds
from interlock.service.breaker import Breaker
from interlock.service.clock import ManualClock
from interlock.service.loading import recorded
from interlock.service.pacing import Pace
from interlock.service.protection import Resilience
from interlock.service.runtime import Runtime
from interlock.service.spending import Storm
from support.openai_server import OpenAIServer, completion, openai_server, status
from support.runtime import check_log, mini, of_type, path_of

__all__ = ["openai_server"]
YES = gives(reply="Yes.")
QUIET = Resilience(breaker=BreakerSpec(failures=10_000), storm=Storm(times=0))
"""The control: figures that nothing reaches."""


class Talks:
    """A runtime on a manual clock, with a new conversation for each message that is sent."""

    def __init__(
        self,
        agent: Any,
        resilience: Resilience | None = None,
        *,
        timeout: str = "30s",
        specs: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        self.store, self.clock = MemoryStore(), ManualClock()
        program = mini(attempts=1, timeout=timeout)
        changed = {name: program.agents[name].changed(**changes) for name, changes in (specs or {}).items()}
        self.program = replace(program, agents={**program.agents, **changed})
        self.runtime = Runtime(self.store, self.program, agent, clock=self.clock, resilience=resilience)
        self.runtime.performer.protection.pause = self.pause
        self.count = 0

    async def pause(self, seconds: float) -> None:
        """A wait that moves the clock, once everything else has had its turn."""
        for _ in range(20):
            await asyncio.sleep(0)
        self.clock.advance(seconds)

    async def __aenter__(self) -> "Talks":
        await self.runtime.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.runtime.close()
        check_log(self.store, self.program)

    async def say(self, text: str = "help") -> str:
        """Send it in a new conversation; how the agent's state ended, and where that led."""
        self.count += 1
        talk = f"talk-{self.count}"
        await self.runtime.start(conversation=talk)
        await self.runtime.say(talk, text)
        return path_of(self.store, talk)[-1]

    def reports(self, number: int | None = None) -> list[Any]:
        return [event.report for event in of_type(self.store, f"talk-{number or self.count}", AgentReturned)]

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        """Every recorded change in the order of the conversations."""
        return [
            (one.subject, one.before, one.after)
            for number in range(1, self.count + 1)
            for report in self.reports(number)
            for one in report.conditions
        ]

    def standing(self, subject: str, kind: str = "breaker") -> str:
        return next(one.state for one in self.runtime.conditions() if (one.subject, one.kind) == (subject, kind))


def crash(_: Any) -> Any:
    raise ZeroDivisionError


FAILURES: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "crashes": (crash, "failed", "ZeroDivisionError"),
    "times out": (lambda _: fails("timeout", kind="timeout"), "timeout", "timeout"),
    "is down": (lambda _: fails("server_error"), "failed", "server_error"),
    "is rate limited and does not say for how long": (lambda _: fails("rate_limited"), "failed", "rate_limited"),
}


@pytest.mark.parametrize("trouble", FAILURES)
async def test_three_failures_open_the_breakers_and_the_next_attempts_are_not_made(trouble: str) -> None:
    """Each attempt that is not made ends at once, costs nothing, and says when to come back."""
    script, outcome, reason = FAILURES[trouble]
    agent = ScriptedAgent(script)
    async with Talks(agent) as talks:
        for _ in range(3):
            assert await talks.say() == f"{outcome}>desk"
            assert [report.reason for report in talks.reports()] == [reason]
        assert len(agent.requests) == 3
        assert await talks.say() == "failed>desk"
        assert len(agent.requests) == 3, "the fourth was not made"
        (report,) = talks.reports()
        assert (report.reason, report.usage, report.retry_after_seconds) == ("breaker_open", Usage(), 300)
        (returned,) = of_type(talks.store, "talk-4", AgentReturned)
        assert (returned.cost, report.latency_ms) == (0, 0)
        assert talks.changes == [("agent helper", "closed", "open"), ("model small", "closed", "open")]
        assert talks.standing("agent helper") == talks.standing("model small") == "open"
        talks.clock.advance(299)
        assert (await talks.say(), talks.reports()[0].retry_after_seconds) == ("failed>desk", 1)


@pytest.mark.parametrize("trouble", FAILURES)
async def test_control_with_other_figures_each_attempt_is_made(trouble: str) -> None:
    """The same failures, and nothing opens."""
    agent = ScriptedAgent(FAILURES[trouble][0])
    async with Talks(agent, QUIET) as talks:
        for _ in range(6):
            await talks.say()
        assert (len(agent.requests), talks.changes) == (6, [])


@pytest.mark.parametrize(
    "answer", [gives(reply=5), AgentReply(text="{"), gives(outcome="refused"), AgentReply(refused=True)]
)
async def test_garbage_and_refusals_are_answers_and_open_nothing(answer: AgentReply) -> None:
    """Whoever provokes them from outside must not be able to shut an agent for everybody."""
    agent = ScriptedAgent(lambda _: answer)
    async with Talks(agent) as talks:
        for _ in range(6):
            assert (await talks.say()).split(">")[0] in ("invalid", "refused")
        assert (len(agent.requests), talks.changes) == (6, [])


async def test_after_its_time_one_probe_decides() -> None:
    """It fails: open again. It succeeds: closed, and everybody is served. All of it is on the record."""
    answers: list[Any] = [fails()] * 4 + [YES] * 9
    async with Talks(ScriptedAgent(answers)) as talks:
        for _ in range(3):
            await talks.say()
        talks.clock.advance(300)
        assert await talks.say() == "failed>desk"
        assert [report.reason for report in talks.reports()] == ["server_error"]
        assert await talks.say() == "failed>desk"
        assert [report.reason for report in talks.reports()] == ["breaker_open"]
        talks.clock.advance(300)
        assert await talks.say() == await talks.say() == "done>more"
        path = ["closed", "open", "half_open", "open", "half_open", "closed"]
        for subject in ("agent helper", "model small"):
            changes = [(before, after) for of, before, after in talks.changes if of == subject]
            assert changes == list(pairwise(path))


async def test_while_the_probe_is_out_nobody_else_is_let_through() -> None:
    """And a probe that is cut off leaves its place to the next."""
    probing, let_go, failing = asyncio.Event(), asyncio.Event(), [True] * 3

    async def answer(_: Any) -> Any:
        if failing:
            failing.pop()
            return fails()
        probing.set()
        await let_go.wait()
        return YES

    async with Talks(ScriptedAgent(answer)) as talks:
        for _ in range(3):
            await talks.say()
        talks.clock.advance(300)
        probe = asyncio.create_task(talks.say())
        await probing.wait()
        assert await talks.say() == "failed>desk"
        let_go.set()
        assert await probe == "done>more"


async def test_an_open_breaker_of_a_model_holds_for_every_agent_that_asks_it_and_for_no_other() -> None:
    """`expert` asks another model, and is served."""
    agent = ScriptedAgent(lambda request: fails() if request.agent == "helper" else YES)
    async with Talks(agent) as talks:
        for _ in range(4):
            await talks.say()
        assert await talks.say("expert") == "done>more"
        assert talks.standing("model large") == "closed"


async def test_what_is_wrong_with_our_request_says_nothing_of_the_model() -> None:
    """A request that is too long fails its agent alone."""
    async with Talks(ScriptedAgent(lambda _: fails("context_too_long"))) as talks:
        for _ in range(3):
            await talks.say()
        assert talks.changes == [("agent helper", "closed", "open")]


async def test_a_flow_may_give_an_agent_a_breaker_of_its_own() -> None:
    """Its figures go before the runtime's."""
    own = {"helper": {"breaker": BreakerSpec(failures=1, open_seconds=7)}}
    async with Talks(ScriptedAgent(lambda _: fails()), QUIET, specs=own) as talks:
        await talks.say()
        assert talks.changes == [("agent helper", "closed", "open")]
        await talks.say()
        assert talks.reports()[0].retry_after_seconds == 7


async def test_a_hanging_agent_opens_its_breaker_too() -> None:
    """An adapter that swallows cancellation: its turn ends in time, the next is not made, its late answer changes
    nothing."""
    let_go = asyncio.Event()

    class Deaf:
        name = "deaf"

        async def run(self, _: Any) -> AgentReply:
            while not let_go.is_set():
                try:
                    await let_go.wait()
                except asyncio.CancelledError:
                    continue
            return YES

    figures = Resilience(breaker=BreakerSpec(failures=1))
    with capture_logs() as records:
        async with Talks(Deaf(), figures, timeout="1s") as talks:
            talks.runtime.performer.bounds = Bounds(grace_seconds=0)
            assert await talks.say() == "timeout>desk"
            assert await talks.say() == "failed>desk"
            assert talks.reports()[0].reason == "breaker_open"
            let_go.set()
            await asyncio.sleep(0.01)
            assert talks.runtime.performer.bounds.orphans == 0
            assert talks.standing("agent helper") == "open"
    names = [record["event"] for record in records]
    assert names == ["call_given_up", "condition_changed", "condition_changed", "late_result_dropped"]


# -- rates ----------------------------------------------------------------------------------------------


async def test_a_provider_that_says_when_to_come_back_is_left_alone_until_then(openai_server: OpenAIServer) -> None:
    """429 with Retry-After over real HTTP: a wait that fits is waited, one that does not ends the attempt at once."""
    openai_server.answers(
        status(429, {"Retry-After": "20"}), completion({"reply": "Yes."}), status(429, {"Retry-After": "40"})
    )
    async with OpenAIAgent(api_key="test", base_url=openai_server.url) as agent, Talks(agent) as talks:
        assert await talks.say() == "failed>desk"
        assert talks.changes == [("model small", "free", "limited")]
        before = talks.clock.now()
        assert await talks.say() == "done>more"
        assert talks.clock.now() - before == timedelta(seconds=20), "waited within its own 30 s"
        assert await talks.say() == "failed>desk"
        assert await talks.say() == "failed>desk"
        (report,) = talks.reports()
        assert (report.reason, report.retry_after_seconds, report.usage) == ("rate_limited", 40, Usage())
        assert len(openai_server.requests) == 3
        assert talks.standing("agent helper") == "closed", "being busy is no failure"


async def test_control_a_provider_that_does_not_say_is_asked_again_at_once(openai_server: OpenAIServer) -> None:
    """The same answer without the header."""
    openai_server.answers(status(429), completion({"reply": "Yes."}))
    async with OpenAIAgent(api_key="test", base_url=openai_server.url) as agent, Talks(agent) as talks:
        await talks.say()
        before = talks.clock.now()
        assert await talks.say() == "done>more"
        assert talks.clock.now() == before


async def test_our_own_rate_makes_calls_wait_and_refuses_what_could_not_be_in_time() -> None:
    """Two calls a minute: the third waits its 30 s, the next two at once would wait longer than they may."""
    made: list[Any] = []

    def answer(_: Any) -> AgentReply:
        made.append(talks.clock.now())
        return YES

    async with Talks(ScriptedAgent(answer), Resilience(agents={"helper": Pace(calls=2)})) as talks:
        start = talks.clock.now()
        assert [await talks.say() for _ in range(3)] == ["done>more"] * 3
        assert [(at - start).total_seconds() for at in made] == [0, 0, 30]
        assert talks.changes == [("agent helper", "free", "limited")]
        talks.runtime.performer.protection.pause = lambda _: asyncio.sleep(0)  # time stands still
        assert await talks.say() == "done>more", "it takes the token of 30 s later"
        assert await talks.say() == "failed>desk"
        (report,) = talks.reports()
        assert (report.reason, report.retry_after_seconds) == ("rate_limited", 60)
        talks.clock.advance(600)
        assert await talks.say() == "done>more"
        assert talks.changes[-1] == ("agent helper", "limited", "free")


@pytest.mark.parametrize("where", ["agents", "models"])
async def test_no_more_calls_at_once_than_declared(where: str) -> None:
    """Two slots and six calls: they wait in line, and each is served."""
    inside, most = 0, 0

    async def answer(_: Any) -> Any:
        nonlocal inside, most
        inside, most = inside + 1, max(most, inside + 1)
        await asyncio.sleep(0.001)
        inside -= 1
        return YES

    paces: Any = {where: {"helper" if where == "agents" else "small": Pace(at_once=2)}}
    async with Talks(ScriptedAgent(answer), Resilience(**paces)) as talks:
        talks.runtime.performer.protection.pause = asyncio.sleep
        assert await asyncio.gather(*(talks.say() for _ in range(6))) == ["done>more"] * 6
        assert all(one.in_hand == one.waiting == 0 for one in talks.runtime.conditions())
        assert most == 2
    most = 0
    async with Talks(ScriptedAgent(answer)) as talks:
        await asyncio.gather(*(talks.say() for _ in range(6)))
    assert most > 2, "the control: without the bound more run at once"


async def test_whoever_waits_for_a_slot_longer_than_it_may_ends_as_too_busy() -> None:
    """And whoever would is told at once, from how long calls took; the slots are given back."""
    let_go = asyncio.Event()

    async def answer(_: Any) -> Any:
        await let_go.wait()
        talks.clock.advance(50)
        return YES

    async with Talks(ScriptedAgent(answer), Resilience(each_agent=Pace(at_once=1))) as talks:
        first = asyncio.create_task(talks.say())
        await asyncio.sleep(0.01)
        assert await talks.say() == "failed>desk", "its 30 s passed while it stood in line"
        assert [report.reason for report in talks.reports()] == ["too_busy"]
        let_go.set()
        assert await first == "done>more"
        let_go.clear()
        second, before = asyncio.create_task(talks.say()), talks.clock.now()
        await asyncio.sleep(0.01)
        assert await talks.say() == "failed>desk", "calls take 50 s, so it was told before it stood in line"
        assert talks.clock.now() == before
        let_go.set()
        assert await second == "done>more"
        assert all(one.in_hand == one.waiting == 0 for one in talks.runtime.conditions())


# -- cost ------------------------------------------------------------------------------------------------


def costing(tokens: int) -> AgentReply:
    return AgentReply(text='{"reply": "Yes."}', usage=Usage(input_tokens=tokens, output_tokens=0))


async def spend(talks: Talks, minutes: int, calls: int = 1, every: int = 60) -> list[str]:
    """So many calls every so many seconds."""
    found = []
    for _ in range(minutes):
        found += [await talks.say() for _ in range(calls)]
        talks.clock.advance(every)
    return found


async def test_a_cost_storm_pauses_agents_that_are_not_critical() -> None:
    """Sixteen quiet minutes, then a burst of more than five times their average: paused for five minutes."""
    agent = ScriptedAgent(lambda _: costing(100))
    async with Talks(agent, specs={"expert": {"critical": True}}) as talks:
        assert set(await spend(talks, 17, calls=2)) == {"done>more"}
        burst = [await talks.say() for _ in range(12)]
        assert burst == ["done>more"] * 11 + ["failed>desk"], "eleven are over five times two; ten are not"
        (report,) = talks.reports()
        assert (report.reason, report.usage, report.retry_after_seconds) == ("cost_storm", Usage(), 300)
        assert talks.changes == [("all agents", "normal", "storm")]
        assert await talks.say("expert") == "done>more", "a critical one goes on"
        talks.clock.advance(300)
        assert await talks.say() == "done>more"
        assert talks.changes[1:] == [("all agents", "storm", "normal")]


async def test_control_the_same_burst_at_a_small_price_is_no_storm() -> None:
    """Not the number of calls counts, but what they cost."""
    prices = iter([100] * 34 + [1] * 50)
    async with Talks(ScriptedAgent(lambda _: costing(next(prices)))) as talks:
        await spend(talks, 17, calls=2)
        assert {await talks.say() for _ in range(50)} == {"done>more"}
        assert talks.changes == []


@pytest.mark.parametrize(("before", "calls"), [(0, 50), (1, 50), (14, 50), (17, 9)])
async def test_without_a_whole_window_to_compare_with_or_with_few_calls_there_is_no_verdict(
    before: int, calls: int
) -> None:
    """A start, the first call after a night, and a handful of calls are no storms."""
    async with Talks(ScriptedAgent(lambda _: costing(100))) as talks:
        await spend(talks, before)
        assert {await talks.say() for _ in range(calls)} == {"done>more"}
        talks.clock.advance(3_600)
        assert {await talks.say() for _ in range(30)} == {"done>more"}
        assert talks.changes == []


# -- the record -----------------------------------------------------------------------------------------


async def test_changes_stand_in_the_log_are_told_in_words_and_as_structured_records() -> None:
    """The report of the attempt that caused them holds them; `interlock log` says them; each is one record."""
    with capture_logs() as records:
        async with Talks(ScriptedAgent(lambda _: fails())) as talks:
            for _ in range(3):
                await talks.say()
            until = talks.clock.now() + timedelta(seconds=300)
            (report,) = talks.reports()
    opened: dict[str, Any] = {
        "kind": "breaker",
        "before": "closed",
        "after": "open",
        "reason": "3 failures in 60 s",
        "until": until,
    }
    subjects = ("agent helper", "model small")
    assert report.conditions == tuple(Condition(subject=one, **opened) for one in subjects)
    lines = told(recorded(talks.store.read("talk-3")), talks.program.flow)
    assert [note.text for line in lines for note in line.notes if "breaker" in note.text] == [
        f"breaker of {one}: closed → open until 09:05:00 UTC (3 failures in 60 s)" for one in subjects
    ]
    assert [(record["subject"], record["after"]) for record in records if record["event"] == "condition_changed"] == [
        (one, "open") for one in subjects
    ]


async def test_a_log_without_trouble_has_no_word_of_it() -> None:
    """The bytes of a report stay what they were before there were conditions."""
    async with Talks(ScriptedAgent(lambda _: YES)) as talks:
        await talks.say()
        entries: Sequence[Any] = talks.store.read("talk-1")
        assert of_type(talks.store, "talk-1", AgentRequested)
        assert not [entry for entry in entries if b"conditions" in entry.data]


async def test_the_present_state_of_everything_can_be_asked() -> None:
    """The spending, and a breaker and a limiter for each agent and each model that was called."""
    async with Talks(ScriptedAgent(lambda _: YES)) as talks:
        assert [(one.kind, one.subject, one.state) for one in talks.runtime.conditions()] == [
            ("cost", "all agents", "normal")
        ]
        await talks.say()
        assert [(one.kind, one.subject, one.state, one.flow) for one in talks.runtime.conditions()][1:] == [
            ("breaker", "agent helper", "closed", "mini"),
            ("limiter", "agent helper", "free", "mini"),
            ("breaker", "model small", "closed", ""),
            ("limiter", "model small", "free", ""),
        ]


# -- nonsense from a provider, and faults of our own -------------------------------------------------------------


def slots_in_hand(talks: Talks) -> dict[str, int]:
    return {one.subject: one.in_hand for one in talks.runtime.conditions() if one.kind == "limiter"}


@pytest.mark.parametrize(("asked", "kept"), [(30, 30), (86_400, 86_400), (10**13, 86_400), (2**80, 86_400)])
async def test_a_provider_that_asks_for_ages_is_waited_for_a_day_and_its_slots_come_back(asked: int, kept: int) -> None:
    """No time is too long to be added to a clock; the first is the control."""
    agent = ScriptedAgent(lambda _: fails("rate_limited", retry_after_seconds=asked))
    async with Talks(agent, Resilience(each_model=Pace(at_once=1))) as talks:
        assert await talks.say() == "failed>desk"
        assert talks.reports()[0].retry_after_seconds == kept
        assert slots_in_hand(talks) == {"agent helper": 0, "model small": 0}
        assert await talks.runtime.recover() == ()
        assert len(agent.requests) == 1


@pytest.mark.parametrize("at", ["begin", "ended"])
async def test_a_fault_of_a_breaker_keeps_no_slot(at: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong before or after a call gives back the slots all the same; the next call is made."""

    def broken(*_: object) -> None:
        raise OverflowError("date value out of range")

    async with Talks(ScriptedAgent(lambda _: YES), Resilience(each_model=Pace(at_once=1))) as talks:
        with monkeypatch.context() as patched:
            patched.setattr(Breaker, at, broken)
            with pytest.raises(OverflowError):
                await talks.say()
        assert slots_in_hand(talks) == {"agent helper": 0, "model small": 0}
        assert await talks.say() == "done>more"
        await talks.runtime.recover()
