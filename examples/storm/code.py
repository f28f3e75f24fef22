"""The agents of both incidents: each hands the customer on, whatever it is told."""

from typing import Literal

from interlock.agents.scripted import ScriptedAgent
from interlock.agents.strict_json import written
from interlock.contracts.agents import AgentReply, AgentRequest, AgentResult
from interlock.contracts.limits import Usage
from interlock.fsm.code import Code

MESSAGE = "You charged me twice for October."
WHO_IS_SURE = {"router": "billing", "billing": "router", "triage": "triage"}
"""Whom each agent hands over to."""


class Handover(AgentResult):
    """Who is to go on: another agent, or the customer with an answer."""

    next: Literal["router", "billing", "triage", "customer"]


code = Code.of(contracts=[Handover])


def scripted() -> ScriptedAgent:
    return ScriptedAgent(_hands_over)


def _hands_over(request: AgentRequest) -> AgentReply:
    """A model's answer, with the tokens it would bill: four characters each."""
    answer = written({"next": WHO_IS_SURE[request.agent], "reply": "One moment, I hand you over."})
    read = sum(len(message.content) for message in request.messages) // 4
    return AgentReply(text=answer, usage=Usage(input_tokens=read, output_tokens=len(answer) // 4))
