"""Asking an agent for one attempt: limits and budgets are looked at, the maximum is reserved, the intent is decided.

One place for every call of a model, whatever it is for: a state's run, a member, a tool, a summary, a label.
"""

from dataclasses import dataclass, field
from datetime import datetime

from ..contracts.events import AgentRequested, HandoffMade, OverBudget, Purpose, ResultAt
from ..contracts.flow import AgentSpec
from ..contracts.handoff import Constraints, Handoff, HistoryPolicy, HistoryRef
from ..contracts.payload import PayloadAt
from .bounds import most
from .draft import CallAgent, Draft
from .program import bytes_in_prompt
from .reserving import reserve

PER_MESSAGE_TOKENS = 8
"""What a provider may add around each message, at most."""
FACT_BYTES = 120
"""What the name of a fact, its marks and an open value take in a prompt, at most."""
RESULT_BYTES = 200
"""What the name of a result and the marks around it take in a prompt, at most."""
SUMMARY_BYTES = 800
"""What stands around a summary in a prompt, or asks for one, at most."""
ESCAPED = 6
"""Bytes that one byte of a text may take when it stands inside JSON in ASCII."""


@dataclass(frozen=True, slots=True)
class Task:
    """A text that an agent is asked, in place of the conversation's history."""

    at: PayloadAt
    length: int


@dataclass(frozen=True, slots=True)
class Asking:
    """One attempt that may be made: which agent, for what, and what stands in its prompt."""

    spec: AgentSpec
    attempt: int
    timeout_seconds: int
    rounds: int = 0
    purpose: Purpose = "run"
    facts: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    results: tuple[ResultAt, ...] = ()
    task: Task | None = None
    repairs: tuple[str, ...] = ()
    carried_tokens: int = 0
    """What earlier rounds of the same run add to the prompt, at most."""
    member: str | None = None
    broadcast: int | None = None
    caller: int | None = None
    position: int = 0
    fallback: int = 0
    cached: bool = False
    criterion_bytes: int = 0
    contract_bytes: int = 0
    """Of a contract in place of the agent's own, with `prompt` the digest of instructions and contract."""
    prompt: str = ""
    history: HistoryRef | None = None
    """The stretch of history it is given, where that is another than the agent's own."""
    state: str = ""
    """The state that asks, where it is not the present one."""
    background: bool = False
    """Nobody waits for it: only the conversation's own limits hold."""
    deadline: datetime | None = field(default=None)
    """When the answer must be there besides the turn's own deadline."""

    trigger: str = ""
    """Of a fallback: how the last attempt ended."""
    why: str = ""
    """Of a handoff, where it is neither a label nor a transition."""


def hands_over(draft: Draft, asking: Asking) -> bool:
    """Whether the conversation itself goes to the agent; members and tools only answer a question."""
    begins = draft.conversation.visit.begins(asking.rounds, asking.fallback)
    return asking.purpose == "run" and not asking.cached and begins


def history_for(draft: Draft, spec: AgentSpec) -> HistoryRef:
    """The stretch of history the agent is given, as the flow says, with a bound of its tokens."""
    conversation = draft.conversation
    summed = conversation.summaries.get(spec.name) if spec.history in ("summary", "verbatim") else None
    if summed is not None:
        count = conversation.messages - summed.replaced
        tokens = conversation.history_tokens - summed.tokens_before + in_prompt(summed.tokens_after)
        return _stretch(draft, "summary", count, tokens, summed.at)
    if spec.history == "none":
        count, tokens = min(1, conversation.messages), sum(conversation.recent_tokens[-1:])
    elif spec.history == "window" and spec.window < conversation.messages:
        count, tokens = spec.window, sum(conversation.recent_tokens[-spec.window :])
    else:
        count, tokens = conversation.messages, conversation.history_tokens
    return _stretch(draft, spec.history, count, tokens)


def _stretch(
    draft: Draft, policy: HistoryPolicy, count: int, tokens: int, summary: PayloadAt | None = None, kept: int = 0
) -> HistoryRef:
    return HistoryRef(
        policy=policy,
        upto=draft.conversation.version,
        count=count,
        digest=draft.conversation.history_digest,
        token_bound=tokens + count * PER_MESSAGE_TOKENS,
        summary=summary,
        kept=kept,
    )


def in_prompt(summary_tokens: int) -> int:
    """What a summary takes in a prompt with the words around it, at most."""
    return ESCAPED * summary_tokens + SUMMARY_BYTES


def older(draft: Draft, spec: AgentSpec) -> HistoryRef:
    """The messages that a summary is to replace: what it stood for already, and all but the latest of the others."""
    conversation, summed = draft.conversation, draft.conversation.summaries.get(spec.name)
    latest = sum(conversation.recent_tokens[-spec.window :])
    count, tokens = conversation.messages - spec.window, conversation.history_tokens - latest
    if summed is None:
        return _stretch(draft, "summary", count, tokens, kept=spec.window)
    count, tokens = count - summed.replaced, tokens - summed.tokens_before + in_prompt(summed.tokens_after)
    return _stretch(draft, "summary", count, tokens, summed.at, kept=spec.window)


def no_history(draft: Draft) -> HistoryRef:
    """Of a call that is given a task: no message of the conversation."""
    conversation = draft.conversation
    return HistoryRef(
        policy="none", upto=conversation.version, count=0, digest=conversation.history_digest, token_bound=0
    )


def ask(draft: Draft, asking: Asking) -> str | None:
    """Request the attempt if every limit and budget allows it; else the outcome `limit` or `over_budget`.

    Returns None when the call was asked for.
    """
    spec = asking.spec
    history = asking.history or (history_for(draft, spec) if asking.task is None else no_history(draft))
    bound = token_bound(draft, asking, history)
    stopped = limit_reached(draft, asking)
    if stopped is not None:
        return stopped
    if bound > spec.max_input_tokens and not asking.cached:
        over = OverBudget(
            state=asking.state or draft.conversation.state,
            agent=spec.name,
            token_bound=bound,
            maximum=spec.max_input_tokens,
        )
        draft.record(over)
        return "over_budget"
    if hands_over(draft, asking):
        _hand_over(draft, asking, history, bound)
    request = _request(draft, asking, history, bound)
    effect = draft.record(request)
    draft.effects.append(CallAgent(effect, request))
    return None


def _request(draft: Draft, asking: Asking, history: HistoryRef, bound: int) -> AgentRequested:
    spec = asking.spec
    tokens, cost = (0, 0) if asking.cached else reserve(spec)
    due = None if asking.background else draft.conversation.turn.due
    timeout = seconds_left(draft.at, asking.deadline, seconds_left(draft.at, due, asking.timeout_seconds))
    return AgentRequested(
        state=asking.state or draft.conversation.state,
        agent=spec.name,
        model=spec.model,
        attempt=asking.attempt,
        round=asking.rounds,
        history=history,
        facts=asking.facts,
        tools=asking.tools,
        agents=asking.agents,
        token_bound=bound,
        prompt=asking.prompt or draft.program.prompts[spec.name],
        repairs=asking.repairs,
        reserved_tokens=tokens,
        reserved_cost=cost,
        timeout_seconds=timeout,
        purpose=asking.purpose,
        member=asking.member,
        broadcast=asking.broadcast,
        caller=asking.caller,
        position=asking.position,
        task=None if asking.task is None else asking.task.at,
        results=asking.results,
        fallback=asking.fallback,
        cached=asking.cached,
        background=asking.background,
    )


def token_bound(draft: Draft, asking: Asking, history: HistoryRef) -> int:
    """What the whole prompt holds at most, in tokens: a token stands for at least one byte."""
    program, known = draft.program, draft.conversation.known
    return (
        history.token_bound
        + asking.carried_tokens
        + program.fixed_bytes[asking.spec.name]
        + sum(known[name].length + FACT_BYTES for name in asking.facts)
        + sum(program.tool_bytes[name] for name in asking.tools)
        + sum(program.asked_bytes[name] for name in asking.agents)
        + sum(ESCAPED * result.length + RESULT_BYTES for result in asking.results)
        + asking.criterion_bytes
        + bytes_in_prompt(asking.contract_bytes)
        + (SUMMARY_BYTES if asking.purpose == "summary" else 0)
        + (0 if asking.task is None else asking.task.length + PER_MESSAGE_TOKENS)
    )


def seconds_left(at: datetime, due: datetime | None, timeout: int) -> int:
    left = timeout if due is None else int((due - at).total_seconds())
    return max(1, min(timeout, left))


def limit_reached(draft: Draft, asking: Asking) -> str | None:
    """The first limit that this call would pass, recorded; None where it may be made."""
    spec, limits = asking.spec, draft.program.flow.limits
    turn, conversation = draft.conversation.turn, draft.conversation
    if asking.background:
        return _conversation_limit(draft, spec)
    if late := turn_is_over(draft):
        return late
    if asking.cached:
        return None
    hands = hands_over(draft, asking)
    if hands and spec.no_return and spec.name in conversation.handed_on and conversation.last_agent != spec.name:
        return draft.reach("no_return", 1, 0)
    if hands and turn.last_agent is not None:
        own = turn.self_handoffs
        if limits.self_handoffs is not None and turn.last_agent == spec.name and own >= limits.self_handoffs:
            return draft.reach("self_handoffs", own, limits.self_handoffs)
        pairs = turn.pairs.get((turn.last_agent, spec.name), 0)
        if pairs >= limits.same_pair:
            return draft.reach("same_pair", pairs, limits.same_pair)
        if turn.handoffs >= limits.handoffs:
            return draft.reach("handoffs", turn.handoffs, limits.handoffs)
    if hands and conversation.handoffs >= limits.conversation_handoffs:
        return draft.reach("conversation_handoffs", conversation.handoffs, limits.conversation_handoffs)
    if turn.agent_calls >= (calls := most(draft, "agent_calls")):
        return draft.reach("agent_calls", turn.agent_calls, calls)
    tokens, cost = reserve(spec)
    if turn.tokens + tokens > (bound := most(draft, "turn_tokens")):
        return draft.reach("turn_tokens", turn.tokens + tokens, bound)
    if turn.cost + cost > (bound := most(draft, "turn_cost")):
        return draft.reach("turn_cost", turn.cost + cost, bound)
    return _conversation_limit(draft, spec)


def _conversation_limit(draft: Draft, spec: AgentSpec) -> str | None:
    conversation = draft.conversation
    tokens, cost = reserve(spec)
    if conversation.tokens + tokens > (bound := most(draft, "conversation_tokens")):
        return draft.reach("conversation_tokens", conversation.tokens + tokens, bound)
    if conversation.cost + cost > (bound := most(draft, "conversation_cost")):
        return draft.reach("conversation_cost", conversation.cost + cost, bound)
    return None


def turn_is_over(draft: Draft) -> str | None:
    """`limit` where the turn's deadline has passed."""
    due = draft.conversation.turn.due
    if due is not None and draft.at >= due:
        seconds = draft.program.flow.limits.turn_seconds
        return draft.reach("turn_seconds", seconds + int((draft.at - due).total_seconds()), seconds)
    return None


def _hand_over(draft: Draft, asking: Asking, history: HistoryRef, bound: int) -> None:
    """Record the handoff envelope where another agent had the conversation before."""
    conversation, spec = draft.conversation, asking.spec
    if conversation.last_agent in (None, spec.name):
        return
    over = history.count < conversation.messages
    given = "summary and the latest" if history.summary is not None else "window of"
    full = draft.program.full_handoffs
    draft.record(
        HandoffMade(
            handoff=Handoff(
                source=conversation.last_agent,
                target=spec.name,
                trace=f"{conversation.name}:{conversation.turn.number}",
                history=history,
                facts=asking.facts,
                why=asking.why or ("label" if conversation.label else "transition"),
                label=conversation.label,
                confidence=_score(conversation.confidence) if full and conversation.label else None,
                trigger=((asking.trigger if asking.fallback else conversation.visit.on) or None) if full else None,
                measured_tokens=bound if full else None,
                constraints=Constraints(
                    deadline=conversation.turn.due or draft.turn_due,
                    allowed_actions=asking.tools,
                    token_budget=reserve(spec)[0],
                ),
                warnings=(f"history is a {given} {history.count} of {conversation.messages} messages",) if over else (),
            )
        )
    )


def _score(millionths: int | None) -> str | None:
    return None if millionths is None else f"{millionths // 10**6}.{millionths % 10**6:06d}"
