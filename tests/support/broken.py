"""A small flow, and the ways in which it can be broken that only exploring finds: one for each question.

Each `Broken` changes the flow's text; the flow without the change is the mended one.
"""

from dataclasses import dataclass
from typing import Literal

from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code
from interlock.fsm.load import LoadedFlow, read_flow
from interlock.fsm.program import Program, compiled


class Answer(AgentResult):
    """What the clerk says, and to whom the matter goes next."""

    next: Literal["billing", "orders", "customer"] | None = None


@tool(says="Looks an order up.")
def look_up(amount: int = 0) -> dict[str, bool]:
    return {"known": amount > 0}


@tool(consequential=True, says="Pays the amount back; the same key pays once.")
def pay_back(amount: int, context: ToolContext) -> dict[str, bool]:
    return {"paid": True}


CODE = Code.of(tools=[look_up, pay_back], contracts=[Answer])

MENDED = """flow: orders
version: 1
owner: tests
initial: greeting
limits: {agent_calls: 6, handoffs: 3}
facts:
  amount: {type: money, ask: "How much was it?", says: the amount, minimum: "0.01", maximum: "500.00"}
  next:   {type: choice, choices: [billing, orders, customer], volunteered: false}
agents:
  orders:  {instructions: Help with orders., contract: Answer, price: {input: "2.50", output: "10.00", dated: 2026-11}}
  billing: {instructions: Help with bills., contract: Answer, price: {input: "2.50", output: "10.00", dated: 2026-11}}
states:
  greeting: {kind: wait, say: "Hello.", deadline: 30m}
  asking:   {kind: agent, agent: orders, timeout: 20s}
  invoices: {kind: agent, agent: billing, timeout: 20s}
  details:  {kind: collect, facts: [amount], confirm: "You want {amount} back?", deadline: 15m}
  paying:   {kind: call, tool: pay_back, reads: [amount], timeout: 10s}
  more:     {kind: wait, say: "Anything else?", deadline: 15m}
  desk:     {kind: human, role: clerk, decisions: [answered], deadline: 4h}
  closed:   {kind: final, say: Goodbye.}
transitions:
  - [greeting, message,  otherwise,             asking,   OR-1]
  - [asking,   done,     "is_(next, billing)",  invoices, OR-2]
  - [asking,   done,     "is_(next, customer)", details,  OR-3]
  - [asking,   done,     otherwise,             more,     OR-4]
  - [invoices, done,     "is_(next, orders)",   asking,   OR-2]
  - [invoices, done,     otherwise,             more,     OR-4]
  - [details,  complete, otherwise,             paying,   OR-5]
  - [paying,   done,     otherwise,             more,     OR-5]
  - [more,     message,  otherwise,             asking,   OR-1]
  - [desk,     answered, otherwise,             closed,   OR-6]
  - [any, expired,     otherwise, closed, OR-7]
  - [any, gave_up,     otherwise, desk,   OR-6]
  - [any, declined,    otherwise, more,   OR-6]
  - [any, unsure,      otherwise, desk,   OR-6]
  - [any, refused,     otherwise, desk,   OR-6]
  - [any, invalid,     otherwise, desk,   OR-6]
  - [any, timeout,     otherwise, desk,   OR-6]
  - [any, failed,      otherwise, desk,   OR-6]
  - [any, over_budget, otherwise, desk,   OR-6]
  - [any, limit,       otherwise, desk,   OR-6]
"""


@dataclass(frozen=True)
class Broken:
    """What is replaced in the mended flow, by what, and under which code that is reported."""

    name: str
    code: str
    changes: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        text = MENDED
        for old, new in self.changes:
            assert text.count(old) == 1, f"{self.name}: {old!r} stands {text.count(old)} times"
            text = text.replace(old, new)
        return text


BOTH = '"all_of(is_(next, orders), is_(next, billing))"'
CHAIN = 14
FAR_STATES = "".join(f"  far_{n}: {{kind: wait, deadline: 1h}}\n" for n in range(CHAIN))
FAR_ROWS = "".join(
    f"  - [far_{n}, {on}, otherwise, {f'far_{n + 1}' if n + 1 < CHAIN else 'desk'}, OR-8]\n"
    for n in range(CHAIN)
    for on in ("message", "expired")
)
BROKEN = (
    Broken(
        "a state that only contradictory conditions lead to",
        "P301",
        (
            ("  closed:   {", "  archive:  {kind: wait, deadline: 1h}\n  closed:   {"),
            ("  - [more,     message,", f"  - [more,     message,  {BOTH}, archive, OR-9]\n  - [more,     message,"),
            ("  - [desk,     answered,", "  - [archive,  message,  otherwise, closed, OR-9]\n  - [desk,     answered,"),
        ),
    ),
    Broken(
        "a row below a wider one",
        "P302",
        (
            (
                '  - [asking,   done,     "is_(next, customer)", details,  OR-3]\n',
                (
                    "  - [asking,   done,     known(next), details, OR-3]\n"
                    '  - [asking,   done,     "is_(next, customer)", more,  OR-3]\n'
                ),
            ),
        ),
    ),
    Broken(
        "a way out that never opens",
        "P304",
        (
            (
                "  - [paying,   done,     otherwise,             more,     OR-5]\n",
                "  - [paying,   done,     otherwise, stuck, OR-5]\n",
            ),
            ("  closed:   {", "  stuck:    {kind: wait, deadline: 1h}\n  closed:   {"),
            (
                "  - [desk,     answered,",
                (
                    f"  - [stuck, message, {BOTH}, closed, OR-9]\n  - [stuck, message, otherwise, stuck, OR-9]\n"
                    "  - [stuck, expired, otherwise, stuck, OR-9]\n  - [stuck, limit, otherwise, stuck, OR-9]\n"
                    "  - [desk,     answered,"
                ),
            ),
        ),
    ),
    Broken(
        "limits that bound nothing",
        "P305",
        (
            (
                "limits: {agent_calls: 6, handoffs: 3}",
                "limits: {agent_calls: 1000000000, handoffs: 1000000000, same_pair: 1000000000, steps: 10000}",
            ),
        ),
    ),
    Broken(
        "an automated step after which nobody can be reached",
        "P307",
        (
            ("  - [paying,   done,     otherwise,             more,     OR-5]\n", ""),
            (
                "  - [more,     message,",
                "".join(
                    f"  - [paying, {on}, otherwise, closed, OR-5]\n" for on in ("done", "failed", "timeout", "limit")
                )
                + "  - [more,     message,",
            ),
        ),
    ),
    Broken(
        "a person too far away",
        "P308",
        (
            ("  - [paying,   done,     otherwise,             more,     OR-5]\n", ""),
            ("  closed:   {", f"{FAR_STATES}  closed:   {{"),
            (
                "  - [more,     message,",
                "".join(
                    f"  - [paying, {on}, otherwise, far_0, OR-5]\n" for on in ("done", "failed", "timeout", "limit")
                )
                + FAR_ROWS
                + "".join(f"  - [far_{n}, limit, otherwise, closed, OR-8]\n" for n in range(CHAIN))
                + "  - [more,     message,",
            ),
        ),
    ),
    Broken(
        "a form that reads nothing back before money moves",
        "P309",
        ((', confirm: "You want {amount} back?"', ""),),
    ),
    Broken(
        "a policy that a row breaks",
        "P311",
        (
            (
                "states:\n",
                (
                    "policies:\n  a_person_first:\n    says: Nothing is paid before a person has looked.\n"
                    "    never: paying\n    unless_before: decided:desk.answered\nstates:\n"
                ),
            ),
            (
                "  - [any, limit,       otherwise, desk,   OR-6]\n",
                "  - [any, limit,       otherwise, desk,   OR-6]\n  - [any, policy,      otherwise, desk,   OR-6]\n",
            ),
        ),
    ),
    Broken(
        "a payment that one person alone, or nobody, looks at",
        "P323",
        (("limits: {agent_calls: 6, handoffs: 3}", "limits: {agent_calls: 6, handoffs: 3}\nfour_eyes: {pay_back: 2}"),),
    ),
    Broken(
        "a wait that is entered again each time nobody answers",
        "P324",
        (
            (
                "  - [more,     message,",
                "  - [more,     expired,  otherwise,             more,     OR-7]\n  - [more,     message,",
            ),
        ),
    ),
    Broken(
        "an agent that is given less than it is told",
        "P325",
        (("instructions: Help with orders.,", "instructions: Help with orders., max_input_tokens: 1000,"),),
    ),
    Broken(
        "a tool that is called before anybody was asked",
        "P321",
        (
            (
                '  - [asking,   done,     "is_(next, customer)", details,  OR-3]\n',
                '  - [asking,   done,     "is_(next, customer)", paying,   OR-3]\n',
            ),
            (
                "  - [more,     message,",
                "  - [more,     message,  not_(known(amount)),   details,  OR-3]\n  - [more,     message,",
            ),
        ),
    ),
    Broken(
        "a fact that its tool refuses",
        "P322",
        (
            (
                'type: money, ask: "How much was it?", says: the amount, minimum: "0.01", maximum: "500.00"}',
                'type: text, ask: "How much was it?", says: the amount}',
            ),
        ),
    ),
)
WITHOUT_A_WAY = ("P301", "P302", "P322", "P325")
"""Codes of what is wrong wherever a conversation is, or where none comes."""


def loaded(text: str) -> LoadedFlow:
    return read_flow(text, CODE, file="orders.yaml")


def program_of(text: str) -> Program:
    return compiled(loaded(text).flow, CODE)
