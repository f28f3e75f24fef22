"""A bounded debate: the contract of an argument, and a script that plays all three."""

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.agents import AgentResult
from interlock.fsm.code import Code

CONVERSATION = ("Fixed rates are better than variable ones.", "no")


class Argument(AgentResult):
    argument: str


code = Code.of(contracts=[Argument])


def scripted() -> ScriptedAgent:
    return ScriptedAgent(
        {
            "defender": gives(argument="A fixed rate can be planned with."),
            "opponent": gives(argument="A variable rate is cheaper on average."),
            "chair": "Who must plan takes the fixed rate; who can wait takes the variable one.",
        }
    )
