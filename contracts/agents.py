"""What crosses the line to a model: a request, and the reply as data.

An adapter makes one attempt and returns an `AgentReply`, or raises `AgentFailed`. It never retries,
never chooses a transition, and never runs a tool.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from .errors import AgentFailed
from .limits import Usage

Role = Literal["system", "user", "assistant", "tool"]
AgentOutcome = Literal["done", "unsure", "refused", "invalid", "timeout", "failed"]
"""How one attempt ended. `over_budget` is decided before the call, so no attempt ends with it."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool call as a model proposed it: the name and the raw argument text, unchecked."""

    call_id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One message of a prompt. `tool_calls` only on the assistant's, `tool_call_id` only on a tool's."""

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class ToolOffer:
    """A tool that the state allows, as a model is told of it. `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AgentRequest:
    """One attempt at a model. `contract` is the JSON Schema of the result, or None for plain text.

    `effect` names the intent event (`stream:version`); adapters send it as the request's own id where
    the provider takes one. `timeout_seconds` is a hard bound that the adapter must keep.
    """

    effect: str
    agent: str
    model: str
    messages: tuple[ChatMessage, ...]
    tools: tuple[ToolOffer, ...] = ()
    contract_name: str = ""
    contract: Mapping[str, Any] | None = None
    temperature: str = "0"
    max_output_tokens: int = 1024
    timeout_seconds: int = 30


@dataclass(frozen=True, slots=True)
class AgentReply:
    """What one attempt gave: text (the contract's JSON where one was asked for), or tool calls.

    `refused` is True where the model declined by the provider's own signal.
    """

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    refused: bool = False
    usage: Usage = field(default_factory=lambda: Usage(measured=False))
    model: str = ""
    request_id: str = ""
    finish: str = ""


class AgentCutShort(AgentFailed):
    """The attempt ended without a whole answer and was paid for: `usage` and `model` are what it cost."""

    code = "agent_cut_short"
    usage: Usage = Usage(measured=False)
    model: str = ""


@runtime_checkable
class Agent(Protocol):
    """One attempt at a model, a script or a recording.

    Every implementation passes `tests/conformance/test_agents.py`: it returns an `AgentReply` or
    raises `AgentFailed`, keeps `timeout_seconds`, does not retry, does not mutate the request, and
    passes `asyncio.CancelledError` through.
    """

    name: str
    """What is printed and recorded of the adapter, e.g. `openai`, `scripted`."""

    async def run(self, request: AgentRequest) -> AgentReply:
        """One attempt. Raises `AgentFailed` with the declared outcome as its `kind`."""
        ...


class AgentResult(BaseModel):
    """The contract that user contracts extend: what every agent's result says about itself.

    `outcome` is the agent's own word for how it went; code decides what follows. Fields of a
    subclass whose names are facts of the flow become facts, typed as the flow declares them.
    """

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["done", "unsure", "refused"] = "done"
    reply: str = ""
    """What to tell the customer; empty for nothing."""


class Subtask(BaseModel):
    """One piece of a plan: the agent that is to do it, and what it is asked. Narrow `worker` to a `Literal`."""

    model_config = ConfigDict(extra="forbid")

    worker: str
    task: str


class Plan(AgentResult):
    """The contract of a planner: what a broadcast with `plan:` hands to its workers. An empty list is an outcome."""

    subtasks: Sequence[Subtask]


class Judgement(AgentResult):
    """The contract of a judge. A verdict is recorded with the criterion and the digest of what was judged."""

    verdict: Literal["pass", "fail"]
    reason: str = ""
