"""What a store promises: the contract that every adapter is tested against."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, Protocol

from .envelope import Entry, Head
from .payload import Payload, PayloadAt

Status = Literal["open", "ended"]


@dataclass(frozen=True, slots=True)
class TimerRow:
    """A deadline that has not fired: which stream, the version of its event, when it is due."""

    stream: str
    timer: int
    due: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The projection of one conversation: derived from its entries, replaced with every append.

    `undecided` counts effects that were begun and not ended; `owner` names the process that performs
    them; `timers` are the deadlines now in force.
    """

    stream: str
    flow_name: str
    flow_version: int
    flow_digest: str
    subject: str
    state: str
    status: Status
    length: int
    started_at: str
    updated_at: str
    undecided: int = 0
    owner: str = ""
    timers: tuple[TimerRow, ...] = ()
    tasks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Append:
    """Entries of one stream, all or none. `expected` is the length the caller has read."""

    entries: tuple[Entry, ...]
    expected: int
    summary: Summary


@dataclass(frozen=True, slots=True)
class StoredEntry:
    """An entry as stored: the bytes are the truth, the columns a checked projection of them."""

    stream: str
    version: int
    type: str
    at: str
    key: str | None
    leaf: bytes
    data: bytes


@dataclass(frozen=True, slots=True)
class FlowRow:
    """A flow's canonical JSON under its digest, and where its code is found (`module` or path)."""

    digest: str
    name: str
    version: int
    body: bytes
    source: str


class Store(Protocol):
    """An append-only log of streams with payload rows beside it.

    Thread-safe. Reads see every append that was acknowledged. Nothing is retried inside.
    """

    log: str
    """Origin of this log: stable for the life of the database, in every envelope."""

    def enqueue(self, append: Append) -> "Future[int]":
        """Record the entries, their payloads and the summary in one transaction; the future gives the new length.

        Durable when the future resolves. It fails with `StreamMoved` if the stream's length is not
        `expected` (a repeated idempotency key always shows as this, for its entry moved the stream), and
        with `StorageError` if the database failed: then nothing was recorded.
        """
        ...

    def append(self, append: Append) -> int:
        """`enqueue` and wait."""
        ...

    def head(self, stream: str) -> Head:
        """Length 0 and an empty leaf for a stream that does not exist."""
        ...

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StoredEntry]:
        """Entries from version `after` on, in order; empty for a stream that does not exist."""
        ...

    def find_key(self, stream: str, key: str) -> int | None:
        """The version of the entry that carries the idempotency key."""
        ...

    def payload(self, stream: str, at: PayloadAt) -> Payload | None:
        """None where it was erased or never existed."""
        ...

    def payloads(self, stream: str, *, after: int = 0) -> dict[PayloadAt, Payload]:
        """All payloads of the stream's events from version `after` on."""
        ...

    def streams(self) -> Sequence[str]:
        """Every stream that has an entry, in order: what verification walks, whatever the projections say."""
        ...

    def put_flow(self, row: FlowRow) -> None:
        """Keep the flow under its digest; the same digest again changes nothing."""
        ...

    def flow(self, digest: str) -> FlowRow | None: ...

    def flows(self) -> Sequence[FlowRow]: ...

    def summary(self, stream: str) -> Summary | None: ...

    def summaries(
        self,
        *,
        status: Status | None = None,
        undecided: bool = False,
        limit: int | None = None,
    ) -> Sequence[Summary]:
        """Newest first by `updated_at`, then by stream."""
        ...

    def due_timers(self, now: str, *, limit: int = 100) -> Sequence[TimerRow]:
        """Timers of open conversations with `due <= now`, the oldest first."""
        ...

    def next_due(self) -> str | None: ...

    def claim(self, stream: str, owner: str, previous: str) -> bool:
        """Make `owner` the performer of the stream's undecided effects if it is still `previous`."""
        ...

    def close(self) -> None:
        """Finish what was enqueued and let go of the database. Safe to call twice."""
        ...
