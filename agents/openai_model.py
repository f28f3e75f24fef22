"""The agent behind any OpenAI-compatible server, on the real `openai` client: one attempt, one request.

The only place that imports `openai`, and only when an agent is made: the import takes about a second.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

from ..contracts.agents import AgentReply, AgentRequest
from ..contracts.errors import AgentFailed, SetupError
from ..contracts.values import printable
from .openai_failures import failure
from .openai_wire import OutputLimit, Structured, delta_text, finish_of, malformed, merged, reply_of, request_body

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

DEFAULT_MODEL = "gpt-4.1-mini"
MAX_REPLY_BYTES = 4_000_000
_OWN_HOSTS = ("api.openai.com", ".openai.azure.com")


class OpenAIAgent:
    """An `Agent` on a model behind the OpenAI chat API.

    `structured` says what the server understands of contracts: `json_schema` (OpenAI, vLLM, Ollama),
    `json_object`, or `prompt` (nothing: the schema goes into the system message). `output_limit` names the
    parameter of the output limit; by default the new one for OpenAI's own hosts and the old one, which
    everybody knows, elsewhere. `send_temperature=False` is for reasoning models, which refuse it. With
    `stream=True` the answer is gathered from a stream and `on_token(request, text)` sees each piece; it must
    return at once and not raise. An answer larger than `max_reply_bytes` is not read to its end.

    `max_retries` is 0 and redirects are not followed: one attempt is one HTTP request. With an `http_client`
    (an `httpx2.AsyncClient`) both proxies and redirects are that client's. Without one, each event loop gets a
    client of its own, and `aclose()` (or `async with`) closes that of the running loop.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        default_model: str = DEFAULT_MODEL,
        http_client: "httpx2.AsyncClient | None" = None,
        *,
        structured: Structured = "json_schema",
        stream: bool = False,
        on_token: Callable[[AgentRequest, str], None] | None = None,
        output_limit: Literal["auto"] | OutputLimit = "auto",
        send_temperature: bool = True,
        max_reply_bytes: int = MAX_REPLY_BYTES,
        name: str = "openai",
    ) -> None:
        base_url = base_url or os.environ.get("OPENAI_BASE_URL") or None
        key = api_key or os.environ.get("OPENAI_API_KEY") or ("none" if base_url else "")
        if not key:
            raise SetupError(
                "There is no key for the model's server.",
                fix="Set OPENAI_API_KEY, or give `base_url` of a server that needs none.",
            )
        import openai

        self.name = name
        self._openai = openai
        self._key, self._base_url, self._model, self._http_client = key, base_url, default_model, http_client
        self._structured, self._stream, self._on_token = structured, stream, on_token
        self._output_limit = _output_limit(base_url) if output_limit == "auto" else output_limit
        self._send_temperature, self._max_reply_bytes = send_temperature, max_reply_bytes
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = WeakKeyDictionary()

    async def run(self, request: AgentRequest) -> AgentReply:
        """One HTTP request, its answer as data. Raises `AgentFailed`, never anything else but cancellation.

        The message never holds the key or what anybody wrote; the chained cause may (providers echo keys
        and prompts in error bodies), so log the message and not the traceback.
        """
        bound = asyncio.timeout(request.timeout_seconds)
        try:
            async with bound:
                return await self._attempt(request)
        except AgentFailed as error:
            error.where = error.where or _place(request)
            raise
        except Exception as error:  # the edge: whatever the client raises becomes an outcome
            raise failure(
                error, where=_place(request), timed_out=bound.expired(), timeout_seconds=request.timeout_seconds
            ) from error

    async def aclose(self) -> None:
        """Close the connections of the running event loop. An `http_client` of the caller's stays open."""
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None and self._http_client is None:
            await client.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _attempt(self, request: AgentRequest) -> AgentReply:
        body = request_body(
            request,
            model=self._model,
            structured=self._structured,
            output_limit=self._output_limit,
            send_temperature=self._send_temperature,
            stream=self._stream,
        )
        options: dict[str, Any] = {
            "extra_headers": {"X-Client-Request-Id": printable(request.effect)},
            "timeout": request.timeout_seconds,
        }
        if self._stream:
            return await self._streamed(request, body, options)
        return await self._whole(body, options)

    async def _whole(self, body: dict[str, Any], options: dict[str, Any]) -> AgentReply:
        chat = self._client().chat.completions.with_streaming_response
        async with chat.create(**body, **options) as response:
            request_id = response.request_id or ""
            parts: list[bytes] = []
            size = 0
            async for part in response.iter_bytes():
                parts.append(part)
                size = self._bounded(size + len(part), request_id)
        try:
            found = json.loads(b"".join(parts))
        except (ValueError, RecursionError) as error:
            raise malformed("it is not JSON", request_id) from error
        return reply_of(found, request_id=request_id)

    async def _streamed(self, request: AgentRequest, body: dict[str, Any], options: dict[str, Any]) -> AgentReply:
        chunks: list[Mapping[str, Any]] = []
        size = 0
        async with self._chunks(body, options) as (stream, request_id):
            async for chunk in stream:
                chunks.append(chunk)
                text = delta_text(chunk)
                size = self._bounded(size + len(json.dumps(chunk)), request_id)
                if text and self._on_token is not None:
                    self._on_token(request, text)
        found = merged(chunks)
        if not chunks:
            raise malformed("it is no event stream", request_id)
        if not finish_of(found) and "error" not in found:
            raise AgentFailed("The stream broke off before its end.", reason="connection", request_id=request_id)
        return reply_of(found, request_id=request_id)

    @asynccontextmanager
    async def _chunks(
        self, body: dict[str, Any], options: dict[str, Any]
    ) -> AsyncIterator[tuple[AsyncIterator[Mapping[str, Any]], str]]:
        """The stream's chunks as plain data, and the request id. Leaving closes the connection."""
        stream = await self._client().chat.completions.create(**body, **options)

        async def plain() -> AsyncIterator[Mapping[str, Any]]:
            async for chunk in stream:
                yield chunk.to_dict(mode="json", warnings=False) if hasattr(chunk, "to_dict") else {}

        try:
            yield plain(), stream.response.headers.get("x-request-id", "")
        finally:
            await stream.close()

    def _bounded(self, size: int, request_id: str) -> int:
        if size > self._max_reply_bytes:
            raise AgentFailed(
                f"The answer is larger than {self._max_reply_bytes} bytes and was not read to its end.",
                kind="invalid",
                reason="too_large",
                request_id=printable(request_id),
            )
        return size

    def _client(self) -> "AsyncOpenAI":
        """The running loop's client: connections belong to the event loop that opened them."""
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            for ended in [other for other in self._clients if other.is_closed()]:
                del self._clients[ended]
            client = self._openai.AsyncOpenAI(
                api_key=self._key,
                base_url=self._base_url,
                max_retries=0,
                http_client=self._http_client or self._openai.DefaultAsyncHttpxClient(follow_redirects=False),
            )
            self._clients[loop] = client
        return client


def _output_limit(base_url: str | None) -> OutputLimit:
    host = urlsplit(base_url or "https://api.openai.com").hostname or ""
    return "max_completion_tokens" if host.endswith(_OWN_HOSTS) else "max_tokens"


def _place(request: AgentRequest) -> str:
    return f"agent {request.agent}, effect {request.effect}"
