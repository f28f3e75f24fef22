"""Flows in files that contain flows in files: loaded with their code, found again from a log, and refused in words."""

from pathlib import Path

import pytest

from interlock.contracts.errors import FlowError, SetupError
from interlock.contracts.store import FlowRow
from interlock.fsm.written import written_yaml
from interlock.persistence.memory_store import MemoryStore
from interlock.service.project import load_project
from interlock.service.runtime import Runtime
from interlock.service.wiring import found_flow, found_flows
from support.subflows import DESK, TEAM, WORKER, helper

TOOLS = """
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.fsm.code import Code

@tool(consequential=True, says="Pays once for each key.")
def pay(amount: int = 1) -> dict[str, bool]:
    return {"paid": True}

class Answer(AgentResult):
    city: str = ""

code = Code.of(tools=[pay], contracts=[Answer])
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "flow.yaml").write_text(
        DESK.format(limits="{turn_seconds: 5m}", deadline="10m", unsolved="clerk", failed="clerk")
    )
    (tmp_path / "team.yaml").write_text(TEAM.replace("version: 1\n", "version: 1\ncode: tools.py\n"))
    (tmp_path / "worker.yaml").write_text(WORKER.replace("version: 1\n", "version: 1\ncode: tools.py\n"))
    (tmp_path / "tools.py").write_text(
        TOOLS.replace("pay(amount", "pay(context: ToolContext, amount").replace(
            "from interlock.fsm", "from interlock.contracts.tools import ToolContext\nfrom interlock.fsm", 1
        )
    )
    return tmp_path


def test_a_flow_is_loaded_with_those_it_contains(folder: Path) -> None:
    """Each with its own code; the digest of the parent covers those of the children."""
    program = load_project(str(folder)).program
    team = program.children["team"]
    assert (team.ref.name, team.children["worker"].ref.name) == ("team", "worker")
    assert program.subflows["team"].digest == team.ref.digest
    assert (program.subflows["team"].levels, program.subflows["team"].failures) == (2, ("unsolved",))
    worker = folder / "worker.yaml"
    worker.write_text(worker.read_text().replace("It was paid.", "It is paid."))
    again = load_project(str(folder)).program
    assert again.ref.digest != program.ref.digest
    assert "subflows:\n  team: team.yaml\n" in written_yaml(program.flow)


def test_a_flow_that_contains_itself_is_refused(folder: Path) -> None:
    """Through others, and directly."""
    worker = folder / "worker.yaml"
    worker.write_text(worker.read_text().replace("states:", "subflows: {desk: flow.yaml}\nstates:", 1))
    with pytest.raises(FlowError) as refused:
        load_project(str(folder))
    assert refused.value.what == (
        "The flow 'flow.yaml' contains itself: flow.yaml → team.yaml → worker.yaml → flow.yaml."
    )
    assert refused.value.fix == (
        "Take it out of `subflows` in one of these files: a conversation in it would never end."
    )
    team = folder / "team.yaml"
    team.write_text(team.read_text().replace("worker.yaml", "team.yaml"))
    with pytest.raises(FlowError, match=r"The flow 'team\.yaml' contains itself: team\.yaml → team\.yaml\."):
        load_project(str(folder))


def test_a_child_that_is_not_there_is_a_fault_with_its_line(folder: Path) -> None:
    (folder / "team.yaml").unlink()
    with pytest.raises(FlowError) as refused:
        load_project(str(folder))
    (fault,) = refused.value.faults
    assert fault.code == "R212"
    assert fault.what.startswith("The file 'team.yaml' cannot be read")
    assert fault.fix == "Put it beside the flow."


def test_a_fault_of_a_child_is_said_of_its_own_file(folder: Path) -> None:
    worker = folder / "worker.yaml"
    worker.write_text(worker.read_text().replace("tool: pay", "tool: pya"))
    with pytest.raises(FlowError) as refused:
        load_project(str(folder))
    assert refused.value.where == str(worker)
    assert refused.value.faults[0].code == "S116"


def test_code_of_a_child_that_is_not_there_is_said(folder: Path) -> None:
    (folder / "tools.py").unlink()
    with pytest.raises(SetupError, match=r"The flow's code 'tools\.py' is not a file in the flow's folder\."):
        load_project(str(folder))


async def test_a_log_finds_its_flows_again_after_a_child_was_changed(folder: Path) -> None:
    """The parent as it was recorded, with the children as they were; what runs is what was decided."""
    store, project = MemoryStore(), load_project(str(folder))
    async with Runtime(store, project.program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
    worker = folder / "worker.yaml"
    worker.write_text(worker.read_text().replace("It was paid.", "It is paid."))
    changed = load_project(str(folder))
    found = found_flows(store, changed)
    assert len(found) == 3
    assert [one.problem for one in found.values()] == ["", "", ""]
    programs = {one.program.ref.name: one for one in found.values() if one.program is not None}
    assert programs["desk"].program is not None
    assert programs["desk"].program.ref.digest == project.program.ref.digest != changed.program.ref.digest
    async with Runtime(store, programs["desk"].program, helper()) as runtime:
        done = await runtime.say("talk", "pay")
        assert done.replies[0] == "It was paid."


def test_without_the_rows_of_the_children_the_parent_is_not_taken_for_another(folder: Path) -> None:
    """The control: today's children would decide something else."""
    store, project = MemoryStore(), load_project(str(folder))
    row = FlowRow(project.program.ref.digest, "desk", 1, project.program.body, str(folder))
    worker = folder / "worker.yaml"
    worker.write_text(worker.read_text().replace("It was paid.", "It is paid."))
    found = found_flow(row, load_project(str(folder)), kept=store.flow)
    assert found.program is None
    assert "The code differs from what flow 'desk' was made with: 'subflow team'." in found.problem
