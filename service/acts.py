"""What is done to a conversation from outside, one thing at a time: what tests are made of, and what a log retells.

People write, agents and tools answer, somebody decides, time passes, the process dies. Each act is data that JSON can
hold, so a conversation that failed can be kept and played again.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, ClassVar

from ..contracts.errors import CallError
from ..contracts.values import listed


@dataclass(frozen=True, slots=True)
class Writes:
    """A customer writes. `scores` is what the classifier says of this text, by label; None asks the flow's own."""

    kind: ClassVar[str] = "writes"
    text: str
    who: str = "customer"
    scores: Mapping[str, str] | None = None
    scope: str | None = None
    """How much it is like anything known, where `scores` are given; None is entirely."""


@dataclass(frozen=True, slots=True)
class AgentAnswers:
    """A model that was asked answers, or fails. `nth` counts from 0 among those that wait under this name."""

    kind: ClassVar[str] = "agent_answers"
    agent: str
    text: str = ""
    calls: tuple[tuple[str, str], ...] = ()
    """Tools that it proposes: names and raw argument texts."""
    fails: str = ""
    """`timeout`, `failed`, `refused` or `invalid`; empty for an answer."""
    reason: str = ""
    retry_after_seconds: int | None = None
    refused: bool = False
    usage: tuple[int, int] | None = None
    """Tokens in and out as the provider counted them; None where it did not say."""
    nth: int = 0


@dataclass(frozen=True, slots=True)
class ToolAnswers:
    """A tool that was called returns `result` (JSON data), or `fails` with an error of that name."""

    kind: ClassVar[str] = "tool_answers"
    tool: str
    result: Any = None
    fails: str = ""
    nth: int = 0


@dataclass(frozen=True, slots=True)
class Decides:
    """A person decides the open task; `roles` are theirs, None the one that the task asks for."""

    kind: ClassVar[str] = "decides"
    decision: str
    who: str = "colleague"
    roles: tuple[str, ...] | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Gives:
    """An input that is no message: from another system, or an operator's."""

    kind: ClassVar[str] = "gives"
    name: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Passes:
    """Time passes, and what is due is done; None is until the next deadline."""

    kind: ClassVar[str] = "passes"
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Crashes:
    """The process dies, now or at its `after`-th write from now on, and another one recovers what it left."""

    kind: ClassVar[str] = "crashes"
    after: int = 0


@dataclass(frozen=True, slots=True)
class Resolves:
    """A person says what became of the oldest effect that was begun and not ended: `again`, `done` or `failed`."""

    kind: ClassVar[str] = "resolves"
    how: str


Act = Writes | AgentAnswers | ToolAnswers | Decides | Gives | Passes | Crashes | Resolves
KINDS: Mapping[str, Callable[..., Act]] = {
    one.kind: one for one in (Writes, AgentAnswers, ToolAnswers, Decides, Gives, Passes, Crashes, Resolves)
}


def data_of(act: Act) -> dict[str, Any]:
    """The act as JSON data, without what has its default: `{"act": kind, field: value}`."""
    found: dict[str, Any] = {"act": act.kind}
    for one in fields(act):
        value = getattr(act, one.name)
        default = one.default if one.default_factory is MISSING else one.default_factory()
        if value != default:
            found[one.name] = list(value) if isinstance(value, tuple) else value
    return found


def act_of(data: Mapping[str, Any]) -> Act:
    """The act that `data_of` wrote. Raises `CallError` for what is none."""
    made: Callable[..., Act] | None = KINDS.get(str(data.get("act")))
    if made is None:
        raise CallError(
            f"{data.get('act')!r} is no act of a conversation.", fix=f"The acts are {listed(sorted(KINDS))}."
        )
    given = {name: _tuples(value) for name, value in data.items() if name != "act"}
    if "result" in data:
        given["result"] = data["result"]
    try:
        return made(**given)
    except TypeError as error:
        raise CallError(f"The act {data['act']!r} cannot be read: {error}.", fix="Write the file again.") from error


def _tuples(value: Any) -> Any:
    return tuple(_tuples(one) for one in value) if isinstance(value, list) else value
