"""Approvals at work: what is open, what a model proposes, what a tool is told, and what the checks say of a flow."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from interlock.agents.scripted import ScriptedAgent, calls, gives
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentReply, AgentRequest, ToolCall
from interlock.contracts.commands import CUSTOMER, Actor, Decide, Give, GivenFact
from interlock.contracts.errors import FlowError
from interlock.contracts.events import (
    AgentReturned,
    ApprovalVoid,
    CommandRefused,
    FactsRecorded,
    TaskOpened,
    ToolRefused,
    ToolRequested,
    ToolReturned,
)
from interlock.contracts.facts import KnownFact
from interlock.contracts.tools import Tool, ToolContext
from interlock.fsm.code import Code, Subflow
from interlock.fsm.evolve import evolve
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.service import covering, perform
from interlock.service.runtime import Runtime
from support.approving import FLOW, PEOPLE, Answer, approving, begun, look_up, no_evidence, pay
from support.runtime import check_log, of_type

CODE = Code.of(tools=[look_up, pay], contracts=[Answer])
WHOLE = FLOW.replace("APPROVALS", "2")


def codes(text: str, code: Code = CODE) -> dict[str, str]:
    with pytest.raises(FlowError) as caught:
        read_flow(text, code)
    return {fault.code: f"{fault.what} {fault.fix}" for fault in caught.value.faults}


def test_the_flow_is_without_fault() -> None:
    """The control of the faults below."""
    assert read_flow(WHOLE, CODE).flow.name == "approving"


@pytest.mark.parametrize(
    ("old", "new", "code", "said"),
    [
        ('approves: "yes"', "approves: maybe", "S210", "'desk' approves with 'maybe', which is none of its decisions."),
        ('approves: "yes", ', "", "S210", "'desk' needs 2 approvals, and does not say which decision is one."),
        ("approval: desk}", "approval: dusk}", "S211", "needs the approval of 'dusk', which gives none. Did you mean"),
        ("approval: desk}", "approval: start}", "S211", "needs the approval of 'start', which gives none."),
        ("tool: pay,", "tool: look_up,", "S212", "needs the approval of 'desk' for no tool that changes anything."),
        ("shows: [account, amount]", "shows: [amount]", "S213", "'desk' does not show 'account', with which 'helper'"),
        ("act,    unapproved,", "act,    done,      ", "S130", "can end with 'unapproved', and no row says"),
    ],
)
def test_what_an_approval_lacks_is_a_fault(old: str, new: str, code: str, said: str) -> None:
    """Each with its code and what to do."""
    assert old in WHOLE
    found = codes(WHOLE.replace(old, new))
    assert said in found[code]


def test_a_decision_on_facts_that_changed_is_refused_and_the_task_opened_anew() -> None:
    """The old task is void with its endorsement, by the same deadline; only the new one is decided."""
    history = begun(approving(2))
    history.do("c:1", CUSTOMER, Give(name="ask"), no_evidence)
    task, opened = history.conversation.visit.task or 0, history.conversation.visit.opened
    assert opened is not None
    history.do("c:2", PEOPLE[0], Decide(task=task, decision="yes", shown=opened.shown), no_evidence)
    assert history.conversation.visit.endorsed == ("anna",)
    history.conversation = evolve(history.conversation, FactsRecorded(facts=(KnownFact(name="amount", value=7),)))
    history.do("c:3", PEOPLE[1], Decide(task=task, decision="yes", shown=opened.shown), no_evidence)
    refused, anew = history.steps[-1].decision.events
    assert isinstance(refused, CommandRefused)
    assert refused.reason == "changed"
    assert isinstance(anew, TaskOpened)
    assert (anew.due, anew.decisions, anew.approvals) == (opened.due, opened.decisions, opened.approvals)
    assert anew.shown != opened.shown
    visit = history.conversation.visit
    assert (visit.task, visit.endorsed, visit.timer is not None) == (task + 5, (), True)
    history.do("c:4", PEOPLE[1], Decide(task=task, decision="yes", shown=opened.shown), no_evidence)
    assert [one.reason for one in history.steps[-1].decision.events if isinstance(one, CommandRefused)] == [
        "unknown_task"
    ]


def test_a_task_that_asks_for_no_approval_needs_no_digest_but_keeps_its_word() -> None:
    """With one, the same comparison holds; without, the decision stands as it always did."""
    text = WHOLE.replace('approves: "yes", approvals: 2,', "").replace(", approval: desk", "")
    text = text.replace("  - [act,    unapproved,  otherwise, start,  A-3]\n", "")
    history = begun(compiled(read_flow(text, CODE).flow, CODE))
    history.do("c:1", CUSTOMER, Give(name="ask"), no_evidence)
    task = history.conversation.visit.task or 0
    history.do("c:2", PEOPLE[0], Decide(task=task, decision="yes", shown="ab" * 32), no_evidence)
    (refused,) = history.steps[-1].decision.events
    assert isinstance(refused, CommandRefused)
    assert refused.reason == "changed"
    history.do("c:3", PEOPLE[0], Decide(task=task, decision="yes"), no_evidence)
    assert history.conversation.state == "start"
    assert not any(b"requester" in entry.data or b'"by"' in entry.data for entry in history.entries)


# -- a model proposes -----------------------------------------------------------------------------------


PAID: list[tuple[str, int, dict[str, Any]]] = []


def recording() -> Tool:
    @tool(consequential=True, name="pay")
    def pay(account: str, amount: int, context: ToolContext) -> dict[str, bool]:
        """Pays."""
        PAID.append((account, amount, dict(context.facts)))
        return {"paid": True}

    return pay


async def approved_by_one(runtime: Runtime) -> None:
    """A conversation with account 12345678 and an amount of 1.00, both approved."""
    facts = {"account": "12345678", "amount": 100, "colour": "red"}
    await runtime.start(conversation="talk", facts=facts)
    asked = await runtime.give("talk", "ask", actor=CUSTOMER)
    assert asked.task
    await runtime.decide_task("talk", asked.task.number, "yes", actor=PEOPLE[0], shown=asked.task.shown)


@asynccontextmanager
async def proposing(*answers: Any) -> AsyncIterator[tuple[Runtime, MemoryStore]]:
    """A conversation whose helper proposes these calls, with account 12345678 and an amount of 1.00 approved."""
    PAID.clear()
    store, program = MemoryStore(), approving(1, Code.of(tools=[look_up, recording()], contracts=[Answer]))
    async with Runtime(store, program, ScriptedAgent([*answers, gives()])) as runtime:
        await approved_by_one(runtime)
        yield runtime, store
    check_log(store, program)


async def test_a_model_may_do_exactly_what_was_approved() -> None:
    """The tool gets the approved arguments, and of other facts only those that were shown."""
    async with proposing(calls("pay", account="12345678", amount=100)) as (runtime, store):
        await runtime.give("talk", "propose", actor=CUSTOMER)
        assert PAID == [("12345678", 100, {"account": "12345678", "amount": 100})]
        assert of_type(store, "talk", ToolRefused) == []


@pytest.mark.parametrize(
    "arguments",
    [
        {"account": "12345678", "amount": 101},
        {"account": "87654321", "amount": 100},
        {"account": "12345678 ", "amount": 100},
        {"account": "12345678", "amount": 10_000},
    ],
)
async def test_other_arguments_than_approved_are_refused(arguments: dict[str, Any]) -> None:
    """Refused on the record; the approval is not used up, so that the right call may still come."""
    right = calls("pay", account="12345678", amount=100)
    async with proposing(calls("pay", **arguments), right) as (runtime, store):
        await runtime.give("talk", "propose", actor=CUSTOMER)
        (void,) = of_type(store, "talk", ApprovalVoid)
        (refused,) = of_type(store, "talk", ToolRefused)
        assert (void.reason, refused.reason, refused.tool) == ("arguments", "unapproved", "pay")
        assert [(one[0], one[1]) for one in PAID] == [("12345678", 100)]


async def test_an_approval_is_used_once() -> None:
    """Two calls in one answer, and one in the next turn: one payment."""
    call = json.dumps({"account": "12345678", "amount": 100})
    twice = AgentReply(tool_calls=(ToolCall("a", "pay", call), ToolCall("b", "pay", call)))
    async with proposing(twice, gives(), twice) as (runtime, store):
        await runtime.give("talk", "propose", actor=CUSTOMER)
        await runtime.give("talk", "propose", actor=CUSTOMER)
        assert len(PAID) == 1
        assert [one.reason for one in of_type(store, "talk", ApprovalVoid)] == ["used", "used", "used"]


async def test_facts_that_changed_since_void_it_for_a_model_too() -> None:
    async with proposing(calls("pay", account="12345678", amount=200)) as (runtime, store):
        await runtime.give("talk", "propose", {"amount": 200}, actor=CUSTOMER)
        assert [one.reason for one in of_type(store, "talk", ApprovalVoid)] == ["changed"]
        assert PAID == []


async def test_what_changes_nothing_needs_no_approval() -> None:
    """`look_up` runs without; the approval stays for what needs it."""
    async with proposing(calls("look_up", colour="red"), calls("pay", account="12345678", amount=100)) as (
        runtime,
        store,
    ):
        await runtime.give("talk", "propose", actor=CUSTOMER)
        assert [one.tool for one in of_type(store, "talk", ToolRequested)] == ["look_up", "pay"]
        assert len(PAID) == 1


async def test_the_model_is_told_that_it_is_not_approved() -> None:
    """In the next round it reads the refusal, as of any other tool that did not run."""
    seen: list[str] = []

    def second(request: AgentRequest) -> AgentReply:
        seen.append(request.messages[-1].content)
        return gives()

    async with proposing(calls("pay", account="12345678", amount=1), second) as (runtime, _):
        await runtime.give("talk", "propose", actor=CUSTOMER)
    assert seen == ["Refused (unapproved)."]


async def test_facts_that_change_between_the_intent_and_the_call_stop_it() -> None:
    """The second lock: what the approval covered is looked at again when the tool begins."""
    store, program = MemoryStore(), approving(1, Code.of(tools=[look_up, recording()], contracts=[Answer]))
    PAID.clear()
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        await runtime.start(conversation="talk", facts={"account": "12345678", "amount": 100})
        asked = await runtime.give("talk", "ask", actor=CUSTOMER)
        assert asked.task
        await runtime.decide_task("talk", asked.task.number, "yes", actor=PEOPLE[0], shown=asked.task.shown)
        plain = runtime.performer.run_tool

        async def after_a_change(live: Any, effect: Any) -> Any:
            known = {**live.conversation.known, "amount": KnownFact(name="amount", value=999)}
            live.conversation = live.conversation.changed(known=known)
            return await plain(live, effect)

        runtime.performer.run_tool = after_a_change  # type: ignore[method-assign]
        await runtime.give("talk", "act", actor=CUSTOMER)
    (returned,) = of_type(store, "talk", ToolReturned)
    assert (returned.report.outcome, returned.report.reason) == ("failed", "unapproved")
    assert PAID == []


# -- what a model writes stays out of the log --------------------------------------------------------------

SAID = "Anna Muster, IBAN DE89 3704 0044 0532 0130 00"
WRITTEN: list[dict[str, Any]] = [{"account": "12345678", "amount": SAID}, {"account": SAID, "amount": 100}]


def liberal() -> Tool:
    @tool(consequential=True, name="pay")
    def pay(account: str, amount: int | str, context: ToolContext) -> dict[str, bool]:
        """Pays, and takes any text for an amount."""
        PAID.append((account, 0, dict(context.facts)))
        return {"paid": True}

    return pay


async def proposed(arguments: dict[str, Any]) -> MemoryStore:
    """The log after a model proposed these arguments where 1.00 to 12345678 was approved."""
    PAID.clear()
    store, program = MemoryStore(), approving(1, Code.of(tools=[look_up, liberal()], contracts=[Answer]))
    async with Runtime(store, program, ScriptedAgent([calls("pay", **arguments), gives()])) as runtime:
        await approved_by_one(runtime)
        await runtime.give("talk", "propose", actor=CUSTOMER)
        assert await runtime.recover() == ()
    check_log(store, program)
    return store


def holds(store: MemoryStore, text: str) -> bool:
    return any(text.encode() in entry.data for entry in store.read("talk"))


@pytest.mark.parametrize("arguments", WRITTEN)
async def test_a_proposed_argument_that_is_no_fact_stands_in_no_envelope(arguments: dict[str, Any]) -> None:
    """Only that it differs is recorded; the call is refused."""
    store = await proposed(arguments)
    assert not holds(store, SAID)
    assert [one.reason for one in of_type(store, "talk", ApprovalVoid)] == ["arguments"]
    assert PAID == []


async def test_a_proposed_argument_as_long_as_an_entry_stops_no_conversation() -> None:
    """It is refused as any other, and asked for once."""
    store = await proposed({"account": "12345678", "amount": "x" * 70_000})
    (first, *_) = of_type(store, "talk", AgentReturned)
    assert (first.report.outcome, first.report.calls[0].given[1].differs) == ("done", True)


async def test_an_argument_that_repeats_the_fact_is_recorded_with_its_value_and_may_run() -> None:
    """The control: what is the fact's own value stands in the log, which holds it already."""
    store = await proposed({"account": "12345678", "amount": 100})
    (first, *_) = of_type(store, "talk", AgentReturned)
    given = {one.name: (one.value, one.differs) for one in first.report.calls[0].given}
    assert given["amount"] == (100, False)
    assert not given["account"][1]
    assert len(PAID) == 1


async def test_an_argument_recorded_as_it_was_written_would_be_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with the comparison replaced by a copy, the text stands in the envelope."""

    async def copied(live: Any, texts: Any, spec: Any, value: Any) -> GivenFact:
        return GivenFact(name=spec.name, value=value)

    monkeypatch.setattr(covering, "_given", copied)
    assert holds(await proposed(WRITTEN[0]), SAID)


# -- an input comes while a tool's facts are read ------------------------------------------------------------

OPERATOR = Actor(kind="human", id="operator-1", roles=("operator",))


async def paid_while(happens: str) -> tuple[MemoryStore, Program]:
    """An approved payment during whose reading of facts an operator intervenes (`operator`) or a fact changes
    (`fact`)."""
    PAID.clear()
    code = Code.of(tools=[look_up, recording()], contracts=[Answer])
    text = FLOW.replace("APPROVALS", "1") + "  - [any, operator_human, otherwise, desk, A-5]\n"
    store, program = MemoryStore(), compiled(read_flow(text, code).flow, code)
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        await approved_by_one(runtime)
        plain, coming = runtime.texts.text, [happens]

        async def read(stream: str, version: int, name: str) -> str:
            found = await plain(stream, version, name)
            match coming.pop() if coming else "":
                case "operator":
                    await runtime.give("talk", "operator_human", {"amount": 900_000}, actor=OPERATOR)
                case "fact":
                    live = await runtime._conversations.known("talk")
                    known = {**live.conversation.known, "amount": KnownFact(name="amount", value=900_000)}
                    live.conversation = live.conversation.changed(known=known)
            return found

        runtime.texts.text = read  # type: ignore[method-assign]
        await runtime.give("talk", "act", actor=CUSTOMER)
    return store, program


async def test_an_operator_who_intervenes_while_the_facts_are_read_stops_the_tool() -> None:
    """The tool is not begun: nothing waits for it any more, and its facts are others by now."""
    store, program = await paid_while("operator")
    (returned,) = of_type(store, "talk", ToolReturned)
    assert (returned.report.outcome, returned.report.reason, returned.late) == ("failed", "withdrawn", True)
    assert PAID == []
    check_log(store, program)


async def test_facts_that_change_while_they_are_read_stop_the_tool() -> None:
    """What the approval covered is looked at again when everything is read."""
    store, _ = await paid_while("fact")
    (returned,) = of_type(store, "talk", ToolReturned)
    assert (returned.report.outcome, returned.report.reason) == ("failed", "unapproved")
    assert PAID == []


async def test_nothing_that_happens_meanwhile_lets_the_tool_run() -> None:
    """The control of both."""
    await paid_while("nothing")
    assert PAID == [("12345678", 100, {"account": "12345678", "amount": 100})]


@pytest.mark.parametrize("happens", ["operator", "fact"])
async def test_even_without_the_last_look_a_tool_gets_only_the_approved_facts(
    happens: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The facts are of the moment that was checked: with the last look left out the tool runs, on what was approved."""
    monkeypatch.setattr(perform, "_stopped", lambda *_: None)
    await paid_while(happens)
    assert PAID == [("12345678", 100, {"account": "12345678", "amount": 100})]


# -- in a child conversation ------------------------------------------------------------------------------

CHILD = """
flow: paying
version: 1
owner: tests
initial: desk
facts:
  amount: {type: money, ask: "How much?"}
states:
  desk: {kind: human, role: clerk, decisions: [approved], approves: approved, shows: [amount], deadline: 1h}
  paid: {kind: final}
transitions:
  - [desk, approved, otherwise, paid, P-1]
  - [any,  expired,  otherwise, paid, P-1]
  - [any,  limit,    otherwise, paid, P-1]
"""
PARENT = """
flow: asking
version: 1
owner: tests
initial: start
subflows: {paying: paying.yaml}
facts:
  amount: {type: money, ask: "How much?"}
states:
  start:  {kind: wait, deadline: 1h}
  paying: {kind: subflow, flow: paying, reads: [amount], deadline: 2h}
  done:   {kind: final}
transitions:
  - [start,  message, otherwise, paying, P-1]
  - [paying, paid,    otherwise, done,   P-1]
  - [any,    failed,  otherwise, done,   P-1]
  - [any,    expired, otherwise, done,   P-1]
  - [any,    limit,   otherwise, done,   P-1]
"""


async def test_who_asked_the_parent_does_not_approve_in_the_child() -> None:
    """Whoever started the parent or wrote to it is a requester of its children, though code began them."""
    child = read_flow(CHILD, Code()).flow
    code = Code.of(subflows={"paying": Subflow(child, Code())})
    program = compiled(read_flow(PARENT, code, folder_reader=lambda _: CHILD.encode()).flow, code)
    store = MemoryStore()
    async with Runtime(store, [program, *program.children.values()], ScriptedAgent([])) as runtime:
        await runtime.start("asking", conversation="talk", facts={"amount": 100})
        outcome = await runtime.say("talk", "Pay me.", actor=PEOPLE[0])
        task = outcome.task
        assert task
        for who in (CUSTOMER.changed(roles=("clerk",)), PEOPLE[0]):
            await runtime.decide_task(task.conversation, task.number, "approved", actor=who, shown=task.shown)
        assert [one.reason for one in of_type(store, task.conversation, CommandRefused)] == ["requester"] * 2
        await runtime.decide_task(task.conversation, task.number, "approved", actor=PEOPLE[1], shown=task.shown)
        assert (await runtime.outcome("talk")).state == "done"
    check_log(store, [program, *program.children.values()])
