"""What each key of a flow file may hold: one table per kind of thing, and the readers of single values.

A reader takes a located value and returns what the flow model wants, or raises `Misread`. The tables
give each key its reader; `fsm/load.py` walks them and turns every `Misread` into a fault with its line.
"""

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
from ..contracts.values import Value, listed, printable
from .field_values import (
    Misread,
    constants,
    decimal,
    decimal6,
    duration,
    many,
    month,
    name,
    numbers_by_name,
    one_of,
    shown,
    text,
    whole_number,
    words,
    yes_no,
)
from .source import Listing, Node, Scalar, Table


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
    "wait": (
        WaitState,
        {
            **_STATE,
            "say": _TEXT,
            "inputs": _NAMES,
            "forgets": _NAMES,
            "next_issue": Key(yes_no),
            "deadline": _DEADLINE,
        },
    ),
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
    "route": (RouteState, {**_STATE, "router": _A_NAME, "timeout": _TIMEOUT}),
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
            "backoff": Key(duration, into="backoff_seconds"),
            "backoff_most": Key(duration, into="backoff_most_seconds"),
            "fallbacks": _NAMES,
            "fallback_attempts": _NUMBER,
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
            "gives": Key(constants),
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
            "signed": Key(yes_no),
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
    "summariser": Key(name),
    "when_over": Key(one_of("refuse", "summarise")),
    "no_return": Key(yes_no),
    "scope": Key(name),
    "cache": Key(duration, into="cache_seconds"),
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
TABLE_PRICE_KEYS = {
    "input": Key(_PER_MILLION.read, into="input_nano", needed=True, stand_in=0),
    "output": Key(_PER_MILLION.read, into="output_nano", needed=True, stand_in=0),
    "dated": Key(month, needed=True, stand_in=""),
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
    "sensitive": Key(yes_no),
    "digressions": Key(name),
    "phrases": Key(words),
    "four_eyes": Key(numbers_by_name(whole_number)),
    "person_within": _NUMBER,
    "checks": Key(words),
}


def _seconds(node: Node) -> int:
    return whole_number(node) if isinstance(node, Scalar) and node.kind == "whole number" else duration(node)


def _limit_key(limit: str) -> Key:
    if limit.endswith("_seconds"):
        return Key(_seconds)
    return Key(decimal(9, "the currency")) if limit.endswith("_cost") else _NUMBER


LIMIT_KEYS = {limit: _limit_key(limit) for limit in Limits.model_fields}
