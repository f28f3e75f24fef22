"""Why a row is never taken: a row above it, its own guard, a policy, a limit, or that its outcome never comes."""

from collections.abc import Iterator, Mapping

from ...contracts.flow import ANY, Flow
from ...contracts.values import listed
from .allowing import Allowed
from .choices import atoms_of, choices, is_built_in
from .endings import LIMIT
from .explore import Explored, allows, explore
from .findings import Finding, line_of, rows_of
from .model import POLICY, Model
from .search import Search

MOST = 50_000
"""Configurations that are looked at for one cause."""
ABOVE = "whenever its guard holds, a row above it does too"


def why_never(search: Search, index: int) -> tuple[str, str]:
    """The cause in words, and how to mend it."""
    flow = search.explored.model.flow
    guard = flow.transitions[index].guard
    if not any(choices(flow, ((index, flow.transitions[index]),), deep) for deep in (False, True)):
        return "its guard can never hold", "Mend the guard, or delete the row."
    if _shadowed(flow, index):
        return ABOVE, "Move it up, or delete it."
    model = search.explored.model
    free = explore(Model(flow, below=model.below), MOST)
    if not free.complete:
        return "nothing leads to it", "Mend the rows before it, or delete it."
    if takes(free, index):
        return _held(search, index)
    if any(one.name == "visits_at_most" and is_built_in(flow, one) for one in atoms_of(guard)):
        return f"no turn comes to so many visits as {guard} counts", "Mend the number in the guard, or delete the row."
    on = flow.transitions[index].on
    return f"nothing ends with {on!r} there", "Mend the rows before it, or delete it."


def spare(flow: Flow, index: int) -> bool:
    """Whether the row must be there, whether or not it is ever needed."""
    row = flow.transitions[index]
    several = sum((one.source, one.on) == (row.source, row.on) for one in flow.transitions) > 1
    return row.on in (LIMIT, POLICY) or (row.guard.op == "otherwise" and several)


def states_by_facts(
    flow: Flow, reached: frozenset[str], ever: Allowed, alone: Allowed, lines: Mapping[str, int]
) -> Iterator[Finding]:
    """P301: states that only rows lead to which no fact lets hold, or only facts that a conversation begins with."""
    for state in flow.states:
        where = f"states.{state.name}"
        if state.name not in reached or state.name in alone.states:
            continue
        if state.name in ever.states:
            says = f"A conversation comes to {state.name!r} only by facts that whoever starts it gives."
            yield Finding("P301", "noted", says, (), line_of(lines, where), where, "Give them, or mend its guards.")
        else:
            says = f"No conversation comes to {state.name!r}: no fact can be so that a row to it is taken."
            fix = "Mend the guards of the rows that lead to it, or delete it."
            yield Finding("P301", "refuted", says, (), line_of(lines, where), where, fix)


def rows_by_facts(
    flow: Flow, taken: frozenset[int], ever: Allowed, alone: Allowed, lines: Mapping[str, int]
) -> Iterator[Finding]:
    """P302: rows whose guards no fact lets hold where they are asked, or only facts that a conversation begins with."""
    for index, row in enumerate(flow.transitions):
        where, told = f"transitions.{index}", rows_of(flow, index)
        line = line_of(lines, where)
        if index not in taken or index in alone.rows or (row.source != ANY and row.source not in alone.states):
            continue
        if row.on in (LIMIT, POLICY) or (row.source == ANY and row.guard.op == "otherwise"):
            continue
        if index in ever.rows:
            if row.guard.op != "otherwise":
                says = f"The row {told} is taken only where whoever starts the conversation gives the facts: by itself "
                says += "nothing makes them known before it."
                yield Finding("P302", "noted", says, (), line, where, "Give them, or mend the row.")
        elif spare(flow, index):
            says = f"The row {told} is never needed: the rows above it hold whatever the facts are."
            yield Finding("P302", "noted", says, (), line, where)
        else:
            why, fix = _by_facts(flow, index)
            yield Finding("P302", "refuted", f"The row {told} is never taken: {why}.", (), line, where, fix)


def _by_facts(flow: Flow, index: int) -> tuple[str, str]:
    row = flow.transitions[index]
    if not any(choices(flow, ((index, row),), deep, {}) for deep in (False, True)):
        return "no value that its facts may have lets its guard hold", "Mend the guard or the bounds of the fact."
    group = [(at, one) for at, one in enumerate(flow.transitions) if (one.source, one.on) == (row.source, row.on)]
    if not any(one.row == index for deep in (False, True) for one in choices(flow, group, deep, {})):
        return "for every value that its facts may have, a row above it holds", "Move it up, or delete it."
    return "where it is asked, its facts are never so", "Mend the guard, or the rows that lead there."


def takes(explored: Explored, index: int) -> bool:
    """Whether the row is taken in some configuration, or would be but for a policy."""
    return any(
        index in (move.row, move.instead) and (move.new_turn or any(allows(move.checks, one) for one in members))
        for place, members in explored.at().items()
        for move in explored.model.moves_of(place)
    )


def _shadowed(flow: Flow, index: int) -> bool:
    """Whether rows above it forestall it in every state that it is of."""
    row = flow.transitions[index]
    states = [one.name for one in flow.states] if row.source == ANY else [row.source]
    for state in states:
        own = [(at, one) for at, one in enumerate(flow.transitions) if (one.source, one.on) == (state, row.on)]
        wide = [(at, one) for at, one in enumerate(flow.transitions) if (one.source, one.on) == (ANY, row.on)]
        for deep in (False, True):
            if any(one.row == index for one in choices(flow, (*own, *wide), deep)):
                return False
    return True


def _held(search: Search, index: int) -> tuple[str, str]:
    """A row that would be taken but for policies, or for a limit of a turn."""
    model = search.explored.model
    fix = "Mend the rows before it, or delete it."
    watched = explore(Model(model.flow, frozenset(), model.monitors, model.below), MOST)
    if not watched.complete:
        return "a policy or a limit always stands before it", fix
    source = model.flow.transitions[index].source
    if not takes(watched, index):
        held = {
            name: None
            for place, some in watched.model.refused.items()
            if source in (ANY, watched.model.locations[place].state)
            for name in some
        }
        if held:
            return (
                f"the policy {listed(held)} refuses before it, always",
                "Mend the rows that lead there, or the policy.",
            )
        return "policies refuse every way to it", "Mend the rows that lead there, or the policies."
    for name in sorted(search.counted):
        other = explore(Model(model.flow, search.counted - {name}, model.monitors, model.below), MOST)
        if other.complete and takes(other, index):
            limit = f"{name}: {getattr(model.flow.limits, name)}"
            return f"the limit {limit} always stands before it", "Raise the limit, or delete the row."
    return f"the limits {listed(sorted(search.counted))} always stand before it", "Raise them, or delete the row."
