"""The files of a new flow project: a small shop's order desk, meant to be changed line by line."""

FLOW = """\
# The program. Rows are read top to bottom; the first whose condition holds is taken.
flow: @NAME@
version: 1
owner: me
says: Answers questions about orders, cancels cheap ones by itself, and asks a person about the others.
currency: EUR
initial: greeting
code: code.py
limits: {handoffs: 3, same_pair: 2, self_handoffs: 1, repeats: 3, agent_calls: 6, tool_calls: 8, turn_seconds: 2m}

facts:
  order_number:
    {type: code, says: the order number, pattern: "[A-Z][0-9]{5}", ask: "What is the order number?",
     help: "It looks like A12345."}
  price:
    {type: money, says: the price, volunteered: false}

agents:
  adviser:
    instructions: You answer questions about orders of a small shop. Be brief. You cannot change anything.
    contract: Advice

routers:
  topic:
    labels: {cancel: cancelling an order, question: a question, goodbye: nothing more}
    rules:
      - {label: cancel, any: [cancel, send it back, return it]}
      - {label: question, any: [where, when, how, what, why]}
      - {label: goodbye, any: [bye, thanks, thank you, that's all]}

states:
  greeting: {kind: wait, deadline: 30m, say: "Hello! I answer questions about orders, and cancel them."}
  sort:     {kind: route, router: topic}
  unclear:  {kind: wait, deadline: 30m, say: "Do you have a question, or do you want to cancel an order?"}
  answer:   {kind: agent, agent: adviser}
  more:     {kind: wait, deadline: 30m, say: "Anything else?"}
  order:    {kind: collect, facts: [order_number], deadline: 30m, confirm: "Order {order_number}, is that the one?"}
  look_up:  {kind: call, tool: look_up, reads: [order_number]}
  approve:
    {kind: human, role: clerk, decisions: [yes_cancel, no_keep], shows: [order_number, price], deadline: 4h,
     say: "A colleague decides about that; it is {price}."}
  cancel:   {kind: call, tool: cancel_order, reads: [order_number]}
  done:     {kind: wait, deadline: 30m, say: "Order {order_number} is cancelled. Anything else?"}
  goodbye:  {kind: final, say: "Goodbye!"}

transitions:
  # from       on           only if            go to      policy
  - [sort,     question,    otherwise,         answer,    Q-1]
  - [answer,   done,        otherwise,         more,      Q-1]
  - [sort,     cancel,      otherwise,         order,     C-1]
  - [order,    complete,    otherwise,         look_up,   C-1]
  - [look_up,  done,        price_at_most(50), cancel,    C-2]
  - [look_up,  done,        otherwise,         approve,   C-3]
  - [approve,  yes_cancel,  otherwise,         cancel,    C-3]
  - [approve,  no_keep,     otherwise,         more,      C-3]
  - [cancel,   done,        otherwise,         done,      C-2]
  - [sort,     goodbye,     otherwise,         goodbye,   S-1]
  # From anywhere: messages, what was not understood, faults, silence and limits.
@WIDE@"""

WIDE = (
    ("message", "sort", "S-1"),
    ("unsure", "unclear", "S-2"),
    ("blocked", "unclear", "S-2"),
    ("refused", "more", "S-3"),
    ("invalid", "more", "S-3"),
    ("failed", "more", "S-3"),
    ("timeout", "more", "S-3"),
    ("over_budget", "more", "S-3"),
    ("gave_up", "more", "S-4"),
    ("declined", "more", "S-4"),
    ("expired", "goodbye", "S-5"),
    ("limit", "goodbye", "S-6"),
)

CODE = '''\
"""The Python that flow.yaml names: guards, tools and contracts."""

from typing import Any

from interlock import AgentResult, Code, Facts, ToolContext, guard, tool

PRICES = {"A12345": 1990, "B20000": 24900}
"""Instead of a database: prices in cents."""
CANCELLED: dict[str, str] = {}


@guard(says="the price is at most €{limit}")
def price_at_most(facts: Facts, limit: int) -> bool:
    price = facts.integer("price")
    return price is not None and price <= limit * 100


class Advice(AgentResult):
    """What the adviser returns; add fields here, and the model must fill them."""


@tool(says="Looks up an order's price, in cents.")
def look_up(order_number: str) -> dict[str, Any]:
    return {"price": PRICES.get(order_number, 99_999)}


@tool(consequential=True, says="Cancels an order; the same key cancels once.")
def cancel_order(order_number: str, context: ToolContext) -> dict[str, Any]:
    CANCELLED.setdefault(context.idempotency_key, order_number)
    return {"cancelled": True}


code = Code.of(guards=[price_at_most], tools=[look_up, cancel_order], contracts=[Advice])
'''

SCRIPTED = '''\
"""The adviser as a script, so that the flow runs and is tested without a model."""

from interlock import ScriptedAgent
from interlock.agents.scripted import gives, rules, when


def scripted() -> ScriptedAgent:
    return ScriptedAgent({"adviser": rules(
        when("where", then=gives(reply="Orders arrive within three days.")),
        otherwise=gives(reply="Please look into your confirmation mail."),
    )})
'''

TEST = '''\
"""What the flow does, driven as a customer would, in memory and without a model."""

import asyncio
from pathlib import Path

from interlock import Actor, MemoryStore, Runtime, load_project

PROJECT = load_project(str(Path(__file__).parent))


def states_after(*messages: str, decision: str = "") -> list[str]:
    """The state after each message, and after a clerk's decision at the end."""

    async def talk() -> list[str]:
        assert PROJECT.scripted is not None
        async with Runtime(MemoryStore(), PROJECT.program, PROJECT.scripted()) as runtime:
            outcome = await runtime.start()
            found = []
            for message in messages:
                outcome = await runtime.say(outcome.conversation, message)
                found.append(outcome.state)
            if decision and outcome.task:
                clerk = Actor(kind="human", id="clerk-1", roles=(outcome.task.role,))
                outcome = await runtime.decide_task(
                    outcome.conversation, outcome.task.number, decision, actor=clerk)
                found.append(outcome.state)
            return found

    return asyncio.run(talk())


def test_a_question_is_answered():
    assert states_after("where is my order?", "thanks, bye") == ["more", "goodbye"]


def test_a_cheap_order_is_cancelled_at_once():
    """At most €50 (C-2); the number was given before it was asked for."""
    assert states_after("please cancel A12345", "yes") == ["order", "done"]


def test_an_expensive_order_needs_a_clerk():
    """Above €50 (C-3)."""
    assert states_after("cancel it", "B20000", "yes", decision="yes_cancel") == ["order", "order", "approve", "done"]


def test_what_is_not_understood_is_asked_again():
    assert states_after("hmm") == ["unclear"]
'''

README = """\
# @NAME@

```
interlock chat @NAME@       # talk to it: "please cancel A12345"; "where is it?"; "cancel it", then B20000
interlock check @NAME@      # every fault, with its line and its fix
interlock draw @NAME@ --out @NAME@.svg
pytest @NAME@
```

| file | holds |
|---|---|
| `flow.yaml` | the program: states, rows, who decides what, and the clause of the policy for each row |
| `code.py` | the Python that the flow names: guards, tools, contracts |
| `scripted.py` | answers instead of a model; with `OPENAI_API_KEY` a real one is asked |
| `test_flow.py` | what the flow does, as tests |

What a customer said and what the flow did is in `interlock.db`: `interlock log`, `interlock replay --all`.
"""


def files(name: str) -> dict[str, str]:
    """File name to text, for a flow called `name`."""
    wide = "\n".join(
        f"  - [any,      {on + ',':<13}otherwise,         {to + ',':<11}{policy}]" for on, to, policy in WIDE
    )
    return {
        "flow.yaml": FLOW.replace("@NAME@", name).replace("@WIDE@", wide + "\n"),
        "code.py": CODE,
        "scripted.py": SCRIPTED,
        "test_flow.py": TEST,
        ".gitignore": "interlock.db*\n__pycache__/\n",
        "README.md": README.replace("@NAME@", name),
    }
