"""JSON as a machine may rely on it: one reading for every reader, or none.

RFC 8259 leaves open what duplicate keys, huge numbers and deep nesting mean. Whatever two readers could
read differently is refused here, with a sentence that holds no word of the text.
"""

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

from ..contracts.canonical import MAX_DEPTH
from ..contracts.payload import bytes_of
from ..contracts.values import MAX_SAFE_INTEGER

MAX_BYTES = 1_000_000
"""Largest text that is read, in bytes of UTF-8."""

_FENCED = re.compile(r"```[A-Za-z0-9_+-]*[ \t]*\r?\n(?P<inside>.*?)\r?\n?```", re.DOTALL)
_SAFE_DIGITS = 16
_SYNTAX = {
    "Expecting value": "a value was expected",
    "Expecting ',' delimiter": "a comma was expected",
    "Expecting ':' delimiter": "a colon was expected",
    "Expecting property name enclosed in double quotes": "a name in double quotes was expected",
    "Illegal trailing comma": "a comma stands before the end",
    "Extra data": "text follows the JSON value",
    "Unterminated string": "a string does not end",
    "Invalid \\escape": "an escape is not one of JSON's",
    "Invalid \\uXXXX escape": "an escape is not one of JSON's",
}


class _Refused(ValueError):
    """Well-formed, but two readers could read it differently."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read: `value`, or a `problem` in one ASCII sentence. `unfenced`: a Markdown code fence was taken off."""

    value: Any = None
    problem: str = ""
    unfenced: bool = False


def read_json(text: str, *, what: str = "The answer", max_bytes: int = MAX_BYTES) -> Reading:
    """The one value that `text` stands for; `what` is how a problem calls it. Never raises, whatever `text` is.

    Refused: more than `max_bytes`, duplicate keys, NaN and infinities, integers beyond ±(2^53-1), nesting
    deeper than 64, and anything before or after the value, save white space and one Markdown code fence
    around the whole (models add it against all instructions). Control characters and lone surrogates inside
    strings are taken as they are.
    """
    if len(text) > max_bytes or len(bytes_of(text)) > max_bytes:
        return Reading(problem=f"{what} is longer than {max_bytes} bytes.")
    body = text.strip()
    fence = _FENCED.fullmatch(body)
    if fence:
        body = fence["inside"]
    try:
        value = _decode(body)
        if _too_deep(value):
            raise RecursionError
    except _Refused as error:
        return Reading(problem=str(error), unfenced=bool(fence))
    except json.JSONDecodeError as error:
        return Reading(problem=_syntax(error, len(body), what), unfenced=bool(fence))
    except RecursionError:
        return Reading(problem=f"{what} is nested deeper than {MAX_DEPTH} levels.", unfenced=bool(fence))
    return Reading(value=value, unfenced=bool(fence))


def written(value: Any) -> str:
    """`value` as ASCII JSON, names sorted. Raises ValueError, TypeError or RecursionError for what is not JSON."""
    return json.dumps(value, allow_nan=False, sort_keys=True, separators=(",", ":"))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _Refused("An object holds the same name twice.")
    return found


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > _SAFE_DIGITS or not -MAX_SAFE_INTEGER <= int(digits) <= MAX_SAFE_INTEGER:
        raise _Refused("An integer is beyond 2^53-1, which JSON readers do not keep exact.")
    return int(digits)


def _number(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _Refused("A number is too large for a JSON reader.")
    return number


def _constant(_: str) -> NoReturn:
    raise _Refused("NaN and infinities are not JSON.")


_decode = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_number, parse_constant=_constant, strict=False
).decode


def _syntax(error: json.JSONDecodeError, length: int, what: str) -> str:
    said = next((words for start, words in _SYNTAX.items() if error.msg.startswith(start)), "the syntax is broken")
    return f"{what} is not JSON: {said} at character {error.pos} of {length}."


def _too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            part
            for whole in level
            for part in (whole.values() if isinstance(whole, dict) else whole)
            if isinstance(part, dict | list)
        ]
    return bool(level)
