"""Random flows whose limits are so low that short conversations reach them."""

from hypothesis import strategies as st

from interlock.contracts.flow import BroadcastState
from interlock.contracts.limits import Limits
from support.flows import FlowCase, flows


@st.composite
def small_cases(draw: st.DrawFn) -> FlowCase:
    """Flows that count little within a turn, so that limits are reached in short histories."""
    case = draw(flows(most_states=5))
    limits = draw(
        st.just(case.flow.limits)
        | st.builds(
            Limits,
            handoffs=st.integers(1, 3),
            same_pair=st.integers(1, 2),
            self_handoffs=st.none() | st.just(1),
            agent_calls=st.integers(3, 6),
            tool_calls=st.none() | st.integers(1, 3),
            steps=st.integers(3, 8),
            repeats=st.none() | st.just(2),
        )
    )
    states = tuple(
        one.changed(most=min(one.most, limits.agent_calls)) if isinstance(one, BroadcastState) else one
        for one in case.flow.states
    )
    return FlowCase(case.flow.changed(limits=limits, states=states))
