"""Canonical bytes: the fast path and the standard's own implementation write the same, and nothing else is admitted."""

import json
from collections.abc import Callable

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.canonical import MAX_DEPTH, canonical, leaf_hash, parsed, walked
from interlock.contracts.envelope import Head, checked, sealed
from interlock.contracts.errors import NotEncodable
from interlock.contracts.events import Event, ReplySent
from interlock.contracts.values import MAX_SAFE_INTEGER
from support.stores import command, events

_keys = st.text(st.characters(max_codepoint=127), max_size=8)
_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-MAX_SAFE_INTEGER, MAX_SAFE_INTEGER)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
)
admitted = st.recursive(_leaves, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4))


@given(admitted)
def test_our_bytes_are_those_of_the_standard(value: object) -> None:
    """RFC 8785 as `rfc8785` writes it, for every value that we admit."""
    assert canonical(value) == rfc8785.dumps(value)  # type: ignore[arg-type]


@given(admitted)
def test_what_was_written_reads_back_equal(value: object) -> None:
    """Nothing is lost between value and bytes."""
    assert parsed(canonical(value)) == value


@given(events())
def test_shapes_are_written_as_the_standard_says(event: Event) -> None:
    """Fields in the order of their names, absent where None: the same bytes as through the walk."""
    dumped = event.model_dump(mode="json", exclude_none=True)
    assert event.canonical_bytes() == canonical(dumped) == rfc8785.dumps(dumped)
    without = {name: value for name, value in dumped.items() if name != "type"}
    assert event.canonical_bytes(without="type") == canonical(without)


def test_a_lone_surrogate_in_a_shape_is_refused() -> None:
    """It can reach an envelope only through a bug of ours; it still does not stop the log silently."""
    event = ReplySent(state="a", text="\ud800", token_bound=0)
    with pytest.raises(NotEncodable, match="lone surrogate"):
        sealed([event], head=Head("s"), command=command("k"), flow="0" * 64, code="c", log="l")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (1.5, "A float cannot stand in the log: '1.5'."),
        (float("nan"), "A float cannot stand in the log: 'nan'."),
        (2**53, "The integer 9007199254740992 is outside ±(2^53-1)"),
        (-(2**53), "The integer -9007199254740992 is outside"),
        (b"x", "A bytes cannot stand in the log"),
        ({1: 2}, "The key 1 is not an ASCII string."),
        ({"é": 2}, "The key 'é' is not an ASCII string."),
        ("\ud800", "A string holds a lone surrogate. Fix: Store such text as a payload."),
    ],
)
def test_what_the_log_cannot_hold_is_refused_with_the_fix(value: object, message: str) -> None:
    with pytest.raises(NotEncodable) as refused:
        canonical(value)
    assert message in str(refused.value)
    assert "Fix:" in str(refused.value)


def test_nesting_has_a_bound() -> None:
    """No parser's stack is put to the test."""
    deep: object = 0
    for _ in range(MAX_DEPTH + 2):
        deep = [deep]
    with pytest.raises(NotEncodable, match="nested deeper than 64 levels"):
        canonical(deep)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1,"a":2}',
        b'{"b":1,"a":2}',
        b'{"a": 1}',
        b'{"a":1.0}',
        b'{"a":1}\n',
        b"nul",
        b"\xff",
        b'{"a":"\\u0041"}',
        b"[" * 100_000,
        json.dumps({"a": 2**60}).encode().replace(b" ", b""),
    ],
)
def test_any_second_spelling_is_refused(data: bytes) -> None:
    """Duplicate keys, other orders, spaces, floats, escapes, foreign bytes: one spelling each."""
    with pytest.raises(NotEncodable):
        parsed(data)


_numbers = st.floats() | st.integers() | st.integers(-MAX_SAFE_INTEGER - 2, -MAX_SAFE_INTEGER + 2) | st.just(2**53)
_any_json = st.recursive(
    _leaves | _numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
)
_written = st.builds(
    lambda value, sort, ascii_only: json.dumps(
        value, sort_keys=sort, ensure_ascii=ascii_only, separators=(",", ":")
    ).encode("utf-8", "surrogatepass"),
    _any_json,
    st.booleans(),
    st.booleans(),
)
_nearly = st.builds(
    lambda data, at, put: data[: at % (len(data) + 1)] + put + data[at % (len(data) + 1) + len(put) // 2 :],
    _written | admitted.map(canonical),
    st.integers(0, 10**4),
    st.sampled_from(
        [b"", b" ", b"\\", b'"', b"0", b"-", b".5", b"e1", b"\\u0041", b"[", b"]", b",", b'{"a":1}', b"\xff"]
    ),
)


def outcome(read: Callable[[bytes], object], data: bytes) -> object:
    try:
        value = read(data)
    except NotEncodable as error:
        return str(error)
    return type(value), value


@given(_nearly)
def test_the_fast_path_reads_what_the_definition_reads(data: bytes) -> None:
    """The same value or the same refusal, for any bytes near to JSON."""
    assert outcome(parsed, data) == outcome(walked, data)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":-0}',
        b'{"a":1E2}',
        b'{"a":9007199254740991}',
        b'{"a":9007199254740992}',
        b'{"a":18446744073709551616}',
        b'{"a":"\\u001f\\b\x7f"}',
        b'{"a":"\\/"}',
        b'{"a":"\\ud800"}',
        '{"\u00e9":1}'.encode(),
        b"\xef\xbb\xbf{}",
        b"1",
        b"",
        b'{"a":' * MAX_DEPTH + b"1" + b"}" * MAX_DEPTH,
        b'{"a":' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 1),
        b'{"a":' * (MAX_DEPTH + 2) + b"1" + b"}" * (MAX_DEPTH + 2),
        b"[" * 300 + b"]" * 300,
        b"[{}" + b",[]" * 100 + b"]",
    ],
)
def test_the_fast_path_stops_where_the_definition_stops(data: bytes) -> None:
    """At the edges of numbers, escapes, keys and nesting."""
    assert outcome(parsed, data) == outcome(walked, data)


def test_the_leaf_is_that_of_rfc_6962() -> None:
    """Known answer: the leaf hash of empty data, RFC 6962 section 2.1 and the Certificate Transparency vectors."""
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"


@given(events(), st.integers(0, 10**6), st.binary(min_size=32, max_size=32) | st.just(b""))
def test_an_entry_is_canonical_as_a_whole(event: Event, length: int, leaf: bytes) -> None:
    """The envelope is put together from parts, in the order that RFC 8785 gives its keys."""
    entry = sealed(
        [event], head=Head("s\u00e9", length, leaf), command=command("k"), flow="0" * 64, code="c/1", log="l"
    )[0]
    assert canonical(parsed(entry.data)) == entry.data
    envelope, read = checked(entry.data)
    assert (read, envelope.ver, envelope.key, envelope.prev) == (event, length, "k", leaf.hex() or None)
