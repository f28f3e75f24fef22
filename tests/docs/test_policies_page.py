"""`docs/policies.md` is true: its rules load and read as it says, and its words and scopes are those that there are."""

import re

import pytest

from interlock.agents.tools import tool
from interlock.contracts.policies import WORD_KINDS, Policy
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from interlock.fsm.policies.alone import read_policies
from interlock.fsm.policies.english import rule_of
from interlock.fsm.written import written_yaml
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "policies.md").read_text("utf-8")
RULES = re.findall(r"```yaml\n(policies:\n.*?)```\n(?:\n```text\n(.*?)\n```)?", PAGE, re.DOTALL)
FLOW = """flow: payments
version: 1
owner: tests
initial: start
facts:
  amount: {type: integer, ask: "How much?", says: the amount}
states:
  start:  {kind: wait, deadline: 1h}
  form:   {kind: collect, facts: [amount], confirm: "{amount}?", deadline: 1h}
  review: {kind: human, role: clerk, decisions: ["yes", "no", small], deadline: 1h}
  paying: {kind: call, tool: pay, reads: [amount]}
  desk:   {kind: human, role: clerk, decisions: [over], deadline: 1h}
  closed: {kind: final}
transitions:
  - [start,  message,  otherwise, form,   P-1]
  - [form,   complete, otherwise, review, P-1]
  - [review, "yes",    otherwise, paying, P-1]
  - [review, small,    otherwise, paying, P-1]
  - [review, "no",     otherwise, closed, P-1]
  - [paying, done,     otherwise, closed, P-1]
  - [desk,   over,     otherwise, closed, P-1]
  - [any, expired,  otherwise, desk, P-2]
  - [any, gave_up,  otherwise, desk, P-2]
  - [any, declined, otherwise, desk, P-2]
  - [any, failed,   otherwise, desk, P-2]
  - [any, timeout,  otherwise, desk, P-2]
  - [any, limit,    otherwise, desk, P-2]
  - [any, policy,   otherwise, desk, P-2]
"""


@tool(consequential=True, says="Pays; the same key pays once.")
def pay(amount: int, context: ToolContext) -> dict[str, bool]:
    return {"paid": True}


CODE = Code.of(tools=[pay])


def one(text: str) -> Policy:
    (policy,) = read_policies(text)
    return policy


def test_the_page_has_every_pattern_and_scope() -> None:
    policies = [one(text) for text, _ in RULES]
    assert {policy.pattern for policy in policies} == {"absence", "precedence", "existence", "bounded", "response"}
    assert len(RULES) >= 9


@pytest.mark.parametrize(("text", "says"), RULES, ids=[one(text).name for text, _ in RULES])
def test_every_rule_loads_and_reads_as_the_page_says(text: str, says: str) -> None:
    """In a flow too, unless it speaks of marks; and it is written to a file and read back."""
    policy = one(text)
    if says:
        assert rule_of(policy) == says
    if not any(word.startswith("mark:") for word in policy.words):
        flow = read_flow(FLOW.replace("states:\n", f"{text}states:\n"), CODE).flow
        assert flow.policies == (policy,)
        assert read_flow(written_yaml(flow), CODE).flow == flow


def test_every_word_is_on_the_page() -> None:
    rows = re.findall(r"^\| `([a-z]+)(?::[A-Z.]+)?` \| [a-z]", PAGE.partition("## Words")[2], re.MULTILINE)
    assert sorted(rows) == sorted(("message", *WORD_KINDS))


def test_every_scope_is_on_the_page() -> None:
    for keys in ("`after: Q`", "`before: R`", "`until: R`", "`after: Q` and `before: R`", "`after: Q` and `until: R`"):
        assert f"| {keys} |" in PAGE
