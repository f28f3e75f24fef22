"""The page about limits is true: its table is the code's, and every row of it is reached by a test."""

import re
from typing import get_args

from interlock.contracts.limits import LimitName, Limits
from interlock.fsm.written import decimal
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "limits.md").read_text("utf-8")
ROWS = re.findall(r"^\| `([a-z_]+)` \| ([^|]+) \| ([^|]+) \| ([a-z]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)


def test_every_limit_is_on_the_page_with_its_default():
    """In the order of the code, which is also that of the English of a flow."""

    def default(name: str) -> str:
        value = getattr(Limits(), name)
        if value is None:
            return "none"
        return f"{decimal(value, 9)}.00" if name.endswith("_cost") else str(value)

    assert [(row[0], row[1]) for row in ROWS] == [(name, default(name)) for name in Limits.model_fields]


def test_every_limit_can_be_recorded():
    """The closed set of names in the events holds each of them."""
    assert set(Limits.model_fields) <= set(get_args(LimitName))


def test_every_limit_of_the_table_is_reached_by_a_test_that_looks_at_what_is_recorded():
    """By its case in the tests of limits, or by the test that is named there."""
    text = (ROOT / "tests" / "unit" / "service" / "test_limits.py").read_text("utf-8")
    reached = set(re.findall(r'^    "([a-z_]+)": ', text, re.MULTILINE))
    assert {row[0] for row in ROWS} <= reached
