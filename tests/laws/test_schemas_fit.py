"""Contracts: what is said to fit does so for every value, and what is said not to has a witness."""

from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from interlock.fsm.prove.schema_words import in_words
from interlock.fsm.prove.schemas import accepts, samples
from interlock.fsm.prove.subsumes import fit

WORDS = ("", "a", "b", "red", "aaaa")
NAMES = ("amount", "colour", "next")
numbers = st.integers(-3, 6)
kinds = st.sampled_from(("null", "boolean", "integer", "number", "string", "array", "object"))


def optional(draw: st.DrawFn, **keys: st.SearchStrategy[Any]) -> dict[str, Any]:
    return {key: draw(one) for key, one in keys.items() if draw(st.integers(0, 2)) == 0}


@st.composite
def schemas(draw: st.DrawFn, depth: int = 2) -> Any:
    """Any schema of the words that contracts use, and a few that are not read."""
    shape = draw(st.sampled_from(("typed",) * 8 + ("enum", "const", "any", "all", "one", "not", "true", "types")))
    inner = schemas(depth=depth - 1) if depth else st.just({"type": "integer"})
    some = st.lists(inner, min_size=1, max_size=3)
    match shape:
        case "enum":
            return {"enum": draw(st.lists(st.sampled_from((*WORDS, 1, True, None)), min_size=1, max_size=4))}
        case "const":
            return {"const": draw(st.sampled_from((*WORDS, 0, 1, False, None)))}
        case "any" | "all" | "one":
            return {f"{shape}Of": draw(some), **optional(draw, minimum=numbers, description=st.just("words"))}
        case "not":
            return {"not": draw(inner)}
        case "true":
            return draw(st.booleans())
        case "types":
            return {
                "type": draw(st.lists(kinds, min_size=1, max_size=3, unique=True)),
                **optional(draw, minimum=numbers),
            }
    return typed(draw, draw(kinds), inner)


def typed(draw: st.DrawFn, kind: str, inner: st.SearchStrategy[Any]) -> dict[str, Any]:
    words: dict[str, Any] = {"type": kind}
    if kind in ("integer", "number"):
        words |= optional(draw, minimum=numbers, maximum=numbers, exclusiveMinimum=numbers, exclusiveMaximum=numbers)
        words |= optional(draw, multipleOf=st.integers(1, 4)) if kind == "integer" else {}
    elif kind == "string":
        words |= optional(draw, minLength=st.integers(0, 3), maxLength=st.integers(0, 5))
        words |= optional(draw, pattern=st.sampled_from(("^a", "d$"))) if draw(st.integers(0, 3)) == 0 else {}
    elif kind == "array":
        words |= optional(draw, items=inner, minItems=st.integers(0, 2), maxItems=st.integers(0, 3))
        words |= optional(draw, uniqueItems=st.booleans(), prefixItems=st.lists(inner, min_size=1, max_size=2))
    elif kind == "object":
        words |= optional(
            draw,
            properties=st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
            required=st.lists(st.sampled_from(NAMES), max_size=2, unique=True),
            additionalProperties=inner | st.booleans(),
            minProperties=st.integers(0, 2),
            maxProperties=st.integers(0, 3),
        )
    return words


values = st.recursive(
    st.none() | st.booleans() | st.integers(-4, 7) | st.sampled_from((0.5, 1.0, -0.5)) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from((*NAMES, "x")), inner, max_size=3),
    max_leaves=5,
)


def valid(schema: Any, value: Any) -> bool:
    """By an implementation that is not ours."""
    return bool(Draft202012Validator(schema).is_valid(value))


def loosened(draw: st.DrawFn, schema: Any) -> Any:
    """A schema near the other, so that pairs often fit: a word less, or a further branch."""
    if isinstance(schema, dict) and schema and draw(st.booleans()):
        gone = draw(st.sampled_from(sorted(schema)))
        return {word: part for word, part in schema.items() if word != gone}
    return {"anyOf": [schema, draw(schemas(depth=1))]}


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    source = draw(schemas())
    return source, (loosened(draw, source) if draw(st.booleans()) else draw(schemas()))


@given(schemas(), values)
def test_what_is_accepted_is_what_others_accept(schema: Any, value: Any) -> None:
    """Where it can be told."""
    found = accepts(schema, value, schema if isinstance(schema, dict) else {})
    assert found is None or found == valid(schema, value)


@given(pairs(), st.lists(values, max_size=8))
def test_what_fits_fits_for_every_value(pair: tuple[Any, Any], some: list[Any]) -> None:
    """And what does not has a witness that the one accepts and the other refuses."""
    source, target = pair
    found = fit(source, target)
    if found.verdict == "fits":
        root = source if isinstance(source, dict) else {}
        there = target if isinstance(target, dict) else {}
        for value in (*some, *samples(source, root), *samples(target, there)):
            assert not valid(source, value) or valid(target, value), (value, found)
    elif found.verdict == "does not fit":
        assert valid(source, found.witness)
        assert not valid(target, found.witness)
        assert found.says
    else:
        assert found.says.startswith("it cannot be told: ")


@given(schemas())
def test_every_schema_fits_itself_or_it_cannot_be_told(schema: Any) -> None:
    assert fit(schema, schema).verdict != "does not fit"


@given(pairs())
def test_of_plain_schemas_it_can_always_be_told(pair: tuple[Any, Any]) -> None:
    """Types, bounds, choices and properties as contracts have them; other words may leave it open."""
    hard = (
        "oneOf",
        "not",
        "Properties",
        "unique",
        "pattern",
        "multiple",
        "allOf",
        "prefix",
        "exclusive",
        "anyOf",
        "[]",
    )
    assume(not any(word in repr(pair) for word in hard))
    assume(possible(pair[0]))
    assert fit(*pair).verdict != "unknown"


def possible(schema: Any) -> bool:
    """Whether nothing in it contradicts itself."""
    if not isinstance(schema, dict):
        return schema is not False
    bounds = (("minimum", "maximum"), ("minLength", "maxLength"), ("minItems", "maxItems"))
    inner = [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]
    return all(schema.get(least, -9) <= schema.get(most, 99) for least, most in bounds) and all(map(possible, inner))


def test_a_control_that_must_fail() -> None:
    """A wider source never fits, and the witness is told."""
    found = fit({"type": "integer"}, {"type": "integer", "minimum": 1})
    assert (found.verdict, found.witness) == ("does not fit", 0)
    assert found.says == "a whole number may come, and a whole number from 1 is taken"


@pytest.mark.parametrize(
    ("source", "target", "verdict", "path"),
    [
        ({"type": "string"}, {"enum": ["a", "b"]}, "does not fit", ""),
        ({"enum": ["a"]}, {"enum": ["a", "b"]}, "fits", ""),
        ({"type": "integer", "minimum": 1, "maximum": 3}, {"enum": [1, 2, 3]}, "fits", ""),
        ({"type": "string"}, {"type": "string", "pattern": "^[0-9]{8}$"}, "does not fit", ""),
        ({"type": "string", "pattern": "^[0-9]+$"}, {"type": "string", "pattern": "^[0-9]{2,}$"}, "does not fit", ""),
        ({"type": "string", "pattern": "^a{3}$"}, {"type": "string", "pattern": "^a+$"}, "unknown", ""),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}, "fits", ""),
        ({"type": "string"}, {"type": "string", "format": "date"}, "does not fit", ""),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, {"type": ["integer", "null"]}, "fits", ""),
        (
            {"type": "object", "properties": {"a": {"type": "integer"}}},
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            "does not fit",
            "a",
        ),
        (
            {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "string"}}}}},
            {"type": "object", "properties": {"a": {"type": "object", "properties": {"b": {"type": "integer"}}}}},
            "does not fit",
            "a.b",
        ),
    ],
)
def test_pairs_that_a_reader_would_decide_at_once(source: Any, target: Any, verdict: str, path: str) -> None:
    found = fit(source, target)
    assert (found.verdict, found.path) == (verdict, path)


def test_a_schema_that_refers_to_itself_cannot_be_told() -> None:
    """A tree fits a tree of the same shape, but that is not proved here."""
    tree = {
        "$ref": "#/$defs/Tree",
        "$defs": {
            "Tree": {"type": "object", "properties": {"below": {"type": "array", "items": {"$ref": "#/$defs/Tree"}}}}
        },
    }
    found = fit(tree, dict(tree))
    assert found.verdict == "unknown"
    assert "refers to itself" in found.says


def test_words() -> None:
    """Each is what an owner of the flow would say."""
    assert in_words({"type": "integer", "minimum": 1, "maximum": 50_000}) == "a whole number from 1 up to 50,000"
    assert in_words({"enum": ["billing", "orders"]}) == "one of 'billing', 'orders'"
    assert in_words({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "text or null"
    assert in_words({"type": "string", "format": "date"}) == "text that is a date"
    assert in_words(True) == "anything"
