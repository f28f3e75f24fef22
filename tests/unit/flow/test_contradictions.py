"""Policies that contradict each other by one step of thought: what a word needs before it."""

import pytest

from interlock.contracts.policies import Policy
from interlock.fsm.policies.judging import Orders, watches_of
from support.broken import MENDED, program_of

FLOW = program_of(MENDED).flow
PAID = Policy(name="paid", must=("tool:pay_back",))


def groups(*policies: Policy) -> list[tuple[int, ...]]:
    flow = FLOW.changed(policies=policies)
    return list(Orders(flow).contradictions(watches_of(flow)))


@pytest.mark.parametrize(
    ("before", "never"),
    [
        ("decided:desk.answered", "desk"),
        ("confirmed:details", "enter:details"),
        ("result:asking", "asking"),
        ("done:pay_back", "paying"),
    ],
)
def test_a_word_needs_its_state(before: str, never: str) -> None:
    """A decision, a yes or a result in a state that is never entered does not come."""
    needing = Policy(name="needing", must=(before,))
    assert groups(needing, Policy(name="never", never=(never,))) == [(0, 1)]
    precedes = Policy(name="first", never=("enter:more",), unless_before=((before,),))
    both = (Policy(name="more", must=("enter:more",)), precedes, Policy(name="never", never=(never,)))
    assert groups(*both) == [(0, 1, 2)]


def test_what_has_another_way_contradicts_nothing() -> None:
    """The tool is asked in one state; that it is paid needs no desk, and a final state is entered last anyway."""
    assert groups(PAID, Policy(name="never", never=("desk",))) == []
    assert groups(PAID, Policy(name="closed", must=("end:closed",))) == []
    assert groups(PAID, Policy(name="never", never=("paying",))) == [(0, 1)]


def test_a_tool_is_asked_before_it_is_done() -> None:
    done = Policy(name="done", must=("done:pay_back",))
    assert groups(done, Policy(name="never", never=("tool:pay_back",))) == [(0, 1)]
    asked_after = Policy(name="after", never=("tool:pay_back",), unless_before=(("done:pay_back",),))
    assert groups(done, asked_after) == [(0, 1)]
