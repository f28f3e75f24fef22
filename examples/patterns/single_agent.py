"""One agent with tools: what it may look up, what code changes after a yes, and a script that plays it."""

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, gives, rules, when
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code

CONVERSATION = ("Where is my order AB1234?", "Please send it to 12 Byron Street instead.", "Yes")
ADDRESSES: dict[str, str] = {}
"""What the imitated shop was told, by idempotency key."""


class Answer(AgentResult):
    """What the helper says, and the new address where the customer wants one."""

    address: str = ""


@tool(says="Says where an order is.")
def look_up(order: str) -> dict[str, str]:
    return {"order": order, "standing": "packed, leaves tomorrow"}


@tool(consequential=True, says="Changes the address of an order that has not left.")
def change_address(order: str, address: str, context: ToolContext) -> dict[str, bool]:
    ADDRESSES[context.idempotency_key] = f"{order}: {address}"
    return {"changed": True}


code = Code.of(tools=[look_up, change_address], contracts=[Answer])


def scripted() -> ScriptedAgent:
    return ScriptedAgent(
        {
            "helper": rules(
                after_tool("look_up", then=gives(reply="It is packed and leaves tomorrow.")),
                when("Byron Street", then=gives(address="12 Byron Street")),
                otherwise=calls("look_up", order="AB1234"),
            )
        }
    )
