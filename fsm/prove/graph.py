"""Backwards over what was explored: from where something can be reached, and in how many steps."""

from collections.abc import Callable

from .explore import Explored

MOST_BACKWARDS = 600_000
"""Configurations above which this is not attempted: the links backwards would not fit the memory that is meant."""


def distances(explored: Explored, ends: Callable[[int], bool]) -> dict[int, int]:
    """Fewest steps from each configuration to one that `ends` accepts, without an operator's help.

    What is missing cannot reach any. New turns are the same from every configuration of a location, so they are kept
    once for all of them.
    """
    jumps: dict[int, set[int]] = {}
    before: dict[int, list[int]] = {}
    compiled = explored.compiled
    by_location = explored.at()
    for index, members in by_location.items():
        for move in explored.model.moves_of(index):
            if move.new_turn and move.ending.cause != "operator":
                jumps.setdefault(move.to, set()).add(index)
        for here in members:
            for there in compiled.within_turn(here):
                before.setdefault(there, []).append(here)
    found = {one: 0 for one in explored.before if ends(one)}
    frontier = list(found)
    jumped: set[int] = set()
    steps = 0
    while frontier:
        steps += 1
        following: list[int] = []
        for there in frontier:
            for here in before.get(there, ()):
                if here not in found:
                    found[here] = steps
                    following.append(here)
            for index in jumps.get(there, ()):
                if index not in jumped:
                    jumped.add(index)
                    for here in by_location[index]:
                        if here not in found:
                            found[here] = steps
                            following.append(here)
        frontier = following
    return found
