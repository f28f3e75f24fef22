"""A recorded conversation as what was done to it from outside: the acts that lead to the same log on a test's runtime.

What people wrote, what models and tools answered, what was decided and when stands in the log and in its payloads; all
else follows from it. A child conversation's acts are told among its parent's, in an order that both logs allow.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from ..agents.contract import checked, outcome_of
from ..contracts.commands import (
    Actor,
    AgentEnded,
    CommandBody,
    Decide,
    Fire,
    Give,
    ProposedCall,
    Resolve,
    Say,
    Start,
    ToolEnded,
)
from ..contracts.errors import CallError, LogBroken
from ..contracts.events import (
    AgentRequested,
    CommandRefused,
    ConversationEnded,
    ConversationStarted,
    Event,
    FlowChanged,
    ReplySent,
    RoutingDecided,
    ToolRequested,
    TransitionTaken,
)
from ..contracts.payload import PayloadAt
from ..contracts.recorded_commands import command_of
from ..contracts.routing import RoutingEvidence
from ..contracts.store import Store
from ..contracts.subflow_events import SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted
from ..contracts.values import listed
from ..fsm.code import Code
from ..fsm.program import Program, with_children
from ..fsm.replay import Recorded
from ..fsm.route import evidence
from .acts import Act, AgentAnswers, Crashes, Decides, Gives, Passes, Resolves, ToolAnswers, Writes
from .loading import loaded, recorded
from .texts import Texts

NOT_MADE = frozenset({"breaker_open", "cost_storm", "too_busy", "tenant_budget", "not_cached"})
"""Reasons of attempts for which no model was called."""
_TOLD = frozenset({"role_missing", "unknown_decision", "requester", "same_person", "not_a_person"})
"""Why a decision was refused that can be tried again; what else is refused changes nothing."""
_LEAST_SECONDS = 1.0
"""A shorter gap is the work of machines, and passes in no time in a test."""


@dataclass(slots=True)
class Told:
    """One act, and what the conversation did until the next: replies, moves as `on → state`, and where it stood."""

    act: Act | None
    said: list[str] = field(default_factory=list)
    path: list[str] = field(default_factory=list)
    state: str = ""
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Retold:
    """A conversation from its beginning. The first of `told` is its start, before anything was done."""

    conversation: str
    program: Program
    began: datetime
    customer: str
    tenant: str | None
    facts: Mapping[str, Any]
    told: tuple[Told, ...]
    known: Mapping[str, Any]
    """The facts at its end; sealed ones as text."""
    says_its_id: bool = False
    """A reply holds the reference that is made of its id, or of a child's, which is made of its own."""

    @property
    def acts(self) -> tuple[Act, ...]:
        return tuple(one.act for one in self.told if one.act is not None)


def retold(store: Store, conversation: str, program: Program) -> Retold:
    """The acts of a stored conversation on `program` or a flow below it.

    Raises `CallError` where a text that is needed was erased, where it was moved to another flow, or where it is a
    child: its parent is retold.
    """
    family = {one.ref.digest: one for one in with_children([program])}
    return _Teller(store, conversation, family).told()


@dataclass(slots=True)
class _Stream:
    id: str
    entries: Sequence[Recorded]
    depth: int
    parent: str = ""
    begun: int = 0
    """The version of the event in the parent that began it."""
    at: int = 0


class _Teller:
    def __init__(self, store: Store, conversation: str, programs: Mapping[str, Program]) -> None:
        self.store, self.top, self.programs = store, conversation, programs
        self.streams: dict[str, _Stream] = {}
        self._find(conversation, 0)
        self.now: datetime = self.streams[conversation].entries[0].envelope.at
        self.began = self.now
        self.found: list[Told] = [Told(None)]
        self.due: dict[tuple[str, int], datetime] = {}
        """When each of them is given up, if nobody answers."""
        self.open: list[tuple[str, int, str, str]] = []
        """Who was asked and has not answered: stream, version, kind, name; in their order."""
        self.erased: list[str] = []
        self.lines: dict[int, str] = {}

    def _find(self, stream: str, depth: int, parent: str = "", begun: int = 0) -> None:
        entries = recorded(self.store.read(stream))
        if not entries:
            return
        first = entries[0].event
        if not depth and isinstance(first, ConversationStarted) and first.parent is not None:
            raise CallError(
                "This is a child conversation: what it does begins in its parent.",
                where=f"conversation {stream}",
                fix=f"Export its parent, {first.parent.conversation}.",
            )
        self.streams[stream] = _Stream(stream, entries, depth, parent, begun)
        for version, one in enumerate(entries):
            if isinstance(one.event, FlowChanged):
                raise CallError(
                    f"The conversation was moved to v{one.event.flow.version} at event {version}, and a test plays "
                    "one flow: export of moved conversations is not possible yet.",
                    where=f"conversation {stream}",
                    fix=f"Fork up to there with `interlock fork {stream[:8]} --at {version}`, or say all of it again "
                    f"to the new one with `interlock fork {stream[:8]} --at 0 --flow FLOW`, and export the fork.",
                )
            if isinstance(one.event, SubflowStarted):
                self._find(one.event.child, depth + 1, stream, version)

    def program(self, stream: str) -> Program:
        digest = self.streams[stream].entries[0].envelope.flow
        if digest not in self.programs:
            raise CallError(
                f"The conversation ran on the flow {digest[:12]}, which is not the one given.",
                where=f"conversation {stream}",
                fix="Name the flow with --flow, in the version it had then.",
            )
        return self.programs[digest]

    def told(self) -> Retold:
        stream, start = self.top, command_of(self.streams[self.top].entries[0].event)
        if not isinstance(start, Start):
            raise LogBroken("The stream does not begin with its start.", stream=stream, version=0, fix="Verify it.")
        program = self.program(stream)
        live = loaded(stream, self.store.read(stream), lambda _: program)
        self.lines = _texts(self.store, live)
        opening = self.streams[stream].entries[0].envelope
        facts = {
            one.name: one.value if one.payload is None else self.text(stream, 0, one.payload.name)
            for one in start.facts
        }
        for where, version, one in self.merged():
            self.take(where, version, one)
        known = {
            name: fact.value if fact.sealed is None else self.text(stream, fact.sealed.version, fact.sealed.name)
            for name, fact in sorted(live.conversation.known.items())
        }
        if self.erased:
            raise CallError(
                f"Texts of this conversation were erased: {listed(self.erased)}.",
                where=f"conversation {stream}",
                fix="A test needs what was said; export a conversation that is whole.",
            )
        said = "".join(text for told in self.found for text in told.said)
        says = any(one[:8] in said for one in self.streams)
        return Retold(
            stream, program, self.began, opening.actor.id, start.tenant, facts, tuple(self.found), known, says
        )

    def merged(self) -> Iterator[tuple[str, int, Recorded]]:
        """Every event of the family, each after what it follows from in another stream's log."""
        while left := [one for one in self.streams.values() if one.at < len(one.entries)]:
            ready = [one for one in left if self._may(one)] or left
            chosen = min(ready, key=lambda one: (one.entries[one.at].envelope.at, -one.depth))
            yield chosen.id, chosen.at, chosen.entries[chosen.at]
            chosen.at += 1

    def _may(self, stream: _Stream) -> bool:
        one = stream.entries[stream.at]
        event, key = one.event, one.envelope.key or ""
        if stream.parent and stream.at == 0:
            return self.streams[stream.parent].at > stream.begun
        if stream.parent and key.startswith("p:") and key[2:].isdecimal():
            return self.streams[stream.parent].at > int(key[2:])
        if isinstance(event, SubflowReplied | SubflowEnded):
            started = self.streams[stream.id].entries[event.effect].event
            child = self.streams.get(started.child) if isinstance(started, SubflowStarted) else None
            if child is not None:
                needed = event.version if isinstance(event, SubflowReplied) else len(child.entries) - 1
                return child.at > needed
        if key == "p:left":
            above = self.streams[stream.parent]
            return any(isinstance(before.event, SubflowLeft) for before in above.entries[: above.at])
        return True

    # -- one event ----------------------------------------------------------------------------------

    def take(self, stream: str, version: int, one: Recorded) -> None:
        event, key = one.event, one.envelope.key or ""
        body = command_of(event) if key else None
        if body is not None and not (stream == self.top and version == 0):
            self.command(stream, version, one, body, key)
        if isinstance(event, AgentRequested) and not event.cached:
            self.open.append((stream, version, "agent", event.agent))
            self.due[stream, version] = one.envelope.at + timedelta(seconds=event.timeout_seconds)
        elif isinstance(event, ToolRequested):
            self.open.append((stream, version, "tool", event.tool))
        if stream == self.top:
            self.note(version, event)

    def note(self, version: int, event: Event) -> None:
        last = self.found[-1]
        if isinstance(event, ConversationStarted):
            last.state = event.state
        elif isinstance(event, TransitionTaken):
            last.path.append(f"{event.on} → {event.target}")
            last.state = event.target
        elif isinstance(event, ReplySent):
            last.said.append(self.lines[version])
        elif isinstance(event, ConversationEnded):
            last.ended = True

    def command(self, stream: str, version: int, one: Recorded, body: CommandBody, key: str) -> None:
        kind = key.partition(":")[0]
        if isinstance(one.event, CommandRefused) and not (isinstance(body, Decide) and one.event.reason in _TOLD):
            return
        if isinstance(body, Fire):
            self.add(Passes(), one.envelope.at)
        elif isinstance(body, AgentEnded | ToolEnded) and kind == "e":
            self.ended(stream, version, body, one.envelope.at)
        elif kind == "c" and (act := self.act(stream, version, one.envelope.actor, body)) is not None:
            self.pass_to(one.envelope.at)
            if isinstance(act, Resolves):
                self.add(Crashes(), one.envelope.at)
            self.add(act, one.envelope.at)

    def add(self, act: Act, at: datetime) -> None:
        if isinstance(act, Passes):
            self.now = max(self.now, at)
        self.found.append(Told(act, state=self.found[-1].state, ended=self.found[-1].ended))

    def pass_to(self, at: datetime) -> None:
        gap = (at - self.now).total_seconds()
        if gap >= _LEAST_SECONDS:
            self.add(Passes(round(gap, 6)), at)

    def ended(self, stream: str, version: int, body: AgentEnded | ToolEnded, at: datetime) -> None:
        place = next((one for one in self.open if one[:2] == (stream, body.effect)), None)
        if place is None:
            return
        same = [one for one in self.open if one[2:] == place[2:]]
        nth = same.index(place)
        self.open.remove(place)
        if isinstance(body, ToolEnded):
            act = self.tool_act(stream, version, body, place[3], nth)
        else:
            act = self.agent_act(stream, version, body, place[3], nth)
        hung = body.report.outcome == "timeout"
        if hung and isinstance(body, AgentEnded) and at >= self.due[stream, body.effect]:
            act = None  # time alone ends it
        if act is None and not hung:
            return
        self.pass_to(at)
        if act is not None:
            self.add(act, at)

    def tool_act(self, stream: str, version: int, body: ToolEnded, name: str, nth: int) -> Act | None:
        report = body.report
        if report.outcome == "timeout":
            return None
        if report.outcome == "failed":
            ours = report.result is None
            return None if ours else ToolAnswers(name, fails=report.reason, nth=nth)
        result = json.loads(self.text(stream, version, "result")) if report.result is not None else None
        return ToolAnswers(name, result or None, nth=nth)

    def agent_act(self, stream: str, version: int, body: AgentEnded, name: str, nth: int) -> Act | None:
        report = body.report
        if report.reason in NOT_MADE or report.cached_from is not None:
            return None
        usage = (report.usage.input_tokens, report.usage.output_tokens) if report.usage.measured else None
        if report.calls:
            calls = tuple((_name(call), self.text(stream, version, call.arguments.name)) for call in report.calls)
            return AgentAnswers(name, calls=calls, usage=usage, nth=nth)
        if report.output is None:
            return AgentAnswers(
                name,
                fails=report.outcome,
                reason=report.reason,
                retry_after_seconds=report.retry_after_seconds,
                nth=nth,
            )
        text = self.text(stream, version, "output")
        refused = report.outcome == "refused" and not self._says_refused(stream, name, text)
        return AgentAnswers(name, text, refused=refused, usage=usage, nth=nth)

    def _says_refused(self, stream: str, agent: str, text: str) -> bool:
        program = self.program(stream)
        contract = program.agents[agent].contract
        found = checked(text, program.code.contracts[contract] if contract else None)
        return outcome_of(found) == "refused"

    def act(self, stream: str, version: int, actor: Actor, body: CommandBody) -> Act | None:
        match body:
            case Say():
                text = self.text(stream, version, body.message.name)
                scores, scope = self.scored(stream, version, text, body)
                return Writes(text, actor.id, scores, scope)
            case Give():
                facts = {
                    one.name: one.value if one.payload is None else self.text(stream, version, one.payload.name)
                    for one in body.facts
                }
                return Gives(body.name, facts)
            case Decide():
                reason = self.text(stream, version, body.reason.name) if body.reason else ""
                return Decides(body.decision, actor.id, actor.roles, reason)
            case Resolve():
                return Resolves(body.how)
            case _:
                return None

    def scored(self, stream: str, version: int, text: str, body: Say) -> tuple[Mapping[str, str] | None, str | None]:
        """What the classifier said of the message then, where it says something else today."""
        for found, router, code in self.evidences(stream, version, body):
            if not found.scores:
                continue
            spec = next(one for one in self.program(stream).flow.routers if one.name == router)
            today = evidence(spec, text, classifier=code.classifiers.get(spec.classifier or ""))
            if (today.scores, today.scope) != (found.scores, found.scope):
                return {one.label: one.score for one in found.scores}, found.scope
        return None, None

    def evidences(self, stream: str, version: int, body: Say) -> Iterator[tuple[RoutingEvidence, str, Code]]:
        """What was measured on the message, with the router that it was measured for."""
        program = self.program(stream)
        if body.reading.digression is not None and program.flow.digressions is not None:
            yield body.reading.digression, program.flow.digressions, program.code
        for one in self.streams[stream].entries[version:]:
            if isinstance(one.event, RoutingDecided) and one.event.message == version:
                router = getattr(program.states[one.event.state], "router", None)
                if router is not None:
                    yield one.event.evidence, router, program.code

    def text(self, stream: str, version: int, name: str) -> str:
        found = self.store.payload(stream, PayloadAt(version=version, name=name))
        if found is None:
            self.erased.append(f"{name} of event {version}")
            return "null"
        return found.text


def _name(call: ProposedCall) -> str:
    """The name that the model called; which unknown one it was is not in the log."""
    return call.name or (f"ask_{call.agent}" if call.agent else "no_such_tool")


def _texts(store: Store, live: Any) -> dict[int, str]:
    """What we said, by the version of the event that said it."""
    texts = Texts(store)

    async def read() -> dict[int, str]:
        return {one.version: await texts.line(live, one) for one in live.lines if one.ours}

    return asyncio.run(read())
