"""Marks: named patterns over recorded messages, which become words that policies observe (`mark:NAME`)."""

from typing import Literal

from pydantic import Field

from .canonical import sha256_hex
from .values import Count, Digest, Name, Value

Side = Literal["customer", "agent", "system"]


class PathPattern(Value):
    """A regular expression for the values at a path in JSON: `a.b`, every item of a list `a[].b`, every value of an
    object `a.*`; the empty path is the whole text. One value that it is found in is enough."""

    path: str
    pattern: str


class MarkSpec(Value):
    """What is looked for. Every condition that is given must hold, in one message or in one call.

    With `tool` it is a call of one of these tools, or with `result` what such a call gave back; without, a message
    of `role`. `key` names what is at stake (paths in arguments or result): `seen` and `unseen` then compare it with
    the keys of marks found earlier in the conversation; a later mark of the same name does not replace them.
    """

    name: Name
    role: tuple[Side, ...] = ()
    text: str = ""
    """A regular expression, found anywhere in the text without regard to case."""
    tool: tuple[Name, ...] = ()
    arguments: tuple[PathPattern, ...] = ()
    result: tuple[PathPattern, ...] = ()
    returns: bool = False
    """What the tool gave back is looked at, and not that it was asked."""
    failed: bool | None = None
    """Of what a tool gave back: whether it failed."""
    calls: Count = 0
    """The message makes at least so many calls."""
    key: tuple[str, ...] = ()
    seen: Name | None = None
    """An earlier mark of this name had the same key."""
    unseen: Name | None = None
    """No earlier mark of this name had the same key; with several keys, for one of them at least."""
    all: tuple[Name, ...] = Field(default=())
    """Marks that were found in this same call or message."""


class MarkSet(Value):
    """The marks of one file, in their order, and a digest of what they mean."""

    marks: tuple[MarkSpec, ...] = ()

    @property
    def digest(self) -> Digest:
        return sha256_hex(self.canonical_bytes())
