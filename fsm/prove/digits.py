"""What is counted of a flow: each counter with its most, and by how much a visit moves it; and words of a visit."""

from collections.abc import Iterator, Sequence

from ...contracts.flow import ANY, CACHED, RETURN, AgentState, Flow
from .counters import COUNTED
from .endings import Cost, Ending


def cost_of(ending: Ending, calls: int) -> Cost:
    """What the visit takes with so many calls."""
    most = ending.most
    if not most.calls:
        return most
    return Cost(calls, most.tools, *(-(-one * calls // most.calls) for one in (most.tokens, most.nano, most.seconds)))


def handed(pairs: list[tuple[str, str]]) -> dict[str, int]:
    """By how much each counter of handoffs goes up."""
    up: dict[str, int] = {}
    for source, target in pairs:
        for name in ("handoffs", f"pair:{source}>{target}", *(("self_handoffs",) if source == target else ())):
            up[name] = up.get(name, 0) + 1
    return up


def digits(flow: Flow, counted: frozenset[str], visits: dict[str, int]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Every counter with its most, and which of them stick there."""
    limits = flow.limits
    most: dict[str, int] = {}
    sticking: list[str] = []
    for name in ("steps", "agent_calls", "tool_calls", "handoffs", "self_handoffs"):
        limit = getattr(limits, name)
        if name in counted and limit is not None and limit <= COUNTED:
            most[name] = limit
    if "steps" in most:
        sticking.append("steps")
    if "same_pair" in counted and limits.same_pair <= COUNTED:
        most.update({f"pair:{source}>{target}": limits.same_pair for source, target in _pairs(flow)})
    for name, number in visits.items():
        most[f"visits:{name}"] = number + 1
        sticking.append(f"visits:{name}")
    return most, tuple(sticking)


def _pairs(flow: Flow) -> list[tuple[str, str]]:
    """Agents of which the second may get the conversation from the first, with no other agent between."""
    states = {one.name: one for one in flow.states}
    wide = [row.target for row in flow.transitions if row.source == ANY]
    following: dict[str, list[str]] = {name: list(wide) for name in states}
    for row in flow.transitions:
        if row.source in states:
            following[row.source].append(row.target)
    back = [one.name for one in flow.states if one.kind in ("wait", "collect")]
    found: set[tuple[str, str]] = set()
    for state in flow.states:
        if not isinstance(state, AgentState):
            continue
        had = [state.agent, *(one for one in state.fallbacks if one != CACHED)]
        found.update((one, two) for place, one in enumerate(had) for two in had[place + 1 :])
        seen: set[str] = set()
        waiting = list(following[state.name])
        while waiting:
            name = waiting.pop()
            if name == RETURN:
                waiting += [one for one in back if one not in seen]
            elif name not in seen:
                seen.add(name)
                target = states[name]
                if isinstance(target, AgentState):
                    found.update((one, target.agent) for one in had)
                else:
                    waiting += following[name]
    return sorted(found)


def tools_in(events: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Where each tool is asked, together with its approval: the first place, and the one after the last."""
    for at, event in enumerate(events):
        kind, _, tool = event.partition(":")
        if kind == "tool":
            yield at - (at > 0 and events[at - 1] == f"approved:{tool}"), at + 1


def without_yes(events: tuple[str, ...]) -> tuple[str, ...]:
    """The events without the customer's yes to a form, which is there only once its row is taken."""
    return tuple(one for one in events if not one.startswith("confirmed:"))


def any_limit(events: tuple[str, ...], limits: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The events where a limit in them may be any of these, or none of them."""
    at = next((at for at, one in enumerate(events) if one.startswith("limit:")), None)
    if at is None or not limits:
        yield events
        return
    rest = tuple(one for one in events[at:] if not one.startswith("limit:"))
    yield (*events[:at], *rest)
    for limit in limits:
        yield (*events[:at], limit, *rest)
