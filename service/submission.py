"""What an outside submission is: its key, and whether a repeated one says the same."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from ..contracts.commands import Actor, CommandBody, Say, Start
from ..contracts.envelope import opened
from ..contracts.errors import CallError, KeyReused
from ..contracts.payload import Payload, PayloadAt
from ..contracts.recorded_commands import command_of
from ..contracts.store import Store
from ..contracts.values import listed
from .clock import random_id
from .live import Live

OUTSIDE = ("c:", "t:", "n:")
"""Prefixes of keys that begin something new: a caller's, a timer's, news of a child conversation that somebody else
moved. Effects' outcomes are `e:`, routes `r:`, what a child answers `s:`; what a parent gives its child is `p:`."""


@dataclass(frozen=True, slots=True)
class Submission:
    """An outside command before it has its time: how to make its body from the conversation as it is now."""

    key: str
    actor: Actor
    body: Callable[[Live], tuple[CommandBody, tuple[Payload, ...]]]
    intervenes: bool = False
    """An operator's: it does not wait for the turn in hand."""
    always: bool = False
    """Never refused for load, and never made to wait for a slot: deadlines, and what an operator resolves."""

    def made(self, live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
        """The command for the conversation as it is. Raises `CallError` for values that no command can have."""
        try:
            return self.body(live)
        except ValidationError as error:
            faults = error.errors(include_url=False, include_context=False, include_input=False)
            places = sorted({".".join(str(step) for step in fault["loc"]) for fault in faults})
            raise CallError(
                f"The call has values that cannot stand in the log: {listed(places)}.",
                where=f"conversation {live.id!r}",
                fix="Names are ASCII letters, digits and underscores, numbers whole and not negative, ids valid text.",
            ) from error


def submitted(
    key: str | None,
    actor: Actor,
    body: Callable[[Live], tuple[CommandBody, tuple[Payload, ...]]],
    *,
    intervenes: bool = False,
    always: bool = False,
) -> Submission:
    """A caller's submission, under its own key or a fresh one."""
    return Submission(caller_key(random_id() if key is None else key), actor, body, intervenes, always or intervenes)


def caller_key(key: str) -> str:
    """A caller's idempotency key in its own name space, so that it can never meet an internal one."""
    if not (1 <= len(key) <= 120 and key.isascii() and key.isprintable() and " " not in key):
        raise CallError(
            f"The idempotency key {key[:40]!r} has {len(key)} characters or characters that are not allowed.",
            fix="Use 1 to 120 printable ASCII characters without spaces, such as a UUID.",
        )
    return f"c:{key}"


async def check_same(
    store: Store, live: Live, version: int, given: Submission, body: CommandBody, payloads: tuple[Payload, ...]
) -> None:
    """Refuse a repeated key that comes from somebody else, or whose submission says something else."""
    entries = await asyncio.to_thread(store.read, live.id, after=version, limit=1)
    envelope, event = opened(entries[0].data)
    recorded = command_of(event)
    stored: dict[str, bytes | None] = {}
    for payload in payloads:
        found = await asyncio.to_thread(store.payload, live.id, PayloadAt(version=version, name=payload.name))
        stored[payload.name] = found.plaintext if found else None
    same_actor = (envelope.actor.kind, envelope.actor.id) == (given.actor.kind, given.actor.id)
    if recorded is None or not same_actor or not same_submission(recorded, body, payloads, stored):
        raise KeyReused(
            f"This idempotency key was used before {'with another body' if same_actor else 'by somebody else'}.",
            where=f"conversation {live.id}, event {version}",
            fix="Send the same body again, or use a new key.",
        )


def same_submission(
    recorded: CommandBody, repeated: CommandBody, payloads: tuple[Payload, ...], stored: dict[str, bytes | None]
) -> bool:
    """Whether a repeated submission says what the recorded one said.

    What the conversation's progress changes (how a message was read, the flow's newest version) is left
    out, and so is what is random; texts are compared where they were not erased.
    """
    if _identity(recorded) != _identity(repeated):
        return False
    if isinstance(recorded, Start) and isinstance(repeated, Start) and recorded.flow.name != repeated.flow.name:
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
