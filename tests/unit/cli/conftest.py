"""Running commands in this process, and a log that the demo has made."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from interlock.cli.main import app

MODEL_VARIABLES = (
    *("OPENAI_API_KEY", "OPENAI_BASE_URL", "INTERLOCK_MODEL"),
    *("INTERLOCK_DB", "INTERLOCK_KEY_FILE", "INTERLOCK_TRACEBACK"),
)


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def words(self) -> str:
        """Both streams on one line, for looking for sentences whatever the width."""
        return " ".join((self.out + self.err).split())


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run `interlock` with these arguments, 80 columns wide and without a key."""
    for name in MODEL_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def command(*arguments: object, stdin: str = "") -> Ran:
        result = CliRunner().invoke(app, [str(one) for one in arguments], input=stdin)
        return Ran(result.exit_code, result.stdout, result.stderr)

    return command


@pytest.fixture(scope="session")
def demo_made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """The log of one demo, and the document that it printed."""
    path = tmp_path_factory.mktemp("demo") / "demo.db"
    result = CliRunner().invoke(app, ["demo", "--db", str(path), "--json"])
    assert result.exit_code == 0, result.output
    return path, json.loads(result.stdout)


@pytest.fixture
def log(demo_made: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy of the demo's log, to do with as one likes."""
    path = tmp_path / "log.db"
    shutil.copy(demo_made[0], path)
    shutil.copy(f"{demo_made[0]}.key", f"{path}.key")
    return path


@pytest.fixture
def ids(demo_made: tuple[Path, Any]) -> dict[str, str]:
    """Title of a demo conversation to its id."""
    return {one["title"]: one["id"] for one in demo_made[1]["conversations"]}
