"""docs/reliability.md: each bound is three over the number tried, and each file named is there."""

import re

from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text("utf-8")


def test_each_bound_is_the_rule_of_three() -> None:
    rows = re.findall(r"^\| E\d .*\| ([\d,]+) \| (\d+) \| ([\d.]+) % \|$", PAGE, re.MULTILINE)
    assert len(rows) == 3
    for tried, lost, bound in rows:
        assert (lost, float(bound)) == ("0", round(300 / int(tried.replace(",", "")), 6))


def test_each_test_named_is_there() -> None:
    named = re.findall(r"`(?:tests/faults/)?(test_\w+\.py)`", PAGE)
    assert len(named) > 5
    assert [one for one in named if not (ROOT / "tests" / "faults" / one).is_file()] == []
