"""Agents, tools and children at work, in words: the part of `interlock log` that tells what was asked and called."""

from ..contracts.events import (
    AgentRequested,
    AgentToolEnded,
    ApprovalVoid,
    BroadcastEnded,
    BroadcastStarted,
    Event,
    HandoffMade,
    HistorySummarised,
    Judged,
    LateResult,
    LimitReached,
    OverBudget,
    PolicyKept,
    RetryPlanned,
    RetryScheduled,
    ToolRequested,
)
from ..contracts.values import written_time
from ..fsm.wording import limit_amount
from .terminal import counted

_VOID = {
    "missing": "{state} has not approved it",
    "changed": "{state} approved other facts than these",
    "used": "the approval of {state} was used before",
    "arguments": "{state} approved other arguments than these",
}


def working_words(event: Event) -> tuple[str, str]:
    """Agents and tools at work."""
    match event:
        case HandoffMade():
            handoff = event.handoff
            return "agent", (
                f"hands over {handoff.source} → {handoff.target}: {counted(handoff.history.count, 'message')}, "
                f"at most {handoff.constraints.token_budget:,} tokens"
            )
        case AgentRequested():
            return "agent", _asked(event)
        case AgentToolEnded():
            answered = "answers its caller" if event.outcome == "done" else f"tells its caller {event.outcome}"
            return ("agent" if event.outcome == "done" else "unsure"), f"{event.agent} {answered.replace('_', ' ')}"
        case BroadcastStarted():
            who = ", ".join(one.name for one in event.members) or "nobody"
            return "agent", f"asks {who} at once, and needs {counted(event.needed, 'valid result')}"
        case BroadcastEnded():
            standings = ", ".join(
                f"{one.name} {one.status}{f' ({one.reason})' if one.reason else ''}" for one in event.members
            )
            disputed = f"; they disagree on {', '.join(event.disagreed)}" if event.disagreed else ""
            sign = "agent" if event.outcome == "complete" else "unsure"
            return sign, f"{event.outcome}: {event.percent} % valid{f'; {standings}' if standings else ''}{disputed}"
        case LateResult():
            heard = "is heard" if event.heard else "changes nothing"
            return "note", f"{event.member} of {event.state} answers late ({event.outcome}), which {heard}"
        case HistorySummarised():
            size = f"{event.tokens_before:,} tokens become {event.tokens_after:,}"
            return "agent", f"{event.by} sums up {counted(event.replaced, 'message')} for {event.agent}: {size}"
        case RetryScheduled():
            at = f"{written_time(event.due)[11:19]} UTC"
            return "timer", f"asks {event.agent} again at {at}, attempt {event.attempt} ({event.why})"
        case RetryPlanned():
            return "timer", f"asks {', '.join(event.members)} again after {written_time(event.due)[11:19]} UTC"
        case Judged():
            of = f"{event.of} {event.judged[:8]}" if event.judged else event.of
            sign = "agent" if event.verdict == "pass" else "unsure"
            return sign, f"judges {of}: {event.verdict.replace('_', ' ')} ({event.criterion})"
        case OverBudget():
            return "unsure", f"{event.agent} is not asked: {event.token_bound:,} tokens, at most {event.maximum:,}"
        case ToolRequested():
            return "tool", _calls(event)
        case ApprovalVoid():
            return "refused", f"{event.tool} is not run: {_VOID[event.reason].format(state=event.approval)}"
        case PolicyKept():
            return "refused", _held_back(event)
        case _:
            return "note", type(event).__name__


def _calls(event: ToolRequested) -> str:
    means = ", which changes something" if event.consequential else ""
    approved = f", as approved in task {event.approval}" if event.approval is not None else ""
    return f"calls {event.tool}{means}{approved}"


def _held_back(event: PolicyKept) -> str:
    step = f"{event.tool} is not run" if event.tool else f"{event.target} is not entered, on {event.on}"
    return f"{step}: it would break {', '.join(event.policies)}"


def _asked(event: AgentRequested) -> str:
    extra = "".join(
        [
            f", attempt {event.attempt}" if event.attempt > 1 else "",
            f", tool round {event.round}" if event.round else "",
            f", as fallback {event.fallback}" if event.fallback and not event.cached else "",
            f" as {event.member}" if event.member and event.member != event.agent else "",
            " as a tool" if event.purpose == "tool" else "",
            " for a label" if event.purpose == "label" else "",
            f" to sum up {counted(event.history.count, 'message')}" if event.purpose == "summary" else "",
            ", in the background" if event.background else "",
            f", to repair {counted(len(event.repairs), 'violation')}" if event.repairs else "",
        ]
    )
    if event.cached:
        return f"looks for an earlier answer of {event.agent} to the same question"
    return f"asks {event.agent}{extra} (at most {event.reserved_tokens:,} tokens)"


def limit_words(event: LimitReached) -> str:
    """Which limit, and how far it went."""
    if event.limit == "no_return":
        return "an agent does not get back what it handed on"
    return f"{event.limit.replace('_', ' ')}, {used_of(event)}"


def used_of(event: LimitReached) -> str:
    """How far it went, of how much."""
    return f"{limit_amount(event.limit, event.value)} of {limit_amount(event.limit, event.maximum)}"
