"""A counterexample, driven through the real core with the outcomes that it names, ends where it says."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from interlock.contracts.commands import (
    CUSTOMER,
    SYSTEM,
    AgentEnded,
    AgentReport,
    CommandBody,
    Decide,
    Fire,
    Reading,
    Say,
    Start,
    ToolEnded,
    ToolReport,
)
from interlock.contracts.events import TransitionTaken
from interlock.contracts.facts import FactReading, Facts
from interlock.contracts.flow import CollectState
from interlock.contracts.guard import Guard
from interlock.contracts.limits import Usage
from interlock.contracts.payload import PayloadRef
from interlock.contracts.routing import RoutingEvidence
from interlock.contracts.values import SubjectId
from interlock.fsm.program import Program
from interlock.fsm.prove.findings import Step
from interlock.fsm.prove.proof import proved
from support.broken import BROKEN, MENDED, WITHOUT_A_WAY, Broken, program_of
from support.histories import CLERK, DIGEST, History

TEXT = PayloadRef(name="text", kind="message", commit=DIGEST, length=5)


@dataclass
class Driver:
    """A conversation whose guards say what the step in hand wants them to say."""

    program: Program
    wanted: dict[str, bool | None] = field(default_factory=dict)
    history: History = field(init=False)

    def __post_init__(self) -> None:
        def function(name: str, real: Callable[..., bool]) -> Callable[..., bool]:
            def asked(facts: Facts, *arguments: Any) -> bool:
                found = self.wanted.get(str(Guard(name=name, arguments=arguments)))
                return real(facts, *arguments) if found is None else found

            return asked

        functions = {name: function(name, real) for name, real in self.program.functions.items()}
        self.history = History(replace(self.program, functions=functions))
        self.do(Start(flow=self.program.ref, subject=SubjectId("somebody")))

    def do(self, body: CommandBody, actor: Any = CUSTOMER) -> None:
        number = len(self.history.steps)
        self.history.do(f"c:{number}", actor, body, RoutingEvidence)

    @property
    def state(self) -> str:
        return self.history.conversation.state

    def take(self, step: Step) -> None:
        """Make happen what the step says."""
        self.wanted = dict(step.given)
        conversation = self.history.conversation
        kind = self.program.states[self.state].kind
        if step.on == "expired":
            assert conversation.visit.timer is not None
            self.do(Fire(timer=conversation.visit.timer), SYSTEM)
        elif kind == "wait":
            self.do(Say(message=TEXT, token_bound=5))
        elif kind == "collect":
            self.fill_in(step)
        elif kind == "agent":
            report = AgentReport.model_validate({"outcome": step.on, "usage": Usage(input_tokens=1)})
            while self.state == step.state and self.history.conversation.pending:  # each attempt ends so
                for effect in list(self.history.conversation.pending):
                    self.do(AgentEnded(effect=effect, report=report), SYSTEM)
        elif kind == "call":
            for effect in list(conversation.pending):
                self.do(ToolEnded(effect=effect, report=ToolReport.model_validate({"outcome": step.on})), SYSTEM)
        else:
            assert conversation.visit.task is not None
            self.do(Decide(task=conversation.visit.task, decision=step.on), CLERK)

    def fill_in(self, step: Step) -> None:
        form = self.program.states[self.state]
        assert isinstance(form, CollectState)
        if step.on != "complete":
            self.do(Say(message=TEXT, token_bound=5, reading=Reading(control="cancel")))
            return
        facts = tuple(FactReading(name=name, value=1_000, answers=True) for name in form.facts)
        self.do(Say(message=TEXT, token_bound=5, reading=Reading(facts=facts)))
        if self.state == form.name:
            self.do(Say(message=TEXT, token_bound=5, reading=Reading(control="yes")))


def driven(program: Program, steps: tuple[Step, ...]) -> Driver:
    """Every step, each of which must begin and end where it says."""
    driver = Driver(program)
    for step in steps:
        assert driver.state == step.state
        driver.take(step)
        assert driver.state == step.target
        rows = [
            one.row
            for entry in driver.history.steps[-2:]
            for one in entry.decision.events
            if isinstance(one, TransitionTaken)
        ]
        kept = [index for index, row in enumerate(program.flow.transitions) if row.on == "policy"]
        assert set(kept if "refused, for" in step.happened else (step.row,)) & set(rows)
    return driver


WITH_A_WAY = [one for one in BROKEN if one.code not in WITHOUT_A_WAY]


@pytest.mark.parametrize("broken", WITH_A_WAY, ids=lambda one: one.name)
def test_a_counterexample_ends_where_it_says(broken: Broken) -> None:
    """Step by step, by the same rows."""
    program = program_of(broken.text)
    finding = next(one for one in proved(program).findings if one.code == broken.code and one.verdict == "refuted")
    driver = driven(program, tuple(one for one in finding.counterexample if one.row is not None))
    assert driver.state == finding.counterexample[-1].target


def test_a_storm_goes_round_in_the_real_core_as_often_as_one_likes() -> None:
    """The marked loop is one: thirty rounds, all within one turn."""
    broken = next(one for one in BROKEN if one.code == "P305")
    program = program_of(broken.text)
    finding = next(one for one in proved(program).findings if one.code == "P305")
    before = tuple(one for one in finding.counterexample if not one.in_loop)
    loop = tuple(one for one in finding.counterexample if one.in_loop)
    driver = driven(program, before + loop * 30)
    assert driver.history.conversation.turn.agent_calls >= 30
    assert driver.history.conversation.turn.number == 1


def test_the_bill_is_reached_by_the_worst_agents() -> None:
    """With agents that use every attempt, the real core makes exactly as many calls as the bill says, and no more."""
    program = program_of(MENDED)
    bill = proved(program).bills.turn.most
    driver = Driver(program, {"is_('next', 'billing')": True, "is_('next', 'orders')": True})
    driver.do(Say(message=TEXT, token_bound=5))
    calls = 0
    while driver.history.conversation.pending and calls < 100:
        calls += 1
        (effect,) = driver.history.conversation.pending
        worst = "done" if calls % 2 == 0 else "failed"
        report = AgentReport.model_validate({"outcome": worst, "usage": Usage(measured=False)})
        driver.do(AgentEnded(effect=effect, report=report), SYSTEM)
    turn = driver.history.conversation.turn
    assert calls == bill.calls
    assert turn.tokens <= bill.tokens
    assert turn.cost <= bill.nano
    assert driver.state == "desk"
