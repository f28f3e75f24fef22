"""The page about an incident is true: its commands run in their order, and print what it says they print."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from interlock.cli.main import app
from interlock.examples import bank
from interlock.persistence.sqlite_store import SqliteStore
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "debugging.md").read_text("utf-8")
WRONG, RIGHT = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the bank and its wrong line, and what the customer writes; we are in it."""
    shutil.copytree(
        Path(bank.__file__).parent, tmp_path / "bank", ignore=shutil.ignore_patterns("__pycache__", "__init__.py")
    )
    edit(tmp_path, RIGHT, WRONG)
    (text,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "customer.txt").write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "INTERLOCK_DB"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "300")
    return tmp_path


def edit(folder: Path, was: str, now: str) -> None:
    code = folder / "bank" / "code.py"
    text = code.read_text("utf-8")
    assert was in text
    code.write_text(text.replace(was, now), "utf-8")


def commands() -> list[tuple[str, list[str]]]:
    """Every command of the page with the lines that it says are printed."""
    found: list[tuple[str, list[str]]] = []
    for part in re.findall(r"```(console|python)\n(.*?)```", PAGE, re.DOTALL):
        kind, text = part
        if kind == "python":
            found.append(("edit", [text]))
            continue
        for line in text.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), []))
            else:
                found[-1][1].append(line)
    return found


def names(folder: Path) -> dict[str, str]:
    """What `INCIDENT` and `FORK` stand for by now."""
    if not (folder / "interlock.db").exists():
        return {}
    store = SqliteStore(folder / "interlock.db")
    try:
        forks = {one: b'"forks":' in store.read(one)[0].data for one in store.streams()}
    finally:
        store.close()
    return {("FORK" if forked else "INCIDENT"): one[:8] for one, forked in forks.items()}


def run(folder: Path, line: str) -> tuple[int, str]:
    """One command of the page: its exit code, and what it printed, with the names in place of the ids."""
    known = names(folder)
    for name, one in known.items():
        line = line.replace(name, one)
    typed, _, command = line.rpartition(" | ")
    command, _, file = command.partition(" < ")
    text = (folder / file).read_text("utf-8") if file else ""
    if typed:
        text = shlex.split(typed)[1].encode().decode("unicode_escape")
    if command.startswith("python -m pytest"):
        done = subprocess.run(
            [sys.executable, *shlex.split(command)[1:], "-n", "0", "-p", "no:cacheprovider", "-p", "no:randomly"],
            capture_output=True, text=True, check=False, cwd=folder, env={**os.environ, "COLUMNS": "200"},
        )  # fmt: skip
        return done.returncode, done.stdout
    ran = CliRunner().invoke(app, shlex.split(command)[1:], input=text)
    said = ran.output
    for name, one in names(folder).items():
        said = said.replace(one, name)
    return ran.exit_code, said


def test_the_page_runs_from_the_incident_to_the_test(folder: Path) -> None:
    """In its order, as a reader would: each command exits and prints as the page says."""
    edits = 0
    for line, expected in commands():
        if line == "edit":
            edits += 1
            if edits == 2:
                edit(folder, WRONG, RIGHT)
            continue
        command, _, comment = line.partition("  # exits with ")
        code, said = run(folder, command)
        assert code == int(comment or 0), (line, said)
        words = " ".join(said.split())
        for one in expected:
            assert all(word in words for word in _pieces(one)), (line, one, said)
    assert edits == 2


def _pieces(line: str) -> list[str]:
    """What must stand together: columns of a table are wide."""
    return (
        [" ".join(line.split())] if "state pay_refund" not in line and not line[:3].strip().isdigit() else line.split()
    )


def test_the_test_of_the_page_fails_where_the_line_is_wrong_again(folder: Path) -> None:
    """The control: what the export guards against."""
    edit(folder, WRONG, RIGHT)
    for line in (
        "interlock chat ./bank < customer.txt",
        "interlock export --as pytest INCIDENT --flow ./bank --out test_incident.py",
    ):
        code, said = run(folder, line)
        assert code == 0, said
    assert run(folder, "python -m pytest -q test_incident.py")[0] == 0
    edit(folder, RIGHT, WRONG)
    code, said = run(folder, "python -m pytest -q test_incident.py")
    assert code == 1
    assert "find_payment → pay_refund" in said
