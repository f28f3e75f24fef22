"""How much must be counted: as little as decides the questions, so that most flows are searched in an instant."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from ...contracts.flow import Flow
from .bill import Bill, declared_bill, edges, paying_cycle, turn_bill
from .counters import COUNTED
from .explore import MOST_CONFIGURATIONS, Explored, Told, components, explore, nobody
from .model import Model
from .monitor import Monitor
from .moving import Child, Move

OF_A_TURN = ("steps", "agent_calls", "tool_calls", "handoffs", "same_pair", "self_handoffs")
"""Limits of a turn that count moves and calls."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A way round within a turn, by its states; the limit that ends it (empty: none that is counted), and after how
    many rounds, model calls and tool calls at least."""

    states: tuple[str, ...]
    limit: str
    rounds: int
    calls: int
    tools: int


@dataclass(frozen=True, slots=True)
class Search:
    """A search that was made, and the most that may be used between two inputs."""

    explored: Explored
    bill: Bill
    counted: frozenset[str]
    loops: tuple["Loop", ...] = ()
    """Ways round within a turn that call something, and what ends each."""

    @property
    def complete(self) -> bool:
        return self.explored.complete


def searched(
    flow: Flow,
    monitors: tuple[Monitor, ...] = (),
    below: Mapping[str, Child] | None = None,
    most: int = MOST_CONFIGURATIONS,
    told: Told = nobody,
) -> Search:
    """Everything the flow can do. Nothing is counted at first; where no limit of a turn could be reached that is
    exact, and else every limit that can be is counted."""
    found = explore(Model(flow, frozenset(), monitors, below), most, told)
    parts = components(found)
    counted = needed(flow, found, parts)
    loops = tuple(loops_of(found, parts))
    if counted and found.complete:
        found = explore(Model(flow, counted, monitors, below), most, told)
        parts = components(found) if found.complete else []
    bill = turn_bill(found, parts) if found.complete else declared_bill(found)
    return Search(found, bill, counted, loops)


def needed(flow: Flow, explored: Explored, parts: list[list[int]]) -> frozenset[str]:
    """The limits that some turn could reach: none where each turn is over before."""
    limits = flow.limits
    if all(len(part) == 1 and part[0] not in explored.compiled.within_turn(part[0]) for part in parts):
        steps, calls, tools, agents = _longest(explored, parts)
        if (
            steps < limits.steps
            and calls <= limits.agent_calls
            and (limits.tool_calls is None or tools <= limits.tool_calls)
            and agents - 1 <= min(limits.handoffs, limits.same_pair, limits.self_handoffs or COUNTED)
        ):
            return frozenset()
    counted = {name for name in OF_A_TURN if 0 < (getattr(limits, name) or 0) <= COUNTED}
    calls_most = limits.agent_calls if "agent_calls" in counted else COUNTED + 1
    if limits.handoffs >= calls_most:
        counted.discard("handoffs")
    handed = min(calls_most, limits.handoffs)
    if limits.same_pair >= handed:
        counted.discard("same_pair")
    if limits.self_handoffs is not None and limits.self_handoffs >= min(handed, limits.same_pair):
        counted.discard("self_handoffs")
    return frozenset(counted)


def _longest(explored: Explored, parts: list[list[int]]) -> tuple[int, int, int, int]:
    """Most rows, calls that must be made, tools that must run and agents, in a turn without a way round."""
    best: dict[int, tuple[int, int, int, int]] = {}
    for (here,) in parts:
        most = (0, 0, 0, 0)
        for move, there in edges(explored, here):
            steps, calls, tools, agents = best.get(there, (0, 0, 0, 0))
            ending = move.ending
            room = max(ending.least, ending.room)
            total = (steps + 1, calls + room, tools + ending.tools, agents + len(ending.agents))
            most = (max(most[0], total[0]), max(most[1], total[1]), max(most[2], total[2]), max(most[3], total[3]))
        best[here] = most
    return (
        max(one[0] for one in best.values()) + 1,
        max(one[1] for one in best.values()),
        max(one[2] for one in best.values()),
        max(one[3] for one in best.values()),
    )


def loops_of(explored: Explored, parts: list[list[int]]) -> Iterator[Loop]:
    """A shortest paying way round of each part in which nothing was counted."""
    told: set[frozenset[str]] = set()
    for part in parts:
        if len(part) == 1 and part[0] not in explored.compiled.within_turn(part[0]):
            continue
        cycle = paying_cycle(explored, frozenset(part))
        through = frozenset(explored.model.location(one).state for one in cycle)
        if cycle and through not in told:
            told.add(through)
            round_ = (*cycle, cycle[0])
            moves = [explored.move_between(one, two, within_turn=True) for one, two in pairwise(round_)]
            states = tuple(explored.model.location(one).state for one in cycle)
            yield loop_of(explored.model, states, moves)


def loop_of(model: Model, states: tuple[str, ...], moves: list[Move]) -> Loop:
    """The way round through these states by these moves, with the limit that ends it."""
    return _ended(model.flow, states, [_agent_of(model, one) for one in states], moves)


def _agent_of(model: Model, state: str) -> str:
    return getattr(model.states[state], "agent", "")


def _ended(flow: Flow, states: tuple[str, ...], agents: list[str], moves: list[Move]) -> Loop:
    """Go round until a limit stands in the way, each visit taking the least that it can."""
    limits = flow.limits
    used = dict.fromkeys(OF_A_TURN, 0)
    pairs: dict[tuple[str, str], int] = {}
    last, rounds = "", 0
    while rounds <= COUNTED:
        for agent, move in zip(agents, moves, strict=True):
            ending = move.ending
            wanted = {"agent_calls": ending.least, "tool_calls": ending.tools, "steps": 1}
            if ending.agents and last:
                pairs[last, agent] = pairs.get((last, agent), 0) + 1
                wanted |= {"handoffs": 1, "self_handoffs": int(agent == last)}
                if pairs[last, agent] > limits.same_pair and limits.same_pair <= COUNTED:
                    return Loop(states, "same_pair", rounds, used["agent_calls"], used["tool_calls"])
            for name, by in wanted.items():
                limit = getattr(limits, name)
                if limit is not None and limit <= COUNTED and by and used[name] + by > limit:
                    return Loop(states, name, rounds, used["agent_calls"], used["tool_calls"])
                used[name] += by
            last = agent if ending.agents else last
        rounds += 1
    return Loop(states, "", rounds, used["agent_calls"], used["tool_calls"])
