"""What a store promises: the contract that every adapter is tested against."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

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
    them, or several with spaces between; `timers` are the deadlines now in force.
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


class StoredEntry(NamedTuple):
    """An entry as stored: the bytes are the truth, the columns a checked projection of them.

    A tuple, for logs are read by the million and a frozen dataclass takes three times as long to make.
    """

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


@dataclass(frozen=True, slots=True)
class Spent:
    """Calls, tokens, and cost in billionths of the currency unit."""

    calls: int = 0
    tokens: int = 0
    cost: int = 0

    def plus(self, other: "Spent") -> "Spent":
        return Spent(self.calls + other.calls, self.tokens + other.tokens, self.cost + other.cost)

    def minus(self, other: "Spent") -> "Spent":
        return Spent(self.calls - other.calls, self.tokens - other.tokens, self.cost - other.cost)

    def fits(self, most: "Spent") -> bool:
        return self.calls <= most.calls and self.tokens <= most.tokens and self.cost <= most.cost


@dataclass(frozen=True, slots=True)
class Reservation:
    """What is kept in a tenant's day (`2026-11-21`, UTC) for the effect of one intent event."""

    stream: str
    effect: int
    tenant: str
    day: str
    amount: Spent


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

    def reserve(self, reservation: Reservation, at_most: Spent) -> Spent | None:
        """Add the amount to the tenant's day if the sum stays within `at_most`, all or nothing; durable on return.

        None where it was reserved; else what the day stands at, and nothing has changed. A reservation that
        the effect has already is taken for spent: it stays in the sum, and the new one takes its place.
        """
        ...

    def settle(self, stream: str, effect: int, used: Spent | None) -> None:
        """Put `used` in the place of what is reserved for the effect (None: all of it was used). Settled once:
        where nothing is reserved, nothing changes."""
        ...

    def reservations(self) -> Sequence[Reservation]:
        """All that are not settled, by stream and effect."""
        ...

    def spent(self, tenant: str, day: str) -> Spent:
        """What the tenant's day stands at, with what is reserved."""
        ...

    def close(self) -> None:
        """Finish what was enqueued and let go of the database. Safe to call twice."""
        ...
