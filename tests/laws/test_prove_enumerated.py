"""The model checker finds what trying everything finds: states, rows, ends, dead ends, what is untrusted, and calls."""

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from interlock.contracts.flow import BroadcastState
from interlock.contracts.limits import Limits
from interlock.fsm.prove.graph import distances
from support.enumerated import Enumerator
from support.flows import FlowCase, flows
from support.small_flows import KINDS, acted, reached, small, small_limits, stuck, taken, torn, watched

many = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)


@many
@given(flows(most_states=4, kinds=KINDS), small_limits)
def test_the_search_finds_what_trying_everything_finds(case: FlowCase, limits: Limits) -> None:
    """States, rows, the tools that something untrusted reaches, and the most model calls between two inputs."""
    flow = small(case, limits)
    assume(not any(isinstance(one, BroadcastState) and one.plan for one in flow.states))
    expected = Enumerator(flow).run()
    assume(expected is not None)
    assert expected is not None
    found = watched(flow)
    assert reached(found.explored) == expected.states
    assert taken(found.explored) == expected.rows
    assert found.bill.most.calls == expected.calls_of_a_turn()
    assert acted(found) == bool(expected.acted)


@many
@given(flows(most_states=4, kinds=KINDS), small_limits, st.lists(st.integers(0, 99), max_size=4))
def test_it_finds_the_same_ends(case: FlowCase, limits: Limits, gone: list[int]) -> None:
    """Dead ends, and places that no end is reached from without an operator, where rows were torn out."""
    flow = torn(small(case, limits), gone)
    assume(not any(isinstance(one, BroadcastState) and one.plan for one in flow.states))
    expected = Enumerator(flow).run()
    assume(expected is not None)
    assert expected is not None
    found = watched(flow).explored
    finals = {one.name for one in flow.states if one.kind == "final"}
    assert stuck(found) == expected.dead_ends(finals)
    ending = distances(found, lambda one: found.model.kind(one) == "final")
    never = {found.model.location(one).state for one in found.before if one not in ending}
    assert never == {spot.state for spot in expected.never_ending(finals)}
