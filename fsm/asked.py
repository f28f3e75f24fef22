"""What an intent asks: everything that goes to a model or a tool, put together from entries alone.

Two questions are the same where every part is: who is asked, the prompt, what was said before, the facts, the tool
rounds, the arguments. Texts are told apart by their commitments, so none is read and erased ones do no harm; positions
in the log are no part, so the same question is known again in another stream.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..contracts.canonical import digest_of
from ..contracts.events import (
    AgentRequested,
    AgentReturned,
    AgentToolEnded,
    ConversationStarted,
    Event,
    FlowChanged,
    InputReceived,
    MessageReceived,
    ReplySent,
    RoutingDecided,
    TaskDecided,
    TaskEndorsed,
    ToolRefused,
    ToolRequested,
    ToolReturned,
    TransitionTaken,
)
from ..contracts.facts import FactReading, KnownFact
from ..contracts.flow import AgentState, CallState
from ..contracts.payload import PayloadAt, PayloadRef
from ..contracts.subflow_events import SubflowEnded, SubflowReplied
from .conversation import Conversation, Pending
from .evolve import evolve
from .program import Program
from .render import places_in

Alike = Callable[[PayloadAt, str], str]
"""Names the text of a payload (its place, and its commitment): the same name for the same text."""
Owner = tuple[int, int] | None
"""The call that asked an agent as a tool; None for the state's own agent."""


@dataclass(frozen=True, slots=True)
class Question:
    """What an intent asks of `name`: each part by its name, as a digest."""

    kind: str
    name: str
    parts: Mapping[str, str]

    def differs_in(self, other: "Question") -> tuple[str, ...]:
        """The parts that are not the same, in their order; `agent` or `tool` where another one is asked."""
        if (self.kind, self.name) != (other.kind, other.name):
            return (self.kind,)
        return tuple(part for part, digest in self.parts.items() if other.parts.get(part) != digest)


@dataclass
class Asking:
    """Walks over one stream. `question` is of an intent that comes next; `take` is called with every event."""

    program: Program
    conversation: Conversation
    alike: Alike = lambda _, commit: commit
    lines: list[tuple[int, Any]] = field(default_factory=list)
    """What was said: the version of each line, and what tells it from others."""
    texts: dict[tuple[int, str], str] = field(default_factory=dict)
    """Commitment of every text by its place."""
    rounds: list[tuple[Owner, Any]] = field(default_factory=list)
    owners: dict[int, Owner] = field(default_factory=dict)
    candidates: tuple[str, ...] = ()
    others: Mapping[str, Program] = field(default_factory=dict)
    """By digest: flows that the conversation moves to."""

    def question(self, intent: Pending) -> Question:
        """What `intent` asks, where it is the event after those taken."""
        if isinstance(intent, AgentRequested):
            return self._of_agent(intent)
        return self._of_tool(intent)

    def _of_agent(self, intent: AgentRequested) -> Question:
        spec = self.program.agents.get(intent.agent)
        own = (intent.caller or 0, intent.position) if intent.purpose == "tool" else None
        return _question(
            "agent",
            intent.agent,
            {
                "purpose": [intent.purpose, intent.member],
                "prompt": [intent.prompt, list(intent.tools), list(intent.agents)],
                "model": [intent.model, spec.temperature if spec else ""],
                "history": self._history(intent),
                "facts": self._facts(intent.facts),
                "task": self._text(intent.task),
                "results": [[one.state, one.member, one.late, self._text(one.at)] for one in intent.results],
                "rounds": [content for owner, content in self.rounds if owner == own],
                "repairs": list(intent.repairs),
            },
        )

    def _of_tool(self, intent: ToolRequested) -> Question:
        state = self.program.states.get(intent.state)
        given = dict(state.gives) if isinstance(state, CallState) and intent.caller == "state" else {}
        names = intent.facts or (state.reads if isinstance(state, AgentState) else ())
        arguments = None
        if intent.caller == "agent":
            arguments = self._text(PayloadAt(version=intent.request or 0, name=f"arguments_{intent.position}"))
        return _question("tool", intent.tool, {"arguments": [arguments, given], "facts": self._facts(names)})

    def _history(self, intent: AgentRequested) -> list[Any]:
        ref = intent.history
        said = [what for version, what in self.lines if version < ref.upto]
        end = len(said) - ref.kept
        shown = said[max(0, end - ref.count) : end] if ref.count else []
        return [ref.policy, self._text(ref.summary), shown]

    def _facts(self, names: tuple[str, ...]) -> list[Any]:
        return [[name, self._value(self.conversation.known.get(name))] for name in names]

    def _value(self, fact: KnownFact | None) -> Any:
        if fact is None:
            return None
        return [fact.value] if fact.sealed is None else self._text(fact.sealed)

    def _text(self, at: PayloadAt | None) -> str | None:
        return None if at is None else self.alike(at, self.texts.get((at.version, at.name), ""))

    def take(self, event: Event, cause: int) -> None:
        """The event that stands next, and the version of the first one of its decision."""
        at = self.conversation.version
        for ref in payload_refs(event):
            self.texts[cause, ref.name] = ref.commit
        if isinstance(event, FlowChanged):
            self.program = self.others.get(event.flow.digest, self.program)
        elif isinstance(event, MessageReceived) and event.disposition != "refused":
            self.lines.append((at, ["theirs", self._text(PayloadAt(version=at, name=event.message.name))]))
        elif isinstance(event, ReplySent):
            self.lines.append((at, self._reply(event)))
        elif isinstance(event, RoutingDecided) and event.agent is None:
            self.candidates = event.decision.candidates
        elif isinstance(event, TransitionTaken):
            self.rounds.clear()
        elif isinstance(event, AgentReturned | ToolRefused | ToolReturned | AgentToolEnded):
            self._round(at, event)
        self.conversation = evolve(self.conversation, event)

    def _reply(self, event: ReplySent) -> Any:
        if event.agent is not None:
            return ["ours", self._text(PayloadAt(version=event.agent, name="reply"))]
        template = self.program.template(event.text)
        return ["ours", template, self._facts(places_in(template)), list(self.candidates)]

    def _round(self, at: int, event: AgentReturned | ToolRefused | ToolReturned | AgentToolEnded) -> None:
        """One tool round more, as the model that proposed it is shown it."""
        if isinstance(event, AgentReturned):
            intent = self.conversation.unfinished.get(event.effect)
            tool = isinstance(intent, AgentRequested) and intent.purpose == "tool"
            owner = (intent.caller or 0, intent.position) if tool and isinstance(intent, AgentRequested) else None
            self.owners[at] = owner
            for place, call in enumerate(event.report.calls if not event.late else ()):
                arguments = self._text(PayloadAt(version=at, name=call.arguments.name))
                self.rounds.append((owner, ["call", place, call.name, call.agent, arguments]))
        elif isinstance(event, ToolRefused):
            self.rounds.append(
                (self.owners.get(event.request), ["refused", event.position, event.reason, list(event.problems)])
            )
        elif isinstance(event, AgentToolEnded):
            told = ["told", event.position, event.outcome, self._text(event.output)]
            self.rounds.append((self.owners.get(event.request), told))
        else:
            self._tool_round(at, event)

    def _tool_round(self, at: int, event: ToolReturned) -> None:
        intent = self.conversation.pending.get(event.effect)
        if isinstance(intent, ToolRequested) and intent.request is not None:
            result = event.report.result
            text = None if result is None else self._text(PayloadAt(version=at, name=result.name))
            self.rounds.append((self.owners.get(intent.request), ["came", intent.position, event.report.outcome, text]))


def _question(kind: str, name: str, parts: Mapping[str, Any]) -> Question:
    return Question(kind, name, {part: digest_of(value) for part, value in parts.items()})


def payload_refs(event: Event) -> Iterator[PayloadRef]:
    """Every text that the event brings."""
    match event:
        case MessageReceived():
            yield event.message
            yield from _sealed(event.reading.facts)
        case ConversationStarted() | InputReceived():
            yield from _sealed(event.facts)
        case AgentReturned():
            report = event.report
            yield from (one for one in (report.output, report.reply) if one is not None)
            yield from _sealed(report.facts)
            for call in report.calls:
                yield call.arguments
                if call.task is not None:
                    yield call.task
            yield from (one.task for one in report.subtasks)
        case ToolReturned():
            if event.report.result is not None:
                yield event.report.result
            yield from _sealed(event.report.facts)
        case TaskDecided() | TaskEndorsed():
            if event.reason is not None:
                yield event.reason
        case SubflowReplied():
            yield event.reply
        case SubflowEnded():
            yield from _sealed(event.report.facts)
        case _:
            return


def _sealed(facts: tuple[FactReading, ...]) -> Iterator[PayloadRef]:
    return (one.payload for one in facts if one.payload is not None)
