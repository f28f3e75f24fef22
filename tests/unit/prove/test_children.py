"""What a child flow can do counts in its parent: a loop through a child is a storm where the child ends by itself."""

import pytest

from interlock.contracts.flow import AgentState
from interlock.fsm.code import Code, Subflow
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.fsm.prove.endings import agent_calls_most
from interlock.fsm.prove.findings import Finding
from interlock.fsm.prove.proof import child_of, proved, search_of
from support.broken import CODE

CHILD = """flow: details
version: 1
owner: tests
initial: asking
agents:
  helper: {{instructions: Help., contract: Answer, max_input_tokens: 9000, max_output_tokens: 100}}
states:
  asking: {first}
  other:  {{kind: agent, agent: helper, timeout: 20s}}
  known:  {{kind: final, say: Thanks.}}
  left:   {{kind: final, say: Goodbye.}}
transitions:
{rows}
  - [other,  done,     otherwise, known, CH-1]
  - [other,  failed,   otherwise, left,  CH-1]
  - [any,    limit,    otherwise, left,  CH-2]
  - [any,    unsure,   otherwise, left,  CH-2]
  - [any,    refused,  otherwise, left,  CH-2]
  - [any,    invalid,  otherwise, left,  CH-2]
  - [any,    timeout,  otherwise, left,  CH-2]
  - [any,    over_budget, otherwise, left, CH-2]
"""
WAITS = (
    '{kind: wait, say: "What is it about?", deadline: 15m}',
    "  - [asking, expired, otherwise, left, CH-2]\n  - [asking, message, otherwise, other, CH-1]",
)
PEOPLE = (
    "{kind: human, role: clerk, decisions: [tell], deadline: 15m}",
    "  - [asking, expired, otherwise, left, CH-2]\n  - [asking, tell, otherwise, other, CH-1]",
)
WORKS = (
    "{kind: agent, agent: helper, timeout: 20s}",
    "  - [asking, done, otherwise, other, CH-1]\n  - [asking, failed, otherwise, left, CH-1]",
)
LAX = "limits: {{handoffs: 5000, same_pair: 5000, agent_calls: 5000, steps: 5000}}"
STORM = (WORKS[0], WORKS[1] + "\n  - [other, over_budget, otherwise, asking, CH-1]")
PARENT = """flow: parent
version: 1
owner: tests
initial: greeting
limits: {handoffs: 5000, same_pair: 5000, agent_calls: 5000, steps: 5000}
agents:
  clerk: {instructions: Help., contract: Answer, max_input_tokens: 9000, max_output_tokens: 100}
subflows: {details: details.yaml}
states:
  greeting: {kind: wait, say: "Hello.", deadline: 30m}
  thinking: {kind: agent, agent: clerk, timeout: 20s}
  digging:  {kind: subflow, flow: details, deadline: 2h}
  desk:     {kind: human, role: clerk, decisions: [answered], deadline: 4h}
  closed:   {kind: final, say: Goodbye.}
transitions:
  - [greeting, message,  otherwise, thinking, PA-1]
  - [thinking, done,     otherwise, digging,  PA-1]
  - [digging,  known,    otherwise, thinking, PA-1]
  - [digging,  left,     otherwise, closed,   PA-1]
  - [any,      failed,   otherwise, desk,     PA-2]
  - [any,      unsure,   otherwise, desk,     PA-2]
  - [any,      refused,  otherwise, desk,     PA-2]
  - [any,      invalid,  otherwise, desk,     PA-2]
  - [any,      timeout,  otherwise, desk,     PA-2]
  - [any,      over_budget, otherwise, desk,  PA-2]
  - [desk,     answered, otherwise, closed,   PA-2]
  - [any,      expired,  otherwise, closed,   PA-3]
  - [any,      limit,    otherwise, desk,     PA-3]
"""


def child(first: str, rows: str, text: str = CHILD) -> Program:
    return compiled(read_flow(text.format(first=first, rows=rows), CODE).flow, CODE)


def parent(below: Program, text: str = PARENT) -> Program:
    code = Code.of(contracts=[*CODE.contracts.values()], subflows={"details": Subflow(below.flow, CODE)})
    return compiled(read_flow(text, code).flow, code)


def storms(program: Program) -> list[Finding]:
    return [one for one in proved(program).findings if one.code == "P305" and one.verdict == "refuted"]


@pytest.mark.parametrize("first", [WAITS, PEOPLE], ids=["customer", "person"])
def test_a_loop_through_a_child_that_must_hear_somebody_is_no_storm(first: tuple[str, str]) -> None:
    """Each round needs a message of the customer, or a decision, in the child."""
    below = child(*first)
    assert child_of(search_of(below)).alone == frozenset({"left"})
    program = parent(below)
    assert storms(program) == []
    bill = proved(program).bills
    assert bill.turn.cycle == ()
    thinking = next(one for one in program.flow.states if isinstance(one, AgentState))
    once = agent_calls_most(program.flow, thinking)
    assert bill.turn.most.calls == proved(below).bills.turn.most.calls + once


def test_what_nothing_bounds_in_a_child_is_not_bounded_in_its_parent() -> None:
    """A storm in the child: the parent's bill has no number for what it takes."""
    text = CHILD.replace("initial: asking\n", f"initial: asking\n{LAX}\n")
    below = child(*STORM, text)
    assert len(storms(below)) == 1
    program = parent(
        below, PARENT.replace("[digging,  known,    otherwise, thinking,", "[digging,  known, otherwise, closed,")
    )
    assert storms(program) == []
    bills = proved(program).bills
    assert set(bills.turn.unbounded) == set(proved(below).bills.turn.unbounded) == {"calls", "tools"}
    assert bills.conversation["calls"] is None
    assert bills.why == "a child conversation is unbounded already: only its budgets and time end it"


def test_a_loop_through_a_child_that_ends_by_itself_is_a_storm() -> None:
    """The child's agent answers, the parent's is asked again, and nobody says a word."""
    below = child(*WORKS)
    assert child_of(search_of(below)).alone == frozenset({"known", "left"})
    (found,) = storms(parent(below))
    assert found.says.startswith("'thinking', 'digging' go round by themselves, and each round calls something:")


def test_an_end_that_comes_by_silence_is_heard_by_nobody() -> None:
    """The child's deadline passes, and the parent takes this for a reason to ask again."""
    again = PARENT.replace("[digging,  left,     otherwise, closed,", "[digging,  left,     otherwise, thinking,")
    (found,) = storms(parent(child(*WAITS), again))
    assert [one.happened for one in found.counterexample if one.in_loop] == [
        "the agent ends: done",
        "subflow ends: left",
    ]


def test_a_child_is_told_by_others_where_it_can_be() -> None:
    """A person's decision in the child is somebody heard; a child that only waits for the customer hears no other."""
    assert child_of(search_of(child(*PEOPLE))).told
    assert not child_of(search_of(child(*WAITS))).told
    program = parent(child(*PEOPLE))
    explored = search_of(program).explored
    moves = [move for index in explored.at() for move in explored.model.moves_of(index)]
    assert any(one.ending.cause == "person" and one.ending.on == "" and one.new_turn for one in moves)
