"""RFC 8785 bytes: the one way a value is written before it is hashed.

The fast path writes with the standard library's C encoder, whose output equals RFC 8785 for what we
admit: no floats, integers within 2^53, ASCII keys, no lone surrogates. A law in `tests/laws` holds it
to the `rfc8785` package on every admitted value; anything else is refused here.

Reading has a fast path, too: bytes that `msgspec` reads without a float and `orjson` writes again as they were, keys
sorted and integers within 2^53, are in the one spelling. Whatever else there is goes to the walk, which is the
definition and makes every refusal.
"""

import hashlib
import json
from typing import Any

import msgspec
import orjson

from .errors import NotEncodable
from .values import MAX_SAFE_INTEGER

MAX_DEPTH = 64
"""Deepest nesting that is written or read: below what any parser's stack can bear."""

_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False
).encode


def _admit(value: Any, depth: int) -> None:
    kind = type(value)
    if kind is str or value is None or kind is bool:
        return
    if kind is int:
        if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
            raise NotEncodable(
                f"The integer {str(value)[:30]} is outside ±(2^53-1), which JSON readers do not keep exact.",
                fix="Write it as a string.",
            )
    elif kind is dict:
        if depth > MAX_DEPTH:
            raise NotEncodable(f"The value is nested deeper than {MAX_DEPTH} levels.", fix="Flatten it.")
        for key, part in value.items():
            if type(key) is not str or not key.isascii():
                raise NotEncodable(f"The key {key!r} is not an ASCII string.", fix="Use an ASCII name as the key.")
            _admit(part, depth + 1)
    elif kind is list or kind is tuple:
        if depth > MAX_DEPTH:
            raise NotEncodable(f"The value is nested deeper than {MAX_DEPTH} levels.", fix="Flatten it.")
        for part in value:
            _admit(part, depth + 1)
    else:
        raise NotEncodable(
            f"A {kind.__name__} cannot stand in the log: {str(value)[:60]!r}.",
            fix="Write decimals as strings, times as RFC 3339, bytes as a payload.",
        )


def canonical(value: Any) -> bytes:
    """`value` as RFC 8785 JSON. Raises `NotEncodable` for what the log does not admit."""
    _admit(value, 0)
    try:
        return _encode(value).encode()
    except UnicodeEncodeError as error:
        raise NotEncodable("A string holds a lone surrogate.", fix="Store such text as a payload.") from error


_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER


def _float(written: str) -> None:
    raise ValueError(written)


_read = msgspec.json.Decoder(float_hook=_float).decode


def parsed(data: bytes) -> Any:
    """The value that canonical bytes stand for; bytes that are not canonical are refused.

    Comparing with the canonical form refuses duplicate keys, floats, spacing and every other
    second spelling at once.
    """
    try:
        value = _read(data)
        if (
            orjson.dumps(value, option=_SORTED) == data
            and data.isascii()
            and data.count(b"{") + data.count(b"[") <= MAX_DEPTH
        ):
            return value
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError):
        pass  # no JSON, a float, an integer that is too large: the walk says which
    return walked(data)


def walked(data: bytes) -> Any:
    """The same by the standard library and `canonical`, which is the definition."""
    try:
        value = json.loads(data)
    except (TypeError, ValueError, RecursionError) as error:
        raise NotEncodable(f"Not JSON: {type(error).__name__}.", fix="Read the stored bytes again.") from error
    if canonical(value) != data:
        raise NotEncodable("The bytes are not in RFC 8785 form.", fix="Hash and store what `canonical` wrote.")
    return value


def sha256_hex(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """SHA-256 of the canonical bytes of `value`, in hexadecimal."""
    return sha256_hex(canonical(value))


def leaf_hash(entry: bytes) -> bytes:
    """RFC 6962 section 2.1 leaf: `SHA-256(0x00 || entry)`. It chains the stream and is the Merkle leaf."""
    return hashlib.sha256(b"\x00" + entry).digest()
