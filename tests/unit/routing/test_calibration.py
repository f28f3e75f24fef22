"""Calibration: what is fitted is what the data say, and figures over weighted messages are right."""

import random

import pytest

from interlock.agents.calibration import fit_logistic, fit_sharpness, logistic, sample
from interlock.agents.evaluation import clopper_pearson, mixed_coverage, promise, promise_with_outside, reliability
from interlock.agents.examples import Example
from interlock.agents.measuring import Judged, measured, several_measured
from interlock.contracts.errors import CallError


def test_a_logistic_is_found_again():
    """Rows drawn from known coefficients give them back, within what four thousand rows can tell."""
    chance = random.Random(1)
    rows = [(chance.gauss(0, 1), chance.gauss(0, 2)) for _ in range(4_000)]
    truth = [chance.random() < logistic(0.5 - 1.2 * one + 0.8 * two) for one, two in rows]
    constant, first, second = fit_logistic(rows, truth)
    assert constant == pytest.approx(0.5, abs=0.15)
    assert first == pytest.approx(-1.2, abs=0.15)
    assert second == pytest.approx(0.8, abs=0.15)


def test_weights_count_as_so_many_rows():
    """A row of weight 3 is three rows."""
    rows, truth = [(0.0,), (1.0,), (2.0,), (3.0,)], [False, True, False, True]
    weighted = fit_logistic(rows, truth, [1, 3, 1, 1])
    repeated = fit_logistic([*rows, rows[1], rows[1]], [*truth, True, True])
    assert weighted == pytest.approx(repeated, abs=1e-6)


def test_what_can_be_separated_stays_finite():
    """No number grows without end."""
    found = fit_logistic([(-1.0,), (1.0,)] * 5, [False, True] * 5)
    assert all(abs(one) < 100 for one in found)
    assert fit_logistic([], []) == (0.0,)


def test_sharpness_is_the_factor_of_the_softmax():
    """Labels drawn from a softmax at 4 give about 4 again."""
    chance = random.Random(2)
    margins = [[chance.gauss(0, 0.5) for _ in range(5)] for _ in range(1_500)]
    weights = [[pow(2.718281828, 4 * one) for one in row] for row in margins]
    truth = [chance.choices(range(5), row)[0] for row in weights]
    assert fit_sharpness(margins, truth) == pytest.approx(4, rel=0.15)


def test_a_sample_is_the_same_for_the_same_seed():
    """In order, and everything where there is little."""
    assert sample(5, seed=1, most=10) == [0, 1, 2, 3, 4]
    assert sample(100, seed=1, most=10) == sample(100, seed=1, most=10) == sorted(sample(100, seed=1, most=10))


def test_reliability_is_the_mean_distance():
    """Two bins: scores 0.95 of which 9 in 10 are right, and 0.25 of which half are."""
    found = reliability([(0.95, number > 0) for number in range(10)] + [(0.25, number > 4) for number in range(10)])
    assert [(one.count, one.right) for one in found.bins] == [(10, 0.5), (10, 0.9)]
    assert found.error == pytest.approx((0.25 + 0.05) / 2)
    weighted = reliability([(0.95, True), (0.25, False)], [3.0, 1.0])
    assert weighted.error == pytest.approx((3 * 0.05 + 0.25) / 4)


def test_coverage_over_mixed_traffic_weighs_what_is_out_of_scope():
    """Half of the traffic out of scope: one of two that score above leaks a quarter of all."""
    scored, outside = [(0.9, True), (0.8, True)], [0.85, 0.1]
    assert mixed_coverage(scored, outside, 0.5, 0.0) == 0.25
    assert mixed_coverage(scored, outside, 0.5, 0.34) == 0.75
    assert mixed_coverage(scored, outside, 0.0, 0.0) == 1.0


def test_a_promise_over_mixed_traffic_is_bounded_on_both_sides():
    """The bound is above what was seen, tighter with more messages, and without leaks and errors still not zero."""
    scored = [(0.99, True)] * 2_000 + [(0.5, False)] * 500
    found = promise_with_outside(scored, [0.1] * 500, 0.2, 0.02)
    assert found is not None
    assert (found.threshold, found.wrong, found.routed) == ("0.990000", 0, 2_000)
    each = clopper_pearson(0, 2_000, 0.975)
    leaked = 0.2 * clopper_pearson(0, 500, 0.975)
    routed = 0.8 * 0.8
    assert found.bound == pytest.approx((routed * each + leaked) / (routed + leaked))
    assert promise_with_outside(scored, [0.1] * 20, 0.2, 0.02) is None
    assert promise_with_outside(scored, [0.995] * 500, 0.2, 0.02) is None


def test_near_copies_make_a_promise_harder():
    """A hundred messages that are ten variants of ten say as much as ten."""
    scored = [(0.9, True)] * 200
    assert promise(scored, 0.02) is not None
    assert promise(scored, 0.02, each_counts=0.5) is None


def judged(label: str, given: str, score: float, *, outside: bool = False, scope: float = 0.9) -> Judged:
    labels = frozenset() if outside else frozenset({label})
    return Judged(labels, ((given, score), ("other", (1 - score) / 2)), scope, outside)


def test_a_measurement_counts_labels_confusion_and_scope():
    """Accuracy is of what is ours; what is out of scope is wrong wherever it is routed."""
    found = measured(
        [
            judged("card", "card", 0.9),
            judged("card", "refund", 0.6, scope=0.5),
            judged("other", "card", 0.5, scope=0.8),
            judged("", "card", 0.7, outside=True, scope=0.1),
        ]
    )
    assert (found.inside, found.outside) == (3, 1)
    assert found.accuracy == pytest.approx(1 / 3)
    assert found.top_two == pytest.approx(2 / 3)
    assert found.confusion == (("card", "refund", 1), ("other", "card", 1))
    assert [(one.label, one.examples, one.recognised, one.wrongly_given) for one in found.labels] == [
        ("card", 2, 1, 1),
        ("other", 1, 0, 0),
        ("refund", 0, 0, 1),
    ]
    assert (found.scope_auroc, found.scope_recall) == (1.0, 1.0)
    assert found.mixed[-1].error == pytest.approx(3 / 4)


def test_nothing_that_is_ours_cannot_be_measured():
    """With what to give."""
    with pytest.raises(CallError, match="No message has a label"):
        measured([judged("", "card", 0.7, outside=True)])


def test_labels_of_a_message_are_routed_asked_about_or_left():
    """One noticed label makes the message be asked about; a message of which nothing is routed is unsure anyway."""
    both = frozenset({"card", "refund"})
    found = several_measured(
        [
            Judged(both, (("card", 0.9), ("refund", 0.8)), 1.0),
            Judged(both, (("card", 0.9), ("transfer", 0.3), ("refund", 0.01)), 1.0),
            Judged(both, (("card", 0.9), ("refund", 0.01)), 1.0),
            Judged(both, (("card", 0.05), ("refund", 0.01)), 1.0),
        ],
        0.5,
        0.2,
    )
    assert (found.messages, found.labels, found.routed, found.wrongly) == (4, 8, 4, 0)
    assert (found.asked, found.left, found.alone, found.asking) == (1, 3, 2, 1)
    assert (found.recall, found.precision, found.silent) == (0.5, 1.0, 1 / 8)


def test_an_example_is_a_value():
    """Equal texts and labels are one example."""
    assert len({Example("a", frozenset({"x"})), Example("a", frozenset({"x"}))}) == 1
