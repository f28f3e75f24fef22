"""An agent as another agent's tool, as models see it: what the tool is called, says and takes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from .flow import AgentSpec

ASK = "ask_"
"""How the name of such a tool begins; the agent's name follows."""
ASK_SCHEMA: Mapping[str, Any] = MappingProxyType(
    {
        "type": "object",
        "properties": {
            "task": {
                "type": "string",
                "minLength": 1,
                "description": "All that it needs to know: it sees nothing of this conversation.",
            }
        },
        "required": ["task"],
        "additionalProperties": False,
    }
)
"""JSON Schema of the arguments."""


def tool_name(agent: str) -> str:
    """The tool's name for a model: `ask_adviser`."""
    return f"{ASK}{agent}"


def asked_agent(tool: str) -> str | None:
    """The agent that a tool of this name would ask; None where the name is of another kind."""
    return tool.removeprefix(ASK) if tool.startswith(ASK) else None


def description(agent: AgentSpec) -> str:
    """What a model is told of the agent: what it is for and handles, in the words of the flow's author."""
    said = f" {agent.says.strip()}" if agent.says.strip() else ""
    handles = f" It handles {', '.join(agent.handles)}." if agent.handles else ""
    return f"Asks the agent {agent.name} and gives its answer.{said}{handles}"
