"""Tools: named Python functions with typed arguments, and what the flow may know of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import BaseModel

from .values import Count, Digest, Name, Seconds, Value, added


class ToolSpec(Value):
    """What a flow's digest covers of a tool: its name, version, meaning and argument schema."""

    name: Name
    version: Count = 1
    says: str = ""
    consequential: bool = False
    """It changes something outside: it must take an idempotency key, and runs only as an intent event."""
    keyed: bool = True
    """It takes the idempotency key, so after a crash it may be called again with the same key."""
    timeout_seconds: Seconds = 30
    arguments: Digest
    argument_bytes: Count = 0
    """Length of the argument schema, for measuring a prompt before the call."""
    sanitises: bool = added(False)
    """When a state has called it and it is done, nothing that the facts say is untrusted any more."""


@dataclass(frozen=True, slots=True)
class ToolContext:
    """What a tool is told besides its arguments.

    `idempotency_key` derives from the intent event (`stream:version`), never from what a model wrote:
    the same key always means the same intended action.
    """

    conversation: str
    idempotency_key: str
    facts: dict[str, Any]


class ToolResult(Protocol):
    """A tool returns a dict, a pydantic model or a plain value; keys that are facts become facts."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A declared function: its spec, its argument model, and the function itself (sync or async)."""

    spec: ToolSpec
    arguments: type[BaseModel]
    function: Callable[..., Any]
    takes_context: bool

    @property
    def name(self) -> str:
        return self.spec.name
