"""A supervisor: the enum of what it may propose, and a script that plays it."""

from typing import Literal

from interlock.agents.scripted import Answer, ScriptedAgent, gives
from interlock.contracts.agents import AgentRequest, AgentResult
from interlock.fsm.code import Code

CONVERSATION = ("Why did my rate change?", "thank you")


class Proposal(AgentResult):
    """Who is to work next. A proposal, no more: the rows decide."""

    next: Literal["research", "writing", "finished"]


class Finding(AgentResult):
    finding: str


class Written(AgentResult):
    answer: str


code = Code.of(contracts=[Proposal, Finding, Written])


def _lead(request: AgentRequest) -> Answer:
    """Research first, then writing, then finished: by what it is shown of their results."""
    material = "".join(message.content for message in request.messages if message.role == "user")
    if "answer" in material:
        return gives(next="finished")
    return gives(next="writing" if "finding" in material else "research")


def scripted() -> ScriptedAgent:
    return ScriptedAgent(
        {
            "lead": _lead,
            "researcher": gives(finding="The reference rate fell in June."),
            "author": gives(answer="Your rate follows the reference rate, which fell in June."),
        }
    )
