"""One agent with tools: what it may look up and change, and a script that plays it."""

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, rules, when
from interlock.agents.tools import tool
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code

CONVERSATION = ("Where is my order AB1234?", "Please send it to 12 Byron Street instead.")
ADDRESSES: dict[str, str] = {}
"""What the imitated shop was told, by idempotency key."""


@tool(says="Says where an order is.")
def look_up(order: str) -> dict[str, str]:
    return {"order": order, "standing": "packed, leaves tomorrow"}


@tool(consequential=True, says="Changes the address of an order that has not left.")
def change_address(order: str, address: str, context: ToolContext) -> dict[str, bool]:
    ADDRESSES[context.idempotency_key] = f"{order}: {address}"
    return {"changed": True}


code = Code.of(tools=[look_up, change_address])


def scripted() -> ScriptedAgent:
    return ScriptedAgent(
        {
            "helper": rules(
                after_tool("change_address", then="Done: it goes to 12 Byron Street."),
                after_tool("look_up", then="It is packed and leaves tomorrow."),
                when("Byron Street", then=calls("change_address", order="AB1234", address="12 Byron Street")),
                otherwise=calls("look_up", order="AB1234"),
            )
        }
    )
