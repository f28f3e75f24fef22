"""Where a conversation is, and one move from there: the shapes that a model is made of."""

from dataclasses import dataclass
from typing import NamedTuple

from .choices import Choice
from .counters import Check
from .endings import NOTHING, Cost, Ending


class Location(NamedTuple):
    """Where a conversation is, but for its counters. `fresh`: no time has passed in this turn yet."""

    state: str
    frames: tuple[str, ...] = ()
    last_agent: str = ""
    fresh: bool = True
    watched: tuple[int, ...] = ()


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
