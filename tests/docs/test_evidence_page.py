"""docs/evidence.md: its commands are run, one after the other, and print what the page says."""

import os
import re
import subprocess
import sys
from pathlib import Path

from interlock.persistence.evidence import verify_bundle
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "evidence.md").read_text("utf-8")
BLOCKS = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)


def steps() -> list[tuple[str, list[str]]]:
    """Each command with what it prints."""
    found: list[tuple[str, list[str]]] = []
    for line in "".join(BLOCKS).splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        else:
            found[-1][1].append(line.lstrip("…"))
    return found


def test_the_commands_print_what_the_page_says(tmp_path: Path) -> None:
    """In an empty folder, in a shell, as a reader would."""
    given = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "OPENAI_"))}
    (tmp_path / "bin").mkdir()
    for name, module in (("interlock", "-m interlock"), ("python", "")):
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        script.chmod(0o755)
    given |= {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{given['PATH']}", "COLUMNS": "200"}
    assert len(steps()) == 13
    for command, printed in steps():
        ran = subprocess.run(command, shell=True, cwd=tmp_path, env=given, capture_output=True, text=True, check=False)
        words = " ".join((ran.stdout + ran.stderr).split())
        assert ran.returncode in (0, 20), f"{command}: {words}"
        for line in printed:
            assert line in words, f"{command}: {words}"


def test_the_exit_codes_in_the_table_are_the_verifiers() -> None:
    """Every verdict is there, with its code."""
    rows = re.findall(r"^\| `([A-Z -]+)(?:\(k of n\))?` \| (\d+) \|", PAGE, re.MULTILINE)
    assert {name: int(code) for name, code in rows} == verify_bundle.CODES
