"""docs/resilience.md says what is so: its Python prints what it says, and its defaults are the defaults."""

import inspect
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest

from interlock import Budget, Budgets, Overloaded, Pace, Resilience, Runtime, Storm
from interlock.contracts.flow import BreakerSpec
from interlock.contracts.limits import LimitName
from interlock.service.protection import NotMade
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "resilience.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
TABLE: list[list[str]] = [row.split("|")[1:-1] for row in re.findall(r"^\| .*$", PAGE, re.MULTILINE)]


def row(beginning: str) -> list[str]:
    (found,) = [cells for cells in TABLE if cells[0].strip().startswith(beginning)]
    return found


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_python_prints_what_the_page_says(number: int, tmp_path: Path) -> None:
    """Each block, put into a file and run as a reader would."""
    assert len(BLOCKS) == 2
    (tmp_path / "page.py").write_text(BLOCKS[number])
    ran = subprocess.run(
        [sys.executable, tmp_path / "page.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    wanted = re.findall(r"^ *print\(.*\)  # (.*)$", BLOCKS[number], re.MULTILINE)
    assert wanted
    assert [line for line in ran.stdout.splitlines() if "condition_changed" not in line] == wanted, ran.stderr


def said(cell: str) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"`(\w+)` (\d+)", cell)}


def test_the_defaults_in_the_table_are_the_defaults() -> None:
    """Every number, and every setting is there."""
    breaker, storm = BreakerSpec(), Storm()
    assert said(row("breaker")[1]) == breaker.model_dump()
    assert said(row("cost storm")[1]) == {one.name: getattr(storm, one.name) for one in fields(storm)}
    paced = said(row("rate")[1]) | said(row("its calls")[1])
    assert paced == {one.name: getattr(Pace(), one.name) for one in fields(Pace) if one.name != "burst"}
    signature = inspect.signature(Runtime.__init__).parameters
    for name, beginning in (("concurrent", "turns at once"), ("waiting", "turns that wait")):
        assert said(row(beginning)[1]) == {name: signature[name].default}
    assert Budget() == Budget(calls=None, tokens=None, cost=None)


def test_every_setting_and_reason_is_on_the_page() -> None:
    """Nothing that may be configured, and no reason that an attempt may have, is left unsaid."""
    kinds: list[Any] = [Resilience, Budgets]
    for name in (one.name for kind in kinds for one in fields(kind)):
        assert f"{name}=" in PAGE, name
    for reason in get_args(NotMade):
        assert f"`{reason}`" in PAGE, reason
    for limit in get_args(LimitName):
        assert not limit.startswith("tenant_") or f"`{limit}`" in PAGE, limit
    assert {"waiting", "retry_after_seconds"} <= vars(Overloaded("", waiting=1)).keys()


def test_the_page_is_linked() -> None:
    """From the README's guarantees and from the language."""
    assert "](docs/resilience.md)" in (ROOT / "README.md").read_text("utf-8")
    assert "](resilience.md)" in (ROOT / "docs" / "flow-language.md").read_text("utf-8")
