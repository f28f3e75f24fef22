"""Many conversations in a released log format: random walks over what was recorded in it.

Every message, measurement, answer and decision is one that a golden history of the release holds, with other amounts,
at other times, in another order, some of them twice or where nobody waits for them.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from interlock.contracts.canonical import leaf_hash
from interlock.contracts.commands import (
    CUSTOMER,
    SYSTEM,
    Actor,
    AgentEnded,
    Command,
    CommandBody,
    Decide,
    Fire,
    Give,
    Routed,
    Say,
    Start,
    ToolEnded,
)
from interlock.contracts.envelope import Head, checked, sealed
from interlock.contracts.events import AgentRequested, ToolRequested
from interlock.contracts.facts import FactReading
from interlock.contracts.recorded_commands import command_of
from interlock.fsm.conversation import Conversation
from interlock.fsm.decide import decide
from interlock.fsm.draft import Route
from interlock.fsm.evolve import evolve
from interlock.fsm.program import Program
from interlock.fsm.replay import Recorded
from support.golden import Golden

FAILED = ToolEnded.model_validate({"effect": 0, "report": {"outcome": "failed"}})
AMOUNTS = (1, 999, 1_000, 1_001, 4_250, 9_999, 10_000, 10_001, 25_000, 89_900)
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
OPERATOR = Actor(kind="human", id="operator", roles=("operator",))


@dataclass
class Samples:
    """What the release's histories hold, by who or what it is of."""

    starts: list[Start] = field(default_factory=list)
    says: list[Say] = field(default_factory=list)
    said_in: dict[str, list[Say]] = field(default_factory=dict)
    """By the state that heard it."""
    routed: dict[str, list[Routed]] = field(default_factory=dict)
    agents: dict[str, list[AgentEnded]] = field(default_factory=dict)
    tools: dict[str, list[ToolEnded]] = field(default_factory=dict)
    fields: dict[str, set[str]] = field(default_factory=dict)
    """The fields of each type of event."""

    @classmethod
    def of(cls, golden: Golden) -> "Samples":
        found = cls()
        for entries in golden.streams.values():
            asked: dict[int, str] = {}
            conversation = Conversation(id="")
            for version, one in enumerate(entries):
                found.fields.setdefault(one.envelope.type, set()).update(json.loads(one.data)["data"])
                if isinstance(one.event, AgentRequested | ToolRequested):
                    asked[version] = one.event.agent if isinstance(one.event, AgentRequested) else one.event.tool
                body = command_of(one.event)
                found.take(body, asked)
                if isinstance(body, Say):
                    found.said_in.setdefault(conversation.state, []).append(body)
                conversation = evolve(conversation, one.event)
        return found

    def take(self, body: CommandBody | None, asked: dict[int, str]) -> None:
        match body:
            case Start():
                self.starts.append(body)
            case Say():
                self.says.append(body)
            case Routed():
                self.routed.setdefault(body.state, []).append(body)
            case AgentEnded():
                self.agents.setdefault(asked[body.effect], []).append(body)
            case ToolEnded():
                self.tools.setdefault(asked[body.effect], []).append(body)


@dataclass
class Walk:
    """One conversation that is being walked."""

    program: Program
    samples: Samples
    random: Random
    stream: str
    entries: list[Recorded] = field(default_factory=list)
    at: datetime = START

    def run(self, steps: int) -> list[Recorded]:
        self.conversation, self.head = Conversation(id=self.stream), Head(self.stream)
        self.do("c:start", CUSTOMER, self.random.choice(self.samples.starts))
        for number in range(steps):
            if self.conversation.status == "ended" and self.random.random() < 0.9:
                break
            self.at += timedelta(seconds=self.random.choice((0, 1, 20, 400, 5_000)))
            actor, body = self.next()
            self.do(f"c:{number}", actor, body)
        return self.entries

    def do(self, key: str, actor: Actor, body: CommandBody) -> None:
        """Decide the command, and how the message is routed, which is committed with it."""
        todo = [(key, actor, body)]
        while todo:
            key, actor, body = todo.pop(0)
            command = Command(key=key, at=self.at, actor=actor, body=body)
            decision = decide(self.program, self.conversation, command)
            if not decision.events:
                continue
            made = sealed(
                decision.events,
                head=self.head,
                command=command,
                flow=self.program.ref.digest,
                code="interlock/0.1.0",
                log="generated",
            )
            self.entries += [Recorded(*checked(one.data), one.data, leaf_hash(one.data)) for one in made]
            self.conversation = decision.conversation
            self.head = Head(self.stream, self.head.length + len(made), made[-1].leaf)
            for effect in decision.effects:
                if isinstance(effect, Route):
                    known = self.samples.routed.get(effect.state) or next(iter(self.samples.routed.values()))
                    evidence = self.random.choice(known).evidence
                    routed = Routed(state=effect.state, message=effect.message, evidence=evidence)
                    todo.append((f"r:{self.head.length}", SYSTEM, routed))

    def next(self) -> tuple[Actor, CommandBody]:
        """Mostly what the conversation waits for."""
        conversation, visit, chance = self.conversation, self.conversation.visit, self.random.random()
        if chance < 0.03:
            return OPERATOR, Give(name=self.random.choice(("operator_human", "operator_kill")))
        if conversation.unfinished and chance < 0.9:
            return SYSTEM, self.ended(*self.random.choice(sorted(conversation.unfinished.items())))
        if visit.task is not None and visit.opened is not None and chance < 0.7:
            decision = self.random.choice(visit.opened.decisions)
            return Actor(kind="human", id="somebody", roles=(visit.opened.role,)), Decide(
                task=visit.task, decision=decision, shown=visit.opened.shown if visit.opened.approves else None
            )
        if visit.timer is not None and chance < 0.12:
            return SYSTEM, Fire(timer=visit.timer)
        here = self.samples.said_in.get(conversation.state, self.samples.says)
        said = self.random.choice(here if self.random.random() < 0.85 else self.samples.says)
        return CUSTOMER, said.changed(reading=said.reading.changed(facts=self.other(said.reading.facts)))

    def ended(self, effect: int, intent: AgentRequested | ToolRequested) -> CommandBody:
        if isinstance(intent, ToolRequested):
            known = self.samples.tools.get(intent.tool)
            tool = self.random.choice(
                known or [ToolEnded.model_validate({"effect": 0, "report": {"outcome": "failed"}})]
            )
            return tool.changed(effect=effect, report=tool.report.changed(facts=self.other(tool.report.facts)))
        agent = self.random.choice(self.samples.agents.get(intent.agent) or next(iter(self.samples.agents.values())))
        return agent.changed(effect=effect)

    def other(self, facts: tuple[FactReading, ...]) -> tuple[FactReading, ...]:
        """The same facts, with other amounts, and now and then another truth."""
        return tuple(self._other(one) for one in facts)

    def _other(self, fact: FactReading) -> FactReading:
        value: Any = fact.value
        if isinstance(value, bool):
            return fact.changed(value=value if self.random.random() < 0.9 else not value)
        if isinstance(value, int) and fact.name == "amount":
            return fact.changed(value=self.random.choice(AMOUNTS))
        return fact


def generated(golden: Golden, program: Program, number: int) -> Iterator[tuple[str, list[Recorded]]]:
    """So many conversations, always the same ones."""
    samples = Samples.of(golden)
    for index in range(number):
        stream = f"00000000-0000-4000-8000-{index:012d}"
        yield stream, Walk(program, samples, Random(index), stream).run(steps=14)
