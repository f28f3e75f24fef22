"""Walking a recorded dialogue through its flow, and judging each thing that the wizard did.

The flow is moved by `decide` alone, and never put anywhere: whatever the wizard did, it stands where its own rows led.
At each action of the wizard it is asked what it would do next for **some** reading of the person's last message:

- the facts of a reading are only those that the recording shows in the message (see `star_dialogues`), and the message
  as the answer to a text question that the wizard had just asked;
- the wizard stands in for what is measured elsewhere: which of a choice's answers the person gave, whether they
  declined to answer, asked to repeat or to go back, and which label of the router the message has;
- what a query found is what the database gave back.

An action is *accepted* if it is the next thing that the flow says, asks or calls under such a reading; the first
reading that fits is taken, in the order: the plain message, a repeat, a step back, a label.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from interlock.contracts.commands import CUSTOMER, SYSTEM, Command, CommandBody, Reading, Routed, Say, Start, ToolEnded
from interlock.contracts.commands import ToolReport as Report
from interlock.contracts.events import Event, QuestionAsked, ReplySent, ToolRequested
from interlock.contracts.facts import FactReading
from interlock.contracts.payload import PayloadRef
from interlock.contracts.routing import RoutingEvidence, RuleHit
from interlock.contracts.values import SubjectId
from interlock.fsm.conversation import Conversation
from interlock.fsm.decide import decide
from interlock.fsm.draft import Decision, Route
from support.star_charts import AGAIN, GOODBYE, HELLO, MORE, ChartFlow
from support.star_dialogues import Act, Dialogue, Message

Accepted = Literal["followed", "skipped", "repeated", "back", "digression"]
ACCEPTED: tuple[Accepted, ...] = ("followed", "skipped", "repeated", "back", "digression")
GENERIC = (HELLO, GOODBYE, MORE, "out_of_scope")
"""Actions that every task has: they are not about it."""
_AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
_TEXT = PayloadRef(name="message", kind="message", commit="ab" * 32, length=40)


@dataclass(frozen=True)
class Try:
    """One reading of a message: why it is tried, and the label if it is routed."""

    kind: str
    reading: Reading
    label: str | None = None


@dataclass(frozen=True)
class Moved:
    """Where a command led, and what the flow then said, asked and called, in the chart's words."""

    conversation: Conversation
    did: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """One action of the wizard: how the flow takes it (one of `ACCEPTED`), or why it does not."""

    action: str
    how: str
    straight: bool
    """A single arrow of the chart leads to it from the action before."""
    drawn: bool
    """An arrow leads to it, straight or through a condition."""
    compared: bool
    """Counted as in the study of strict arrows: a statement or question of the task, after another one."""
    on_chart: bool
    others: float
    """The share of the chart's other questions, statements and queries that would have been accepted here as well."""

    @property
    def accepted(self) -> bool:
        return self.how in ACCEPTED


@dataclass
class Walk:
    """One conversation on a chart's flow, and what the flow did that the wizard has not done yet."""

    flow: ChartFlow
    conversation: Conversation = field(default_factory=lambda: Conversation(id="6f1f3c9e-0000-4000-8000-000000000001"))
    due: list[str] = field(default_factory=list)
    heard: dict[str, str] | None = None
    """The facts of what the person has said since the flow last heard them; None where they said nothing."""
    asked: str = ""
    """The last action that the wizard did."""
    on_chart: str = ""
    """The last one that stands on the chart."""
    answered: str = ""
    """The last one that is no query, and is about the task."""
    calls: int = 0
    free: int = 0
    """Free words, which are no action and are not judged."""
    verdicts: list[Verdict] = field(default_factory=list)

    def start(self) -> None:
        self.take(self.moved(self.conversation, Start(flow=self.flow.program.ref, subject=SubjectId("somebody"))))

    # -- moving the flow ---------------------------------------------------------------------------

    def moved(self, conversation: Conversation, body: CommandBody, label: str | None = None) -> Moved:
        """What `decide` makes of a command and of the routes that follow from it."""
        did: list[str] = []
        bodies: list[CommandBody] = [body]
        while bodies:
            command = Command(
                key=f"c:{conversation.version}", at=_AT, actor=SYSTEM if did else CUSTOMER, body=bodies.pop(0)
            )
            decision: Decision = decide(self.flow.program, conversation, command)
            conversation = decision.conversation
            did += [action for event in decision.events for action in self.actions(event)]
            bodies += [
                Routed(state=effect.state, message=effect.message, evidence=labelled(label))
                for effect in decision.effects
                if isinstance(effect, Route)
            ]
        return Moved(conversation, tuple(did))

    def actions(self, event: Event) -> tuple[str, ...]:
        match event:
            case ReplySent(text=text) if text:
                return self.flow.says.get(text, ())
            case QuestionAsked(fact=fact):
                return (fact or "confirm",)
            case ToolRequested(tool=tool):
                return (tool,)
            case _:
                return ()

    def take(self, moved: Moved) -> None:
        self.conversation, self.due, self.heard = moved.conversation, list(moved.did), None

    def say(self, one: Try) -> Moved:
        body = Say(message=_TEXT, token_bound=40, reading=one.reading)
        return self.moved(self.conversation, body, one.label)

    def returned(self, found: str) -> Moved:
        """What the flow does once the query in hand has given `found`."""
        effect, request = next(iter(self.conversation.pending.items()))
        call = request.tool if isinstance(request, ToolRequested) else ""
        facts = (
            FactReading(name=f"{call}_result", value=found),
            FactReading(name=f"{call}_number", value=self.calls + 1),
        )
        return self.moved(self.conversation, ToolEnded(effect=effect, report=Report(outcome="done", facts=facts)))

    # -- readings of the message -------------------------------------------------------------------

    def tries(self, heard: Mapping[str, str]) -> Iterator[Try]:
        """The readings that the recording allows, the plain ones first."""
        told = tuple(_told(name) for name in heard if name in self.flow.program.facts)
        question = self.conversation.visit.question
        if question is None:
            yield Try("plain", Reading(facts=told))
        else:
            yield from self.answers(question.fact or "", told)
            yield Try("plain", Reading(control="decline"))
            yield Try("repeat", Reading(control="repeat"))
            yield Try("back", Reading(control="back"))
        for label in self.flow.labels:
            kind = "back" if label == AGAIN else "digression"
            yield Try(kind, Reading(facts=told, digression=labelled(label)), label)

    def answers(self, asked: str, told: tuple[FactReading, ...]) -> Iterator[Try]:
        spec = self.flow.program.facts[asked]
        others = tuple(one for one in told if one.name != asked)
        if self.asked == asked and spec.type == "choice":
            for choice in spec.choices:
                yield Try("plain", Reading(facts=(*others, FactReading(name=asked, value=choice, answers=True))))
        elif self.asked == asked:
            yield Try("plain", Reading(facts=(*others, _told(asked, answers=True))))
        yield Try("plain", Reading(facts=told))

    def supposed(self, heard: Mapping[str, str]) -> Iterator[tuple[Try, tuple[str, ...]]]:
        """Readings with facts that nobody gave, a question more each time: to see what the wizard left out."""
        told = tuple(_told(name) for name in heard if name in self.flow.program.facts)
        known, chart = self.conversation.known, self.flow.chart
        given = {one.name for one in told}
        missing = [node for node in chart.chain(chart.graph["hello"]) if node not in known and node not in given]
        question = self.conversation.visit.question
        asked = question.fact if question else None
        labels = (None, AGAIN) if question is None else (None,)
        if asked and self.flow.program.facts[asked].type == "choice":
            for choice in self.flow.program.facts[asked].choices:
                answer = FactReading(name=asked, value=choice, answers=True)
                yield Try("supposed", Reading(facts=(*told, answer))), (asked,)
        for count in range(1, len(missing) + 1):
            facts = (*told, *(_told(name, answers=name == asked) for name in missing[:count]))
            for label in labels:
                yield Try("supposed", Reading(facts=facts), label), tuple(missing[:count])

    # -- judging -----------------------------------------------------------------------------------

    def hear(self, message: Message) -> None:
        self.heard = {**(self.heard or {}), **message.facts}

    def ways(self) -> dict[str, tuple[str, Moved | None]]:
        """All that the flow may do next: by action the kind of the first reading that leads to it, and where to."""
        found: dict[str, tuple[str, Moved | None]] = {}
        if self.due:
            found[self.due[0]] = ("plain", None)
        if self.heard is not None and not self.conversation.pending:
            for one in self.tries(self.heard):
                moved = self.say(one)
                if moved.did:
                    found.setdefault(moved.did[0], (one.kind, moved))
        return found

    def category(self, kind: str, action: str) -> str:
        if kind in ("back", "digression"):
            return kind
        if kind == "repeat" or action == self.on_chart:
            return "repeated"
        first = not self.on_chart and action in ("hello", self.flow.chart.graph["hello"])
        return "followed" if first or self.flow.chart.follows(self.on_chart, action) else "skipped"

    def act(self, act: Act) -> None:
        """Judge one action of the wizard, and let the flow go on."""
        if not act.action:
            self.spoke_freely()
            return
        chart, ways, action = self.flow.chart, self.ways(), act.action
        if action in ways:
            kind, moved = ways[action]
            how = self.category(kind, action)
            if moved is not None:
                self.take(moved)
            self.done(act)
        else:
            how = self.refusal(act)
        own = [one for one in (*chart.nodes, *chart.calls) if one != action]
        compared = action not in (*GENERIC, *chart.calls)
        self.verdicts.append(
            Verdict(
                action=action,
                how=how,
                straight=chart.graph.get(self.answered if compared else self.asked) == action,
                drawn=chart.follows(self.answered if compared else self.asked, action),
                compared=compared and bool(self.answered),
                on_chart=action in (*chart.nodes, *chart.calls) and action not in GENERIC,
                others=sum(one in ways for one in own) / len(own),
            )
        )
        self.asked = action
        self.answered = action if compared else self.answered
        if action in chart.nodes:
            self.on_chart = action

    def done(self, act: Act) -> None:
        """The first thing that was due is done; a query that the flow asked for gets its result."""
        self.due.pop(0)
        if act.found and self.conversation.pending:
            moved = self.returned(act.found)
            self.calls += 1
            heard = self.heard
            self.take(moved)
            self.heard = heard

    def spoke_freely(self) -> None:
        """Free words stand for what the flow would have said or asked itself, but for no query."""
        self.free += 1
        if not self.due and self.heard is not None and not self.conversation.pending:
            self.take(self.say(next(self.tries(self.heard))))
        if self.due and not self.due[0].startswith("query"):
            self.asked = self.due.pop(0)
            if self.asked in self.flow.chart.nodes:
                self.on_chart = self.asked

    def refusal(self, act: Act) -> str:
        """Why the flow does not take the action; it goes on as if what was left out had been given, or by itself."""
        action, chart = act.action, self.flow.chart
        if action in self.due:
            del self.due[: self.due.index(action)]
            self.done(act)
            return "left out what the flow says or asks before it"
        if self.conversation.pending:
            return self.refusal_in_call(act)
        if self.heard is None:
            return "spoke again before the person did"
        for one, missing in self.supposed(self.heard):
            moved = self.say(one)
            if moved.did and moved.did[0] == action:
                self.take(moved)
                self.done(act)
                confirms = any(name in chart.drawn for name in missing)
                return "did it without the confirmation" if confirms else "left out a question that was never answered"
        self.take(self.say(next(self.tries(self.heard))))
        if self.conversation.pending:
            return self.refusal_in_call(act)
        if action in self.conversation.known:
            return "asked again what is known"
        return "another step of the chart" if action in (*chart.nodes, *chart.calls) else "no action of this chart"

    def refusal_in_call(self, act: Act) -> str:
        """The flow waits for a query that the wizard did not make."""
        call = self.due[0] if self.due else ""
        spec = self.flow.program.facts.get(f"{call}_result")
        for found in spec.choices if spec else ():
            moved = self.returned(found)
            if moved.did and moved.did[0] == act.action:
                self.calls += 1
                heard = self.heard
                self.take(moved)
                self.heard = heard
                self.done(Act(act.action))
                break
        return "did not look up what the flow looks up"


def walked(flow: ChartFlow, dialogue: Dialogue) -> Walk:
    """The whole dialogue through the flow."""
    walk = Walk(flow)
    walk.start()
    for step in dialogue.steps:
        if isinstance(step, Message):
            walk.hear(step)
        else:
            walk.act(step)
    return walk


def labelled(label: str | None) -> RoutingEvidence:
    return RoutingEvidence(rules=(RuleHit(label=label, rule="wizard"),)) if label else RoutingEvidence()


def _told(name: str, *, answers: bool = False) -> FactReading:
    return FactReading(name=name, payload=_TEXT, answers=answers)
