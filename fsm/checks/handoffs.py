"""Handoffs: histories that can be summed up, words that must not be, and scopes that can be measured."""

from collections.abc import Iterator

from ...contracts.errors import Fault
from ...contracts.flow import AgentSpec, AgentState, BroadcastState
from ...contracts.values import listed
from .names import suggestion
from .survey import Survey


def histories_given(survey: Survey) -> Iterator[Fault]:
    agents = {agent.name: agent for agent in survey.flow.agents}
    for agent in survey.flow.agents:
        path = f"agents.{agent.name}"
        sums_up = agent.history == "summary" or agent.when_over == "summarise"
        by = agents.get(agent.summariser or "")
        if sums_up and agent.summariser is None:
            what = f"The history of {agent.name!r} is summed up by nobody."
            yield survey.fault("S230", f"{path}.history", what, "Name an agent under `summariser`.")
        if agent.summariser is not None and not sums_up:
            what = f"{agent.name!r} has a summariser, and its history is never summed up."
            fix = "Write `history: summary` or `when_over: summarise`, or delete it."
            yield survey.fault("S230", f"{path}.summariser", what, fix)
        if by is not None and (by.name == agent.name or by.summariser is not None):
            what = f"{by.name!r} sums up for {agent.name!r}, and would need a summary itself."
            yield survey.fault("S230", f"{path}.summariser", what, "Name an agent that has no summariser.")
        if agent.when_over == "summarise" and agent.history not in ("verbatim", "summary"):
            what = f"{agent.name!r} is given a {agent.history!r} history, which is not made to fit by a summary."
            yield survey.fault("S231", f"{path}.when_over", what, "Write `history: verbatim` or `history: summary`.")
        if survey.flow.sensitive and (agent.history != "verbatim" or sums_up):
            how = f"its history is {agent.history!r}" if agent.history != "verbatim" else "it may be summed up"
            what = f"The flow is sensitive, so {agent.name!r} is given every word; but {how}."
            fix = "Delete `history`, `when_over` and `summariser`, or `sensitive`."
            yield survey.fault("S232", f"{path}.history", what, fix)


def scopes_measured(survey: Survey) -> Iterator[Fault]:
    scoped = {agent.name: agent for agent in survey.flow.agents if agent.scope is not None}
    for agent in scoped.values():
        yield from _labels(survey, agent)
    for state in survey.flow.states:
        path = f"states.{state.name}"
        asked: tuple[str, ...] = ()
        if isinstance(state, BroadcastState):
            asked = (*(one.agent for one in state.members), *state.workers)
        elif isinstance(state, AgentState):
            asked = state.agents
            own = next((one for one in survey.flow.agents if one.name == state.agent), None)
            asked += tuple(name for name in state.fallbacks if name in scoped and _differs(own, scoped[name]))
        for name in dict.fromkeys(name for name in asked if name in scoped):
            what = f"{state.name!r} asks {name!r} without measuring its scope first."
            fix = "Let an agent state ask it, with fallbacks of the same scope; or give it no `scope`."
            yield survey.fault("S234", path, what, fix)
    for agent in survey.flow.agents:
        for name in agent.consults:
            if name in scoped:
                what = f"{agent.name!r} asks {name!r} as a tool without measuring its scope first."
                yield survey.fault("S234", f"agents.{agent.name}.consults", what, "Give it no `scope`.")


def _labels(survey: Survey, agent: AgentSpec) -> Iterator[Fault]:
    path = f"agents.{agent.name}"
    if survey.labels_unknown(agent.scope):
        return
    labels = survey.routers[agent.scope or ""].labels
    for key, named in (("handles", agent.handles), ("refuses", agent.refuses)):
        for label in named:
            if label not in labels:
                what = f"{agent.name!r} {key} {label!r}, which is no label of its scope {agent.scope!r}."
                yield survey.fault("S233", f"{path}.{key}", what, suggestion(label, labels))
    both = sorted(set(agent.handles) & set(agent.refuses))
    if both:
        what = f"{agent.name!r} handles and refuses {listed(both)}."
        yield survey.fault("S233", f"{path}.refuses", what, "Delete it in one of them.")
    if not agent.handles and not agent.refuses:
        what = f"{agent.name!r} has the scope {agent.scope!r}, and neither handles nor refuses any label."
        yield survey.fault("S233", f"{path}.scope", what, "List labels under `handles` or `refuses`.")


def _differs(own: AgentSpec | None, other: AgentSpec) -> bool:
    return own is None or (own.scope, own.handles, own.refuses) != (other.scope, other.handles, other.refuses)


HANDOFFS = (histories_given, scopes_measured)
