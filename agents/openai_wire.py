"""What is said to an OpenAI-compatible server and what its answers mean, as plain data.

Pure, and without the client: `openai_model.py` carries these over. Answers are read with suspicion, because
"compatible" servers leave fields out, rename them and add their own.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from ..contracts.agents import AgentCutShort, AgentReply, AgentRequest, ChatMessage, ToolCall, ToolOffer
from ..contracts.errors import AgentFailed
from ..contracts.limits import Usage
from ..contracts.values import MAX_SAFE_INTEGER, printable
from .strict_json import written
from .strict_schema import strict_schema

Structured = Literal["json_schema", "json_object", "prompt"]
OutputLimit = Literal["max_completion_tokens", "max_tokens"]


def request_body(
    request: AgentRequest,
    *,
    model: str,
    structured: Structured,
    output_limit: OutputLimit,
    send_temperature: bool,
    stream: bool,
) -> dict[str, Any]:
    """The arguments of `chat.completions.create` for this request. The request is not changed.

    With `json_object` and `prompt` the contract's schema is added to the system message, because nothing
    else tells the server of it. Tools are not offered as `strict`: that would make defaults impossible, and
    their arguments are checked here anyway.
    """
    asks_in_words = request.contract is not None and structured != "json_schema"
    messages = _with_schema(request) if asks_in_words else request.messages
    body: dict[str, Any] = {
        "model": request.model or model,
        "messages": [_message(message) for message in messages],
        output_limit: request.max_output_tokens,
    }
    if send_temperature:
        body["temperature"] = float(request.temperature)
    if request.tools:
        body["tools"] = [_offered(tool) for tool in request.tools]
    if request.contract is not None and structured != "prompt":
        body["response_format"] = _response_format(request.contract_name, request.contract, structured)
    if stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def reply_of(body: object, *, request_id: str = "") -> AgentReply:
    """The reply in a `chat.completion` object.

    Raises `AgentFailed`: `server_error` where the body is an error in disguise, `malformed_response` where it
    is no completion; and `AgentCutShort` (`invalid`, `truncated`) where the model ran out of tokens.
    """
    if not isinstance(body, Mapping):
        raise malformed("it is not a JSON object", request_id)
    if body.get("error"):
        raise AgentFailed(
            "The model's server answered with an error in place of a completion.",
            reason="server_error",
            request_id=request_id,
        )
    choice = _first(body.get("choices"))
    message = choice.get("message") if choice else None
    if choice is None or not isinstance(message, Mapping):
        raise malformed("it holds no choice with a message", request_id)
    refusal = _text(message.get("refusal"))
    finish = printable(_text(choice.get("finish_reason")), 40)
    reply = AgentReply(
        text=refusal or _content(message.get("content")),
        tool_calls=_tool_calls(message.get("tool_calls"), request_id),
        refused=bool(refusal) or finish == "content_filter",
        usage=usage_of(body.get("usage")),
        model=printable(_text(body.get("model"))),
        request_id=printable(request_id or _text(body.get("id"))),
        finish=finish,
    )
    if finish == "length":
        raise _cut_short(reply)
    return reply


def merged(chunks: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The `chat.completion` object that a stream of `chat.completion.chunk` objects adds up to.

    Without a finish reason the stream broke off: the choice then has none, and `finish_of` is empty.
    """
    body: dict[str, Any] = {}
    message: dict[str, Any] = {"content": [], "refusal": [], "tool_calls": {}}
    finish = ""
    for chunk in chunks:
        body |= {name: chunk[name] for name in ("id", "model", "usage", "error") if chunk.get(name)}
        choice = _first(chunk.get("choices")) or {}
        finish = _text(choice.get("finish_reason")) or finish
        delta = choice.get("delta")
        if isinstance(delta, Mapping):
            message["content"].append(_content(delta.get("content")))
            message["refusal"].append(_text(delta.get("refusal")))
            _merge_calls(message["tool_calls"], delta.get("tool_calls"))
    calls = [
        {"id": call["id"], "function": {"name": "".join(call["name"]), "arguments": "".join(call["arguments"])}}
        for call in message["tool_calls"].values()
    ]
    whole = {"content": "".join(message["content"]), "refusal": "".join(message["refusal"]), "tool_calls": calls}
    return body | {"choices": [{"message": whole, "finish_reason": finish}]}


def delta_text(chunk: Mapping[str, Any]) -> str:
    """The visible text that one chunk adds."""
    delta = (_first(chunk.get("choices")) or {}).get("delta")
    return _content(delta.get("content")) if isinstance(delta, Mapping) else ""


def finish_of(body: Mapping[str, Any]) -> str:
    return _text((_first(body.get("choices")) or {}).get("finish_reason"))


def usage_of(given: object) -> Usage:
    """Token counts as the provider reported them; unmeasured where they are missing or no counts."""
    if not isinstance(given, Mapping):
        return Usage(measured=False)
    counts = [given.get("prompt_tokens"), given.get("completion_tokens")]
    whole = [count for count in counts if type(count) is int and 0 <= count <= MAX_SAFE_INTEGER]
    return Usage(input_tokens=whole[0], output_tokens=whole[1]) if len(whole) == len(counts) else Usage(measured=False)


def malformed(what: str, request_id: str = "") -> AgentFailed:
    return AgentFailed(
        f"The model's server answered with something other than a completion: {what}.",
        reason="malformed_response",
        request_id=printable(request_id),
        fix="Check that the base URL ends where `/chat/completions` begins.",
    )


def sendable(text: str) -> str:
    """`text` as UTF-8 can carry it: a lone surrogate becomes U+FFFD."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _cut_short(reply: AgentReply) -> AgentCutShort:
    error = AgentCutShort(
        "The answer was cut off at the output limit.",
        kind="invalid",
        reason="truncated",
        request_id=reply.request_id,
        fix="Raise the agent's `max_output_tokens`, or ask for less.",
    )
    error.usage, error.model = reply.usage, reply.model
    return error


def _message(message: ChatMessage) -> dict[str, Any]:
    said: dict[str, Any] = {"role": message.role, "content": sendable(message.content)}
    if message.tool_calls:
        said["content"] = said["content"] or None
        said["tool_calls"] = [
            {
                "id": call.call_id,
                "type": "function",
                "function": {"name": sendable(call.name), "arguments": sendable(call.arguments)},
            }
            for call in message.tool_calls
        ]
    if message.role == "tool":
        said["tool_call_id"] = message.tool_call_id
    return said


def _with_schema(request: AgentRequest) -> tuple[ChatMessage, ...]:
    wanted = f"Answer with one JSON object that fits this JSON Schema:\n{written(dict(request.contract or {}))}"
    first = request.messages[0] if request.messages else None
    if first is None or first.role != "system":
        return (ChatMessage("system", wanted), *request.messages)
    return (ChatMessage("system", f"{first.content}\n\n{wanted}"), *request.messages[1:])


def _response_format(name: str, contract: Mapping[str, Any], structured: Structured) -> dict[str, Any]:
    if structured == "json_object":
        return {"type": "json_object"}
    strict = strict_schema(contract)
    schema = dict(contract) if strict is None else strict
    return {
        "type": "json_schema",
        "json_schema": {"name": name or "result", "schema": schema, "strict": strict is not None},
    }


def _offered(tool: ToolOffer) -> dict[str, Any]:
    described = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": described}


def _first(choices: object) -> Mapping[str, Any] | None:
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, Mapping) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _content(value: object) -> str:
    """The text of a message: a string, or (some servers) a list of parts."""
    if isinstance(value, list):
        return "".join(_text(part.get("text")) for part in value if isinstance(part, Mapping))
    return _text(value)


def _tool_calls(given: object, request_id: str) -> tuple[ToolCall, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        raise malformed("its tool calls are no list", request_id)
    return tuple(_tool_call(position, call) for position, call in enumerate(given))


def _tool_call(position: int, given: object) -> ToolCall:
    """A proposed call; what is missing stays empty, and the runtime refuses an unknown name on the record."""
    call = given if isinstance(given, Mapping) else {}
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    arguments = function.get("arguments")
    return ToolCall(
        call_id=_text(call.get("id")) or f"call_{position}",
        name=_text(function.get("name")),
        arguments=written(arguments) if isinstance(arguments, dict) else _text(arguments),
    )


def _merge_calls(calls: dict[object, dict[str, Any]], given: object) -> None:
    for position, part in enumerate(given if isinstance(given, list) else ()):
        if not isinstance(part, Mapping):
            continue
        index = part.get("index")
        call = calls.setdefault(index if type(index) is int else position, {"id": "", "name": [], "arguments": []})
        call["id"] = call["id"] or _text(part.get("id"))
        function = part.get("function")
        if isinstance(function, Mapping):
            call["name"].append(_text(function.get("name")))
            call["arguments"].append(_text(function.get("arguments")))
