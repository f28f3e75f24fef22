"""A way through a flow on one line."""

import re

from hypothesis import given
from hypothesis import strategies as st

from interlock.cli.against import in_sequence
from interlock.cli.ways import folded


def test_what_goes_round_is_written_once() -> None:
    """With how often; what comes before and after stays."""
    way = ("greeting", *("desk", "asking") * 24, "more")
    assert folded(way) == ("greeting", "(desk > asking) × 24", "more")


def test_two_short_rounds_stay_as_they_are() -> None:
    assert folded(("a", "b", "a", "b", "c")) == ("a", "b", "a", "b", "c")
    assert folded(("a", "b", "c", "a", "b", "c")) == ("(a > b > c) × 2",)


def test_rounds_inside_rounds() -> None:
    inner = (*("b", "c") * 3, "d")
    assert folded(("a", *inner, *inner, *inner)) == ("a", "((b > c) × 3 > d) × 3")


@given(st.lists(st.sampled_from("abc"), max_size=60))
def test_folding_loses_nothing(words: list[str]) -> None:
    """Written out again, the way is the one it was."""
    line = " > ".join(folded(words))
    while found := re.search(r"\(([^()]*)\) × (\d+)", line):
        line = line.replace(found[0], " > ".join([found[1]] * int(found[2])), 1)
    assert line == " > ".join(words)


def test_events_are_said_in_words() -> None:
    events = ("enter:greeting", "message", "tool:pay_back", "done:pay_back", "decided:desk.answered")
    assert in_sequence(events) == (
        "entering greeting, a message, asking pay_back, pay_back done, the decision answered in desk"
    )
