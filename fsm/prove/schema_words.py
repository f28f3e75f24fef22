"""A JSON Schema in a few words, for whoever must mend one of two that do not fit."""

from collections.abc import Mapping
from typing import Any

from .schemas import Schema, referred, types_of

_WORDS = {
    "null": "null",
    "boolean": "yes or no",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
    "object": "an object",
}


def in_words(schema: Schema, root: Mapping[str, Any] | None = None, deep: int = 0) -> str:
    """What the schema accepts; references are looked up in `root`."""
    if isinstance(schema, bool):
        return "anything" if schema else "nothing"
    if "$ref" in schema and root is not None and deep < 4:
        there = referred(str(schema["$ref"]), root)
        return "something else" if there is None else in_words(there, root, deep + 1)
    if "const" in schema:
        return repr(schema["const"])
    if "enum" in schema:
        return f"one of {', '.join(map(repr, schema['enum'][:6]))}{' …' if len(schema['enum']) > 6 else ''}"
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(dict.fromkeys(in_words(one, root, deep + 1) for one in schema[word][:4]))
    kinds = types_of(schema) if "type" in schema else ()
    said = " or ".join(_WORDS.get(kind, kind) for kind in kinds) or "anything"
    return said + _bounds_in_words(schema)


def _bounds_in_words(schema: Mapping[str, Any]) -> str:
    said = ""
    if schema.get("format") == "date":
        said += " that is a date"
    elif "format" in schema:
        said += f" in the format {schema['format']!r}"
    for word, words in (
        ("minimum", "from {:,}"),
        ("exclusiveMinimum", "above {:,}"),
        ("maximum", "up to {:,}"),
        ("exclusiveMaximum", "below {:,}"),
        ("multipleOf", "in steps of {:,}"),
        ("minLength", "of at least {:,} characters"),
        ("maxLength", "of at most {:,} characters"),
        ("minItems", "of at least {:,} items"),
        ("maxItems", "of at most {:,} items"),
        ("pattern", "like {}"),
    ):
        if word in schema and not (word == "minLength" and schema[word] == 0):
            said += f" {words.format(schema[word])}"
    return said
