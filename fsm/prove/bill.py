"""The worst-case bill: what may be used between two inputs and in a whole conversation, and the way that uses most."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from ...contracts.flow import Flow
from ..reserving import reserve
from .endings import NOTHING, Cost
from .explore import Explored
from .moving import Move

FIGURES = ("calls", "tools", "tokens", "nano", "seconds")
UNBOUNDED = ("calls", "tools")
"""What no limit bounds where a loop pays. The budgets of the turn still bound tokens, money and time."""


@dataclass(frozen=True, slots=True)
class Bill:
    """The most that may be used; a name in `unbounded` has no most, and `cycle` goes round within a turn."""

    most: Cost
    path: tuple[int, ...] = ()
    cycle: tuple[int, ...] = ()
    unbounded: tuple[str, ...] = ()
    uncapped: Cost = NOTHING
    """What the ways through add up to, whatever limits there are."""
    turns: Mapping[int, Cost] = field(default_factory=dict)
    """The most of each turn, by the configuration that it begins in."""
    paths: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """The way that uses most of each figure; they may be several."""


def edges(explored: Explored, here: int) -> Iterator[tuple[Move, int]]:
    """Moves within the turn."""
    return ((move, there) for move, there in explored.moves_from(here) if not move.new_turn)


UNBOUNDED_BESIDE = FIGURES
"""What nothing bounds that was looked at, where children and background calls come beside."""
Both = tuple[Cost, Cost]
"""What the limits of the turn count, and what is used beside."""


def turn_bill(explored: Explored, parts: list[list[int]]) -> Bill:
    """The most between two inputs, whichever turn it is."""
    best: dict[int, Both] = {}
    chosen: dict[str, dict[int, int]] = {name: {} for name in FIGURES}
    for part in parts:
        inside = frozenset(part)
        loops = len(part) > 1 or part[0] in explored.compiled.within_turn(part[0])
        if loops and (cycle := paying_cycle(explored, inside)):
            limits = explored.model.flow.limits
            budget = Cost(0, 0, limits.turn_tokens, limits.turn_cost, limits.turn_seconds)
            return Bill(budget, tuple(explored.path_to(cycle[0])), cycle, UNBOUNDED)
        own = beside = NOTHING
        for here in part:
            along, most = _most_from(explored, here, inside, best)
            for name, there in along.items():
                chosen[name][here] = there
            own, beside = own.most(most[0]), beside.most(most[1])
        for here in part:
            best[here] = (own, beside)
    return replace(_worst(explored, best, chosen), unbounded=_of_children(explored))


def _of_children(explored: Explored) -> tuple[str, ...]:
    """What nothing bounds in a turn of a child flow, which a turn here may wait for."""
    model = explored.model
    found = {name for one in model.locations for name in model.child_at(one).unbounded}
    return tuple(name for name in FIGURES if name in found)


def _most_from(
    explored: Explored, here: int, inside: frozenset[int], best: dict[int, Both]
) -> tuple[dict[str, int], Both]:
    """Where most is used from here, of each figure, and how much; within a part that goes round for nothing, what
    leads out of it."""
    own = beside = NOTHING
    along = dict.fromkeys(FIGURES, here)
    dearest = dict.fromkeys(FIGURES, (0, 0))
    for move, there in edges(explored, here):
        rest = (NOTHING, NOTHING) if there in inside else best.get(there)
        if rest is None:
            continue
        total, more = move.cost.plus(rest[0]), move.beside.plus(rest[1])
        whole = total.plus(more)
        for name in FIGURES:
            if (amount := _of(whole, name)) > dearest[name]:
                along[name], dearest[name] = there, amount
        own, beside = own.most(total), beside.most(more)
    return along, (own, beside)


def _of(cost: Cost, name: str) -> tuple[int, int]:
    """What is made as large as can be; of ways that are alike in it, the one with more tools, or more calls."""
    return getattr(cost, name), cost.tools if name == "calls" else cost.calls


def _worst(explored: Explored, best: dict[int, Both], chosen: dict[str, dict[int, int]]) -> Bill:
    own = beside = NOTHING
    turns: dict[int, Cost] = {}
    start = dict.fromkeys(FIGURES, explored.model.initial)
    dearest = dict.fromkeys(FIGURES, (-1, -1))
    cap = capped(explored.model.flow)
    for one in explored.turns:
        if one in best:
            more = best[one][1].plus(started(explored, one))
            total = best[one][0]
            turns[one] = cap(total).plus(more)
            for name in FIGURES:
                if (amount := _of(total.plus(more), name)) > dearest[name]:
                    start[name], dearest[name] = one, amount
            own, beside = own.most(total), beside.most(more)
    paths = {name: _along(explored, start[name], chosen[name]) for name in FIGURES}
    most = cap(own).plus(beside)
    return Bill(most, paths["calls"], uncapped=own, turns=turns, paths=paths)


def _along(explored: Explored, start: int, chosen: Mapping[int, int]) -> tuple[int, ...]:
    """The way to where the turn begins, and on to where it ends."""
    path = explored.path_to(start)
    seen = {start}
    while chosen[path[-1]] not in seen:
        seen.add(chosen[path[-1]])
        path.append(chosen[path[-1]])
    return tuple(path)


def started(explored: Explored, turn: int) -> Cost:
    """What the input that begins the turn takes at once: a child conversation goes on with it."""
    return explored.model.child_at(explored.model.location(turn)).turn


def declared_bill(explored: Explored) -> Bill:
    """What the limits of a turn let pass, where not every way could be looked at."""
    flow, limits = explored.model.flow, explored.model.flow.limits
    beside = any(one.kind == "subflow" or (one.kind == "broadcast" and one.retries) for one in flow.states)
    unbounded = UNBOUNDED_BESIDE if beside else () if limits.tool_calls is not None else ("tools",)
    most = Cost(limits.agent_calls, limits.tool_calls or 0, limits.turn_tokens, limits.turn_cost, limits.turn_seconds)
    return Bill(most, (explored.model.initial,), unbounded=unbounded)


def capped(flow: Flow) -> Callable[[Cost], Cost]:
    """No more than the limits of a turn let pass: what they are is looked up once for a whole flow."""
    limits = flow.limits
    timed = any(one.kind in ("broadcast", "subflow") for one in flow.states)
    reserved = [reserve(one) for one in flow.agents]
    tokens = max((one[0] for one in reserved), default=0)
    nano = max((one[1] for one in reserved), default=0)

    def cap(cost: Cost) -> Cost:
        calls = min(cost.calls, limits.agent_calls)
        return Cost(
            calls,
            cost.tools if limits.tool_calls is None else min(cost.tools, limits.tool_calls),
            min(cost.tokens, limits.turn_tokens, calls * tokens),
            min(cost.nano, limits.turn_cost, calls * nano),
            cost.seconds if timed else min(cost.seconds, limits.turn_seconds),
        )

    return cap


def paying_cycle(explored: Explored, inside: frozenset[int]) -> tuple[int, ...]:
    """A shortest way round in which something is called; nothing where there is none."""
    for here in sorted(inside):
        for move, there in edges(explored, here):
            if there in inside and pays(move):
                return (here, *_way(explored, there, here, inside)) if there != here else (here,)
    return ()


def pays(move: Move) -> bool:
    return bool(move.cost.calls or move.cost.tools or move.beside.calls or move.beside.tools)


def _way(explored: Explored, source: int, target: int, inside: frozenset[int]) -> tuple[int, ...]:
    """From `source` up to, and without, `target`; `source` comes first."""
    before = {source: source}
    frontier = [source]
    while frontier and target not in before:
        following = []
        for here in frontier:
            for there in explored.compiled.within_turn(here):
                if there in inside and there not in before:
                    before[there] = here
                    following.append(there)
        frontier = following
    path = [target]
    while path[-1] != source:
        path.append(before[path[-1]])
    return tuple(path[:0:-1])
