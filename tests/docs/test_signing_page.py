"""What the pages say of signed approvals: the line is one that a flow takes."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from interlock.contracts.errors import FlowError
from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from support.signing import FLOW
from support.source_tree import ROOT


@pytest.mark.parametrize("page", ["README.md", "docs/flow-language.md"])
def test_the_line_of_the_page_loads(page: str) -> None:
    """Put in place of the one of a flow that is known to load, it gives the same; with another word it does not."""
    (line,) = set(re.findall(r"`(signed: \w+)`", (ROOT / page).read_text("utf-8")))
    assert b"signed: true" in FLOW
    flow = read_flow(FLOW, Code()).flow
    assert read_flow(FLOW.replace(b"signed: true", line.encode()), Code()).flow == flow
    with pytest.raises(FlowError):
        read_flow(FLOW.replace(b"signed: true", b"signed: yes"), Code())


def test_the_walk_of_the_page(tmp_path: Path) -> None:
    """In one shell, as a reader would, each command prints what stands under it, in this order."""
    page = (ROOT / "docs" / "people.md").read_text("utf-8").partition("## A signed approval")[2]
    (flow,), (walk,) = (re.findall(rf"```{kind}\n(.*?)```", page, re.DOTALL) for kind in ("yaml", "sh"))
    (tmp_path / "pay.yaml").write_text(flow)
    (tmp_path / "bin").mkdir()
    for name, module in (("interlock", "-m interlock"), ("python", "")):
        script = tmp_path / "bin" / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {module} "$@"\n')
        script.chmod(0o755)
    given = {name: value for name, value in os.environ.items() if not name.startswith(("INTERLOCK_", "OPENAI_"))}
    given |= {"PATH": f"{tmp_path / 'bin'}{os.pathsep}{given['PATH']}", "COLUMNS": "200"}
    lines = walk.splitlines()
    commands = "\n".join(["set -e", *(line[2:] for line in lines if line.startswith("$ "))])
    ran = subprocess.run(
        ["sh", "-c", f"exec 2>&1\n{commands}"], cwd=tmp_path, env=given, capture_output=True, text=True, check=False
    )
    rest = " ".join(ran.stdout.split())
    assert ran.returncode == 0, rest
    for line in (one for one in lines if not one.startswith("$ ")):
        assert line in rest, ran.stdout
        rest = rest.partition(line)[2]
