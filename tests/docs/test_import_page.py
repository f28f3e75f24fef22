"""The page about imports is true: its records, marks and commands run as they stand there."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from interlock.cli.main import app
from support.source_tree import ROOT

SECTION = (ROOT / "docs" / "import.md").read_text("utf-8").partition("## What a flow's router would say")[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (records,) = re.findall(r"```json\n(.*?)```", SECTION, re.DOTALL)
    (marks,) = re.findall(r"```yaml\n(.*?)```", SECTION, re.DOTALL)
    (tmp_path / "labelled.jsonl").write_text(records, "utf-8")
    (tmp_path / "intents.yaml").write_text(marks, "utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("INTERLOCK_DB", raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


def test_the_router_says_of_imported_messages_what_the_page_says(folder: Path) -> None:
    """Each command in its order, each line that the page shows under it."""
    (console,) = re.findall(r"```console\n(.*?)```", SECTION, re.DOTALL)
    first, *others = console.removeprefix("$ ").split("\n$ ")
    for one in (first, *others):
        command, *expected = one.strip().splitlines()
        ran = CliRunner().invoke(app, shlex.split(command)[1:])
        assert ran.exit_code == 0, ran.output
        lines = [" ".join(line.split()) for line in ran.output.splitlines()]
        for line in expected:
            assert any(line in shown for shown in lines), (command, line, lines)
    assert len(others) == 2
