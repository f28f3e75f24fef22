"""Tests that are written from counterexamples: they fail on the flow that has the fault, for the reason that is named,
and pass on the mended one. What is not driven or spurious says so, and is no failure of the harness."""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from interlock.cli.writing import result_of, write_tests
from interlock.contracts.errors import FlowError
from interlock.contracts.flow import AgentState, Flow, State, WaitState
from interlock.contracts.limits import Limits
from interlock.fsm.program import Program, compiled
from interlock.fsm.prove.findings import Finding
from interlock.fsm.prove.proof import proved
from interlock.service.driving.trial import arranged, property_of, tried
from interlock.service.driving.way import Step
from interlock.service.project import Project
from interlock.testing.drive import drive
from support.broken import BROKEN, MENDED, Broken, loaded, program_of
from support.flows import FlowCase, flows

BUDGETS = dict.fromkeys(("turn_tokens", "conversation_tokens", "turn_cost", "conversation_cost"), 10**15)
LAX = Limits(**dict.fromkeys(("handoffs", "same_pair", "agent_calls", "steps"), 10_000), **BUDGETS)


def refuted(program: Program, most: int = 20_000) -> list[Finding]:
    return [one for one in proved(program, most=most).findings if one.verdict == "refuted" and one.counterexample]


WITH_A_WAY = [one for one in BROKEN if one.code in {each.code for each in refuted(program_of(one.text))}]
THE_SAME_WAY = ("P323",)
"""Mended by asking for less, so that the mended flow goes the same way."""


def project_of(broken: Broken, folder: Path) -> Project:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "flow.yaml").write_text(broken.text, "utf-8")
    return Project(program_of(broken.text), "orders", dict(loaded(broken.text).lines), file=str(folder / "flow.yaml"))


@pytest.mark.parametrize("broken", WITH_A_WAY, ids=lambda one: one.name)
def test_a_written_test_fails_on_the_broken_flow_and_passes_on_the_mended(broken: Broken, tmp_path: Path) -> None:
    """By an assertion of the property; the file itself is run, with another flow in its place."""
    project = project_of(broken, tmp_path / "flows")
    written = write_tests(project, project.file, proved(project.program, project.lines), tmp_path / "tests")
    assert broken.code in {one.code for one in written}
    for one in written:
        assert one.result == "fails", one.why
        names: dict[str, Any] = {"__file__": str(one.file), "__name__": "written"}
        text = one.file.read_text("utf-8")
        exec(compile(text, str(one.file), "exec"), names)
        (test,) = (value for name, value in names.items() if name.startswith("test_"))
        assert names["FLOW"].resolve() == Path(project.file).resolve()
        names["drive"] = lambda _flow, way: drive(project.program, way)
        with pytest.raises(AssertionError) as failed:
            test()
        assert str(failed.value) == one.why
        names["drive"] = lambda _flow, way: drive(program_of(MENDED), way)
        if one.code not in THE_SAME_WAY:
            test()


def test_guards_are_made_to_hold_by_facts_where_such_are_found() -> None:
    """The agents say whom they hand over to; no verdict is replaced."""
    program = program_of(next(one.text for one in BROKEN if one.code == "P305"))
    (finding,) = refuted(program)
    found = arranged(finding, program)
    assert [one.facts for one in found.way] == [{}, {"next": "billing"}]
    assert [one.facts for one in found.loop] == [{"next": "orders"}, {"next": "billing"}]
    assert all(not one.verdicts for one in (*found.way, *found.loop))


def test_a_verdict_that_no_fact_brings_about_is_replaced_in_plain_sight() -> None:
    """A wait state tells no facts: the step says which guard is made to hold."""
    text = MENDED.replace(
        "  - [more,     message,  otherwise,             asking,   OR-1]\n",
        "  - [more, message, known(amount), paying, OR-1]\n  - [more, message, otherwise, asking, OR-1]\n",
    )
    program = program_of(text)
    finding = next(one for one in refuted(program) if one.code == "P309")
    found = arranged(finding, program)
    assert found.tried.broken.startswith("What somebody wrote reached a tool that changes something")
    assert [one.verdicts for one in found.way if one.verdicts] == [{"known('amount')": True}]


def test_a_way_that_the_runtime_does_not_go_is_spurious_and_says_so(tmp_path: Path) -> None:
    """An agent that no message is short enough for is never asked, whatever the checker allows for."""
    text = next(one.text for one in BROKEN if one.code == "P305").replace(
        "contract: Answer", "max_input_tokens: 1, contract: Answer"
    )
    (finding,) = refuted(program_of(text))
    found = arranged(finding, program_of(text))
    result, why = result_of(found)
    assert result == "spurious"
    assert "it went from 'asking' on over_budget to 'desk'" in why
    project = Project(program_of(text), "orders", file=str(tmp_path / "flow.yaml"))
    (written,) = write_tests(project, "orders", proved(project.program), tmp_path)
    assert written.result == "spurious"
    assert "SPURIOUS: the checker allows for more than the runtime does" in written.file.read_text("utf-8")


def test_what_cannot_be_arranged_skips_the_test() -> None:
    """A next issue needs one that waits."""
    with pytest.raises(Exception, match="Not driven: next_issue needs a longer history") as skipped:
        drive(program_of(MENDED), (Step("greeting", "next_issue", "asking"),)).assert_it_goes_another_way()
    assert type(skipped.value).__name__ == "SkipTest"


def plain(state: State) -> State:
    """Waits that hear nothing from other systems; no judge, who may find nothing to judge."""
    if isinstance(state, WaitState):
        return state.changed(inputs=(), next_issue=False)
    if isinstance(state, AgentState) and state.judges is not None:
        return state.changed(agent="clerk", judges=None, criterion="")
    return state


def faulty(case: FlowCase, lax: bool, seed: int) -> Flow:
    """A random flow whose agents are never over their budget, with limits that bound nothing or a row that leads
    somewhere else."""
    chance, flow = random.Random(seed), case.flow
    agents = tuple(one.changed(max_input_tokens=1_000_000) for one in flow.agents)
    states = tuple(plain(one) for one in flow.states)
    limits = flow.limits.changed(message_bytes=16_000, conversation_messages=10_000, **BUDGETS)
    flow = flow.changed(agents=agents, states=states, limits=limits)
    if lax:
        return flow.changed(limits=LAX)
    rows = list(flow.transitions)
    place = chance.randrange(len(rows))
    if rows[place].target != "return":
        rows[place] = rows[place].changed(target=chance.choice(states).name, push=False)
    return flow.changed(transitions=tuple(rows))


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(flows(most_states=5), st.booleans(), st.integers(0, 10**6))
def test_every_test_that_is_written_fails_for_its_reason(case: FlowCase, lax: bool, seed: int) -> None:
    """Of random faulty flows: by the property, or it says what was not driven. None is an error of the harness, and
    none is spurious but where a child conversation or a broadcast would have to be told what to do."""
    try:
        program = compiled(faulty(case, lax, seed), case.code)
    except FlowError:
        return
    for finding in refuted(program):
        found = arranged(finding, program)
        result, why = result_of(found)
        assert result in ("fails", "not driven"), f"{finding.code}: {why}"
        again = tried(program, found.way, property_of(finding, program, found.loop))
        assert (again.broken, again.undriven) == (found.tried.broken, found.tried.undriven)
