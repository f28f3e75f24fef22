"""Metrics of routing, against hand-counted cases and against scipy."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from interlock.agents.evaluation import (
    accuracy,
    at_most,
    auroc,
    clopper_pearson,
    coverage_at_error,
    coverage_curve,
    out_of_scope_recall,
    outcomes,
    promise,
    threshold_from_costs,
)
from interlock.contracts.errors import CallError

SCORED = [(0.9, True), (0.8, True), (0.8, False), (0.5, True), (0.1, False)]


def test_outcomes_are_counted():
    """Unsure and blocked are no routes; confusion names what was taken for what."""
    found = outcomes([("a", "a"), ("a", "b"), ("a", "b"), ("b", "unsure"), ("b", "blocked"), ("b", "b")])
    assert (found.total, found.right, found.wrong, found.abstained, found.blocked) == (6, 2, 2, 1, 1)
    assert (found.accuracy, found.coverage, found.error) == (2 / 6, 4 / 6, 0.5)
    assert found.confusion == ((("a", "b"), 2),)


def test_the_curve_has_a_point_for_each_distinct_score():
    """Equal scores are routed together or not at all."""
    curve = coverage_curve(SCORED)
    assert [(point.threshold, point.routed, point.wrong) for point in curve] == [
        (0.9, 1, 0),
        (0.8, 3, 1),
        (0.5, 4, 1),
        (0.1, 5, 2),
    ]
    assert coverage_at_error(SCORED, 0.0) == 0.2
    assert coverage_at_error(SCORED, 0.25) == 0.8


def test_nothing_measured_is_nothing_claimed():
    """Empty input has no accuracy, no coverage, no recall."""
    assert (accuracy([]), coverage_at_error([], 0.5), out_of_scope_recall([], 0.5)) == (0, 0, 0)
    assert outcomes([]).accuracy == 0
    with pytest.raises(CallError, match="AUROC needs messages of both kinds"):
        auroc([], [0.5])


def test_auroc_counts_ties_half():
    """1 for apart, a half for the same."""
    assert auroc([0.9, 0.8], [0.1, 0.2]) == 1
    assert auroc([0.5], [0.5]) == 0.5
    assert out_of_scope_recall([0.1, 0.3, 0.5], 0.3) == 1 / 3


@given(st.integers(1, 20_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.sampled_from([0.9, 0.99]))
def test_the_bound_is_that_of_clopper_and_pearson(case: tuple[int, int], confidence: float):
    """As scipy's beta quantile gives it."""
    wrong, n = case
    expected = 1.0 if wrong == n else beta.ppf(confidence, wrong + 1, n - wrong)
    assert clopper_pearson(wrong, n, confidence) == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_impossible_counts_are_refused():
    """More wrong than there were."""
    with pytest.raises(CallError, match="3 wrong of 2 is not possible"):
        clopper_pearson(3, 2)


def test_the_binomial_tail_at_its_ends():
    """Certain and impossible."""
    assert (at_most(5, 5, 0.3), at_most(0, 5, 0.0), at_most(0, 5, 1.0)) == (1, 1, 0)


def test_a_promise_keeps_its_bound():
    """Widest coverage whose bound is within what was promised; None where too few agree."""
    scored = [(1 - place / 1_000, place % 50 != 49) for place in range(900)]
    found = promise(scored, 0.05)
    assert found is not None
    assert found.bound <= 0.05
    assert (found.n, found.coverage) == (900, found.routed / 900)
    assert sum(score >= float(found.threshold) for score, _ in scored) <= found.routed
    assert promise(scored[:40], 0.01) is None


@pytest.mark.parametrize(
    ("misroute", "escalation", "threshold"),
    [(10, 1, "0.900001"), (3, 1, "0.666667"), (1, 5, "0.000000"), (5, 0, "1.000000"), (4, 4, "0.000001")],
)
def test_a_threshold_follows_from_costs(misroute: int, escalation: int, threshold: str):
    """The least probability at which routing costs less than escalating."""
    assert threshold_from_costs(misroute, escalation) == threshold
    least = float(threshold)
    assert (1 - least) * misroute < escalation or threshold == "1.000000"


def test_costs_that_give_no_threshold_are_refused():
    """A wrong route costs something."""
    with pytest.raises(CallError, match="do not give a threshold"):
        threshold_from_costs(0, 1)
