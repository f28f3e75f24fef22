"""docs/testing.md says what is so: its Python prints what it says, its options and questions are those there are."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.testing import plugin
from interlock.testing.checking import QUESTIONS
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "testing.md").read_text("utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_the_python_prints_what_the_page_says(number: int, tmp_path: Path) -> None:
    """Each block, put into a file and run as a reader would."""
    assert len(BLOCKS) == 3
    (tmp_path / "page.py").write_text(BLOCKS[number])
    ran = subprocess.run(
        [sys.executable, tmp_path / "page.py"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    wanted = re.findall(r"^ *print\(.*\)  # (.*)$", BLOCKS[number], re.MULTILINE)
    assert wanted
    assert [line for line in ran.stdout.splitlines() if not line.startswith("20")] == wanted, ran.stderr


def test_every_question_and_option_is_on_the_page() -> None:
    for question in QUESTIONS:
        assert f"`{question}`" in PAGE
    source = Path(plugin.__file__).read_text(encoding="utf-8")
    for option in re.findall(r'"(--flow[a-z-]*)"', source):
        assert option in PAGE
