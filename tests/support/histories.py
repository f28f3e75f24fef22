"""Random histories: a flow's core driven by random commands, plausible and not, with no shell around it.

`histories()` gives a `History`: the program, every decision with the command that caused it, and the
sealed entries. Route effects are answered within the same step, as the shell does; agents, tools, people
and the clock answer whenever chance has it, or never, or twice.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from interlock.contracts.commands import (
    CUSTOMER,
    SYSTEM,
    Actor,
    AgentEnded,
    AgentReport,
    CachedFrom,
    Command,
    CommandBody,
    Condition,
    Decide,
    Fire,
    Give,
    Leave,
    PlannedTask,
    ProposedCall,
    Reading,
    Resolve,
    Routed,
    Say,
    Start,
    SubflowDone,
    SubflowSaid,
    ToolEnded,
    ToolReport,
)
from interlock.contracts.envelope import Entry, Head, opened, sealed
from interlock.contracts.facts import FactReading, Unreadable
from interlock.contracts.flow import OPERATOR_INPUTS, CollectState
from interlock.contracts.limits import LimitHit, Usage
from interlock.contracts.payload import PayloadRef
from interlock.contracts.routing import RoutingEvidence, RoutingPart, RuleHit, Score, ScreenVerdict
from interlock.contracts.subflow import Failing, ParentRef, Place, SubflowReport
from interlock.contracts.values import ConversationId, SubjectId
from interlock.fsm.conversation import Conversation
from interlock.fsm.decide import decide
from interlock.fsm.draft import Decision, Route
from interlock.fsm.program import Program, compiled
from interlock.fsm.replay import Recorded
from support.flows import CODE, FACTS, LABELS, FlowCase, flows

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
STREAM = "6f1f3c9e-0000-4000-8000-000000000001"
CLERK = Actor(kind="human", id="clerk", roles=("clerk", "operator", "reviewer", "team"))
COLLEAGUE = CLERK.changed(id="colleague")


@dataclass(frozen=True)
class Step:
    """One command, what the conversation was before it, and what was decided."""

    before: Conversation
    command: Command
    decision: Decision


@dataclass(repr=False)
class History:
    """Everything that happened to one conversation."""

    program: Program
    conversation: Conversation = field(default_factory=lambda: Conversation(id=STREAM))
    head: Head = field(default_factory=lambda: Head(STREAM))
    steps: list[Step] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    at: datetime = START
    evidence: dict[tuple[str, int], RoutingEvidence] = field(default_factory=dict)

    def __repr__(self) -> str:
        said = " ".join(step.command.body.kind for step in self.steps)
        return f"History({self.program.flow.name}, {len(self.entries)} events: {said})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        printer.text(repr(self))

    def do(self, key: str, actor: Actor, body: CommandBody, evidence: Callable[[], RoutingEvidence]) -> None:
        """Decide one command, and the routes that follow from it."""
        todo: list[tuple[str, Actor, CommandBody]] = [(key, actor, body)]
        while todo:
            key, actor, body = todo.pop(0)
            command = Command(key=key, at=self.at, actor=actor, body=body)
            decision = decide(self.program, self.conversation, command)
            self.steps.append(Step(self.conversation, command, decision))
            if not decision.events:
                continue
            made = sealed(
                decision.events,
                head=self.head,
                command=command,
                flow=self.program.ref.digest,
                code="test/1",
                log="test",
            )
            self.entries += made
            self.conversation = decision.conversation
            self.head = Head(STREAM, self.head.length + len(made), made[-1].leaf)
            for effect in decision.effects:
                if isinstance(effect, Route):
                    measured = self.measured(effect, evidence)
                    routed = Routed(state=effect.state, message=effect.message, evidence=measured)
                    todo.append((f"r:{self.head.length}", SYSTEM, routed))

    def measured(self, effect: Route, evidence: Callable[[], RoutingEvidence]) -> RoutingEvidence:
        """A router measures the same on the same message; what was picked, and who has it, are the conversation's."""
        asked = (effect.router, effect.message)
        found = self.evidence[asked] = self.evidence.get(asked) or evidence()
        labels = self.program.routers[effect.router].labels
        return found.changed(
            held=effect.held if effect.held in labels else None,
            picked=found.picked if effect.candidates else None,
        )

    @property
    def recorded(self) -> list[Recorded]:
        return [Recorded(*opened(entry.data), entry.data, entry.leaf) for entry in self.entries]


DIGEST = "ab" * 32
refs = st.builds(
    PayloadRef,
    name=st.just("text"),
    kind=st.just("message"),
    commit=st.just(DIGEST),
    length=st.sampled_from((0, 5, 40, 900, 20_000)),
)
_OPEN: dict[str, st.SearchStrategy[Any]] = {
    "money": st.integers(0, 100_000),
    "integer": st.integers(-5, 5),
    "yes_no": st.booleans(),
    "date": st.just("2026-11-21"),
    "choice": st.none(),
}


def readings() -> st.SearchStrategy[FactReading]:
    """A reading of any declared fact, or of one that is not."""

    return st.one_of(
        st.integers(0, len(FACTS) - 1).flatmap(_reading_of), st.just(FactReading(name="undeclared", value=1))
    )


def _reading_of(index: int) -> st.SearchStrategy[FactReading]:
    spec = FACTS[index]
    if spec.sealed:
        return st.builds(FactReading, name=st.just(spec.name), payload=refs, answers=st.booleans())
    values = st.sampled_from(spec.choices) if spec.choices else _OPEN[spec.type]
    return st.builds(FactReading, name=st.just(spec.name), value=values, answers=st.booleans())


_scores = st.lists(st.sampled_from(LABELS), min_size=1, max_size=3, unique=True).map(
    lambda found: tuple(Score(label=label, score=f"0.{9 - place}00000") for place, label in enumerate(found))
)
_parts = st.builds(
    RoutingPart,
    rules=st.lists(st.sampled_from(LABELS), max_size=1).map(
        lambda found: tuple(RuleHit(label=label, rule="a word") for label in found)
    ),
    scores=_scores,
    scope=st.sampled_from(("0.900000", None)),
)
evidences = st.builds(
    RoutingEvidence,
    scores=_scores,
    scope=st.sampled_from(("0.000000", "0.900000", None)),
    picked=st.none() | st.sampled_from(LABELS),
    screen=st.sampled_from(((), (), (ScreenVerdict(rule="size", blocked=True),))),
    independent=st.booleans(),
    parts=st.just(()) | st.lists(_parts, min_size=2, max_size=3).map(tuple),
    held=st.none() | st.sampled_from(LABELS),
)
some_readings = st.lists(readings(), max_size=3).map(tuple)
_tool_calls = st.builds(
    ProposedCall,
    name=st.sampled_from((None, *sorted(CODE.tools))),
    arguments=refs,
    problems=st.sampled_from(((), ("amount: is missing.",))),
)
_tasks = st.none() | st.builds(
    PayloadRef,
    name=st.just("task_0"),
    kind=st.just("arguments"),
    commit=st.just(DIGEST),
    length=st.sampled_from((5, 900, 90_000)),
)
_agent_calls = st.builds(
    ProposedCall,
    agent=st.sampled_from(("clerk", "clerk", "adviser", "nobody")),
    arguments=refs,
    task=_tasks,
    problems=st.sampled_from(((), (), ("task: is missing.",))),
)
_calls = _tool_calls | _agent_calls
_subtasks = st.builds(PlannedTask, worker=st.sampled_from(("adviser", "clerk", None)), task=refs)
reports = st.builds(
    AgentReport,
    label=st.none() | st.sampled_from((*LABELS, "unsure")),
    outcome=st.sampled_from(("done", "done", "unsure", "refused", "invalid", "timeout", "failed")),
    reason=st.sampled_from(("", "", "server_error", "breaker_open")),
    retry_after_seconds=st.sampled_from((None, None, 3, 10**6)),
    cached_from=st.sampled_from((None, None, CachedFrom(stream="other", version=7))),
    facts=some_readings,
    reply=st.none() | refs,
    calls=st.just(()) | st.lists(_calls, min_size=1, max_size=3).map(tuple),
    reply_token_bound=st.sampled_from((0, 5, 5, 900)),
    output=st.none() | refs,
    subtasks=st.just(()) | st.lists(_subtasks, max_size=10).map(tuple),
    verdict=st.sampled_from(("pass", "fail", None)),
    usage=st.builds(Usage, input_tokens=st.integers(0, 100), output_tokens=st.integers(0, 100), measured=st.booleans()),
    limit=st.sampled_from((None,) * 9 + (LimitHit(name="tenant_calls", value=8, maximum=7),)),
    conditions=st.sampled_from(
        (
            (),
            (),
            (Condition(kind="breaker", subject="agent clerk", before="closed", after="open", reason="3 failures"),),
        )
    ),
)
_tool_reports = st.builds(ToolReport, outcome=st.sampled_from(("done", "failed", "timeout")), facts=some_readings)
_readings = st.builds(
    Reading,
    control=st.sampled_from((None, None, "yes", "no", "repeat", "back", "decline", "cancel")),
    facts=some_readings,
    digression=st.none() | evidences,
    unreadable=st.sampled_from(((), (Unreadable(name="amount", reason="not_found"),))),
)
_says = st.builds(Say, message=refs, token_bound=st.integers(0, 50), reading=_readings)
_KINDS = ("say", "say", "say", "give", "agent", "agent", "tool", "tool", "decide", "fire", "resolve", "start", "routed")
_kinds_in_a_child = st.sampled_from((*_KINDS, "leave", *("subflow",) * 8))
_kinds_at_work = st.sampled_from((*_KINDS, *("agent", "tool") * 8))
_kinds_heard = st.sampled_from((*_KINDS, "subflow", "leave", *("say",) * 12))
_kinds_decided = st.sampled_from((*_KINDS, "subflow", "leave", *("decide",) * 8))
_some_version = st.integers(0, 40)


def a_command(draw: st.DrawFn, program: Program, conversation: Conversation) -> CommandBody:
    """Any command: mostly ones that the conversation expects now, and some that it does not."""
    visit = conversation.visit
    effects = sorted(conversation.unfinished)
    timers = [timer for timer, _ in conversation.timers]

    def effect() -> int:
        return draw(st.sampled_from(effects) | _some_version) if effects else draw(_some_version)

    waiting = _kinds_heard if visit.task is None else _kinds_decided
    kinds = _kinds_at_work if effects else _kinds_in_a_child if conversation.children else waiting
    match draw(kinds):
        case "subflow":
            return _of_a_child(draw, conversation)
        case "leave":
            return Leave()
        case "give":
            inputs = {name for state in program.flow.states for name in getattr(state, "inputs", ())}
            return Give(
                name=draw(st.sampled_from((*sorted(inputs), *OPERATOR_INPUTS, "nothing"))), facts=draw(some_readings)
            )
        case "agent":
            return AgentEnded(effect=effect(), report=draw(reports))
        case "tool":
            return ToolEnded(effect=effect(), report=draw(_tool_reports))
        case "decide":
            decisions = visit.opened.decisions if visit.opened else ("approved",)
            return Decide(
                task=visit.task if visit.task is not None else draw(_some_version),
                decision=draw(st.sampled_from((*decisions, "other"))),
                shown=draw(st.sampled_from((visit.opened.shown if visit.opened else None, None, DIGEST))),
            )
        case "fire":
            return Fire(timer=draw(st.sampled_from(timers)) if timers else draw(_some_version))
        case "resolve":
            return Resolve(effect=effect(), how=draw(st.sampled_from(("again", "done", "failed"))))
        case "start":
            return Start(flow=program.ref, subject=SubjectId("somebody"))
        case "routed":
            return Routed(state=conversation.state, message=0, evidence=draw(evidences))
        case _:
            state = program.states.get(conversation.state)
            return _answer(draw, state) if isinstance(state, CollectState) and draw(st.booleans()) else draw(_says)


def _answer(draw: st.DrawFn, form: CollectState) -> Say:
    """Everything that the form asks, or yes to what it read back."""
    asked = {one.name: index for index, one in enumerate(FACTS)}
    facts = tuple(draw(_reading_of(asked[name])).changed(answers=True) for name in form.facts if name in asked)
    reading = draw(st.sampled_from((Reading(facts=facts), Reading(facts=facts), Reading(control="yes"))))
    return Say(message=draw(refs), token_bound=5, reading=reading)


_failings = st.none() | st.builds(
    Failing, reason=st.just("timeout"), path=st.just((Place(flow="aside_flow", state="asking"),))
)


def _of_a_child(draw: st.DrawFn, conversation: Conversation) -> CommandBody:
    """What a child says, or how it ended: mostly one that there is, and an end that its flow has."""
    effect = draw(st.sampled_from(sorted(conversation.children)) if conversation.children else _some_version)
    if draw(st.booleans()):
        return SubflowSaid(effect=effect, version=draw(_some_version), reply=draw(refs), token_bound=10)
    child = conversation.children.get(effect)
    forwarded = [version for version, _ in child.forwarded] if child else []
    report = SubflowReport(
        outcome=draw(st.sampled_from(("solved", "broken", "failed", "undeclared"))),
        failing=draw(_failings),
        facts=draw(some_readings),
        upto=draw(_some_version),
        untaken=tuple(version for version in forwarded if draw(st.booleans())),
    )
    return SubflowDone(effect=effect, report=report)


PARENTS = st.none() | st.builds(
    ParentRef,
    conversation=st.just(ConversationId("6f1f3c9e-0000-4000-8000-00000000000f")),
    effect=st.just(3),
    depth=st.integers(1, 4),
    most=st.integers(1, 4),
)


@st.composite
def histories(draw: st.DrawFn, *, most: int = 12, cases: st.SearchStrategy[FlowCase] | None = None) -> History:
    """A conversation on a random flow (or one of `cases`) after up to `most` random commands."""
    program = compiled(draw(_cases if cases is None else cases).flow, CODE)
    history = History(program)

    def evidence() -> RoutingEvidence:
        return draw(evidences)

    tenant = draw(st.none() | st.just("acme"))
    start = Start(
        flow=program.ref,
        subject=SubjectId("somebody"),
        facts=draw(some_readings),
        tenant=tenant,
        parent=draw(PARENTS),
    )
    history.do("c:start", CUSTOMER, start, evidence)
    for number in range(min(3, most) + draw(_steps) % max(1, most - 2)):
        history.at += timedelta(seconds=draw(_pauses))
        # Most conversations begin with what the customer writes.
        first = number == 0 and draw(_steps) % 4 != 3
        body = draw(_says) if first else a_command(draw, program, history.conversation)
        history.do(f"c:{number}", CUSTOMER if first else draw(_actors), body, evidence)
    return history


_cases = flows()
_steps = st.integers(0, 10**6)
_pauses = st.sampled_from((0, 1, 30, 4_000))
_actors = st.sampled_from((CUSTOMER, CLERK, COLLEAGUE, SYSTEM))
