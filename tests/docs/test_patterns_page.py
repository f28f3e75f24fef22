"""docs/patterns.md: every row names a test that runs, events that exist, and a picture drawn from the rows that run."""

import ast
import os
import re
from pathlib import Path
from typing import get_args

import pytest

from interlock.cli.drawing import svg
from interlock.contracts.events import Event
from support.patterns import NAMES, project

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "patterns.md").read_text("utf-8")
PICTURES = ROOT / "docs" / "images" / "patterns"
EVENTS = {one.__name__ for one in get_args(get_args(Event)[0])}
_TEST = re.compile(r"`(tests/[a-z_/]+\.py)::([a-z_0-9]+)`")


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading."""
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def functions_in(file: str) -> dict[str, ast.stmt]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_pattern_has_its_row() -> None:
    assert sorted(re.findall(r"\[`([a-z_]+)`\]", " ".join(row[1] for row in rows("The patterns")))) == NAMES


@pytest.mark.parametrize("row", [*rows("The patterns"), *rows("The failures")], ids=lambda row: row[0])
def test_every_row_names_tests_that_run(row: list[str]) -> None:
    """The test is there, and no mark keeps it out of the normal run."""
    named = _TEST.findall(" ".join(row))
    assert named, row[0]
    for file, name in named:
        found = functions_in(file)
        assert name in found, f"{file} has no {name}"
        marks = ast.unparse(ast.Module([found[name]], [])).partition("def ")[0]
        assert not re.search(r"mark\.(full|skip|xfail)", marks)


@pytest.mark.parametrize("row", rows("The failures"), ids=lambda row: row[0])
def test_what_is_recorded_are_events(row: list[str]) -> None:
    recorded = re.findall(r"`([A-Z][A-Za-z]+)", row[-1])
    assert recorded, row[0]
    assert [one for one in recorded if one not in EVENTS] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_picture_is_drawn_from_the_rows_that_run(name: str) -> None:
    """Run with INTERLOCK_GOLDEN=write to draw them anew."""
    file, drawn = PICTURES / f"{name}.svg", svg(project(name).program.flow)
    if os.environ.get("INTERLOCK_GOLDEN") == "write":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(drawn, "utf-8")
    assert file.read_text("utf-8") == drawn
    assert f"images/patterns/{name}.svg" in PAGE
