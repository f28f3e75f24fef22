"""Flow files: the written flow is the same flow, and nothing a file holds gives anything but a `FlowError`."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from interlock.contracts.errors import FlowError
from interlock.fsm.build import flow
from interlock.fsm.check import CHECKS, faults_in
from interlock.fsm.expression import read_guard
from interlock.fsm.load import LoadedFlow, read_flow
from interlock.fsm.written import written_yaml
from support.flows import CODE, FlowCase, flows, guards

KNOWN_CODES = {check.code for check in CHECKS}


@given(flows())
def test_a_flow_written_and_read_back_is_the_same(case: FlowCase):
    """YAML and Python give the same model and the same digest."""
    loaded = read_flow(written_yaml(case.flow), case.code)
    assert loaded.flow == case.flow
    assert loaded.flow.digest == case.flow.digest


@given(flows())
def test_lines_point_to_where_things_stand(case: FlowCase):
    """The line of every state and row holds its name."""
    text = written_yaml(case.flow)
    lines = text.split("\n")
    loaded = read_flow(text, case.code)
    for state in case.flow.states:
        assert lines[loaded.lines[f"states.{state.name}"] - 1].startswith(f"  {state.name}:")
    for index, row in enumerate(case.flow.transitions):
        assert lines[loaded.lines[f"transitions.{index}"] - 1].startswith(f"  - [{row.source},")


@given(guards())
def test_a_guard_written_and_read_back_is_the_same(guard):
    """`str(guard)` is the text that a row holds."""
    assert read_guard(str(guard)) == guard


def outcome(text: str | bytes) -> LoadedFlow | FlowError:
    """The flow, or the error, after looking at its faults; anything else that is raised fails the test."""
    try:
        return read_flow(text, CODE)
    except FlowError as error:
        refused = error
    assert refused.faults
    for fault in refused.faults:
        assert fault.code in KNOWN_CODES
        assert fault.what.endswith(".")
        assert fault.fix
    return refused


@given(st.binary(max_size=200))
@example(b"\x00")
@example(b"\xff\xfe")
@example(b"a: &a [*a, *a]")
@example("é: \U0001f600".encode())
@example(b'"\\UFFFFFFFF"')
@example(b"%YAML 9.9\n---\n")
@example(b"? [a]\n: b")
def test_arbitrary_bytes_are_refused_with_faults(data: bytes):
    """No bytes give a traceback."""
    assert isinstance(outcome(data), FlowError)


@given(st.text(st.sampled_from("abc: -[]{}\n\t\"'&*!|>#,?%@`~0.5"), max_size=120))
def test_arbitrary_yaml_like_text_is_refused_with_faults(text: str):
    """Nor does text made of YAML's own signs."""
    assert isinstance(outcome(text), FlowError)


@given(flows(), st.data())
def test_a_damaged_flow_loads_or_is_refused_with_faults(case: FlowCase, data: st.DataObject):
    """Words cut out, doubled or swapped in a valid file never give anything but a flow or a `FlowError`."""
    text = written_yaml(case.flow)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 40)))
        new = data.draw(
            st.sampled_from(
                (
                    "",
                    " ",
                    "\n",
                    "any",
                    "return",
                    "true",
                    "~",
                    "[",
                    "{",
                    '"',
                    "all_of()",
                    "99999999999999999999",
                    "x: y",
                    text[start:end] * 2,
                    "\x00",
                    "1.5",
                    "-1",
                    "'",
                    "kind: agent",
                    ", ",
                    "!!python/object:os.system ",
                    "&a ",
                    "*a",
                )
            )
        )
        text = text[:start] + new + text[end:]
    outcome(text)


@given(flows(), st.data())
def test_a_damaged_flow_in_python_gives_faults_that_are_known(case: FlowCase, data: st.DataObject):
    """Rows and states left out at random: the checks stay total, deterministic, and within their table."""
    rows = data.draw(st.permutations(case.flow.transitions))
    damaged = case.flow.changed(
        transitions=tuple(rows[: data.draw(st.integers(0, len(rows)))]),
        states=case.flow.states[data.draw(st.integers(0, 2)) :],
    )
    faults = faults_in(damaged, case.code)
    assert faults == faults_in(damaged, case.code)
    assert {fault.code for fault in faults} <= KNOWN_CODES


@given(flows())
def test_a_flow_says_its_faults_whether_it_was_written_or_built(case: FlowCase):
    """Without its `limit` row, Python and YAML name the same fault."""
    rows = [row for row in case.flow.transitions if row.on != "limit"]
    damaged = case.flow.changed(transitions=tuple(rows))
    with pytest.raises(FlowError) as written:
        read_flow(written_yaml(damaged), case.code)
    with pytest.raises(FlowError) as built:
        flow(
            name=damaged.name,
            version=damaged.version,
            owner=damaged.owner,
            initial=damaged.initial,
            states=damaged.states,
            transitions=rows,
            says=damaged.says,
            currency=damaged.currency,
            facts=damaged.facts,
            agents=damaged.agents,
            routers=damaged.routers,
            digressions=damaged.digressions,
            limits=damaged.limits,
            phrases=damaged.phrases,
            code=case.code,
        )
    assert {fault.what for fault in written.value.faults} == {fault.what for fault in built.value.faults}
    assert "S144" in {fault.code for fault in built.value.faults}


def test_a_file_that_is_one_fault_after_another_gives_an_answer_of_bounded_size():
    """A wrong file of many keys is not answered with as many sentences."""
    with pytest.raises(FlowError) as refused:
        read_flow("".join(f"k{number}: 1\n" for number in range(2_000)), CODE)
    assert len(refused.value.faults) == 500
    assert refused.value.what == "The flow has 2,006 faults; these are the first 500."
