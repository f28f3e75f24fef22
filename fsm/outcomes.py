"""Which outcomes a state can end with: the table that makes a flow total."""

from typing import assert_never

from ..contracts.flow import (
    NEXT_ISSUE,
    AgentState,
    BroadcastState,
    CallState,
    CollectState,
    FinalState,
    Flow,
    HumanState,
    RouteState,
    State,
    SubflowState,
    WaitState,
)
from ..contracts.subflow import FAILED

AGENT_OUTCOMES = ("done", "unsure", "refused", "invalid", "timeout", "failed", "over_budget")


def outcomes_of(flow: Flow, state: State) -> tuple[str, ...]:
    """Every outcome that needs a row, the state's own or a flow-wide one."""
    match state:
        case WaitState():
            return ("message", "expired", *state.inputs, *((NEXT_ISSUE,) if state.next_issue else ()))
        case CollectState():
            return ("complete", "gave_up", "declined", "expired")
        case RouteState():
            router = next((one for one in flow.routers if one.name == state.router), None)
            return (*(router.labels if router else ()), "unsure", "blocked")
        case AgentState():
            return AGENT_OUTCOMES
        case CallState():
            return ("done", "failed", "timeout", *(("unapproved",) if state.approval is not None else ()))
        case BroadcastState():
            return ("complete", "partial", "failed", *(("empty",) if state.plan is not None else ()))
        case HumanState():
            return (*state.decisions, "expired")
        case SubflowState():
            spec = next((one for one in flow.subflows if one.name == state.flow), None)
            return tuple(dict.fromkeys((*(spec.finals if spec else ()), FAILED)))
        case FinalState():
            return ()
        case _:
            assert_never(state)
