"""Random flows made small: little to count, so that everything they can do can be tried."""

from collections.abc import Sequence

from hypothesis import strategies as st

from interlock.contracts.flow import AgentState, BroadcastState, CallState, Flow
from interlock.contracts.guard import Guard
from interlock.contracts.limits import Limits
from interlock.fsm.guards import visits_at_most
from interlock.fsm.prove.explore import Explored
from interlock.fsm.prove.monitor import Untrusted
from interlock.fsm.prove.search import Search, searched
from support.flows import FlowCase

KINDS = ("wait", "collect", "route", "agent", "agent", "call", "human", "broadcast", "subflow")
small_limits = st.builds(
    Limits,
    handoffs=st.integers(1, 2),
    same_pair=st.integers(1, 2),
    self_handoffs=st.sampled_from((None, 1)),
    agent_calls=st.integers(2, 4),
    tool_rounds=st.integers(1, 2),
    tool_calls=st.sampled_from((None, 1, 2)),
    steps=st.integers(2, 5),
    digression_depth=st.integers(1, 2),
)


def counting(guard: Guard, state: str, most: int) -> Guard:
    """The same condition, that counts visits where it asked for the customer's identity or the colour."""
    if guard.name in ("customer_is_verified", "is_"):
        return visits_at_most(state, most)
    return guard.changed(parts=tuple(counting(part, state, most) for part in guard.parts))


def small(case: FlowCase, limits: Limits) -> Flow:
    """The same flow with little to count: no agents as tools, no background, and short visits."""
    states = []
    for state in case.flow.states:
        if isinstance(state, AgentState):
            state = state.changed(agents=(), attempts=min(state.attempts, 2), fallbacks=(), backoff_seconds=0)
        elif isinstance(state, CallState):
            state = state.changed(attempts=min(state.attempts, 2))
        elif isinstance(state, BroadcastState):
            members = state.members[:2]
            state = state.changed(retries=0, members=members, quorum=min(state.quorum, 1))
        states.append(state)
    names = [state.name for state in states]
    rows = tuple(
        row.changed(guard=counting(row.guard, names[index % len(names)], index % 3))
        for index, row in enumerate(case.flow.transitions)
    )
    return case.flow.changed(states=tuple(states), limits=limits, transitions=rows)


def torn(flow: Flow, gone: Sequence[int]) -> Flow:
    """Without the rows for some outcomes."""
    groups = sorted({(row.source, row.on) for row in flow.transitions if row.on != "limit"})
    out = {groups[one % len(groups)] for one in gone}
    return flow.changed(transitions=tuple(row for row in flow.transitions if (row.source, row.on) not in out))


def watched(flow: Flow) -> Search:
    """Everything that it can do, and whether something untrusted reaches a tool that changes something."""
    return searched(flow, (Untrusted(frozenset(one.name for one in flow.tools if one.consequential)),))


def acted(search: Search) -> bool:
    model = search.explored.model
    bad = model.monitors[0].bad
    return any(model.location(one).watched[0] in bad for one in search.explored.before)


def stuck(explored: Explored) -> set[str]:
    """The states of configurations that are not final and lead nowhere."""
    return {
        explored.model.location(one).state
        for one in explored.before
        if explored.model.kind(one) != "final" and next(explored.moves_from(one), None) is None
    }


def taken(explored: Explored) -> set[int]:
    return {move.row for here in explored.before for move, _ in explored.moves_from(here) if move.row is not None}


def reached(explored: Explored) -> set[str]:
    """States that some configuration is in; the model also has places that only a counter keeps it from."""
    return {explored.model.location(one).state for one in explored.before}
