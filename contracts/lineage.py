"""Where a conversation comes from, and where it goes: forks of recorded ones, and moves to another flow."""

from typing import Literal

from .values import ConversationId, Count, Digest, Name, Value

StateKind = Literal["wait", "collect", "route", "agent", "call", "broadcast", "human", "subflow", "final"]


class ForkRef(Value):
    """A fork took the first `version` events of the conversation; `leaf` is the last of them, None where there was
    none. Taken events stand in the fork as they stood there, but for its own name and hashes."""

    conversation: ConversationId
    version: Count
    leaf: Digest | None = None


class Renamed(Value):
    """A state that has another name in the flow that a conversation moves to."""

    old: Name
    new: Name


class Stood(Value):
    """A state that a conversation is in, or comes back to, and its kind in the flow that it leaves."""

    state: Name
    kind: StateKind
