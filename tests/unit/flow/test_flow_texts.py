"""What is made of a flow for people: English, Mermaid, DOT and pictures, all from the rows that run."""

import os
import re
import struct
from html import unescape

import pytest
from hypothesis import given, settings

from interlock.cli.drawing import dot, png, svg
from interlock.contracts.flow import Flow
from interlock.contracts.guard import Guard
from interlock.fsm.build import row
from interlock.fsm.describe import described, guard_sentence, sentence_of
from interlock.fsm.guards import all_of, any_of, not_
from interlock.fsm.mermaid import mermaid
from interlock.fsm.wording import duration_in_words
from interlock.fsm.written import written_yaml
from support.flows import FlowCase, amount_at_most, colour_is, customer_is_verified, flows
from support.returns import GOLDEN, YAML, returns

RETURNS = returns().flow
GOLDEN_TEXTS = {
    "returns.txt": described,
    "returns.mmd": mermaid,
    "returns.dot": dot,
    "returns_written.yaml": written_yaml,
}


@pytest.mark.parametrize("name", GOLDEN_TEXTS)
def test_the_flow_is_said_as_its_golden_file_says(name: str):
    """A change of a flow, or of how flows are said, shows the sentence that changed."""
    found = GOLDEN_TEXTS[name](RETURNS)
    if os.environ.get("INTERLOCK_GOLDEN") == "write":
        (GOLDEN / name).write_text(found, "utf-8")
    assert found == (GOLDEN / name).read_text("utf-8")


@given(flows())
def test_every_row_and_state_is_said(case: FlowCase):
    """No row and no state of any flow is left out of the English, nor a row of a state out of the diagrams."""
    english, drawn, diagram = described(case.flow), dot(case.flow), mermaid(case.flow)
    for one in case.flow.transitions:
        assert sentence_of(case.flow, one) in english
        if one.source != "any" and one.target != "return":
            assert f'"{one.source}" -> "{one.target}"' in drawn
            assert f"s_{one.source} --> s_{one.target}: " in diagram
    for state in case.flow.states:
        assert f"\n{state.name} ({state.kind}): " in english
        assert f'\n  "{state.name}" [shape=' in drawn
    assert (english, drawn, diagram) == (described(case.flow), dot(case.flow), mermaid(case.flow))


@pytest.mark.parametrize(
    ("guard", "sentence"),
    [
        (amount_at_most(1000), "the amount is at most 1,000 euros"),
        (colour_is("red", True), "the colour is red (yes)"),
        (not_(customer_is_verified), "it is not so that the customer is verified"),
        (all_of(customer_is_verified, amount_at_most(1)), "the customer is verified and the amount is at most 1 euros"),
        (
            any_of(not_(customer_is_verified), all_of(customer_is_verified, colour_is("red", True))),
            "(it is not so that the customer is verified) or (the customer is verified and the colour is red (yes))",
        ),
        (Guard(name="unheard_of", arguments=(1,)), "unheard_of(1)"),
    ],
)
def test_a_guard_reads_as_its_sentence(guard: Guard, sentence: str):
    """Arguments stand in their places; what is combined inside another stands in brackets."""
    specs = (amount_at_most.spec, colour_is.spec, customer_is_verified.spec)
    assert guard_sentence(RETURNS.changed(guards=specs), guard) == sentence


def test_the_sentence_of_the_style_guide():
    """In checking, on done: if the amount is at most 100 euros, go to refunded (RF-7)."""
    said = sentence_of(RETURNS, row("checking", "done", amount_at_most(100), "refunded", "RF-7"))
    assert said == "In checking, on done: if the amount is at most 100 euros, go to refunded (RF-7)."


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(1, "1 second"), (90, "90 seconds"), (5_400, "90 minutes"), (3_600, "1 hour"), (86_400, "1 day")],
)
def test_durations_are_said_in_the_largest_unit(seconds: int, words: str):
    """Without a fraction, so that nothing is rounded."""
    assert duration_in_words(seconds) == words


def test_nothing_in_a_flow_is_read_as_syntax_of_a_diagram():
    """Quotes, brackets, arrows and line breaks of policies and texts stay text."""
    nasty = 'x"]; end note --> [*] {a} <b>&amp;\n%%'
    flow: Flow = RETURNS.changed(
        owner=nasty, transitions=tuple(one.changed(policy=nasty) for one in RETURNS.transitions)
    )
    for line in mermaid(flow).splitlines():
        assert "end note" not in line or line == "    end note"
        assert re.search(r'[\[\]{}<>&%"]', re.sub(r'\[\*\]|-->|state "[a-z_]+<br/>[a-z_ ]+"', "", line)) is None
    assert "end note" in svg(flow)


def test_the_picture_has_every_state_and_says_every_policy():
    """As text, so that it can be searched; in the font that comes with the package."""
    picture = unescape(svg(RETURNS))
    assert 'font-family="Open Sans,' in picture
    for state in RETURNS.states:
        assert f">{state.name}</text>" in picture
    for policy in {one.policy for one in RETURNS.transitions}:
        assert policy in picture


def test_the_png_is_a_picture_with_ink_on_it():
    """Two pixels to a point of the SVG; text is drawn without any font on the machine."""
    picture = png(RETURNS)
    width, height = struct.unpack(">II", picture[16:24])
    assert picture.startswith(b"\x89PNG\r\n")
    assert width > 1_000
    assert height > 1_000
    assert len(png(RETURNS.changed(owner="x" * 60))) != len(picture)


@settings(max_examples=3)
@given(flows(most_states=3))
def test_any_flow_can_be_drawn(case: FlowCase):
    """Whatever its texts hold."""
    assert svg(case.flow).rstrip().endswith("</svg>")


def test_the_golden_flow_reads_the_same_after_it_was_written():
    """The file in our spelling is the same flow as the file by hand."""
    assert returns(written_yaml(RETURNS)).flow == returns(YAML).flow
