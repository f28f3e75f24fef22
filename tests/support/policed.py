"""Random flows with random policies that they may have, and what becomes of policies in a log."""

from collections.abc import Iterable

from hypothesis import assume
from hypothesis import strategies as st

from interlock.contracts.events import Event
from interlock.contracts.flow import Flow, Transition
from interlock.contracts.policies import Policy
from interlock.fsm.check import faults_in
from interlock.fsm.policies.alphabet import NOTHING_SEEN, observed
from interlock.fsm.policies.words import is_refusable, words_in
from support.flows import CODE, FlowCase, flows
from support.policies import policies


def words_observed(events: Iterable[Event]) -> list[str]:
    """The whole trace of a log."""
    seen = NOTHING_SEEN
    found: list[str] = []
    for version, event in enumerate(events):
        words, seen = observed(event, version, seen)
        found += words
    return found


def telling(flow: Flow) -> list[str]:
    """Words of the flow that are likely to matter: no limits, which are many."""
    return sorted(word for word in words_in(flow) if not word.startswith("limit:"))


def policies_for(flow: Flow) -> st.SearchStrategy[Policy]:
    """Any policy over what the flow can bring about, mostly over its own steps."""
    words = telling(flow)
    own = [word for word in words if is_refusable(word)]
    return policies(st.sampled_from(own) | st.sampled_from(own) | st.sampled_from(words))


def policed(flow: Flow, some: Iterable[Policy], calm: str) -> Flow:
    """The flow with these policies, and a row for steps that would break them."""
    named = tuple(one.changed(name=f"rule_{number}") for number, one in enumerate(some))
    row = Transition(source="any", on="policy", target=calm, policy="X-1")
    return flow.changed(policies=named, transitions=(*flow.transitions, row))


@st.composite
def policed_cases(draw: st.DrawFn) -> FlowCase:
    """A flow without faults, with one to three policies."""
    case = draw(flows(most_states=5))
    calm = sorted(one.name for one in case.flow.states if one.kind in ("wait", "human"))
    assume(calm)
    target = draw(st.sampled_from(calm))
    kept: list[Policy] = []
    for _ in range(draw(st.integers(1, 3))):
        one = draw(policies_for(case.flow))
        if not faults_in(policed(case.flow, (*kept, one), target), CODE):
            kept.append(one)
    assume(kept)
    return FlowCase(policed(case.flow, kept, target))
