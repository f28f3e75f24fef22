"""Direct handoff: the front desk proposes one of an enum, and the agents that it hands to answer."""

from typing import Literal

from interlock.agents.scripted import Answer as Scripted
from interlock.agents.scripted import ScriptedAgent, gives, said
from interlock.contracts.agents import AgentRequest, AgentResult
from interlock.fsm.code import Code

CONVERSATION = ("My card is lost", "I have a question about my loan", "and how long does it run?")


class Front(AgentResult):
    """An answer, or the specialist who is to go on."""

    next: Literal["cards", "loans", "complaints"] | None = None


class Answer(AgentResult):
    """An answer."""


code = Code.of(contracts=[Front, Answer])


def scripted() -> ScriptedAgent:
    return ScriptedAgent(
        {
            "front": front,
            "cards": gives(reply="I have blocked the card."),
            "loans": gives(reply="Your loan runs until March."),
            "complaints": gives(reply="I am sorry. We will make it right."),
            "generalist": gives(reply="Let me see what I can do."),
            "scribe": "The customer's card was lost and blocked; then they asked about a loan.",
        }
    )


def front(request: AgentRequest) -> Scripted:
    """Proposes by a word of the customer's."""
    text = said(request).casefold()
    for word, name in (("card", "cards"), ("loan", "loans"), ("complain", "complaints")):
        if word in text:
            return gives(next=name)
    return gives(reply="We are open from 9 to 17.")
