"""A sequential pipeline: the contract of each step, the checks between them, and a script that plays it."""

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.fsm.code import Code

CONVERSATION = ("My bicycle was stolen, policy P123456, it cost 420.00 EUR.",)


class Claim(AgentResult):
    """What stands in the claim; empty where it does not."""

    policy_number: str = ""
    damage: str = ""


class Letter(AgentResult):
    letter: str


@tool(says="Says whether the policy covers the damage.")
def check_coverage(policy_number: str, damage: int) -> dict[str, bool]:
    return {"covered": policy_number.startswith("P1") and damage <= 200_000}


@tool(says="Looks whether the letter names the right amount.")
def check_letter(letter: str, damage: int) -> dict[str, bool]:
    return {"letter_fits": f"{damage / 100:.2f}" in letter}


code = Code.of(tools=[check_coverage, check_letter], contracts=[Claim, Letter])


def scripted() -> ScriptedAgent:
    return ScriptedAgent(
        {
            "reader": gives(policy_number="P123456", damage="420.00"),
            "writer": gives(letter="We settle your claim with 420.00 EUR."),
        }
    )
