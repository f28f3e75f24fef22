"""A loopback server that speaks the OpenAI chat API over real sockets and misbehaves as it is told.

    def test_something(openai_server):
        openai_server.answers(completion("Hello."), status(429, {"Retry-After": "7"}))
        agent = OpenAIAgent(api_key="test", base_url=openai_server.url)

Answers are used in order, one for each request; a request too many is answered with HTTP 500. A function
of the request, given to `answers_with`, replaces the list. Every request is kept in `requests`. Use the
fixture by importing it into a folder's conftest: `from support.openai_server import openai_server`.
"""

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

USAGE = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}


@dataclass(frozen=True)
class Received:
    """One request as it came over the wire; header names are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def streams(self) -> bool:
        return isinstance(self.body, dict) and bool(self.body.get("stream"))


@dataclass(frozen=True)
class Served:
    """What goes over the wire: a status, headers and pieces of body. `before` waits ahead of the first byte,
    `between` ahead of each piece; `promises` is a Content-Length other than the true one; `then_reset` tears
    the connection down instead of ending it."""

    pieces: tuple[bytes, ...] = ()
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    before: float = 0
    between: float = 0
    promises: int | None = None
    then_reset: bool = False


Answer = Served | Callable[[Received], Served]
"""A function is used where the bytes depend on the request: a completion is streamed if asked for."""


class OpenAIServer:
    """The running server. `url` is a `base_url` for the client."""

    def __init__(self) -> None:
        self.requests: list[Received] = []
        self.stopping = threading.Event()
        self._queue: deque[Answer] = deque()
        self._respond: Callable[[Received], Answer] | None = None
        self._lock = threading.Lock()
        server = self

        class Handler(_Handler):
            owner = server

        self._http = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def answers(self, *answers: Answer) -> "OpenAIServer":
        """Add to the list of answers."""
        self._queue.extend(answers)
        return self

    def answers_with(self, respond: Callable[[Received], Answer]) -> "OpenAIServer":
        """Answer every request by this function, instead of the list."""
        self._respond = respond
        return self

    def close(self) -> None:
        """Stop serving; a second time does nothing."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join(5)

    def take(self, request: Received) -> Served:
        with self._lock:
            self.requests.append(request)
            if self._respond is not None:
                answer: Answer = self._respond(request)
            else:
                answer = self._queue.popleft() if self._queue else status(500, code="no_answer_left")
        return answer(request) if callable(answer) else answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up in the middle is what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    owner: OpenAIServer
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        try:
            body = json.loads(raw)
        except ValueError:
            body = raw
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._serve(self.owner.take(Received(self.path, headers, body)))

    do_GET = do_POST  # noqa: N815 - the name that http.server looks for

    def _serve(self, served: Served) -> None:
        if self.owner.stopping.wait(served.before):
            return
        with suppress(OSError):
            self.send_response_only(served.status)
            length = sum(map(len, served.pieces)) if served.promises is None else served.promises
            headers = {"Content-Type": served.content_type, "Content-Length": str(length), **served.headers}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            for piece in served.pieces:
                if self.owner.stopping.wait(served.between):
                    return
                self.wfile.write(piece)
                self.wfile.flush()
            if served.then_reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
            if served.then_reset or served.promises is not None:
                self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Quiet."""


@pytest.fixture
def openai_server() -> Iterator[OpenAIServer]:
    server = OpenAIServer()
    yield server
    server.close()


# --- well-behaved answers -------------------------------------------------------------------------------


def completion(
    content: object = None,
    *,
    tool_calls: Iterable[tuple[str, object]] = (),
    refusal: str | None = None,
    finish: str = "stop",
    usage: Mapping[str, object] | None = USAGE,
    request_id: str = "req-1",
    **extra: object,
) -> Callable[[Received], Served]:
    """A chat completion, as one body or as a stream of chunks, whichever the request asks for.

    `content` that is no string is written as JSON. `extra` are fields that no client knows.
    """
    text = content if isinstance(content, str) or content is None else json.dumps(content)
    calls = [
        {
            "id": f"call_{number}",
            "type": "function",
            "function": {"name": name, "arguments": given if isinstance(given, str) else json.dumps(given)},
        }
        for number, (name, given) in enumerate(tool_calls)
    ]

    def serve(request: Received) -> Served:
        model = request.body.get("model", "") if isinstance(request.body, dict) else ""
        head = {"id": "chatcmpl-1", "created": 1, "model": f"{model}-served", **extra}
        headers = {"x-request-id": request_id} if request_id else {}
        if request.streams:
            deltas = _deltas(text, calls, refusal)
            return Served(
                tuple(_events(head, deltas, finish, usage)), headers=headers, content_type="text/event-stream"
            )
        message = {"role": "assistant", "content": text, "refusal": refusal} | ({"tool_calls": calls} if calls else {})
        body = {
            **head,
            "object": "chat.completion",
            "usage": usage,
            "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": None}],
        }
        return Served((json.dumps(body).encode(),), headers=headers)

    return serve


def status(
    code_number: int,
    headers: Mapping[str, str] | None = None,
    *,
    code: str = "",
    param: str = "",
    message: str = "Something is wrong.",
) -> Served:
    """An error as OpenAI writes it."""
    error = {"message": message, "type": "error", "code": code or None, "param": param or None}
    return Served(
        (json.dumps({"error": error}).encode(),),
        status=code_number,
        headers={"x-request-id": "req-error", **(headers or {})},
    )


# --- bad behaviour --------------------------------------------------------------------------------------


def raw(
    body: bytes | str,
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
    status_code: int = 200,
) -> Served:
    """These bytes and nothing else."""
    return Served(
        (body.encode() if isinstance(body, str) else body,),
        status=status_code,
        headers=headers or {},
        content_type=content_type,
    )


def hang(seconds: float = 60) -> Served:
    """Not a byte for so long."""
    return Served((b"{}",), before=seconds)


def drip(answer: Answer, *, every: float = 0.1, size: int = 8) -> Callable[[Received], Served]:
    """The answer a few bytes at a time: no read ever times out, yet it takes for ever."""

    def serve(request: Received) -> Served:
        served = answer(request) if callable(answer) else answer
        whole = b"".join(served.pieces)
        pieces = tuple(whole[at : at + size] for at in range(0, len(whole), size))
        return Served(pieces, served.status, served.headers, served.content_type, between=every)

    return serve


def reset(answer: Answer, *, keep: int = 20, politely: bool = False) -> Callable[[Received], Served]:
    """The first bytes of the answer's body, then a torn connection (`politely`: closed, but too early)."""

    def serve(request: Received) -> Served:
        served = answer(request) if callable(answer) else answer
        whole = b"".join(served.pieces)
        return Served(
            (whole[:keep],),
            served.status,
            served.headers,
            served.content_type,
            promises=len(whole),
            then_reset=not politely,
        )

    return serve


def _deltas(text: str | None, calls: list[dict[str, Any]], refusal: str | None) -> list[dict[str, Any]]:
    """The message in small steps, arguments of tool calls split in two."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": text[at : at + 7]} for at in range(0, len(text or ""), 7)] if text else []
    deltas += [{"refusal": refusal}] if refusal else []
    for index, call in enumerate(calls):
        given = call["function"]["arguments"]
        half = len(given) // 2
        deltas.append(
            {
                "tool_calls": [
                    {**call, "index": index, "function": {"name": call["function"]["name"], "arguments": given[:half]}}
                ]
            }
        )
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": given[half:]}}]})
    return deltas


def _events(
    head: Mapping[str, object], deltas: list[dict[str, Any]], finish: str, usage: Mapping[str, object] | None
) -> Iterator[bytes]:
    chunk = {**head, "object": "chat.completion.chunk"}
    for delta in deltas:
        yield _event({**chunk, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
    if finish:
        yield _event({**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage is not None:
        yield _event({**chunk, "choices": [], "usage": usage})
    yield b"data: [DONE]\n\n"


def _event(data: Mapping[str, object]) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"
