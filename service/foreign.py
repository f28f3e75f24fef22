"""Conversations as other programs record them: one shape for every format that is imported."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ..contracts.imported import ImportedRole, ImportFormat


class Malformed(Exception):
    """A record that cannot be imported: `place` within it, and what is wrong there."""

    def __init__(self, place: str, what: str) -> None:
        self.place, self.what = place, what
        super().__init__(f"{place}: {what}" if place else what)


@dataclass(frozen=True, slots=True)
class ForeignCall:
    """A tool call; `arguments` is the text as it was written, JSON or not."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class ForeignMessage:
    """One message. `answers` is the message (its index) and the position of the call that a tool's result is of."""

    role: ImportedRole
    text: str | None = None
    refusal: str | None = None
    name: str = ""
    parts: tuple[str, ...] = ()
    calls: tuple[ForeignCall, ...] = ()
    answers: tuple[int, int] | None = None
    failed: bool = False
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ForeignConversation:
    """One record: its messages, what it says besides them, and the digest that the same record has again."""

    format: ImportFormat
    record: str
    messages: tuple[ForeignMessage, ...]
    about: Mapping[str, Any] = field(default_factory=dict)


def record_digest(record: Any) -> str:
    """SHA-256 over the record in a fixed spelling: white space and the order of names make no difference."""
    written = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(written.encode()).hexdigest()
