"""The README says what is so: its flow loads, its Python runs, its commands and links exist."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from support.source_tree import ROOT

README = (ROOT / "README.md").read_text()


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", README, re.DOTALL)


def test_the_flow_has_eight_rows_and_runs_as_the_readme_says(tmp_path: Path):
    """The YAML and both Python blocks, put together as a reader would."""
    flow = blocks("yaml")[0]
    assert len(re.findall(r"^  - \[", flow, re.MULTILINE)) == 8
    code, run, _ = blocks("python")
    (tmp_path / "run.py").write_text(f"{code}\nFLOW = '''{flow}'''\n{run}")
    ran = subprocess.run([sys.executable, tmp_path / "run.py"], capture_output=True, text=True, check=False)
    assert ran.stdout.splitlines() == re.findall(r"\)\)\) +# (.*)$", run, re.MULTILINE), ran.stderr


def test_every_command_in_the_readme_exists():
    """`interlock X` in the text is a command of the program."""
    from typer.main import get_command

    from interlock.cli.main import app

    known = set(get_command(app).commands)  # type: ignore[attr-defined]
    named = set(re.findall(r"(?<!from )interlock ([a-z]+)", README)) | {"decide", "resolve"}
    assert "demo" in named
    assert named <= known


def test_every_link_leads_somewhere():
    """Relative links and pictures are files of the repository."""
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_two_commands_are_those_that_ci_runs():
    """`.ci/run` runs the README's own test command."""
    assert 'pip install -e ".[test]" && pytest' in README
    assert "pytest" in (ROOT / ".ci" / "run").read_text()


async def test_the_agent_of_the_readme_is_an_agent():
    """One method and a name are enough."""
    from interlock import Agent, AgentRequest

    found: dict[str, Any] = {}
    exec(blocks("python")[2], found)
    agent = found["Echo"]()
    assert isinstance(agent, Agent)
    reply = await agent.run(AgentRequest(effect="s:1", agent="a", model="m", messages=()))
    assert "You said it." in reply.text
