# What type checkers see; tests/architecture compares it with the table in `__init__.py`.
__version__: str
__all__: list[str]
_EXPORTS: dict[str, str]

from .agents.openai_model import OpenAIAgent as OpenAIAgent
from .agents.recorded import RecordedAgent as RecordedAgent
from .agents.scripted import ScriptedAgent as ScriptedAgent
from .agents.tools import tool as tool
from .contracts.agents import Agent as Agent
from .contracts.agents import AgentReply as AgentReply
from .contracts.agents import AgentRequest as AgentRequest
from .contracts.agents import AgentResult as AgentResult
from .contracts.commands import Actor as Actor
from .contracts.errors import AgentFailed as AgentFailed
from .contracts.errors import CallError as CallError
from .contracts.errors import FlowError as FlowError
from .contracts.errors import InterlockError as InterlockError
from .contracts.errors import LogError as LogError
from .contracts.errors import Overloaded as Overloaded
from .contracts.facts import Facts as Facts
from .contracts.guard import in_digression as in_digression
from .contracts.guard import otherwise as otherwise
from .contracts.tools import ToolContext as ToolContext
from .fsm.build import flow as flow
from .fsm.build import row as row
from .fsm.code import Code as Code
from .fsm.guards import all_of as all_of
from .fsm.guards import any_of as any_of
from .fsm.guards import guard as guard
from .fsm.guards import not_ as not_
from .fsm.load import read_flow as read_flow
from .fsm.policies.make import policy as policy
from .fsm.program import compiled as compiled
from .fsm.replay import redecide as redecide
from .persistence.memory_store import MemoryStore as MemoryStore
from .persistence.sqlite_store import SqliteStore as SqliteStore
from .service.budgets import Budget as Budget
from .service.budgets import Budgets as Budgets
from .service.loading import recorded as recorded
from .service.outcome import TurnOutcome as TurnOutcome
from .service.pacing import Pace as Pace
from .service.project import load_project as load_project
from .service.protection import Resilience as Resilience
from .service.runtime import Runtime as Runtime
from .service.spending import Storm as Storm
