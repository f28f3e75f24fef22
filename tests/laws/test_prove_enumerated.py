"""The model checker finds what trying everything finds: states, rows, ends, and the most calls of a turn."""

from hypothesis import HealthCheck, assume, given, settings

from interlock.contracts.flow import BroadcastState
from interlock.contracts.limits import Limits
from interlock.fsm.prove.search import searched
from support.enumerated import Enumerator
from support.flows import FlowCase, flows
from support.small_flows import KINDS, reached, small, small_limits, taken


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)
@given(flows(most_states=4, kinds=KINDS), small_limits)
def test_the_search_finds_what_trying_everything_finds(case: FlowCase, limits: Limits) -> None:
    """States, rows, spots from which no end is reached, and the most model calls between two inputs are the same."""
    flow = small(case, limits)
    assume(not any(isinstance(one, BroadcastState) and one.plan for one in flow.states))
    expected = Enumerator(flow).run()
    assume(expected is not None)
    assert expected is not None
    found = searched(flow)
    assert reached(found.explored) == expected.states
    assert taken(found.explored) == expected.rows
    assert found.bill.most.calls == expected.calls_of_a_turn()
