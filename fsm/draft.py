"""A decision being written: the events so far, the conversation they make, and what the shell must do."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..contracts.commands import Command
from ..contracts.events import (
    AgentRequested,
    Event,
    FactForgotten,
    FactsRecorded,
    LimitReached,
    ReplySent,
    ToolRequested,
)
from ..contracts.facts import FactReading, FactSource, KnownFact
from ..contracts.flow import State
from ..contracts.limits import LimitName
from ..contracts.payload import PayloadAt
from ..contracts.values import MAX_SAFE_INTEGER
from .conversation import Conversation
from .evolve import evolve
from .program import Program
from .render import bound_of


@dataclass(frozen=True, slots=True)
class Route:
    """Measure the message at version `message` (0: there was none) and come back with `Routed`.

    Pure and local: it is performed before the decision is committed.
    """

    state: str
    router: str
    message: int
    candidates: tuple[str, ...]
    held: str | None = None
    """The label that has the conversation."""


@dataclass(frozen=True, slots=True)
class CallAgent:
    """Call the model as event `effect` says, once it is committed; come back with `AgentEnded`."""

    effect: int
    request: AgentRequested


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run the tool as event `effect` says, once it is committed; come back with `ToolEnded`."""

    effect: int
    request: ToolRequested


@dataclass(frozen=True, slots=True)
class TendChild:
    """See that the child conversation of event `effect` is where this log says: begun, told what the customer said,
    or left; and bring back what it replied, and its end (`SubflowSaid`, `SubflowDone`). Doing it twice does nothing."""

    effect: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Come back with `Fire` for the timer that event `effect` set, at `until` or later."""

    effect: int
    until: datetime


Effect = Route | CallAgent | RunTool | TendChild | Wait


@dataclass(frozen=True, slots=True)
class Decision:
    """Facts to record, what to do once they are durable, and the conversation that the facts make."""

    events: tuple[Event, ...]
    effects: tuple[Effect, ...]
    conversation: Conversation


class Draft:
    """Collects a decision. `record` folds each event at once, so every rule sees what was just decided."""

    def __init__(self, program: Program, conversation: Conversation, command: Command) -> None:
        self.program, self.conversation, self.command = program, conversation, command
        self.events: list[Event] = []
        self.effects: list[Effect] = []

    @property
    def at(self) -> datetime:
        return self.command.at

    @property
    def state(self) -> State:
        return self.program.states[self.conversation.state]

    @property
    def requester(self) -> str | None:
        """Who this command comes from, where a state may approve what comes of it: it is recorded nowhere else."""
        return self.command.actor.id if self.approving else None

    @property
    def approving(self) -> bool:
        """Whether this flow, one below it or one above it has states that approve."""
        parent = self.conversation.parent
        return self.program.approving or (parent is not None and parent.approving)

    def record(self, event: Event) -> int:
        """Add `event`; returns its version in the stream."""
        version = self.conversation.version
        self.events.append(event)
        self.conversation = evolve(self.conversation, event)
        return version

    def later(self, seconds: int) -> datetime:
        return self.at + timedelta(seconds=seconds)

    @property
    def turn_due(self) -> datetime:
        """When a turn that starts now must be over."""
        return self.later(self.program.flow.limits.turn_seconds)

    def reply(self, text: str) -> None:
        """Tell the customer the flow's text of that name, if it has one."""
        template = self.program.template(text)
        if template:
            bound = bound_of(template, self.conversation.facts) + self.program.choice_bytes
            self.record(ReplySent(state=self.conversation.state, text=text, token_bound=bound))

    def learn(self, readings: tuple[FactReading, ...], source: FactSource, version: int) -> None:
        """Take facts the flow declares; `version` is the event that holds the text of sealed ones."""
        known = self.conversation.known
        taken = []
        for reading in readings:
            if reading.name not in self.program.facts:
                continue
            ref = reading.payload
            taken.append(
                KnownFact(
                    name=reading.name,
                    value=reading.value,
                    source=source,
                    corrected=reading.name in known,
                    sealed=PayloadAt(version=version, name=ref.name) if ref else None,
                    length=ref.length if ref else 0,
                )
            )
        if taken:
            self.record(FactsRecorded(facts=tuple(taken)))
            self._forget_dependents(frozenset(fact.name for fact in taken if _differs(fact, known)))

    def forget(self, name: str) -> None:
        """The fact is no longer known, nor what was found out from it."""
        if self.conversation.facts.known(name):
            self.record(FactForgotten(name=name))
            self._forget_dependents(frozenset({name}))

    def _forget_dependents(self, changed: frozenset[str]) -> None:
        """What was found out from facts that changed does not outlive them. Facts taken together stand together."""
        for name, spec in self.program.facts.items():
            if name not in changed and not changed.isdisjoint(spec.depends_on):
                self.forget(name)

    def reach(self, limit: LimitName, value: int, maximum: int) -> str:
        """Record that a limit was reached; the outcome to take is `limit`."""
        self.record(LimitReached(limit=limit, value=min(value, MAX_SAFE_INTEGER), maximum=maximum))
        return "limit"

    def finished(self) -> Decision:
        return Decision(tuple(self.events), tuple(self.effects), self.conversation)


def _differs(fact: KnownFact, known: Mapping[str, KnownFact]) -> bool:
    """Whether a fact was known before and is another now; a sealed one is taken for another each time."""
    before = known.get(fact.name)
    return before is not None and (fact.sealed is not None or before.value != fact.value)
