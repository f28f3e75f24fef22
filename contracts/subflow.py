"""A child flow and its conversation as the parent sees them: what it takes and gives, where it belongs, how it ended,
and the way an error came up."""

from typing import Annotated

from pydantic import Field

from .facts import FactReading, FactType
from .values import ActorId, ConversationId, Count, Digest, Name, Value, added

FAILED = "failed"
"""The outcome of a subflow state whose child could not start, was not ended by a row, or took too long."""
PARENT_LEFT = "parent_left"
"""Why a child conversation ended where it stood: its parent went on without it."""


class Place(Value):
    """A state of a flow: where an error happened, or through which state it came up."""

    flow: Name
    state: Name

    def __str__(self) -> str:
        return f"{self.flow}.{self.state}"


class Failing(Value):
    """Why a conversation ended badly: the trigger on which its state failed (`timeout`, `operator_kill`, ...), or
    `deadline`, `not_loaded`, `parent_left`, `not_its_child` (somebody else began it). `path` names the innermost
    failing state first, then each state of a parent that the error came up through."""

    reason: Name
    path: tuple[Place, ...]


class Allowance(Value):
    """What one turn of a child conversation, and of those below it, may spend; named as the limits, in their units."""

    agent_calls: Count
    turn_tokens: Count
    turn_cost: Count
    subflows: Count


class Room(Value):
    """What a parent has left for its child: in the turn in which it begins, in each later turn, and in all."""

    first: Allowance
    later: Allowance
    conversation_tokens: Count
    conversation_cost: Count


class Outlay(Value):
    """What a child and those below it spent: in its last turn, and in all. Costs are 0 where its currency is another
    than the parent's."""

    agent_calls: Count = 0
    turn_tokens: Count = 0
    turn_cost: Count = 0
    subflows: Count = 0
    conversation_tokens: Count = 0
    conversation_cost: Count = 0


class ParentRef(Value):
    """Where a child conversation belongs: its parent, the version of the event that began it there, how many
    conversations stand above it, and how many may at most."""

    conversation: ConversationId
    effect: Count
    depth: Annotated[int, Field(ge=1)]
    most: Count
    approving: bool = added(False)
    """Whether a flow above has states that approve: then it is recorded here, too, who asked for what."""
    room: Room | None = added(None)
    """What it may spend besides its own limits."""


class SubflowReport(Value):
    """How a child conversation ended: one of its final states, or `failed`.

    `facts` are what it returns.
    """

    outcome: Name
    failing: Failing | None = None
    facts: tuple[FactReading, ...] = ()
    upto: Count = added(0)
    """The last of the parent's messages (its version there) that the child was given; later ones it never had."""
    untaken: tuple[Count, ...] = added(())
    """Those of them that it was given and did not come to."""
    requesters: tuple[ActorId, ...] = added(())
    """Who wrote or gave something that moved it, where a flow above has states that approve."""
    outlay: Outlay = added(Outlay())


class SubflowFact(Value):
    """A fact that a child flow can be given, or can return."""

    name: Name
    type: FactType
    choices: tuple[Name, ...] = ()


class SubflowSpec(Value):
    """What the digest covers of a child flow, and what is checked of it without its file."""

    name: Name
    flow: Name
    version: Count
    digest: Digest
    currency: str
    finals: tuple[Name, ...]
    failures: tuple[Name, ...] = ()
    """Those of the final states that count as errors."""
    facts: tuple[SubflowFact, ...] = ()
    levels: Count = 1
    """How many flows stand inside one another, this one included."""
    file: str = Field(default="", exclude=True)
    """The file it is in, beside this flow's: not part of the flow's meaning, nor of its digest."""
