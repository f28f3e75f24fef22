"""Which way a changed part of a flow weighs: a table of every field, and a walk that passes over none of them."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal

from ...contracts.values import Value, listed

Side = Literal["weaker", "stronger", "unjudged", "neutral"]
"""`unjudged`: it may matter, and no rule tells which way. `neutral`: nothing that was promised hangs on it."""


@dataclass(frozen=True, slots=True)
class Changed:
    """One thing that is another now, in words; `place` says where in the flow, as in `states.desk`."""

    place: str
    says: str


@dataclass(frozen=True, slots=True)
class Weighed:
    side: Side
    change: Changed

    @property
    def says(self) -> str:
        return self.change.says


def weighed(side: Side, place: str, says: str) -> Weighed:
    return Weighed(side, Changed(place, says))


Way = Literal["more", "fewer", "fewer_or_all", "lost", "gained", "words", "other"]
"""What weakens: `more` of a number (none is the most), `fewer` (none is the least; with `fewer_or_all`, 0 stands for
all), an element or a yes that is `lost` or `gained`. `words` are said to people; `other` cannot be judged."""
_WAYS: dict[str, dict[Way, str]] = {
    "flow": {
        "lost": "sensitive",
        "more": "person_within",
        "words": "name version owner says phrases prices",
    },
    "limits": {},
    "fact": {
        "words": "ask says help",
        "gained": "choices volunteered",
        "fewer": "minimum",
        "more": "maximum",
        "lost": "confirm depends_on pattern",
    },
    "agent": {
        "words": "says contract_bytes price",
        "lost": "refuses no_return scope",
        "gained": "handles critical reads consults",
        "more": "window max_input_tokens max_output_tokens cache_seconds",
    },
    "router": {
        "lost": "screen screen_classifier escalations",
        "more": "screen_threshold max_characters",
        "fewer": "threshold thresholds margin scope",
    },
    "state": {
        "words": "says say meanwhile backoff_seconds backoff_most_seconds",
        "more": "deadline_seconds timeout_seconds retry_after_seconds attempts fallback_attempts most retries",
        "fewer": "approvals minimum_percent",
        "fewer_or_all": "quorum enough",
        "lost": "facts forgets confirm approval approves signed shows judges fallbacks fail_fast",
        "gained": "optional tools agents results workers returns",
    },
    "tool": {
        "words": "argument_bytes",
        "lost": "consequential keyed",
        "gained": "sanitises",
        "more": "timeout_seconds",
    },
    "condition": {"gained": "sanitises"},
    "child flow": {"lost": "failures", "words": "levels"},
}
WAYS: dict[str, dict[str, Way]] = {
    kind: {name: way for way, names in ways.items() for name in names.split()} for kind, ways in _WAYS.items()
}
"""The way of each field, by the kind of thing that has it; a field that is not here is `other`."""
_HAS = {
    "approval": "an approval",
    "approves": "a decision that approves",
    "confirm": "a question that reads the facts back",
    "fallbacks": "fallbacks",
    "judges": "a judge",
}
_LABELS = {
    "approvals": "number of approvals required",
    "max_output_tokens": "longest output in tokens",
    "max_input_tokens": "longest input in tokens",
    "max_characters": "longest message in characters",
    "facts": "list of facts asked for",
    "decisions": "list of decisions",
    "tools": "list of tools",
    "results": "list of results given",
    "quorum": "quorum",
    "most": "largest number of subtasks",
    "shows": "list of what is shown",
    "reads": "list of facts read",
    "signed": "rule that approvals are signed",
    "scope": "scope",
    "contract_schema": "schema of the contract",
    "history": "history policy",
    "sensitive": "rule that agents are given every word",
    "sanitises": "claim to make what was said trusted",
    "consequential": "mark that it changes something",
    "keyed": "idempotency key",
    "screen": "list of screens",
    "attempts": "number of attempts",
    "says": "description",
    "say": "text",
}


def label_of(name: str) -> str:
    """A field in words: a noun in the singular, or one that is plural by itself."""
    return _LABELS.get(name, name.removesuffix("_seconds").replace("_", " "))


def compared(kind: str, owner: str, place: str, old: Value, new: Value) -> Iterator[Weighed]:
    """Every field of two values of one type that differs. `owner` names them in a sentence."""
    for name, field in type(old).model_fields.items():
        was, now = getattr(old, name), getattr(new, name, None)
        if was != now and not field.exclude:
            yield from part_changed(kind, name, owner, place, was, now)


def part_changed(kind: str, name: str, owner: str, place: str, was: Any, now: Any) -> Iterator[Weighed]:
    """One field that differs: which way it weighs, in words."""
    way = WAYS.get(kind, {}).get(name, "other")
    if kind == "state" and name in _HAS and bool(was) != bool(now):
        yield weighed(
            "weaker" if was else "stronger", place, f"{owner} has {_HAS[name]} {'no more' if was else 'now'}."
        )
    elif isinstance(was, tuple) and isinstance(now, tuple) and all(isinstance(one, str) for one in (*was, *now)):
        yield from _elements(way, name, owner, place, was, now)
    elif isinstance(was, dict) and isinstance(now, dict):
        for key in sorted({*was, *now}):
            if was.get(key) != now.get(key):
                side = _side(way, was.get(key), now.get(key))
                yield weighed(side, place, _was_and_is(f"{label_of(name)} {key}", owner, was.get(key), now.get(key)))
    else:
        yield weighed(_side(way, was, now), place, _was_and_is(label_of(name), owner, was, now, unit=_unit(name)))


def _elements(way: Way, name: str, owner: str, place: str, was: Sequence[str], now: Sequence[str]) -> Iterator[Weighed]:
    gone = [one for one in was if one not in now]
    new = [one for one in now if one not in was]
    sides: dict[Way, tuple[Side, Side]] = {"lost": ("weaker", "stronger"), "gained": ("stronger", "weaker")}
    less, more = sides.get(way, ("neutral", "neutral") if way == "words" else ("unjudged", "unjudged"))
    if name == "tools" and new:
        yield weighed(more, place, f"The agent of {owner} may run {listed(new)} now.")
    elif new:
        yield weighed(more, place, f"The {label_of(name)} of {owner} has {listed(new)} now.")
    if name == "tools" and gone:
        yield weighed(less, place, f"The agent of {owner} may not run {listed(gone)} any more.")
    elif gone:
        yield weighed(less, place, f"The {label_of(name)} of {owner} has {listed(gone)} no more.")
    if not new and not gone:
        side: Side = "neutral" if way in ("words", "lost", "gained") and name != "fallbacks" else "unjudged"
        yield weighed(side, place, f"The {label_of(name)} of {owner} is in another order.")


def _side(way: Way, was: Any, now: Any) -> Side:
    if way == "words":
        return "neutral"
    if way in ("more", "fewer", "fewer_or_all"):
        return "weaker" if _wider(way, was, now) else "stronger"
    if way in ("lost", "gained") and bool(was) != bool(now):
        return "weaker" if bool(was) is (way == "lost") else "stronger"
    return "unjudged"


def _wider(way: Way, was: Any, now: Any) -> bool:
    """Whether the new number bounds less. None is no bound at all."""
    if was is None or now is None:
        return now is None
    if way == "fewer_or_all" and 0 in (was, now):
        return bool(now)
    larger = Decimal(now) > Decimal(was)
    return larger if way == "more" else not larger


def _unit(name: str) -> str:
    return " s" if name.endswith("_seconds") else ""


def _was_and_is(label: str, owner: str, was: Any, now: Any, unit: str = "") -> str:
    if isinstance(was, str) and isinstance(now, str) and (" " in was or " " in now):
        before, after = differing(was, now)
        reads, it = ("read", "they") if _several(label) else ("reads", "it")
        return f"The {label} of {owner} {reads} {after} where {it} read {before}."
    first, then = ("were", "are") if _several(label) else ("was", "is")
    return f"The {label} of {owner} {first} {_with(was, unit)} and {then} {_with(now, unit)}."


def _several(label: str) -> bool:
    """Whether a label is a plural, as far as those of our fields go."""
    noun = re.split(" (?:of|in|that) ", label)[0].rsplit(" ", 1)[-1]
    return noun.endswith("s") and not noun.endswith("ss")


def _with(value: Any, unit: str) -> str:
    return in_words(value) + (unit if value is not None else "")


def in_words(value: Any) -> str:
    """A value of a field: numbers with their thousands, what is empty as `none`, anything else as it is written."""
    if isinstance(value, bool):
        return "on" if value else "off"
    if value in (None, "", (), {}):
        return "none"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, str):
        decimal = value.rstrip("0").rstrip(".") if _is_decimal(value) else ""
        return decimal or repr(value)
    if isinstance(value, Value):
        return json.dumps(value.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    return json.dumps(
        [one.model_dump(mode="json", exclude_defaults=True) if isinstance(one, Value) else one for one in value],
        ensure_ascii=False,
    )


def _is_decimal(value: str) -> bool:
    whole, point, part = value.partition(".")
    return bool(point) and whole.isdigit() and part.isdigit()


_WORDS = 8
"""Words shown of a text, from the first that differs."""


def differing(old: str, new: str) -> tuple[str, str]:
    """From the first word that differs, a few words of each, in quotes."""
    before, after = old.split(" "), new.split(" ")
    pairs = zip(before, after, strict=False)
    at = next((number for number, (one, other) in enumerate(pairs) if one != other), min(len(before), len(after)))
    return _from(before, at), _from(after, at)


def _from(words: Sequence[str], at: int) -> str:
    shown = words[at : at + _WORDS]
    if not shown:
        return "nothing more"
    return f"“{'… ' if at else ''}{' '.join(shown)}{' …' if at + _WORDS < len(words) else ''}”"
