"""Readers of single values in a flow file: texts, names, numbers, durations, amounts, lists and tables of these.

Each takes a located value and returns what the flow model wants, or raises `Misread`.
"""

import re
from collections.abc import Callable
from typing import Any

from ..contracts.values import MAX_SAFE_INTEGER, listed, printable
from .source import Listing, Node, Scalar, Table

_MONTH = re.compile(r"2[0-9]{3}-(0[1-9]|1[0-2])")
_MODEL = re.compile(r"[A-Za-z][A-Za-z0-9._:/@+-]{0,127}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
_DURATION = re.compile(r"([0-9]{1,15})(s|m|h|d)")
_DECIMAL = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
DIGEST = re.compile(r"[0-9a-f]{64}")


class Misread(Exception):
    """A value that cannot stand where it stands; becomes a fault."""

    def __init__(self, code: str, what: str, fix: str, line: int = 0) -> None:
        self.code, self.what, self.fix, self.line = code, what, fix, line
        super().__init__(what)


def shown(node: Node) -> str:
    """How a value is called in a message."""
    match node:
        case Listing():
            return "a list"
        case Table():
            return "a table of keys"
        case Scalar(text="", plain=True):
            return "nothing"
        case _:
            return repr(printable(node.text, 60))


def scalar(node: Node, wanted: str) -> Scalar:
    if isinstance(node, Scalar) and node.kind != "null":
        return node
    raise Misread("R203", f"Here stands {shown(node)}, where {wanted} is needed.", f"Write {wanted}.", node.line)


def text(node: Node) -> str:
    return scalar(node, "text").text


def month(node: Node) -> str:
    found = scalar(node, "a month").text
    if _MONTH.fullmatch(found):
        return found
    fix = "Write the month that the price is from, such as 2026-11."
    raise Misread("R211", f"{printable(found, 80)!r} is not a month.", fix, node.line)


def model_name(text: str, line: int) -> str:
    """What a model may be called in the table of prices."""
    if _MODEL.fullmatch(text):
        return text
    fix = "Write it as the agents do: letters, digits and . _ : / @ + -, starting with a letter, at most 128."
    raise Misread("R211", f"{printable(text, 80)!r} is not the name of a model.", fix, line)


def name(node: Node) -> str:
    found = scalar(node, "a name").text
    if _NAME.fullmatch(found):
        return found
    raise Misread(
        "R204",
        f"{printable(found, 80)!r} is not a name.",
        "Use ASCII letters, digits and underscores, starting with a letter, at most 64.",
        node.line,
    )


def whole_number(node: Node) -> int:
    found = scalar(node, "a whole number")
    if found.kind == "whole number" and isinstance(found.value, int) and abs(found.value) <= MAX_SAFE_INTEGER:
        return found.value
    raise Misread("R205", f"{shown(node)} is not a whole number.", "Write digits without quotes.", node.line)


def yes_no(node: Node) -> bool:
    found = scalar(node, "true or false").value
    if isinstance(found, bool):
        return found
    raise Misread("R205", f"{shown(node)} is neither true nor false.", "Write true or false.", node.line)


def duration(node: Node) -> int:
    """Seconds: `30s`, `15m`, `4h`, `2d`."""
    found = scalar(node, "a duration").text
    match = _DURATION.fullmatch(found)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if 0 < seconds <= MAX_SAFE_INTEGER:
        return seconds
    raise Misread(
        "R206",
        f"{shown(node)} is not a duration.",
        "Write a whole number above 0 with its unit: 30s, 15m, 4h or 2d.",
        node.line,
    )


def decimal(places: int, unit: str) -> Callable[[Node], int]:
    """Reads a decimal number of `unit` as a whole number of its 10**-places parts; nothing is rounded."""
    wanted = f"a decimal number{unit and f' of {unit}'}"

    def read(node: Node) -> int:
        found = scalar(node, wanted).text
        whole, _, fraction = found.partition(".")
        if not _DECIMAL.fullmatch(found):
            raise Misread(
                "R207",
                f"{shown(node)} is not {wanted}.",
                'Write it in digits, as in "12.50".',
                node.line,
            )
        if len(fraction.rstrip("0")) > places:
            raise Misread(
                "R207",
                f"{shown(node)} has more than {places} decimals.",
                f"Keep {places} decimals.",
                node.line,
            )
        sign = -1 if found.startswith("-") else 1
        amount: int = int(whole.lstrip("-")) * 10**places + int(fraction.rstrip("0").ljust(places, "0") or "0")
        if amount > MAX_SAFE_INTEGER:
            raise Misread("R207", f"{shown(node)} is too large.", "Write a smaller number.", node.line)
        return sign * amount

    return read


def decimal6(node: Node) -> str:
    """A threshold or temperature as the log writes it, with six decimals."""
    amount = decimal(6, "")(node)
    return f"{'-' if amount < 0 else ''}{abs(amount) // 10**6}.{abs(amount) % 10**6:06d}"


def one_of(*allowed: str) -> Callable[[Node], str]:
    def read(node: Node) -> str:
        found = scalar(node, f"one of {listed(allowed)}").text
        if found in allowed:
            return found
        raise Misread("R213", f"{shown(node)} is unknown here.", f"Write one of {listed(allowed)}.", node.line)

    return read


def many(read: Callable[[Node], str]) -> Callable[[Node], tuple[str, ...]]:
    """A list of values; one alone may stand without brackets."""

    def read_all(node: Node) -> tuple[str, ...]:
        if isinstance(node, Table):
            raise Misread("R203", "Here stands a table of keys, where a list is needed.", "Write a list.", node.line)
        return tuple(read(item) for item in (node.items if isinstance(node, Listing) else (node,)))

    return read_all


def words(node: Node) -> dict[str, str]:
    """Names, each with its text."""
    if not isinstance(node, Table):
        raise Misread("R203", f"Here stands {shown(node)}, where a table is needed.", "Write `name: text`.", node.line)
    found = {}
    for key, value in node.entries.items():
        name(Scalar(node.key_lines[key], key, plain=True))
        found[key] = text(value)
    return found


def constants(node: Node) -> dict[str, bool | int | str]:
    """Names, each with a value as it is written: a whole number, true or false, or text."""
    if not isinstance(node, Table):
        raise Misread("R203", f"Here stands {shown(node)}, where a table is needed.", "Write `name: value`.", node.line)
    found: dict[str, bool | int | str] = {}
    for key, value in node.entries.items():
        name(Scalar(node.key_lines[key], key, plain=True))
        given = scalar(value, "a number, true or false, or text").value
        found[key] = given if given is not None else ""
    return found


def numbers_by_name(read: Callable[[Node], Any]) -> Callable[[Node], dict[str, Any]]:
    """Names, each with its number."""

    def read_all(node: Node) -> dict[str, Any]:
        if not isinstance(node, Table):
            what = f"Here stands {shown(node)}, where a table is needed."
            raise Misread("R203", what, "Write `name: number`.", node.line)
        for key in node.entries:
            name(Scalar(node.key_lines[key], key, plain=True))
        return {key: read(value) for key, value in node.entries.items()}

    return read_all
