"""What every agent must do, whoever answers: a script, a recording, or a server on the other end of a socket."""

import asyncio
import copy
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from interlock.agents.openai_model import OpenAIAgent
from interlock.agents.recorded import RecordedAgent
from interlock.agents.scripted import ScriptedAgent, after
from interlock.contracts.agents import Agent, AgentReply, AgentRequest, ChatMessage, ToolCall, ToolOffer
from interlock.contracts.errors import AgentFailed
from support.openai_server import OpenAIServer, Received, completion, hang, status

REQUEST = AgentRequest(
    effect="c0ffee:1",
    agent="teller",
    model="m1",
    messages=(ChatMessage("system", "Be kind."), ChatMessage("user", "text")),
    tools=(ToolOffer("block_card", "Blocks a card.", {"type": "object", "properties": {"card": {"type": "string"}}}),),
    contract_name="Result",
    contract={"type": "object", "properties": {"reply": {"type": "string"}}},
    timeout_seconds=1,
)
# What the person says is what the agents below do: text, tool, refuse, fail, hang, late.


@dataclass
class Subject:
    """An agent that does what the last message says, and the number of attempts that its other side has seen."""

    agent: Agent
    attempts: Callable[[], int]
    by_effect: bool = False


def asked(what: str, number: int = 1) -> AgentRequest:
    said = ChatMessage("user", what)
    return replace(REQUEST, effect=f"c0ffee:{number}", messages=(REQUEST.messages[0], said))


def scripted() -> Subject:
    def script(request: AgentRequest) -> Any:
        what = request.messages[-1].content
        if what.startswith("hang"):
            return after(60, "never")(request)
        if what.startswith("late"):
            return after(0.3, AgentReply(text=what))(request)
        return recording(what)

    agent = ScriptedAgent(script)
    return Subject(agent, lambda: len(agent.requests))


def recorded() -> Subject:
    names = ["text", "tool", "refuse", "fail", *(f"late {number}" for number in range(20))]
    agent = RecordedAgent({effect_of(name): recording(name) for name in names})
    return Subject(agent, lambda: agent.served, by_effect=True)


def effect_of(what: str) -> str:
    return f"c0ffee:{1 + int(what.split()[1])}" if what.startswith("late") else f"of-{what}:1"


def recording(what: str) -> AgentReply | AgentFailed:
    if what == "fail":
        return AgentFailed("The model's server answered with HTTP status 500.", reason="server_error")
    if what == "tool":
        return AgentReply(tool_calls=(ToolCall("call_0", "block_card", '{"card": "x"}'),))
    return AgentReply(text=what, refused=what == "refuse")


def served(received: Received) -> Any:
    what = received.body["messages"][-1]["content"]
    if what == "hang":
        return hang()
    if what == "fail":
        return status(500)
    if what == "tool":
        return completion(tool_calls=[("block_card", {"card": "x"})])
    if what == "refuse":
        return completion(refusal=what)
    answer = completion(what)(received)
    return replace(answer, before=0.3) if what.startswith("late") else answer


waiting = pytest.mark.parametrize("subject", ["scripted", "openai", "openai streaming"], indirect=True)
"""For what takes time: a recording never waits."""


@pytest.fixture(params=["scripted", "recorded", "openai", "openai streaming"])
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    if request.param == "scripted":
        yield scripted()
    elif request.param == "recorded":
        yield recorded()
    else:
        server = OpenAIServer().answers_with(served)
        async with OpenAIAgent("test", server.url, stream=request.param.endswith("streaming")) as agent:
            agent._client()  # certificates are loaded before any clock runs
            yield Subject(agent, lambda: len(server.requests))
        server.close()


async def run(subject: Subject, what: str) -> AgentReply:
    request = asked(what)
    return await subject.agent.run(replace(request, effect=effect_of(what)) if subject.by_effect else request)


async def test_it_is_an_agent_with_a_name(subject: Subject) -> None:
    assert isinstance(subject.agent, Agent)
    assert subject.agent.name.isidentifier()


async def test_an_answer_is_a_reply(subject: Subject) -> None:
    reply = await run(subject, "text")
    assert (reply.text, reply.tool_calls, reply.refused) == ("text", (), False)


async def test_a_tool_call_is_returned_and_not_run(subject: Subject) -> None:
    assert (await run(subject, "tool")).tool_calls == (ToolCall("call_0", "block_card", '{"card": "x"}'),)


async def test_a_refusal_is_the_providers_own_signal(subject: Subject) -> None:
    assert (await run(subject, "refuse")).refused


async def test_a_failure_is_agent_failed_after_one_attempt(subject: Subject) -> None:
    """No retry hides in an adapter: asking again is a decision."""
    with pytest.raises(AgentFailed) as caught:
        await run(subject, "fail")
    assert (caught.value.kind, caught.value.reason) == ("failed", "server_error")
    assert subject.attempts() == 1


@waiting
async def test_the_timeout_is_kept(subject: Subject) -> None:
    begun = time.monotonic()
    with pytest.raises(AgentFailed) as caught:
        await run(subject, "hang")
    assert time.monotonic() - begun < 5  # unit/agents/test_openai_model.py measures it to half a second
    assert (caught.value.kind, caught.value.reason) == ("timeout", "timeout")
    assert subject.attempts() == 1


@waiting
async def test_cancellation_passes_through(subject: Subject) -> None:
    task = asyncio.create_task(subject.agent.run(replace(asked("hang"), timeout_seconds=10)))
    while subject.attempts() == 0:  # noqa: ASYNC110 - the other side is a thread
        await asyncio.sleep(0.01)
    task.cancel()
    begun = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - begun < 5, "it waited for the timeout"
    assert subject.attempts() == 1


@pytest.mark.parametrize("what", ["text", "tool", "fail"])
async def test_the_request_is_not_changed(subject: Subject, what: str) -> None:
    request = replace(asked(what), effect=effect_of(what))
    before = copy.deepcopy(request)
    await asyncio.gather(subject.agent.run(request), return_exceptions=True)
    assert request == before


async def test_concurrent_calls_do_not_meet(subject: Subject) -> None:
    """Twenty at once: each gets its own answer, and together they take about as long as one."""
    begun = time.monotonic()
    wanted = [f"late {number}" for number in range(20)]
    replies = await asyncio.gather(
        *(subject.agent.run(replace(asked(what, 1 + number), timeout_seconds=10)) for number, what in enumerate(wanted))
    )
    assert [reply.text for reply in replies] == wanted
    assert time.monotonic() - begun < 20 * 0.3
    assert subject.attempts() == 20


async def test_a_failed_call_does_not_touch_the_next(subject: Subject) -> None:
    await asyncio.gather(run(subject, "fail"), return_exceptions=True)
    assert (await run(subject, "text")).text == "text"


def test_the_suite_would_notice_a_retry() -> None:
    """The control: an agent that asks twice is caught by the count that the suite looks at."""
    counted = scripted()

    async def twice() -> None:
        for _ in range(2):
            await asyncio.gather(run(counted, "fail"), return_exceptions=True)

    asyncio.run(twice())
    assert counted.attempts() == 2
