"""An agent asked as another's tool: the caller keeps the conversation, the asked one gets a task and named facts.

It sees no history, uses no tools, sends no reply and teaches the conversation nothing: only its text goes back to
the caller. It may ask others in its turn, as deep as the limit `agent_depth` lets it.
"""

from typing import Literal

from ..contracts.commands import AgentReport, ProposedCall
from ..contracts.events import AgentToolEnded, ToolOutcome
from ..contracts.flow import AgentState
from ..contracts.payload import PayloadAt
from .asking import Asking, Task, ask
from .conversation import Asked
from .draft import Draft

OVER_BUDGET: Literal["over_budget"] = "over_budget"
"""The agent was not asked, since the task does not fit its window; its caller was told so."""


def offered(draft: Draft, agents: tuple[str, ...], rounds: int, depth: int) -> tuple[str, ...]:
    """Those of `agents` that an agent at `depth` is offered: none in its last round, none at the limit."""
    limits = draft.program.flow.limits
    return agents if rounds < limits.tool_rounds and depth < limits.agent_depth else ()


def refusal(
    draft: Draft, state: AgentState, call: ProposedCall
) -> Literal["unknown", "not_allowed", "bad_arguments"] | None:
    """Why the agent that a call names is not asked; None where it may be."""
    at_work = draft.conversation.visit.asked
    allowed = state.agents if at_work is None else draft.program.agents[at_work.agent].consults
    if call.agent not in draft.program.agents:
        return "unknown"
    if call.agent not in allowed:
        return "not_allowed"
    return "bad_arguments" if call.problems or call.task is None else None


def begin(draft: Draft, state: AgentState, position: int, call: ProposedCall) -> str | None:
    """Ask the agent that the call names, for the agent at work; `limit`, or `over_budget` where it was not asked."""
    visit, most = draft.conversation.visit, draft.program.flow.limits.agent_depth
    if call.agent is None or call.task is None:  # cannot be: such a call was refused
        return OVER_BUDGET
    depth = len(visit.callers)
    if depth >= most:
        return draft.reach("agent_depth", depth, most)
    task = PayloadAt(version=visit.proposal, name=call.task.name)
    return _ask(draft, state, Asked(call.agent, visit.proposal, position, task, call.task.length), depth + 1, attempt=1)


def ask_again(
    draft: Draft, state: AgentState, asked: Asked, *, attempt: int, rounds: int, repairs: tuple[str, ...]
) -> str | None:
    """Another attempt or round of the agent that is at work as a tool."""
    visit = draft.conversation.visit
    return _ask(
        draft,
        state,
        asked,
        len(visit.callers),
        attempt=attempt,
        rounds=rounds,
        repairs=repairs,
        carried_tokens=visit.carried_tokens,
    )


def _ask(
    draft: Draft,
    state: AgentState,
    asked: Asked,
    depth: int,
    *,
    attempt: int,
    rounds: int = 0,
    repairs: tuple[str, ...] = (),
    carried_tokens: int = 0,
) -> str | None:
    spec = draft.program.agents[asked.agent]
    outcome = ask(
        draft,
        Asking(
            spec=spec,
            attempt=attempt,
            timeout_seconds=state.timeout_seconds,
            rounds=rounds,
            purpose="tool",
            facts=tuple(name for name in spec.reads if draft.conversation.facts.known(name)),
            agents=offered(draft, spec.consults, rounds, depth),
            task=None if asked.task is None else Task(asked.task, asked.length),
            repairs=repairs,
            carried_tokens=carried_tokens,
            caller=asked.caller,
            position=asked.position,
        ),
    )
    if outcome == OVER_BUDGET:
        _record_end(draft, asked, OVER_BUDGET)
    return outcome


def ended(draft: Draft, report: AgentReport, version: int) -> None:
    """Record the end of the agent at work as a tool; its caller is told its text, or only how it ended.

    `version` is that of the event that holds the text.
    """
    asked = draft.conversation.visit.asked
    if asked is None:  # cannot be: whoever ended had been asked
        return
    told = report.output if report.outcome in ("done", "unsure", "refused") else None
    output = None if told is None else PayloadAt(version=version, name=told.name)
    _record_end(draft, asked, report.outcome, output, 0 if told is None else told.length)


def _record_end(
    draft: Draft, asked: Asked, outcome: ToolOutcome, output: PayloadAt | None = None, token_bound: int = 0
) -> None:
    draft.record(
        AgentToolEnded(
            state=draft.conversation.state,
            request=asked.caller,
            position=asked.position,
            agent=asked.agent,
            outcome=outcome,
            output=output,
            token_bound=token_bound,
        )
    )
