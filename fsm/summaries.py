"""Histories that are summed up: when a summary is made before a call, and what a summariser's answer becomes.

A summary stands in place of the first messages, for one agent, in all its later calls; the next one extends it.
Nothing is left out without one: where none can be made, the call is not made either.
"""

from ..contracts.commands import AgentReport
from ..contracts.events import AgentRequested, HistorySummarised
from ..contracts.flow import AgentSpec
from ..contracts.payload import PayloadAt
from .asking import PER_MESSAGE_TOKENS, Asking, ask, history_for, in_prompt, older, token_bound
from .draft import Draft


def ask_run(draft: Draft, asking: Asking) -> str | None:
    """Ask for one attempt of a state's run, or first for the summary that it needs.

    Returns None when a call was asked for, else the outcome. A summary's request carries the attempt, the round,
    the repairs and the fallback of the call that waits for it.
    """
    spec = asking.spec
    if spec.summariser is None or asking.cached or not _needed(draft, asking):
        return ask(draft, asking)
    return ask(
        draft,
        Asking(
            spec=draft.program.agents[spec.summariser],
            attempt=asking.attempt,
            timeout_seconds=asking.timeout_seconds,
            rounds=asking.rounds,
            purpose="summary",
            repairs=asking.repairs,
            fallback=asking.fallback,
            history=older(draft, spec),
        ),
    )


def _needed(draft: Draft, asking: Asking) -> bool:
    """Whether what is given word for word has outgrown the window twice, or does not fit and would with a summary."""
    spec, conversation = asking.spec, draft.conversation
    summed = conversation.summaries.get(spec.name)
    given = conversation.messages - (summed.replaced if summed else 0)
    if spec.history == "summary" and given > 2 * spec.window:
        return True
    if spec.when_over == "refuse" or given <= spec.window:
        return False
    bound = token_bound(draft, asking, history_for(draft, spec))
    return bound > spec.max_input_tokens >= bound - older(draft, spec).token_bound


def taken(draft: Draft, spec: AgentSpec, request: AgentRequested, report: AgentReport, version: int) -> bool:
    """Take the summary for the agent `spec`; False where there is none, or none that is shorter than what it is of."""
    if report.outcome != "done" or report.calls or report.reply is None:
        return False
    history, summed = request.history, draft.conversation.summaries.get(spec.name)
    before = in_prompt(summed.tokens_after) if summed else 0
    newly = history.token_bound - history.count * PER_MESSAGE_TOKENS - before
    if report.reply_token_bound >= newly + (summed.tokens_after if summed else 0):
        return False
    draft.record(
        HistorySummarised(
            agent=spec.name,
            by=request.agent,
            replaced=history.count + (summed.replaced if summed else 0),
            upto=history.upto,
            digest=history.digest,
            tokens_before=newly + (summed.tokens_before if summed else 0),
            tokens_after=report.reply_token_bound,
            at=PayloadAt(version=version, name=report.reply.name),
        )
    )
    return True
