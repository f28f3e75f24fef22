"""A contract's JSON Schema in the subset that OpenAI calls strict, or the word that it does not fit.

Under a strict schema the server can only generate what fits it. The subset: the root is an object, every
object lists all its properties as required and takes no others, unions are `anyOf`, and several keywords
are unknown. Bounds that are dropped here are still kept by our own contract check.
See https://platform.openai.com/docs/guides/structured-outputs#supported-schemas.
"""

import copy
from collections.abc import Mapping
from typing import Any

_DROPPED = frozenset(
    {
        "default",
        "discriminator",
        "title",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
        "$schema",
        "$id",
        "minLength",
        "maxLength",
        "uniqueItems",
        "contentEncoding",
        "contentMediaType",
        "minContains",
        "maxContains",
    }
)
"""Say nothing of the structure: a strict schema without them admits more, never less."""
_KEPT = frozenset(
    {
        "type",
        "enum",
        "const",
        "description",
        "pattern",
        "format",
        "multipleOf",
        "minimum",
        "maximum",
        "exclusiveMinimum",
        "exclusiveMaximum",
        "minItems",
        "maxItems",
    }
)
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"})


class _Unfit(Exception):
    """The schema says something that the strict subset cannot."""


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """`schema` made strict, or None where it cannot be: open objects, tuples, `Any`, conditions.

    The argument is not changed. What the result admits, the original admits too, but for dropped bounds.
    """
    definitions = schema.get("$defs", {})
    try:
        if "$ref" in schema and isinstance(schema["$ref"], str):
            schema = {**_referred(schema["$ref"], definitions), "$defs": definitions}
        root = _made(schema)
        if root.get("type") != "object":
            return None
        made = {name: _made(part) for name, part in definitions.items()}
    except _Unfit:
        return None
    return root | ({"$defs": made} if made else {})


def _made(part: Any) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        raise _Unfit
    given = {name: value for name, value in part.items() if name not in _DROPPED and name != "$defs"}
    if "$ref" in given:
        return {"$ref": given["$ref"]}  # nothing may stand beside a reference, not even a description
    inner = given.pop("allOf", None)
    if inner is not None:
        if len(inner) != 1:
            raise _Unfit
        return _made({**inner[0], **given})
    made: dict[str, Any] = {}
    variants = given.pop("anyOf", None) or given.pop("oneOf", None)
    if variants:
        made["anyOf"] = [_made(variant) for variant in variants]
    if "properties" in given or given.get("type") == "object":
        made |= _object(given)
    if given.get("type") == "array":
        made["items"] = _made(given.pop("items", None))
    for name, value in given.items():
        if name not in _KEPT:
            raise _Unfit
        if _said(name, value):
            made[name] = copy.deepcopy(value)
    if not made.keys() & {"type", "enum", "const", "anyOf"}:
        raise _Unfit
    return made


def _object(given: dict[str, Any]) -> dict[str, Any]:
    """Takes the object keywords out of `given`."""
    properties = given.pop("properties", {})
    given.pop("required", None)
    if given.pop("additionalProperties", False) is not False or not properties:
        raise _Unfit
    return {
        "properties": {name: _made(value) for name, value in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


def _said(name: str, value: Any) -> bool:
    """Whether strict servers know it: few formats, and no patterns that look around."""
    if name == "format":
        return value in _FORMATS
    return name != "pattern" or "(?" not in str(value)


def _referred(reference: str, definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    found = definitions.get(reference.removeprefix("#/$defs/"))
    if not isinstance(found, Mapping):
        raise _Unfit
    return found
