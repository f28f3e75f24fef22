"""Running agents and tools inside a state: budgets before each call, and what each result leads to.

Every attempt, tool round and repair is decided here, so that each is an event; adapters never retry.
Functions return the state's outcome when it has one, or None while something is still awaited.
"""

from typing import Literal

from ..contracts.canonical import digest_of
from ..contracts.commands import AgentEnded, AgentReport, ProposedCall, ToolEnded
from ..contracts.events import (
    AgentRequested,
    AgentReturned,
    ApprovalVoid,
    Judged,
    ReplySent,
    ResultAt,
    RetryScheduled,
    TimerFired,
    ToolRefused,
    ToolRequested,
    ToolReturned,
)
from ..contracts.flow import CACHED, AgentState, BroadcastState, CallState, RouteState
from ..contracts.values import MAX_SAFE_INTEGER
from . import approvals, broadcast, consulting, fallbacks, labelling, summaries
from .asking import Asking, seconds_left, turn_is_over
from .draft import Draft, RunTool
from .keeping import broken_by, tool_kept_back


def ask_agent(
    draft: Draft,
    state: AgentState,
    *,
    attempt: int,
    rounds: int = 0,
    repairs: tuple[str, ...] = (),
    fallback: int | None = None,
    after: str = "",
) -> str | None:
    """Request one attempt of the state's run, at the agent that has it, or at a fallback. Returns None when the call
    was asked for, else the outcome."""
    if state.judges is not None and not draft.conversation.outputs.get(state.judges):
        draft.record(Judged(state=state.name, of=state.judges, criterion=state.criterion, verdict="nothing_to_judge"))
        return "unsure"
    at = draft.conversation.visit.fallback if fallback is None else fallback
    return summaries.ask_run(
        draft,
        Asking(
            spec=draft.program.agents[state.agent_at(at)],
            fallback=at,
            cached=at > 0 and state.fallbacks[at - 1] == CACHED,
            why="fallback" if at else "",
            trigger=after,
            attempt=attempt,
            timeout_seconds=state.timeout_seconds,
            rounds=rounds,
            facts=tuple(name for name in state.reads if draft.conversation.facts.known(name)),
            tools=state.tools if rounds < draft.program.flow.limits.tool_rounds else (),
            agents=consulting.offered(draft, state.agents, rounds, 0),
            repairs=repairs,
            carried_tokens=draft.conversation.visit.carried_tokens,
            results=_results(draft, state),
            criterion_bytes=len(state.criterion.encode()),
        ),
    )


def _results(draft: Draft, state: AgentState) -> tuple[ResultAt, ...]:
    """What earlier states came to and the agent is given: as data, with the event that holds each."""
    names = (*state.results, *((state.judges,) if state.judges and state.judges not in state.results else ()))
    return tuple(one for name in names for one in draft.conversation.outputs.get(name, ()))


def _judged(draft: Draft, state: AgentState, request: AgentRequested, report: AgentReport, effect: int) -> str:
    """A verdict lets the judged result pass or not; nothing else is taken from a judge.

    What was judged is what the judge was given.
    """
    of = state.judges or ""
    found = tuple(one for one in request.results if one.state == of)
    draft.record(
        Judged(
            state=state.name,
            of=of,
            judged=_digest_of(found),
            criterion=state.criterion,
            verdict="pass" if report.verdict == "pass" else "fail",
            request=effect,
        )
    )
    return "done" if report.verdict == "pass" else "refused"


def _digest_of(results: tuple[ResultAt, ...]) -> str | None:
    """The commitment of what was judged; of several results a digest over all of theirs."""
    if len(results) > 1:
        return digest_of([one.commit for one in results])
    return results[0].commit if results else None


def agent_returned(draft: Draft, body: AgentEnded) -> str | None:
    """Record the attempt; then its tools, another attempt, or the state's outcome."""
    request = draft.conversation.unfinished.get(body.effect)
    late = not isinstance(draft.conversation.pending.get(body.effect), AgentRequested)
    report = body.report
    cost = 0
    if isinstance(request, AgentRequested):
        price = draft.program.agents[request.agent].price
        cost = min(price.cost(report.usage), MAX_SAFE_INTEGER) if report.usage.measured else request.reserved_cost
    version = draft.record(
        AgentReturned(effect=body.effect, report=report, cost=cost, late=late, undercounted=body.undercounted)
    )
    if not isinstance(request, AgentRequested):
        return None
    if report.limit is not None and not late:
        reached = draft.reach(report.limit.name, report.limit.value, report.limit.maximum)
        if isinstance(draft.state, BroadcastState):
            return broadcast.stopped(draft, draft.state)
        if request.purpose != "label":  # without its label a route is unsure
            return reached
    if late:
        return broadcast.answered_late(draft, request, report, body.effect, version)
    return agent_outcome(draft, request, report, body.effect, version)


def agent_outcome(draft: Draft, request: AgentRequested, report: AgentReport, effect: int, version: int) -> str | None:
    """What one attempt's report leads to."""
    state = draft.state
    if isinstance(state, BroadcastState):
        return broadcast.answered(draft, state, request, report)
    if isinstance(state, RouteState):
        return labelling.answered(draft, state, report, version)
    if not isinstance(state, AgentState):  # cannot be: leaving a state ends what is pending in it
        return None
    if request.purpose == "summary":
        return _summarised(draft, state, request, report, version)
    if report.outcome == "done" and report.calls:
        rounds = draft.program.flow.limits.tool_rounds
        return _next_call(draft, state) if request.round < rounds else draft.reach("tool_rounds", request.round, rounds)
    if request.purpose == "tool":
        return _asked_ended(draft, state, request, report, version)
    if report.outcome in fallbacks.RETRIED:
        return _failed(draft, state, request, report)
    if state.judges is not None:
        return _judged(draft, state, request, report, effect) if report.outcome == "done" else report.outcome
    if report.outcome in ("done", "unsure", "refused"):
        draft.learn(report.facts, "agent", version)
        if report.reply is not None:
            if request.cached:
                draft.reply("phrase.cached")
            draft.record(ReplySent(state=state.name, agent=version, token_bound=report.reply_token_bound))
    return report.outcome


def _ask_again(
    draft: Draft, state: AgentState, *, attempt: int, rounds: int, repairs: tuple[str, ...] = ()
) -> str | None:
    """Another attempt or round of the agent at work: the state's own, or one that was asked as a tool."""
    asked = draft.conversation.visit.asked
    if asked is None:
        return ask_agent(draft, state, attempt=attempt, rounds=rounds, repairs=repairs)
    outcome = consulting.ask_again(draft, state, asked, attempt=attempt, rounds=rounds, repairs=repairs)
    return _next_call(draft, state) if outcome == consulting.OVER_BUDGET else outcome


def _asked_ended(
    draft: Draft, state: AgentState, request: AgentRequested, report: AgentReport, version: int
) -> str | None:
    """An attempt of an agent asked as a tool: another one, or its caller goes on."""
    if report.outcome in fallbacks.RETRIED and request.attempt < state.attempts:
        repairs = report.violations if report.outcome == "invalid" else ()
        return _ask_again(draft, state, attempt=request.attempt + 1, rounds=request.round, repairs=repairs)
    consulting.ended(draft, report, version)
    return _next_call(draft, state)


def _failed(draft: Draft, state: AgentState, request: AgentRequested, report: AgentReport) -> str | None:
    """After an attempt without success: another one, a wait before it, the next fallback, or the state's outcome."""
    match fallbacks.following(draft, state, request, report):
        case "again":
            repairs = report.violations if report.outcome == "invalid" else ()
            return ask_agent(
                draft,
                state,
                attempt=request.attempt + 1,
                rounds=request.round,
                repairs=repairs,
                fallback=request.fallback,
            )
        case "wait":
            fallbacks.wait(draft, state, request, report)
            return None
    for at in range(request.fallback + 1, len(state.fallbacks) + 1):
        outcome = ask_agent(draft, state, attempt=1, rounds=request.round, fallback=at, after=report.outcome)
        if outcome != "over_budget":
            return outcome
    return report.outcome


def ask_after_wait(draft: Draft, timer: int, retry: RetryScheduled) -> str | None:
    """The wait before another attempt is over: the same turn goes on, with the time that is left of it."""
    draft.record(TimerFired(timer=timer, turn_due=draft.conversation.turn.due or draft.turn_due))
    state = draft.state
    if not isinstance(state, AgentState):  # cannot be: leaving a state ends its waits
        return None
    return ask_agent(draft, state, attempt=retry.attempt, rounds=retry.round, fallback=retry.fallback)


def _summarised(
    draft: Draft, state: AgentState, request: AgentRequested, report: AgentReport, version: int
) -> str | None:
    """A summary was made, and the call that waited for it follows; or it counts as that call's failed attempt."""
    spec = draft.program.agents[state.agent_at(request.fallback)]
    if not summaries.taken(draft, spec, request, report, version):
        why = report.reason or ("no_summary" if report.outcome == "done" else report.outcome)
        failed = AgentReport(outcome="failed", reason=why, retry_after_seconds=report.retry_after_seconds)
        return _failed(draft, state, request, report if report.outcome == "timeout" else failed)
    return ask_agent(
        draft,
        state,
        attempt=request.attempt,
        rounds=request.round,
        repairs=request.repairs,
        fallback=request.fallback,
    )


def _next_call(draft: Draft, state: AgentState) -> str | None:
    """Handle the proposed calls in order, each within the turn's time; after the last, ask their agent again."""
    visit = draft.conversation.visit
    while visit.proposed:
        if late := turn_is_over(draft):
            return late
        position, call = visit.proposed[0]
        refusal = _refusal(draft, state, call)
        broken = () if refusal or call.name is None else broken_by(draft, _requested(draft, call.name, state.approval))
        if refusal is not None or broken:
            draft.record(
                ToolRefused(
                    state=state.name,
                    tool=call.name if call.name in draft.program.tools else None,
                    request=visit.proposal,
                    position=position,
                    reason=refusal or "policy",
                    problems=call.problems or tuple(draft.program.says_of(broken)),
                    policies=broken,
                    agent=call.agent if call.agent in draft.program.agents else None,
                )
            )
        elif call.name is not None:
            return _run_tool(
                draft,
                call.name,
                "agent",
                request=visit.proposal,
                position=position,
                timeout=state.timeout_seconds,
                approval=state.approval,
            )
        elif (outcome := consulting.begin(draft, state, position, call)) != consulting.OVER_BUDGET:
            return outcome
        visit = draft.conversation.visit
    return _ask_again(draft, state, attempt=visit.attempts, rounds=visit.rounds + 1)


def _refusal(
    draft: Draft, state: AgentState, call: ProposedCall
) -> Literal["unknown", "not_allowed", "bad_arguments", "unapproved"] | None:
    """Why a proposed call does not run; None where it may. Agents asked as tools have no tools themselves."""
    if call.agent is not None:
        return consulting.refusal(draft, state, call)
    if call.name is None or call.name not in draft.program.tools:
        return "unknown"
    if call.name not in state.tools or draft.conversation.visit.asked is not None:
        return "not_allowed"
    if call.problems:
        return "bad_arguments"
    return None if _approved(draft, state, call.name, call) else "unapproved"


def _approved(draft: Draft, state: AgentState | CallState, tool: str, call: ProposedCall | None = None) -> bool:
    """Whether the tool may change something now: nobody must approve that, or an approval of exactly this is left."""
    if state.approval is None or not draft.program.tools[tool].consequential:
        return True
    conversation = draft.conversation
    void = approvals.void_of(conversation, state.approval)
    if void is None and call is not None:
        takes = frozenset(draft.program.tool(tool).arguments.model_fields)
        void = approvals.arguments_void(conversation, state.approval, takes, call)
    if void is None:
        return True
    found = conversation.approvals.get(state.approval)
    task = None if found is None else found.task
    draft.record(ApprovalVoid(state=state.name, tool=tool, approval=state.approval, reason=void, task=task))
    return False


def _run_tool(
    draft: Draft,
    tool: str,
    caller: str,
    *,
    timeout: int,
    request: int | None = None,
    position: int = 0,
    facts: tuple[str, ...] = (),
    approval: str | None = None,
) -> str | None:
    """Request one tool call; `limit` where the turn had all that it may have."""
    called, most = draft.conversation.turn.tool_calls, draft.program.flow.limits.tool_calls
    if most is not None and called >= most:
        return draft.reach("tool_calls", called, most)
    requested = _requested(draft, tool, approval).changed(
        caller="agent" if caller == "agent" else "state",
        request=request,
        position=position,
        facts=facts,
        timeout_seconds=_seconds_for(draft, tool, timeout),
    )
    effect = draft.record(requested)
    draft.effects.append(RunTool(effect, requested))
    return None


def _requested(draft: Draft, tool: str, approval: str | None) -> ToolRequested:
    """The call of a tool in the present state, with the approval that it uses up."""
    spec = draft.program.tools[tool]
    return ToolRequested(
        state=draft.conversation.state,
        tool=tool,
        consequential=spec.consequential,
        caller="state",
        timeout_seconds=spec.timeout_seconds,
        approval=draft.conversation.approvals[approval].task if approval and spec.consequential else None,
    )


def _seconds_for(draft: Draft, tool: str, timeout: int) -> int:
    return seconds_left(draft.at, draft.conversation.turn.due, min(timeout, draft.program.tools[tool].timeout_seconds))


def call_tool(draft: Draft, state: CallState) -> str | None:
    """Request the state's tool with the facts it reads."""
    if late := turn_is_over(draft):
        return late
    if not _approved(draft, state, state.tool):
        return "unapproved"
    if broken := broken_by(draft, _requested(draft, state.tool, state.approval)):
        return tool_kept_back(draft, state.tool, broken)
    facts = tuple(name for name in state.reads if draft.conversation.facts.known(name))
    return _run_tool(draft, state.tool, "state", timeout=state.timeout_seconds, facts=facts, approval=state.approval)


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
