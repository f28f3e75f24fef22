"""Commands: what the shell asks the core to decide. Ids, times and text enter here and nowhere else."""

from typing import Annotated, Literal

from pydantic import Field

from .agents import AgentOutcome
from .approval import Doubt, SignedApproval
from .facts import Control, FactReading, Unreadable
from .keeping import Erase
from .limits import LimitHit, Usage
from .lineage import ForkRef, Renamed, Stood
from .payload import PayloadAt, PayloadRef
from .routing import RoutingEvidence
from .subflow import ParentRef, SubflowReport
from .values import ActorId, Count, Digest, Instant, Name, SafeInt, SubjectId, Value, added

ActorKind = Literal["human", "agent", "system", "tool"]
Key = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
"""An idempotency key: 1 to 128 printable ASCII characters without spaces."""


ConditionState = Literal["closed", "open", "half_open", "free", "limited", "normal", "storm"]
"""Of a breaker, then of a limiter, then of the spending."""


class Actor(Value):
    """Who caused a command: a pseudonymous id, roles, and how they were authenticated."""

    kind: ActorKind
    id: ActorId
    roles: tuple[Name, ...] = ()
    authn: Name = "none"


CUSTOMER = Actor(kind="human", id="customer")
SYSTEM = Actor(kind="system", id="interlock")


class FlowRef(Value):
    """The exact flow a conversation is pinned to."""

    name: Name
    version: Count
    digest: Digest


class Reading(Value):
    """What rules read in one message, before anything is decided from it."""

    control: Control | None = None
    facts: tuple[FactReading, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()
    digression: RoutingEvidence | None = None
    sensitive: tuple[Name, ...] = added(())
    """Classes of what was found in the text that is sensitive, whether it was replaced or not."""


class Start(Value):
    """Open a conversation on a flow. `facts` are those the caller already knows (a signed-in customer).

    `parent` is where a child conversation belongs; None for one that a customer opened.
    """

    kind: Literal["start"] = "start"
    flow: FlowRef
    subject: SubjectId
    facts: tuple[FactReading, ...] = ()
    tenant: Name | None = added(None)
    """Whose daily budget the conversation's calls are of."""
    parent: ParentRef | None = None
    requesters: tuple[ActorId, ...] = added(())
    """Of a child that approves: who asked for what its parent does."""
    forks: tuple[ForkRef, ...] = added(())
    """Of a fork: what it took its beginning from, the oldest first."""


class Say(Value):
    """A person's message. `token_bound` is an upper bound of its tokens."""

    kind: Literal["say"] = "say"
    message: PayloadRef
    token_bound: Count
    reading: Reading = Reading()


class Give(Value):
    """A named input that is not a message: from another system, or an operator's intervention."""

    kind: Literal["give"] = "give"
    name: Name
    facts: tuple[FactReading, ...] = ()


class Routed(Value):
    """The evidence for the route state that was entered; `message` is the version of the message read."""

    kind: Literal["routed"] = "routed"
    state: Name
    message: Count
    evidence: RoutingEvidence


class GivenFact(Value):
    """A proposed argument that has the name of a fact: its value, or where the sealed text stands that it repeats.

    It `differs` where it is neither: another text, or a value that the fact cannot have.
    """

    name: Name
    value: bool | SafeInt | str | None = None
    sealed: PayloadAt | None = None
    differs: bool = added(False)


class ProposedCall(Value):
    """A tool call that a model proposed. `name` is None where it is no known tool; arguments are a payload.

    `problems` are the faults of the arguments against the tool's types, as paths and reasons only. `given` are
    the arguments that an approval must cover.
    """

    name: Name | None = None
    arguments: PayloadRef
    problems: tuple[str, ...] = ()
    agent: Name | None = None
    """The agent that the call asks, where it is no tool but `ask_<agent>`."""
    task: PayloadRef | None = None
    """What that agent is asked; None where the arguments hold no task."""
    given: tuple[GivenFact, ...] = added(())


class PlannedTask(Value):
    """A subtask of a plan: the agent that the planner named (None where that is no name) and its text."""

    worker: Name | None = None
    task: PayloadRef


class Condition(Value):
    """A change in what stands between us and a model: a breaker, a limiter, or the pause after a cost storm.

    `subject` is `agent NAME`, `model NAME`, or `all agents`; `until` is when the new condition is looked at again.
    """

    kind: Literal["breaker", "limiter", "cost"]
    subject: str
    before: ConditionState
    after: ConditionState
    reason: str = ""
    until: Instant | None = None


class CachedFrom(Value):
    """The result that is given again: of which conversation, and the version of its event there."""

    stream: str
    version: Count


class AgentReport(Value):
    """How one attempt at an agent ended: nothing here was written by a person or a model but digests,
    declared facts, counts, and names reduced to printable ASCII."""

    outcome: AgentOutcome
    reason: str = ""
    output: PayloadRef | None = None
    reply: PayloadRef | None = None
    reply_token_bound: Count = 0
    violations: tuple[str, ...] = ()
    facts: tuple[FactReading, ...] = ()
    calls: tuple[ProposedCall, ...] = ()
    usage: Usage = Usage(measured=False)
    model: str = ""
    request_id: str = ""
    latency_ms: Count = 0
    retry_after_seconds: Count | None = None
    subtasks: tuple[PlannedTask, ...] = added(())
    """Of a planner's result."""
    label: Name | None = None
    """Of an agent that was asked for a routing label."""
    verdict: Literal["pass", "fail"] | None = None
    """Of a judge's result."""
    limit: LimitHit | None = added(None)
    """Why the attempt was not made: a budget that all conversations of a tenant share was used up."""
    conditions: tuple[Condition, ...] = added(())
    """What this attempt changed for the ones after it."""
    cached_from: CachedFrom | None = None
    """Where the answer was given before; no model was called for it."""


class AgentEnded(Value):
    """The outcome of the attempt whose intent event has version `effect`."""

    kind: Literal["agent_ended"] = "agent_ended"
    effect: Count
    report: AgentReport
    undercounted: bool = added(False)
    """The provider counted more input tokens than the bound in the intent event."""


class ToolReport(Value):
    """How one tool call ended."""

    outcome: Literal["done", "failed", "timeout"]
    reason: str = ""
    result: PayloadRef | None = None
    result_token_bound: Count = 0
    facts: tuple[FactReading, ...] = ()
    latency_ms: Count = 0


class ToolEnded(Value):
    """The outcome of the tool call whose intent event has version `effect`."""

    kind: Literal["tool_ended"] = "tool_ended"
    effect: Count
    report: ToolReport


class Decide(Value):
    """A person's decision on the task whose opening event has version `task`.

    `shown` is the digest of what the person was shown, as the task gave it.
    """

    kind: Literal["decide"] = "decide"
    task: Count
    decision: Name
    reason: PayloadRef | None = None
    shown: Digest | None = None
    signed: SignedApproval | None = None
    doubt: Doubt | None = None
    """Why the signature is not believed; None where it was checked and holds, or there is none."""


class Fire(Value):
    """The timer set at version `timer` is due."""

    kind: Literal["fire"] = "fire"
    timer: Count


class Resolve(Value):
    """What becomes of an effect that was begun and never recorded as ended.

    `again`: perform it again (tools with the same idempotency key). `done` / `failed`: a person found
    out what happened outside and says so.
    """

    kind: Literal["resolve"] = "resolve"
    effect: Count
    how: Literal["again", "done", "failed"]


class SubflowSaid(Value):
    """The child that began at version `effect` told the customer something, in its own event `version`."""

    kind: Literal["subflow_said"] = "subflow_said"
    effect: Count
    version: Count
    reply: PayloadRef
    token_bound: Count
    taken: tuple[Count, ...] = added(())
    """Those of the parent's messages (their versions there) that the child has come to and the parent still keeps."""


class SubflowDone(Value):
    """The child that began at version `effect` has ended."""

    kind: Literal["subflow_done"] = "subflow_done"
    effect: Count
    report: SubflowReport


class Migrate(Value):
    """Go on under another version of the flow. `stood` are the states that the conversation is in and comes back to,
    the present one first; `renamed` are states that have another name there."""

    kind: Literal["migrate"] = "migrate"
    before: FlowRef
    flow: FlowRef
    stood: tuple[Stood, ...]
    currency: str
    """Of the flow that is left."""
    renamed: tuple[Renamed, ...] = ()
    watched: tuple[Count, ...] = added(())
    """The states of the new flow's policies after all that was recorded before, in their order."""


class Leave(Value):
    """The parent of this child conversation goes on without it."""

    kind: Literal["leave"] = "leave"


CommandBody = Annotated[
    Start
    | Say
    | Give
    | Routed
    | AgentEnded
    | ToolEnded
    | Decide
    | Fire
    | Resolve
    | SubflowSaid
    | SubflowDone
    | Leave
    | Erase
    | Migrate,
    Field(discriminator="kind"),
]


class Command(Value):
    """One thing to decide. `key` makes it idempotent within its conversation."""

    key: Key
    at: Instant
    actor: Actor
    body: CommandBody
