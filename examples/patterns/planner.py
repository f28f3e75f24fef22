"""Planner, workers, aggregator: a plan whose workers are an enum, and a script that plays it."""

from typing import Literal

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.agents import AgentResult, Plan, Subtask
from interlock.fsm.code import Code

CONVERSATION = ("What did our rates do this year?", "no, that is all")


class Step(Subtask):
    """One subtask, for one of the two workers."""

    worker: Literal["searcher", "reader"]


class Steps(Plan):
    """At most five subtasks; none is an answer too."""

    subtasks: list[Step]


class Found(AgentResult):
    """What a worker found."""

    found: str


code = Code.of(contracts=[Steps, Found])


def scripted() -> ScriptedAgent:
    steps = [{"worker": "searcher", "task": "rates this year"}, {"worker": "reader", "task": "the June notice"}]
    return ScriptedAgent(
        {
            "planner": gives(subtasks=steps),
            "searcher": gives(found="3.0 % in January, 2.5 % since June"),
            "reader": gives(found="the June notice lowers the rate by half a point"),
            "writer": "Your rate went from 3.0 % to 2.5 % in June.",
        }
    )
