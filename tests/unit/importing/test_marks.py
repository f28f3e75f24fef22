"""Marks: what a pattern finds, what keys compare, and a file of them with every fault at its line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.errors import FlowError
from interlock.contracts.marks import MarkSet, MarkSpec
from interlock.fsm.mark_file import read_marks
from interlock.fsm.marking import Marking

FILE = r"""
marks:
  yes:        {role: customer, text: '\b(yes|go ahead)\b'}
  several:    {role: agent, calls: 2}
  read:       {tool: get_order, returns: true, failed: false, key: order_id}
  pending:    {tool: get_order, returns: true, result: {status: '^pending$'}, key: order_id}
  cancels:    {tool: [cancel_order, cancel_all], key: order_id}
  unread:     {tool: cancel_order, key: order_id, unseen: read}
  late:       {tool: cancel_order, key: order_id, seen: read, unseen: pending}
  both:       {all: [cancels, late]}
  two_cards:  {tool: pay, arguments: '(?s)card_.*card_'}
  big:        {tool: pay, arguments: {'methods[].amount': '^\d{4,}$'}}
  foreign:    {tool: pay, key: 'methods[].id', unseen: own}
  own:        {tool: get_user, returns: true, key: 'payment_methods.*.id'}
policies: {}
"""


@pytest.fixture
def marking() -> Marking:
    return Marking(read_marks(FILE))


def test_a_message_is_marked_by_side_text_and_calls(marking: Marking) -> None:
    """Without regard to case; a pattern on one side says nothing of the other."""
    assert marking.message("customer", "Yes, please GO AHEAD") == ("yes",)
    assert marking.message("customer", "yesterday") == ()
    assert marking.message("agent", "yes", 1) == ()
    assert marking.message("agent", "", 2) == ("several",)


def test_a_key_ties_a_call_to_what_was_read_before(marking: Marking) -> None:
    """Of two orders, only the one that was read counts as read; marks above are seen in the same call."""
    assert marking.call("cancel_order", '{"order_id": "A"}') == ("cancels", "unread")
    assert marking.result("get_order", '{"order_id": "A", "status": "delivered"}', False) == ("read",)
    assert marking.call("cancel_order", '{"order_id": "A"}') == ("cancels", "late", "both")
    assert marking.call("cancel_order", '{"order_id": "B"}') == ("cancels", "unread")
    assert marking.result("get_order", '{"order_id": "B", "status": "pending"}', False) == ("read", "pending")
    assert marking.call("cancel_order", '{"order_id": "B"}') == ("cancels",)
    assert marking.result("get_order", '{"order_id": "C"}', True) == ()


def test_several_keys_must_all_be_known(marking: Marking) -> None:
    """One payment method that is not the customer's own is enough; a call without a key is not judged."""
    user = {"payment_methods": {"card_1": {"id": "card_1"}, "gift_2": {"id": "gift_2"}}}
    assert marking.result("get_user", json.dumps(user), False) == ("own",)
    paid = {"methods": [{"id": "card_1", "amount": 12}, {"id": "gift_2", "amount": 9}]}
    assert marking.call("pay", json.dumps(paid)) == ()
    paid["methods"].append({"id": "card_9", "amount": 12345})
    assert marking.call("pay", json.dumps(paid)) == ("two_cards", "big", "foreign")
    assert marking.call("pay", "no json: card_1 card_2") == ("two_cards",)


@given(st.lists(st.tuples(st.sampled_from(["get_order", "cancel_order", "pay"]), st.text(max_size=20), st.booleans())))
def test_marking_is_total_and_the_same_twice(said: list[tuple[str, str, bool]]) -> None:
    """Whatever models and tools write; and what is found depends on what came before alone."""
    first, second = Marking(read_marks(FILE)), Marking(read_marks(FILE))
    for tool, text, returned in said:
        one = first.result(tool, text, False) if returned else first.call(tool, text)
        assert one == (second.result(tool, text, False) if returned else second.call(tool, text))


def test_the_digest_is_of_the_meaning() -> None:
    """Comments and layout make no difference; a pattern does."""
    same = read_marks("# why\nmarks:\n  a:\n    text: 'x'\n")
    assert same.digest == MarkSet(marks=(MarkSpec(name="a", text="x"),)).digest
    assert same.digest != read_marks("marks: {a: {text: 'y'}}").digest


FAULTS = [
    ("marks: {}\nx: [", "Y"),
    ("flow: bank", "line 1: M101 The file has no section `marks` with names in it. Fix: Begin with `marks:`."),
    ("marks:\n  1x: {text: a}", "line 2: M102 '1x' is no name. Fix: Use letters, digits and underscores."),
    ("marks:\n  a: b", "line 2: M103 The mark 'a' says no conditions. Fix: Write at least `role:` or `tool:`."),
    ("marks:\n  a: {}", "line 2: M103 The mark 'a' says no conditions."),
    ("marks:\n  a: {texts: b}", "line 2: M104 A mark has no 'texts'. Fix: It may have 'role', 'text', 'tool',"),
    ("marks:\n  a: {text: 7}", "line 2: M105 'text' of 'a' is not one text. Fix: Write one text."),
    ("marks:\n  a: {role: agent, calls: many}", "line 2: M105 'calls' of 'a' is not a whole number."),
    ("marks:\n  a: {tool: t, returns: maybe}", "line 2: M105 'returns' of 'a' is not true or false."),
    ("marks:\n  a: {tool: []}", "line 2: M105 'tool' of 'a' is not a text, nor a list of texts."),
    ("marks:\n  a: {tool: t, arguments: [x]}", "line 2: M105 Neither a pattern nor paths with patterns."),
    ("marks:\n  a: {tool: t, arguments: {b: [x]}}", "line 2: M105 The pattern for 'b' is not one text."),
    ("marks:\n  a: {role: robot}", "line 2: M102 'robot' is no role. Fix: It may be 'customer', 'agent', 'system'."),
    ("marks:\n  a: {tool: t, seen: z}", "M106 'seen' of 'a' names 'z', which is no mark."),
    ("marks:\n  a: {tool: t, all: [b]}\n  b: {tool: t}", "line 2: M106 'b' is no mark above 'a'."),
    ("marks:\n  a: {text: '('}", "line 2: M107 '(' is not a regular expression: missing ), unterminated subpattern"),
    ("marks:\n  a: {tool: t, role: agent}", "line 2: M108 'a' is of a call, and has 'role'. Fix: Leave that out."),
    ("marks:\n  a: {key: b}", "line 2: M108 'a' looks into a call and names no tool. Fix: Add `tool:`."),
    ("marks:\n  a: {tool: t, result: b}", "line 2: M108 'a' looks into a result. Fix: Add `returns: true`."),
    ("marks:\n  a: {tool: t, returns: true, arguments: b}", "line 2: M108 'a' looks into arguments when the result is"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "says"), FAULTS, ids=range(len(FAULTS)))
def test_a_fault_in_a_file_of_marks_has_its_line_and_remedy(text: str, says: str) -> None:
    """All faults at once, as for a flow."""
    with pytest.raises(FlowError) as error:
        read_marks(text, file="marks.yaml")
    assert any(str(fault).startswith(says) or fault.code.startswith(says) for fault in error.value.faults)
    assert "Where: marks.yaml" in str(error.value)
