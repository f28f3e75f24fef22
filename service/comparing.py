"""Two recorded conversations, or a conversation and its re-decision, event beside event.

Events are alike where they say the same: positions in the log, times, random bytes and measurements are no part of
what an event says, and texts are compared as they were written, where they are still there. After the first difference
the two are aligned again as far as they can be.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from ..contracts.canonical import sha256_hex
from ..contracts.envelope import opened
from ..contracts.events import Event
from ..contracts.payload import Payload, PayloadAt
from ..fsm.replay import Programs, Recorded, redecisions

Text = Callable[[int, str], bytes | None]
"""A text by the version of the event that brought it, and its name there; None where it is gone."""
How = Literal["same", "changed", "only_a", "only_b"]
_REF = {"commit", "kind", "length", "name"}
_POSITIONS = frozenset(
    {
        *("effect", "task", "timer", "message", "request", "version", "caller", "broadcast", "upto"),
        *("digest", "turn_due", "due", "shown", "trace", "latency_ms", "at", "request_id", "conditions"),
        *("parent", "child", "flow", "subject", "forks", "origin", "cached_from", "sealed", "context"),
        *("deadline", "proposal"),
    }
)
"""Fields that say where or when, not what."""


@dataclass(frozen=True, slots=True)
class Beside:
    """An event of the one, of the other, or of both; `differs` names what they say differently."""

    a: int | None
    b: int | None
    how: How
    differs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Compared:
    """Every event of both, in order. `first` is the first that is not the same on both sides."""

    events: tuple[Beside, ...]

    @property
    def first(self) -> Beside | None:
        return next((one for one in self.events if one.how != "same"), None)


def compared(
    a: Sequence[Recorded],
    b: Sequence[Recorded],
    a_texts: Mapping[PayloadAt, Payload],
    b_texts: Mapping[PayloadAt, Payload],
    *,
    exact: bool = False,
) -> Compared:
    """The two streams side by side; events with erased texts are compared by length. Where `exact`, everything in an
    event counts: for a conversation and its re-decision."""
    said_a, said_b = (
        [_all_of(one) if exact else _said(one, texts) for one in entries]
        for entries, texts in ((a, a_texts), (b, b_texts))
    )
    marks_a, marks_b = ([json.dumps(one, sort_keys=True) for one in said] for said in (said_a, said_b))
    found: list[Beside] = []
    matcher = SequenceMatcher(None, marks_a, marks_b, autojunk=False)
    for how, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        if how == "equal":
            found += [
                Beside(one, other, "same") for one, other in zip(range(a_from, a_to), range(b_from, b_to), strict=True)
            ]
        else:
            found += _replaced(said_a, said_b, range(a_from, a_to), range(b_from, b_to))
    return Compared(tuple(found))


def _replaced(
    said_a: Sequence[Mapping[str, Any]], said_b: Sequence[Mapping[str, Any]], in_a: range, in_b: range
) -> Iterator[Beside]:
    """Events of one type are set side by side in their order; the others stand alone."""
    types_a, types_b = [said_a[one]["type"] for one in in_a], [said_b[one]["type"] for one in in_b]
    matcher = SequenceMatcher(None, types_a, types_b, autojunk=False)
    for how, a_from, a_to, b_from, b_to in matcher.get_opcodes():
        if how == "equal":
            for one, other in zip(in_a[a_from:a_to], in_b[b_from:b_to], strict=True):
                differs = tuple(_differing(said_a[one], said_b[other]))
                yield Beside(one, other, "changed" if differs else "same", differs)
            continue
        yield from (Beside(one, None, "only_a") for one in in_a[a_from:a_to])
        yield from (Beside(None, one, "only_b") for one in in_b[b_from:b_to])


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    return (name for name in {**one, **other} if one.get(name) != other.get(name))


def _all_of(one: Recorded) -> dict[str, Any]:
    said: dict[str, Any] = one.event.model_dump(mode="json", exclude_none=True)
    return said


def _said(one: Recorded, texts: Mapping[PayloadAt, Payload]) -> dict[str, Any]:
    """What the event says, without where and when."""
    cause = one.envelope.cause

    def text(at: int, name: str) -> bytes | None:
        found = texts.get(PayloadAt(version=at, name=name))
        return found.plaintext if found is not None else None

    said: dict[str, Any] = _stripped(one.event.model_dump(mode="json", exclude_none=True), cause, text)
    _reply_of(one.event, said, text)
    return said


def _reply_of(event: Event, said: dict[str, Any], text: Text) -> None:
    """What an agent said to the customer, in place of where it stands."""
    at = getattr(event, "agent", None) if event.type == "reply_sent" else None
    if isinstance(at, int):
        found = text(at, "reply")
        said["agent"] = sha256_hex(found) if found is not None else "erased"


def _stripped(value: Any, cause: int, text: Text) -> Any:
    if isinstance(value, dict):
        if value.keys() == _REF:
            found = text(cause, value["name"])
            return {"length": value["length"]} if found is None else {"text": sha256_hex(found)}
        return {name: _stripped(part, cause, text) for name, part in value.items() if not _is_position(name, part)}
    return [_stripped(part, cause, text) for part in value] if isinstance(value, list) else value


def _is_position(name: str, value: Any) -> bool:
    return name in _POSITIONS and not (isinstance(value, dict) and value.keys() == _REF)


def decided_today(program: Programs, stream: str, entries: Sequence[Recorded]) -> list[Recorded]:
    """What today's code and flow decide of every recorded command, each after what was recorded before it."""
    return [
        Recorded(*opened(entry.data), entry.data, entry.leaf)
        for one in redecisions(program, stream, entries)
        for entry in one.decided
    ]
