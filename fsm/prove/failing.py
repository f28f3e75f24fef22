"""When everything fails and nobody answers: every wait has a deadline, and what follows does not go round for ever."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ...contracts.flow import Flow
from .explore import Explored, connected, explore
from .findings import Finding, Step, Verdict, happened, line_of, steps_of
from .model import Model
from .moving import Move
from .search import loop_of

FAILING = {
    "agent": ("invalid", "timeout", "failed"),
    "call": ("failed", "timeout"),
    "broadcast": ("failed",),
    "subflow": ("failed",),
    "wait": ("expired",),
    "collect": ("expired",),
    "human": ("expired",),
}
"""How a state ends when what it waits for does not come."""
WAITING = ("wait", "collect", "human")
"""States that end so when their deadline passes."""
MOST = 200_000
"""Configurations that are looked at."""
LONG_DAYS = 90
DAY = 86_400


def fallbacks_lead_on(flow: Flow, lines: Mapping[str, int], holds: Verdict) -> Iterator[Finding]:
    """The deadlines that there are, and a way round in which only deadlines pass and calls fail."""
    explored = explore(Model(flow), MOST)
    if not explored.complete:
        yield Finding("P324", "unknown", "Too much can happen to follow every failure.")
        return
    cycle, ended = _way_round(explored)
    if cycle:
        path = (*explored.path_to(cycle[0]), *cycle[1:], cycle[0])
        steps = steps_of(explored, path, lines, len(path) - len(cycle))
        round_ = (*cycle[1:], cycle[0])
        steps = (
            *steps[: -len(cycle)],
            *(
                _failed(explored, step, here, there, lines)
                for step, here, there in zip(steps[-len(cycle) :], cycle, round_, strict=True)
            ),
        )
        row = next(one.row for one in reversed(steps) if one.row is not None)
        where = f"transitions.{row}"
        named = " to ".join(f"{one.state!r}" for one in steps[-len(cycle) :])
        says = f"When nobody answers and every call fails, {named} goes round: there is no fallback in it."
        if any(one.on == "expired" for one in steps[-len(cycle) :]):
            says = f"When nobody answers, {named} goes round each time the deadline passes: there is no fallback in it."
        fix = "Lead a row for `failed`, `timeout` or `expired` to a person or an end, or count it with visits_at_most."
        yield Finding("P324", "refuted", says, steps, line_of(lines, where), where, fix)
        return
    yield from _told(flow, lines, holds, ended)


def _told(flow: Flow, lines: Mapping[str, int], holds: Verdict, ended: Sequence[str]) -> Iterator[Finding]:
    """What the language demands of every flow, with the longest of it."""
    waits = {one.name: one.deadline_seconds for one in flow.states if hasattr(one, "deadline_seconds")}
    works = {one.name: one.timeout_seconds for one in flow.states if one.kind in ("agent", "call", "route")}
    for name, seconds in waits.items():
        if seconds > LONG_DAYS * DAY:
            where = f"states.{name}"
            says = f"{name!r} waits up to {seconds // DAY:,} days: that is no deadline that anybody would wait for."
            yield Finding("P324", "noted", says, (), line_of(lines, where), where, "Shorten it.")
    parts = []
    for words, some in (("a deadline", waits), ("a timeout", works)):
        if some:
            longest = max(some, key=some.__getitem__)
            parts.append(f"{len(some)} with {words} (the longest {_in_words(some[longest])}, {longest!r})")
    says = f"Every state that waits or works ends in time, and its failure leads on: {' and '.join(parts)}."
    yield Finding("P324", holds, says + "".join(f" When every call fails, {one}." for one in ended))


def _in_words(seconds: int) -> str:
    size, unit = next(
        (size, unit) for size, unit in ((DAY, "d"), (3_600, "h"), (60, "m"), (1, "s")) if not seconds % size
    )
    return f"{seconds // size}{unit}"


def _fails(explored: Explored, move: Move, here: int) -> bool:
    return move.row is not None and move.on in FAILING.get(explored.model.kind(here), ())


def _failed(explored: Explored, step: Step, here: int, there: int, lines: Mapping[str, int]) -> Step:
    """The step, told as the failure that it is: other outcomes may lead to the same place."""
    move = next(move for move, to in explored.moves_from(here) if to == there and _fails(explored, move, here))
    return replace(
        step,
        happened=happened(move, explored.model.kind(here)),
        row=move.row,
        line=line_of(lines, f"transitions.{move.row}"),
        on=move.on,
        events=move.ending.events,
        given=move.given,
        limit=move.limit,
    )


def _way_round(explored: Explored) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Configurations of a shortest such way that no limit of a turn ends (nothing where there is none), and in words
    what ends the others. Between deadlines a turn goes on only as long as anybody waits, so no limit of it is an end.
    """
    following = {
        here: [there for move, there in explored.moves_from(here) if _fails(explored, move, here)]
        for here in explored.before
    }
    working = {
        here: [one for one in there if explored.model.kind(one) not in WAITING]
        for here, there in following.items()
        if explored.model.kind(here) not in WAITING
    }
    for part in connected(list(following), lambda here: following[here]):
        starts = [one for one in part if explored.model.kind(one) in WAITING]
        if starts and (len(part) > 1 or part[0] in following[part[0]]):
            start = min(starts, key=lambda one: len(explored.path_to(one)))
            return _round(following, frozenset(part), start), ()
    ended: dict[str, None] = {}
    for part in connected(list(working), lambda here: working[here]):
        if len(part) > 1 or part[0] in working[part[0]]:
            start = min(part, key=lambda one: len(explored.path_to(one)))
            cycle = _round(working, frozenset(part), start)
            if not (limit := _limit_of(explored, cycle)):
                return cycle, ()
            states = dict.fromkeys(repr(explored.model.location(one).state) for one in cycle)
            ended[f"{' to '.join(states)} is ended by {limit}"] = None
    return (), tuple(ended)


def _limit_of(explored: Explored, cycle: tuple[int, ...]) -> str:
    """The limit of a turn that ends the way round, with its value; empty where none that counts does."""
    flow = explored.model.flow
    moves = [
        next(move for move, to in explored.moves_from(here) if to == there and _fails(explored, move, here))
        for here, there in zip(cycle, (*cycle[1:], cycle[0]), strict=True)
    ]
    loop = loop_of(explored.model, tuple(explored.model.location(one).state for one in cycle), moves)
    return f"{loop.limit}: {getattr(flow.limits, loop.limit)}" if loop.limit else ""


def _round(following: Mapping[int, list[int]], inside: frozenset[int], start: int) -> tuple[int, ...]:
    """A shortest way from `start` round to it, by its configurations."""
    before: dict[int, int] = {}
    frontier = [start]
    while start not in before:
        frontier = [
            there
            for here in frontier
            for there in following[here]
            if there in inside and there not in before and before.setdefault(there, here) == here
        ]
    path = [before[start]]
    while path[-1] != start:
        path.append(before[path[-1]])
    return tuple(reversed(path)) if path[0] != start else (start,)
