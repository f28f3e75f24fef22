"""Interlock: prove what a conversation flow can do before it runs, and what it did after.

Names load when they are used, so `import interlock` costs milliseconds.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Public name -> the submodule it comes from. `__init__.pyi` says the same to type checkers; a test compares them.
_EXPORTS: dict[str, str] = {
    # Writing a flow
    "flow": "fsm.build",
    "row": "fsm.build",
    "policy": "fsm.policies.make",
    "guard": "fsm.guards",
    "all_of": "fsm.guards",
    "any_of": "fsm.guards",
    "not_": "fsm.guards",
    "otherwise": "contracts.guard",
    "in_digression": "contracts.guard",
    "Code": "fsm.code",
    "Facts": "contracts.facts",
    "tool": "agents.tools",
    "ToolContext": "contracts.tools",
    "AgentResult": "contracts.agents",
    "read_flow": "fsm.load",
    "compiled": "fsm.program",
    "load_project": "service.project",
    # Agents
    "Agent": "contracts.agents",
    "AgentRequest": "contracts.agents",
    "AgentReply": "contracts.agents",
    "AgentFailed": "contracts.errors",
    "OpenAIAgent": "agents.openai_model",
    "ScriptedAgent": "agents.scripted",
    "RecordedAgent": "agents.recorded",
    # Running it
    "Runtime": "service.runtime",
    "TurnOutcome": "service.outcome",
    "Resilience": "service.protection",
    "Budget": "service.budgets",
    "Budgets": "service.budgets",
    "Pace": "service.pacing",
    "Storm": "service.spending",
    "Actor": "contracts.commands",
    "SqliteStore": "persistence.sqlite_store",
    "MemoryStore": "persistence.memory_store",
    # Asking the log
    "redecide": "fsm.replay",
    "recorded": "service.loading",
    # Errors
    "InterlockError": "contracts.errors",
    "FlowError": "contracts.errors",
    "CallError": "contracts.errors",
    "LogError": "contracts.errors",
    "Overloaded": "contracts.errors",
}

__all__ = ["__version__", *_EXPORTS]  # noqa: PLE0604


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f".{_EXPORTS[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_EXPORTS})
