"""An LLM judge: the contract of a draft and of a verdict, and a script that plays both."""

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.agents import AgentResult, Judgement
from interlock.fsm.code import Code

CONVERSATION = ("When do I get my money back?",)


class Draft(AgentResult):
    draft: str


class Opinion(Judgement):
    """`pass` or `fail`, and why."""


code = Code.of(contracts=[Draft, Opinion])


def scripted() -> ScriptedAgent:
    return ScriptedAgent(
        {
            "writer": gives(draft="We have your request and look into it. You will hear from us."),
            "judge": gives(verdict="pass", reason="It promises nothing."),
        }
    )
