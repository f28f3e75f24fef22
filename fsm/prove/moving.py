"""Where a conversation is, and one move from there: the shapes that a model is made of."""

from dataclasses import dataclass
from typing import NamedTuple

from .choices import Choice
from .counters import Check
from .endings import NOTHING, STAYS, Cost, Ending


class Location(NamedTuple):
    """Where a conversation is, but for its counters. `fresh`: no time has passed in this turn yet."""

    state: str
    frames: tuple[str, ...] = ()
    last_agent: str = ""
    fresh: bool = True
    watched: tuple[int, ...] = ()
    heard: bool = False
    """In a child conversation that must hear somebody to end: whether it has."""


@dataclass(frozen=True, slots=True)
class Child:
    """What a parent must know of a child flow. `turn` is the most that one of its turns takes, `first` the most of
    the one that begins with it.

    `alone` are the final states that it can come to without hearing anybody (None: not known, so any); `told` says
    that it can hear others than the customer: people, other systems, operators.
    """

    turn: Cost = NOTHING
    first: Cost = NOTHING
    alone: frozenset[str] | None = None
    told: bool = False
    unbounded: tuple[str, ...] = ()
    """What nothing bounds in one of its turns."""


UNKNOWN_CHILD = Child()
IN_THE_CHILD = Ending(STAYS, "person")
"""Somebody who is no customer is heard in a child conversation: it goes on, and the parent stays where it is."""


@dataclass(frozen=True, slots=True)
class Move:
    """One move: what ended the visit, the row taken (None where an input is taken without one), and where it leads.

    `to` is a difference to the configuration, or with `new_turn` the configuration itself.
    """

    ending: Ending
    on: str
    row: int | None
    target: int
    checks: tuple[Check, ...]
    to: int
    new_turn: bool
    cost: Cost
    """What the limits of the turn count, at most."""
    beside: Cost = NOTHING
    """What they do not count: a child conversation's turn, and what is asked again in the background."""
    limit: str = ""
    given: tuple[tuple[str, bool | None], ...] = ()
    held: tuple[str, ...] = ()
    """The policies that the step would have broken in whose place this row is taken."""
    instead: int | None = None
    """The row that was not taken for them; None of a tool."""


class Led(NamedTuple):
    """Where a row leads, or the row on `policy` in its place."""

    choice: Choice
    on: str
    limit: str
    target: int
    counted: str
    """The state that counts as entered."""
    held: tuple[str, ...] = ()
    instead: int | None = None
