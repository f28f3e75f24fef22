"""What a conversation may spend: its flow's limits, and no more than the conversations above it have left."""

from typing import Literal

from ..contracts.limits import Limits
from ..contracts.subflow import Allowance, ParentRef, Room, SubflowSpec
from ..contracts.values import MAX_SAFE_INTEGER
from .draft import Draft

Bounded = Literal["agent_calls", "turn_tokens", "turn_cost", "subflows", "conversation_tokens", "conversation_cost"]
"""Limits that hold for a whole family."""


def most(draft: Draft, name: Bounded) -> int:
    """What is in force of the limit in this turn."""
    conversation = draft.conversation
    return _most(draft.program.flow.limits, conversation.parent, name, first=conversation.turn.number == 0)


def _most(limits: Limits, parent: ParentRef | None, name: Bounded, *, first: bool) -> int:
    own = int(getattr(limits, name))
    if parent is None or parent.room is None:
        return own
    room = parent.room
    if name in ("conversation_tokens", "conversation_cost"):
        return min(own, int(getattr(room, name)))
    return min(own, int(getattr(room.first if first else room.later, name)))


def room_for(draft: Draft, child: SubflowSpec) -> Room:
    """What a child that begins now may spend: the rest of this turn, then in each turn of its own what a turn here
    may, and in all what is left of this conversation. Costs in another currency are not compared."""
    turn, conversation = draft.conversation.turn, draft.conversation
    limits, parent = draft.program.flow.limits, conversation.parent
    same = child.currency == draft.program.flow.currency

    def later(name: Bounded) -> int:
        return _most(limits, parent, name, first=False)

    def cost(nano: int) -> int:
        return max(0, nano) if same else MAX_SAFE_INTEGER

    return Room(
        first=Allowance(
            agent_calls=max(0, most(draft, "agent_calls") - turn.agent_calls),
            turn_tokens=max(0, most(draft, "turn_tokens") - turn.tokens),
            turn_cost=cost(most(draft, "turn_cost") - turn.cost),
            subflows=max(0, most(draft, "subflows") - turn.subflows - 1),
        ),
        later=Allowance(
            agent_calls=later("agent_calls"),
            turn_tokens=later("turn_tokens"),
            turn_cost=cost(later("turn_cost")),
            subflows=later("subflows"),
        ),
        conversation_tokens=max(0, most(draft, "conversation_tokens") - conversation.tokens),
        conversation_cost=cost(most(draft, "conversation_cost") - conversation.cost),
    )
