"""Events: the closed union of facts that a conversation's stream is made of.

Each is named in the past tense and holds no personal data. A decision's first event records its
command in full, so that the command can be rebuilt (`recorded_commands.command_of`) and decided again.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from .agents import AgentOutcome
from .approval import SignedApproval
from .commands import (
    AgentReport,
    CommandBody,
    FlowRef,
    Reading,
    ToolReport,
)
from .facts import FactReading, KnownFact
from .handoff import Handoff, HistoryRef
from .imported import ConversationImported, MessageImported
from .keeping import Erased
from .limits import LimitName
from .lineage import ForkRef, Renamed, Stood
from .payload import PayloadAt, PayloadRef
from .policies import Watch
from .routing import Issue, RoutingDecision, RoutingEvidence
from .subflow import Failing, ParentRef
from .subflow_events import ParentLeft, SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted
from .values import ActorId, Count, Digest, Instant, Name, SubjectId, Value, added


class Verdict(Value):
    """What one guard said when a row was tried; rows after the one taken are `not_reached`."""

    row: Count
    guard: str
    result: Literal["holds", "fails", "error", "not_reached"]


class ConversationStarted(Value):
    type: Literal["conversation_started"] = "conversation_started"
    flow: FlowRef
    subject: SubjectId
    state: Name
    facts: tuple[FactReading, ...] = ()
    turn_due: Instant
    origin: Literal["live", "forked", "imported"] = "live"
    tenant: Name | None = added(None)
    parent: ParentRef | None = None
    requester: ActorId | None = None
    """Who started it, where the flow has states that approve: nobody approves what they asked for."""
    requesters: tuple[ActorId, ...] = added(())
    """Of a child: who asked for what its parent does."""
    policies: tuple[Watch, ...] = added(())
    """The flow's policies as automata, so that the log alone says how each of them stands."""
    forks: tuple[ForkRef, ...] = added(())
    """Of a fork (`origin`): what it took its beginning from, the oldest first."""


class FlowChanged(Value):
    """The conversation goes on under `flow`: in `state`, with what it knows, waits for and has used up.

    The entry stands under the new flow. Approvals do not move: they were given of another flow.
    """

    type: Literal["flow_changed"] = "flow_changed"
    before: FlowRef
    flow: FlowRef
    state: Name
    stood: tuple[Stood, ...]
    currency: str
    renamed: tuple[Renamed, ...] = ()
    policies: tuple[Watch, ...] = added(())
    """Those of the new flow."""
    watched: tuple[Count, ...] = added(())
    """The state of each of their automata after all that was recorded before."""


class MessageReceived(Value):
    """`taken` moves the conversation now; `queued` waits for the work in hand; `noted` is kept for the
    person who has the case; `forwarded` is for the child conversation that the person is in; `refused` was
    too long or came too late."""

    type: Literal["message_received"] = "message_received"
    message: PayloadRef
    token_bound: Count
    reading: Reading
    disposition: Literal["taken", "queued", "noted", "refused", "forwarded"]
    turn_due: Instant | None = None
    by: ActorId | None = None
    """Who wrote it, where the flow has states that approve."""


class MessageTaken(Value):
    """A queued message's turn has come; `forwarded` to the child conversation that the person is in by now."""

    type: Literal["message_taken"] = "message_taken"
    message: Count
    turn_due: Instant
    forwarded: bool = added(False)


class InputReceived(Value):
    type: Literal["input_received"] = "input_received"
    name: Name
    facts: tuple[FactReading, ...] = ()
    turn_due: Instant
    by: ActorId | None = None
    """Who gave it, where the flow has states that approve."""


class FactsRecorded(Value):
    type: Literal["facts_recorded"] = "facts_recorded"
    facts: tuple[KnownFact, ...]


class FactForgotten(Value):
    """The person went back, or the matter is over: the fact is asked for again."""

    type: Literal["fact_forgotten"] = "fact_forgotten"
    name: Name


class FactSkipped(Value):
    """The person declined to give an optional fact."""

    type: Literal["fact_skipped"] = "fact_skipped"
    name: Name


class QuestionAsked(Value):
    """A form asked for a fact. `attempt` counts from 1; `how` says why it was asked."""

    type: Literal["question_asked"] = "question_asked"
    state: Name
    fact: Name | None = None
    """None asks to confirm the whole form."""
    attempt: Count
    how: Literal["ask", "again", "repeat", "confirm"]


class RoutingDecided(Value):
    type: Literal["routing_decided"] = "routing_decided"
    state: Name
    message: Count
    evidence: RoutingEvidence
    decision: RoutingDecision
    issues: tuple[Issue, ...] = added(())
    """What waits to be taken up afterwards, in its order."""
    agent: Name | None = None
    """The agent whose scope was measured, before it is asked; the conversation's label stays as it was."""


class IssuesDropped(Value):
    """Issues that will not be taken up: `too_many` wait, the conversation `ended`, a `person` has the case, or a
    `limit` was reached."""

    type: Literal["issues_dropped"] = "issues_dropped"
    labels: tuple[Name, ...]
    reason: Literal["too_many", "ended", "person", "limit"]


class TransitionTaken(Value):
    """`row` is the index of the row in the flow; `because` its policy clause.

    `move` is `push` where a digression left `source` to return to it, `return` where it came back, and
    `leave` where it ended for good: nothing is returned to.
    """

    type: Literal["transition_taken"] = "transition_taken"
    source: Name
    on: Name
    target: Name
    row: Count
    because: str
    verdicts: tuple[Verdict, ...] = ()
    move: Literal["go", "push", "return", "leave"] = "go"
    context: Digest | None = None
    """What the target is entered with (state, facts, message in hand), where the flow limits `repeats`."""


class TransitionRefused(Value):
    """Nothing moved. `reason`: no row for the trigger, every guard failed, the message was too long."""

    type: Literal["transition_refused"] = "transition_refused"
    source: Name
    on: Name
    reason: Literal["no_row", "guards", "too_long"]
    verdicts: tuple[Verdict, ...] = ()


class PolicyKept(Value):
    """A step that would have broken policies was not taken: a row (`on`, `row`, `target`), or a state's `tool`."""

    type: Literal["policy_kept"] = "policy_kept"
    policies: tuple[Name, ...]
    state: Name
    on: Name | None = None
    row: Count | None = None
    target: Name | None = None
    tool: Name | None = None
    verdicts: tuple[Verdict, ...] = ()


class HandoffMade(Value):
    type: Literal["handoff_made"] = "handoff_made"
    handoff: Handoff


Purpose = Literal["run", "member", "tool", "summary", "label"]
"""What an agent is asked for: the state's own run, a member of a broadcast, a tool of another agent, a summary
of the history, a routing label."""


class ResultAt(Value):
    """A result of an earlier state that a prompt holds as data: of which state (and member), and where it stands."""

    state: Name
    member: Name | None = None
    at: PayloadAt
    commit: Digest
    length: Count
    late: bool = added(False)


class AgentRequested(Value):
    """Intent: committed before the model is called. Tokens and cost are reserved at the declared maximum."""

    type: Literal["agent_requested"] = "agent_requested"
    state: Name
    agent: Name
    model: str
    attempt: Count
    round: Count
    history: HistoryRef
    facts: tuple[Name, ...]
    tools: tuple[Name, ...]
    prompt: Digest
    """Digest of the agent's instructions and contract; the text of the prompt is rebuilt, not stored."""
    repairs: tuple[str, ...] = ()
    """The violations that this attempt is asked to repair."""
    token_bound: Count
    """What the whole prompt holds at most, measured before the call."""
    reserved_tokens: Count
    reserved_cost: Count
    timeout_seconds: Count
    purpose: Purpose = added("run")
    member: Name | None = None
    """The member of a broadcast that this is."""
    broadcast: Count | None = None
    """Version of that broadcast."""
    caller: Count | None = None
    """The agent result that proposed it as a tool call, at `position`."""
    position: Count = added(0)
    agents: tuple[Name, ...] = added(())
    """Agents that it may ask in its turn."""
    task: PayloadAt | None = None
    """The text it is asked, in place of the conversation's history."""
    results: tuple[ResultAt, ...] = added(())
    """Results of earlier states that it is given as data."""
    fallback: Count = added(0)
    """Which of the state's fallbacks this is; 0 is the state's own agent."""
    cached: bool = added(False)
    """The answer given before to the same question is asked for, and no model."""
    background: bool = added(False)
    """Asked after its broadcast was over: the conversation does not wait for it."""


class AgentReturned(Value):
    """`late` results are recorded and change nothing."""

    type: Literal["agent_returned"] = "agent_returned"
    effect: Count
    report: AgentReport
    cost: Count
    late: bool = False
    undercounted: bool = added(False)
    """The provider counted more input tokens than the bound that was measured before the call."""


ToolOutcome = AgentOutcome | Literal["over_budget"]


class AgentToolEnded(Value):
    """An agent that was asked as a tool has ended, and its caller goes on: the call at `position` of the agent
    result at version `request` is answered with the text at `output`, or with how it ended."""

    type: Literal["agent_tool_ended"] = "agent_tool_ended"
    state: Name
    request: Count
    position: Count
    agent: Name
    outcome: ToolOutcome
    output: PayloadAt | None = None
    token_bound: Count = 0
    """Of the text."""


class RetryScheduled(Value):
    """A durable timer: the agent is asked again at `due`. `why` is the outcome of the attempt before, or its reason."""

    type: Literal["retry_scheduled"] = "retry_scheduled"
    state: Name
    agent: Name
    attempt: Count
    round: Count = 0
    fallback: Count = 0
    due: Instant
    why: str


class HistorySummarised(Value):
    """The first messages of the conversation are replaced by a summary, in all later calls of the agent.

    `replaced` counts them from the beginning, those that an earlier summary stood for included. `digest` is the
    rolling digest of the history at `upto`, of which they are the first.
    """

    type: Literal["history_summarised"] = "history_summarised"
    agent: Name
    by: Name
    replaced: Count
    upto: Count
    digest: Digest
    tokens_before: Count
    """What the replaced messages held at most."""
    tokens_after: Count
    """What the summary holds at most."""
    at: PayloadAt


class OverBudget(Value):
    """A call was not made: what it needs does not fit what the agent's declared window holds."""

    type: Literal["over_budget"] = "over_budget"
    state: Name
    agent: Name
    token_bound: Count
    maximum: Count


class Planned(Value):
    """A member of a broadcast as it begins: its agent, and the text of its subtask where there is a plan."""

    name: Name
    agent: Name | None = None
    """None where the plan named no agent that may work here."""
    task: PayloadAt | None = None
    length: Count = 0


class BroadcastStarted(Value):
    """Intent: every member is asked next. `needed` valid results make it `complete`."""

    type: Literal["broadcast_started"] = "broadcast_started"
    state: Name
    members: tuple[Planned, ...]
    needed: Count
    due: Instant


class MemberStanding(Value):
    """How a member stood when the broadcast was over; `reason` says why it has no valid result."""

    name: Name
    status: Literal["done", "failed", "pending"]
    effect: Count | None = None
    reason: str = ""


class BroadcastEnded(Value):
    """What all members came to. `percent` is the share of valid results; facts on which members disagree are
    named, and not taken."""

    type: Literal["broadcast_ended"] = "broadcast_ended"
    state: Name
    broadcast: Count
    outcome: Literal["complete", "partial", "failed", "empty"]
    members: tuple[MemberStanding, ...]
    valid: Count
    percent: Count
    disagreed: tuple[Name, ...] = ()


class LateResult(Value):
    """A member answered after its broadcast was over. Nothing is taken from it unless a row says so."""

    type: Literal["late_result"] = "late_result"
    state: Name
    broadcast: Count
    member: Name
    effect: Count
    outcome: AgentOutcome
    heard: bool = False
    """The present state waits for late results, and its row is taken."""
    result: ResultAt | None = None
    """What later states may read from now on; only where it is heard."""
    turn_due: Instant | None = None


class RetryPlanned(Value):
    """A durable timer: these members are asked again in the background at `due`."""

    type: Literal["retry_planned"] = "retry_planned"
    state: Name
    broadcast: Count
    members: tuple[Name, ...]
    attempt: Count
    due: Instant


class Judged(Value):
    """A judge's verdict. `judged` is the commitment of the result that was judged; None where there was none."""

    type: Literal["judged"] = "judged"
    state: Name
    of: Name
    judged: Digest | None = None
    criterion: str
    verdict: Literal["pass", "fail", "nothing_to_judge"]
    request: Count | None = None


class ToolRequested(Value):
    """Intent: committed before the tool runs. The idempotency key is `stream:version` of this event."""

    type: Literal["tool_requested"] = "tool_requested"
    state: Name
    tool: Name
    consequential: bool
    caller: Literal["state", "agent"]
    request: Count | None = None
    """The agent request whose reply proposed it."""
    position: Count = 0
    facts: tuple[Name, ...] = ()
    timeout_seconds: Count
    approval: Count | None = None
    """The task whose approval this uses up."""


class ApprovalVoid(Value):
    """A tool that changes something was not run: no approval of exactly the present facts is left.

    `missing`: none was given; `changed`: other facts were approved; `used`: it was used up before; `arguments`: the
    model proposed others than were approved.
    """

    type: Literal["approval_void"] = "approval_void"
    state: Name
    tool: Name
    approval: Name
    """The human state whose approval is needed."""
    reason: Literal["missing", "changed", "used", "arguments"]
    task: Count | None = None
    """The task that was approved, where one was."""


class ToolRefused(Value):
    """A model proposed a tool that does not run. `tool` is None where no such tool exists."""

    type: Literal["tool_refused"] = "tool_refused"
    state: Name
    tool: Name | None = None
    request: Count
    position: Count
    reason: Literal["unknown", "not_allowed", "bad_arguments", "unapproved", "policy"]
    problems: tuple[str, ...] = ()
    policies: tuple[Name, ...] = added(())
    """Those that it would have broken."""
    agent: Name | None = None
    """The agent that was to be asked as a tool."""


class ToolReturned(Value):
    type: Literal["tool_returned"] = "tool_returned"
    effect: Count
    report: ToolReport
    late: bool = False


class ReplySent(Value):
    """What the customer was told. The text is a template of the flow filled with facts (`text` names it),
    or the payload `reply` of the agent's result, or of the child's reply, at version `agent`."""

    type: Literal["reply_sent"] = "reply_sent"
    state: Name
    text: str = ""
    agent: Count | None = None
    token_bound: Count


class TaskOpened(Value):
    """A person must decide. `shown` digests exactly what the decision is about."""

    type: Literal["task_opened"] = "task_opened"
    state: Name
    role: Name
    decisions: tuple[Name, ...]
    facts: tuple[Name, ...]
    shown: Digest
    due: Instant
    approves: Name | None = None
    """The decision that is an approval of what `shown` digests."""
    approvals: Count = added(1)
    """How many different people must give it."""
    issues: tuple[Name, ...] = added(())
    """What the customer also asked about, and is not taken up yet."""
    signed: bool = added(False)
    """The approval must be signed by a named approver."""


class TaskEndorsed(Value):
    """One of several people that a task needs has approved; the task stays open for the others."""

    type: Literal["task_endorsed"] = "task_endorsed"
    task: Count
    decision: Name
    by: ActorId
    shown: Digest
    reason: PayloadRef | None = None
    signed: SignedApproval | None = None


class TaskDecided(Value):
    type: Literal["task_decided"] = "task_decided"
    task: Count
    decision: Name
    reason: PayloadRef | None = None
    turn_due: Instant
    shown: Digest | None = None
    by: ActorId | None = None
    """Who decided, where the task asks for an approval."""
    signed: SignedApproval | None = None


class TimerSet(Value):
    """A durable deadline of the state that is being entered; leaving the state ends it."""

    type: Literal["timer_set"] = "timer_set"
    state: Name
    due: Instant


class TimerFired(Value):
    """A deadline passed. The turn gets time to act on it, but its counters go on: a clock is no input."""

    type: Literal["timer_fired"] = "timer_fired"
    timer: Count
    turn_due: Instant


class LimitReached(Value):
    type: Literal["limit_reached"] = "limit_reached"
    limit: LimitName
    value: Count
    maximum: Count


class EffectResolved(Value):
    type: Literal["effect_resolved"] = "effect_resolved"
    effect: Count
    how: Literal["again", "done", "failed"]


class CommandRefused(Value):
    """A well-formed command that the conversation could not take; the command is kept whole."""

    type: Literal["command_refused"] = "command_refused"
    command: CommandBody
    reason: Literal[
        "already_started",
        "ended",
        "unknown_task",
        "unknown_decision",
        "role_missing",
        "not_pending",
        "not_waiting",
        "no_parent",
        "not_shown",
        "changed",
        "not_a_person",
        "requester",
        "same_person",
        "not_signed",
        "bad_signature",
        "expired_signature",
    ]


class ConversationEnded(Value):
    """`failing` stands where the final state is a failure, or the parent left this conversation in any state."""

    type: Literal["conversation_ended"] = "conversation_ended"
    state: Name
    failing: Failing | None = None


Event = Annotated[
    ConversationStarted
    | FlowChanged
    | MessageReceived
    | MessageTaken
    | InputReceived
    | FactsRecorded
    | FactForgotten
    | FactSkipped
    | QuestionAsked
    | RoutingDecided
    | IssuesDropped
    | TransitionTaken
    | TransitionRefused
    | PolicyKept
    | HandoffMade
    | AgentRequested
    | AgentReturned
    | AgentToolEnded
    | RetryScheduled
    | HistorySummarised
    | OverBudget
    | BroadcastStarted
    | BroadcastEnded
    | LateResult
    | RetryPlanned
    | Judged
    | ToolRequested
    | ApprovalVoid
    | ToolRefused
    | ToolReturned
    | ReplySent
    | TaskOpened
    | TaskEndorsed
    | TaskDecided
    | TimerSet
    | TimerFired
    | LimitReached
    | EffectResolved
    | CommandRefused
    | ConversationEnded
    | SubflowStarted
    | SubflowReplied
    | SubflowLeft
    | SubflowEnded
    | ParentLeft
    | ConversationImported
    | MessageImported
    | Erased,
    Field(discriminator="type"),
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
