"""Amounts of money are written as money wherever a limit is told, and what stays unknown of a limit says why."""

from datetime import UTC, datetime

import pytest

from interlock.cli.story_work import limit_words
from interlock.contracts.events import LimitReached
from interlock.fsm.prove.proof import proved
from interlock.fsm.wording import limit_amount
from interlock.testing.behaviour import observed
from support.broken import MENDED, program_of

POLICY = """policies:
  unpaid: {says: Nothing is paid after two agents went to and fro., never: tool:pay_back, after: limit:same_pair}
"""
LIMITED = MENDED.replace("states:\n", f"{POLICY}states:\n") + "  - [any, policy, otherwise, desk, OR-9]\n"


@pytest.mark.parametrize(
    ("limit", "value", "written"),
    [
        ("turn_cost", 250_000_000, "0.25"),
        ("conversation_cost", 1_200_000_000_000, "1,200.00"),
        ("turn_cost", 1, "0.000000001"),
        ("turn_cost", 0, "0.00"),
        ("turn_tokens", 250_000, "250,000"),
        ("same_pair", 2, "2"),
    ],
)
def test_a_limit_of_costs_reads_as_money(limit: str, value: int, written: str) -> None:
    assert limit_amount(limit, value) == written


def test_a_limit_that_was_reached_reads_as_money() -> None:
    event = LimitReached(limit="turn_cost", value=260_000_000, maximum=250_000_000)
    assert limit_words(event) == "turn cost, 0.26 of 0.25"
    assert observed(event, datetime(2026, 11, 1, tzinfo=UTC)) == "reaches the limit turn_cost (0.25)"


def test_what_stays_unknown_of_a_limit_says_why_in_one_sentence() -> None:
    """With the way that may not be one; of a policy that speaks of no limit, the same way is a fault."""
    (found,) = (one for one in proved(program_of(LIMITED)).findings if one.code == "P311")
    assert found.verdict == "unknown"
    assert found.counterexample
    assert found.says == (
        "Whether the rows keep the policy 'unpaid' is not known: it speaks of 'limit:same_pair', and the way shown may "
        "need a limit that cannot be reached there, because which limit is reached is not told apart."
    )
    sure = LIMITED.replace("after: limit:same_pair", "after: enter:asking")
    (found,) = (one for one in proved(program_of(sure)).findings if one.code == "P311")
    assert found.verdict == "refuted"
