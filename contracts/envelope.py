"""The envelope: one event as it stands in the log, in RFC 8785 bytes that are hashed as stored.

```
{"actor":{...},"at":"2026-11-21T09:00:00.000000Z","cause":3,"code":"interlock/0.1.0",
 "data":{...},"flow":"<digest>","key":"..."|absent,"log":"<origin>","prev":"<leaf>"|absent,
 "schema":1,"stream":"<uuid>","type":"transition_taken","v":1,"ver":4}
```

`key` is the idempotency key of the command and stands on the first event of its decision only; `cause`
is that first event's version. `prev` is the leaf hash of the stream's previous entry. Fields whose value
would be null are absent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal, Union, get_args

from pydantic import Field, TypeAdapter, ValidationError, create_model

from .canonical import canonical, leaf_hash, parsed
from .commands import Actor, Command, Key
from .errors import NotEncodable
from .events import Event
from .payload import Payload
from .upcast import UPCASTERS, Upcaster, current, upcast
from .values import Count, Digest, Instant, Name, Value, written_time

FORMAT = 1
MAX_ENTRY_BYTES = 65_535
"""C2SP tlog-tiles gives an entry a 16-bit length."""


class Envelope(Value):
    """The envelope's fields around the event's own `data`."""

    v: Literal[1]
    log: str
    stream: str
    ver: Count
    type: Name
    schema_number: Count = Field(alias="schema")
    """The event's, as its shape is today. Older ones are brought to it (`upcast`), newer ones refused."""
    key: Key | None = None
    cause: Count
    at: Instant
    actor: Actor
    flow: Digest
    code: str
    prev: Digest | None = None


def _envelope_of(event: type[Value]) -> type[Envelope]:
    """The envelope around one type of event, so that stored bytes are read in a single pass."""
    kind = event.model_fields["type"].default
    fields: dict[str, Any] = {
        "type": (event.model_fields["type"].annotation, ...),
        "schema_number": (Literal[current(kind)], Field(alias="schema")),
        "data": (event, ...),
    }
    return create_model(f"EnvelopeOf{event.__name__}", __base__=Envelope, **fields)


_ANY_ENVELOPE: Any = Union[tuple(_envelope_of(event) for event in get_args(get_args(Event)[0]))]  # noqa: UP007
_NUMBERS = {
    event.model_fields["type"].default: current(event.model_fields["type"].default)
    for event in get_args(get_args(Event)[0])
}
_STORED: TypeAdapter[Any] = TypeAdapter(Annotated[_ANY_ENVELOPE, Field(discriminator="type")])


@dataclass(frozen=True, slots=True)
class Entry:
    """An event with the exact bytes that are stored and hashed."""

    stream: str
    version: int
    event: Event
    at: str
    key: str | None
    cause: int
    data: bytes
    leaf: bytes
    payloads: tuple[Payload, ...] = ()


@dataclass(frozen=True, slots=True)
class Brought:
    """What stands in the place of a command where nothing was decided: when and by whom something was brought."""

    key: str
    at: datetime
    actor: Actor


@dataclass(frozen=True, slots=True)
class Head:
    """Where a stream ends: its length and the leaf of its last entry (empty for a new stream)."""

    stream: str
    length: int = 0
    leaf: bytes = b""


def sealed(
    events: Sequence[Event],
    *,
    head: Head,
    command: Command | Brought,
    flow: str,
    code: str,
    log: str,
    payloads: Sequence[Payload] = (),
) -> tuple[Entry, ...]:
    """The entries of one decision, chained to `head`. All `payloads` go with the first event.

    Pure: the same arguments give the same bytes, which is what deciding again compares.
    """
    at = written_time(command.at)
    frame = _Frame(command.actor, at, head, flow, code, log)
    entries: list[Entry] = []
    previous = head.leaf
    for offset, event in enumerate(events):
        key = command.key if offset == 0 else None
        data = frame.around(event, head.length + offset, key, previous)
        previous = leaf_hash(data)
        entries.append(
            Entry(
                stream=head.stream,
                version=head.length + offset,
                event=event,
                at=at,
                key=key,
                cause=head.length,
                data=data,
                leaf=previous,
                payloads=tuple(payloads) if offset == 0 else (),
            )
        )
    return tuple(entries)


class _Frame:
    """What all envelopes of one decision share, written once. The parts stand in the order of RFC 8785."""

    def __init__(self, actor: Actor, at: str, head: Head, flow: str, code: str, log: str) -> None:
        by = actor.canonical_bytes()
        self._before = b'{"actor":%b,"at":"%b","cause":%d,"code":%b,"data":' % (
            by,
            at.encode(),
            head.length,
            _quoted(code),
        )
        self._flow = b',"flow":"%b"' % flow.encode()
        self._log = b',"log":%b' % _quoted(log)
        self._stream = _quoted(head.stream)

    def around(self, event: Event, version: int, key: str | None, previous: bytes) -> bytes:
        kind = event.type
        try:
            body = event.canonical_bytes(without="type")
        except ValueError as error:
            raise NotEncodable(
                "A string holds a lone surrogate.", where=f"event {kind!r}", fix="Store such text as a payload."
            ) from error
        data = b"".join(
            (
                self._before,
                body,
                self._flow,
                b',"key":%b' % canonical(key) if key else b"",
                self._log,
                b',"prev":"%b"' % previous.hex().encode() if previous else b"",
                b',"schema":%d,"stream":%b,"type":"%b","v":%d,"ver":%d}'
                % (_NUMBERS[kind], self._stream, kind.encode(), FORMAT, version),
            )
        )
        if len(data) > MAX_ENTRY_BYTES:
            raise NotEncodable(
                f"The entry has {len(data)} bytes; at most {MAX_ENTRY_BYTES} fit the log.",
                where=f"event {kind!r}",
                fix="Move text into a payload.",
            )
        return data


@lru_cache(maxsize=4096)
def _quoted(text: str) -> bytes:
    """Names that stand in every envelope: each is written once."""
    return canonical(text)


def opened(data: bytes, upcasters: Mapping[tuple[str, int], Upcaster] = UPCASTERS) -> tuple[Envelope, Event]:
    """The envelope and event that stored bytes stand for, in today's shape. Raises `NotEncodable` for anything else.

    Canonical form is not looked at again: the hash is over the bytes as stored, and `verify` reads them
    with `checked`.
    """
    try:
        stored = _STORED.validate_json(data)
    except ValidationError as error:
        if (older := _older(data, upcasters)) is not None:
            return older
        raise NotEncodable(
            f"The entry is no known event: {error.errors(include_url=False, include_input=False)[0]['type']}.",
            fix="Verify the log; if it verifies, this release does not know the event's schema number.",
        ) from error
    return stored, stored.data


def _older(data: bytes, upcasters: Mapping[tuple[str, int], Upcaster]) -> tuple[Envelope, Event] | None:
    """The same of an entry in an older shape; None where it is in today's, or no entry."""
    try:
        fields = parsed(data)
        brought = (
            upcast(fields, upcasters)
            if isinstance(fields, dict) and fields.get("schema") != _NUMBERS.get(str(fields.get("type")))
            else None
        )
        stored = None if brought is None else _STORED.validate_json(canonical(brought))
    except (NotEncodable, ValidationError):
        return None
    return None if stored is None else (stored, stored.data)


def checked(data: bytes) -> tuple[Envelope, Event]:
    """As `opened`, for bytes that are not trusted: any second spelling is refused, duplicate keys among them."""
    parsed(data)
    return opened(data)
