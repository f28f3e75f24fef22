"""`interlock export --as pytest`: what it writes, that it passes, and that it fails when the behaviour changes."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.examples import bank
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service import project
from interlock.service.project import load_project

LARGE = "A large refund: a question in between, then a person approves"


def played(text: str) -> None:
    """Run the one test of the text."""
    names: dict[str, Any] = {}
    exec(compile(text, "exported.py", "exec"), names)
    (test,) = (value for name, value in names.items() if name.startswith("test_"))
    test()


def test_a_recorded_conversation_becomes_a_test_that_passes(run: Any, log: Path, ids: Any, tmp_path: Path) -> None:
    """Every conversation of the demo."""
    for stream in ids.values():
        out = tmp_path / "exported.py"
        assert run("export", stream[:13], "--as", "pytest", "-o", out, "--db", log).code == 0
        played(out.read_text(encoding="utf-8"))


def test_it_reads_as_given_when_then(run: Any, log: Path, ids: Any) -> None:
    text = run("export", ids[LARGE], "--db", log).out
    assert text.startswith('"""A conversation on bank v1, written by `interlock export --as pytest`."""')
    assert "with Scenario(" in text
    assert 'talk.tool_answers("find_payment", {"payment_found": True})' in text
    assert "talk.person_decides(" in text
    assert "approved → pay_refund" in text


def test_it_fails_when_a_guard_or_a_row_changes(run: Any, log: Path, ids: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says where the conversation went instead."""
    text = run("export", ids[LARGE], "--db", log).out
    source = Path(load_project("bank").file)
    flow = source.read_text(encoding="utf-8")
    row = "[approve_refund,  approved,    otherwise,                                   "
    for old, new in (
        ("amount_at_most(100)", "amount_at_most(10000)"),
        (f"{row}pay_refund, ", f"{row}refund_denied, "),
    ):
        assert flow.count(old) == 1

        def changed(path: Path, changed_to: bytes = flow.replace(old, new).encode()) -> bytes:
            return changed_to if path.name == "flow.yaml" else path.read_bytes()

        with monkeypatch.context() as patch:
            patch.setattr(project, "_bytes_of", changed)
            with pytest.raises(AssertionError) as failure:
                played(text)
        assert "This does not hold:" in str(failure.value)
        assert "  - path: " in str(failure.value)
        assert "« customer: " in str(failure.value)


def test_what_cannot_be_exported_is_said(run: Any, log: Path, ids: Any, tmp_path: Path) -> None:
    stream = ids[LARGE]
    assert "A conversation cannot be exported as 'csv'." in run("export", stream, "--as", "csv", "--db", log).words
    found = run("export", stream, "-o", tmp_path / "none" / "a.py", "--db", log)
    assert found.code == 2
    assert "The test cannot be written" in found.words
    SqliteStore(log).close()
    erased = log.with_name("erased.db")
    shutil.copy(log, erased)
    with closing(sqlite3.connect(erased)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM payload WHERE stream = ?", (stream,))
        connection.commit()
    words = run("export", stream, "--db", erased).words
    assert "Texts of this conversation were erased" in words


def test_a_moved_conversation_is_exported_after_it_was_said_again_to_the_new_flow(
    run: Any, log: Path, ids: Any, tmp_path: Path
) -> None:
    """A test plays one flow: the refusal says which command leads there, and it does."""
    folder = tmp_path / "bank"
    shutil.copytree(Path(bank.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__", "__init__.py"))
    flow = folder / "flow.yaml"
    flow.write_text(flow.read_text("utf-8").replace("version: 1", "version: 2", 1), "utf-8")
    said = run("log", ids[LARGE], "--db", log, "--json").json["events"]
    at = [one["version"] for one in said if one["type"] == "message_received"][1]
    moved = run("fork", ids[LARGE], "--at", at, "--flow", folder, "--db", log, "--json").json["id"]
    ran = run("export", moved, "--flow", folder, "--db", log)
    assert ran.code == 2
    assert (
        f"The conversation was moved to v2 at event {at}, and a test plays one flow: export of moved conversations is "
        "not possible yet."
    ) in ran.words
    before = run("fork", moved[:8], "--at", at, "--alone", "--db", log, "--json").json["id"]
    assert run("export", before, "--db", log, "-o", tmp_path / "before.py").code == 0
    assert f"`interlock fork {moved[:8]} --at 0 --flow FLOW`, and export the fork." in ran.words
    again = run("fork", moved[:8], "--at", 0, "--flow", folder, "--db", log, "--json").json["id"]
    out = tmp_path / "exported.py"
    assert run("export", again, "--flow", folder, "--db", log, "-o", out).code == 0
    text = out.read_text("utf-8")
    assert "bank v2" in text
    played(text)
