"""Policies over everything that a flow can do: kept by its rows alone, only while steps are refused, or not at all."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from ...contracts.flow import ANY, Flow
from ...contracts.policies import Policy, Watch
from ...contracts.values import listed
from ..policies.english import rule_of
from ..policies.words import is_refusable, meanings_of, words_of
from .counters import LOCATIONS
from .explore import Explored, Told, connected, explore, nobody
from .findings import Finding, Step, happened, line_of, rows_of, steps_of
from .model import POLICY, Model
from .monitor import Kept
from .moving import Move

HEARING = ("wait", "collect", "human")
"""Kinds of states in which a conversation that stays can still be led on by somebody."""
MOST_LOOSE = 200_000
"""Configurations looked at before anything is counted."""
MOST_AT_LOADING = 50_000
"""Configurations looked at while a flow is loaded."""


class Held(NamedTuple):
    """The first step that a policy refuses: the way to it, and what it was."""

    configuration: int
    move: Move | None
    what: str
    stays: bool = False
    """The rows on `policy` would break it too: nothing is taken."""


def first_broken(explored: Explored, at: int) -> int | None:
    """The first configuration in which a policy is broken: something happened that nobody can refuse."""
    model = explored.model
    monitor = model.monitors[at]
    bad = {index for index, one in enumerate(model.locations) if one.watched[at] in monitor.bad}
    return next((one for one in explored.before if one % LOCATIONS in bad), None) if bad else None


def first_held(explored: Explored, name: str) -> Held | None:
    """The first step that would break a policy, and is refused for it."""
    model = explored.model
    some = {index for index, held in model.refused.items() if name in held}
    for one in explored.before if some else ():
        index = one % LOCATIONS
        if index not in some:
            continue
        what = model.refused[index][name]
        if what.startswith("the tool "):
            return Held(one, None, what)
        move = next((move for move, _ in explored.moves_from(one) if name in move.held), None)
        stays = name in model.stays.get(index, ())  # then no move shows whether counters let it come so far
        if move is not None or stays or not model.rows.get((ANY, POLICY)):
            return Held(one, move, what, move is None and stays)
    return None


def owed_for_ever(explored: Explored, at: int, kept: Kept) -> list[int]:
    """A way round on which nobody is heard and the policy waits for something; none where there is no such way."""
    model = explored.model
    waiting = {index for index, one in enumerate(model.locations) if one.watched[at] in kept.watch.pending}
    owing = [one for one in explored.before if one % LOCATIONS in waiting] if waiting else []
    inside = frozenset(owing)

    def leads(here: int) -> list[int]:
        moves = explored.moves_from(here)
        return [there for move, there in moves if move.on and not move.new_turn and there in inside]

    for part in connected(owing, leads):
        if len(part) > 1 or part[0] in leads(part[0]):
            return part
    return []


def policies_kept(explored: Explored, lines: Mapping[str, int], complete: bool) -> Iterator[Finding]:
    """P311: each policy, with the shortest way to a step that would break it. Those that are not watched here were
    found to be kept before."""
    watched = {kept.watch.name: (at, kept) for at, kept in explored.model.kept}
    for policy in explored.model.flow.policies:
        finding = _found(explored, lines, policy, *watched[policy.name]) if policy.name in watched else None
        yield _judged(policy, finding, lines, complete or policy.name not in watched)


def _judged(policy: Policy, finding: Finding | None, lines: Mapping[str, int], complete: bool) -> Finding:
    place = f"policies.{policy.name}"
    if finding is None:
        says = f"The rows keep the policy {policy.name!r}: {rule_of(policy)}"
        return Finding("P311", "proved" if complete else "bounded", says, where=place, line=line_of(lines, place))
    if any(word.startswith("limit:") for word in policy.words) and finding.verdict == "refuted":
        words = listed(word for word in policy.words if word.startswith("limit:"))
        says = (
            f"Whether the rows keep the policy {policy.name!r} is not known: it speaks of {words}, and the way shown "
            "may need a limit that cannot be reached there, because which limit is reached is not told apart."
        )
        return replace(finding, verdict="unknown", says=says)
    return finding


def _found(explored: Explored, lines: Mapping[str, int], policy: Policy, at: int, kept: Kept) -> Finding | None:
    """How the policy fails, by the worst there is."""
    place, rule = f"policies.{policy.name}", rule_of(policy)
    broken = first_broken(explored, at)
    if broken is not None:
        path = steps_of(explored, explored.path_to(broken), lines)
        last = path[-1].state if path else explored.model.flow.initial
        says = f"The policy {policy.name!r} can be broken in {last!r} by what nobody can refuse: {rule}"
        fix = "Write it about the step that follows (a state entered or a tool asked), or mend the rows before it."
        return Finding("P311", "refuted", says, path, line_of(lines, place), place, fix)
    held = first_held(explored, policy.name)
    if held is not None:
        return _held(explored, lines, policy, held)
    if cycle := owed_for_ever(explored, at, kept):
        path = steps_of(explored, explored.path_to(cycle[0]), lines)
        states = listed(dict.fromkeys(explored.model.location(one).state for one in cycle))
        says = f"What the policy {policy.name!r} waits for may never come: {states} go round without it. {rule}"
        return Finding("P311", "refuted", says, path, line_of(lines, place), place, "Write a row that leads out of it.")
    return None


def _held(explored: Explored, lines: Mapping[str, int], policy: Policy, held: Held) -> Finding:
    """A step that is refused while the flow runs: the rows alone would break the policy."""
    model, move = explored.model, held.move
    path = steps_of(explored, explored.path_to(held.configuration), lines)
    state = model.location(held.configuration).state
    kind = model.states[state].kind
    where, what = f"states.{state}", held.what
    if move is not None and move.instead is not None:
        where, what = f"transitions.{move.instead}", f"the row {rows_of(model.flow, move.instead)}"
    elif move is not None:
        what = f"the tool of {state!r}"
    refused = f"{what}: refused, for {policy.name}"
    last = Step(
        number=len(path) + 1,
        state=state,
        happened=happened(replace(move, held=(policy.name,)), kind) if move else refused,
        target=state if move is None else model.locations[move.target].state,
        row=None if move is None else move.instead,
        line=line_of(lines, where),
        on="" if move is None else move.ending.on,
        given=() if move is None else move.given,
    )
    says = f"In {state!r}, {what} would break the policy {policy.name!r}. {rule_of(policy)}"
    if held.stays and model.rows.get((ANY, POLICY)):
        says += " So would each row on `policy`: nothing is taken, and the conversation stays."
        if kind not in HEARING:
            fix = "Let a row on `policy` lead to where this policy allows it."
            return Finding("P311", "refuted", says, (*path, last), line_of(lines, where), where, fix)
    if policy.enforced:
        says += " It is refused while the flow runs, as the policy says."
        return Finding("P311", "noted", says, (*path, last), line_of(lines, where), where)
    fix = "Mend the rows; or write `enforced: true` if it is enough that such a step is refused while the flow runs."
    return Finding("P311", "refuted", says, (*path, last), line_of(lines, where), where, fix)


def words_occur(flow: Flow, reached: frozenset[str], lines: Mapping[str, int]) -> Iterator[Finding]:
    """P312: what policies speak of, and no conversation brings about."""
    meanings = meanings_of(flow)
    there = {word for state in flow.states if state.name in reached for word in words_of(flow, state)}
    outside = ("message", "limit:", "input:")
    for policy in flow.policies:
        place = f"policies.{policy.name}"
        never = [one for one in policy.words if not one.startswith(outside) and not meanings(one) & there]
        if never:
            says = f"The policy {policy.name!r} speaks of {listed(never)}, which no conversation here brings about."
            fix = "Name what happens instead, or mend the rows that should lead to it."
            yield Finding("P312", "noted", says, (), line_of(lines, place), place, fix)


def kept_anyway(flow: Flow, watches: tuple[Watch, ...], most: int = MOST_LOOSE, told: Told = nobody) -> frozenset[str]:
    """Policies that the rows keep even if any limit could stop any step: then nothing has to be counted for them."""
    if not watches:
        return frozenset()
    explored = explore(
        Model(flow, monitors=tuple(Kept(watch) for watch in watches), loose=True), min(most, MOST_LOOSE), told
    )
    if not explored.complete:
        return frozenset()
    return frozenset(
        one.watch.name
        for at, one in explored.model.kept
        if first_broken(explored, at) is None
        and first_held(explored, one.watch.name) is None
        and not owed_for_ever(explored, at, one)
    )


def at_loading(flow: Flow, watches: tuple[Watch, ...]) -> tuple[bool, list[str]]:
    """Whether steps may have to be refused, and which policies can be broken by what cannot be: looked at without
    counting, so more than can happen."""
    kept = tuple(Kept(watch) for watch in watches)
    explored = explore(Model(flow, monitors=kept, loose=True), MOST_AT_LOADING)
    model = explored.model
    refused = not explored.complete or any(first_held(explored, one.watch.name) for one in kept)
    broken = [one.watch.name for at, one in model.kept if first_broken(explored, at) is not None]
    return refused, broken


def broken_from_outside(watch: Watch) -> bool:
    """Whether some word that nobody can refuse would break it."""
    return any(
        row[state] in watch.bad and state not in watch.bad
        for word, row in watch.steps.items()
        if not is_refusable(word)
        for state in range(len(row))
    )
