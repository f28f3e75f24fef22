"""What the pages say of signed approvals: the line is one that a flow takes."""

import re

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
