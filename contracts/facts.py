"""Facts: the named, typed things a conversation knows.

An *open* fact (a number, a date, one of a list, yes or no) stands in the log in clear, because guards
read it and a route must be decided again without any payload. A *sealed* fact (free text: names,
addresses, card numbers) is a payload; the core sees only that it is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from pydantic import Field

from .payload import PayloadAt, PayloadRef
from .values import Count, Name, SafeInt, Value

FactType = Literal["text", "code", "money", "integer", "date", "choice", "yes_no"]
OPEN_TYPES = frozenset({"money", "integer", "date", "choice", "yes_no"})
OpenValue = bool | SafeInt | str
"""The value of an open fact. Money is in minor units (cents); a date is `YYYY-MM-DD`."""

FactSource = Literal["message", "agent", "tool", "person", "caller", "subflow"]
Control = Literal["yes", "no", "repeat", "back", "decline", "cancel"]
"""What a person may say to the form itself instead of answering it."""


class FactReading(Value):
    """A fact that was read in a message, an agent's result or a tool's result: not yet taken."""

    name: Name
    value: bool | SafeInt | str | None = None
    payload: PayloadRef | None = None
    answers: bool = False
    """True if it answers the question that was open; False if the person volunteered it."""


class Unreadable(Value):
    """An answer that was given for a fact and could not be taken, with a stable reason."""

    name: Name
    reason: str = Field(pattern=r"^[a-z_]{1,40}$")


class KnownFact(Value):
    """A fact that was taken. Sealed ones name the event and payload that hold the text."""

    name: Name
    value: bool | SafeInt | str | None = None
    sealed: PayloadAt | None = None
    length: Count = 0
    """Bytes of a sealed fact's text."""
    source: FactSource = "message"
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class Facts:
    """What a guard may read. Missing facts read as None; sealed ones only as known or not."""

    known_facts: Mapping[str, KnownFact] = field(default_factory=lambda: MappingProxyType({}))
    digression_depth: int = 0
    """How many digressions are open."""
    visits: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """How often each state was entered within the turn."""
    messages: int = 0
    """Messages of the customer in the whole conversation."""
    confidence: int | None = None
    """How sure the last route was, in millionths; None before the first."""

    def value(self, name: str) -> OpenValue | None:
        """The open value of `name`, or None where it is unknown or sealed."""
        fact = self.known_facts.get(name)
        return None if fact is None else fact.value

    def known(self, name: str) -> bool:
        return name in self.known_facts

    def integer(self, name: str) -> int | None:
        """The value if it is a whole number (money counts in cents), else None."""
        found = self.value(name)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    def true(self, name: str) -> bool:
        return self.value(name) is True
