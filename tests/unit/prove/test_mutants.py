"""Every way of breaking a flow is reported under its code; the unbroken flows report nothing."""

from pathlib import Path

import pytest

from interlock.fsm.load import read_flow
from interlock.fsm.program import compiled
from interlock.fsm.prove.proof import proved
from interlock.service.project import load_project
from support.broken import BROKEN, MENDED, WITHOUT_A_WAY, Broken, loaded, program_of

PATTERNS = Path(__file__).parents[3] / "examples" / "patterns"
EXAMPLES = (
    "bank",
    *(f"patterns/{one.stem}" for one in sorted(PATTERNS.glob("*.yaml")) if one.with_suffix(".py").exists()),
)
STORM = ("ping_pong", "self_handoff")


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.name)
def test_a_broken_flow_is_reported_under_its_code(broken: Broken) -> None:
    """With a line to mend, a remedy and, where there is a way there, the way."""
    proof = proved(program_of(broken.text), loaded(broken.text).lines)
    found = [one for one in proof.findings if one.verdict == "refuted"]
    assert broken.code in {one.code for one in found}
    finding = next(one for one in found if one.code == broken.code)
    assert finding.line > 0
    assert finding.fix
    if broken.code not in WITHOUT_A_WAY:
        assert finding.counterexample
        assert finding.counterexample[0].state == "greeting"
    assert not proof.holds


def test_the_mended_flow_reports_nothing() -> None:
    """The control of every broken one."""
    proof = proved(program_of(MENDED), loaded(MENDED).lines)
    assert [one for one in proof.findings if one.verdict not in ("proved", "noted")] == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_report_nothing(name: str) -> None:
    """What is refuted in an example is accepted by it, with a reason."""
    project = load_project(name)
    assert [one for one in proved(project.program, project.lines).findings if one.verdict == "refuted"] == []


@pytest.mark.parametrize("name", STORM)
def test_a_storm_is_refused_and_its_limits_give_a_number(name: str, tmp_path: Path) -> None:
    """Without limits worth the name there is a cycle and no most; with them there is a most, and the limit is named."""
    source = PATTERNS.parent / "storm"
    project = load_project(str(source / f"{name}.yaml"))
    proof = proved(project.program, project.lines)
    assert proof.holds
    assert proof.bills.turn.most.calls == 8
    assert any("is ended by" in one.says for one in proof.findings if one.code == "P305")
    lax = dict.fromkeys(("handoffs", "same_pair", "agent_calls", "steps", "self_handoffs"), 10_000)
    program = project.program
    flow = program.flow.changed(limits=program.flow.limits.changed(**lax))
    proof = proved(compiled(flow, program.code), project.lines)
    assert [one.code for one in proof.findings if one.verdict == "refuted"] == ["P305"]
    assert any(step.in_loop for step in proof.bills.steps)
    assert "calls" in proof.bills.turn.unbounded


def test_a_search_that_stops_proves_nothing() -> None:
    """Past the bound every answer is `bounded` or `unknown`, or a note that claims nothing; the bill is what limits let
    pass."""
    project = load_project("bank")
    proof = proved(project.program, project.lines, most=50)
    assert not proof.complete
    assert {one.verdict for one in proof.findings if one.code != "P306"} <= {"bounded", "unknown", "noted"}
    assert proof.bills.turn.most.calls == project.program.flow.limits.agent_calls
    assert set(proof.bills.conversation.values()) == {None}


BANK = (PATTERNS.parent / "bank" / "flow.yaml").read_text("utf-8")


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        (', confirm: "You want {amount} back because: {refund_reason}. Is that right?"', "", "P311"),
        (
            "all_of(customer_is_verified, payment_was_found, amount_at_most(100))",
            "all_of(customer_is_verified, not_(customer_is_verified))",
            "P302",
        ),
        (
            "handoffs: 3, same_pair: 2, agent_calls: 6",
            "handoffs: 3000, same_pair: 2000, agent_calls: 6000, steps: 5000",
            "P305",
        ),
    ],
)
def test_the_bank_broken_is_reported(old: str, new: str, code: str) -> None:
    """A confirmation, a guard or the limits taken away."""
    project = load_project("bank")
    assert old in BANK
    text = BANK.replace(old, new).replace("self_handoffs: 1,", "") if code == "P305" else BANK.replace(old, new)
    folder = PATTERNS.parent / "bank"
    found = read_flow(text, project.program.code, folder_reader=lambda file: (folder / file).read_bytes())
    proof = proved(compiled(found.flow, project.program.code), found.lines)
    assert code in {one.code for one in proof.findings if one.verdict == "refuted"}
