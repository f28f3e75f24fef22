"""Handoff: the envelope built in code when a transition enters a state with another agent."""

from typing import Literal

from .payload import PayloadAt
from .values import Count, Decimal6, Digest, Instant, Name, Value, added

HistoryPolicy = Literal["verbatim", "window", "summary", "none"]


class HistoryRef(Value):
    """Which messages an agent is given, by reference: log size stays linear in the conversation.

    `count` messages of the stream that end at version `upto`; `digest` is the rolling digest of their
    commitments, so the exact history a model saw can be rebuilt and checked. `token_bound` never
    undercounts: a token stands for at least one byte.
    """

    policy: HistoryPolicy
    upto: Count
    count: Count
    digest: Digest
    token_bound: Count
    summary: PayloadAt | None = None
    """What stands in place of the messages before these."""
    kept: Count = added(0)
    """How many of the latest messages are left out: those that a summary is to leave as they are."""


class Constraints(Value):
    """What the receiving agent may do, enforced in code and not in its prompt."""

    deadline: Instant
    allowed_actions: tuple[Name, ...]
    token_budget: Count


class Handoff(Value):
    """Frozen: the receiving agent gets a copy and cannot alter the sender's context."""

    source: Name
    target: Name
    trace: str
    history: HistoryRef
    facts: tuple[Name, ...]
    why: str
    label: Name | None = None
    confidence: Decimal6 | None = None
    """The classifier's score of the label. This, the trigger and the tokens stand in handoffs of flows that use what
    came with them."""
    trigger: Name | None = None
    """The outcome whose row led here; of a fallback, how the last attempt ended."""
    measured_tokens: Count | None = None
    """What the receiving agent's whole prompt holds at most."""
    constraints: Constraints
    warnings: tuple[str, ...] = ()
