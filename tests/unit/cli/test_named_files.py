"""Files that a command line names: one that is not there, a folder, and no text are wrong calls."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from interlock.cli.given import text_of, text_or_file
from interlock.cli.main import app
from interlock.contracts.errors import CallError
from interlock.persistence.evidence.keys import new_key

KINDS = ("missing", "folder", "binary")
COMMANDS = [
    "verify --head X",
    "verify --receipt X",
    "verify --vkey X",
    "verify --policy X",
    "verify --anchors X",
    "verify --archive X",
    "verify --bundle X",
    "verify --bundle X --vkey X",
    "export --all --bundle OUT --since X",
    "export --all --bundle OUT --policy X",
    "export --all --bundle OUT --key X",
    "checkpoint --key X",
    "checkpoint --policy X",
    "checkpoint --tsa X",
    "receipt ID --key X",
    "key show --key X",
    "key rotate --to OUT --key X",
    "witness serve --key X --log X --dir OUT",
    "log ID --archive X",
    "prune --archive X --ground rule",
    "retain --policy X",
    "keys show --key-file X",
    "decide ID 5 approved --as anna --role clerk --sign X",
    "fork ID --at 3 --answer X",
    "import openai X",
    "import openai X --marks X",
    "audit ID --policies X",
    "check X",
    "check bank --prices X",
    "check bank --against X",
    "draw X",
    "backtest X",
    "backtest bank --resume X",
    "bill bank --prices X",
    "chat X",
    "replay ID --flow X",
    "migrate ID --to X",
    "doctor --db X",
    "log --db X",
    "verify --db X",
]


@pytest.fixture(scope="module")
def signed(demo_made: tuple[Path, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log with a checkpoint: what is signed is asked for, too."""
    path = tmp_path_factory.mktemp("signed") / "log.db"
    for end in ("", ".key"):
        shutil.copy(f"{demo_made[0]}{end}", f"{path}{end}")
    for words in (("key", "new"), ("checkpoint",)):
        assert CliRunner().invoke(app, [*words, "--db", str(path)]).exit_code == 0
    return path


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_is_none_is_a_wrong_call(
    run: Any, signed: Path, ids: dict[str, str], tmp_path: Path, command: str, kind: str
) -> None:
    """No traceback and no word of a bug, whatever was named."""
    given = tmp_path / "given"
    if kind == "folder":
        given.mkdir()
    elif kind == "binary":
        given.write_bytes(bytes(range(256)) * 40)
    words = {"X": str(given), "OUT": str(tmp_path / "out"), "ID": next(iter(ids.values()))}
    db = () if "--db" in command or command.startswith(("check", "draw", "witness", "bill")) else ("--db", signed)
    ran = run(*(words.get(one, one) for one in command.split()), *db)
    assert ran.code in (0, 1, 2), ran.words
    assert "bug" not in ran.words, ran.words


def test_what_was_named_and_is_no_text_is_said(tmp_path: Path) -> None:
    """Each with its path and what to give; a key is taken as it is."""
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for path, what, fix in (
        (tmp_path / "none", "There is no such file.", "Give the path of a file that can be read."),
        (tmp_path, "The file cannot be read: Is a directory.", "Give the path of a file that can be read."),
        (binary, "The file is no text.", "Give a text file, in UTF-8."),
    ):
        with pytest.raises(CallError) as refused:
            text_of(path)
        assert (refused.value.what, refused.value.where, refused.value.fix) == (what, str(path), fix)
    assert text_or_file("log+1234+key") == "log+1234+key"
    assert text_or_file("x" * 5000) == "x" * 5000
    with pytest.raises(CallError, match="The file is no text"):
        text_or_file(str(binary))


def test_a_checkpoint_from_elsewhere_that_is_none_is_said(run: Any, signed: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello", "utf-8")
    for words in (
        ("verify", "--head"),
        ("verify", "--receipt"),
        ("export", "--all", "--bundle", tmp_path / "b", "--since"),
    ):
        for name, says in (("none", "There is no such file."), ("text", "This is no signed note")):
            ran = run(*words, tmp_path / name, "--db", signed)
            assert (ran.code, says in ran.words) == (2, True), ran.words


@pytest.mark.parametrize("meaning", ["two\nlines", "x" * 201])
def test_a_meaning_that_cannot_be_signed_is_said(
    run: Any, signed: Path, ids: dict[str, str], tmp_path: Path, meaning: str
) -> None:
    new_key(tmp_path / "key", "anna")
    tasks = run("tasks", "--db", signed, "--json").json["tasks"]
    words = ("decide", tasks[0]["conversation"], tasks[0]["task"], tasks[0]["decisions"][0], "--role", tasks[0]["role"])
    ran = run(*words, "--as", "anna", "--sign", tmp_path / "key", "--meaning", meaning, "--db", signed)
    assert (ran.code, "The meaning is longer than 200 characters, or no single line." in ran.words) == (2, True), ran
