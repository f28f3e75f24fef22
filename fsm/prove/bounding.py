"""Limits beside those that a turn counts: whether each can be reached, and whether it is worth its name."""

from collections.abc import Iterator, Mapping

from ...contracts.flow import AgentState, BroadcastState, Flow
from ...contracts.limits import Limits
from ..reserving import reserve
from ..wording import limit_amount
from .findings import Finding, line_of
from .search import Search

HIGH = {
    "tool_rounds": 1_000,
    "digression_depth": 20,
    "subflow_depth": 20,
    "subflows": 1_000,
    "agent_depth": 20,
    "issues": 1_000,
    "turn_seconds": 86_400,
    "message_bytes": 10_000_000,
    "conversation_handoffs": 1_000_000,
    "conversation_messages": 1_000_000,
}
"""Above these a limit is passed by: nobody would wait, read or pay for so much."""
_FIX_HIGH, _FIX_NEVER = "Lower it.", "Keep it as a belt, or lower it."


def other_limits(search: Search, lines: Mapping[str, int]) -> Iterator[Finding]:
    """What is declared, and never reached or always passed by."""
    flow, usual = search.explored.model.flow, Limits()
    for name in Limits.model_fields:
        value = getattr(flow.limits, name)
        if value is None or value == getattr(usual, name):
            continue
        where = f"limits.{name}"
        if value > HIGH.get(name, value):
            says = f"The limit {name}: {_written(flow, name, value)} is so high that it can always be passed by."
            yield Finding("P306", "noted", says, (), line_of(lines, where), where, _FIX_HIGH)
        elif why := _never(search, flow, name, value):
            says = f"The limit {name}: {_written(flow, name, value)} can never be reached: {why}."
            yield Finding("P306", "noted", says, (), line_of(lines, where), where, _FIX_NEVER)


def _written(flow: Flow, name: str, value: int) -> str:
    return f"{flow.currency} {limit_amount(name, value)}" if name.endswith("_cost") else limit_amount(name, value)


def _never(search: Search, flow: Flow, name: str, value: int) -> str:
    """Why the limit cannot be reached; empty where it may be."""
    kinds = {one.kind for one in flow.states}
    calling = bool(kinds & {"agent", "broadcast"}) or any(one.agent is not None for one in flow.routers)
    asking = any(isinstance(one, AgentState) and one.agents for one in flow.states)
    missing = {
        "tool_rounds": "no state has an agent" if "agent" not in kinds else "",
        "digression_depth": "no row pushes" if not any(one.push for one in flow.transitions) else "",
        "subflow_depth": "no state runs a subflow" if "subflow" not in kinds else "",
        "subflows": "no state runs a subflow" if "subflow" not in kinds else "",
        "agent_depth": "no agent may ask others" if not asking else "",
        "issues": "no router keeps several issues" if not any(one.several for one in flow.routers) else "",
        "conversation_handoffs": _one_agent(flow),
        "conversation_tokens": "" if calling else "nothing calls a model",
        "conversation_cost": "" if calling else "nothing calls a model",
        "turn_tokens": _below(search, "tokens", value),
        "turn_cost": _below(search, "nano", value),
    }
    return missing.get(name, "")


def _one_agent(flow: Flow) -> str:
    agents = [one for one in flow.states if isinstance(one, AgentState)]
    return "" if agents else "no state has an agent"


def _below(search: Search, name: str, value: int) -> str:
    """Where all ways through add up to less."""
    bill, flow = search.bill, search.explored.model.flow
    each = max((reserve(one)[name == "nano"] for one in flow.agents), default=0)
    most = min(getattr(bill.uncapped, name), min(bill.uncapped.calls, flow.limits.agent_calls) * each)
    counted = not any(isinstance(one, BroadcastState) for one in flow.states)
    if bill.cycle or not search.complete or not counted or most >= value:
        return ""
    if name == "tokens":
        return f"a turn takes at most {most:,}"
    return f"a turn costs at most {_written(flow, 'turn_cost', most)}"
