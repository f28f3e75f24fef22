"""Steps that would break a policy: a row, a call state's tool, an agent's tool, an end. Each is refused and told."""

from datetime import UTC, datetime
from typing import Any

import pytest

from interlock.agents.tools import tool
from interlock.contracts.commands import (
    CUSTOMER,
    Actor,
    AgentEnded,
    AgentReport,
    Command,
    Decide,
    ProposedCall,
    Reading,
    Say,
    Start,
    ToolEnded,
    ToolReport,
)
from interlock.contracts.errors import FlowError
from interlock.contracts.events import Event, PolicyKept, ReplySent, ToolRefused, ToolRequested, TransitionTaken
from interlock.contracts.payload import PayloadRef
from interlock.contracts.tools import ToolContext
from interlock.contracts.values import SubjectId
from interlock.fsm.code import Code
from interlock.fsm.conversation import Conversation
from interlock.fsm.decide import decide
from interlock.fsm.load import read_flow
from interlock.fsm.policies.make import policy
from interlock.fsm.program import Program, compiled

AT = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
CLERK = Actor(kind="human", id="clerk-7", roles=("clerk",))
TEXT = PayloadRef(name="text", kind="message", commit="ab" * 32, length=5)


@tool(consequential=True, says="Pays; the same key pays once.")
def pay(context: ToolContext) -> dict[str, bool]:
    return {}


CODE = Code.of(tools=[pay])
FLOW = """flow: payments
version: 1
owner: tests
initial: start
policies:
{policies}
agents:
  clerk: {{instructions: Help.}}
states:
  start:  {{kind: wait, deadline: 1h}}
  asking: {{kind: agent, agent: clerk, tools: [pay]}}
  paying: {{kind: call, tool: pay, attempts: 1}}
  desk:   {{kind: human, role: clerk, decisions: [again, ask, pay, over], deadline: 1h}}
  closed: {{kind: final}}
transitions:
  - [start,  message, otherwise, {first}, P-1]
  - [asking, done,    otherwise, closed, P-1]
  - [paying, done,    otherwise, closed, P-1]
  - [desk,   again,   otherwise, {first}, P-1]
  - [desk,   ask,     otherwise, asking, P-1]
  - [desk,   pay,     otherwise, paying, P-1]
  - [desk,   over,    otherwise, closed, P-1]
  - [any, expired, otherwise, desk, P-2]
  - [any, unsure,  otherwise, desk, P-2]
  - [any, refused, otherwise, desk, P-2]
  - [any, invalid, otherwise, desk, P-2]
  - [any, failed,  otherwise, desk, P-2]
  - [any, timeout, otherwise, desk, P-2]
  - [any, over_budget, otherwise, desk, P-2]
  - [any, limit,   otherwise, desk, P-2]
  - [any, policy,  otherwise, desk, P-3]
"""
SPOKEN = "  looked_at: {says: A person looks first., never: %s, unless_before: 'decided:desk.again', enforced: true}"


class Talk:
    """One conversation, a command at a time."""

    def __init__(self, policies: str, first: str) -> None:
        text = FLOW.format(policies=policies, first=first)
        self.program: Program = compiled(read_flow(text, CODE).flow, CODE)
        self.conversation = Conversation(id="talk")
        self.events: list[Event] = []
        self.do(Start(flow=self.program.ref, subject=SubjectId("somebody")))

    def do(self, body: Any, actor: Actor = CUSTOMER) -> list[Event]:
        command = Command(key=f"c:{len(self.events)}", at=AT, actor=actor, body=body)
        decision = decide(self.program, self.conversation, command)
        self.conversation = decision.conversation
        self.events += decision.events
        return list(decision.events)

    def say(self) -> list[Event]:
        return self.do(Say(message=TEXT, token_bound=5, reading=Reading()))

    def of(self, kind: type[Any]) -> list[Any]:
        return [one for one in self.events if isinstance(one, kind)]

    def decided(self, decision: str) -> list[Event]:
        return self.do(Decide(task=self.conversation.visit.task or 0, decision=decision), CLERK)


def test_a_row_that_would_break_a_policy_is_refused_and_the_policy_row_is_taken() -> None:
    talk = Talk(SPOKEN % "enter:paying", "paying")
    talk.say()
    (kept,) = talk.of(PolicyKept)
    assert (kept.policies, kept.state, kept.on, kept.target, kept.row) == (
        ("looked_at",),
        "start",
        "message",
        "paying",
        0,
    )
    (moved,) = talk.of(TransitionTaken)
    assert (moved.source, moved.on, moved.target) == ("start", "policy", "desk")
    assert any(one.text == "phrase.policy" for one in talk.of(ReplySent))
    talk.decided("again")
    assert talk.conversation.state == "paying"


def test_a_tool_of_a_call_state_is_refused_before_it_runs() -> None:
    talk = Talk(SPOKEN % "tool:pay", "paying")
    talk.say()
    (kept,) = talk.of(PolicyKept)
    assert (kept.policies, kept.state, kept.tool, kept.on) == (("looked_at",), "paying", "pay", None)
    assert talk.of(ToolRequested) == []
    assert talk.conversation.state == "desk"


def test_a_tool_that_an_agent_proposes_is_refused_and_the_model_is_told_why() -> None:
    talk = Talk(SPOKEN % "tool:pay", "asking")
    talk.say()
    (effect,) = talk.conversation.pending
    call = ProposedCall(name="pay", arguments=PayloadRef(name="a", kind="arguments", commit="ab" * 32, length=2))
    talk.do(AgentEnded(effect=effect, report=AgentReport(outcome="done", calls=(call,))))
    (refused,) = talk.of(ToolRefused)
    assert (refused.tool, refused.reason, refused.policies) == ("pay", "policy", ("looked_at",))
    assert refused.problems == ("A person looks first.",)
    assert talk.of(ToolRequested) == []
    assert talk.conversation.state == "asking"  # the model goes on


def test_a_conversation_does_not_end_while_a_policy_waits_for_something() -> None:
    """`must` is owed at the end; once it has happened, the end is taken."""
    talk = Talk("  a_person: {says: A person was asked., must: desk, enforced: true}", "paying")
    talk.say()
    (effect,) = talk.conversation.pending
    talk.do(ToolEnded(effect=effect, report=ToolReport(outcome="done")))
    (kept,) = talk.of(PolicyKept)
    assert (kept.on, kept.target) == ("done", "closed")
    assert talk.conversation.state == "desk"
    talk.decided("over")
    assert talk.conversation.status == "ended"


def test_each_payment_needs_its_own_approval() -> None:
    """With `each`, what went before is used up."""
    spoken = (SPOKEN % "tool:pay").replace("enforced: true", "each: true, enforced: true")
    talk = Talk(spoken, "paying")
    talk.say()
    talk.decided("again")
    (effect,) = talk.conversation.pending
    talk.do(ToolEnded(effect=effect, report=ToolReport(outcome="failed")))
    assert talk.conversation.state == "desk"
    talk.decided("again")
    assert len(talk.of(ToolRequested)) == 2
    assert len(talk.of(PolicyKept)) == 1


def test_the_same_policy_in_python_is_the_same_policy() -> None:
    spoken = Talk(SPOKEN % "tool:pay", "paying").program.flow.policies
    written = policy(
        "looked_at", "A person looks first.", never="tool:pay", unless_before="decided:desk.again", enforced=True
    )
    assert spoken == (written,)


def test_a_policy_of_no_word_says_what_a_word_is() -> None:
    with pytest.raises(FlowError) as refused:
        policy("odd", "It is odd.", never="to pay")
    assert "It does not fit: never.0: String should match pattern" in str(refused.value)
    assert "Fix: Write words such as tool:refund, decided:review.yes or message" in str(refused.value)
