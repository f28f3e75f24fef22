"""Why a row is never taken: a row above it, its own guard, a policy, a limit, or that its outcome never comes."""

from ...contracts.flow import ANY, Flow
from ...contracts.values import listed
from .choices import atoms_of, choices, is_built_in
from .explore import Explored, allows, explore
from .model import Model
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
