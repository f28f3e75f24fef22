"""What happened in a step, in words."""

from dataclasses import replace

from interlock.fsm.prove.endings import NOTHING, Ending
from interlock.fsm.prove.findings import happened
from interlock.fsm.prove.moving import Move


def test_a_tool_that_is_refused_does_not_end() -> None:
    """It is not asked; where a row of the state is refused, the tool did end."""
    refused = Move(Ending("done"), "policy", 0, 0, (), 0, False, NOTHING, held=("paid_once",))
    assert happened(refused, "call") == "the tool is not asked: refused, for paid_once"
    row = replace(refused, instead=3)
    assert happened(row, "call") == "the tool ends: done: refused, for paid_once"
