"""What is known of one conversation: the fold of its events, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, Self

from ..contracts.commands import FlowRef, ProposedCall
from ..contracts.events import AgentRequested, MessageReceived, TaskOpened, ToolRequested
from ..contracts.facts import Facts, KnownFact
from ..contracts.values import listed

Pending = AgentRequested | ToolRequested
NO_FACTS: Mapping[str, KnownFact] = MappingProxyType({})
NO_PENDING: Mapping[int, Pending] = MappingProxyType({})
NO_PAIRS: Mapping[tuple[str, str], int] = MappingProxyType({})
REMEMBERED = 200
"""Token bounds kept of the latest messages: the largest history window."""


class _Changed:
    def changed(self, **changes: Any) -> Self:
        """A copy with `changes`; an unknown name is refused.

        Copies the fields as they are: some ten times cheaper than `dataclasses.replace`, and this is the
        hottest line of the core.
        """
        fields = self.__dict__
        if not changes.keys() <= fields.keys():
            raise TypeError(f"{type(self).__name__} has no {listed(sorted(changes.keys() - fields.keys()))}")
        copy = object.__new__(type(self))
        copy.__dict__.update(fields, **changes)
        return copy


@dataclass(frozen=True)
class Turn(_Changed):
    """Counters between two inputs. Tokens and cost hold what is reserved and what was spent."""

    number: int = 0
    due: datetime | None = None
    message: int = 0
    """Version of the message in hand; 0 where none was taken yet."""
    steps: int = 0
    agent_calls: int = 0
    tokens: int = 0
    cost: int = 0
    handoffs: int = 0
    pairs: Mapping[tuple[str, str], int] = field(default_factory=lambda: NO_PAIRS)
    last_agent: str | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What a form is asking: a fact, or (None) whether everything is right."""

    fact: str | None
    attempt: int


@dataclass(frozen=True)
class Visit(_Changed):
    """The stay in the present state; leaving ends it, a digression sets it aside."""

    entered: int = 0
    question: Question | None = None
    skipped: tuple[str, ...] = ()
    """Optional facts that the person declined."""
    attempts: int = 0
    rounds: int = 0
    proposal: int = 0
    """The agent result whose tool calls are being handled, one after another."""
    proposed: tuple[tuple[int, ProposedCall], ...] = ()
    """Its calls that were not handled yet, with their positions."""
    carried_tokens: int = 0
    """What tool calls, their results and broken answers of this visit add to the next prompt, at most."""
    timer: int | None = None
    due: datetime | None = None
    task: int | None = None
    opened: TaskOpened | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a digression left, to come back to."""

    state: str
    visit: Visit


@dataclass(frozen=True)
class Conversation(_Changed):
    """One conversation after `version` events. Made by `evolve` alone."""

    id: str
    version: int = 0
    status: Literal["new", "open", "ended"] = "new"
    flow: FlowRef | None = None
    subject: str = ""
    state: str = ""
    turn: Turn = Turn()
    visit: Visit = Visit()
    frames: tuple[Frame, ...] = ()
    known: Mapping[str, KnownFact] = field(default_factory=lambda: NO_FACTS)
    pending: Mapping[int, Pending] = field(default_factory=lambda: NO_PENDING)
    inbox: tuple[tuple[int, MessageReceived], ...] = ()
    messages: int = 0
    """Messages in the history, the customer's and ours."""
    received: int = 0
    history_digest: str = "0" * 64
    history_tokens: int = 0
    recent_tokens: tuple[int, ...] = ()
    handoffs: int = 0
    tokens: int = 0
    cost: int = 0
    last_agent: str | None = None
    label: str | None = None
    candidates: tuple[str, ...] = ()

    @property
    def facts(self) -> Facts:
        """What guards may read."""
        return Facts(self.known, len(self.frames))
