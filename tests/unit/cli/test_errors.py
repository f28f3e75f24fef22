"""How commands end when something is wrong, in processes of their own: exit codes, streams, no traceback."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from interlock.cli.failing import error_document, exit_code_of
from interlock.cli.terminal import Terminal, safe
from interlock.contracts.errors import CallError, FlowError, LogBroken, SetupError, StorageError

_SETTINGS = ("OPENAI", "INTERLOCK", "PY_COLORS", "FORCE_COLOR", "GITHUB_ACTIONS")
"""What would change how the command behaves, or make Typer colour what is no terminal."""


def interlock(*arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as users run it."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
    return subprocess.run(
        [sys.executable, "-m", "interlock", *arguments], input=stdin, capture_output=True, text=True, timeout=60,
        env={**env, "COLUMNS": "80", **environment}, check=False,
    )  # fmt: skip


def test_no_word_of_a_help_text_is_taken_for_markup() -> None:
    """`[ml]` and `[[text, label]]` are shown: whatever stands in brackets in the source stands in the help."""
    from rich.text import Text
    from typer.main import get_command

    from interlock.cli.main import app

    def texts(command: Any) -> Iterator[str]:
        yield command.help or ""
        yield from (getattr(one, "help", None) or "" for one in command.params)
        for one in getattr(command, "commands", {}).values():
            yield from texts(one)

    found = list(texts(get_command(app)))
    assert any("interlock\\[ml]" in one for one in found)
    for one in found:
        assert Text.from_markup(one).plain == one.replace("\\[", "["), one


def test_help_is_quick_and_lists_every_command() -> None:
    """No heavy library loads for it."""
    started = time.perf_counter()
    done = interlock("--help")
    assert done.returncode == 0
    assert time.perf_counter() - started < 10
    for name in (
        "demo",
        "new",
        "chat",
        "check",
        "draw",
        "log",
        "verify",
        "replay",
        "tasks",
        "decide",
        "resolve",
        "doctor",
    ):
        assert f" {name} " in done.stdout
    loaded = subprocess.run(
        [sys.executable, "-c", "import sys, interlock.cli.main; print(*sys.modules)"],
        capture_output=True, text=True, timeout=60, check=True,
    ).stdout.split()  # fmt: skip
    assert not {"openai", "sqlalchemy", "sqlmodel", "sklearn", "transitions"} & set(loaded)


def test_the_version_is_printed() -> None:
    assert interlock("--version").stdout.startswith("interlock 0.")


def test_a_wrong_call_is_exit_2_without_a_traceback() -> None:
    """An unknown command, a missing argument, a flow that is not there."""
    for arguments in (("nonsense",), ("decide",), ("check", "nothing_here")):
        done = interlock(*arguments)
        assert done.returncode == 2, done
        assert done.stdout == ""
        assert "Traceback" not in done.stderr


def test_a_wrong_call_with_json_is_one_document() -> None:
    """Also where Typer refuses the call."""
    done = interlock("decide", "--json")
    assert done.returncode == 2
    assert json.loads(done.stdout)["error"]["code"] == "usage"


def test_an_ascii_terminal_gets_ascii(tmp_path: Path) -> None:
    """Signs and currency are spelled; nothing breaks."""
    done = interlock("demo", PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert "EUR 250.00" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_reader_that_goes_away_is_no_fault(tmp_path: Path) -> None:
    """`interlock check --describe bank | head -1` ends quietly."""
    command = f"{sys.executable} -m interlock check bank --describe | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("Flow bank")
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


def test_a_verdict_that_nobody_heard_is_not_that_all_is_well(tmp_path: Path) -> None:
    """A reader that goes away at once; the shell's own code for it, as of any other program."""
    command = f"{sys.executable} -m interlock check bank --describe | :; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "141\n"
    assert "Traceback" not in done.stderr


def test_an_unknown_error_is_one_line_and_exit_70(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of ours is not mistaken for a log that does not hold."""
    from interlock.cli import checking

    def broken(spec: str) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(checking, "load_project", broken)
    ran = run("check", "bank")
    assert ran.code == 70
    assert "ZeroDivisionError: division by zero" in ran.err
    assert "INTERLOCK_TRACEBACK=1" in ran.err
    assert "Traceback" not in ran.err
    monkeypatch.setenv("INTERLOCK_TRACEBACK", "1")
    assert "Traceback" in run("check", "bank").err
    assert run("check", "bank", "--json").json["error"]["code"] == "bug"


def test_exit_codes_follow_what_the_reader_must_do() -> None:
    """2 to mend the call, 1 where the flow or the log does not hold."""
    assert [exit_code_of(error) for error in (
        CallError("x"), SetupError("x"), FlowError("x"), StorageError("x"), LogBroken("x", stream="s", version=1),
    )] == [2, 2, 1, 1, 1]  # fmt: skip


def test_an_error_document_has_its_five_parts() -> None:
    assert error_document("code", "what", "where", "fix") == {
        "error": {"code": "code", "what": "what", "where": "where", "fix": "fix", "faults": []}
    }


def test_what_people_wrote_cannot_command_the_terminal() -> None:
    """Escapes, other control characters and reordering marks are taken out; line breaks become spaces."""
    assert safe("a\x1b[31mred\x07\x00 \u202eevil\nnext") == "a[31mred\ufffd\ufffd \ufffdevil next"
    assert safe("x" * 10, 5) == "xxxx…"
    assert safe("\ud800") == "\ufffd"


def test_markup_in_a_text_is_shown_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Square brackets of a customer are no styles."""
    Terminal().line("[red]hello[/red] :smile:")
    assert capsys.readouterr().out == "[red]hello[/red] :smile:\n"


def test_doctor_finds_a_healthy_log_healthy(run: Any, log: Path) -> None:
    """Every finding ok, and what was looked at."""
    found = run("doctor", "--db", log, "--json")
    assert found.code == 0
    names = {one["name"] for one in found.json["findings"]}
    assert names >= {
        "python", "packages", "extras", "sqlite", "model", "log", "durability", "append-only", "chain", "undecided",
        "timers", "tasks", "flow", "clock",
    }  # fmt: skip
    assert {one["name"] for one in found.json["findings"] if one["result"] != "ok"} == {"checkpoint"}, "no key yet"


def test_doctor_fails_on_a_removed_trigger_and_a_flipped_bit(run: Any, log: Path, ids: Any) -> None:
    """Exit 1, each with its fix."""
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(log)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE event SET leaf = zeroblob(32) WHERE version = 7")
        connection.commit()
    ran = run("doctor", "--db", log, "--json")
    assert ran.code == 1
    failed = {one["name"]: one for one in ran.json["findings"] if one["result"] == "fail"}
    assert failed.keys() == {"append-only", "chain"}
    assert all(one["fix"] for one in failed.values())


def test_doctor_without_a_log_looks_at_the_machine(run: Any, tmp_path: Path) -> None:
    """Exit 0 and a warning; no file is made."""
    found = run("doctor", "--db", tmp_path / "none.db", "--json")
    assert found.code == 0
    assert [one["name"] for one in found.json["findings"] if one["result"] == "warn"] == ["log"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", ["demo", "log", "verify", "replay", "chat", "decide"])
def test_help_shows_arguments_once_and_flags_without_a_type(run: Any, command: str) -> None:
    """No `[[CONVERSATION]]`, and no `<bool>` behind a flag."""
    ran = run(command, "--help")
    assert ran.code == 0
    assert "[[" not in ran.out
    assert "bool" not in ran.out.lower()
    assert "bool" not in run("--help").out.lower()
