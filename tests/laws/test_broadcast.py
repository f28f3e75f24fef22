"""A broadcast against a model of it: whatever order members answer in, its end is the one that the flow declares."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st

from interlock.contracts.agents import AgentResult, Plan
from interlock.contracts.commands import (
    CUSTOMER,
    AgentEnded,
    AgentReport,
    Command,
    CommandBody,
    Fire,
    PlannedTask,
    Reading,
    Resolve,
    Say,
    Start,
)
from interlock.contracts.events import (
    AgentRequested,
    AgentReturned,
    BroadcastEnded,
    BroadcastStarted,
    Event,
    FactsRecorded,
    LateResult,
    RetryPlanned,
    TransitionTaken,
)
from interlock.contracts.facts import FactReading
from interlock.contracts.flow import BroadcastState, MemberSpec
from interlock.contracts.limits import Limits, Usage
from interlock.contracts.payload import PayloadRef
from interlock.contracts.values import SubjectId
from interlock.fsm.code import Code
from interlock.fsm.conversation import Conversation
from interlock.fsm.decide import decide, effects_of
from interlock.fsm.draft import CallAgent
from interlock.fsm.evolve import fold
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled

FLOW = """
flow: team
version: 1
owner: tests
initial: start
facts:
  risk:  {type: integer, minimum: 0, maximum: 9}
  name:  {type: text}
agents:
  one:     {instructions: One., contract: Opinion, history: none}
  two:     {instructions: Two., contract: Opinion, history: none}
  three:   {instructions: Three., contract: Opinion, history: none}
  planner: {instructions: Plan., contract: Steps, history: none}
  writer:  {instructions: Write., history: none}
states:
  start:   {kind: wait, deadline: 30m}
  plan:    {kind: agent, agent: planner, attempts: 1}
  team:    {kind: broadcast, members: [one, two, three], deadline: 1m}
  sum_up:  {kind: agent, agent: writer, results: [team], attempts: 1}
  more:    {kind: wait, deadline: 1d, inputs: [late_result]}
  partly:  {kind: wait, deadline: 1d}
  nothing: {kind: wait, deadline: 1d}
  empty:   {kind: wait, deadline: 1d}
  stopped: {kind: wait, deadline: 1d}
  closed:  {kind: final}
transitions:
  - [start, message, otherwise, plan, P-1]
  - [plan, done, otherwise, team, P-1]
  - [team, complete, otherwise, sum_up, P-2]
  - [team, partial, otherwise, more, P-2]
  - [team, failed, otherwise, nothing, P-2]
  - [sum_up, done, otherwise, more, P-2]
  - [more, late_result, otherwise, sum_up, P-3]
  - [more, message, otherwise, closed, P-4]
  - [partly, message, otherwise, closed, P-4]
  - [nothing, message, otherwise, partly, P-4]
  - [empty, message, otherwise, closed, P-4]
  - [stopped, message, otherwise, empty, P-4]
  - [any, expired, otherwise, closed, P-4]
  - [any, unsure, otherwise, stopped, P-5]
  - [any, refused, otherwise, stopped, P-5]
  - [any, invalid, otherwise, stopped, P-5]
  - [any, timeout, otherwise, stopped, P-5]
  - [any, failed, otherwise, stopped, P-5]
  - [any, over_budget, otherwise, stopped, P-5]
  - [any, limit, otherwise, stopped, P-6]
"""
MEMBERS = ("one", "two", "three")
OUTCOMES = ("done", "done", "done", "unsure", "refused", "invalid", "timeout", "failed")


class Opinion(AgentResult):
    risk: int = 0
    name: str = ""


class Steps(Plan):
    pass


BASE = read_flow(FLOW, Code.of(contracts=[Opinion, Steps])).flow
CODE = Code.of(contracts=[Opinion, Steps])


def program(limits: Limits | None = None, **changes: Any) -> Program:
    states = tuple(
        BroadcastState.model_validate({**one.model_dump(), **changes}) if one.name == "team" else one
        for one in BASE.states
    )
    rows = BASE.transitions
    if changes.get("plan"):
        rows = (*rows, rows[2].changed(on="empty", target="empty"))
    return compiled(BASE.changed(states=states, transitions=rows, limits=limits or BASE.limits), CODE)


def text(name: str, length: int = 10) -> PayloadRef:
    return PayloadRef(name=name, kind="result", commit="ab" * 32, length=length)


@dataclass
class Run:
    """A conversation on a program, driven by commands; time goes on by a second each."""

    program: Program
    conversation: Conversation = field(default_factory=lambda: Conversation(id="c"))
    events: list[Event] = field(default_factory=list)
    at: datetime = datetime(2026, 11, 21, tzinfo=UTC)
    calls: dict[str, int] = field(default_factory=dict)
    """The last call of each member, by name."""

    def do(self, body: CommandBody, seconds: int = 1) -> list[Event]:
        self.at += timedelta(seconds=seconds)
        decision = decide(
            self.program, self.conversation, Command(key=f"c:{len(self.events)}", at=self.at, actor=CUSTOMER, body=body)
        )
        self.events += decision.events
        self.conversation = decision.conversation
        for effect in decision.effects:
            if isinstance(effect, CallAgent):
                self.calls[effect.request.member or effect.request.agent] = effect.effect
        return list(decision.events)

    def begun(self, plan: Sequence[str] = ()) -> "Run":
        self.do(Start(flow=self.program.ref, subject=SubjectId("s")))
        self.do(Say(message=text("message"), token_bound=10, reading=Reading()))
        subtasks = tuple(PlannedTask(worker=one, task=text(f"task_{n}")) for n, one in enumerate(plan))
        self.answer("planner", "done", subtasks=subtasks)
        return self

    def answer(self, who: str, outcome: str, **more: Any) -> list[Event]:
        body = {"outcome": outcome, "output": text("output"), "usage": Usage(input_tokens=10, output_tokens=5), **more}
        return self.do(AgentEnded(effect=self.calls[who], report=AgentReport.model_validate(body)))

    def found(self, kind: type[Event]) -> list[Any]:
        return [one for one in self.events if isinstance(one, kind)]


answers = st.permutations(MEMBERS).flatmap(
    lambda order: st.tuples(*(st.tuples(st.just(one), st.sampled_from(OUTCOMES)) for one in order))
)


@given(answers, st.integers(0, 3), st.integers(0, 100), st.booleans())
def test_the_end_is_the_one_that_is_declared(
    given: tuple[tuple[str, str], ...], quorum: int, minimum: int, fail_fast: bool
) -> None:
    """Enough valid results, the first failure, or nobody left: in the order in which they answer."""
    assume(not (quorum and fail_fast))
    run = Run(program(quorum=quorum, minimum_percent=minimum, fail_fast=fail_fast)).begun()
    valid, expected, late = 0, "", []
    for number, (who, outcome) in enumerate(given, start=1):
        events = run.answer(who, outcome)
        ended = [one for one in events if isinstance(one, BroadcastEnded)]
        if expected:
            late.append(who)
            assert ended == []
            assert [one.member for one in events if isinstance(one, LateResult)] == [who]
            assert any(isinstance(one, AgentReturned) and one.late for one in events)
            continue
        valid += outcome == "done"
        if valid >= (quorum or 3):
            expected = "complete"
        elif fail_fast and outcome != "done":
            expected = "failed"
        elif number == 3:
            expected = "partial" if valid and valid * 100 // 3 >= minimum else "failed"
        assert [one.outcome for one in ended] == ([expected] if expected else [])
    (ended_,) = run.found(BroadcastEnded)
    assert {one.name for one in ended_.members} == set(MEMBERS)
    assert sorted(one.name for one in ended_.members if one.status == "pending") == sorted(late)
    assert (ended_.valid, ended_.percent) == (valid, valid * 100 // 3)
    assert fold("c", run.events) == run.conversation


@given(st.lists(st.sampled_from(MEMBERS), unique=True, max_size=2))
def test_at_the_deadline_what_is_there_counts(done: list[str]) -> None:
    """Members that have not answered are pending on the record; their answers come late."""
    run = Run(program()).begun()
    for who in done:
        run.answer(who, "done")
    timer, due = run.conversation.timers[0]
    assert due == run.found(BroadcastStarted)[0].due
    run.do(Fire(timer=timer), seconds=60)
    (ended,) = run.found(BroadcastEnded)
    assert ended.outcome == ("partial" if done else "failed")
    assert {one.name for one in ended.members if one.status == "pending"} == set(MEMBERS) - set(done)
    assert len(run.conversation.awaited) == 3 - len(done)
    before = run.conversation.known
    for who in set(MEMBERS) - set(done):
        run.answer(who, "done", facts=(FactReading(name="risk", value=3),))
    assert run.conversation.known == before
    assert not run.conversation.awaited


@given(answers)
def test_what_was_reserved_is_settled(given: tuple[tuple[str, str], ...]) -> None:
    """After the last answer, early or late, tokens are what was used: 15 for each of the calls."""
    run = Run(program(quorum=1)).begun()
    for who, outcome in given:
        run.answer(who, outcome)
    if "writer" in run.calls:
        run.answer("writer", "done")
    assert run.conversation.tokens == 15 * len(run.found(AgentReturned))


@given(st.permutations(MEMBERS), st.integers(0, 2), st.integers(0, 2))
def test_a_fact_that_members_dispute_is_not_taken(order: list[str], first: int, second: int) -> None:
    run = Run(program()).begun()
    values = dict(zip(order, (first, second, None), strict=True))
    for who, value in values.items():
        run.answer(who, "done", facts=() if value is None else (FactReading(name="risk", value=value),))
    (ended,) = run.found(BroadcastEnded)
    assert ended.disagreed == (("risk",) if first != second else ())
    assert run.conversation.facts.value("risk") == (first if first == second else None)


def test_two_free_texts_are_a_dispute() -> None:
    """Nobody can tell whether two sealed facts say the same: neither is taken."""
    run = Run(program()).begun()
    run.answer("one", "done", facts=(FactReading(name="name", payload=text("fact_name")),))
    run.answer("two", "done", facts=(FactReading(name="name", payload=text("fact_name")),))
    run.answer("three", "done")
    assert run.found(BroadcastEnded)[0].disagreed == ("name",)
    assert run.found(FactsRecorded) == []


@given(st.integers(1, 3), st.integers(0, 4))
def test_failed_members_are_asked_again_in_the_background_up_to_the_limit(retries: int, failures: int) -> None:
    run = Run(program(retries=retries, retry_after_seconds=600)).begun()
    run.answer("one", "done")
    run.answer("two", "done")
    run.answer("three", "failed")
    assert run.conversation.state == "more"
    asked = 0
    while run.conversation.background:
        (timer,) = run.conversation.background
        assert (timer, run.conversation.background[timer].due) in run.conversation.timers
        events = run.do(Fire(timer=timer), seconds=600)
        (request,) = [one for one in events if isinstance(one, AgentRequested)]
        assert (request.background, request.member) == (True, "three")
        assert (run.conversation.state, dict(run.conversation.pending)) == ("more", {})
        asked += 1
        run.answer("three", "failed" if asked <= failures else "done")
        if asked > failures:
            break
    assert asked == min(retries, failures + 1)
    heard = [one.heard for one in run.found(LateResult)]
    assert heard == ([False] * failures + [True] if failures < retries else [False] * retries)
    if failures < retries:
        assert run.conversation.state == "sum_up"
        request = run.found(AgentRequested)[-1]
        assert [(one.member, one.late) for one in request.results] == [("one", False), ("two", False), ("three", True)]


def test_a_late_result_is_heard_only_where_a_state_says_so() -> None:
    run = Run(program(retries=1)).begun()
    for who in MEMBERS:
        run.answer(who, "failed")
    assert run.conversation.state == "nothing"
    (timer,) = run.conversation.background
    run.do(Fire(timer=timer), seconds=600)
    run.answer("one", "done")
    assert [one.heard for one in run.found(LateResult)] == [False]
    assert run.conversation.state == "nothing"


def test_a_retry_of_a_broadcast_that_began_anew_is_dropped() -> None:
    """Its members belong to a question that is over."""
    run = Run(program(retries=1, retry_after_seconds=600)).begun()
    for who in MEMBERS:
        run.answer(who, "failed")
    (timer,) = run.conversation.background
    moved = TransitionTaken(source="nothing", on="message", target="team", row=0, because="P")
    started = run.found(BroadcastStarted)[0]
    run.conversation = fold("c", [*run.events, moved, started])
    events = run.do(Fire(timer=timer), seconds=600)
    assert [type(one).__name__ for one in events] == ["TimerFired"]


@given(st.lists(st.sampled_from(("one", "two", "planner", None)), max_size=6))
def test_a_plan_makes_one_member_a_subtask(workers: list[str | None]) -> None:
    """A worker that may not work here has failed before it began; an empty plan is an outcome."""
    plan = program(members=(), plan="plan", workers=("one", "two"), most=5)
    run = Run(plan).begun([one for one in workers if one is not None])
    named = [one for one in workers if one is not None]
    if not named:
        assert run.conversation.state == "empty"
        assert run.found(BroadcastEnded)[0].outcome == "empty"
        return
    if len(named) > 5:
        assert run.conversation.state == "stopped"
        return
    allowed = [one for one in named if one in ("one", "two")]
    for number, worker in enumerate(named, start=1):
        if worker in ("one", "two"):
            run.answer(f"task_{number}", "done")
    (ended,) = run.found(BroadcastEnded)
    assert ended.valid == len(allowed)
    assert [one.reason for one in ended.members if one.status == "failed"] == ["unknown_worker"] * (
        len(named) - len(allowed)
    )
    requests = [one for one in run.found(AgentRequested) if one.member is not None]
    assert [one.task.name for one in requests if one.task] == [
        f"task_{n}" for n, one in enumerate(named) if one in ("one", "two")
    ]
    assert all(one.history.count == 0 for one in requests)


def test_a_limit_is_reached_before_anybody_is_asked() -> None:
    """All members together are one question: it is asked whole, or not at all."""
    run = Run(program(limits=Limits(agent_calls=3))).begun()
    assert run.conversation.state == "stopped"
    assert [one for one in run.found(AgentRequested) if one.member] == []
    control = Run(program(limits=Limits(agent_calls=4))).begun()
    assert len([one for one in control.found(AgentRequested) if one.member]) == 3


@given(st.integers(1, 3), st.integers(0, 4))
def test_a_member_is_asked_again_within_its_attempts(attempts: int, failures: int) -> None:
    members = (MemberSpec(name="one", agent="one", attempts=attempts),)
    run = Run(program(members=members)).begun()
    for _ in range(failures):
        if run.conversation.state != "team":
            break
        run.answer("one", "invalid", violations=("risk: is missing.",))
    if run.conversation.state == "team":
        run.answer("one", "done")
    requests = [one for one in run.found(AgentRequested) if one.member]
    assert [one.attempt for one in requests] == list(range(1, min(attempts, failures + 1) + 1))
    assert all(one.repairs for one in requests[1:])
    assert run.found(BroadcastEnded)[0].outcome == ("complete" if failures < attempts else "failed")


def test_a_person_can_say_that_a_member_will_not_answer() -> None:
    run = Run(program()).begun()
    run.answer("one", "done")
    run.answer("two", "done")
    run.do(Resolve(effect=run.calls["three"], how="failed"))
    (ended,) = run.found(BroadcastEnded)
    assert [(one.name, one.reason) for one in ended.members if one.status == "failed"] == [("three", "given_up")]
    assert ended.outcome == "partial"


def test_no_retry_outlives_the_conversation() -> None:
    run = Run(program(retries=1)).begun()
    run.answer("one", "done")
    run.answer("two", "failed")
    run.answer("three", "failed")
    assert len(run.found(RetryPlanned)) == 1
    run.do(Say(message=text("message"), token_bound=10, reading=Reading()))
    assert run.conversation.status == "ended"
    assert run.conversation.timers == ()


@given(st.permutations(MEMBERS))
def test_what_was_not_heard_is_read_by_nobody(order: list[str]) -> None:
    """After the end no state can come to see a result that no row took: what a judge passed stays what it was."""
    run = Run(program(quorum=1)).begun()
    run.answer(order[0], "done")
    before = run.conversation.outputs["team"]
    assert [one.member for one in before] == [order[0]]
    run.answer(order[1], "done")
    assert run.found(LateResult)[-1].heard is False
    assert run.conversation.outputs["team"] == before
    run.answer("writer", "done")
    run.answer(order[2], "done")
    late = run.found(LateResult)[-1]
    assert (late.heard, late.result.member, late.result.late) == (True, order[2], True)
    assert [one.member for one in run.conversation.outputs["team"]] == [order[0], order[2]]


def test_an_answer_of_an_earlier_broadcast_replaces_nothing_of_a_later_one() -> None:
    """It is named as what it is, changes no result and plans no retry."""
    run = Run(program(quorum=1, retries=1)).begun()
    run.answer("one", "done")
    slow = run.calls["two"]
    moved = TransitionTaken(source="sum_up", on="done", target="team", row=0, because="P")
    started = run.found(BroadcastStarted)[0]
    run.conversation = fold("c", [*run.events, moved, started])
    second = run.conversation.version - 1
    before = run.conversation.outputs["team"]
    report = AgentReport(outcome="done", output=text("output"), usage=Usage(input_tokens=1, output_tokens=1))
    (late,) = [one for one in run.do(AgentEnded(effect=slow, report=report)) if isinstance(one, LateResult)]
    assert late.broadcast != second
    assert (late.heard, late.result) == (False, None)
    assert run.conversation.outputs["team"] == before
    failed = run.do(AgentEnded(effect=run.calls["three"], report=AgentReport(outcome="failed")))
    assert not any(isinstance(one, RetryPlanned) for one in failed)


def test_a_limit_of_the_conversation_too_is_reached_before_anybody_is_asked() -> None:
    """One more call than the conversation has tokens for: none is made."""
    one_call = 33_000
    run = Run(program(limits=Limits(conversation_tokens=3 * one_call))).begun()
    assert run.conversation.state == "stopped"
    assert [one for one in run.found(AgentRequested) if one.member] == []
    control = Run(program(limits=Limits(conversation_tokens=4 * one_call))).begun()
    assert len([one for one in control.found(AgentRequested) if one.member]) == 3


def test_a_member_that_reaches_a_limit_ends_it_for_all_on_the_record() -> None:
    run = Run(program()).begun()
    run.answer("one", "done")
    run.answer("two", "failed", limit={"name": "tenant_tokens", "value": 9, "maximum": 8})
    (ended,) = run.found(BroadcastEnded)
    assert (ended.outcome, [one.status for one in ended.members]) == ("failed", ["done", "failed", "pending"])
    assert run.conversation.state == "stopped"


def test_nothing_is_performed_again_for_a_conversation_that_ended() -> None:
    run = Run(program(quorum=1)).begun()
    run.answer("one", "done")
    run.answer("writer", "done")
    assert len(effects_of(run.conversation)) == 2
    run.do(Say(message=text("message"), token_bound=10, reading=Reading()))
    assert run.conversation.status == "ended"
    assert effects_of(run.conversation) == ()
    run.answer("two", "done")
    assert run.conversation.tokens == 15 * 4 + 33_000, "one is still out, and counts at its maximum"
