"""JSON Schemas as far as contracts use them: whether a value is accepted, examples of values, and a schema in words.

Three-valued throughout: None says that it cannot be told here, for the schema uses a word that is not read.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Any

Schema = Mapping[str, Any] | bool
Conjuncts = tuple[Schema, ...]
"""Schemas that all hold."""
ANNOTATIONS = frozenset(
    {
        "title", "description", "default", "examples", "example", "discriminator", "$defs", "definitions", "$schema",
        "$id", "$comment", "deprecated", "readOnly", "writeOnly", "contentMediaType", "contentEncoding",
    }
)  # fmt: skip
BOUNDS = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"})
STRINGS = frozenset({"minLength", "maxLength", "pattern", "format"})
ARRAYS = frozenset({"items", "prefixItems", "minItems", "maxItems", "uniqueItems"})
OBJECTS = frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties"})
COMBINED = ("anyOf", "oneOf", "allOf", "not", "$ref")
READ = BOUNDS | STRINGS | ARRAYS | OBJECTS | frozenset({"type", "enum", "const", *COMBINED})
TYPES = ("null", "boolean", "integer", "number", "string", "array", "object")
DEEPEST = 24


def resolved(schema: Schema, root: Mapping[str, Any]) -> Schema | None:
    """What a `$ref` within the document stands for; None where it leads elsewhere."""
    for _ in range(DEEPEST):
        if isinstance(schema, bool) or "$ref" not in schema or set(schema) - ANNOTATIONS - {"$ref"}:
            return schema
        found = referred(str(schema["$ref"]), root)
        if found is None:
            return None
        schema = found
    return None


def referred(reference: str, root: Mapping[str, Any]) -> Schema | None:
    if not reference.startswith("#"):
        return None
    found: Any = root
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found if isinstance(found, Mapping | bool) else None


def types_of(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """The types it names; all where it names none."""
    named = schema.get("type", TYPES)
    return (named,) if isinstance(named, str) else tuple(named)


def type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "integer" if value.is_integer() else "number"
        case str():
            return "string"
        case Mapping():
            return "object"
        case _:
            return "array"


def has_type(value: Any, named: Sequence[str]) -> bool:
    kind = type_of(value)
    return kind in named or (kind == "integer" and "number" in named)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: true is not 1, and 1.0 is."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return set(one) == set(other) and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return type_of(one) == type_of(other) and bool(one == other)


def accepts(schema: Schema, value: Any, root: Mapping[str, Any], deep: int = 0) -> bool | None:
    """Whether the schema accepts the value; None where it cannot be told."""
    if isinstance(schema, bool):
        return schema
    if deep > DEEPEST:
        return None
    found: list[bool | None] = [
        None for word in schema if word not in READ and word not in ANNOTATIONS and not word.startswith("x-")
    ]
    if "type" in schema:
        found.append(has_type(value, types_of(schema)))
    if "enum" in schema:
        found.append(any(same(value, one) for one in schema["enum"]))
    if "const" in schema:
        found.append(same(value, schema["const"]))
    found += _combined(schema, value, root, deep + 1)
    match type_of(value):
        case "integer" | "number":
            found += _number(schema, value)
        case "string":
            found += _string(schema, value)
        case "array":
            found += _array(schema, value, root, deep + 1)
        case "object":
            found += _object(schema, value, root, deep + 1)
    return every(found)


def every(found: Sequence[bool | None]) -> bool | None:
    """True if all are, False if any is, else None."""
    return False if False in found else None if None in found else True


def _combined(schema: Mapping[str, Any], value: Any, root: Mapping[str, Any], deep: int) -> Iterator[bool | None]:
    if "$ref" in schema:
        there = referred(str(schema["$ref"]), root)
        yield None if there is None else accepts(there, value, root, deep)
    for part in schema.get("allOf", ()):
        yield accepts(part, value, root, deep)
    if "anyOf" in schema:
        some = [accepts(part, value, root, deep) for part in schema["anyOf"]]
        yield True if True in some else None if None in some else False
    if "oneOf" in schema:
        some = [accepts(part, value, root, deep) for part in schema["oneOf"]]
        sure = some.count(True)
        yield False if sure > 1 else None if None in some else sure == 1
    if "not" in schema:
        refused = accepts(schema["not"], value, root, deep)
        yield None if refused is None else not refused


def _number(schema: Mapping[str, Any], value: float) -> Iterator[bool | None]:
    if "minimum" in schema:
        yield value >= schema["minimum"]
    if "maximum" in schema:
        yield value <= schema["maximum"]
    if "exclusiveMinimum" in schema:
        yield value > schema["exclusiveMinimum"]
    if "exclusiveMaximum" in schema:
        yield value < schema["exclusiveMaximum"]
    if "multipleOf" in schema:
        step = schema["multipleOf"]
        yield value % step == 0 if isinstance(value, int) and isinstance(step, int) else None


def _string(schema: Mapping[str, Any], value: str) -> Iterator[bool | None]:
    if "minLength" in schema:
        yield len(value) >= schema["minLength"]
    if "maxLength" in schema:
        yield len(value) <= schema["maxLength"]
    if "pattern" in schema:
        try:
            yield re.search(schema["pattern"], value) is not None
        except re.error:
            yield None
    if "format" in schema:
        yield is_day(value) if schema["format"] == "date" else None


def is_day(value: str) -> bool:
    """A calendar day as YYYY-MM-DD."""
    try:
        return re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value) is not None and bool(date.fromisoformat(value))
    except ValueError:
        return False


def _array(
    schema: Mapping[str, Any], value: Sequence[Any], root: Mapping[str, Any], deep: int
) -> Iterator[bool | None]:
    if "minItems" in schema:
        yield len(value) >= schema["minItems"]
    if "maxItems" in schema:
        yield len(value) <= schema["maxItems"]
    first = schema.get("prefixItems", ())
    for part, one in zip(first, value, strict=False):
        yield accepts(part, one, root, deep)
    if "items" in schema:
        for one in value[len(first) :]:
            yield accepts(schema["items"], one, root, deep)
    if schema.get("uniqueItems"):
        yield not any(same(one, other) for index, one in enumerate(value) for other in value[:index])


def _object(
    schema: Mapping[str, Any], value: Mapping[str, Any], root: Mapping[str, Any], deep: int
) -> Iterator[bool | None]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        yield name in value
    if "minProperties" in schema:
        yield len(value) >= schema["minProperties"]
    if "maxProperties" in schema:
        yield len(value) <= schema["maxProperties"]
    for name, one in value.items():
        if name in known:
            yield accepts(known[name], one, root, deep)
        elif "additionalProperties" in schema:
            yield accepts(schema["additionalProperties"], one, root, deep)


MOST_SAMPLES = 40


def samples(schema: Schema, root: Mapping[str, Any], deep: int = 0) -> list[Any]:
    """Values near the edges of what the schema says: not all of them are accepted by it."""
    found = resolved(schema, root)
    if found is None or isinstance(found, bool) or deep > 4:
        return [] if found is False else ["", 0, None]
    values: list[Any] = [*found.get("enum", ()), *([found["const"]] if "const" in found else [])]
    for part in (*found.get("anyOf", ()), *found.get("oneOf", ()), *found.get("allOf", ())):
        values += samples(part, root, deep + 1)
    if "$ref" in found and (there := referred(str(found["$ref"]), root)) is not None:
        values += samples(there, root, deep + 1)
    if "enum" in found or "const" in found:
        return values[:MOST_SAMPLES]
    for kind in types_of(found):
        values += _samples(found, kind, root, deep)
    return values[: 4 * MOST_SAMPLES]


def _samples(schema: Mapping[str, Any], kind: str, root: Mapping[str, Any], deep: int) -> list[Any]:
    match kind:
        case "null":
            return [None]
        case "boolean":
            return [True, False]
        case "integer" | "number":
            return _numbers(schema, kind)
        case "string":
            return _strings(schema)
        case "array":
            return _arrays(schema, root, deep)
        case _:
            return _objects(schema, root, deep)


def _numbers(schema: Mapping[str, Any], kind: str) -> list[Any]:
    step = schema.get("multipleOf", 1)
    near = [schema[word] for word in BOUNDS if word in schema] or [0]
    found: list[Any] = []
    for one in near:
        whole = int(one)
        found += [whole, whole - 1, whole + 1, *([one, one + 0.5, one - 0.5] if kind == "number" else [])]
        if isinstance(step, int) and step > 1:
            found += [whole // step * step, (whole // step + 1) * step]
    return list(dict.fromkeys([*found, *([0, 1, -1, 0.5] if kind == "number" else [0, 1, -1])]))


def _strings(schema: Mapping[str, Any]) -> list[Any]:
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if schema.get("format") == "date":
        return ["2026-02-28"]
    lengths = [least, least + 1, *([most, most + 1] if most is not None else [least + 9])]
    return ["a" * length for length in lengths if length <= 10_000] + ["0" * max(1, least)]


def _arrays(schema: Mapping[str, Any], root: Mapping[str, Any], deep: int) -> list[Any]:
    first = schema.get("prefixItems", ())
    heads = [next(iter(_valid(part, root, deep)), None) for part in first]
    least, most = schema.get("minItems", 0), schema.get("maxItems")
    found: list[Any] = [heads, []]
    for one in _valid(schema.get("items", True), root, deep)[:8]:
        for length in (least, least + 1, *([most, most + 1] if most is not None else [])):
            found += [[*heads, *[one] * (length - len(heads))]] if len(heads) < length <= 64 else []
    other = _valid(schema.get("items", True), root, deep)[: max(least, 2)]
    return [*found, [*heads, *other][: max(least, 2)]]


def _objects(schema: Mapping[str, Any], root: Mapping[str, Any], deep: int) -> list[Any]:
    """One whole object, then each property left out, and each of its values in turn."""
    known = schema.get("properties", {})
    options = {name: _valid(part, root, deep) for name, part in known.items()}
    options |= {name: ["a", 0] for name in schema.get("required", ()) if name not in known}
    whole = {name: some[0] for name, some in options.items() if some}
    needed = {name: value for name, value in whole.items() if name in schema.get("required", ())}
    found: list[Any] = [whole, needed]
    for name, some in options.items():
        found.append({one: value for one, value in whole.items() if one != name})
        found += [{**whole, name: value} for value in some[1:8]]
    if schema.get("additionalProperties", True) is not False:
        extra = _valid(schema.get("additionalProperties", True), root, deep)[:3] or ["a"]
        found += [{**needed, "other": one} for one in extra]
    return found


def _valid(schema: Schema, root: Mapping[str, Any], deep: int) -> list[Any]:
    """Samples that the schema accepts, or may."""
    some = ["a", 0, None] if schema is True else samples(schema, root, deep + 1)
    return [one for one in some if accepts(schema, one, root) is not False]
