"""What tests of stores need: any event, decisions of any shape, and stores to put them in."""

import re
import types
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from interlock.contracts.commands import SYSTEM, Command, Give
from interlock.contracts.envelope import Entry, Head, sealed
from interlock.contracts.events import Event, FactsRecorded, InputReceived
from interlock.contracts.facts import FactReading
from interlock.contracts.payload import Payload, bytes_of
from interlock.contracts.store import Append, Summary, TimerRow
from interlock.contracts.values import MAX_SAFE_INTEGER

LOG = "interlock-test"
DIGEST = "ab" * 32
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

EVENT_TYPES: tuple[type[BaseModel], ...] = get_args(get_args(Event)[0])
"""Every event of the closed union."""

# What the log admits as text: anything but lone surrogates. Payloads admit those too.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
instants = st.datetimes(min_value=datetime(1900, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - the strategy adds it


def values(annotation: Any, metadata: Sequence[Any] = ()) -> st.SearchStrategy[Any]:
    """Any value that a field of this type and these bounds takes."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values(parts[0], [*parts[1:], *metadata])
    if origin is Literal:
        return st.sampled_from(parts)
    if origin in (Union, types.UnionType):
        return st.one_of(*(values(part, metadata) for part in parts))
    if origin is dict:
        return st.dictionaries(values(parts[0]), values(parts[1]), max_size=3)
    if origin is tuple:
        return st.lists(values(parts[0]), max_size=3).map(tuple)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return models(annotation)
    return _plain(getattr(annotation, "__supertype__", annotation), _bounds(metadata))


def _bounds(metadata: Sequence[Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in metadata:
        pieces = part.metadata if isinstance(part, FieldInfo) else [part]
        for piece in pieces:
            found |= {name: getattr(piece, name) for name in ("ge", "le", "pattern") if hasattr(piece, name)}
    return found


def _plain(kind: Any, bounds: dict[str, Any]) -> st.SearchStrategy[Any]:
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(bounds.get("ge", -MAX_SAFE_INTEGER), bounds.get("le", MAX_SAFE_INTEGER))
    if kind is str:
        return st.from_regex(re.compile(bounds["pattern"]), fullmatch=True) if "pattern" in bounds else texts
    if kind is datetime:
        return instants
    assert kind is type(None), f"no strategy for {kind!r}"
    return st.none()


@cache
def models(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """Any instance of a frozen shape, from the types and bounds of its fields."""
    return st.fixed_dictionaries(
        {name: values(field.annotation, field.metadata) for name, field in model.model_fields.items()}
    ).map(lambda given: model(**given))


def events() -> st.SearchStrategy[Event]:
    """Any event of any type."""
    return st.one_of(*(models(kind) for kind in EVENT_TYPES))


payload_bodies = st.one_of(st.binary(max_size=60), st.text(max_size=20).map(bytes_of))


def command(key: str, *, at: datetime = NOON, body: Any = None) -> Command:
    return Command(key=key, at=at, actor=SYSTEM, body=body or Give(name="note"))


def opening(texts_written: Sequence[bytes], turn: int) -> tuple[InputReceived, tuple[Payload, ...]]:
    """An input that brought these texts, and the payloads that hold them."""
    payloads = tuple(
        Payload(name=f"fact.p{n}", kind="fact", r=bytes([turn % 256, n]) * 16, plaintext=written)
        for n, written in enumerate(texts_written)
    )
    facts = tuple(FactReading(name=f"p{n}", payload=payload.ref) for n, payload in enumerate(payloads))
    return InputReceived(name="note", facts=facts, turn_due=NOON + timedelta(seconds=turn)), payloads


def decided(
    head: Head,
    *,
    key: str = "",
    size: int = 2,
    written: Sequence[bytes] = (),
    log: str = LOG,
    flow: str = DIGEST,
    **summary: Any,
) -> Append:
    """One decision of `size` events that follows `head`, with payloads of what was `written`."""
    at = NOON + timedelta(seconds=head.length)
    first, payloads = opening(written, head.length)
    rest = [FactsRecorded(facts=())] * (size - 1)
    entries = sealed(
        [first, *rest],
        head=head,
        command=command(key or f"k{head.length}", at=at),
        flow=flow,
        code="test/1",
        log=log,
        payloads=payloads,
    )
    return Append(entries=entries, expected=head.length, summary=summary_after(entries, flow_digest=flow, **summary))


def summary_after(entries: Sequence[Entry], **changes: Any) -> Summary:
    """A summary that fits the entries; what the flow would say is made up, or given."""
    stream, last = entries[0].stream, entries[-1]
    given: dict[str, Any] = {
        "stream": stream,
        "flow_name": "refund",
        "flow_version": 1,
        "flow_digest": DIGEST,
        "subject": f"of {stream}",
        "state": "waiting",
        "status": "open",
        "length": last.version + 1,
        "started_at": _written(0),
        "updated_at": last.at,
    }
    timers = tuple(TimerRow(stream, timer, due) for timer, due in changes.pop("timers", ()))
    return Summary(**(given | {"timers": timers} | changes))


def _written(second: int) -> str:
    return (NOON + timedelta(seconds=second)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


def after(append: Append) -> Head:
    """Where the stream ends once `append` is recorded."""
    last = append.entries[-1]
    return Head(last.stream, last.version + 1, last.leaf)
