"""What a parent records of its child conversations, and a child of its parent's leaving."""

from typing import Literal

from .commands import FlowRef
from .payload import PayloadRef
from .subflow import Failing, Room, SubflowReport
from .values import ConversationId, Count, Instant, Name, Value, added


class SubflowStarted(Value):
    """Intent: committed before the child conversation begins. Its id derives from this event's place in the log.

    `facts` are what the child is given; `depth` is how many conversations stand above it, `most` how many may.
    """

    type: Literal["subflow_started"] = "subflow_started"
    state: Name
    flow: FlowRef
    child: ConversationId
    facts: tuple[Name, ...]
    depth: Count
    most: Count
    due: Instant
    approving: bool = added(False)
    """Whether this flow or one above it has states that approve."""
    room: Room | None = added(None)
    """What the child may spend: nothing but its own limits bounds one that began before there was this."""


class SubflowReplied(Value):
    """What the child told the customer in its event `version`: the payload `reply`, to be told by the parent."""

    type: Literal["subflow_replied"] = "subflow_replied"
    effect: Count
    version: Count
    reply: PayloadRef
    token_bound: Count
    taken: tuple[Count, ...] = added(())
    """The messages that the child has come to: they are not given to it again, nor taken here."""


class SubflowLeft(Value):
    """The parent goes on without the child it began at `effect`: its deadline passed, or a row led elsewhere."""

    type: Literal["subflow_left"] = "subflow_left"
    effect: Count
    failing: Failing


class SubflowEnded(Value):
    """The child that began at `effect` has ended; `late` where the parent had left it before.

    The turn gets time to act on it, but its counters go on.
    """

    type: Literal["subflow_ended"] = "subflow_ended"
    effect: Count
    report: SubflowReport
    turn_due: Instant
    late: bool = False


class ParentLeft(Value):
    """The parent went on without this conversation, which ends where it stands."""

    type: Literal["parent_left"] = "parent_left"
