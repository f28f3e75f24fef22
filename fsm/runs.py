"""Running agents and tools inside a state: budgets before each call, and what each result leads to.

Every attempt, tool round and repair is decided here, so that each is an event; adapters never retry.
Functions return the state's outcome when it has one, or None while something is still awaited.
"""

from datetime import datetime
from typing import Literal

from ..contracts.canonical import digest_of
from ..contracts.commands import AgentEnded, AgentReport, ProposedCall, ToolEnded
from ..contracts.events import (
    AgentRequested,
    AgentReturned,
    HandoffMade,
    OverBudget,
    ReplySent,
    ToolRefused,
    ToolRequested,
    ToolReturned,
)
from ..contracts.flow import AgentSpec, AgentState, CallState
from ..contracts.handoff import Constraints, Handoff, HistoryRef
from ..contracts.limits import Usage
from ..contracts.values import MAX_SAFE_INTEGER
from .draft import CallAgent, Draft, RunTool

PER_MESSAGE_TOKENS = 8
"""What a provider may add around each message, at most."""
FACT_BYTES = 120
"""What the name of a fact, its marks and an open value take in a prompt, at most."""


def history_for(draft: Draft, spec: AgentSpec) -> HistoryRef:
    """The stretch of history the agent is given, as the flow says, with a bound of its tokens."""
    conversation = draft.conversation
    if spec.history == "none":
        count, tokens = min(1, conversation.messages), sum(conversation.recent_tokens[-1:])
    elif spec.history == "window" and spec.window < conversation.messages:
        count, tokens = spec.window, sum(conversation.recent_tokens[-spec.window :])
    else:
        count, tokens = conversation.messages, conversation.history_tokens
    return HistoryRef(
        policy=spec.history,
        upto=conversation.version,
        count=count,
        digest=conversation.history_digest,
        token_bound=tokens + count * PER_MESSAGE_TOKENS,
    )


def ask_agent(
    draft: Draft, state: AgentState, *, attempt: int, rounds: int = 0, repairs: tuple[str, ...] = ()
) -> str | None:
    """Request one attempt if every limit and budget allows it. Returns None when the call was asked for."""
    spec, limits, turn = draft.program.agents[state.agent], draft.program.flow.limits, draft.conversation.turn
    history = history_for(draft, spec)
    facts = tuple(name for name in state.reads if draft.conversation.facts.known(name))
    tools = state.tools if rounds < limits.tool_rounds else ()
    bound = (
        history.token_bound
        + draft.conversation.visit.carried_tokens
        + draft.program.fixed_bytes[spec.name]
        + sum(draft.conversation.known[name].length + FACT_BYTES for name in facts)
        + sum(draft.program.tool_bytes[name] for name in tools)
    )
    stopped = _limit_reached(draft, state, spec, new_visit=attempt == 1 and rounds == 0)
    if stopped is not None:
        return stopped
    if bound > spec.max_input_tokens:
        draft.record(OverBudget(state=state.name, agent=spec.name, token_bound=bound, maximum=spec.max_input_tokens))
        return "over_budget"
    tokens, cost = _reserve(spec)
    timeout = _seconds_left(draft.at, turn.due, state.timeout_seconds)
    if attempt == 1 and rounds == 0:
        _hand_over(draft, state, spec, history, facts, tokens)
    request = AgentRequested(
        state=state.name,
        agent=spec.name,
        model=spec.model,
        attempt=attempt,
        round=rounds,
        history=history,
        facts=facts,
        tools=tools,
        token_bound=bound,
        prompt=draft.program.prompts[spec.name],
        repairs=repairs,
        reserved_tokens=tokens,
        reserved_cost=cost,
        timeout_seconds=timeout,
    )
    effect = draft.record(request)
    draft.effects.append(CallAgent(effect, request))
    return None


def _reserve(spec: AgentSpec) -> tuple[int, int]:
    usage = Usage(input_tokens=spec.max_input_tokens, output_tokens=spec.max_output_tokens)
    return min(usage.tokens, MAX_SAFE_INTEGER), min(spec.price.cost(usage), MAX_SAFE_INTEGER)


def _seconds_left(at: datetime, due: datetime | None, timeout: int) -> int:
    left = timeout if due is None else int((due - at).total_seconds())
    return max(1, min(timeout, left))


def _limit_reached(draft: Draft, state: AgentState, spec: AgentSpec, *, new_visit: bool) -> str | None:
    """The first limit that this call would pass, recorded; None where it may be made."""
    limits, turn, conversation = draft.program.flow.limits, draft.conversation.turn, draft.conversation
    if late := turn_is_over(draft):
        return late
    if new_visit and turn.last_agent is not None:
        pairs = turn.pairs.get((turn.last_agent, spec.name), 0)
        if pairs >= limits.same_pair:
            return draft.reach("same_pair", pairs, limits.same_pair)
        if turn.handoffs >= limits.handoffs:
            return draft.reach("handoffs", turn.handoffs, limits.handoffs)
    if new_visit and conversation.handoffs >= limits.conversation_handoffs:
        return draft.reach("conversation_handoffs", conversation.handoffs, limits.conversation_handoffs)
    if turn.agent_calls >= limits.agent_calls:
        return draft.reach("agent_calls", turn.agent_calls, limits.agent_calls)
    tokens, cost = _reserve(spec)
    if turn.tokens + tokens > limits.turn_tokens:
        return draft.reach("turn_tokens", turn.tokens + tokens, limits.turn_tokens)
    if turn.cost + cost > limits.turn_cost:
        return draft.reach("turn_cost", turn.cost + cost, limits.turn_cost)
    if conversation.tokens + tokens > limits.conversation_tokens:
        return draft.reach("conversation_tokens", conversation.tokens + tokens, limits.conversation_tokens)
    if conversation.cost + cost > limits.conversation_cost:
        return draft.reach("conversation_cost", conversation.cost + cost, limits.conversation_cost)
    return None


def turn_is_over(draft: Draft) -> str | None:
    """`limit` where the turn's deadline has passed."""
    due = draft.conversation.turn.due
    if due is not None and draft.at >= due:
        seconds = draft.program.flow.limits.turn_seconds
        return draft.reach("turn_seconds", seconds + int((draft.at - due).total_seconds()), seconds)
    return None


def _hand_over(
    draft: Draft, state: AgentState, spec: AgentSpec, history: HistoryRef, facts: tuple[str, ...], tokens: int
) -> None:
    """Record the handoff envelope where another agent had the conversation before."""
    conversation = draft.conversation
    if conversation.last_agent in (None, spec.name):
        return
    over = history.count < conversation.messages
    draft.record(
        HandoffMade(
            handoff=Handoff(
                source=conversation.last_agent,
                target=spec.name,
                trace=f"{conversation.id}:{conversation.turn.number}",
                history=history,
                facts=facts,
                why="label" if conversation.label else "transition",
                label=conversation.label,
                constraints=Constraints(
                    deadline=conversation.turn.due or draft.turn_due, allowed_actions=state.tools, token_budget=tokens
                ),
                warnings=(f"history is a window of {history.count} of {conversation.messages} messages",)
                if over
                else (),
            )
        )
    )


def agent_returned(draft: Draft, body: AgentEnded) -> str | None:
    """Record the attempt; then its tools, another attempt, or the state's outcome."""
    request = draft.conversation.pending.get(body.effect)
    late = not isinstance(request, AgentRequested)
    report = body.report
    cost = 0
    if isinstance(request, AgentRequested):
        price = draft.program.agents[request.agent].price
        cost = min(price.cost(report.usage), MAX_SAFE_INTEGER) if report.usage.measured else request.reserved_cost
    version = draft.record(AgentReturned(effect=body.effect, report=report, cost=cost, late=late))
    if not isinstance(request, AgentRequested):
        return None
    return agent_outcome(draft, request, report, body.effect, version)


def agent_outcome(draft: Draft, request: AgentRequested, report: AgentReport, effect: int, version: int) -> str | None:
    """What one attempt's report leads to."""
    state = draft.state
    if not isinstance(state, AgentState):  # cannot be: leaving a state ends what is pending in it
        return None
    if report.outcome == "done" and report.calls:
        rounds = draft.program.flow.limits.tool_rounds
        return _next_call(draft, state) if request.round < rounds else draft.reach("tool_rounds", request.round, rounds)
    if report.outcome in ("invalid", "timeout", "failed") and request.attempt < state.attempts:
        repairs = report.violations if report.outcome == "invalid" else ()
        return ask_agent(draft, state, attempt=request.attempt + 1, rounds=request.round, repairs=repairs)
    if report.outcome in ("done", "unsure", "refused"):
        draft.learn(report.facts, "agent", version)
        if report.reply is not None:
            draft.record(ReplySent(state=state.name, agent=version, token_bound=report.reply_token_bound))
    return report.outcome


def _next_call(draft: Draft, state: AgentState) -> str | None:
    """Handle the proposed calls in order, each within the turn's time; after the last, ask the agent again."""
    visit = draft.conversation.visit
    while visit.proposed:
        if late := turn_is_over(draft):
            return late
        position, call = visit.proposed[0]
        refusal = _refusal(draft, state, call)
        if refusal is None and call.name is not None:
            _run_tool(
                draft, call.name, "agent", request=visit.proposal, position=position, timeout=state.timeout_seconds
            )
            return None
        draft.record(
            ToolRefused(
                state=state.name,
                tool=call.name if call.name in draft.program.tools else None,
                request=visit.proposal,
                position=position,
                reason=refusal or "unknown",
                problems=call.problems,
            )
        )
        visit = draft.conversation.visit
    return ask_agent(draft, state, attempt=visit.attempts, rounds=visit.rounds + 1)


def _refusal(
    draft: Draft, state: AgentState, call: ProposedCall
) -> Literal["unknown", "not_allowed", "bad_arguments"] | None:
    """Why a proposed call does not run; None where it may."""
    if call.name is None or call.name not in draft.program.tools:
        return "unknown"
    if call.name not in state.tools:
        return "not_allowed"
    return "bad_arguments" if call.problems else None


def _run_tool(
    draft: Draft,
    tool: str,
    caller: str,
    *,
    timeout: int,
    request: int | None = None,
    position: int = 0,
    facts: tuple[str, ...] = (),
) -> None:
    spec = draft.program.tools[tool]
    requested = ToolRequested(
        state=draft.conversation.state,
        tool=tool,
        consequential=spec.consequential,
        caller="agent" if caller == "agent" else "state",
        request=request,
        position=position,
        facts=facts,
        timeout_seconds=_seconds_left(draft.at, draft.conversation.turn.due, min(timeout, spec.timeout_seconds)),
    )
    effect = draft.record(requested)
    draft.effects.append(RunTool(effect, requested))


def call_tool(draft: Draft, state: CallState) -> str | None:
    """Request the state's tool with the facts it reads."""
    if late := turn_is_over(draft):
        return late
    facts = tuple(name for name in state.reads if draft.conversation.facts.known(name))
    _run_tool(draft, state.tool, "state", timeout=state.timeout_seconds, facts=facts)
    return None


def tool_returned(draft: Draft, body: ToolEnded) -> str | None:
    """Record the result; then the state's outcome, or the agent's next round once all its tools ended."""
    request = draft.conversation.pending.get(body.effect)
    late = not isinstance(request, ToolRequested)
    version = draft.record(ToolReturned(effect=body.effect, report=body.report, late=late))
    if not isinstance(request, ToolRequested):
        return None
    draft.learn(body.report.facts, "tool", version)
    return tool_outcome(draft, request, body.report.outcome)


def tool_outcome(draft: Draft, request: ToolRequested, outcome: str) -> str | None:
    """What an ended tool call leads to, however its end became known."""
    state, visit = draft.state, draft.conversation.visit
    if isinstance(state, CallState):
        if outcome != "done" and visit.attempts < state.attempts:
            return call_tool(draft, state)
        return outcome
    if not isinstance(state, AgentState) or draft.conversation.pending:
        return None
    return _next_call(draft, state)


def shown_digest(draft: Draft, names: tuple[str, ...]) -> str:
    """Digest of exactly the facts a person decides about: open values, and places of sealed ones."""
    known = draft.conversation.known
    return digest_of({name: known[name].model_dump(mode="json", exclude_none=True) for name in names if name in known})
