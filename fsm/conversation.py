"""What is known of one conversation: the fold of its events, and nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal, Self, TypeVar

from ..contracts.commands import FlowRef, PlannedTask, ProposedCall
from ..contracts.events import (
    AgentRequested,
    BroadcastStarted,
    HistorySummarised,
    MessageReceived,
    Planned,
    ResultAt,
    RetryPlanned,
    RetryScheduled,
    TaskOpened,
    ToolRequested,
)
from ..contracts.facts import FactReading, Facts, KnownFact
from ..contracts.lineage import ForkRef
from ..contracts.payload import PayloadAt
from ..contracts.policies import Watch
from ..contracts.routing import Issue, RoutingEvidence
from ..contracts.subflow import Failing, ParentRef
from ..contracts.subflow_events import SubflowStarted
from ..contracts.values import listed
from .policies.alphabet import NOTHING_SEEN, Seen

Pending = AgentRequested | ToolRequested
NO_FACTS: Mapping[str, KnownFact] = MappingProxyType({})
NO_PENDING: Mapping[int, Pending] = MappingProxyType({})
NO_PAIRS: Mapping[tuple[str, str], int] = MappingProxyType({})
NOTHING: Mapping[Any, Any] = MappingProxyType({})
REMEMBERED = 200
"""Token bounds kept of the latest messages: the largest history window."""


K = TypeVar("K")
V = TypeVar("V")


def more(items: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    """`items` with one more, or with another value for a key."""
    return MappingProxyType({**items, key: value})


def less(items: Mapping[K, V], key: K) -> Mapping[K, V]:
    """`items` without one."""
    return MappingProxyType({one: value for one, value in items.items() if one != key})


class _Changed:
    def changed(self, **changes: Any) -> Self:
        """A copy with `changes`; an unknown name is refused.

        Copies the fields as they are: some ten times cheaper than `dataclasses.replace`, and this is the
        hottest line of the core.
        """
        fields = self.__dict__
        copy = object.__new__(type(self))
        after = copy.__dict__
        after.update(fields, **changes)
        if len(after) != len(fields):
            raise TypeError(f"{type(self).__name__} has no {listed(sorted(changes.keys() - fields.keys()))}")
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
    tool_calls: int = 0
    visits: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    """Entries of each state; coming back from a digression is none."""
    contexts: Mapping[str, int] = field(default_factory=lambda: NOTHING)
    """Entries with each context, where the flow limits `repeats`."""
    subflows: int = 0
    """Child conversations begun, those below them included."""
    failing: Failing | None = None
    """The error that came up from a child conversation last."""

    @property
    def self_handoffs(self) -> int:
        """Times that an agent got the conversation from itself."""
        return sum(count for (source, target), count in self.pairs.items() if source == target)


@dataclass(frozen=True, slots=True)
class Question:
    """What a form is asking: a fact, or (None) whether everything is right."""

    fact: str | None
    attempt: int


@dataclass(frozen=True)
class Member(_Changed):
    """A member of the broadcast in hand. `facts` stand in the event at version `result`."""

    planned: Planned
    status: Literal["pending", "done", "failed"] = "pending"
    effect: int | None = None
    attempt: int = 0
    reason: str = ""
    result: int | None = None
    facts: tuple[FactReading, ...] = ()


@dataclass(frozen=True, slots=True)
class Asked:
    """An agent at work as another's tool: the call that asked it, and what it was asked."""

    agent: str
    caller: int
    """Version of the agent result that proposed the call at `position`."""
    position: int
    task: PayloadAt | None
    length: int


@dataclass(frozen=True, slots=True)
class Caller:
    """An agent that waits for the one it asked: how far it is itself. `asked` is None of the state's own agent."""

    asked: Asked | None
    attempts: int
    rounds: int
    proposal: int
    proposed: tuple[tuple[int, ProposedCall], ...]
    carried_tokens: int


@dataclass(frozen=True)
class Approval(_Changed):
    """What people approved in task `task`: the facts of these names, as `shown` digests them."""

    task: int
    shown: str
    facts: tuple[str, ...]
    by: tuple[str, ...]
    used: bool = False


@dataclass(frozen=True, slots=True)
class Routing:
    """The evidence on which a route state waits for its agent's label, and the message it is of."""

    message: int
    evidence: RoutingEvidence


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
    endorsed: tuple[str, ...] = ()
    """Who has approved the open task; others must still do so."""
    routing: Routing | None = None
    broadcast: int | None = None
    """Version of the broadcast in hand."""
    members: Mapping[str, Member] = field(default_factory=lambda: NOTHING)
    asked: Asked | None = None
    """Whose attempts, rounds and proposals these are: None for the state's own agent."""
    callers: tuple[Caller, ...] = ()
    """Agents that wait for one another, innermost last; leaving the state drops them."""
    on: str = ""
    """The trigger that led here."""
    scoped: bool = False
    """The message in hand was measured against the agent's scope."""
    fallback: int = 0
    """Which of the state's fallbacks has the conversation; 0 is the state's own agent."""
    retry: RetryScheduled | None = None
    """The wait before another attempt; `timer` and `due` are its own."""

    def begins(self, rounds: int, fallback: int) -> bool:
        """Whether a call with these would be the first of an agent in this visit: a handoff."""
        return (rounds == 0 and self.attempts == 0) or fallback > self.fallback


@dataclass(frozen=True, slots=True)
class Frame:
    """Where a digression left, to come back to."""

    state: str
    visit: Visit


@dataclass(frozen=True)
class Child(_Changed):
    """A child conversation whose end is not recorded yet. One that was `left` has still to be told so."""

    started: SubflowStarted
    heard: int = 0
    """The first of the child's versions that may hold a reply which was not told."""
    forwarded: tuple[tuple[int, MessageReceived], ...] = ()
    """The customer's messages for it that it is not known to have come to, with their versions here."""
    left: bool = False


@dataclass(frozen=True)
class Conversation(_Changed):
    """One conversation after `version` events. Made by `evolve` alone."""

    id: str
    version: int = 0
    status: Literal["new", "open", "ended"] = "new"
    flow: FlowRef | None = None
    subject: str = ""
    tenant: str | None = None
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
    held: str | None = None
    """The label that has the conversation: the last one that was routed to, until a person takes over."""
    confidence: int | None = None
    """Of the last route, in millionths."""
    issues: tuple[Issue, ...] = ()
    """What else the customer asked about, in the order in which it is taken up."""
    summaries: Mapping[str, HistorySummarised] = field(default_factory=lambda: NOTHING)
    """By agent: what stands in place of its first messages."""
    handed_on: tuple[str, ...] = ()
    """Agents that gave the conversation to another one, since a person last decided something."""
    outputs: Mapping[str, tuple[ResultAt, ...]] = field(default_factory=lambda: NOTHING)
    """The last results of each state: one of an agent's, one of each member of a broadcast."""
    plans: Mapping[str, tuple[int, tuple[PlannedTask, ...]]] = field(default_factory=lambda: NOTHING)
    """The last plan of each planning state, and the version of the result that holds it."""
    broadcasts: Mapping[str, tuple[int, BroadcastStarted]] = field(default_factory=lambda: NOTHING)
    """The last broadcast of each state, for what is asked again or answers late."""
    awaited: Mapping[int, AgentRequested] = field(default_factory=lambda: NOTHING)
    """Members that were asked and have not answered, though nobody waits for them any more."""
    background: Mapping[int, RetryPlanned] = field(default_factory=lambda: NOTHING)
    """Background retries that are due later, by the version of their timer."""
    parent: ParentRef | None = None
    children: Mapping[int, Child] = field(default_factory=lambda: NOTHING)
    """By the version of the event that began each."""
    failing: Failing | None = None
    """Why it ended badly, if it did."""
    requesters: frozenset[str] = frozenset()
    """Who started the conversation, wrote or gave something that moved it, where the flow has states that approve."""
    approvals: Mapping[str, Approval] = field(default_factory=lambda: NOTHING)
    """The last approval of each human state that approves."""
    watches: tuple[Watch, ...] = ()
    """The policies that hold for it, as it began."""
    watched: tuple[int, ...] = ()
    """The state of each of their automata."""
    seen: Seen = NOTHING_SEEN
    """What is needed to name the next event to them."""
    forks: tuple[ForkRef, ...] = ()
    """What it took its beginning from, the oldest first."""

    @property
    def name(self) -> str:
        """In whose log the next event was decided first: this conversation's, or that of one it was forked from."""
        name = self.id
        for fork in reversed(self.forks):
            if self.version >= fork.version:
                break
            name = fork.conversation
        return name

    @property
    def timers(self) -> tuple[tuple[int, datetime], ...]:
        """Every deadline in force: the version of the event that set it, and when it is due."""
        visit = self.visit
        own = ((visit.timer, visit.due),) if visit.timer is not None and visit.due is not None else ()
        return tuple(sorted((*own, *((at, retry.due) for at, retry in self.background.items()))))

    @property
    def at_work(self) -> bool:
        """Whether something is awaited that was begun: an effect, or the wait before another attempt."""
        return bool(self.pending) or self.visit.retry is not None

    @property
    def undecided(self) -> Mapping[int, Pending]:
        """Those that a restart performs again; after its end nothing is done for a conversation."""
        return self.unfinished if self.status == "open" else NO_PENDING

    @property
    def unfinished(self) -> Mapping[int, Pending]:
        """Every effect that was begun and has not ended, waited for or not."""
        return {**self.pending, **self.awaited} if self.awaited else self.pending

    @property
    def child(self) -> int | None:
        """The event that began the child conversation in which the customer is now."""
        return next((effect for effect, one in self.children.items() if not one.left), None)

    @property
    def facts(self) -> Facts:
        """What guards may read."""
        return Facts(self.known, len(self.frames), self.turn.visits, self.received, self.confidence)
