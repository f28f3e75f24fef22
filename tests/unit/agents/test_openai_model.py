"""The OpenAI agent over real HTTP: every way a server can answer ends in its declared outcome, after one request."""

import asyncio
import gzip
import json
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from interlock.agents.contract import checked, outcome_of
from interlock.agents.openai_model import OpenAIAgent
from interlock.contracts.agents import (
    AgentCutShort,
    AgentReply,
    AgentRequest,
    AgentResult,
    ChatMessage,
    ToolCall,
    ToolOffer,
)
from interlock.contracts.errors import AgentFailed, SetupError
from interlock.contracts.limits import Usage
from support.openai_server import (
    OpenAIServer,
    Received,
    completion,
    drip,
    hang,
    raw,
    reset,
    status,
)

KEY = "sk-test-secret-4711"
SECRET = "my card is 4000 1234"
Ask = Callable[..., Awaitable[AgentReply]]


class Answered(AgentResult):
    amount: int


def request(**changes: Any) -> AgentRequest:
    given: dict[str, Any] = {
        "effect": "c0ffee:4",
        "agent": "teller",
        "model": "m1",
        "timeout_seconds": 5,
        "messages": (ChatMessage("system", "Be kind."), ChatMessage("user", SECRET)),
    }
    return AgentRequest(**{**given, **changes})


@pytest.fixture(params=["whole", "stream"])
def streams(request: pytest.FixtureRequest) -> bool:
    return str(request.param) == "stream"


async def ask(server: OpenAIServer, asked: AgentRequest | None = None, **options: Any) -> AgentReply:
    """One attempt; whatever comes of it, exactly one request was made, and an error tells no secret."""
    async with OpenAIAgent(KEY, server.url, **options) as agent:
        try:
            return await agent.run(asked or request())
        except AgentFailed as error:
            tells_where_and_no_secret(error)
            raise
        finally:
            assert len(server.requests) == 1


def tells_where_and_no_secret(error: AgentFailed) -> None:
    assert KEY not in str(error)
    assert SECRET not in str(error)
    assert "teller" in error.where
    assert error.__cause__ is not None or error.reason in OWN_REASONS


OWN_REASONS = {"truncated", "malformed_response", "connection", "server_error", "too_large"}
"""Found by reading the answer, where no error of the client is the cause."""


async def failed(server: OpenAIServer, **options: Any) -> tuple[str, str]:
    with pytest.raises(AgentFailed) as caught:
        await ask(server, **options)
    return caught.value.kind, caught.value.reason


# --- answers --------------------------------------------------------------------------------------------


async def test_a_completion_is_text_with_usage_model_and_request_id(openai_server: OpenAIServer, streams: bool) -> None:
    openai_server.answers(completion("Hello, how are you?"))
    assert await ask(openai_server, stream=streams) == AgentReply(
        text="Hello, how are you?",
        usage=Usage(input_tokens=11, output_tokens=7),
        model="m1-served",
        request_id="req-1",
        finish="stop",
    )


async def test_the_request_says_what_was_asked_and_hides_nothing(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion("ok"))
    await ask(openai_server, request(temperature="0.700000", max_output_tokens=99))
    sent = openai_server.requests[0]
    assert sent.body == {
        "model": "m1",
        "temperature": 0.7,
        "max_tokens": 99,
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": SECRET}],
    }
    assert sent.path == "/v1/chat/completions"
    assert sent.headers["x-client-request-id"] == "c0ffee:4"
    assert sent.headers["x-stainless-retry-count"] == "0"


async def test_options_choose_model_output_limit_and_temperature(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion("ok"))
    await ask(
        openai_server,
        request(model=""),
        default_model="own",
        output_limit="max_completion_tokens",
        send_temperature=False,
    )
    body = openai_server.requests[0].body
    assert (body["model"], body["max_completion_tokens"]) == ("own", 1024)
    assert not body.keys() & {"temperature", "max_tokens"}


async def test_the_response_id_stands_in_for_a_missing_request_id(openai_server: OpenAIServer, streams: bool) -> None:
    openai_server.answers(completion("ok", request_id=""))
    assert (await ask(openai_server, stream=streams)).request_id == "chatcmpl-1"


async def test_a_contract_travels_as_a_strict_schema_and_comes_back_as_its_type(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion({"outcome": "done", "reply": "Paid.", "amount": 12}))
    reply = await ask(openai_server, request(contract=Answered.model_json_schema(), contract_name="Answered"))
    assert checked(reply.text, Answered).result == Answered(reply="Paid.", amount=12)
    sent = openai_server.requests[0].body["response_format"]["json_schema"]
    assert (sent["name"], sent["strict"]) == ("Answered", True)
    assert sent["schema"]["required"] == ["outcome", "reply", "amount"]
    assert sent["schema"]["additionalProperties"] is False


async def test_a_contract_that_cannot_be_strict_travels_as_it_is(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion({}))
    schema = {"type": "object", "properties": {"any": {}}}
    await ask(openai_server, request(contract=schema, contract_name="Open"))
    sent = openai_server.requests[0].body["response_format"]["json_schema"]
    assert sent == {"name": "Open", "schema": schema, "strict": False}


@pytest.mark.parametrize(("structured", "format_sent"), [("json_object", {"type": "json_object"}), ("prompt", None)])
async def test_servers_that_know_less_are_told_the_schema_in_the_system_message(
    openai_server: OpenAIServer, structured: str, format_sent: object
) -> None:
    openai_server.answers(completion({}))
    await ask(openai_server, request(contract=Answered.model_json_schema()), structured=structured)
    body = openai_server.requests[0].body
    assert body.get("response_format") == format_sent
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert body["messages"][0]["content"].startswith("Be kind.\n\nAnswer with one JSON object that fits")
    assert '"amount"' in body["messages"][0]["content"]


async def test_tool_calls_come_back_as_data(openai_server: OpenAIServer, streams: bool) -> None:
    openai_server.answers(
        completion(tool_calls=[("block_card", {"card": "x"}), ("look_up", '{"broken')], finish="tool_calls")
    )
    offered = (ToolOffer("block_card", "Blocks a card.", {"type": "object", "properties": {}}),)
    reply = await ask(openai_server, request(tools=offered), stream=streams)
    assert reply.tool_calls == (
        ToolCall("call_0", "block_card", '{"card": "x"}'),
        ToolCall("call_1", "look_up", '{"broken'),
    )
    assert reply.finish == "tool_calls"
    assert openai_server.requests[0].body["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "block_card",
                "description": "Blocks a card.",
                "parameters": {"type": "object", "properties": {}},
            },
        }
    ]


async def test_tool_results_and_the_calls_before_them_are_sent(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion("Blocked."))
    history = (
        ChatMessage("assistant", "", tool_calls=(ToolCall("c1", "block", "{}"),)),
        ChatMessage("tool", '{"ok":true}', tool_call_id="c1"),
    )
    await ask(openai_server, request(messages=history))
    assert openai_server.requests[0].body["messages"] == [
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "block", "arguments": "{}"}}],
        },
        {"role": "tool", "content": '{"ok":true}', "tool_call_id": "c1"},
    ]


async def test_a_refusal_is_refused(openai_server: OpenAIServer, streams: bool) -> None:
    openai_server.answers(completion(refusal="I will not."))
    reply = await ask(openai_server, stream=streams)
    assert (reply.refused, reply.text) == (True, "I will not.")


async def test_a_content_filter_is_refused(openai_server: OpenAIServer, streams: bool) -> None:
    openai_server.answers(completion("I wi", finish="content_filter"))
    assert (await ask(openai_server, stream=streams)).refused


async def test_a_truncated_answer_is_invalid_and_still_paid_for(openai_server: OpenAIServer, streams: bool) -> None:
    openai_server.answers(completion('{"amount": 1', finish="length"))
    with pytest.raises(AgentCutShort) as caught:
        await ask(openai_server, stream=streams)
    assert (caught.value.kind, caught.value.reason) == ("invalid", "truncated")
    assert (caught.value.usage, caught.value.model) == (Usage(input_tokens=11, output_tokens=7), "m1-served")
    assert "max_output_tokens" in str(caught.value)


async def test_content_that_breaks_the_schema_is_the_contracts_business(
    openai_server: OpenAIServer, streams: bool
) -> None:
    openai_server.answers(completion({"amount": "[1]"}))
    found = checked((await ask(openai_server, stream=streams)).text, Answered)
    assert (outcome_of(found), found.violations) == ("invalid", ("amount: must be an integer.",))


async def test_unknown_fields_are_ignored(openai_server: OpenAIServer, streams: bool) -> None:
    openai_server.answers(completion("ok", service_tier="x", surprise={"deep": [1]}, citations=[]))
    assert (await ask(openai_server, stream=streams)).text == "ok"


@pytest.mark.parametrize(
    "usage",
    [None, {}, {"prompt_tokens": -1, "completion_tokens": 2}, {"prompt_tokens": "11", "completion_tokens": 2.5}],
)
async def test_usage_that_is_no_count_is_unmeasured(openai_server: OpenAIServer, usage: Any) -> None:
    openai_server.answers(completion("ok", usage=usage))
    assert (await ask(openai_server)).usage == Usage(measured=False)


async def test_tokens_are_seen_as_they_come(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion("One two three four."))
    seen: list[tuple[str, str]] = []
    await ask(openai_server, stream=True, on_token=lambda asked, text: seen.append((asked.effect, text)))
    assert "".join(text for _, text in seen) == "One two three four."
    assert len(seen) > 1
    assert {effect for effect, _ in seen} == {"c0ffee:4"}
    assert openai_server.requests[0].body["stream_options"] == {"include_usage": True}


async def test_what_no_utf8_can_carry_is_replaced(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion("ok"))
    await ask(openai_server, request(messages=(ChatMessage("user", "a\ud800b\x00c 💥"),)))
    assert openai_server.requests[0].body["messages"][0]["content"] == "a\ufffdb\x00c 💥"


async def test_content_in_parts_is_joined(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion())
    message = {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, 7]}
    openai_server.answers_with(lambda _: raw(json.dumps({"choices": [{"message": message}]})))
    assert (await ask(openai_server)).text == "ab"


# --- failures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "0.2"}, 1),
        ({"retry-after-ms": "1500"}, 2),
        ({"Date": "Sat, 21 Nov 2026 09:00:00 GMT", "Retry-After": "Sat, 21 Nov 2026 09:01:30 GMT"}, 90),
        ({"Retry-After": "Sat, 21 Nov 2020 09:00:00 GMT"}, 0),
        ({"Retry-After": "-5"}, 0),
        ({"Retry-After": "1e300"}, 86_400),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        ({}, None),
    ],
)
async def test_a_rate_limit_says_how_long_to_wait(
    openai_server: OpenAIServer, headers: dict[str, str], seconds: int | None
) -> None:
    openai_server.answers(status(429, headers, message=f"{KEY} {SECRET}"))
    with pytest.raises(AgentFailed) as caught:
        await ask(openai_server)
    error = caught.value
    assert (error.kind, error.reason, error.retry_after_seconds) == ("failed", "rate_limited", seconds)
    assert error.request_id == "req-error"


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (status(500), ("failed", "server_error")),
        (status(503), ("failed", "server_error")),
        (status(408), ("failed", "server_error")),
        (status(409), ("failed", "server_error")),
        (status(401, message=f"Incorrect API key provided: {KEY}"), ("failed", "authentication")),
        (status(403), ("failed", "authentication")),
        (status(400, message=SECRET), ("failed", "bad_request")),
        (status(404), ("failed", "bad_request")),
        (status(422), ("failed", "bad_request")),
        (status(307, {"Location": "/v1/elsewhere"}), ("failed", "bad_request")),
        (status(400, code="context_length_exceeded"), ("failed", "context_too_long")),
        (status(429, code="insufficient_quota"), ("failed", "quota_exhausted")),
        (status(400, code="content_filter"), ("refused", "content_filter")),
        (raw("<html>Bad gateway</html>", content_type="text/html", status_code=502), ("failed", "server_error")),
    ],
)
async def test_each_status_has_its_outcome(
    openai_server: OpenAIServer, streams: bool, answer: Any, outcome: tuple[str, str]
) -> None:
    openai_server.answers(answer)
    assert await failed(openai_server, stream=streams) == outcome


@pytest.mark.parametrize(
    ("parameter", "fix"),
    [
        ("temperature", "send_temperature=False"),
        ("max_tokens", "output_limit='max_completion_tokens'"),
        ("response_format", "structured='json_object'"),
        ("messages[0]", ""),
    ],
)
async def test_a_bad_request_names_the_option_that_mends_it(
    openai_server: OpenAIServer, parameter: str, fix: str
) -> None:
    openai_server.answers(status(400, param=parameter))
    with pytest.raises(AgentFailed) as caught:
        await ask(openai_server)
    assert fix in caught.value.fix
    assert "HTTP status 400" in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        "",
        "not json",
        '{"choices": [',
        "[]",
        "null",
        "{}",
        '{"choices": []}',
        '{"choices": [{}]}',
        '{"choices": [{"message": "hi"}]}',
        '{"choices": {"0": 1}}',
        '{"choices":[{"message":{"tool_calls":{}}}]}',
        "[" * 200_000,
        b"\xff\xfe\x00",
        b"\x00" * 100,
    ],
)
async def test_a_body_that_is_no_completion_is_malformed(openai_server: OpenAIServer, body: bytes | str) -> None:
    openai_server.answers(raw(body))
    assert await failed(openai_server) == ("failed", "malformed_response")


@pytest.mark.parametrize(
    "answer",
    [
        raw("data: {not json\n\n", content_type="text/event-stream"),
        raw("data: [DONE]\n\n", content_type="text/event-stream"),
        raw("data: " + "[" * 200_000 + "\n\n", content_type="text/event-stream"),
        raw(b"\xff\xff\n\n", content_type="text/event-stream"),
        raw('{"choices": [{"message": {"content": "hi"}}]}'),
        raw("<html>hello</html>", content_type="text/html"),
    ],
)
async def test_a_stream_that_is_none_is_malformed(openai_server: OpenAIServer, answer: Any) -> None:
    openai_server.answers(answer)
    assert await failed(openai_server, stream=True) == ("failed", "malformed_response")


@pytest.mark.parametrize(
    "chunk",
    [
        "7",
        "[1]",
        '"x"',
        '{"choices": 7}',
        '{"choices": [7]}',
        "{}",
        '{"choices": [{"delta": 3}]}',
        '{"choices":[{"delta":{"tool_calls":[3]}}]}',
    ],
)
async def test_chunks_of_another_shape_end_as_a_failure(openai_server: OpenAIServer, chunk: str) -> None:
    openai_server.answers(raw(f"data: {chunk}\n\ndata: [DONE]\n\n", content_type="text/event-stream"))
    kind, reason = await failed(openai_server, stream=True)
    assert (kind, reason) in {("failed", "connection"), ("failed", "malformed_response")}


async def test_an_error_inside_a_stream_is_the_servers(openai_server: OpenAIServer) -> None:
    openai_server.answers(raw(f'data: {{"error": {{"message": "{KEY}"}}}}\n\n', content_type="text/event-stream"))
    assert await failed(openai_server, stream=True) == ("failed", "server_error")


async def test_an_error_in_place_of_a_completion_is_the_servers(openai_server: OpenAIServer) -> None:
    openai_server.answers(raw('{"error": {"message": "overloaded", "code": 502}}'))
    assert await failed(openai_server) == ("failed", "server_error")


async def test_json_under_another_content_type_is_read(openai_server: OpenAIServer) -> None:
    served = completion("ok")(Received("", {}, {}))
    openai_server.answers(raw(served.pieces[0], content_type="text/plain"))
    assert (await ask(openai_server)).text == "ok"


@pytest.mark.parametrize("politely", [False, True])
async def test_a_connection_torn_in_the_middle_is_a_failure(
    openai_server: OpenAIServer, streams: bool, politely: bool
) -> None:
    openai_server.answers(reset(completion("A long answer that never ends."), keep=150, politely=politely))
    assert await failed(openai_server, stream=streams) == ("failed", "connection")


async def test_a_connection_torn_before_the_first_byte_is_a_failure(openai_server: OpenAIServer, streams: bool) -> None:
    openai_server.answers(reset(completion("x"), keep=0))
    assert await failed(openai_server, stream=streams) == ("failed", "connection")


async def test_a_stream_that_ends_without_a_finish_is_not_an_answer(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion("The refund is appro", finish=""))
    assert await failed(openai_server, stream=True) == ("failed", "connection")


async def test_nobody_listening_is_a_failed_connection(openai_server: OpenAIServer) -> None:
    openai_server.close()
    async with OpenAIAgent(KEY, openai_server.url) as agent:
        with pytest.raises(AgentFailed) as caught:
            await agent.run(request())
    assert (caught.value.kind, caught.value.reason) == ("failed", "connection")


async def watch_the_machine(pauses: list[float]) -> None:
    """Collects how much later than asked the event loop woke up: the machine's delay, not the adapter's."""
    while True:
        begun = time.monotonic()
        await asyncio.sleep(0.01)
        pauses.append(max(time.monotonic() - begun - 0.02, 0))


@pytest.mark.parametrize("answer", [hang(), drip(completion("x" * 2000))], ids=["hang", "drip"])
async def test_a_hang_ends_at_the_timeout(openai_server: OpenAIServer, streams: bool, answer: Any) -> None:
    openai_server.answers(answer)
    async with OpenAIAgent(KEY, openai_server.url, stream=streams) as agent:
        agent._client()  # the first client of a process loads certificates
        pauses: list[float] = []
        watch = asyncio.create_task(watch_the_machine(pauses))
        begun = time.monotonic()
        with pytest.raises(AgentFailed) as caught:
            await agent.run(request(timeout_seconds=1))
        assert 0.9 < time.monotonic() - begun < 1.5 + sum(pauses)
        watch.cancel()
    assert (caught.value.kind, caught.value.reason) == ("timeout", "timeout")
    assert len(openai_server.requests) == 1
    assert "No answer within 1 s." in str(caught.value)


async def test_ten_megabytes_are_not_read_to_their_end(openai_server: OpenAIServer, streams: bool) -> None:
    chunk = b'data: {"choices":[{"delta":{"content":"' + b"x" * 10_000_000 + b'"}}]}\n\n'
    openai_server.answers(raw(chunk, content_type="text/event-stream") if streams else completion("x" * 10_000_000))
    assert await failed(openai_server, stream=streams) == ("invalid", "too_large")


async def test_ten_megabytes_are_read_where_that_is_allowed(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion("x" * 10_000_000))
    reply = await ask(openai_server, max_reply_bytes=20_000_000)
    assert len(reply.text) == 10_000_000
    assert checked(reply.text, Answered).violations == ("The answer is longer than 1000000 bytes.",)


async def test_a_compressed_bomb_is_counted_unpacked(openai_server: OpenAIServer) -> None:
    bomb = gzip.compress(b'{"a":"' + b"x" * 10_000_000 + b'"}')
    openai_server.answers(raw(bomb, headers={"Content-Encoding": "gzip"}))
    assert await failed(openai_server) == ("invalid", "too_large")


async def test_a_callback_that_raises_is_an_unexpected_failure(openai_server: OpenAIServer) -> None:
    def broken(asked: AgentRequest, text: str) -> None:
        raise KeyError(text)

    openai_server.answers(completion(SECRET))
    assert await failed(openai_server, stream=True, on_token=broken) == ("failed", "unexpected")


# --- the agent itself -----------------------------------------------------------------------------------


def test_without_a_key_or_a_server_the_setup_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    with pytest.raises(SetupError, match="Set OPENAI_API_KEY"):
        OpenAIAgent()


def test_one_agent_serves_several_event_loops(openai_server: OpenAIServer) -> None:
    openai_server.answers(completion("one"), completion("two"))
    agent = OpenAIAgent(KEY, openai_server.url)

    async def once() -> str:
        async with agent:
            return (await agent.run(request())).text

    assert [asyncio.run(once()), asyncio.run(once())] == ["one", "two"]


async def test_a_client_of_the_callers_is_used_and_left_open(openai_server: OpenAIServer) -> None:
    import httpx2

    openai_server.answers(completion("ok"))
    async with httpx2.AsyncClient(headers={"x-proxy": "mine"}) as client:
        await ask(openai_server, http_client=client)
        assert not client.is_closed
    assert openai_server.requests[0].headers["x-proxy"] == "mine"
