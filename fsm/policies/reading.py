"""Policies in a file: under `policies:` of a flow, or alone, each under its name."""

import re
from typing import Any

from ...contracts.policies import MOST_STAGES, WORD_KINDS, Policy, Words
from ...contracts.values import NAME, listed, printable
from ..field_values import Misread, many, scalar, shown, text, whole_number, yes_no
from ..fields import Key
from ..notes import Notes
from ..source import Listing, Node, Scalar, Table

_WORD = re.compile(rf"(([a-z]+):)?{NAME.pattern}(\.{NAME.pattern})?")


def word(node: Node) -> str:
    """One word of a policy."""
    found = scalar(node, "a word").text
    matched = _WORD.fullmatch(found)
    if matched and (matched[2] is None or matched[2] in WORD_KINDS) and bool(matched[3]) == (matched[2] == "decided"):
        return found
    raise Misread(
        "R214",
        f"{printable(found, 80)!r} is nothing that can be observed.",
        "Write a state or a tool, message, decided:STATE.DECISION, or one of "
        f"{listed(f'{kind}:…' for kind in WORD_KINDS if kind != 'decided')}.",
        node.line,
    )


def stages(node: Node) -> tuple[Words, ...]:
    """Several steps in their order, each a word or any of several."""
    if not isinstance(node, Listing) or not 2 <= len(node.items) <= MOST_STAGES:
        what = f"Here stands {shown(node)}, where steps in their order are needed."
        raise Misread("R203", what, f"Write a list of 2 to {MOST_STAGES} steps.", node.line)
    return tuple(many(word)(item) for item in node.items)


def counts(node: Node) -> dict[str, int]:
    """Words, each with how often it may happen."""
    if not isinstance(node, Table):
        raise Misread("R203", f"Here stands {shown(node)}, where a table is needed.", "Write `{refund: 1}`.", node.line)
    found = {}
    for key, value in node.entries.items():
        word(Scalar(node.key_lines[key], key, plain=True))
        found[key] = whole_number(value)
    return found


_WORDS = Key(many(word))
POLICY_KEYS = {
    "says": Key(text, needed=True, stand_in="unread"),
    "never": _WORDS,
    "unless_before": _WORDS,
    "unless_before_in_order": Key(stages),
    "each": Key(yes_no),
    "enforced": Key(yes_no),
    "must": _WORDS,
    "at_most": Key(counts),
    "every": _WORDS,
    "then": _WORDS,
    "after": _WORDS,
    "before": _WORDS,
    "until": _WORDS,
}


def read_policy(name: str, table: Table, path: str, notes: Notes) -> Policy:
    """The policy of that name, as far as it can be read."""
    faults = len(notes.faults)
    values: dict[str, Any] = notes.values(table, POLICY_KEYS, path)
    one, several = values.pop("unless_before", None), values.pop("unless_before_in_order", None)
    if one and several:
        where = f"{path}.unless_before_in_order"
        what = "Both unless_before and unless_before_in_order stand here."
        notes.fault("R211", what, "Write the steps under one of them.", notes.line(where), where)
    if one or several:
        values["unless_before"] = several or (one,)
    policy = notes.built(Policy, {**values, "name": name}, {}, path)
    if len(notes.faults) > faults:
        notes.unread.add(name)  # what is left of it is judged by nothing
    return policy
