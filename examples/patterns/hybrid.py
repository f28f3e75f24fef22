"""Fixed steps with a routed one between: the two tools, and a script for the one agent."""

from interlock.agents.scripted import ScriptedAgent
from interlock.agents.tools import tool
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code

CONVERSATION = (
    "Hello, I am C12345",
    "I have new bank details: DE02120300000000202051",
    "yes",
    "How long does that take?",
)
CHANGES: dict[str, str] = {}
"""What the imitated bank was told, by idempotency key."""


@tool(says="Says whether the customer number is one of ours.")
def verify_customer(customer: str) -> dict[str, bool]:
    return {"verified": customer.startswith("C1")}


@tool(consequential=True, says="Changes the bank account of a customer.")
def change_details(customer: str, iban: str, context: ToolContext) -> dict[str, bool]:
    CHANGES[context.idempotency_key] = f"{customer}: {iban}"
    return {"changed": True}


code = Code.of(tools=[verify_customer, change_details])


def scripted() -> ScriptedAgent:
    return ScriptedAgent({"adviser": "The new account is used from the next month on."})
