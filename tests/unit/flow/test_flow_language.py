"""The page about the flow language is true: its flows load, and its tables are those of the code."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.contracts.limits import Limits
from interlock.fsm.check import CHECKS
from interlock.fsm.fields import AGENT_KEYS, FACT_KEYS, FLOW_KEYS, RULE_KEYS, STATE_KEYS
from interlock.fsm.load import read_flow
from interlock.fsm.outcomes import AGENT_OUTCOMES
from support.flows import CODE

PAGE = (Path(__file__).parents[3] / "docs" / "flow-language.md").read_text("utf-8")
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
WHOLE = BLOCKS[0]


def sections(text: str) -> dict[str, str]:
    """The text of each key at the left margin."""
    parts = re.split(r"^(?=[a-z]+:)", text, flags=re.MULTILINE)
    return {part.partition(":")[0]: part for part in parts if part.strip()}


def test_the_flow_of_the_page_has_no_faults():
    """The first block is a whole flow."""
    assert read_flow(WHOLE, CODE).flow.name == "refunds"


@pytest.mark.parametrize("block", BLOCKS[1:])
def test_each_other_block_fits_into_that_flow(block: str):
    """In the place of the section of its name; rows are put before the others, a state in the place of its name."""
    parts = sections(WHOLE)
    added = sections(block)
    if "transitions" in added:
        first = "  - [greeting, message,  otherwise,           triage,      CS-1]\n"
        added["transitions"] = parts["transitions"].replace(first, added["transitions"].partition("\n")[2])
    if "states" in added:
        for state in added["states"].splitlines()[1:]:
            name = re.escape(state.partition(":")[0])
            parts["states"] = re.sub(rf"^{name}:.*$", state, parts["states"], flags=re.MULTILINE)
        added["states"] = parts["states"]
    read_flow("".join({**parts, **added}.values()), CODE)


def test_every_check_is_on_the_page():
    """Each code with its sentence, in the order of the codes."""
    rows = re.findall(r"^\| ([YRS]\d+) \| (.*) \|$", PAGE, re.MULTILINE)
    assert rows == [(check.code, check.says) for check in CHECKS]


def test_every_key_and_outcome_is_on_the_page():
    """No key of the format that the page does not name."""
    keys = {key for _, keys in STATE_KEYS.values() for key in keys}
    keys |= {*STATE_KEYS, *AGENT_KEYS, *FACT_KEYS, *FLOW_KEYS, *RULE_KEYS, *Limits.model_fields, *AGENT_OUTCOMES}
    assert [key for key in sorted(keys) if not re.search(rf"\b{key}\b", PAGE)] == []


def test_a_block_that_does_not_fit_would_be_seen():
    """The control."""
    with pytest.raises(Exception, match="has 1 fault"):
        read_flow(WHOLE.replace("kind: wait", "kind: weight"), replace(CODE))
