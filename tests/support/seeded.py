"""Twenty ways in which a flow or a guard goes wrong without any check noticing: each is one small change of a good one.

`SEEDED` are the broken variants, `good(base)` the flow that each was made of. They lie in example flows, and in `care`,
a flow made for what those have not: fallbacks, several issues at once, and guards of its own.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from interlock import AgentResult, Code, Facts, ToolContext, guard, tool
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.service.project import load_project, read_file


@guard(says="the amount is at most €{limit}")
def small(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount <= limit * 100


@guard(says="the customer is known")
def customer_is_known(facts: Facts) -> bool:
    return facts.true("known_here")


@guard(says="the order was found and was not paid back")
def may_be_paid_back(facts: Facts) -> bool:
    return facts.true("found") and not facts.true("paid_before")


class Answer(AgentResult):
    """What the adviser says."""


@tool(says="Looks the order up.")
def look_up(amount: int) -> dict[str, bool]:
    return {"found": amount > 0}


@tool(consequential=True, says="Pays back; the same key pays once.")
def pay_back(amount: int, context: ToolContext) -> dict[str, bool]:
    return {"paid": True}


CARE_CODE = Code.of(guards=[small, customer_is_known, may_be_paid_back], tools=[look_up, pay_back], contracts=[Answer])
CARE = """flow: care
version: 1
owner: tests
initial: greeting
limits: {agent_calls: 6, handoffs: 2, tool_calls: 4}
facts:
  amount:
    {type: money, ask: "How much?", says: the amount, minimum: "0.01", maximum: "900.00", volunteered: false}
  known_here:  {type: yes_no, ask: "Do you have an account?", volunteered: false}
  found:       {type: yes_no, volunteered: false}
  paid_before: {type: yes_no, volunteered: false}
agents:
  adviser: {instructions: Answer., contract: Answer}
  second:  {instructions: Answer briefly., contract: Answer}
  third:   {instructions: Say that it takes longer., contract: Answer}
routers:
  topic:
    labels: {question: a question, money: money back, bye: nothing more}
    several: true
    rules:
      - {label: money, any: [money back, refund]}
      - {label: question, any: [question, when]}
      - {label: bye, any: [goodbye]}
states:
  greeting: {kind: wait, say: "Hello.", deadline: 30m}
  sort:     {kind: route, router: topic}
  answer:   {kind: agent, agent: adviser, attempts: 2, fallbacks: [second, third], timeout: 20s}
  details:  {kind: collect, facts: [known_here, amount], attempts: 2, confirm: "{amount}?", deadline: 15m}
  find:     {kind: call, tool: look_up, reads: [amount], attempts: 2, timeout: 10s}
  approval:
    {kind: human, role: clerk, decisions: [approved, rejected], approves: approved, shows: [amount], deadline: 4h}
  paying:   {kind: call, tool: pay_back, reads: [amount], timeout: 10s}
  paid:
    {kind: wait, say: "It is on its way.", forgets: [amount, found, paid_before], next_issue: true, deadline: 15m}
  more:     {kind: wait, say: "Anything else?", forgets: [amount, found], next_issue: true, deadline: 15m}
  desk:     {kind: human, role: clerk, decisions: [answered], deadline: 4h}
  closed:   {kind: final, say: Goodbye.}
transitions:
  - [greeting, message,    otherwise,                               sort,     CA-1]
  - [more,     message,    otherwise,                               sort,     CA-1]
  - [paid,     message,    otherwise,                               sort,     CA-1]
  - [more,     next_issue, otherwise,                               sort,     CA-1]
  - [paid,     next_issue, otherwise,                               sort,     CA-1]
  - [sort,     question,   otherwise,                               answer,   CA-2]
  - [sort,     money,      otherwise,                               details,  CA-3]
  - [sort,     bye,        otherwise,                               closed,   CA-4]
  - [sort,     unsure,     otherwise,                               more,     CA-4]
  - [sort,     blocked,    otherwise,                               more,     CA-4]
  - [answer,   done,       otherwise,                               more,     CA-2]
  - [details,  complete,   customer_is_known,                       find,     CA-3]
  - [details,  complete,   otherwise,                               desk,     CA-3]
  - [find,     done,       "all_of(may_be_paid_back, small(100))",  paying,   CA-5]
  - [find,     done,       may_be_paid_back,                        approval, CA-6]
  - [find,     done,       otherwise,                               desk,     CA-5]
  - [approval, approved,   otherwise,                               paying,   CA-6]
  - [approval, rejected,   otherwise,                               more,     CA-6]
  - [paying,   done,       otherwise,                               paid,     CA-5]
  - [desk,     answered,   otherwise,                               more,     CA-7]
  - [any,      declined,   otherwise,                               more,     CA-7]
  - [any,      expired,    otherwise,                               closed,   CA-8]
  - [any,      gave_up,    otherwise,                               desk,     CA-7]
  - [any,      unsure,     otherwise,                               desk,     CA-7]
  - [any,      refused,    otherwise,                               desk,     CA-7]
  - [any,      invalid,    otherwise,                               desk,     CA-7]
  - [any,      timeout,    otherwise,                               desk,     CA-7]
  - [any,      failed,     otherwise,                               desk,     CA-7]
  - [any,      over_budget, otherwise,                              desk,     CA-7]
  - [any,      limit,      otherwise,                               desk,     CA-9]
"""
BASES = ("care", "human_in_the_loop", "supervisor")


def made(
    base: str, changes: tuple[tuple[str, str], ...] = (), guards: Mapping[str, Callable[..., Any]] | None = None
) -> Program:
    """A base flow with each text replaced, which stands in it once, and with other functions under its guards."""
    if base == "care":
        text, code = CARE, CARE_CODE
    else:
        project = load_project(f"patterns/{base}")
        text, code = Path(project.file).read_text(encoding="utf-8"), project.program.code
    for old, new in changes:
        assert text.count(old) == 1, f"{base}: {old!r} stands {text.count(old)} times"
        text = text.replace(old, new)
    functions = guards or {}
    wrong = {name: replace(one, function=functions.get(name, one.function)) for name, one in code.guards.items()}
    code = replace(code, guards=wrong)
    return compiled(read_flow(text, code, file=f"{base}.yaml").flow, code)


def good(base: str) -> Program:
    return made(base)


@dataclass(frozen=True)
class Seeded:
    """One broken variant: what a person would call the mistake, and how it is made."""

    name: str
    base: str
    changes: tuple[tuple[str, str], ...] = ()
    guards: Mapping[str, Callable[..., Any]] = field(default_factory=dict)

    def program(self) -> Program:
        return made(self.base, self.changes, self.guards)


def _less(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount < limit * 100


def _tenfold(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount <= limit * 1_000


def _always(facts: Facts) -> bool:
    return True


def _unless_known(facts: Facts) -> bool:
    return not facts.true("known_here")


def _found_is_enough(facts: Facts) -> bool:
    return facts.true("found")


SEEDED = (
    Seeded("a guard compares with < where it says at most", "care", guards={"small": _less}),
    Seeded("a guard mistakes the unit of its limit", "care", guards={"small": _tenfold}),
    Seeded("a guard is always true", "care", guards={"customer_is_known": _always}),
    Seeded("a guard says the opposite", "care", guards={"customer_is_known": _unless_known}),
    Seeded("a guard forgets one of its two conditions", "care", guards={"may_be_paid_back": _found_is_enough}),
    Seeded("the limit of an amount is one euro off", "care", (("small(100)", "small(101)"),)),
    Seeded(
        "an approval is skipped after a question",
        "human_in_the_loop",
        (
            (
                "- [question, message,       otherwise, approval, HL-5]",
                "- [question, message,       otherwise, booked, HL-5]",
            ),
        ),
    ),
    Seeded(
        "two labels are swapped",
        "care",
        (("- {label: money, any: [money back, refund]}", "- {label: question, any: [money back, refund]}"),),
    ),
    Seeded(
        "a queued issue is lost",
        "care",
        (
            ("[amount, found], next_issue: true", "[amount, found]"),
            ("  - [more,     next_issue, otherwise,                               sort,     CA-1]\n", ""),
        ),
    ),
    Seeded(
        "a fact is not forgotten", "care", (("forgets: [amount, found, paid_before]", "forgets: [found, paid_before]"),)
    ),
    Seeded(
        "an attempt too many is made at a model",
        "care",
        (("agent: adviser, attempts: 2", "agent: adviser, attempts: 3"),),
    ),
    Seeded(
        "a retry of a tool is not counted", "care", (("reads: [amount], attempts: 2", "reads: [amount], attempts: 9"),)
    ),
    Seeded(
        "fallbacks stand in the wrong order", "care", (("fallbacks: [second, third]", "fallbacks: [third, second]"),)
    ),
    Seeded(
        "a tool is called twice",
        "care",
        (
            (
                "  paid:\n",
                "  again:    {kind: call, tool: pay_back, reads: [amount], timeout: 10s}\n  paid:\n",
            ),
            (
                "- [paying,   done,       otherwise,                               paid,     CA-5]",
                (
                    "- [paying,   done,       otherwise,                               again,    CA-5]\n"
                    "  - [again,    done,       otherwise,                               paid,     CA-5]"
                ),
            ),
        ),
    ),
    Seeded(
        "one approval is enough where two were asked for", "human_in_the_loop", (("approvals: 2,", "approvals: 1,"),)
    ),
    Seeded(
        "two decisions are swapped",
        "human_in_the_loop",
        (
            (
                "- [approval, rejected,      otherwise, declined, HL-4]",
                "- [approval, rejected,      otherwise, question, HL-4]",
            ),
            (
                "- [approval, ask_again,     otherwise, question, HL-5]",
                "- [approval, ask_again,     otherwise, declined, HL-5]",
            ),
        ),
    ),
    Seeded(
        "the row of a deadline is missing",
        "human_in_the_loop",
        (("  - [approval, expired,       otherwise, lapsed,   HL-6]\n", ""),),
    ),
    Seeded(
        "a visit too few is allowed",
        "supervisor",
        (("visits_at_most(research, 1)", "visits_at_most(research, 0)"),),
    ),
    Seeded("a limit is one too low", "care", (("handoffs: 2,", "handoffs: 1,"),)),
    Seeded("a confirmation is dropped", "care", ((', confirm: "{amount}?"', ""),)),
)


def bank_with(guards: Mapping[str, Callable[..., Any]]) -> Program:
    """The bank's flow with other functions under its guards."""
    project = load_project("bank")
    code = project.program.code
    wrong = {name: replace(one, function=guards.get(name, one.function)) for name, one in code.guards.items()}
    code = replace(code, guards=wrong)
    return compiled(read_file(Path(project.file), code).flow, code)
