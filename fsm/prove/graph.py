"""Backwards over what was explored: from where something can be reached, and in how many steps."""

from collections.abc import Callable, Mapping

from .explore import Explored, allows
from .moving import Move

MOST_BACKWARDS = 600_000
"""Configurations above which this is not attempted: the links backwards would not fit the memory that is meant."""


OF_A_CONVERSATION = "conversation_"
"""How limits begin that are of a whole conversation: a way through one comes after thousands of messages or calls."""


def after_a_conversation(move: Move) -> bool:
    """Whether a limit of the whole conversation stands in for what else would happen."""
    return move.limit.startswith(OF_A_CONVERSATION)


def at_a_limit(move: Move) -> bool:
    """Whether any limit does."""
    return bool(move.limit)


def distances(
    explored: Explored, ends: Callable[[int], bool], without: Callable[[Move], bool] | None = None
) -> dict[int, int]:
    """Fewest steps from each configuration to one that `ends` accepts, without an operator's help, and without moves
    that `without` accepts.

    What is missing cannot reach any. New turns are the same from every configuration of a location, so they are kept
    once for all of them.
    """
    jumps: dict[int, set[int]] = {}
    before: dict[int, list[int]] = {}
    compiled = explored.compiled
    by_location = explored.at()
    for index, members in by_location.items():
        for move in explored.model.moves_of(index):
            if move.new_turn and move.ending.cause != "operator" and not (without and without(move)):
                jumps.setdefault(move.to, set()).add(index)
        within = _within(explored, index, without)
        for here in members:
            for there in compiled.within_turn(here) if within is None else within(here):
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


def _within(
    explored: Explored, index: int, without: Callable[[Move], bool] | None
) -> Callable[[int], list[int]] | None:
    """Where moves within the turn lead but those left out; None where none of the location is left out."""
    moves = [move for move in explored.model.moves_of(index) if not move.new_turn]
    kept = [move for move in moves if without is None or not without(move)]
    if len(kept) == len(moves):
        return None
    return lambda here: [here + move.to for move in kept if allows(move.checks, here)]


def nearer(
    explored: Explored, here: int, left: Mapping[int, int], without: Callable[[Move], bool]
) -> list[tuple[Move, int]]:
    """A shortest way on from there, by its moves and where each leads, as `distances` found it without the same."""
    found: list[tuple[Move, int]] = []
    while left.get(here):
        moves = [
            (move, there)
            for move, there in explored.moves_from(here)
            if left.get(there, left[here]) < left[here] and move.ending.cause != "operator" and not without(move)
        ]
        move, here = min(moves, key=lambda pair: (bool(pair[0].limit), pair[0].on))
        found.append((move, here))
    return found
