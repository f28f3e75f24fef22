"""Where time and randomness come from: the only place, so that tests and replays can hold them."""

import os
from collections import deque
from datetime import UTC, datetime, timedelta
from typing import Protocol
from uuid import UUID

import structlog

from ..contracts.errors import CallError
from ..contracts.payload import Payload, PayloadClass
from ..contracts.values import written_time

log = structlog.get_logger("interlock.clock")
_TOLERATED = timedelta(seconds=1)
RANDOM_BYTES, DRAWN_AT_ONCE = 32, 128
CHILD_VERSION = 8
"""Of the UUIDs that children's ids are."""


class Clock(Protocol):
    """Tells the time. Aware, UTC; may stand still but is never asked to wait."""

    def now(self) -> datetime: ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        return datetime.now(UTC)


class ClockWatch:
    """Says that the clock stands before what is recorded: it was set back, or another machine's is ahead.

    Nothing is ordered by time, so nothing breaks; but deadlines come late by as much, and an operator must know.
    """

    def __init__(self) -> None:
        self._newest = ""

    def look(self, now: datetime, recorded: str, conversation: str) -> None:
        """`recorded` is when the conversation's last event was. One warning for each newest such time."""
        if recorded <= max(self._newest, written_time(now + _TOLERATED)):
            return
        self._newest = recorded
        behind = datetime.fromisoformat(recorded) - now
        log.warning("clock_behind", conversation=conversation, seconds=int(behind.total_seconds()))


class ManualClock:
    """A clock that moves when told: for tests, and for demonstrations of deadlines."""

    def __init__(self, start: datetime | None = None) -> None:
        self.moment = start or datetime(2026, 1, 5, 9, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.moment

    def advance(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


def random_id() -> str:
    """A random UUID (version 4)."""
    return str(UUID(bytes=os.urandom(16), version=4))


def chosen_id(conversation: str) -> str:
    """The id that a caller chose. Raises `CallError` for one like those that children get: they derive from their
    parents' logs, so anybody could take one before its parent does."""
    try:
        version = UUID(conversation).version
    except ValueError:
        return conversation
    if version == CHILD_VERSION:
        raise CallError(
            f"{conversation!r} is the id of a child conversation (a UUID of version {CHILD_VERSION}).",
            fix="Leave `conversation` out, or give a random UUID (version 4).",
        )
    return conversation


def minted(name: str, kind: PayloadClass, plaintext: bytes) -> Payload:
    """A payload with fresh random bytes for its commitment."""
    return Payload(name=name, kind=kind, r=_fresh(), plaintext=plaintext)


_drawn: deque[bytes] = deque()
if hasattr(os, "register_at_fork"):  # where processes are forked, two must not use the same
    os.register_at_fork(after_in_child=_drawn.clear)


def _fresh() -> bytes:
    """32 random bytes that nobody had before, drawn from the system for many payloads at once.

    Each draw lets go of the interpreter, and where another thread writes it takes long to get it back.
    """
    try:
        return _drawn.popleft()
    except IndexError:
        many = os.urandom(RANDOM_BYTES * DRAWN_AT_ONCE)
        first, *rest = (many[at : at + RANDOM_BYTES] for at in range(0, len(many), RANDOM_BYTES))
        _drawn.extend(rest)
        return first
