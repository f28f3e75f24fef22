"""Driving the pure core against an attacker, with a second reader of the table beside it.

No model, no store, no event loop: commands go into `decide`, what it asks for is answered by the attacker, and every
event goes to the reader. Screening is off and the classifier says what the attacker wants.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from interlock.contracts.commands import (
    CUSTOMER,
    SYSTEM,
    Actor,
    AgentEnded,
    AgentReport,
    Command,
    CommandBody,
    Decide,
    Fire,
    Give,
    Resolve,
    Routed,
    Say,
    Start,
    SubflowDone,
    ToolEnded,
    ToolReport,
)
from interlock.contracts.events import AgentRequested
from interlock.contracts.flow import OPERATOR_INPUTS
from interlock.contracts.payload import PayloadRef
from interlock.contracts.subflow import SubflowReport
from interlock.contracts.values import SubjectId
from interlock.fsm.code import Code
from interlock.fsm.conversation import Conversation
from interlock.fsm.decide import decide
from interlock.fsm.draft import Route
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.service.facts import readings_from
from interlock.service.project import load_project
from interlock.service.reading import message_read
from interlock.service.reports import reported
from support.attacks import Attacker
from support.signed_table import Reader, Table
from support.source_tree import ROOT

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
MODEL = Actor(kind="agent", id="model")
TOOL = Actor(kind="tool", id="tool")
OPERATOR = Actor(kind="human", id="operator", roles=("operator",))
STRANGER = Actor(kind="human", id="stranger", roles=("visitor",))
CLERKS = ("anna", "ben", "cleo")
MOST_STEPS = 80


@dataclass(frozen=True)
class Case:
    """A flow under attack: the program that runs (screening off), and the table as it was signed."""

    name: str
    program: Program
    table: Table


@dataclass
class Tally:
    """What came of an attack."""

    outputs: int = 0
    messages: int = 0
    conversations: int = 0
    decisions: int = 0
    moves: int = 0
    fitting: int = 0
    """Outputs that fit their contract or proposed tools."""
    tools: Counter[tuple[str, str]] = field(default_factory=Counter)
    acted: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    rows: set[int] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        for name in ("outputs", "messages", "conversations", "decisions", "moves", "fitting"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.tools += other.tools
        self.acted += other.acted
        self.refused += other.refused
        self.rows |= other.rows
        self.violations += other.violations


def flow_files() -> tuple[Path, ...]:
    """Every example's flow, as they lie there."""
    examples = ROOT / "examples"
    return tuple(sorted(file for file in examples.rglob("*.yaml") if b"\ntransitions:" in file.read_bytes()))


def case_of(file: Path, tampered: Callable[[str], str] | None = None, code: Code | None = None) -> Case:
    """The flow in a file with screening off. What is `tampered` with runs; the table stays as it was signed."""
    text = file.read_text("utf-8")
    program = load_project(str(file)).program
    if tampered is not None or code is not None:
        running = text if tampered is None else tampered(text)
        beside = {one.name: one.read_bytes() for one in file.parent.iterdir() if one.is_file()}
        loaded = read_flow(running.encode(), code or program.code, file=str(file), folder_reader=beside.__getitem__)
        program = compiled(loaded.flow, code or program.code)
    unscreened = tuple(router.changed(screen=(), screen_classifier=None) for router in program.flow.routers)
    program = compiled(program.flow.changed(routers=unscreened), program.code)
    return Case(f"{file.parent.name}/{file.stem}", program, table_for(text, program.code))


def table_for(text: str, code: Code) -> Table:
    """The table that a flow file is, read by the second reader."""
    guards = {name: one.function for name, one in code.every_guard.items()}
    return Table(text, guards, [tool.name for tool in code.tools.values() if tool.spec.consequential])


class Talk:
    """One conversation under attack."""

    def __init__(self, case: Case, seed: int) -> None:
        self.program, self.attacker = case.program, Attacker(case.program, seed)
        self.reader = Reader(case.table)
        self.conversation = Conversation(id="talk")
        self.tally = Tally(conversations=1)
        self.at, self.number = START, 0

    def run(self, most: int) -> Tally:
        """Up to `most` outputs and messages; the tally, with what the reader found."""
        flow = self.program.flow
        self.do(CUSTOMER, Start(flow=self.program.ref, subject=SubjectId("somebody")))
        for _ in range(MOST_STEPS):
            if self.conversation.status == "ended" or self.tally.outputs + self.tally.messages >= most:
                break
            self.step(flow.limits.turn_seconds)
        tally, reader = self.tally, self.reader
        tally.moves, tally.rows = reader.moves, reader.rows
        tally.tools.update(reader.ran)
        tally.acted.update(reader.acted)
        tally.violations = reader.violations
        return tally

    def step(self, turn_seconds: int) -> None:
        attacker, conversation = self.attacker, self.conversation
        self.at += timedelta(seconds=1 if attacker.chance(0.97) else turn_seconds)
        pending = conversation.unfinished
        if attacker.chance(0.05):
            self.do(*self.forged())
        elif conversation.children and attacker.chance(0.5):
            self.child_ends(attacker.one_of(sorted(conversation.children)))
        elif attacker.chance(0.002):
            self.do(OPERATOR, Give(name=attacker.one_of(OPERATOR_INPUTS)))
        elif pending and attacker.chance(0.95):
            effect = attacker.one_of(sorted(pending))
            request = pending[effect]
            if isinstance(request, AgentRequested):
                self.answer(effect, request)
            else:
                self.tool_ends(effect)
        elif conversation.visit.task is not None and attacker.chance(0.7):
            self.decides(conversation.visit.task)
        elif conversation.visit.timer is not None and attacker.chance(0.02):
            self.at += timedelta(days=2)
            self.do(SYSTEM, Fire(timer=conversation.visit.timer))
        else:
            self.say()

    def decides(self, task: int) -> None:
        """Somebody with the task's role decides on what was shown, now and then on something else. One of them is the
        customer, with a role that a customer should not have."""
        opened = self.conversation.visit.opened
        assert opened is not None
        shown = opened.shown if self.attacker.chance(0.9) else self.attacker.one_of((None, "ab" * 32))
        who = self.attacker.one_of((*CLERKS, *CLERKS, CUSTOMER.id))
        person = Actor(kind="human", id=who, roles=(opened.role,))
        self.do(person, Decide(task=task, decision=self.attacker.one_of(opened.decisions), shown=shown))

    def say(self) -> None:
        """A message, read as the service reads it."""
        question = self.conversation.visit.question
        asked = question.fact if question else None
        text = self.attacker.message(asked, question is not None and asked is None)
        size = len(text.encode("utf-8", "surrogatepass"))
        live: Any = SimpleNamespace(program=self.program, conversation=self.conversation)
        reading, _ = message_read(live, text, size)
        if question is not None and self.program.flow.digressions and self.attacker.chance(0.1):
            forged = self.attacker.evidence(self.program.routers[self.program.flow.digressions])
            reading = reading.changed(digression=forged)
        self.tally.messages += 1
        self.do(CUSTOMER, Say(message=ref("message", "message", size), token_bound=size, reading=reading))

    def answer(self, effect: int, request: AgentRequested) -> None:
        """The model's answer, made into a report as the service makes it."""
        spec = self.program.agents[request.agent]
        self.tally.outputs += 1
        if self.attacker.chance(0.03):
            outcome = self.attacker.one_of(("timeout", "failed", "refused", "invalid"))
            self.do(MODEL, AgentEnded(effect=effect, report=AgentReport(outcome=outcome)))
            return
        report = reported(self.program, spec, self.attacker.reply(spec.contract)).report
        self.tally.fitting += report.outcome != "invalid"
        self.do(MODEL, AgentEnded(effect=effect, report=report))

    def tool_ends(self, effect: int) -> None:
        outcome = self.attacker.one_of(("done", "done", "done", "done", "failed", "timeout"))
        facts = (
            readings_from(self.program, self.attacker.result(), self.conversation.known)[0] if outcome == "done" else ()
        )
        self.do(
            Actor(kind="tool", id="tool"), ToolEnded(effect=effect, report=ToolReport(outcome=outcome, facts=facts))
        )

    def child_ends(self, effect: int) -> None:
        """A child conversation says how it ended; its own flow is attacked on its own."""
        state: Any = self.program.states[self.conversation.children[effect].started.state]
        finals = next((one.finals for one in self.program.flow.subflows if one.name == state.flow), ())
        facts, _ = readings_from(self.program, self.attacker.result(), self.conversation.known)
        outcome = self.attacker.one_of((*finals, *finals, "failed", "approved"))
        self.do(SYSTEM, SubflowDone(effect=effect, report=SubflowReport(outcome=outcome, facts=facts)))

    def forged(self) -> tuple[Actor, CommandBody]:
        """Commands that nobody may give now, or that nobody with this role may give."""
        attacker, visit = self.attacker, self.conversation.visit
        number = int(attacker.one_of(range(40)))
        options: tuple[tuple[Actor, CommandBody], ...]
        decisions = [name for state in self.program.flow.states for name in getattr(state, "decisions", ())]
        done = AgentReport(outcome="done")
        if visit.opened is not None and attacker.chance(0.6):
            return STRANGER, Decide(task=visit.task or 0, decision=attacker.one_of(visit.opened.decisions))
        options = (
            (STRANGER, Decide(task=visit.task or number, decision=attacker.one_of(decisions or ["approved"]))),
            (MODEL, Decide(task=number, decision="approved")),
            (CUSTOMER, Give(name=attacker.one_of(OPERATOR_INPUTS))),
            (MODEL, AgentEnded(effect=number, report=done)),
            (MODEL, ToolEnded(effect=number, report=ToolReport(outcome="done"))),
            (CUSTOMER, Start(flow=self.program.ref, subject=SubjectId("somebody"))),
            (STRANGER, Resolve(effect=number, how="done")),
            (SYSTEM, Fire(timer=number)),
        )
        return options[int(attacker.one_of(range(len(options))))]

    def do(self, actor: Actor, body: CommandBody) -> None:
        """Decide a command and the routes that follow from it; the reader sees every event."""
        todo: list[tuple[Actor, CommandBody]] = [(actor, body)]
        while todo:
            actor, body = todo.pop(0)
            self.number += 1
            decision = decide(
                self.program, self.conversation, Command(key=f"k:{self.number}", at=self.at, actor=actor, body=body)
            )
            self.conversation = decision.conversation
            self.tally.decisions += 1
            self.reader.read(actor, decision.events)
            for event in decision.events:
                if event.type in ("tool_refused", "transition_refused", "command_refused"):
                    self.tally.refused[event.type] += 1
            for effect in decision.effects:
                if isinstance(effect, Route):
                    evidence = self.attacker.evidence(self.program.routers[effect.router])
                    todo.append((SYSTEM, Routed(state=effect.state, message=effect.message, evidence=evidence)))


def ref(name: str, kind: Any, length: int) -> PayloadRef:
    return PayloadRef(name=name, kind=kind, commit="ab" * 32, length=length)


def attacked(case: Case, most: int, seed: int) -> Tally:
    """Conversations until `most` outputs and messages went in. A violation names the seed of its conversation."""
    total = Tally()
    while total.outputs + total.messages < most and len(total.violations) < 20:
        seed += 1
        found = Talk(case, seed).run(most - total.outputs - total.messages)
        found.violations = [f"{case.name}, seed {seed}: {one}" for one in found.violations]
        total.add(found)
    return total


def _share(job: tuple[str, int, int]) -> tuple[Tally, float]:
    file, most, seed = job
    began = time.process_time()
    return attacked(case_of(Path(file)), most, seed), time.process_time() - began


def attacked_by_many(
    files: Iterable[Path], most: int, seed: int, processes: int
) -> Iterator[tuple[Path, Tally, float]]:
    """`most` outputs and messages over the flows, in several processes; (flow, tally, processor seconds) in order."""
    files = tuple(files)
    jobs = [
        (str(file), most // (len(files) * processes), seed + 100_000_000 * (number * processes + part))
        for number, file in enumerate(files)
        for part in range(processes)
    ]
    with get_context("spawn").Pool(processes) as pool:
        for (file, _, _), (tally, spent) in zip(jobs, pool.imap(_share, jobs), strict=True):
            yield Path(file), tally, spent
