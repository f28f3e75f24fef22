"""Policies: the automata say what Dwyer's definitions say, of every pattern in every scope."""

from functools import reduce

from hypothesis import given

from interlock.contracts.policies import Policy
from interlock.fsm.policies.automata import applies, automaton, verdict_of
from support import dwyer
from support.policies import policies, traces


@given(policies(), traces)
def test_an_automaton_judges_as_dwyer_defines(policy: Policy, trace: list[str]) -> None:
    """The verdict of an ended conversation is the naive reading of the pattern over the stretches of its scope."""
    watch = automaton(policy)
    verdict = verdict_of(watch, reduce(watch.step, trace, 0))
    assert (verdict == "holds") == dwyer.holds(policy, trace), verdict


@given(policies(), traces)
def test_broken_means_broken_for_good_and_pending_can_be_mended(policy: Policy, trace: list[str]) -> None:
    watch, state = automaton(policy), 0
    for length, word in enumerate(trace, 1):
        state = watch.step(state, word)
        assert (state in watch.bad) == dwyer.lost(policy, trace[:length])


@given(policies(), traces)
def test_what_applies_is_what_the_rule_is_about(policy: Policy, trace: list[str]) -> None:
    watch = applies(policy)
    assert (reduce(watch.step, trace, 0) in watch.pending) == dwyer.applied(policy, trace)


@given(policies())
def test_an_automaton_is_total_small_and_told_apart(policy: Policy) -> None:
    """Every state has a next one for every word, is reached, and ends otherwise than every other after some word."""
    watch = automaton(policy)
    number = len(next(iter(watch.steps.values()), (0,)))
    assert all(len(row) == number and set(row) <= set(range(number)) for row in watch.steps.values())
    reached, todo = {0}, [0]
    while todo:
        here = todo.pop()
        todo += [row[here] for row in watch.steps.values() if row[here] not in reached]
        reached |= {row[here] for row in watch.steps.values()}
    assert reached == set(range(number))
    assert len(watch.bad) <= 1
    assert all(row[bad] == bad for row in watch.steps.values() for bad in watch.bad)


@given(policies())
def test_the_same_rule_is_the_same_automaton(policy: Policy) -> None:
    """However its words are ordered: its bytes stand in the log."""
    turned = policy.changed(never=policy.never[::-1], every=policy.every[::-1], after=policy.after[::-1])
    assert automaton(policy).canonical_bytes() == automaton(turned).canonical_bytes()
