"""A person in the loop: the contract of the proposal, the two tools, and a script that plays it."""

from typing import Literal

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code

CONVERSATION = ("My kettle came broken, order AB123456. I paid 250 euros.",)


class Proposal(AgentResult):
    """What the adviser made of the message; the names are facts of the flow."""

    order: str = ""
    amount: int | None = None
    reason: Literal["broken", "missing", "other"] | None = None


@tool
def booked_amount(order: str) -> dict[str, int]:
    """What the books say of the order, where they say something."""
    return BOOKS.get(order, {})


@tool(consequential=True)
def pay_back(order: str, amount: int, context: ToolContext) -> dict[str, str]:
    """Pays back, once for each key."""
    PAID.setdefault(context.idempotency_key, (order, amount))
    return {"receipt": context.idempotency_key}


BOOKS: dict[str, dict[str, int]] = {}
PAID: dict[str, tuple[str, int]] = {}

code = Code.of(tools=[booked_amount, pay_back], contracts=[Proposal])


def scripted() -> ScriptedAgent:
    return ScriptedAgent({"adviser": gives(order="AB123456", amount=25000, reason="broken")})
