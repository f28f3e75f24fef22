"""Contracts along every row: what may be missing, and what does not fit, in the words that are printed."""

from typing import Literal, TypedDict

import pytest
from pydantic import Field

from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.fsm.code import Code
from interlock.fsm.load import LoadedFlow, read_flow
from interlock.fsm.program import compiled
from interlock.fsm.prove.findings import Finding
from interlock.fsm.prove.proof import proved


class Case(AgentResult):
    """Everything is always there."""

    order: int = Field(ge=1, le=9_999)
    colour: Literal["red", "green"]


class Loose(AgentResult):
    """Nothing is promised."""

    order: int | None = None
    colour: str = ""


class Found(TypedDict):
    """What a tool says that it returns."""

    order: int


class Shipped(TypedDict):
    """No fact of the flow."""

    shipped: bool


@tool(says="Ships.")
def ship(order: int, colour: str = "") -> Shipped:
    return {"shipped": order > 0 and colour != "black"}


@tool(says="Finds the order.")
def find(colour: str = "") -> Found:
    return {"order": len(colour)}


@tool(says="Finds it too, and does not say what it returns.")
def find_untold(colour: str = "") -> dict[str, int]:
    return {"order": len(colour)}


@tool(says="Ships few.")
def ship_few(order: Literal[1, 2]) -> dict[str, bool]:
    return {"shipped": order > 0}


CODE = Code.of(tools=[ship, find, find_untold, ship_few], contracts=[Case, Loose])
FLOW = """flow: shipping
version: 1
owner: tests
initial: start
facts:
  order:  {{type: integer, minimum: 1, maximum: 9999, ask: "Which order?", volunteered: false{more}}}
  colour: {{type: choice, choices: [red, green], ask: "Which colour?", volunteered: false}}
agents:
  clerk: {{instructions: Help., contract: {contract}}}
states:
  start:  {{kind: wait, deadline: 1h{wait}}}
  asking: {{kind: {asking}}}
  send:   {{kind: call, tool: {tool}, reads: [order{reads}]}}
  desk:   {{kind: human, role: clerk, decisions: [answered], deadline: 1h{desk}}}
  closed: {{kind: final}}
transitions:
  - [start,  message,  otherwise, asking, A-1]
  - [asking, {on}, {guard}, send, A-2]
  - [asking, {on}, otherwise, desk, A-3]
  - [send,   done,     otherwise, start,  A-4]
  - [desk,   answered, otherwise, closed, A-5]
{rows}  - [any, expired, otherwise, closed, A-6]
  - [any, limit,   otherwise, desk,   A-7]
  - [any, failed,  otherwise, desk,   A-8]
  - [any, timeout, otherwise, desk,   A-9]
"""
AGENT_ROWS = "".join(
    f"  - [asking, {on}, otherwise, desk, A-10]\n" for on in ("unsure", "refused", "invalid", "over_budget")
)
FORM_ROWS = "".join(f"  - [asking, {on}, otherwise, desk, A-10]\n" for on in ("gave_up", "declined"))
USUAL = {"more": "", "wait": "", "tool": "ship", "reads": "", "desk": "", "on": "done", "guard": '"is_(colour, red)"'}
BY_AGENT = {**USUAL, "asking": "agent, agent: clerk", "rows": AGENT_ROWS, "contract": "Case"}
BY_FORM = {**USUAL, "asking": "collect, facts: [order], deadline: 1h", "rows": FORM_ROWS, "contract": "Loose"}
BY_FORM |= {"on": "complete", "guard": "known(order)"}


def loaded(**changes: str) -> LoadedFlow:
    return read_flow(FLOW.format(**changes), CODE, file="shipping.yaml")


def found(code: str, **changes: str) -> list[Finding]:
    """What is said under the code; nothing where it is proved."""
    flow = loaded(**changes)
    findings = proved(compiled(flow.flow, CODE), flow.lines).findings
    return [one for one in findings if one.code == code and one.verdict != "proved"]


def test_what_a_contract_always_holds_is_given() -> None:
    """Required, within the fact's bounds: known on every path after `done`."""
    assert found("P321", **BY_AGENT) == []
    assert found("P322", **BY_AGENT) == []


def test_what_a_contract_may_leave_out_is_missing_on_some_path() -> None:
    """With the shortest way there and the line of each row."""
    (finding,) = found("P321", **{**BY_AGENT, "contract": "Loose"})
    assert finding.verdict == "refuted"
    assert finding.says == "'order' may be missing in 'send', and the tool 'ship' does not work without it."
    assert finding.fix.startswith("Collect it on this way, ask `known(order)` in a row before it")
    assert [(one.state, one.target, one.line) for one in finding.counterexample] == [
        ("start", "asking", 17),
        ("asking", "send", 18),
    ]
    assert finding.line == 13


def test_a_guard_that_asks_whether_it_is_known_closes_the_path() -> None:
    """`known(order)` does not hold where it is missing, however it is combined."""
    loose = {**BY_AGENT, "contract": "Loose"}
    assert found("P321", **{**loose, "guard": "known(order)"}) == []
    assert found("P321", **{**loose, "guard": '"all_of(is_(colour, red), at_most(order, 5))"'}) == []
    assert found("P321", **{**loose, "guard": '"any_of(is_(colour, red), known(order))"'}) != []
    assert found("P321", **{**loose, "guard": "not_(known(order))"}) != []


def test_a_form_gives_what_it_asks_unless_it_may_be_declined() -> None:
    """An optional fact may be missing after `complete`."""
    plain = {**BY_FORM, "guard": "known(colour)", "asking": "collect, facts: [order, colour], deadline: 1h"}
    assert found("P321", **plain) == []
    optional = {**plain, "asking": "collect, facts: [order, colour], optional: [order], deadline: 1h"}
    (finding,) = found("P321", **optional)
    assert finding.verdict == "refuted"


def test_what_is_forgotten_must_be_given_again() -> None:
    """A wait that forgets it, and a fact that it depends on."""
    changes = {**BY_FORM, "asking": "wait, deadline: 1h", "on": "message", "rows": ""}
    assert found("P321", **{**BY_FORM, "wait": ", forgets: [order]"}) == []
    (finding,) = [one for one in found("P321", **changes) if one.verdict == "noted"]
    assert (
        finding.says == "Nothing in the flow gives 'order', which a guard asks: only who starts a conversation could."
    )


def test_what_a_tool_returns_is_given_where_it_says_so() -> None:
    """A `TypedDict` says what is always there; any other dictionary leaves it untold."""
    told = {**BY_FORM, "asking": "call, tool: find", "on": "done", "guard": "known(colour)", "rows": ""}
    bounded = found("P321", **told)
    assert [one.verdict for one in bounded if one.where == "states.send.reads"] == ["refuted"]
    assert [one.says for one in found("P322", **told)] == [
        (
            "The tool 'find' may give 'order' as 0; the fact takes a whole number from 1 up to 9,999, so that is left "
            "out."
        )
    ]
    untold = {**told, "asking": "call, tool: find_untold"}
    (finding,) = [one for one in found("P321", **untold) if one.where == "states.send.reads"]
    assert finding.verdict == "unknown"
    assert finding.says == "Whether 'order' is known in 'send' cannot be told: 'done' before it does not say."


def test_what_a_person_is_shown_may_be_missing() -> None:
    """Nothing breaks, so it is a note, with the way."""
    (finding,) = found("P321", **{**BY_AGENT, "desk": ", shows: [order]"})
    assert finding.verdict == "noted"
    assert finding.says == "In 'desk' the clerk may have to do without 'order': start > desk."


def test_a_fact_that_the_tool_refuses_does_not_fit() -> None:
    """Both in words, and a value that shows it."""
    (finding,) = found("P322", **{**BY_FORM, "tool": "ship_few"})
    assert finding.verdict == "refuted"
    assert finding.says == (
        "'send' gives the fact 'order', a whole number from 1 up to 9,999, to the tool 'ship_few', which takes one "
        "of 1, 2: 9999 would be refused."
    )
    assert (finding.line, finding.where) == (13, "states.send.reads")


def test_what_a_contract_may_say_and_a_fact_does_not_take_is_told() -> None:
    """It is left out, so it is a note."""
    says = [one.says for one in found("P322", **{**BY_AGENT, "contract": "Loose", "guard": "known(order)"})]
    assert says == [
        (
            "The contract 'Loose' of 'clerk' may give 'order' as 0; the fact takes a whole number from 1 up to 9,999, "
            "so that is left out."
        ),
        (
            "The contract 'Loose' of 'clerk' may give 'colour' as ''; the fact takes one of 'red', 'green', so that is "
            "left out."
        ),
    ]


@pytest.mark.parametrize("code", ["P321", "P322"])
def test_it_may_be_accepted_with_a_reason(code: str) -> None:
    """As every other answer."""
    changes = {**BY_AGENT, "contract": "Loose"} if code == "P321" else {**BY_FORM, "tool": "ship_few"}
    text = FLOW.format(**changes).replace("facts:\n", f"checks: {{{code}: The clerk knows what to do.}}\nfacts:\n", 1)
    flow = read_flow(text, CODE, file="shipping.yaml")
    proof = proved(compiled(flow.flow, CODE), flow.lines)
    assert [one.verdict for one in proof.findings if one.code == code] == ["accepted"]
