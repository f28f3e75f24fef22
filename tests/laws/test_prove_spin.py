"""An independent engine gives the same verdicts: the export of a flow, searched by SPIN.

The export reads the flow by itself and shares nothing with the search but the flow. Skipped where SPIN is missing.
"""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from interlock.contracts.flow import FinalState, Flow, Transition, WaitState
from interlock.contracts.guard import GuardSpec
from interlock.contracts.limits import Limits
from interlock.contracts.policies import Policy
from interlock.fsm.guards import known
from interlock.fsm.policies.automata import automaton
from interlock.fsm.policies.words import meanings_of
from interlock.fsm.prove.keeping import Held, first_broken, first_held, policies_kept
from interlock.fsm.prove.monitor import Kept
from interlock.fsm.prove.promela import Export, promela
from interlock.fsm.prove.promela_policies import is_modelled
from interlock.fsm.prove.search import Search, searched
from support.broken import BROKEN, MENDED, program_of
from support.flows import FlowCase, flows
from support.policed import policed, policies_for
from support.small_flows import KINDS, acted, reached, small, small_limits, stuck, taken, torn, watched
from support.spin import MISSING, Spun, spun

pytestmark = pytest.mark.skipif(bool(MISSING), reason=MISSING)
many = settings(
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    deadline=None,
)
LAX = 10_000
lax_limits = st.just(Limits(handoffs=LAX, same_pair=LAX, agent_calls=LAX, steps=LAX, tool_rounds=1, digression_depth=1))


def same(flow: Flow, search: Search, found: Spun) -> None:
    """States, rows, the tools that were reached untrusted, and the most calls of a turn."""
    assert reached(search.explored) == found.names("state")
    assert {str(row) for row in taken(search.explored)} == found.names("row")
    assert acted(search) == bool(found.names("acted"))
    most = search.bill.most.calls
    assert found.calls == most
    assert ("assertion violated" in found.broken) == (most > 0)


@many
@given(case=flows(most_states=4, kinds=KINDS), limits=small_limits)
def test_spin_finds_what_the_search_finds(case: FlowCase, limits: Limits, tmp_path: Path) -> None:
    """Reachable states and rows, what is untrusted, and worst-case calls: `calls <= n - 1` is broken, and n is most."""
    compared(small(case, limits), tmp_path)


@pytest.mark.full
@settings(many, max_examples=3_000)
@given(case=flows(most_states=5, kinds=KINDS), limits=small_limits)
def test_spin_finds_it_in_thousands_of_flows(case: FlowCase, limits: Limits, tmp_path: Path) -> None:
    """The same, on thousands."""
    compared(small(case, limits), tmp_path)


def compared(flow: Flow, folder: Path) -> None:
    search = watched(flow)
    same(flow, search, spun(flow, folder, calls=max(0, search.bill.most.calls - 1)))


@many
@given(
    case=flows(most_states=3, kinds=KINDS),
    limits=small_limits,
    gone=st.lists(st.integers(0, 99), min_size=1, max_size=3),
)
def test_spin_finds_the_same_dead_ends(case: FlowCase, limits: Limits, gone: list[int], tmp_path: Path) -> None:
    """In flows of which the rows for some outcomes were torn out."""
    flow = small(case, limits)
    flow = torn(flow, gone)
    assert bool(stuck(searched(flow).explored)) == ("invalid end state" in spun(flow, tmp_path).broken)


@many
@given(case=flows(most_states=4, kinds=("agent", "agent", "call", "route", "wait")), limits=lax_limits)
def test_spin_finds_the_same_storms(case: FlowCase, limits: Limits, tmp_path: Path) -> None:
    """Where no limit counts: a loop that calls something and needs no input and no person."""
    flow = small(case, limits)
    assume(any(one.kind == "agent" for one in flow.states))
    assert bool(searched(flow).bill.cycle) == ("acceptance cycle" in spun(flow, tmp_path, loops=True).broken)


@many
@given(data=st.data())
def test_spin_breaks_the_same_policies(data: st.DataObject, tmp_path: Path) -> None:
    """Each pattern in each scope, read from its definition on their side: some step breaks it, or none does."""
    policies_agree(data, tmp_path)


@pytest.mark.full
@settings(many, max_examples=3_000)
@given(data=st.data())
def test_spin_breaks_them_in_thousands_of_flows(data: st.DataObject, tmp_path: Path) -> None:
    """The same, on thousands."""
    policies_agree(data, tmp_path)


def policies_agree(data: st.DataObject, tmp_path: Path) -> None:
    flow = small(data.draw(flows(most_states=4, kinds=KINDS)), data.draw(small_limits))
    policy = data.draw(policies_for(flow))
    assume(is_modelled(flow, policy))
    flow = policed(flow, (policy,), flow.initial)
    (policy,) = flow.policies
    found = "assertion violated" in spun(flow, tmp_path).broken
    held = refusal(flow, policy)
    if found or held is None or not held.stays:  # where nothing is taken, ours does not ask what the counters allow
        assert (held is not None) == found


def refusal(flow: Flow, policy: Policy) -> Held | None:
    """The first step that would break it, or does."""
    explored = searched(flow, (Kept(automaton(policy, meanings_of(flow))),)).explored
    broken = first_broken(explored, 0)
    return first_held(explored, policy.name) if broken is None else Held(broken, None, "")


def test_a_row_on_policy_that_breaks_it_too_proves_nothing(tmp_path: Path) -> None:
    """Found by this comparison: the step was refused, so was what should handle that, and nothing was told."""
    wait = [WaitState(name=name, deadline_seconds=60) for name in ("start", "two")]
    rows = [("start", "message", "two"), ("two", "message", "start"), ("any", "policy", "start")]
    rows += [("start", "expired", "closed"), ("two", "expired", "closed"), ("any", "limit", "closed")]
    policy = Policy(name="once", at_most={"enter:start": 1})
    flow = Flow(
        name="again",
        version=1,
        owner="tests",
        initial="start",
        states=(*wait, FinalState(name="closed")),
        transitions=tuple(Transition(source=one, on=on, target=to, policy="P-1") for one, on, to in rows),
        policies=(policy,),
    )
    search = searched(flow, (Kept(automaton(policy, meanings_of(flow))),))
    (finding,) = policies_kept(search.explored, {}, search.complete)
    assert finding.verdict == "refuted"
    assert finding.says.endswith(" So would each row on `policy`: nothing is taken, and the conversation stays.")
    assert "assertion violated" in spun(flow, tmp_path).broken


def test_the_comparison_of_policies_can_fail(tmp_path: Path) -> None:
    """The control: of a flow that pays, and a model that was told of another policy."""
    flow = program_of(next(one.text for one in BROKEN if one.code == "P309")).flow
    broken, kept = Policy(name="rule", never=("pay_back",)), Policy(name="rule", never=("input:cancelled",))
    assert refusal(flow, broken)
    assert "assertion violated" in spun(flow.changed(policies=(broken,)), tmp_path).broken
    assert not refusal(flow, kept)
    assert "assertion violated" not in spun(flow.changed(policies=(kept,)), tmp_path).broken


def test_the_comparison_can_fail(tmp_path: Path) -> None:
    """A flow and itself with one limit less, or with one row less, do not agree."""
    flow = program_of(MENDED).flow
    search = watched(flow)
    same(flow, search, spun(flow, tmp_path, calls=search.bill.most.calls - 1))
    fewer = flow.changed(limits=flow.limits.changed(agent_calls=5))
    with pytest.raises(AssertionError):
        same(flow, search, spun(fewer, tmp_path, calls=search.bill.most.calls - 1))
    changed = flow.changed(transitions=(*flow.transitions[:3], *flow.transitions[4:]))
    with pytest.raises(AssertionError):
        same(flow, search, spun(changed, tmp_path, calls=search.bill.most.calls - 1))


def test_spin_finds_what_is_broken(tmp_path: Path) -> None:
    """The storm of the page, and the untrusted tool; neither in the mended flow."""
    mended = program_of(MENDED).flow
    broken = {one.code: program_of(one.text).flow for one in BROKEN}
    assert "acceptance cycle" in spun(broken["P305"], tmp_path, loops=True).broken
    assert "acceptance cycle" not in spun(mended, tmp_path, loops=True).broken
    assert spun(broken["P309"], tmp_path).names("acted") == {"pay_back"}
    assert spun(mended, tmp_path).names("acted") == set()


@pytest.mark.parametrize("declared", [True, False])
def test_spin_takes_a_sanitiser_for_what_it_is(declared: bool, tmp_path: Path) -> None:
    """A guard of the row before the tool; the same guard without the declaration leaves it untrusted."""
    flow = program_of(next(one.text for one in BROKEN if one.code == "P309")).flow
    spec = GuardSpec(name="known", version=2, says="{fact} is known and was looked at", sanitises=declared)
    rows = tuple(
        row.changed(guard=known("amount")) if row.source == "details" and row.on == "complete" else row
        for row in flow.transitions
    )
    flow = flow.changed(transitions=rows, guards=(*flow.guards, spec))
    assert acted(watched(flow)) is not declared
    assert bool(spun(flow, tmp_path).names("acted")) is not declared


def test_the_export_says_what_it_is_of() -> None:
    """The flow, its digest, and what each mark stands for."""
    flow = program_of(MENDED).flow
    text = promela(flow)
    assert text.startswith(f"/* orders v1, {flow.digest}\n * SEEN(0) state greeting\n")
    assert "active proctype conversation() {" in text
    assert len(Export(flow).text("proctype other").splitlines()) == len(Export(flow).text().splitlines())
