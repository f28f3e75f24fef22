"""The page about rules: every row has a command that runs, says what is not given, and promises nothing."""

import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from interlock.cli.main import app
from interlock.persistence.sqlite_store import SqliteStore
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "compliance.md").read_text("utf-8")
PRIVACY = (ROOT / "docs" / "privacy.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE[: PAGE.index("## What is tested")].splitlines()
    if re.match(r"\| R\d", line)
]
PROMISES = re.compile(
    r"(?i)\bcompliant\b|\bcertif(?!icate\b)|\bguarantees? compliance|\bfully meets\b|\bensures compliance"
)


def promised(text: str) -> list[str]:
    return PROMISES.findall(text)


def test_every_requirement_has_its_row() -> None:
    """R1 to R19, each with a clause, a feature, a command, and what is not given."""
    assert [row[0] for row in ROWS] == [f"R{number}" for number in range(1, 20)]
    for row in ROWS:
        assert len(row) == 6, row
        assert all(row), row
        assert re.fullmatch(r"`interlock [^`]+`", row[4]), row[4]


def named_on(page: str) -> list[tuple[str, str]]:
    """File and name of every test that the page names."""
    return re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page)


def missing(named: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Those that are not there."""
    return [
        (file, name)
        for file, name in named
        if not (ROOT / file).is_file()
        or not re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE)
    ]


def test_the_tests_that_it_names_are_there() -> None:
    """Also for each clause that the requirement table gives a figure."""
    table = PAGE[PAGE.index("## What is tested") :]
    assert missing(named_on(table)) == []
    rows = re.findall(r"^\| (R\d+) \| .* \| `tests/[^`]+` \|$", table, re.MULTILINE)
    assert len(rows) == len(named_on(table))
    assert {"R2", "R5", "R9", "R13", "R14", "R15"} <= set(rows)


def test_control_a_test_that_is_gone_is_found() -> None:
    """Of a file that is there, and of one that is not."""
    gone = [("tests/docs/test_compliance_page.py", "test_of_the_moon"), ("tests/docs/test_moon.py", "test_it")]
    assert missing([*gone, ("tests/docs/test_compliance_page.py", "test_control_a_test_that_is_gone_is_found")]) == gone


def test_nothing_promises_to_comply() -> None:
    """`Helps you meet` and `evidence for`; no document, help text or module of ours says more."""
    assert "helps you meet" in PAGE
    assert "evidence for" in PAGE
    files = [ROOT / "README.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md"))]
    assert {file.name: promised(file.read_text("utf-8")) for file in files if promised(file.read_text("utf-8"))} == {}


@pytest.mark.parametrize("text", ["We are SOC 2 compliant.", "a certified log", "It ensures compliance with Part 11"])
def test_control_a_promise_is_found(text: str) -> None:
    """Each of these words would be."""
    assert promised(text)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    assert CliRunner().invoke(app, ["demo", "--db", str(path), "--json"]).exit_code == 0
    (path.parent / "retention.yaml").write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    return path


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_command_of_each_row_runs(
    row: list[str], demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a log of the demo: exit code 0, and it says something."""
    for file in demo.parent.iterdir():
        if file.is_file():
            shutil.copy(file, tmp_path / file.name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERLOCK_DB", "demo.db")
    store = SqliteStore(tmp_path / "demo.db")
    (one, *_) = store.summaries(status="ended")
    store.close()
    command = row[4].strip("`").replace("$CONVERSATION", one.stream).replace("$SUBJECT", one.subject)
    ran: Any = CliRunner().invoke(app, shlex.split(command)[1:])
    assert (ran.exit_code, ran.output != "") == (0, True), ran.output


def test_the_page_about_texts_names_what_the_code_finds() -> None:
    """Its table is the closed set of classes, and the defaults are the redactor's."""
    from interlock.service.redactor import REPLACED
    from interlock.service.sensitive import SENSITIVE

    assert tuple(re.findall(r"^\| `([a-z_]+)` \|", PRIVACY, re.MULTILINE)) == SENSITIVE
    assert f"`{','.join(sorted(REPLACED))}`" in PRIVACY
