"""Several specialists at once: the contract of a check, and a script that plays all three."""

from interlock.agents.scripted import ScriptedAgent, after, gives
from interlock.contracts.agents import AgentResult
from interlock.fsm.code import Code

CONVERSATION = ("Please check a transfer of 250.00 EUR", "no, thank you")


class Finding(AgentResult):
    """What a check found, in one sentence, and the risk it sees from 0 to 100."""

    finding: str
    risk: int | None = None


code = Code.of(contracts=[Finding])


def scripted() -> ScriptedAgent:
    return ScriptedAgent(
        {
            "credit": gives(finding="The credit is in order."),
            "fraud": gives(finding="Nothing points to fraud.", risk=3),
            "limits": after(0.05, gives(finding="Within the daily limit.")),  # the slow one, heard late
            "writer": "Your transfer is in order: credit and fraud checks have passed.",
        }
    )
