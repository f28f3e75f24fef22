"""Twenty seeded bugs: the generated tests find each, with no test written by hand; the good flows raise no alarm."""

from functools import lru_cache

import pytest

from interlock.contracts.facts import Facts
from interlock.testing.baseline import Baseline, recorded_by
from interlock.testing.checking import (
    Asked,
    Budget,
    Found,
    anything,
    first_fault,
    paths_as_before,
    sentences,
)
from interlock.testing.paths import Suite, suite_of
from interlock.testing.sentences import not_as_said
from support.seeded import BASES, SEEDED, Seeded, bank_with, good
from support.seeded_table import PAGE, table

BUDGET = Budget(examples=100, runs=700)
QUICK = "one approval is enough where two were asked for"
"""The one that every run looks for; the others take minutes."""
BUGS = [pytest.param(one, id=one.name, marks=() if one.name == QUICK else pytest.mark.full) for one in SEEDED]
FLOWS = [pytest.param(one, marks=() if one == "human_in_the_loop" else pytest.mark.full) for one in BASES]


@lru_cache(maxsize=8)
def suite(base: str) -> Suite:
    return suite_of(good(base), most_runs=BUDGET.runs, seconds=600)


@lru_cache(maxsize=8)
def baseline(base: str) -> Baseline:
    return recorded_by(suite(base))


@lru_cache(maxsize=32)
def found_by_name(name: str) -> tuple[Found | None, Found | None]:
    return found_out(next(one for one in SEEDED if one.name == name))


def found(seeded: Seeded) -> tuple[Found | None, Found | None]:
    return found_by_name(seeded.name)


def found_out(seeded: Seeded) -> tuple[Found | None, Found | None]:
    """What the flow's own sentences say of it, and what the recorded behaviour does."""
    asked = Asked(seeded.program(), BUDGET, baseline(seeded.base))
    shows = paths_as_before(asked)
    return sentences(asked), shows if shows is not None else anything(asked)


@pytest.mark.parametrize("seeded", BUGS)
def test_a_seeded_bug_is_found_and_shown_in_six_messages_at_most(seeded: Seeded) -> None:
    """By the behaviour that the good flow was recorded with; some by what the flow says of itself, too."""
    _, shown = found(seeded)
    assert shown is not None
    assert shown.acts
    assert shown.messages <= 6
    assert "now in " in shown.conversation


@pytest.mark.parametrize("base", FLOWS)
def test_the_good_flows_raise_no_alarm(base: str) -> None:
    """Their own suite, and their own behaviour played again."""
    assert suite(base).faults == []
    assert not_as_said(good(base)) == []
    assert paths_as_before(Asked(good(base), BUDGET, baseline(base))) is None


@pytest.mark.full
@pytest.mark.parametrize("base", BASES)
def test_the_machine_raises_no_alarm_on_a_good_flow(base: str) -> None:
    """A few conversations here; three times the whole budget under `-m full`."""
    asked = Asked(good(base), Budget(examples=6, steps=12), baseline(base), suite=suite(base))
    assert anything(asked) is None


@pytest.mark.full
@pytest.mark.parametrize("base", BASES)
def test_three_times_the_budget_raises_no_alarm_on_a_good_flow(base: str) -> None:
    asked = Asked(good(base), Budget(examples=3 * BUDGET.examples, runs=3 * BUDGET.runs, seconds=600), baseline(base))
    assert first_fault(asked) is None


@pytest.mark.full
@pytest.mark.parametrize("seeded", SEEDED, ids=lambda one: one.name)
def test_without_a_baseline_only_a_sentence_tells(seeded: Seeded) -> None:
    """What the page says of the others: the flow declares the wrong thing, and does it."""
    said, _ = found(seeded)
    unaided = first_fault(Asked(seeded.program(), Budget(examples=30, runs=700, seconds=600)))
    assert (unaided is None) is (said is None)
    assert unaided is None or unaided.oracle == "sentence"


@pytest.mark.full
def test_the_page_shows_how_many_examples_each_took() -> None:
    """`python -m pytest tests/laws/test_seeded.py -k page -s` prints the table that the page holds.

    How many conversations were tried before depends on the order in which they are found: any number up to the
    number of recorded ones may stand there.
    """
    shown = table([(one, *found(one)) for one in SEEDED])
    print(shown)
    page = PAGE.read_text(encoding="utf-8")
    for line in shown.splitlines():
        bug, base, tells = line.split("|")[1:4]
        assert f"|{bug}|{base}|{tells}|" in page


def _less(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount < limit * 100


def _cents(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount <= limit


@pytest.mark.parametrize(
    ("guards", "says"),
    [
        (
            {"amount_at_most": _less},
            "the guard amount_at_most(100) says “the amount is at most €100”; with amount €100.00 it does not hold",
        ),
        (
            {"amount_at_most": _cents},
            "the guard amount_at_most(100) says “the amount is at most €100”; with amount €99.99 it does not hold",
        ),
        (
            {"customer_is_verified": lambda facts: True},
            "the guard customer_is_verified says “the customer is verified”; with nothing known it holds",
        ),
        (
            {"payment_was_found": lambda facts: not facts.true("payment_found")},
            "the guard payment_was_found says “the payment was found”; with payment_found yes it does not hold",
        ),
    ],
    ids=["less", "cents", "always", "opposite"],
)
def test_a_guard_of_the_bank_that_contradicts_its_sentence_is_found_without_a_conversation(
    guards: dict[str, object], says: str
) -> None:
    program = bank_with(guards)  # type: ignore[arg-type]
    assert says in [str(one) for one in not_as_said(program)]
