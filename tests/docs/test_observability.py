"""docs/observability.md says what is so: its Python prints what it says, its tables name what exists."""

import json
import re
import subprocess
import sys
from pathlib import Path

from interlock.service import genai_names
from interlock.service.records import FIELDS, PREVIEWS
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "observability.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)


def test_the_python_prints_what_the_page_says(tmp_path: Path) -> None:
    """Each block, put into a file and run as a reader would."""
    found = blocks("python")
    assert len(found) == 2
    for number, block in enumerate(found):
        (tmp_path / f"{number}.py").write_text(block)
        ran = subprocess.run(
            [sys.executable, tmp_path / f"{number}.py"], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert ran.stdout.splitlines() == re.findall(r"^ *print\(.*\)  # (.*)$", block, re.MULTILINE), ran.stderr


def test_the_demo_writes_the_records_that_the_page_lists(tmp_path: Path) -> None:
    """Each kind on the page is there, each line is JSON, and every field of a line stands in the table."""
    said = re.search(r"^\$ ((?:[A-Z_]+=\w+ )+)interlock (\w+) 2>", blocks("console")[0], re.MULTILINE)
    assert said is not None
    settings = dict(one.split("=") for one in said[1].split())
    ran = subprocess.run(
        [sys.executable, "-m", "interlock", said[2], "--db", str(tmp_path / "log.db")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": "", "PYTHONPATH": str(Path(sys.modules["interlock"].__path__[0]).parent), **settings},
    )
    assert ran.returncode == 0, ran.stderr[-2_000:]
    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    kinds = {line["event"] for line in lines}
    assert kinds == {"decision", "handoff", "model_call", "tool_call", "task"}
    assert all(f"`{kind}`" in PAGE for kind in kinds)
    assert not any(PREVIEWS & line.keys() for line in lines)


def test_every_field_in_the_table_is_a_field_of_records() -> None:
    """The table names nothing that no record has."""
    rows = re.findall(
        r"^\| (`[^|]+`) \| (?:all|decision|handoff|model_call|tool_call|task|condition) \|", PAGE, re.MULTILINE
    )
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 40
    assert named - {"event"} <= FIELDS | PREVIEWS


def test_every_name_of_the_conventions_stands_in_one_module() -> None:
    """What the page calls `gen_ai.*` is a constant there, and no other module writes such a name."""
    constants = {value for value in vars(genai_names).values() if isinstance(value, str)}
    assert set(re.findall(r"`(gen_ai\.[\w.]+)`", PAGE)) <= constants
    others = [
        file.name
        for file in (ROOT / "service").glob("*.py")
        if file.name != "genai_names.py" and "gen_ai." in file.read_text()
    ]
    assert others == []
