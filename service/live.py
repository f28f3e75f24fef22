"""One conversation in memory: its fold, its head, and where each message of its history is found."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ..contracts.envelope import Head
from ..contracts.events import (
    AgentRequested,
    AgentReturned,
    AgentToolEnded,
    Event,
    FactForgotten,
    FactsRecorded,
    FlowChanged,
    MessageReceived,
    ReplySent,
    RoutingDecided,
    ToolRefused,
    ToolRequested,
    ToolReturned,
    TransitionTaken,
)
from ..contracts.facts import KnownFact
from ..contracts.flow import Flow
from ..fsm.conversation import Conversation
from ..fsm.evolve import fold, known_after
from ..fsm.program import Program

RoundEvent = AgentRequested | AgentReturned | AgentToolEnded | ToolRequested | ToolRefused | ToolReturned
_ROUND = (AgentReturned, AgentToolEnded, ToolRequested, ToolRefused, ToolReturned)
_TELLS_FACTS = (FactsRecorded, FactForgotten)


@dataclass(frozen=True, slots=True)
class Line:
    """One message of the history: where its text is, or the template and what it needs to be filled again.

    Not the event that brought it: a conversation has a line for each message for as long as it is in memory.
    """

    version: int
    ours: bool
    payload: str
    """The payload that holds the text, at the event of version `at`; empty where `template` says it."""
    at: int
    template: str
    known: Mapping[str, KnownFact]
    candidates: tuple[str, ...] = ()
    flow: Flow | None = None
    """The flow that said it, where the conversation has moved to another since."""


@dataclass(slots=True)
class Live:
    """What the shell keeps of a conversation between commands. Everything in it comes from the entries."""

    id: str
    program: Program
    conversation: Conversation
    head: Head
    lines: list[Line] = field(default_factory=list)
    rounds: list[tuple[int, RoundEvent]] = field(default_factory=list)
    """Agent results, tool calls and agents asked as tools in the present visit."""
    keys: dict[str, int] = field(default_factory=dict)
    started_at: str = ""
    at: str = ""
    """When the last entry was written."""
    flows: Mapping[str, Flow] = field(default_factory=dict)
    """Those that it ran on before, by digest."""
    owner: str = ""
    """The process that performs this conversation's effects."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by a turn from its first decision to its last effect."""
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by one commit."""

    def take(
        self, recorded: Iterable[tuple[Event, str | None, str]], head: Head, conversation: Conversation | None = None
    ) -> None:
        """Take committed events (with key and time of each), and move the head.

        `conversation` is their fold where `decide` has made it already; read from the log, it is made here.
        """
        version, known, candidates = self.conversation.version, self.conversation.known, self.conversation.candidates
        events = []
        for event, key, at in recorded:
            if isinstance(event, FlowChanged):
                self._moved(event)
            if key is not None:
                self.keys[key] = version
            if version == 0:
                self.started_at = at
            self.at = at
            if isinstance(event, _TELLS_FACTS):
                known = known_after(known, event)
            if isinstance(event, RoutingDecided) and event.agent is None:
                candidates = event.decision.candidates
            self._note(version, event, known, candidates)
            events.append(event)
            version += 1
        self.conversation = fold(self.id, events, self.conversation) if conversation is None else conversation
        self.head = head

    def _note(self, version: int, event: Event, known: Mapping[str, KnownFact], candidates: tuple[str, ...]) -> None:
        if isinstance(event, TransitionTaken):
            self.rounds.clear()
        elif isinstance(event, _ROUND) or (isinstance(event, AgentRequested) and event.purpose in ("tool", "summary")):
            self.rounds.append((version, event))
        elif isinstance(event, ReplySent) or (isinstance(event, MessageReceived) and event.disposition != "refused"):
            self.lines.append(_line(version, event, known, candidates))

    def _moved(self, event: FlowChanged) -> None:
        """What was said so far was said by the flow that is left."""
        left = self.flows.get(event.before.digest)
        self.lines = [line if line.flow is not None else replace(line, flow=left) for line in self.lines]

    def become(self, other: "Live") -> None:
        """Take everything but the locks from a fresh reading of the same stream."""
        self.program, self.conversation, self.head = other.program, other.conversation, other.head
        self.lines, self.rounds, self.keys, self.started_at = other.lines, other.rounds, other.keys, other.started_at
        self.owner, self.flows, self.at = other.owner, other.flows, other.at


def _line(
    version: int, event: MessageReceived | ReplySent, known: Mapping[str, KnownFact], candidates: tuple[str, ...]
) -> Line:
    if isinstance(event, MessageReceived):
        return Line(version, False, event.message.name, version, "", known, candidates)
    if event.agent is not None:
        return Line(version, True, "reply", event.agent, "", known, candidates)
    return Line(version, True, "", version, event.text, known, candidates)
