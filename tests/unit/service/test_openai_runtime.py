"""The real `openai` client over real HTTP, through the runtime: each trouble ends in its declared outcome, each
attempt is in the log, and all of it is decided again without one request."""

import asyncio
from typing import Any

import pytest

from interlock.agents.openai_model import OpenAIAgent
from interlock.contracts.events import AgentRequested, AgentReturned, ToolRequested
from interlock.contracts.limits import Usage
from interlock.persistence.memory_store import MemoryStore
from interlock.service.outcome import TurnOutcome
from interlock.service.runtime import Runtime
from support.openai_server import OpenAIServer, completion, drip, hang, openai_server, raw, reset, status
from support.runtime import Bank, check_log, mini, of_type, path_of

__all__ = ["openai_server"]
YES = completion({"outcome": "done", "reply": "Yes.", "city": ""})
MEASURED = Usage(input_tokens=11, output_tokens=7)


async def talked(
    server: OpenAIServer,
    *texts: str,
    stream: bool = False,
    within: str = "10s",
    bank: Bank | None = None,
) -> tuple[MemoryStore, TurnOutcome]:
    """A conversation with a model behind the server; its log is checked, and checking asks the server nothing."""
    store, program = MemoryStore(), mini(bank, timeout=within)
    agent = OpenAIAgent(api_key="test", base_url=server.url, stream=stream)
    async with agent, Runtime(store, program, agent) as runtime:
        runtime.performer.protection.pause = lambda _: asyncio.sleep(0)  # what a server asks for is not waited here
        outcome = await runtime.start(conversation="talk")
        for text in texts:
            outcome = await runtime.say("talk", text)
    before = len(server.requests)
    check_log(store, program)
    assert len(server.requests) == before
    return store, outcome


@pytest.mark.parametrize("stream", [False, True])
async def test_a_real_answer_reaches_the_customer_and_its_cost_the_log(
    openai_server: OpenAIServer, stream: bool
) -> None:
    """Whole or streamed: the reply, the tokens, the served model and the request id."""
    openai_server.answers(YES)
    store, outcome = await talked(openai_server, "help me", stream=stream)
    assert (outcome.state, outcome.replies) == ("more", ("Yes.", "Anything else?"))
    (requested,) = of_type(store, "talk", AgentRequested)
    (returned,) = of_type(store, "talk", AgentReturned)
    report = returned.report
    assert (report.outcome, report.usage) == ("done", MEASURED)
    assert (report.model, report.request_id) == ("small-served", "req-1")
    assert returned.cost == 11 * 1_000 + 7 * 2_000
    (sent,) = openai_server.requests
    assert sent.streams is stream
    assert sent.headers["x-client-request-id"] == "talk:7"
    assert sent.body["model"] == requested.model == "small"
    assert sent.body["response_format"]["type"] == "json_schema"
    assert [message["content"] for message in sent.body["messages"] if message["role"] == "user"] == ["help me"]


TROUBLES: dict[str, tuple[Any, str, str, bool]] = {
    # what the server does, the attempt's outcome, its reason, and whether it was measured
    "malformed": (raw("{not json"), "failed", "malformed_response", False),
    "no completion": (raw("[]"), "failed", "malformed_response", False),
    "text instead of JSON": (completion("Sure! Here you go."), "invalid", "", True),
    "wrong schema": (completion({"outcome": "done", "reply": 5}), "invalid", "", True),
    "unknown outcome": (completion({"outcome": "maybe", "reply": "x"}), "invalid", "", True),
    "429": (status(429, {"Retry-After": "7"}), "failed", "rate_limited", False),
    "500": (status(500), "failed", "server_error", False),
    "503": (status(503, {"Retry-After": "3"}), "failed", "server_error", False),
    "401": (status(401), "failed", "", False),
    "reset": (reset(YES), "failed", "connection", False),
    "closed too early": (reset(YES, politely=True), "failed", "connection", False),
    "empty": (raw(b""), "failed", "malformed_response", False),
}


@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_trouble_twice_ends_in_its_declared_outcome(openai_server: OpenAIServer, trouble: str) -> None:
    """Two attempts, two HTTP requests, two results in the log; then the row of the outcome."""
    answer, outcome, reason, measured = TROUBLES[trouble]
    openai_server.answers(answer, answer)
    store, last = await talked(openai_server, "help me")
    reports = [event.report for event in of_type(store, "talk", AgentReturned)]
    assert [report.outcome for report in reports] == [outcome] * 2
    if reason:
        assert {report.reason for report in reports} == {reason}
    assert {report.usage.measured for report in reports} == {measured}
    assert len(openai_server.requests) == len(of_type(store, "talk", AgentRequested)) == 2
    assert (last.standing, path_of(store, "talk")[-1]) == ("with_person", f"{outcome}>desk")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("trouble", TROUBLES)
async def test_a_trouble_once_is_repaired_by_a_second_attempt(
    openai_server: OpenAIServer, trouble: str, stream: bool
) -> None:
    """The second attempt is a decision of its own; the customer sees only its answer."""
    openai_server.answers(TROUBLES[trouble][0], YES)
    store, outcome = await talked(openai_server, "help me", stream=stream)
    assert (outcome.state, outcome.replies) == ("more", ("Yes.", "Anything else?"))
    assert [event.attempt for event in of_type(store, "talk", AgentRequested)] == [1, 2]
    assert of_type(store, "talk", AgentReturned)[1].report.outcome == "done"


async def test_what_was_wrong_is_told_in_the_repair_over_the_wire(openai_server: OpenAIServer) -> None:
    """The violations of the first answer are in the second request."""
    openai_server.answers(TROUBLES["wrong schema"][0], YES)
    store, _ = await talked(openai_server, "help me")
    (violation,) = of_type(store, "talk", AgentRequested)[1].repairs
    assert any(violation in str(message["content"]) for message in openai_server.requests[1].body["messages"])


async def test_how_long_a_provider_asks_to_wait_is_recorded(openai_server: OpenAIServer) -> None:
    """429 with Retry-After: nobody sleeps in the adapter, the number is in the log."""
    openai_server.answers(TROUBLES["429"][0], YES)
    store, _ = await talked(openai_server, "help me")
    first = of_type(store, "talk", AgentReturned)[0].report
    assert (first.retry_after_seconds, first.request_id) == (7, "req-error")


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_is_refused_and_not_asked_again(openai_server: OpenAIServer, stream: bool) -> None:
    """By the provider's own signal: one attempt, and the row of `refused`."""
    openai_server.answers(completion(refusal="I cannot help with that."))
    store, _ = await talked(openai_server, "help me", stream=stream)
    (returned,) = of_type(store, "talk", AgentReturned)
    assert (returned.report.outcome, returned.report.usage) == ("refused", MEASURED)
    assert path_of(store, "talk")[-1] == "refused>desk"


@pytest.mark.parametrize(
    ("answer", "stream"),
    [
        (hang(), False),
        (hang(), True),
        (drip(YES, every=0.2, size=2), False),
        (drip(YES, every=0.2, size=2), True),
    ],
    ids=["hang", "hang-stream", "drip", "drip-stream"],
)
async def test_a_model_past_its_time_is_a_timeout(openai_server: OpenAIServer, answer: Any, stream: bool) -> None:
    """Not a byte, or a few for ever: each attempt ends at the state's timeout."""
    openai_server.answers(answer, answer)
    store, _ = await talked(openai_server, "help me", within="1s", stream=stream)
    assert [event.report.outcome for event in of_type(store, "talk", AgentReturned)] == ["timeout"] * 2
    assert all(900 <= event.report.latency_ms < 5_000 for event in of_type(store, "talk", AgentReturned))
    assert path_of(store, "talk")[-1] == "timeout>desk"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_round_over_the_wire(openai_server: OpenAIServer, stream: bool) -> None:
    """Proposed by the model, run by us with our key, and its result sent back under the model's call."""
    bank = Bank()
    openai_server.answers(completion(tool_calls=[("pay", {"amount": 3})], finish="tool_calls"), YES)
    store, outcome = await talked(openai_server, "help me", stream=stream, bank=bank)
    assert outcome.state == "more"
    assert len(bank.paid) == len(of_type(store, "talk", ToolRequested)) == 1
    told = openai_server.requests[1].body["messages"][-1]
    assert (told["role"], told["content"]) == ("tool", '{"paid":true}')
    offered = {one["function"]["name"] for one in openai_server.requests[0].body["tools"]}
    assert offered == {"look_up", "pay"}


async def test_an_answer_cut_by_the_output_limit_is_invalid_and_paid_for(openai_server: OpenAIServer) -> None:
    """Half a JSON is no answer; what it cost is on the record."""
    openai_server.answers(completion('{"outcome": "do', finish="length"), YES)
    store, _ = await talked(openai_server, "help me")
    first = of_type(store, "talk", AgentReturned)[0]
    assert (first.report.outcome, first.report.reason, first.report.usage) == ("invalid", "truncated", MEASURED)
    assert first.report.request_id == "req-1"
