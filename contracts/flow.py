"""The flow: one frozen model that is the program, whether it was written in YAML or in Python."""

from typing import Annotated, Any, Literal

from pydantic import Field

from .canonical import digest_of
from .facts import FactType
from .guard import Guard, GuardSpec, otherwise
from .handoff import HistoryPolicy
from .limits import Limits, Price
from .policies import Policy
from .routing import RoutingCosts as RoutingCosts  # noqa: PLC0414 (named here by those who write flows)
from .routing import RuleSpec as RuleSpec  # noqa: PLC0414
from .subflow import SubflowSpec
from .tools import ToolSpec
from .values import MAX_SECONDS, Count, Decimal6, Digest, Name, SafeInt, Seconds, Value, added

ANY = "any"
"""The `from` of a flow-wide row."""
RETURN = "return"
"""The `go to` of a digression's last row: back to where it left."""
RESERVED = frozenset({ANY, RETURN, "push", "otherwise", "in_digression"})
"""Words that no state may be called."""
CACHED = "cached"
"""The fallback that gives the answer to the same question again which was given before."""
NEXT_ISSUE = "next_issue"
"""The outcome of a wait state that takes up the next issue."""
LATE_RESULT = "late_result"
"""An input that a wait state may hear: a member of a broadcast answered after it was over."""
OPERATOR_INPUTS = ("operator_kill", "operator_fallback", "operator_human")
"""Inputs that only an operator gives, on flow-wide rows."""


class FactSpec(Value):
    """A fact the flow may know. `ask` is the question; `says` its name in a sentence to the customer."""

    name: Name
    type: FactType
    ask: str = ""
    says: str = ""
    help: str = ""
    """Said when an answer could not be read."""
    choices: tuple[Name, ...] = ()
    pattern: str = ""
    """For `code`: the whole answer must match; also how it is found inside a longer message."""
    minimum: SafeInt | None = None
    maximum: SafeInt | None = None
    confirm: bool = False
    volunteered: bool = True
    """Taken from any message where it is recognised, not only when asked."""
    depends_on: tuple[Name, ...] = ()
    """Facts that it was found out from: when one of them changes, this one is forgotten."""

    @property
    def sealed(self) -> bool:
        """Free text is a payload; numbers, dates and choices stand in the log."""
        return self.type in ("text", "code")


ModelName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._:/@+-]{0,127}$")]
"""What a model is called where it is asked."""


class BreakerSpec(Value):
    """When attempts at an agent or a model are not made any more: after so many failures within the window,
    for so long; then one probe decides."""

    failures: Annotated[int, Field(ge=1, le=10_000)] = 3
    window_seconds: Seconds = 60
    open_seconds: Seconds = 300


class AgentSpec(Value):
    """An agent: its model, instructions, the contract of its result, and what one call may cost at most."""

    name: Name
    says: str = ""
    model: str = ""
    instructions: str
    contract: Name | None = None
    contract_schema: Digest | None = None
    contract_bytes: Count = 0
    """Length of the contract's schema, for measuring a prompt before the call."""
    handles: tuple[str, ...] = ()
    refuses: tuple[str, ...] = ()
    history: HistoryPolicy = "verbatim"
    window: Annotated[int, Field(ge=1, le=200)] = 20
    """Messages of history, where `history` is `window`; the latest ones that no summary replaces."""
    summariser: Name | None = None
    """The agent that sums up what this one is not given word for word."""
    when_over: Literal["refuse", "summarise"] = added("refuse")
    """What becomes of a history that does not fit `max_input_tokens`: no call (`over_budget`), or a summary first."""
    no_return: bool = added(False)
    """Once it has handed the conversation on, it does not get it back until a person has decided something."""
    scope: Name | None = None
    """The router whose labels `handles` and `refuses` name: a message outside them is refused without a call."""
    max_input_tokens: Count = 32_000
    max_output_tokens: Count = 1_000
    temperature: Decimal6 = "0.000000"
    price: Price = Price()
    breaker: BreakerSpec | None = added(None)
    """None takes the runtime's figures."""
    critical: bool = added(False)
    """Goes on through a cost storm."""
    reads: tuple[Name, ...] = added(())
    """The facts it is given when another agent asks it as a tool, besides the task. In a state, the state says."""
    consults: tuple[Name, ...] = added(())
    """Agents that it may ask in its turn when it is asked as a tool."""
    cache_seconds: Annotated[int, Field(ge=0, le=MAX_SECONDS)] = added(0)
    """How long a good answer may be given again to exactly the same question, as the fallback `cached`; 0 for never."""


class RouterSpec(Value):
    """Two gates and their thresholds. `labels` says each label in words, for the clarifying question."""

    name: Name
    labels: dict[Name, str]
    screen: tuple[str, ...] = ("size", "encoding", "injection")
    screen_classifier: Digest | None = added(None)
    """Digest of a classifier that knows the label `attack`; its verdict can only close."""
    screen_artefact: str = Field(default="", exclude=True)
    screen_threshold: Decimal6 = added("0.900000")
    """The least score of `attack` that blocks."""
    max_characters: Count = 4_000
    escalations: tuple[RuleSpec, ...] = added(())
    """Rules tried before all others, in scope or not: a legal threat, danger, a wish for a person."""
    rules: tuple[RuleSpec, ...] = ()
    classifier: Digest | None = None
    """Digest of the classifier's artefact, which the loader found and checked."""
    artefact: str = Field(default="", exclude=True)
    """The file it was found in: not part of the flow's meaning, nor of its digest."""
    threshold: Decimal6 = "0.000000"
    """The least score of a label that is routed to."""
    thresholds: dict[Name, Decimal6] = added({})
    """The same for single labels; what stands here comes before what costs give."""
    costs: RoutingCosts | None = added(None)
    """Thresholds from costs, for labels without one of their own."""
    margin: Decimal6 = "0.000000"
    """The least distance between the best and the second score."""
    scope: Decimal6 = "0.000000"
    """The least likeness to anything known: below it the message is not ours."""
    agent: Name | None = added(None)
    """The agent asked for a label where the classifier is unsure."""
    sticky: bool = added(False)
    """A message that stays unclear stays with the label that has the conversation."""
    several: bool = added(False)
    """Several issues in one message are queued and handled in turn."""
    notice: Decimal6 = added("0.100000")
    """With `several`: the least score at which a further issue is asked about rather than left."""


class _State(Value):
    name: Name
    says: str = ""
    """What the state is for, in words, for the reader of the flow."""


class WaitState(_State):
    """Waits for a message, or another named input; `expired` needs a deadline."""

    kind: Literal["wait"] = "wait"
    say: str = ""
    inputs: tuple[Name, ...] = ()
    forgets: tuple[Name, ...] = ()
    """Facts of the matter that is over: forgotten once the state has said its text, and asked for anew."""
    next_issue: bool = added(False)
    """Where further issues of an earlier message wait, it does not: the next one is taken up."""
    deadline_seconds: Seconds


class CollectState(_State):
    """Gathers facts over several messages. `attempts` is per question."""

    kind: Literal["collect"] = "collect"
    facts: tuple[Name, ...] = Field(min_length=1)
    optional: tuple[Name, ...] = ()
    """Those of the facts that the person may decline; the form goes on without them."""
    say: str = ""
    confirm: str = ""
    """A sentence with the facts to be confirmed with yes before `complete`; empty for none."""
    attempts: Annotated[int, Field(ge=1)] = 3
    deadline_seconds: Seconds
    enough: Count = added(0)
    """How many of the facts suffice; 0 for all. Each may then be declined, while enough of the others are left."""


class RouteState(_State):
    kind: Literal["route"] = "route"
    router: Name
    timeout_seconds: Seconds = added(10)
    """For the router's agent, where one is asked for a label."""


class AgentState(_State):
    """One agent run. `attempts` counts all tries of one visit: a repair of a broken contract is one."""

    kind: Literal["agent"] = "agent"
    agent: Name
    tools: tuple[Name, ...] = ()
    reads: tuple[Name, ...] = ()
    """The facts the agent is given, and no others."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    timeout_seconds: Seconds = 30
    agents: tuple[Name, ...] = added(())
    """Agents that it may ask as tools: each gets a task and the facts that it `reads`, and nothing else."""
    results: tuple[Name, ...] = added(())
    """States whose last results the agent is given, as data."""
    judges: Name | None = None
    """The state whose last result is judged: `done` lets it pass, `refused` does not, and nothing else is taken
    from the judge: no fact, no reply, no tool."""
    criterion: str = added("")
    """What the judge is asked; recorded with each verdict."""
    approval: Name | None = None
    """The human state that must have approved the present facts before a tool runs that changes something."""
    backoff_seconds: Annotated[int, Field(ge=0, le=MAX_SECONDS)] = added(0)
    """The wait before the second attempt after a failure or timeout, doubled with each further one; 0 for none."""
    backoff_most_seconds: Seconds = added(60)
    """The longest such wait, unless the provider asks for a longer one."""
    fallback_attempts: Annotated[int, Field(ge=1, le=5)] = added(1)
    fallbacks: tuple[Name, ...] = added(())
    """Agents tried in order once the attempts of the one before are used up; `cached` is the answer given before."""

    def agent_at(self, fallback: int) -> str:
        """The agent that is asked: the state's own (0), or of a fallback; a cached answer is of the former."""
        named = self.fallbacks[fallback - 1] if fallback else self.agent
        return self.agent if named == CACHED else named


class CallState(_State):
    """Calls a tool with the facts it names as arguments."""

    kind: Literal["call"] = "call"
    tool: Name
    reads: tuple[Name, ...] = ()
    gives: dict[Name, bool | SafeInt | str] = added({})
    """Arguments that are always the same here: what tells two calls of one tool apart."""
    attempts: Annotated[int, Field(ge=1, le=10)] = 1
    timeout_seconds: Seconds = 30
    approval: Name | None = None
    """The human state that must have approved the present facts; without that it ends with `unapproved`."""


class MemberSpec(Value):
    """One agent of a broadcast, with its own deadline and attempts."""

    name: Name
    agent: Name
    reads: tuple[Name, ...] = ()
    """The facts it is given, and no others."""
    attempts: Annotated[int, Field(ge=1, le=5)] = 1
    timeout_seconds: Seconds = 30


class BroadcastState(_State):
    """Several agents at once: the declared `members`, or one worker for each subtask of a `plan`.

    `quorum` valid results are enough for `complete`; 0 waits for all. `partial` needs one valid result and
    `minimum_percent` of all. Members that had not answered when it was over are recorded as pending; what they
    answer later is recorded as late.
    """

    kind: Literal["broadcast"] = "broadcast"
    members: tuple[MemberSpec, ...] = ()
    plan: Name | None = None
    """The agent state whose contract is a `Plan`: each of its subtasks becomes a member."""
    workers: tuple[Name, ...] = ()
    """The agents that a subtask may name."""
    reads: tuple[Name, ...] = ()
    """The facts each worker is given."""
    most: Annotated[int, Field(ge=1, le=32)] = 8
    """Most subtasks; a longer plan reaches the limit `subtasks`."""
    attempts: Annotated[int, Field(ge=1, le=5)] = 1
    """Of each worker."""
    timeout_seconds: Seconds = 30
    """Of each worker's attempt."""
    quorum: Annotated[int, Field(ge=0, le=32)] = 0
    fail_fast: bool = False
    """The first member that fails ends it with `failed`."""
    minimum_percent: Annotated[int, Field(ge=0, le=100)] = 0
    retries: Annotated[int, Field(ge=0, le=10)] = 0
    """Times that members without a valid result are asked again in the background, after it was over."""
    retry_after_seconds: Seconds = 300
    deadline_seconds: Seconds


class HumanState(_State):
    kind: Literal["human"] = "human"
    role: Name
    decisions: tuple[Name, ...] = Field(min_length=1)
    approves: Name | None = None
    """Which of the decisions is an approval: of exactly what was shown, never by who asked for it, used once."""
    approvals: Annotated[int, Field(ge=1, le=9)] = added(1)
    """How many different people must approve; 2 for four eyes."""
    signed: bool = added(False)
    """An approval counts only under the signature of a named approver's own key."""
    shows: tuple[Name, ...] = ()
    say: str = ""
    meanwhile: str = ""
    """Said to a customer who writes while the task is open."""
    deadline_seconds: Seconds


class SubflowState(_State):
    """Runs another flow as a child conversation, which hears the customer until it has ended."""

    kind: Literal["subflow"] = "subflow"
    flow: Name
    """The name of the child flow under `subflows`."""
    reads: tuple[Name, ...] = ()
    """The facts the child is given, and no others."""
    returns: tuple[Name, ...] = ()
    """The facts that are taken from the child when it has ended, and no others."""
    deadline_seconds: Seconds


class FinalState(_State):
    """`failure` marks an end that counts as an error to a parent conversation."""

    kind: Literal["final"] = "final"
    say: str = ""
    failure: bool = added(False)


State = Annotated[
    WaitState
    | CollectState
    | RouteState
    | AgentState
    | CallState
    | BroadcastState
    | HumanState
    | SubflowState
    | FinalState,
    Field(discriminator="kind"),
]


class Transition(Value):
    """One row, one permitted move. `push` makes it a digression that comes back to where it left, if that was
    a state that hears people; from any other it is an ordinary move."""

    source: Name
    on: Name
    guard: Guard = otherwise
    target: Name
    policy: str
    push: bool = False


class Flow(Value):
    """The whole program as data. Two flows with the same digest decide the same."""

    name: Name
    version: Count
    owner: str
    says: str = ""
    initial: Name
    sensitive: bool = added(False)
    """Every agent is given every word of the conversation, or it is not called."""
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    facts: tuple[FactSpec, ...] = ()
    agents: tuple[AgentSpec, ...] = ()
    routers: tuple[RouterSpec, ...] = ()
    digressions: Name | None = None
    """The router that reads messages for what interrupts a form: a label that a row from there serves.
    A `push` row comes back to the form, any other leaves it."""
    states: tuple[State, ...]
    transitions: tuple[Transition, ...]
    limits: Limits = Limits()
    phrases: dict[Name, str] = {}
    guards: tuple[GuardSpec, ...] = ()
    """The guards that rows use, as declared in code when the flow was loaded."""
    tools: tuple[ToolSpec, ...] = ()
    subflows: tuple[SubflowSpec, ...] = added(())
    """The flows that run as child conversations, as they were when the flow was loaded."""
    policies: tuple[Policy, ...] = added(())
    """What must hold of every conversation, over time."""
    four_eyes: dict[Name, Annotated[int, Field(ge=2, le=9)]] = added({})
    """Tools and states to which every path leads over an approval by so many different people."""
    prices: dict[ModelName, Price] = added({})
    """What models cost, each with the month it is from; an agent's own price goes before."""
    person_within: Annotated[int, Field(ge=1, le=1_000)] = added(12)
    """Rows within which a person is to be reached from wherever a conversation is."""
    checks: dict[Name, str] = added({})
    """Questions about what the flow can do (P301 and so on) whose answer is accepted, each with the reason."""

    def written(self) -> dict[str, Any]:
        """The flow as JSON data, without what is empty."""
        return self.model_dump(mode="json", exclude_none=True)

    @property
    def digest(self) -> str:
        """SHA-256 over states, rows, guards, contracts, prompts and limits: meaning, not source text."""
        return digest_of(self.written())
