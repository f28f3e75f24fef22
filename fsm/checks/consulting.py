"""Agents as tools: each can be asked within the limit, and under a name of its own."""

from collections.abc import Iterator, Mapping

from ...contracts.consulting import tool_name
from ...contracts.errors import Fault
from ...contracts.flow import AgentState
from .survey import Survey

_LONGEST = 64
"""Of a tool's name, at the providers that we know."""


def asked_within_the_limit(survey: Survey) -> Iterator[Fault]:
    """An agent's `consults` that lie deeper than `agent_depth`, and what is declared of agents that nobody asks."""
    most, depths = survey.flow.limits.agent_depth, _depths(survey)
    for agent in survey.flow.agents:
        path, depth = f"agents.{agent.name}", depths.get(agent.name)
        for key, there in (("reads", agent.reads), ("consults", agent.consults)):
            if there and depth is None and not survey.partial:
                yield survey.fault(
                    "S195",
                    f"{path}.{key}",
                    f"{agent.name!r} declares {key!r}, which holds where it is asked as a tool; nobody asks it.",
                    f"Name it under `agents` of a state, or delete {key!r}.",
                )
        if agent.consults and depth is not None and depth >= most:
            yield survey.fault(
                "S196",
                f"{path}.consults",
                f"{agent.name!r} is asked {_counted(depth)} deep at the least, and 'agent_depth' is {most}: it "
                "never gets to ask anybody.",
                "Raise the limit `agent_depth`, or delete `consults`.",
            )


def _counted(depth: int) -> str:
    return "1 level" if depth == 1 else f"{depth} levels"


def _depths(survey: Survey) -> Mapping[str, int]:
    """By agent: the least number of agents that work inside one another when it is asked, itself included."""
    agents = {agent.name: agent for agent in survey.flow.agents}
    depths: dict[str, int] = {}
    level = {name for state in survey.flow.states if isinstance(state, AgentState) for name in state.agents}
    depth = 0
    while level:
        depth += 1
        new = {name for name in level if name not in depths}
        depths.update(dict.fromkeys(new, depth))
        level = {name for one in new if one in agents for name in agents[one].consults}
    return depths


def asked_by_a_name_of_their_own(survey: Survey) -> Iterator[Fault]:
    lists = [
        *((f"states.{one.name}.agents", one.agents) for one in survey.flow.states if isinstance(one, AgentState)),
        *((f"agents.{one.name}.consults", one.consults) for one in survey.flow.agents),
    ]
    tools = {*(tool.name for tool in survey.flow.tools), *(survey.code.tools if survey.code is not None else ())}
    for where, names in lists:
        for index, name in enumerate(names):
            tool = tool_name(name)
            if name in names[:index]:
                yield survey.fault("S197", where, f"The agent {name!r} is listed twice.", "Delete one of them.")
            elif tool in tools:
                what = f"The agent {name!r} would be the tool {tool!r}, and there is a tool of that name."
                yield survey.fault("S197", where, what, "Rename the agent or the tool.")
            elif len(tool) > _LONGEST:
                what = f"The agent {name!r} would be a tool of {len(tool)} characters; {_LONGEST} are the most."
                yield survey.fault("S197", where, what, "Give the agent a shorter name.")
    for state in survey.flow.states:
        if isinstance(state, AgentState) and state.judges is not None and state.agents:
            yield survey.fault(
                "S184",
                f"states.{state.name}.agents",
                f"The judge {state.name!r} may ask other agents.",
                "Delete `agents`: a judge only says pass or fail.",
            )


CONSULTING = (asked_within_the_limit, asked_by_a_name_of_their_own)
