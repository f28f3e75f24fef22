"""What each key of a flow file may hold: one table per kind of thing, and the readers of single values.

A reader takes a located value and returns what the flow model wants, or raises `Misread`. The tables
give each key its reader; `fsm/load.py` walks them and turns every `Misread` into a fault with its line.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError

from ..contracts.facts import FactType
from ..contracts.flow import (
    AgentState,
    BroadcastState,
    CallState,
    CollectState,
    FinalState,
    HumanState,
    MemberSpec,
    RouteState,
    SubflowState,
    WaitState,
)
from ..contracts.handoff import HistoryPolicy
from ..contracts.limits import Limits
from ..contracts.values import MAX_SAFE_INTEGER, Value, listed, printable
from .source import Listing, Node, Scalar, Table

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


def members(node: Node) -> tuple[MemberSpec, ...]:
    """The members of a broadcast: a table of names with what each is, or a list of agents."""
    if isinstance(node, Listing):
        names = [name(item) for item in node.items]
        return tuple(MemberSpec(name=one, agent=one) for one in names)
    if not isinstance(node, Table):
        raise Misread("R203", f"Here stands {shown(node)}, where a table is needed.", "Write `name: {…}`.", node.line)
    return tuple(
        _member(name(Scalar(node.key_lines[key], key, plain=True)), value) for key, value in node.entries.items()
    )


def _member(called: str, node: Node) -> MemberSpec:
    if not isinstance(node, Table):
        raise Misread(
            "R203", f"Here stands {shown(node)}, where a table is needed.", "Write `{agent: NAME}`.", node.line
        )
    found: dict[str, Any] = {"name": called, "agent": called}
    for key, value in node.entries.items():
        if key not in MEMBER_KEYS:
            what = f"The key {printable(key, 60)!r} is unknown here."
            raise Misread("R201", what, f"Allowed here: {listed(MEMBER_KEYS)}.", node.key_lines[key])
        one = MEMBER_KEYS[key]
        found[one.into or key] = one.read(value)
    try:
        return MemberSpec.model_validate(found)
    except ValidationError as error:
        place = error.errors(include_url=False, include_input=False)[0]
        what = f"The {place['loc'][0]} of the member {called!r} does not fit: {printable(place['msg'])}."
        raise Misread("R211", what, "Write a value within its bounds.", node.line) from error


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its reader, the attribute it fills, and what stands in where a needed one cannot be read."""

    read: Callable[[Node], Any]
    into: str = ""
    needed: bool = False
    stand_in: Any = None


_TEXT, _NAMES, _TEXTS, _NUMBER = Key(text), Key(many(name)), Key(many(text)), Key(whole_number)
_A_NAME = Key(name, needed=True, stand_in="unread")
_DEADLINE = Key(duration, into="deadline_seconds", needed=True, stand_in=1)
_TIMEOUT = Key(duration, into="timeout_seconds")
_STATE = {"kind": Key(text), "says": _TEXT}
_LIST_OF_NAMES = Key(many(name), needed=True, stand_in=("unread",))
MEMBER_KEYS = {"agent": Key(name), "reads": _NAMES, "attempts": _NUMBER, "timeout": _TIMEOUT}

STATE_KEYS: Mapping[str, tuple[type[Value], Mapping[str, Key]]] = {
    "wait": (WaitState, {**_STATE, "say": _TEXT, "inputs": _NAMES, "forgets": _NAMES, "deadline": _DEADLINE}),
    "collect": (
        CollectState,
        {
            **_STATE,
            "facts": _LIST_OF_NAMES,
            "optional": _NAMES,
            "enough": _NUMBER,
            "say": _TEXT,
            "confirm": _TEXT,
            "attempts": _NUMBER,
            "deadline": _DEADLINE,
        },
    ),
    "route": (RouteState, {**_STATE, "router": _A_NAME}),
    "agent": (
        AgentState,
        {
            **_STATE,
            "agent": _A_NAME,
            "tools": _NAMES,
            "reads": _NAMES,
            "attempts": _NUMBER,
            "timeout": _TIMEOUT,
            "agents": _NAMES,
            "results": _NAMES,
            "judges": Key(name),
            "criterion": _TEXT,
            "approval": Key(name),
        },
    ),
    "broadcast": (
        BroadcastState,
        {
            **_STATE,
            "members": Key(members),
            "plan": Key(name),
            "workers": _NAMES,
            "reads": _NAMES,
            "most": _NUMBER,
            "attempts": _NUMBER,
            "timeout": _TIMEOUT,
            "quorum": _NUMBER,
            "fail_fast": Key(yes_no),
            "minimum_percent": _NUMBER,
            "retries": _NUMBER,
            "retry_after": Key(duration, into="retry_after_seconds"),
            "deadline": _DEADLINE,
        },
    ),
    "call": (
        CallState,
        {
            **_STATE,
            "tool": _A_NAME,
            "reads": _NAMES,
            "attempts": _NUMBER,
            "timeout": _TIMEOUT,
            "approval": Key(name),
        },
    ),
    "human": (
        HumanState,
        {
            **_STATE,
            "role": _A_NAME,
            "decisions": _LIST_OF_NAMES,
            "approves": Key(name),
            "approvals": _NUMBER,
            "shows": _NAMES,
            "say": _TEXT,
            "meanwhile": _TEXT,
            "deadline": _DEADLINE,
        },
    ),
    "subflow": (SubflowState, {**_STATE, "flow": _A_NAME, "reads": _NAMES, "returns": _NAMES, "deadline": _DEADLINE}),
    "final": (FinalState, {**_STATE, "say": _TEXT, "failure": Key(yes_no)}),
}
FACT_KEYS = {
    "type": Key(one_of(*get_args(FactType)), needed=True, stand_in="text"),
    "ask": _TEXT,
    "says": _TEXT,
    "help": _TEXT,
    "choices": _NAMES,
    "pattern": _TEXT,
    "confirm": Key(yes_no),
    "volunteered": Key(yes_no),
    "depends_on": _NAMES,
    "minimum": _NUMBER,
    "maximum": _NUMBER,
}


def money_keys(digits: int) -> Mapping[str, Key]:
    """A money fact's keys: bounds in the currency, kept in its minor units."""
    money = Key(decimal(digits, "the currency"))
    return {**FACT_KEYS, "minimum": money, "maximum": money}


AGENT_KEYS = {
    "says": _TEXT,
    "model": _TEXT,
    "instructions": Key(text, needed=True, stand_in="unread"),
    "contract": Key(name),
    "handles": _TEXTS,
    "refuses": _TEXTS,
    "history": Key(one_of(*get_args(HistoryPolicy))),
    "window": _NUMBER,
    "max_input_tokens": _NUMBER,
    "max_output_tokens": _NUMBER,
    "temperature": Key(decimal6),
    "critical": Key(yes_no),
    "reads": _NAMES,
    "consults": _NAMES,
}
BREAKER_KEYS = {"failures": _NUMBER, "within": Key(duration, "window_seconds"), "open": Key(duration, "open_seconds")}
_PER_MILLION = Key(decimal(3, "the currency per million tokens"))
PRICE_KEYS = {
    "input": Key(_PER_MILLION.read, into="input_nano"),
    "output": Key(_PER_MILLION.read, into="output_nano"),
    "dated": _TEXT,
}
ROUTER_KEYS = {
    "labels": Key(words, needed=True, stand_in={}),
    "screen": _TEXTS,
    "max_characters": _NUMBER,
    "threshold": Key(decimal6),
    "margin": Key(decimal6),
    "thresholds": Key(numbers_by_name(decimal6)),
    "scope": Key(decimal6),
    "screen_threshold": Key(decimal6),
    "agent": Key(name),
    "sticky": Key(yes_no),
    "several": Key(yes_no),
    "notice": Key(decimal6),
}
RULE_KEYS = {"label": _A_NAME, "any": _TEXTS, "patterns": _TEXTS}


def cost_keys(digits: int) -> Mapping[str, Key]:
    """What mistakes of routing cost, in the currency, kept in its minor units."""
    money = decimal(digits, "the currency")
    return {
        "escalation": Key(money, needed=True, stand_in=0),
        "misroute": Key(money),
        "labels": Key(numbers_by_name(money)),
    }


FLOW_KEYS = {
    "flow": Key(name, into="name", needed=True, stand_in="unread"),
    "version": Key(whole_number, needed=True, stand_in=1),
    "owner": Key(text, needed=True, stand_in="unread"),
    "says": _TEXT,
    "currency": Key(text),
    "initial": _A_NAME,
    "digressions": Key(name),
    "phrases": Key(words),
}


def _seconds(node: Node) -> int:
    return whole_number(node) if isinstance(node, Scalar) and node.kind == "whole number" else duration(node)


def _limit_key(limit: str) -> Key:
    if limit.endswith("_seconds"):
        return Key(_seconds)
    return Key(decimal(9, "the currency")) if limit.endswith("_cost") else _NUMBER


LIMIT_KEYS = {limit: _limit_key(limit) for limit in Limits.model_fields}
