"""Flows in Python, guard texts, and what the reader of files leaves alone."""

import pytest

from interlock.contracts.errors import FlowError
from interlock.contracts.flow import FinalState, State, Transition, WaitState
from interlock.contracts.guard import Guard, in_digression, otherwise
from interlock.fsm.build import completed, flow, row, schema_digest
from interlock.fsm.code import Code
from interlock.fsm.expression import read_guard
from interlock.fsm.guards import all_of, any_of, not_
from interlock.fsm.load import code_path_of, read_flow
from interlock.fsm.source import Listing, Scalar, Table, read_yaml
from interlock.fsm.written import written_yaml
from support.flows import CODE, Advice, amount_at_most, colour_is, customer_is_verified
from support.returns import YAML, returns

STATES: list[State] = [WaitState(name="asking", say="Hello.", deadline_seconds=60), FinalState(name="closed")]
ROWS = [
    row("asking", "message", customer_is_verified, "closed", "A-1"),
    row("asking", "message", otherwise, "asking", "A-1"),
    row("any", "expired", otherwise, "closed", "A-2"),
    row("any", "limit", otherwise, "closed", "A-3"),
]
SMALL = """
flow: small
version: 1
owner: us
initial: asking
states:
  asking: {kind: wait, say: Hello., deadline: 1m}
  closed: {kind: final}
transitions:
  - [asking, message, customer_is_verified, closed, A-1]
  - [asking, message, otherwise, asking, A-1]
  - [any, expired, otherwise, closed, A-2]
  - [any, limit, otherwise, closed, A-3]
"""


def test_python_and_yaml_give_the_same_flow():
    """The same model and the same digest."""
    built = flow(name="small", version=1, owner="us", initial="asking", states=STATES, transitions=ROWS, code=CODE)
    read = read_flow(SMALL, CODE).flow
    assert built == read
    assert built.digest == read.digest


def test_a_digest_covers_guards_contracts_and_tools_and_nothing_that_is_unused():
    """A guard's version, a contract's schema: meaning. An unused guard is none."""
    read = returns().flow
    assert [one.name for one in read.guards] == ["amount_at_most", "customer_is_verified"]
    assert [one.name for one in read.tools] == ["look_up"]
    assert read.agents[0].contract_schema == schema_digest(Advice)
    assert completed(read, CODE).digest != read.digest  # CODE has another `look_up`


def test_a_row_may_push_and_may_name_a_guard_without_brackets():
    """`push NAME` is a digression, whichever way it is said."""
    pushed = Transition(source="any", on="question", target="answer", policy="A-1", push=True)
    assert row("any", "question", otherwise, "push answer", "A-1") == pushed
    assert row("any", "question", otherwise, "answer", "A-1", push=True) == pushed
    assert row("a", "b", customer_is_verified, "c", "d").guard == customer_is_verified()


def test_a_row_that_cannot_be_is_refused():
    """As a flow error that says which row."""
    with pytest.raises(FlowError, match=r"target: String should match pattern.*Where: row 'a' on 'b'") as refused:
        row("a", "b", otherwise, "human review", "RF-7")
    assert refused.value.fix == "Write values of the declared types."


def test_a_flow_in_python_is_refused_with_all_its_faults():
    """Nothing is built from a faulty table."""
    with pytest.raises(FlowError) as refused:
        flow(name="small", version=1, owner="", initial="askin", states=STATES, transitions=ROWS[1:], code=Code())
    assert [fault.code for fault in refused.value.faults] == ["S104", "S110"]
    assert str(refused.value).startswith("The flow 'small' has 2 faults. Fix: Mend each of these:")


def test_a_flow_of_impossible_types_is_refused():
    """As a flow error, not as one of pydantic."""
    with pytest.raises(FlowError, match=r"version: Input should be greater than or equal to 0"):
        flow(name="small", version=-1, owner="us", initial="asking", states=STATES, transitions=ROWS, code=CODE)


@pytest.mark.parametrize(
    ("text", "guard"),
    [
        ("otherwise", otherwise),
        (" in_digression ", in_digression),
        ("customer_is_verified", customer_is_verified()),
        ("customer_is_verified()", customer_is_verified()),
        ("amount_at_most(-5)", amount_at_most(-5)),
        ("colour_is('it\\'s \"red\"', true)", colour_is('it\'s "red"', True)),
        ("colour_is('', False)", colour_is("", False)),
        (
            "all_of(in_digression, any_of(a, not_(b)))",
            all_of(in_digression, any_of(Guard(name="a"), not_(Guard(name="b")))),
        ),
    ],
)
def test_a_guard_text_is_read(text: str, guard: Guard):
    """Names, calls, literals and combinations."""
    assert read_guard(text) == guard


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.b",
        "a[0]",
        "lambda: 1",
        "f'{a}'",
        "a(*b)",
        "a(**b)",
        "__import__('os').system('x')",
        "a if b else c",
        "(a for a in b)",
        "a(b'x')",
        "a(1.5)",
        "a(None)",
        "a(1 + 1)",
        "a(99999999999999999999)",
        "a(-99999999999999999)",
        "all_of",
        "not_()",
        "not_(a, b)",
        "otherwise()",
        "a := b",
        "a\nb",
        "(" * 400,
        "é",
        "a('\\ud800'",
        "in_digression(1)",
        "1",
        "'a'",
        "a(not_(b))",
        "await a",
        "a\x00b",
    ],
)
def test_what_is_no_guard_is_refused(text: str):
    """With what stands there and what may; nothing of it is ever run."""
    with pytest.raises(FlowError) as refused:
        read_guard(text)
    assert refused.value.what
    assert refused.value.fix


def test_words_stay_words_and_numbers_are_numbers():
    """YAML 1.2 core: of the plain words only true, false and null mean anything but themselves."""
    node, faults = read_yaml("[on, no, yes, off, y, 010, 0x1F, 1_000, 12:30, 1.5, .inf, true, 'true', ~, '', 2026-11]")
    assert faults == ()
    assert isinstance(node, Listing)
    values = [item.value for item in node.items if isinstance(item, Scalar)]
    assert values == [
        "on",
        "no",
        "yes",
        "off",
        "y",
        10,
        31,
        "1_000",
        "12:30",
        "1.5",
        ".inf",
        True,
        "true",
        None,
        "",
        "2026-11",
    ]


def test_the_key_on_is_a_word():
    """`on` is a column of a row, and not yes."""
    node, _ = read_yaml("{on: no}")
    assert isinstance(node, Table)
    assert dict(node.entries) == {"on": Scalar(1, "no", plain=True)}


def test_a_byte_order_mark_and_windows_line_ends_change_nothing():
    """The same flow and the same lines."""
    windows = b"\xef\xbb\xbf" + YAML.replace("\n", "\r\n").encode()
    assert returns(windows).flow == returns().flow
    assert returns(windows).lines == returns().lines


def test_the_path_of_the_code_is_found_without_reading_the_flow():
    """So that the code can be imported first; a path out of the folder is refused."""
    assert code_path_of(YAML) == "code.py"
    assert returns().code_path == "code.py"
    assert code_path_of(SMALL) == ""
    for path in ("../code.py", "/code.py", "a/../../code.py", "C:\\\\code.py", "''"):
        with pytest.raises(FlowError, match="is not a path inside the flow's folder"):
            code_path_of(YAML.replace("code: code.py", f"code: {path}"))
    with pytest.raises(FlowError, match="has 1 fault"):
        code_path_of("- no flow")


def test_a_pinned_classifier_needs_no_folder():
    """With its digest in the file, the flow can be read anywhere; with the folder, the file is checked."""
    pinned = written_yaml(returns().flow)
    from support.returns import RETURNS_CODE

    assert read_flow(pinned, RETURNS_CODE).flow == returns(pinned).flow
