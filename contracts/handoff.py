"""Handoff: the envelope built in code when a transition enters a state with another agent."""

from typing import Literal

from .values import Count, Digest, Instant, Name, Value

HistoryPolicy = Literal["verbatim", "window", "none"]


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
    constraints: Constraints
    warnings: tuple[str, ...] = ()
