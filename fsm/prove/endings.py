"""How a state can end, from the outside: with which outcome, and after how many model calls and tool calls.

What happens inside a visit (attempts, repairs, tool rounds, agents asked as tools, members) is summed up here as
the least and the most that it may take. It says what `fsm/runs.py`, `asking.py` and `broadcast.py` decide.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

from ...contracts.flow import (
    CACHED,
    LATE_RESULT,
    NEXT_ISSUE,
    OPERATOR_INPUTS,
    AgentSpec,
    AgentState,
    BroadcastState,
    CallState,
    CollectState,
    Flow,
    HumanState,
    MemberSpec,
    RouteState,
    State,
    SubflowState,
    WaitState,
)
from ...contracts.subflow import FAILED
from ..outcomes import outcomes_of
from ..reserving import reserve

Cause = Literal["input", "person", "operator", "clock", "work"]
"""What an ending needs: the customer or another system, a person's decision, an operator, time, or none of them.
The first three begin a new turn; after the others its counters go on."""
LIMIT = "limit"
STAYS = ""
"""The trigger of an input that a state takes without being left."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What may be used, at most. `nano` are billionths of the currency unit."""

    calls: int = 0
    tools: int = 0
    tokens: int = 0
    nano: int = 0
    seconds: int = 0

    def plus(self, other: "Cost") -> "Cost":
        return Cost(
            self.calls + other.calls,
            self.tools + other.tools,
            self.tokens + other.tokens,
            self.nano + other.nano,
            self.seconds + other.seconds,
        )

    def times(self, number: int) -> "Cost":
        return Cost(
            self.calls * number, self.tools * number, self.tokens * number, self.nano * number, self.seconds * number
        )

    def most(self, other: "Cost") -> "Cost":
        """The larger of each."""
        return Cost(
            max(self.calls, other.calls),
            max(self.tools, other.tools),
            max(self.tokens, other.tokens),
            max(self.nano, other.nano),
            max(self.seconds, other.seconds),
        )


NOTHING = Cost()


@dataclass(frozen=True, slots=True)
class Ending:
    """One way to end a visit, or to be interrupted in it.

    `least` are the model calls that it needs, `most` what it may take; `room` is how many calls must be left when
    it begins. `needs_time` says that some of the turn's time must have passed before.
    """

    on: str
    cause: Cause = "work"
    events: tuple[str, ...] = ()
    least: int = 0
    room: int = 0
    tools: int = 0
    most: Cost = NOTHING
    agents: tuple[str, ...] = ()
    """Agents that had the conversation, one after another: the state's own, and those of its fallbacks."""
    limit: str = ""
    needs_time: bool = False
    worked: bool = False
    """Something outside was asked, and took time."""
    behind: Cost = NOTHING
    """What may be asked again in the background afterwards: nobody waits for it, and no limit of a turn counts it."""


def agent_calls_most(flow: Flow, state: AgentState) -> int:
    """Model calls of one visit at most: every attempt of the agent and of each fallback, and every round; where it may
    ask others, all of a turn."""
    if state.agents:
        return flow.limits.agent_calls
    attempts = state.attempts + sum(1 if one == CACHED else state.fallback_attempts for one in state.fallbacks)
    summing = sum(one.summariser is not None for one in flow.agents if one.name in (state.agent, *state.fallbacks))
    return attempts + flow.limits.tool_rounds + summing


def call_cost(spec: AgentSpec, timeout: int) -> Cost:
    tokens, nano = reserve(spec)
    return Cost(calls=1, tokens=tokens, nano=nano, seconds=timeout)


def operated(flow: Flow) -> frozenset[tuple[str, str]]:
    """Where rows wait for an operator: states (or `any`) with the input."""
    return frozenset((row.source, row.on) for row in flow.transitions if row.on in OPERATOR_INPUTS)


def endings(flow: Flow, state: State, operators: frozenset[tuple[str, str]] | None = None) -> Iterator[Ending]:
    """Every way that a visit of the state can end; inputs that it takes without ending have the trigger `STAYS`.

    `operators` is `operated(flow)`, for who asks of many states.
    """
    operators = operated(flow) if operators is None else operators
    match state:
        case WaitState():
            yield from _wait(flow, state)
        case CollectState():
            yield from _collect(flow, state)
        case RouteState():
            yield from _route(flow, state)
        case AgentState():
            yield from _agent(flow, state)
        case CallState():
            yield from _call(flow, state)
        case BroadcastState():
            yield from _broadcast(flow, state)
        case HumanState():
            for decision in state.decisions:
                yield Ending(decision, "person", (f"decided:{state.name}.{decision}",))
            yield Ending("expired", "clock")
        case SubflowState():
            yield from _subflow(flow, state)
        case _:
            return
    for name in OPERATOR_INPUTS:
        if (state.name, name) in operators or ("any", name) in operators:
            yield Ending(name, "operator", (f"input:{name}",))


def _wait(flow: Flow, state: WaitState) -> Iterator[Ending]:
    yield Ending("message", "input", ("message",))
    yield from _too_many(flow)
    for name in state.inputs:
        if name == LATE_RESULT:
            yield Ending(name, "clock", ("result:late",), worked=True)
        else:
            yield Ending(name, "input", (f"input:{name}",))
    if state.next_issue:
        yield Ending(NEXT_ISSUE)
    yield Ending("expired", "clock")


def _route(flow: Flow, state: RouteState) -> Iterator[Ending]:
    router = next((one for one in flow.routers if one.name == state.router), None)
    spec = next((one for one in flow.agents if router is not None and one.name == router.agent), None)
    for on in outcomes_of(flow, state):
        yield Ending(on, events=(f"label:{on}",))
        if spec is not None:
            cost = call_cost(spec, state.timeout_seconds)
            yield Ending(on, "work", (f"label:{on}",), 1, 1, 0, cost, worked=True)


def _too_many(flow: Flow) -> Iterator[Ending]:
    """The customer's last message in this conversation was one too many."""
    limit = "conversation_messages"
    yield Ending(LIMIT, "input", ("message", f"limit:{limit}"), limit=limit)


def asks_plainly(flow: Flow, state: CollectState) -> bool:
    """Whether being filled is a confirmation: the form is read back, or it only asks yes or no, when asked."""
    facts = {one.name: one for one in flow.facts}
    return bool(state.confirm) or all(
        name in facts and facts[name].type == "yes_no" and not facts[name].volunteered for name in state.facts
    )


def _collect(flow: Flow, state: CollectState) -> Iterator[Ending]:
    plainly = (f"answered:{state.name}",) if asks_plainly(flow, state) else ()
    confirmed = (f"confirmed:{state.name}",) if state.confirm else plainly
    if not state.confirm:
        yield Ending("complete", events=confirmed)  # what only a plain question brings was answered before
        if any(one.confirm for one in flow.facts if one.name in state.facts):
            yield Ending("complete", "input", ("message", *plainly, f"confirmed:{state.name}"))
    yield Ending(STAYS, "input", ("message",))
    yield from _too_many(flow)
    yield Ending("complete", "input", ("message", *confirmed))
    yield Ending("gave_up", "input", ("message",))
    yield Ending("declined", "input", ("message",))
    router = next((one for one in flow.routers if one.name == flow.digressions), None)
    served = {row.on for row in flow.transitions if row.source in (state.name, "any")}
    for label in router.labels if router else ():
        if label in served:
            yield Ending(label, "input", ("message", f"label:{label}"))
    yield Ending("expired", "clock")


def _agent(flow: Flow, state: AgentState) -> Iterator[Ending]:
    spec = next(one for one in flow.agents if one.name == state.agent)
    most = agent_calls_most(flow, state)
    rounds = flow.limits.tool_rounds
    tools = rounds * spec.max_output_tokens if state.tools else 0
    asked = [one for one in flow.agents if one.name in _askable(flow, state)]
    each = call_cost(spec, state.timeout_seconds)
    named = [one for one in flow.agents if one.name in (state.agent, *state.fallbacks)]
    summarisers = {one.summariser for one in named} - {None}
    fallen = [one for one in flow.agents if one.name in (*state.fallbacks, *summarisers)]
    for one in (*asked, *fallen):
        each = each.most(call_cost(one, state.timeout_seconds))

    def taking(calls: int) -> Cost:
        return Cost(calls, tools, each.tokens * calls, each.nano * calls, each.seconds * calls + 30 * tools)

    answered = (f"result:{state.name}",)
    if state.judges is not None:
        yield Ending("unsure")
    if spec.scope is not None:
        yield Ending("refused")
    yield Ending("over_budget")
    for limit in ("turn_seconds", "conversation_tokens", *(("no_return",) if spec.no_return else ())):
        yield Ending(LIMIT, events=(f"limit:{limit}",), limit=limit, needs_time=limit == "turn_seconds")
    early = bool(state.fallbacks or state.backoff_seconds)
    if summarisers:  # a summary that fails is an attempt in which nobody got the conversation
        for on in ("invalid", "timeout", "failed", "over_budget"):
            yield Ending(on, "work", (), 1, 1, 0, taking(most - 1), worked=True)
        yield Ending(LIMIT, "work", ("limit:turn_seconds",), 1, 1, 0, taking(most), (), "turn_seconds", worked=True)
    for had in _hands(state):
        needed = len(had)
        if most > 1:
            yield Ending("over_budget", "work", (), needed, needed, 0, taking(most - 1), had, worked=True)
        for on in ("done", "unsure", "refused"):
            yield Ending(on, "work", answered, needed, needed, 0, taking(most), had, worked=True)
        for on in ("invalid", "timeout", "failed"):
            every = needed if early else state.attempts
            yield Ending(on, "work", (), every, every, 0, taking(most), had, worked=True)
        limit = "turn_seconds" if most > 1 else "tenant_calls"
        yield Ending(LIMIT, "work", (f"limit:{limit}",), needed, needed, 0, taking(most), had, limit, worked=True)


MOST_HANDS = 64
"""Ways through the fallbacks of one state that are told apart."""


def _hands(state: AgentState) -> Iterator[tuple[str, ...]]:
    """Who may have had the conversation: the state's agent, then fallbacks in order, any of them passed over."""
    others = [one for one in state.fallbacks if one != CACHED]
    number = 0
    for size in range(len(others) + 1):
        for some in combinations(others, size):
            yield (state.agent, *some)
            number += 1
            if number >= MOST_HANDS:
                return


def _askable(flow: Flow, state: AgentState) -> frozenset[str]:
    """Agents that may be asked as tools within a visit, in one another's turn too."""
    agents = {one.name: one for one in flow.agents}
    found: set[str] = set()
    waiting = list(state.agents)
    while waiting:
        name = waiting.pop()
        if name in agents and name not in found:
            found.add(name)
            waiting += agents[name].consults
    return frozenset(found)


def _call(flow: Flow, state: CallState) -> Iterator[Ending]:
    spec = next(one for one in flow.tools if one.name == state.tool)
    approved = state.approval is not None and spec.consequential
    asked = (*((f"approved:{state.tool}",) if approved else ()), f"tool:{state.tool}")
    seconds = min(state.timeout_seconds, spec.timeout_seconds)

    def taking(tools: int) -> Cost:
        return Cost(tools=tools, seconds=seconds * tools)

    every = taking(state.attempts)
    for attempts in range(1, state.attempts + 1):
        done = (*(asked * attempts), f"done:{state.tool}")
        yield Ending("done", "work", done, tools=1, most=every, worked=True)
    for on in ("failed", "timeout"):
        yield Ending(on, "work", asked * state.attempts, tools=state.attempts, most=every, worked=True)
    yield Ending(LIMIT, events=("limit:turn_seconds",), limit="turn_seconds", needs_time=True)
    if state.attempts > 1:
        again = taking(state.attempts - 1)
        for attempts in range(1, state.attempts):
            words = (*(asked * attempts), "limit:turn_seconds")
            yield Ending(LIMIT, "work", words, tools=1, most=again, limit="turn_seconds")
    if state.approval is not None:
        yield Ending("unapproved")
        if state.attempts > 1:
            for attempts in range(1, state.attempts):
                most = taking(state.attempts - 1)
                yield Ending("unapproved", "work", asked * attempts, tools=1, most=most, worked=True)


def members_of(state: BroadcastState) -> tuple[MemberSpec, ...]:
    """The members; of a plan, as many workers as it may have subtasks, each the same."""
    if state.plan is None:
        return state.members
    one = MemberSpec(
        name="task",
        agent=state.workers[0] if state.workers else "",
        reads=state.reads,
        attempts=state.attempts,
        timeout_seconds=state.timeout_seconds,
    )
    return (one,) * state.most


def _broadcast(flow: Flow, state: BroadcastState) -> Iterator[Ending]:
    agents = {one.name: one for one in flow.agents}
    members = members_of(state)
    cost = behind = NOTHING
    for one in members:
        names = state.workers if state.plan is not None else (one.agent,)
        each = NOTHING
        for name in names:
            each = each.most(call_cost(agents[name], one.timeout_seconds))
        cost = cost.plus(each.times(one.attempts))
        behind = behind.plus(Cost(1, 0, each.tokens, each.nano).times(state.retries))
    deadline = max(one.timeout_seconds * one.attempts for one in members) if members else 0
    cost = Cost(cost.calls, 0, cost.tokens, cost.nano, min(deadline, state.deadline_seconds))
    answered = (f"result:{state.name}",)
    planned = state.plan is not None
    all_asked = 1 if planned else len(members)
    needed = 1 if planned else state.quorum or len(members)
    yield Ending("complete", "work", answered, needed, all_asked, 0, cost, worked=True, behind=behind)
    yield Ending("partial", "work", answered, 1, all_asked, 0, cost, worked=True, behind=behind)
    yield Ending("failed", "work", (), 0, 0 if planned else all_asked, 0, cost, worked=True, behind=behind)
    if planned:
        yield Ending("empty")
        yield Ending(LIMIT, events=("limit:subtasks",), limit="subtasks")
    for limit in ("turn_seconds", "conversation_tokens"):
        yield Ending(LIMIT, events=(f"limit:{limit}",), limit=limit, needs_time=limit == "turn_seconds")
    yield Ending(
        LIMIT,
        "work",
        ("limit:turn_seconds",),
        1,
        all_asked,
        0,
        cost,
        limit="turn_seconds",
        worked=True,
        behind=behind,
    )


def _subflow(flow: Flow, state: SubflowState) -> Iterator[Ending]:
    yield Ending(STAYS, "input", ("message",))
    yield from _too_many(flow)
    for on in outcomes_of(flow, state):
        yield Ending(on, "work", (f"result:{state.name}",), worked=True)
    yield Ending(FAILED, "clock")  # its deadline passed
    yield Ending(LIMIT, events=("limit:turn_seconds",), limit="turn_seconds", needs_time=True)
    for limit in ("subflow_depth", "subflows"):
        yield Ending(LIMIT, events=(f"limit:{limit}",), limit=limit)
