"""Limits and budgets: every loop and every bill has a bound that was declared before the start."""

from typing import Literal

from pydantic import Field

from .values import Count, Seconds, Value, added

LimitName = Literal[
    "handoffs",
    "same_pair",
    "agent_calls",
    "tool_rounds",
    "steps",
    "turn_tokens",
    "turn_cost",
    "turn_seconds",
    "conversation_handoffs",
    "conversation_tokens",
    "conversation_cost",
    "conversation_messages",
    "digression_depth",
    "subflow_depth",
    "subflows",
    "message_bytes",
    "subtasks",
    "tool_calls",
    "self_handoffs",
    "repeats",
    "agent_depth",
    "no_return",
    "issues",
    "tenant_calls",
    "tenant_tokens",
    "tenant_cost",
]


class Limits(Value):
    """Bounds per turn (between two customer messages) and per conversation.

    Costs are in billionths of the flow's currency unit (`nano`), so that prices per token stay whole.
    Reaching one takes the flow's `limit` row and is recorded with the value and the maximum.
    """

    handoffs: Count = 3
    """Agent to another agent, within one turn."""
    same_pair: Count = 2
    """The same (source agent, target agent) pair, within one turn."""
    agent_calls: Count = Field(default=8, ge=1)
    """Model calls within one turn: attempts, repairs and tool rounds all count."""
    tool_rounds: Count = 4
    """Rounds of tool calls within one visit of an agent state."""
    steps: Count = Field(default=50, ge=1)
    """Transitions within one turn."""
    turn_tokens: Count = 200_000
    turn_cost: Count = 1_000_000_000
    turn_seconds: Seconds = 300
    conversation_handoffs: Count = 100
    conversation_tokens: Count = 20_000_000
    conversation_cost: Count = 100_000_000_000
    conversation_messages: Count = Field(default=10_000, ge=1)
    digression_depth: Count = 2
    message_bytes: Count = Field(default=16_000, ge=1)
    """A longer message is recorded whole, answered with a request to shorten it, and read by nobody."""
    tool_calls: Count | None = None
    """Tools run within one turn, for an agent or by a call state; None where the other limits are enough."""
    self_handoffs: Count | None = None
    """Times within one turn that an agent gets the conversation from itself; None leaves it to `same_pair`."""
    repeats: Count | None = None
    """Times within one turn that one state is entered with the same context: the same facts and message. None does
    not look at it."""
    issues: Count = added(5)
    """Further issues that wait to be taken up; more are named in the log and told."""
    agent_depth: Count = added(2)
    """Agents asked as tools inside one another: 1 lets a state's agent ask others, which ask nobody."""
    subflow_depth: Count = added(3)
    """Child conversations inside one another, below this one."""
    subflows: Count = added(5)
    """Child conversations that begin within one turn, those below them included."""


class LimitHit(Value):
    """A limit that is kept outside the conversation and left no room for a call: its value with the call, and
    its maximum."""

    name: LimitName
    value: Count
    maximum: Count


class Usage(Value):
    """What one model call used, as the provider reported it; `measured` is False where it did not say."""

    input_tokens: Count = 0
    output_tokens: Count = 0
    measured: bool = True

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


class Price(Value):
    """Price of a model in billionths of the currency unit per token (0.15 per million tokens is 150)."""

    input_nano: Count = 0
    output_nano: Count = 0
    dated: str = ""

    def cost(self, usage: Usage) -> int:
        return self.of(usage.input_tokens, usage.output_tokens)

    def of(self, input_tokens: int, output_tokens: int) -> int:
        """What so many tokens cost."""
        return input_tokens * self.input_nano + output_tokens * self.output_nano
