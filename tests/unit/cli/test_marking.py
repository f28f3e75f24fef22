"""Counterexamples on the drawn flow."""

import re
from pathlib import Path
from typing import Any

import pytest

from interlock.cli import drawing
from interlock.cli.marking import PALE, RED, Marked, marked, shown_of
from interlock.contracts.errors import CallError
from interlock.examples import patterns
from interlock.fsm.mermaid import mermaid
from interlock.fsm.prove.proof import proved
from support.broken import BROKEN, loaded, program_of

PATTERNS = Path(patterns.__file__).parent


def way_of(code: str) -> tuple[Any, Marked]:
    text = next(one.text for one in BROKEN if one.code == code)
    program = program_of(text)
    return program.flow, marked(program.flow, shown_of(proved(program, loaded(text).lines).findings, code))


def test_the_way_is_red_and_the_loop_is_thicker() -> None:
    """Every state and edge of it, with the numbers of its steps; nothing else is red."""
    flow, way = way_of("P305")
    text = drawing.dot(flow, way)
    red = [line for line in text.splitlines() if RED in line]
    assert {found[1] for line in red if (found := re.match(r'  "(\w+)" \[', line))} == {
        "greeting",
        "asking",
        "invoices",
    }
    edges = {(found[1], found[2]): line for line in red if (found := re.match(r'  "(\w+)" -> "(\w+)"', line))}
    assert set(edges) == {("greeting", "asking"), ("asking", "invoices"), ("invoices", "asking")}
    assert "step 1" in edges["greeting", "asking"]
    assert "penwidth=2.2" in edges["greeting", "asking"]
    assert "loop: steps 2, 4" in edges["asking", "invoices"]
    assert "penwidth=3.4" in edges["invoices", "asking"]
    assert "P305: 'invoices', 'asking' go round" in " ".join(text.split("\\n"))
    assert drawing.dot(flow) == drawing.dot(flow, Marked())
    assert RED not in drawing.dot(flow)


def test_where_it_ends_is_filled() -> None:
    flow, way = way_of("P307")
    filled = [line for line in drawing.dot(flow, way).splitlines() if PALE in line]
    assert [line.split('"')[1] for line in filled] == ["paying"]


def test_a_row_of_the_whole_flow_that_is_taken_is_drawn() -> None:
    """Else the way would have a gap: such rows stand in a note."""
    flow, way = way_of("P311")
    wide = Marked(edges={("greeting", "desk"): next(iter(way.edges.values()))})
    assert '"greeting" -> "desk"' in drawing.dot(flow, wide)
    assert '"greeting" -> "desk"' not in drawing.dot(flow)
    assert "s_greeting --> s_desk: step" in mermaid(flow, {("greeting", "desk"): "step 1"})


def test_mermaid_marks_states_and_rows() -> None:
    flow, way = way_of("P305")
    text = mermaid(flow, {pair: taken.label for pair, taken in way.edges.items()})
    assert text.count(" way\n") == 3
    assert "s_invoices --> s_asking: loop#58; step 3: done if next is orders" in text
    assert "classDef way" not in mermaid(flow)


def test_what_has_no_way_is_not_drawn() -> None:
    """With what can be."""
    found = proved(program_of(next(one.text for one in BROKEN if one.code == "P307"))).findings
    for code, what in (
        ("P305", "P305 is proved: there is no way to draw."),
        ("P999", "There is no answer to a question"),
    ):
        with pytest.raises(CallError, match=re.escape(what)) as refused:
            shown_of(found, code)
        assert refused.value.fix == "Ways are known for P307."


def test_the_command_draws_it(run: Any, tmp_path: Path) -> None:
    """As a picture; the document says what it shows."""
    file = tmp_path / "way.svg"
    for name in ("single_agent.py", "single_agent.yaml"):
        text = (PATTERNS / name).read_text("utf-8")
        (tmp_path / name).write_text(re.sub(r" confirm: \"It goes [^\"]*\",", "", text), "utf-8")
    flow = tmp_path / "single_agent.yaml"
    ran = run("draw", flow, "--counterexample", "P309", "--out", file, "--json")
    assert ran.code == 0, ran.words
    assert ran.json["counterexample"].startswith("P309: ")
    assert RED in file.read_text("utf-8")
    assert run("draw", "bank", "--counterexample", "P305", "--out", file).code == 2
