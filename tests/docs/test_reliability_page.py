"""docs/reliability.md: its table is made of the recorded figures, each bound is three over the number tried, each fault
of the list has its row or its word, and each test that a command names is there."""

import re

from support.reliability_page import FIGURES, PAGE, added_up, merged, percent, read, with_table
from support.source_tree import ROOT

TEXT = PAGE.read_text("utf-8")
ROWS = read(FIGURES)


def test_the_table_is_made_of_the_figures() -> None:
    assert with_table(TEXT, ROWS) == TEXT, "run tests/support/reliability_page.py"


def test_each_bound_is_the_rule_of_three() -> None:
    rows = re.findall(r"^\| E\d .*\| ([\d,]+) \| (\d+) \| ([\d.]+) % \|$", TEXT, re.MULTILINE)
    assert len(rows) == 6
    for tried, lost, bound in rows:
        assert (lost, float(bound)) == ("0", float(f"{300 / int(tried.replace(',', '')):.2g}"))
    assert [percent(tried) for tried in (1, 300, 7_100, 100_000)] == ["100 %", "1 %", "0.042 %", "0.003 %"]


def test_every_fault_of_the_list_is_spoken_of() -> None:
    """By a row with figures and a control that failed, or by name where it was not done."""
    measured = {row["fault"] for row in ROWS}
    assert {f"F{number}" for number in range(1, 19)} - measured == {"F13", "F14"}
    for fault in sorted(measured):
        controls = [row for row in ROWS if row["fault"] == fault and row["control"]]
        assert all(row["wrong"] > 0 for row in controls), fault
        assert controls or fault in WITHOUT_CONTROL, fault
    assert all(f"F{number}" in TEXT for number in range(1, 21))
    assert [row["what"] for row in ROWS if row["wrong"] and not row["control"]] == []


WITHOUT_CONTROL = {"F2", "F7", "F9"}
"""The page says so."""


def test_each_test_named_is_there() -> None:
    named = re.findall(r"`(?:tests/faults/)?(test_\w+\.py)`", TEXT)
    assert [one for one in named if not (ROOT / "tests" / "faults" / one).is_file()] == []
    commands = re.findall(r"`pytest (?:-m full )?(tests/\S+?\.py)(?:::(\w+))?`", TEXT)
    assert len(commands) > 20
    for file, test in commands:
        source = (ROOT / file).read_text("utf-8")
        assert not test or f"def {test}(" in source, (file, test)
        assert "full" in source, file


def test_batches_are_added_up_and_a_later_run_takes_the_place_of_an_earlier() -> None:
    """Of one test the last run counts, of its batches the sum, and of what took longest the longest; a run of the short
    profile takes no place of one of the long."""
    first = {"fault": "F1", "what": "kills", "test": "tests/a.py::test_a[1]", "tried": 5, "wrong": 0}
    again = first | {"tried": 7, "seen": {"acknowledged": 2, "longest call (ms)": 9}}
    other = first | {"test": "tests/a.py::test_a[2]", "tried": 1, "seen": {"acknowledged": 1, "longest call (ms)": 4}}
    control = first | {"control": True, "wrong": 5}
    rows = added_up([first, again, other, control])
    assert [(row["control"], row["tried"], row["wrong"]) for row in rows] == [(False, 8, 0), (True, 5, 5)]
    assert rows[0]["test"] == "tests/a.py::test_a"
    assert rows[0]["seen"] == {"acknowledged": 3, "longest call (ms)": 9}
    assert merged(rows, added_up([first])) == [added_up([first])[0], rows[1]]
    assert merged(rows, added_up([first | {"full": False}])) == rows
