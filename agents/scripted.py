"""An agent that follows a script: for tests, for demos, and for running without a key."""

import asyncio
import copy
import inspect
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import count
from typing import Any

from pydantic import BaseModel

from ..contracts.agents import AgentReply, AgentRequest, ToolCall
from ..contracts.errors import AgentFailed, CallError
from .strict_json import written

Answer = AgentReply | AgentFailed | str | Mapping[str, Any] | BaseModel
"""What a script may give: a reply, a failure to raise, text as it is, or a result to be written as JSON."""
Script = Callable[[AgentRequest], "Answer | Awaitable[Answer]"]
_call_numbers = count(1)


class ScriptedAgent:
    """Answers from a script, and keeps the contract of `Agent`: one attempt, its timeout, no retries.

    The script is one of: a list, served first to last whoever asks (`assert_complete()` says whether all of
    it was); a function of the request; or a mapping from agent name to such a function or to one answer.
    Whatever a function of the script raises is raised unchanged: a bug in a test must not look like an outcome.
    """

    def __init__(
        self,
        script: Iterable[Answer | Script] | Mapping[str, Answer | Script] | Script,
        *,
        name: str = "scripted",
        delay_seconds: float = 0,
    ) -> None:
        self.name = name
        self.requests: list[AgentRequest] = []
        """Every request that came, in order."""
        self._delay_seconds = delay_seconds
        self._queue: deque[Answer | Script] | None = None
        self._by_agent: dict[str, Answer | Script] | None = None
        self._script: Script | None = None
        if callable(script):
            self._script = script
        elif isinstance(script, Mapping):
            self._by_agent = dict(script)
        else:
            self._queue = deque(script)

    async def run(self, request: AgentRequest) -> AgentReply:
        """The script's answer. Raises `AgentFailed` as scripted or at the timeout, `CallError` if the script
        has no answer."""
        self.requests.append(request)
        step = self._step(request)
        bound = asyncio.timeout(request.timeout_seconds)
        try:
            async with bound:
                if self._delay_seconds:
                    await asyncio.sleep(self._delay_seconds)
                given = step(request) if callable(step) else step
                answer = await given if inspect.isawaitable(given) else given
        except TimeoutError as error:
            if not bound.expired():
                raise
            raise AgentFailed(
                f"No answer within {request.timeout_seconds} s.",
                kind="timeout",
                reason="timeout",
                where=f"agent {request.agent}, effect {request.effect}",
            ) from error
        if isinstance(answer, AgentFailed):
            raise copy.copy(answer)  # raising the script's own would pile tracebacks on it
        return replied(answer)

    def assert_complete(self) -> None:
        """Raises `CallError` if answers of a list are left over: fewer calls were made than the script says."""
        if self._queue:
            raise CallError(
                f"{len(self._queue)} scripted answers were never asked for; {len(self.requests)} calls were made.",
                fix="Shorten the script, or find out why the flow did not call its agent.",
            )

    def _step(self, request: AgentRequest) -> Answer | Script:
        if self._script is not None:
            return self._script
        if self._by_agent is not None:
            if request.agent in self._by_agent:
                return self._by_agent[request.agent]
        elif self._queue:
            return self._queue.popleft()
        raise CallError(
            f"The script has no answer for call {len(self.requests)}, by agent {request.agent!r}.",
            where=f"effect {request.effect}",
            fix="Add an answer to the script.",
        )


def replied(answer: AgentReply | str | Mapping[str, Any] | BaseModel) -> AgentReply:
    """An answer as the reply it stands for; a mapping or a model is written as JSON."""
    if isinstance(answer, AgentReply):
        return answer
    if isinstance(answer, BaseModel):
        return AgentReply(text=answer.model_dump_json())
    return AgentReply(text=answer if isinstance(answer, str) else written(dict(answer)))


def gives(**fields: Any) -> AgentReply:
    """A result of the contract: `gives(outcome="done", reply="Blocked.")`."""
    return AgentReply(text=written(fields))


def calls(tool: str, **arguments: Any) -> AgentReply:
    """A proposal to call one tool."""
    return AgentReply(tool_calls=(ToolCall(f"call_{next(_call_numbers)}", tool, written(arguments)),))


def fails(reason: str = "server_error", *, kind: str = "failed", retry_after_seconds: int | None = None) -> AgentFailed:
    """A failed attempt, as a provider's outage would end it."""
    return AgentFailed(f"Scripted: {reason}.", kind=kind, reason=reason, retry_after_seconds=retry_after_seconds)


def after(seconds: float, answer: Answer) -> Script:
    """The same answer, late. With more seconds than the timeout it is a model that hangs."""

    async def wait(_: AgentRequest) -> Answer:
        await asyncio.sleep(seconds)
        return answer

    return wait


@dataclass(frozen=True, slots=True)
class Rule:
    """When `holds` for a request, `then`."""

    holds: Callable[[AgentRequest], bool]
    then: Answer | Script


def when(*phrases: str, then: Answer | Script) -> Rule:
    """If the last message of the person contains any of the phrases, in any case."""
    wanted = tuple(phrase.casefold() for phrase in phrases)
    return Rule(lambda request: any(phrase in said(request).casefold() for phrase in wanted), then)


def after_tool(tool: str, *, then: Answer | Script) -> Rule:
    """If the request brings the result of this tool."""
    return Rule(lambda request: tool in _tools_answered(request), then)


def rules(*table: Rule, otherwise: Answer | Script | None = None) -> Script:
    """The first rule that holds answers, top to bottom; without `otherwise`, no match is a `CallError`."""

    def choose(request: AgentRequest) -> "Answer | Awaitable[Answer]":
        chosen = next((rule.then for rule in table if rule.holds(request)), otherwise)
        if chosen is None:
            raise CallError(
                f"None of {len(table)} rules holds for agent {request.agent!r}.",
                where=f"effect {request.effect}",
                fix="Add a rule for this message, or `otherwise=`.",
            )
        return chosen(request) if callable(chosen) else chosen

    return choose


def said(request: AgentRequest) -> str:
    """The person's last message in the prompt, or an empty string."""
    return next((message.content for message in reversed(request.messages) if message.role == "user"), "")


def _tools_answered(request: AgentRequest) -> set[str]:
    """The tools whose results end the prompt."""
    names = {call.call_id: call.name for message in request.messages for call in message.tool_calls}
    found: set[str] = set()
    for message in reversed(request.messages):
        if message.role != "tool":
            break
        found.add(names.get(message.tool_call_id, ""))
    return found
