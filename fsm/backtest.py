"""What another flow would have done with a recorded conversation, turn by turn: pure, and without a model.

Each turn is decided from the conversation as it *was* when its input came, for what people wrote answers what they
had been told. Within the turn the new flow goes its own way: where it asks what was asked then, it gets the answer
that was recorded; where it asks something else, the turn stops there and says what it needs.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

from ..contracts.commands import (
    AgentEnded,
    Command,
    CommandBody,
    FlowRef,
    Migrate,
    Reading,
    Routed,
    Say,
    Start,
    SubflowDone,
    SubflowSaid,
    ToolEnded,
)
from ..contracts.errors import InterlockError, LogBroken
from ..contracts.events import (
    AgentReturned,
    ConversationStarted,
    Event,
    FlowChanged,
    MessageReceived,
)
from ..contracts.recorded_commands import command_of
from ..contracts.routing import RoutingEvidence
from .alike import alike, differs
from .conversation import Conversation
from .decide import decide
from .draft import CallAgent, Decision, Effect, Route, RunTool, TendChild
from .evolve import evolve
from .policies.judging import broken_among
from .program import Program
from .turn_answers import Answers
from .turn_path import Stopped, Verdict, compared, path_of
from .unopened import Unopened, decisions

MOST_STEPS = 200
"""Decisions of one turn that are made again; what goes on for longer is cut off by the flow's limits before."""
_INNER = (Routed, AgentEnded, ToolEnded, SubflowSaid, SubflowDone)
"""What the flow asked for itself: everything else begins a turn."""


class Sources(Protocol):
    """What is measured on texts. None where the text is needed and was erased."""

    def evidence(self, effect: Route, was: Routed | None) -> RoutingEvidence | None:
        """What the new flow's router measures on the message; `was` is what was recorded in this place, if it was."""
        ...

    def reading(self, event: MessageReceived, conversation: Conversation) -> Reading | None:
        """What the new flow's rules read in the message; `conversation` is as it was before it came."""
        ...

    def moved(self, flow: FlowRef) -> None:
        """From here on the conversation is recorded under this flow."""
        ...


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn that is not the same, or says something else: from the event at `version` on.

    `was` and `now` are the first labels or states (`by`) that differ. `needs` are the agents and tools that would
    have to be asked, `differs` what else is not as it was. Costs are billionths of the flow's currency: what was
    paid, what would have been of that, and what the calls that are needed may add.
    """

    version: int
    verdict: Verdict
    was: str = ""
    now: str = ""
    by: Literal["label", "state", ""] = ""
    reason: str = ""
    needs: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    paid: int = 0
    pays: int = 0
    pays_at_most: int = 0
    events: tuple[Event, ...] = ()
    """What the new flow would have recorded in this turn."""
    length: int = 0
    """Of the turn as it is recorded, in events."""


@dataclass(frozen=True, slots=True)
class Backtested:
    """One conversation: its turns in number, and those that are not the same in every respect."""

    stream: str
    turns: int
    decisions: int
    paid: int
    different: tuple[Turn, ...]
    broke: tuple[str, ...] = ()
    """Policies of the new flow, once for each turn in which what was recorded breaks them."""
    breaks: tuple[str, ...] = ()
    """The same for each turn as the new flow would have led it."""


def backtest(program: Program, stream: str, entries: Sequence[Unopened], sources: Sources) -> Backtested:
    """Every turn of a recorded conversation through `program`, whichever flow recorded it. That it was moved to another
    flow is no turn: it is taken as it is recorded.

    Raises `LogBroken` for a stream whose decisions do not begin with a command.
    """
    conversation = Conversation(id=stream)
    turns = decisions = paid = 0
    different: list[Turn] = []
    broke: list[str] = []
    breaks: list[str] = []
    for groups in _turns(stream, entries):
        run = _TurnRun(program, conversation, groups, sources)
        if isinstance(groups[0][1], Migrate):
            conversation = run.recorded(conversation, groups[0][0])
            sources.moved(groups[0][1].flow)
            continue
        turns += 1
        decisions += len(groups)
        found = run.result()
        if conversation.watches or run.after.watches:
            broken = tuple(_broken(conversation, run.after))
            broke += broken
            breaks += broken if run.ends is run.after else _broken(conversation, run.ends)
        conversation = run.after
        paid += run.paid
        if found is not None:
            different.append(found)
    return Backtested(stream, turns, decisions, paid, tuple(different), tuple(broke), tuple(breaks))


def _broken(before: Conversation, after: Conversation) -> Iterator[str]:
    """The policies that are broken in a turn and were not before it."""
    if after.watched == before.watched and after.status != "ended":
        return
    already = set(broken_among(before.watches, before.watched))
    for at in broken_among(after.watches, after.watched, ended=after.status == "ended"):
        if at not in already:
            yield after.watches[at].name


def _turns(stream: str, entries: Sequence[Unopened]) -> Iterator[list[tuple[Sequence[Unopened], CommandBody]]]:
    """The decisions of each turn: one from outside, and what it led to."""
    turn: list[tuple[Sequence[Unopened], CommandBody]] = []
    for group in decisions(entries):
        body = command_of(group[0].event)
        if body is None or group[0].envelope.key is None:
            raise LogBroken(
                f"A decision begins with {group[0].envelope.type!r}, which records no command.",
                stream=stream,
                version=group[0].envelope.ver,
                fix="Verify the log; the entry was altered.",
            )
        if turn and (not isinstance(body, _INNER) or isinstance(turn[0][1], Migrate)):
            yield turn
            turn = []
        turn.append((group, body))
    if turn:
        yield turn


@dataclass
class _TurnRun:
    """One turn, first decision by decision beside the recorded one; from the first difference on, by itself."""

    program: Program
    before: Conversation
    groups: list[tuple[Sequence[Unopened], CommandBody]]
    sources: Sources
    after: Conversation = field(init=False)
    """As it is recorded: what the next turn begins with."""
    ends: Conversation = field(init=False)
    """As the new flow leaves it."""
    made: list[Event] = field(default_factory=list)
    paid: int = 0
    notes: dict[str, None] = field(default_factory=dict)
    routes: dict[tuple[str, int], Route] = field(default_factory=dict)
    """What is to be measured, by state and message."""

    def result(self) -> Turn | None:
        """None where everything is as it was."""
        conversation = self.before
        for place, (group, body) in enumerate(self.groups):
            self.ends = conversation
            try:
                decision = self._decided(conversation, group[0], body)
            except Stopped as stopped:
                return self._judged(place, conversation, stopped)
            self.made += decision.events
            after = self._beside(conversation, group, decision)
            if after is None:
                return self._followed(place, conversation, decision)
            conversation = after
        self.after = self.ends = conversation
        return self._turn("same", differs=tuple(self.notes)) if self.notes else None

    # -- deciding ------------------------------------------------------------------------------------

    def _decided(self, conversation: Conversation, opening: Unopened, body: CommandBody) -> Decision:
        return self._decide(conversation, opening, self._today(conversation, opening, body))

    def _decide(self, conversation: Conversation, opening: Unopened, body: CommandBody) -> Decision:
        states = self.program.states
        for state in (conversation.state, *(frame.state for frame in conversation.frames)):
            if state and state not in states:
                raise Stopped("illegal", f"the flow has no state {state!r}")
        envelope = opening.envelope
        # Its parts were validated where they were read; validating the whole again costs as much as reading it.
        command = Command.model_construct(key=envelope.key or "inner", at=envelope.at, actor=envelope.actor, body=body)
        try:
            return decide(self.program, conversation, command)
        except KeyError as error:
            raise Stopped("illegal", f"the flow has no {error}") from None
        except InterlockError as error:
            raise Stopped("illegal", error.what) from None

    def _today(self, conversation: Conversation, opening: Unopened, body: CommandBody) -> CommandBody:
        """The command as it would come today: on this flow, with what its rules read and its routers measure."""
        if isinstance(body, Start):
            return body if body.flow == self.program.ref else body.changed(flow=self.program.ref)
        if isinstance(body, Say) and isinstance(opening.event, MessageReceived):
            reading = self.sources.reading(opening.event, conversation)
            if reading is None:
                raise Stopped("unknown", "its rules read more, and the text was erased")
            return body if reading is body.reading else body.changed(reading=reading)
        if isinstance(body, Routed):
            effect = self.routes.get((body.state, body.message))
            return body if effect is None else self._routed(effect, body)
        return body

    def _routed(self, effect: Route, was: Routed | None = None) -> CommandBody:
        evidence = self.sources.evidence(effect, was)
        if evidence is None:
            raise Stopped("unknown", "its router measures something else, and the text was erased")
        if was is not None and evidence is was.evidence:
            return was
        return Routed(state=effect.state, message=effect.message, evidence=evidence)

    # -- beside the recorded one ---------------------------------------------------------------------

    def _beside(self, conversation: Conversation, group: Sequence[Unopened], decision: Decision) -> Conversation | None:
        """The conversation after the recorded decision, if this one does the same; else None."""
        for effect in decision.effects:
            if isinstance(effect, Route):
                self.routes[effect.state, effect.message] = effect
        if len(decision.events) != len(group):
            return None
        exact = True
        for one, event in zip(group, decision.events, strict=True):
            if one.says(event):
                continue
            if not alike(one.event, event):
                return None
            self.notes.update(dict.fromkeys(differs(one.event, event)))
            exact = False
        opening = decision.events[0] if decision.events else None
        if not exact:
            return self.recorded(conversation, group)
        if isinstance(opening, AgentReturned):
            self.paid += opening.cost
        return decision.conversation

    def recorded(self, conversation: Conversation, group: Sequence[Unopened]) -> Conversation:
        """The conversation after what is recorded, but watched by the new flow's policies from its beginning on."""
        for one in group:
            event = one.event
            if isinstance(event, ConversationStarted) and event.policies != self.program.watches:
                event = event.changed(policies=self.program.watches)
            elif isinstance(event, FlowChanged):
                event = event.changed(policies=conversation.watches, watched=conversation.watched)
            conversation = evolve(conversation, event)
            if isinstance(event, AgentReturned):
                self.paid += event.cost
        return conversation

    # -- by itself ---------------------------------------------------------------------------------

    def _followed(self, place: int, conversation: Conversation, decision: Decision) -> Turn:
        """Go on from the first decision that differs, with the answers of this turn that still apply."""
        answers = Answers(conversation, self.groups[place:])
        opening = self.groups[place][0][0]
        effects: list[Effect] = list(decision.effects)
        current = decision.conversation
        needs: dict[str, int] = {}
        stopped: Stopped | None = None
        for _ in range(MOST_STEPS):
            if not effects:
                break
            effect = effects.pop(0)
            try:
                body = self._answered(effect, current, answers)
                if body is None:
                    needs.update(_need(effect))
                    continue
                decision = self._decide(current, opening, body)
            except Stopped as error:
                stopped = error
                break
            answers.came(current, decision.events)
            current = decision.conversation
            self.made += decision.events
            effects += decision.effects
        self.ends = current
        return self._judged(place, conversation, stopped, needs)

    def _answered(self, effect: Effect, current: Conversation, answers: "Answers") -> CommandBody | None:
        if isinstance(effect, Route):
            return self._routed(effect)
        if isinstance(effect, CallAgent | RunTool):
            return answers.of(effect, current)
        return None

    # -- judging -----------------------------------------------------------------------------------

    def _judged(
        self,
        place: int,
        conversation: Conversation,
        stopped: Stopped | None,
        needs: Mapping[str, int] | None = None,
    ) -> Turn:
        for group, _ in self.groups[place:]:
            conversation = self.recorded(conversation, group)
        self.after = conversation
        needs = needs or {}
        was = path_of(one.event for group, _ in self.groups for one in group)
        found = compared(was, path_of(self.made), stopped, needs)
        notes = self.notes if found.verdict != "same" else {**self.notes, "events": None}
        return replace(
            self._turn(found.verdict, differs=tuple(notes), needed=sum(needs.values())),
            was=found.was,
            now=found.now,
            by=found.by,
            reason=found.reason,
            needs=tuple(needs),
        )

    def _turn(self, verdict: Verdict, *, differs: tuple[str, ...], needed: int = 0) -> Turn:
        return Turn(
            self.groups[0][0][0].envelope.ver,
            verdict,
            differs=differs,
            paid=self.paid,
            pays=sum(event.cost for event in self.made if isinstance(event, AgentReturned)),
            pays_at_most=needed,
            events=tuple(self.made),
            length=sum(len(group) for group, _ in self.groups),
        )


def _need(effect: Effect) -> dict[str, int]:
    """Who would have to be asked, and what that may cost."""
    if isinstance(effect, CallAgent):
        return {f"agent {effect.request.agent}": effect.request.reserved_cost}
    if isinstance(effect, RunTool):
        return {f"tool {effect.request.tool}": 0}
    if isinstance(effect, TendChild):
        return {"a child conversation": 0}
    return {}
