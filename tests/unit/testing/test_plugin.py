"""`pytest --flow`: what it runs, prints and keeps, and that it is nothing where nobody asks."""

import subprocess
import sys
from pathlib import Path

import pytest

from interlock.examples import patterns

FOLDER = Path(patterns.__file__).parent
SMALL = (
    "--flow-examples=3",
    "--flow-steps=6",
    "--flow-runs=60",
    "-p",
    "no:randomly",
    "-p",
    "no:asyncio",
    "-p",
    "no:xdist",
)


def ran(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    (folder / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    command = [sys.executable, "-m", "pytest", "-q", *SMALL, *arguments]
    if "interlock.testing.plugin" not in _entry_points():
        command += ["-p", "interlock.testing.plugin"]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


def _entry_points() -> set[str]:
    from importlib.metadata import entry_points

    return {one.value for one in entry_points(group="pytest11")}


def changed(folder: Path, old: str, new: str) -> Path:
    """The pattern `pipeline` in a folder of its own, with one text replaced."""
    text = (FOLDER / "pipeline.yaml").read_text(encoding="utf-8")
    assert text.count(old) == 1
    (folder / "flow.yaml").write_text(text.replace(old, new), encoding="utf-8")
    (folder / "pipeline.py").write_text((FOLDER / "pipeline.py").read_text(encoding="utf-8"), encoding="utf-8")
    return folder / "flow.yaml"


def test_a_good_flow_passes_and_its_coverage_is_printed(tmp_path: Path) -> None:
    found = ran(tmp_path, "--flow", "patterns/pipeline", "--flow-write-baseline", "baseline.json")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "6 passed" in found.stdout
    assert "flow coverage" in found.stdout
    assert "row pairs" in found.stdout
    assert "baseline.json: the behaviour on" in found.stdout
    assert (tmp_path / "baseline.json").is_file()


def test_a_changed_flow_fails_and_the_conversation_is_kept(tmp_path: Path) -> None:
    """Against the baseline of the good one; the kept log replays, the kept test fails until it is mended."""
    assert ran(tmp_path, "--flow", "patterns/pipeline", "--flow-write-baseline", "baseline.json").returncode == 0
    flow = changed(tmp_path, "agent: reader, attempts: 2", "agent: reader, attempts: 3")
    found = ran(tmp_path, "--flow", str(flow), "--flow-baseline", "baseline.json")
    assert found.returncode == 1
    assert "flow.yaml: a conversation of the baseline goes another way (conversation " in found.stdout
    assert "flow.yaml::conversations_go_as_before" in found.stdout
    assert "(go)" not in found.stdout
    assert "the baseline " in found.stdout
    assert "; today it " in found.stdout
    (log,) = (tmp_path / ".interlock").glob("*_conversations_go_as_before.db")
    (test,) = (tmp_path / ".interlock").glob("test_*.py")
    command = [sys.executable, "-m", "interlock", "replay", "--all", "--db", str(log)]
    replay = subprocess.run(command, capture_output=True, text=True, check=False)
    assert replay.returncode == 0, replay.stdout + replay.stderr
    assert runs(test, tmp_path).returncode == 1
    changed(tmp_path, "agent: reader, attempts: 2", "agent: reader, attempts: 2")
    assert runs(test, tmp_path).returncode == 0


def runs(test: Path, folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:asyncio", "-p", "no:xdist", str(test)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)


@pytest.mark.full
def test_without_the_option_nothing_is_imported_or_collected(tmp_path: Path) -> None:
    """And a run with the plugin is as it was."""
    (tmp_path / "test_one.py").write_text(
        "import sys\n\ndef test_nothing_came_along():\n"
        "    loaded = [name for name in sys.modules if name.startswith('interlock.')]\n"
        "    assert set(loaded) <= {'interlock.testing', 'interlock.testing.plugin'}, loaded\n"
    )
    found = ran(tmp_path)
    assert found.returncode == 0, found.stdout
    assert "1 passed" in found.stdout
    assert "flow coverage" not in found.stdout


@pytest.mark.full
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--flow", "nowhere/flow.yaml"), "There is no flow at"),
        (("--flow", "patterns/pipeline", "--flow-baseline", "none.json"), "The baseline cannot be read"),
    ],
)
def test_what_cannot_be_tested_is_said(tmp_path: Path, arguments: tuple[str, ...], says: str) -> None:
    found = ran(tmp_path, *arguments)
    assert found.returncode == 1
    assert says in found.stdout
