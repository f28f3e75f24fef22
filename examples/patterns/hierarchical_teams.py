"""Hierarchical teams: the contracts of each level, the worker's library, and a script that plays all three."""

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, gives, rules
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.fsm.code import Code

CONVERSATION = ("Why did my rate change?", "thank you")


class Assignment(AgentResult):
    """What the lead lets the worker search."""

    search: str


class Finding(AgentResult):
    finding: str


class Answered(AgentResult):
    answer: str


@tool(says="Looks something up in the library.")
def library(words: str) -> dict[str, str]:
    return {"page": f"The reference rate fell in June. (looked up: {words})"}


code = Code.of(contracts=[Assignment, Finding, Answered], tools=[library])


def scripted() -> ScriptedAgent:
    return ScriptedAgent(
        {
            "lead": gives(search="reference rate"),
            "searcher": rules(
                after_tool("library", then=gives(finding="The reference rate fell in June.")),
                otherwise=calls("library", words="reference rate"),
            ),
            "author": gives(answer="Your rate follows the reference rate, which fell in June."),
        }
    )
