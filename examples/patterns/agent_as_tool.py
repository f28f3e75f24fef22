"""Agent as a tool: what the flow names, and a script in which one specialist asks the other."""

from interlock.agents.scripted import Answer, ScriptedAgent, calls, gives
from interlock.contracts.agents import AgentRequest, AgentResult
from interlock.fsm.code import Code

CONVERSATION = ("What do I get back if I cancel today?", "thank you")


class Advice(AgentResult):
    """The adviser's answer. The specialists answer in plain text."""


code = Code.of(contracts=[Advice])


def _answers(request: AgentRequest) -> list[str]:
    """What specialists have answered so far."""
    return [message.content for message in request.messages if message.role == "tool"]


def _adviser(request: AgentRequest) -> Answer:
    if "cancel" not in [message.content for message in request.messages if message.role == "user"][-1]:
        return gives(reply="You are welcome.")
    if _answers(request):
        return gives(reply=f"Our lawyer says: {_answers(request)[-1]}")
    return calls("ask_lawyer", task="May the policy be cancelled today, and what is paid back?")


def _lawyer(request: AgentRequest) -> Answer:
    if _answers(request):
        return f"It may be cancelled under clause 9. {_answers(request)[-1]}"
    return calls("ask_actuary", task="What is the surrender value today?")


def scripted() -> ScriptedAgent:
    return ScriptedAgent({"adviser": _adviser, "lawyer": _lawyer, "actuary": "The surrender value is 4,180 euros."})
