"""Child conversations against people who mean harm: who gave a fact below does not approve it above, and nobody begins
a child but its parent."""

from typing import Any

import pytest

from interlock.agents.scripted import ScriptedAgent
from interlock.agents.tools import tool
from interlock.contracts.commands import CUSTOMER, SYSTEM, Actor, Reading, Say, Start
from interlock.contracts.errors import CallError
from interlock.contracts.events import CommandRefused
from interlock.contracts.facts import FactReading
from interlock.contracts.subflow_events import SubflowEnded, SubflowStarted
from interlock.contracts.tools import ToolContext
from interlock.contracts.values import SubjectId
from interlock.fsm.code import Code, Subflow
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.fsm.subflow import child_id, parent_of
from interlock.persistence.memory_store import MemoryStore
from interlock.service.clock import minted
from interlock.service.runtime import Runtime
from interlock.service.submission import Submission
from support.runtime import of_type, path_of
from support.subflows import check_family, child_of, desk, helper

INTAKE = """
flow: intake
version: 1
owner: tests
initial: asking
facts:
  amount: {type: money, ask: "How much?", minimum: "0.01", maximum: "9000.00"}
states:
  asking: {kind: wait, inputs: [invoice], deadline: 30m}
  ok: {kind: final}
  bad: {kind: final, failure: true}
transitions:
  - [asking, message, otherwise, asking, C-1]
  - [asking, invoice, otherwise, ok, C-1]
  - [any, expired, otherwise, bad, C-1]
  - [any, limit, otherwise, bad, C-1]
"""
OFFICE = """
flow: office
version: 1
owner: tests
initial: intake
facts:
  amount: {type: money, ask: "How much?", minimum: "0.01", maximum: "9000.00"}
subflows: {intake: intake.yaml}
states:
  intake: {kind: subflow, flow: intake, returns: [amount], deadline: 1h}
  ok: {kind: final}
  bad: {kind: final, failure: true}
transitions:
  - [intake, ok, otherwise, ok, O-1]
  - [intake, bad, otherwise, bad, O-1]
  - [intake, failed, otherwise, bad, O-1]
  - [any, limit, otherwise, bad, O-1]
"""
PAYS = """
flow: pays
version: 1
owner: tests
initial: start
facts:
  amount: {type: money, ask: "How much?", minimum: "0.01", maximum: "9000.00"}
subflows: {intake: BELOW.yaml}
states:
  start: {kind: wait, deadline: 30m}
  intake: {kind: subflow, flow: intake, returns: [amount], deadline: 1h}
  desk: {kind: human, role: clerk, decisions: [approve, reject], approves: approve, shows: [amount], deadline: 4h}
  act: {kind: call, tool: pay, reads: [amount], approval: desk}
  over: {kind: final}
transitions:
  - [start, message, otherwise, intake, P-1]
  - [intake, ok, otherwise, desk, P-2]
  - [intake, bad, otherwise, over, P-2]
  - [intake, failed, otherwise, over, P-2]
  - [desk, approve, otherwise, act, P-3]
  - [desk, reject, otherwise, over, P-3]
  - [act, done, otherwise, over, P-4]
  - [act, failed, otherwise, over, P-4]
  - [act, timeout, otherwise, over, P-4]
  - [act, unapproved, otherwise, over, P-4]
  - [any, expired, otherwise, over, P-5]
  - [any, limit, otherwise, over, P-5]
"""
BYE = minted("message", "message", b"bye")
SAYS_BYE = Say(message=BYE.ref, token_bound=3, reading=Reading())
BOB, ANNA = (Actor(kind="human", id=name, roles=("clerk",)) for name in ("bob", "anna"))


def paying(paid: list[int], levels: int) -> Program:
    """A flow that approves above one that does not, or two."""

    @tool(consequential=True, says="Pays.")
    def pay(amount: int, context: ToolContext) -> dict[str, Any]:
        paid.append(amount)
        return {}

    code = Code()
    below = read_flow(INTAKE, code).flow
    if levels == 2:
        code = Code.of(subflows={"intake": Subflow(below, code)})
        below = read_flow(OFFICE, code).flow
    pays = Code.of(tools=[pay], subflows={"intake": Subflow(below, code)})
    return compiled(read_flow(PAYS.replace("BELOW", below.name), pays).flow, pays)


@pytest.mark.parametrize("levels", [1, 2])
async def test_who_gave_a_fact_in_a_child_does_not_approve_it_in_the_parent(levels: int) -> None:
    """However many levels lie between; somebody else does, which is the control."""
    paid: list[int] = []
    store, program = MemoryStore(), paying(paid, levels)
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        await runtime.start("pays", conversation="talk")
        await runtime.say("talk", "hello")
        child = child_of(store, "talk")
        for _ in range(levels - 1):
            child = child_of(store, child)
        await runtime.give(child, "invoice", {"amount": "9000.00"}, actor=BOB)
        task = (await runtime.outcome("talk")).task
        assert task is not None
        await runtime.decide_task("talk", task.number, "approve", actor=BOB, shown=task.shown)
        assert paid == []
        assert [one.reason for one in of_type(store, "talk", CommandRefused)] == ["requester"]
        await runtime.decide_task("talk", task.number, "approve", actor=ANNA, shown=task.shown)
        assert paid == [900_000]
    check_family(store, program)


async def test_where_nothing_approves_nobody_is_recorded() -> None:
    """Names stand in a log only where an approval needs them."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        await runtime.say(child_of(store, "talk"), "bye", actor=BOB)
    assert of_type(store, "talk", SubflowEnded)
    for stream in store.streams():
        assert not any(b"requester" in entry.data or b'"by"' in entry.data for entry in store.read(stream))


async def test_a_caller_cannot_begin_the_child_that_a_parent_would_begin() -> None:
    """Ids like those of children are refused; any other is the caller's to choose."""
    store = MemoryStore()
    async with Runtime(store, desk(), helper()) as runtime:
        talk = (await runtime.start("desk")).conversation
        forged = child_id(talk, store.head(talk).length + 2)
        with pytest.raises(CallError) as caught:
            await runtime.start("team", conversation=forged, facts={"paid": True})
        assert caught.value.what == f"{forged!r} is the id of a child conversation (a UUID of version 8)."
        assert caught.value.fix == "Leave `conversation` out, or give a random UUID (version 4)."
        assert list(store.streams()) == [talk]
        assert (await runtime.start("team", conversation="6f1f3c9e-5a41-4c06-8a14-b6d8a0d5e1f2")).state == "asking"


@pytest.mark.parametrize("named", [None, "elsewhere", "talk"])
async def test_a_child_that_its_parent_did_not_begin_is_not_its_child(named: str | None) -> None:
    """Written into the log past the runtime: it ends as `failed`, and nothing of it is taken. Under the right parent
    and effect it is the child itself, which is the control."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="usual")
        await runtime.say("usual", "hello")
        (usual,) = of_type(store, "usual", SubflowStarted)
        await runtime.start("desk", conversation="talk")
        effect = store.head("talk").length + 2
        identity, team = child_id("talk", effect), runtime._conversations.newest("team")
        parent = None if named is None else parent_of(named, effect, usual)
        facts = (FactReading(name="paid", value=True),)
        start = Start(flow=team.ref, subject=SubjectId("somebody"), facts=facts, parent=parent)
        live = runtime._conversations.opened(identity, team)
        await runtime._turn(live, Submission("p:start", SYSTEM, lambda _: (start, ()), always=True))
        await runtime._turn(live, Submission("c:1", CUSTOMER, lambda _: (SAYS_BYE, (BYE,)), always=True))
        await runtime.say("talk", "hello")
        (ended,) = of_type(store, "talk", SubflowEnded)
        known = (await runtime._conversations.known("talk")).conversation.known
    if named == "talk":
        assert (ended.report.outcome, path_of(store, "talk")) == ("solved", ["message>working", "solved>more"])
        assert known["paid"].value is True
        return
    assert (ended.report.outcome, ended.report.facts) == ("failed", ())
    assert ended.report.failing is not None
    assert ended.report.failing.reason == "not_its_child"
    assert path_of(store, "talk") == ["message>working", "failed>clerk"]
    assert "paid" not in known
