"""What an outside submission is: its key, and whether a repeated one says the same."""

from collections.abc import Callable
from dataclasses import dataclass

from ..contracts.commands import Actor, CommandBody, Say
from ..contracts.errors import CallError
from ..contracts.payload import Payload
from .live import Live

OUTSIDE = ("c:", "t:")
"""Prefixes of keys that begin something new: a caller's, a timer's. Effects' outcomes are `e:`, routes `r:`."""


@dataclass(frozen=True, slots=True)
class Submission:
    """An outside command before it has its time: how to make its body from the conversation as it is now."""

    key: str
    actor: Actor
    body: Callable[[Live], tuple[CommandBody, tuple[Payload, ...]]]


def caller_key(key: str) -> str:
    """A caller's idempotency key in its own name space, so that it can never meet an internal one."""
    if not (1 <= len(key) <= 120 and key.isascii() and key.isprintable() and " " not in key):
        raise CallError(
            f"The idempotency key {key[:40]!r} has {len(key)} characters or characters that are not allowed.",
            fix="Use 1 to 120 printable ASCII characters without spaces, such as a UUID.")
    return f"c:{key}"


def same_submission(
    recorded: CommandBody, repeated: CommandBody, payloads: tuple[Payload, ...], stored: dict[str, bytes | None]
) -> bool:
    """Whether a repeated submission says what the recorded one said.

    What the conversation's progress changes (how a message was read, the flow's newest version) is left
    out, and so is what is random; texts are compared where they were not erased.
    """
    if _identity(recorded) != _identity(repeated):
        return False
    compared = [one for one in payloads if not isinstance(repeated, Say) or one.name == "message"]
    return all(stored.get(one.name) in (None, one.plaintext) for one in compared)


_CHANGING = frozenset({"commit", "reading", "token_bound", "flow", "subject"})


def _identity(body: CommandBody) -> object:
    return _stripped(body.model_dump(mode="json"))


def _stripped(value: object) -> object:
    if isinstance(value, dict):
        return {name: _stripped(part) for name, part in value.items() if name not in _CHANGING}
    return [_stripped(part) for part in value] if isinstance(value, list) else value
