"""The page about routing is true: its commands run, its router loads, its thresholds follow, its Python prints it."""

import re
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from interlock.agents.classifier import LinearTable
from interlock.cli.main import app
from interlock.contracts.errors import FlowError
from interlock.contracts.flow import RouterSpec
from interlock.contracts.routing import RoutingEvidence, Score
from interlock.fsm.load import read_flow
from interlock.fsm.route import choose, evidence
from interlock.fsm.thresholds import threshold_of
from interlock.service.project import load_project
from support.flows import CODE
from support.source_tree import ROOT

PAGE = (ROOT / "docs" / "routing.md").read_text("utf-8")


def block(kind: str) -> str:
    (found,) = re.findall(rf"```{kind}\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's examples, and we are in it."""
    (tmp_path / "utterances.csv").write_text(block("csv"), "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_commands_of_the_page_run(folder: Path):
    """In their order, as a reader would; the last one explains what it decided."""
    said = []
    for line in block("console").splitlines():
        command = shlex.split(line.removeprefix("$ interlock "))
        done = CliRunner().invoke(app, command)
        assert done.exit_code == 0, (line, done.output)
        said.append(done.output)
    assert "How much can be routed, and how wrong it is" in said[0]
    assert "What the router decides" in said[1]
    assert "Clause by clause" not in said[2]
    assert "Stage by stage" in said[2]
    assert (folder / "router.json").is_file()


def flow_of_the_page() -> str:
    """The page's router in a flow around it; its artefact is trained as the page says, in the current folder."""
    CliRunner().invoke(app, shlex.split(block("console").splitlines()[0].removeprefix("$ interlock ")))
    rows = "".join(
        f"  - [triage, {on}, otherwise, more, P-1]\n"
        for on in ("card", "transfer", "refund", "person", "unsure", "blocked")
    )
    return (
        "flow: page\nversion: 1\nowner: nobody\ninitial: start\n"
        + block("yaml")
        + "states:\n  start: {kind: wait, deadline: 1h}\n  triage: {kind: route, router: triage}\n"
        + "  more: {kind: wait, next_issue: true, deadline: 1h}\n"
        + "  done: {kind: final}\ntransitions:\n  - [start, message, otherwise, triage, P-1]\n"
        + "  - [more, next_issue, otherwise, triage, P-1]\n  - [more, message, otherwise, triage, P-1]\n"
        + "  - [more, expired, otherwise, done, P-1]\n"
        + "  - [start, expired, otherwise, done, P-1]\n  - [any, limit, otherwise, done, P-1]\n"
        + rows
    )


def spec_of_the_page(folder: Path) -> RouterSpec:
    text = flow_of_the_page()
    table = LinearTable.load(folder / "router.json")
    code = replace(CODE, classifiers={table.digest: table})
    loaded = read_flow(text, code, folder_reader=lambda path: (folder / path).read_bytes())
    return loaded.flow.routers[0]


def test_the_file_beside_the_flow_is_loaded_with_it(folder: Path):
    """No code loads it; a file of another kind is refused with what to do."""
    text = flow_of_the_page()
    (folder / "flow.yaml").write_text(text, "utf-8")
    program = load_project(str(folder)).program
    digest = program.routers["triage"].classifier
    assert digest == LinearTable.load(folder / "router.json").digest
    assert list(program.code.classifiers) == [digest]
    (folder / "router.json").write_text('{"format": "vectors of some embedder"}', "utf-8")
    with pytest.raises(FlowError) as refused:
        load_project(str(folder))
    (fault,) = refused.value.faults
    assert (fault.code, fault.what) == ("S120", "The classifier 'router.json' of router 'triage' is not loaded.")
    assert "`Code.of(classifiers=[LinearTable.load(HERE / 'router.json')])`" in fault.fix


def test_the_code_of_the_page_holds_the_file(folder: Path):
    """The flow is loaded with what its code holds."""
    (folder / "flow.yaml").write_text(flow_of_the_page().replace("version: 1", "version: 1\ncode: code.py", 1), "utf-8")
    (folder / "code.py").write_text(block("python loading"), "utf-8")
    program = load_project(str(folder)).program
    assert list(program.code.classifiers) == [program.routers["triage"].classifier]


def test_the_router_of_the_page_loads_and_does_what_the_page_says(folder: Path):
    """A threat goes to a person, two issues are queued, thresholds follow from the costs."""
    spec = spec_of_the_page(folder)
    assert threshold_of(spec, "refund") == 900_001
    assert threshold_of(spec, "card") == 600_001
    threat = evidence(spec, "I will sue you over this card", classifier=None)
    assert choose(spec, threat).outcome == "person"
    refund = RoutingEvidence(scores=(Score(label="refund", score="0.890000"),), scope="0.900000")
    assert choose(spec, refund).outcome == "unsure"
    held = refund.changed(held="card")
    assert (choose(spec, held).outcome, choose(spec, held).stage) == ("card", "sticky")


def test_the_python_of_the_page_prints_what_it_says(capsys: pytest.CaptureFixture[str]):
    """The embedding backend with an embedder of one's own."""
    found: dict[str, Any] = {}
    exec(block("python"), found)
    (wanted,) = re.findall(r"\)  # (\w+)$", block("python"), re.MULTILINE)
    assert capsys.readouterr().out.split() == [wanted]


def test_every_key_of_a_router_is_on_the_page_or_in_the_language():
    """Nothing that a router may have is left unsaid."""
    language = (ROOT / "docs" / "flow-language.md").read_text("utf-8")
    for key in RouterSpec.model_fields:
        if key != "name":
            assert f"`{key}`" in PAGE + language or f"{key}:" in PAGE, key


def test_every_option_of_the_page_exists():
    """Options that the text names are options of the commands."""
    from typer.main import get_command

    commands: Any = get_command(app)
    known = {
        option
        for command in commands.commands["route"].commands.values()
        for parameter in command.params
        for option in parameter.opts
    }
    assert set(re.findall(r"(--[a-z][a-z-]+)", PAGE)) <= known
