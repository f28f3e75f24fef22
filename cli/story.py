"""A conversation's log in plain words: what `log` and `demo` show, one line for each event.

The words come from the entries and from the flow that the log keeps, so neither code nor model is needed.
Texts are shown only when asked for: they are personal, and they may have been erased.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import assert_never

from ..contracts.commands import Actor, Condition
from ..contracts.events import (
    AgentRequested,
    AgentReturned,
    CommandRefused,
    ConversationEnded,
    ConversationStarted,
    EffectResolved,
    Event,
    FactForgotten,
    FactSkipped,
    FactsRecorded,
    FlowChanged,
    InputReceived,
    IssuesDropped,
    LimitReached,
    MessageReceived,
    MessageTaken,
    QuestionAsked,
    ReplySent,
    RoutingDecided,
    TaskDecided,
    TaskEndorsed,
    TaskOpened,
    TimerFired,
    TimerSet,
    ToolRefused,
    ToolRequested,
    ToolReturned,
    TransitionRefused,
    TransitionTaken,
    Verdict,
)
from ..contracts.facts import KnownFact
from ..contracts.flow import Flow
from ..contracts.imported import ConversationImported, MessageImported
from ..contracts.keeping import Erased
from ..contracts.payload import Payload, PayloadAt
from ..contracts.subflow_events import ParentLeft, SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted
from ..contracts.values import written_time
from ..fsm.conversation import Conversation
from ..fsm.describe import guard_sentence
from ..fsm.evolve import evolve, fold
from ..fsm.render import CHOICES, ERASED, filled, places_in, said, template_of
from ..fsm.replay import Recorded
from .seeing import Texts
from .story_children import came_up, child_words
from .story_imported import imported_words
from .story_lineage import lineage_words
from .story_routing import routed_words, scope_of
from .story_work import limit_words, working_words
from .terminal import counted, safe


@dataclass(frozen=True, slots=True)
class Note:
    """Something below an event's line: a guard's verdict, a violation. `mark` is how it went."""

    mark: str
    text: str


@dataclass(frozen=True, slots=True)
class Told:
    """One event in words. `kind` groups events by how they are shown; `policy` is the clause of a move."""

    version: int
    at: str
    type: str
    kind: str
    text: str
    policy: str = ""
    notes: tuple[Note, ...] = ()
    leaf: str = ""
    opens: bool = False
    """It is the first event of its decision."""


def told(
    recorded: Iterable[Recorded],
    flow: Flow | None,
    payloads: Mapping[PayloadAt, Payload] | None = None,
    kept: Callable[[str], Flow | None] | None = None,
) -> tuple[Told, ...]:
    """Every event in words; with `payloads`, also what was said. `kept` gives the flows, by digest, that a conversation
    moved to; `flow` is the one that it began on."""
    return tuple(_Teller(flow, payloads, kept).tell(recorded))


def known_words(
    recorded: Iterable[Recorded], flow: Flow | None, payloads: Mapping[PayloadAt, Payload] | None
) -> dict[str, str]:
    """Name to words of every fact that is known after `recorded`: with `payloads` also texts, or that they are
    erased."""
    teller = _Teller(flow, payloads)
    known = fold("", (one.event for one in recorded)).known
    return {name: teller.value(fact) for name, fact in known.items()}


_RESULT = {"holds": "good", "fails": "bad", "error": "bad", "not_reached": "dot"}
_RESULT_WORDS = {"holds": "holds", "fails": "does not hold", "error": "raised an error", "not_reached": "not reached"}


class _Teller:
    """Walks over one stream, folding it, for a text is filled with the facts of its time."""

    def __init__(
        self,
        flow: Flow | None,
        payloads: Mapping[PayloadAt, Payload] | None,
        kept: Callable[[str], Flow | None] | None = None,
    ) -> None:
        self.payloads, self.kept = payloads, kept
        self._under(flow)
        self.conversation = Conversation(id="")
        self.asked: dict[int, str] = {}
        """Agents and tools by the version of their request."""

    def _under(self, flow: Flow | None) -> None:
        self.flow = flow
        self.facts = {one.name: one for one in flow.facts} if flow else {}

    def tell(self, recorded: Iterable[Recorded]) -> Iterator[Told]:
        for one in recorded:
            if not self.conversation.id:
                self.conversation = Conversation(id=one.envelope.stream)
            if isinstance(one.event, FlowChanged) and self.kept is not None:
                self._under(self.kept(one.event.flow.digest))
            self.conversation = evolve(self.conversation, one.event)
            version = one.envelope.ver
            if isinstance(one.event, AgentRequested | ToolRequested):
                self.asked[version] = one.event.agent if isinstance(one.event, AgentRequested) else one.event.tool
            kind, text, policy, notes = self.words(version, one.event, one.envelope.actor)
            yield Told(
                version,
                written_time(one.envelope.at),
                one.envelope.type,
                kind,
                text,
                policy,
                tuple(notes),
                one.leaf.hex(),
                one.envelope.cause == version,
            )

    def words(self, version: int, event: Event, actor: Actor) -> tuple[str, str, str, Iterable[Note]]:
        """How the event is grouped, its line, its clause and its notes."""
        match event:
            case TransitionTaken():
                way = _MOVE.get(event.move, "")
                return (
                    "move",
                    f"{event.source} → {event.target}  on {event.on}{way}",
                    event.because,
                    self.verdicts(event.verdicts),
                )
            case TransitionRefused():
                return (
                    "refused",
                    f"{event.source} stays: {event.on} was refused, {_REFUSED[event.reason]}",
                    "",
                    (self.verdicts(event.verdicts)),
                )
            case AgentReturned():
                return (
                    {"done": "agent", "unsure": "unsure"}.get(event.report.outcome, "bad"),
                    self.agent_came_back(event),
                    "",
                    [
                        *(Note("bad", f"breaks its contract: {one}") for one in event.report.violations),
                        *(_condition(one) for one in event.report.conditions),
                    ],
                )
            case ToolReturned():
                return ("tool" if event.report.outcome == "done" else "bad"), self.tool_came_back(event), "", ()
            case ToolRefused():
                return (
                    "refused",
                    f"{event.tool or event.agent or 'an unknown tool'} was proposed and not run: {event.reason}",
                    "",
                    [Note("bad", one) for one in event.problems],
                )
            case MessageReceived() | ReplySent() | FactsRecorded() | RoutingDecided():
                return *self.conversation_words(version, event), "", ()
            case ConversationImported() | MessageImported():
                kind, line, below = imported_words(version, event, self.quoted)
                return kind, line, "", [Note("dot", one) for one in below]
            case _:
                return *_plain_words(event, actor, self.reason(version, event)), "", ()

    def conversation_words(
        self, version: int, event: MessageReceived | ReplySent | FactsRecorded | RoutingDecided
    ) -> tuple[str, str]:
        match event:
            case MessageReceived():
                what = self.quoted(PayloadAt(version=version, name=event.message.name), event.message.length)
                how = "" if event.disposition == "taken" else f"  ({_DISPOSITION[event.disposition]})"
                return "customer", f"customer: {what}{how}"
            case ReplySent():
                return "reply", f"replies: {self.reply(version, event)}"
            case FactsRecorded():
                return "fact", "knows " + ", ".join(self.fact(one) for one in event.facts)
            case RoutingDecided():
                return (
                    "unsure" if event.decision.outcome in ("unsure", "blocked") else "route"
                ), f"{scope_of(event)}{routed_words(event)}"
            case _:
                assert_never(event)

    def verdicts(self, verdicts: tuple[Verdict, ...]) -> list[Note]:
        """Each guard's verdict as a sentence; a row that asked nothing needs none."""
        if all(one.guard == "otherwise" for one in verdicts):
            return []
        return [Note(_RESULT[one.result], f"{self.guard(one)}: {_RESULT_WORDS[one.result]}") for one in verdicts]

    def guard(self, verdict: Verdict) -> str:
        rows = self.flow.transitions if self.flow else ()
        if self.flow is None or verdict.row >= len(rows) or str(rows[verdict.row].guard) != verdict.guard:
            return verdict.guard
        return guard_sentence(self.flow, rows[verdict.row].guard)

    def fact(self, fact: KnownFact) -> str:
        again = ", corrected" if fact.corrected else ""
        if fact.sealed is not None:
            return f"{fact.name} ({self.value(fact)}{again})"
        return f"{fact.name} = {self.value(fact)}{again}"

    def value(self, fact: KnownFact) -> str:
        spec = self.facts.get(fact.name)
        if fact.sealed is not None:
            return self.quoted(fact.sealed, fact.length) if self.payloads is not None else "sealed"
        if spec is None or fact.value is None or self.flow is None:
            return safe(str(fact.value), 1000)
        return said(spec, fact.value, self.flow.currency)

    def quoted(self, at: PayloadAt, length: int) -> str:
        """What was written, or how long it was."""
        if self.payloads is None:
            return f"({counted(length, 'byte')})"
        found = self.payloads.get(at)
        return self.absent(at) if found is None else f"“{safe(found.text, 1000)}”"

    def absent(self, at: PayloadAt) -> str:
        """What stands for a text that is gone."""
        return self.payloads.absent(at) if isinstance(self.payloads, Texts) else ERASED

    def reason(self, version: int, event: Event) -> str:
        """Who signed and as what, then what was written: nothing that a person writes stands before the signature."""
        if not isinstance(event, TaskDecided | TaskEndorsed):
            return ""
        if event.reason is None:
            return _signature(event)
        at = PayloadAt(version=version, name=event.reason.name)
        return f"{_signature(event)}, because {self.quoted(at, event.reason.length)}"

    def reply(self, version: int, event: ReplySent) -> str:
        if event.agent is not None:
            where = PayloadAt(version=event.agent, name="reply")
            return self.quoted(where, event.token_bound)
        if self.payloads is None or self.flow is None:
            return f"the flow's text {event.text}"
        template = template_of(self.flow, event.text)
        known = self.conversation.known
        values = {"reference": self.conversation.id[:8], "limit": str(self.flow.limits.message_bytes)}
        for name in places_in(template):
            fact, spec = known.get(name), self.facts.get(name)
            if fact is not None and fact.sealed is not None:
                payload = self.payloads.get(fact.sealed)
                values[name] = self.absent(fact.sealed) if payload is None else payload.text
            elif fact is not None and fact.value is not None and spec is not None:
                values[name] = said(spec, fact.value, self.flow.currency)
        words = {label: text for router in self.flow.routers for label, text in router.labels.items()}
        for name, label in zip(CHOICES, self.conversation.candidates, strict=False):
            values[name] = words.get(label, label)
        return f"“{safe(filled(template, values))}”"

    def agent_came_back(self, event: AgentReturned) -> str:
        report, who = event.report, self.asked.get(event.effect, "the agent")
        late = ", too late to matter" if event.late else ""
        if report.calls:
            calls = (f"to ask {one.agent}" if one.agent else one.name or "an unknown tool" for one in report.calls)
            return f"{who} proposes {', '.join(calls)}{late}"
        used = f", {counted(report.usage.tokens, 'token')}" if report.usage.measured else ""
        why = f" ({report.reason})" if report.reason else ""
        return f"{who}: {report.outcome}{why}{used}{late}"

    def tool_came_back(self, event: ToolReturned) -> str:
        report, who = event.report, self.asked.get(event.effect, "the tool")
        late = ", too late to matter" if event.late else ""
        return f"{who}: {report.outcome}{f' ({report.reason})' if report.reason else ''}{late}"


def _signature(event: TaskDecided | TaskEndorsed) -> str:
    """As it is recorded; `interlock verify` checks it."""
    signed = event.signed
    if signed is None:
        return ""
    meaning = safe(signed.meaning, 200).replace("”", '"').replace("“", '"')
    return f", signed by {safe(signed.person)} with the key {signed.key[:16]}… as “{meaning}”"


def _condition(change: Condition) -> Note:
    """A breaker or limiter that changed, as a sentence."""
    what = {"breaker": "breaker of ", "limiter": "limiter of ", "cost": "spending of "}[change.kind]
    until = f" until {written_time(change.until)[11:19]} UTC" if change.until is not None else ""
    words = f"{change.before} → {change.after}".replace("_", " ")
    mark = "good" if change.after in ("closed", "free", "normal") else "bad"
    return Note(mark, f"{what}{change.subject}: {words}{until} ({change.reason})")


_MOVE = {"push": " (a digression)", "return": " (back from the digression)", "leave": " (leaves the digression)"}
_REFUSED = {
    "no_row": "the flow has no row for it",
    "guards": "every guard fails",
    "too_long": "the message is too long",
}
_DISPOSITION = {
    "queued": "kept until the work in hand is done",
    "noted": "kept for the person who has the case",
    "forwarded": "forwarded to the child conversation",
    "refused": "not read",
}
_DROPPED = {
    "too_many": "too many issues wait",
    "ended": "the conversation ends",
    "person": "a person has the case",
    "limit": "a limit was reached",
}


def _plain_words(event: Event, actor: Actor, reason: str) -> tuple[str, str]:
    """Events whose words need nothing but themselves, and who caused them."""
    who = actor.id + (f" ({', '.join(actor.roles)})" if actor.roles else "")
    match event:
        case ConversationStarted() | FlowChanged():
            return lineage_words(event)
        case MessageTaken():
            return "note", f"takes up message {event.message}"
        case InputReceived():
            return "customer", f"{who} gives {event.name}"
        case IssuesDropped():
            return "unsure", f"does not take up {', '.join(event.labels)}: {_DROPPED[event.reason]}"
        case FactForgotten():
            return "note", f"forgets {event.name}"
        case FactSkipped():
            return "note", f"{event.name} is left open"
        case QuestionAsked():
            asked = "asks whether all is right" if event.fact is None else f"asks for {event.fact}"
            again = f", attempt {event.attempt}" if event.attempt > 1 else ""
            return "note", asked + ("" if event.how in ("ask", "confirm") else f" ({event.how})") + again
        case TaskOpened():
            choice = " or ".join(event.decisions)
            several = f", by {event.approvals} people" if event.approvals > 1 else ""
            return "task", f"task {event.role}: {choice}{several}, until {written_time(event.due)[11:16]} UTC"
        case TaskEndorsed():
            return "task", f"{who} approves: {event.decision}{reason}; somebody else must too"
        case TaskDecided():
            return "task", f"{who} decides: {event.decision}{reason}"
        case TimerSet():
            return "timer", f"waits until {written_time(event.due)[11:19]} UTC"
        case TimerFired():
            return "unsure", "the deadline has passed"
        case Erased():
            return "unsure", f"the texts of this conversation were erased: {counted(event.payloads, 'text')}"
        case LimitReached():
            return "unsure", f"limit reached: {limit_words(event)}"
        case EffectResolved():
            return "task", f"{who} resolves effect {event.effect}: {event.how}"
        case CommandRefused():
            return "refused", f"{event.command.kind} by {who} is refused: {event.reason.replace('_', ' ')}"
        case ConversationEnded():
            return "end", f"ends in {event.state}{came_up(event.failing)}"
        case SubflowStarted() | SubflowReplied() | SubflowLeft() | SubflowEnded() | ParentLeft():
            return child_words(event)
        case _:
            return working_words(event)
