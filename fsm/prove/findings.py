"""What was found out: a verdict to each question, and where it does not hold, the shortest way there as a table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Literal

from ...contracts.flow import Flow
from .bill import Bill
from .endings import STAYS
from .explore import Explored
from .moving import Move

Verdict = Literal["proved", "refuted", "bounded", "unknown", "noted", "accepted"]
"""`accepted`: it does not hold, and the flow says why that may be. `bounded`: nothing was found, and not everything was
searched. `noted`: nothing wrong, but worth reading."""


@dataclass(frozen=True, slots=True)
class Step:
    """One move of a counterexample. `row` is its index in the flow, `line` the row's in the flow's file (0: none);
    `changed` are the counters that it changed, with their new values; `given` is what guards must be for it, and
    `events` the words of fsm/prove/monitor.py that happened by themselves."""

    number: int
    state: str
    happened: str
    target: str
    row: int | None = None
    line: int = 0
    changed: tuple[tuple[str, int], ...] = ()
    in_loop: bool = False
    limit: str = ""
    on: str = ""
    events: tuple[str, ...] = ()
    given: tuple[tuple[str, bool | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question. `row` and `line` say what to mend; `fix` how."""

    code: str
    verdict: Verdict
    says: str
    counterexample: tuple[Step, ...] = ()
    line: int = 0
    where: str = ""
    fix: str = ""


@dataclass(frozen=True, slots=True)
class Bills:
    """The most that may be used between two inputs and in a whole conversation, and the way that uses most."""

    turn: Bill
    steps: tuple[Step, ...]
    conversation: Mapping[str, int | None]
    """None where nothing bounds it."""
    why: str = ""
    ways: Mapping[str, tuple[Step, ...]] = field(default_factory=dict)
    """The way that uses most of each figure (`calls`, `tools`, `tokens`, `nano`, `seconds`) between two inputs."""


@dataclass(frozen=True, slots=True)
class Proof:
    """Everything that was asked of a flow, and what was searched to answer it."""

    findings: tuple[Finding, ...]
    bills: Bills
    configurations: int
    transitions: int
    counted: tuple[str, ...]
    complete: bool

    @property
    def holds(self) -> bool:
        return not any(one.verdict == "refuted" for one in self.findings)


def line_of(lines: Mapping[str, int], where: str) -> int:
    """The line of a place, or of what it stands in."""
    while where:
        if line := lines.get(where, 0):
            return line
        where = where.rpartition(".")[0]
    return 0


def steps_of(
    explored: Explored, path: Sequence[int], lines: Mapping[str, int], loop: int | None = None
) -> tuple[Step, ...]:
    """The path as a table; from the step number `loop` on, it goes round."""
    model, found = explored.model, []
    before = model.counters.values(path[0])
    for number, (source, target) in enumerate(pairwise(path), start=1):
        goes_round = loop is not None and number >= loop
        move = explored.move_between(source, target, within_turn=goes_round)
        values = model.counters.values(target)
        found.append(
            Step(
                number,
                model.location(source).state,
                happened(move, model.states[model.location(source).state].kind),
                model.location(target).state,
                move.row,
                0 if move.row is None else line_of(lines, f"transitions.{move.row}"),
                tuple((name, value) for name, value in values.items() if value != before[name]),
                goes_round,
                move.limit,
                move.ending.on if move.held else move.on,
                move.ending.events,
                move.given,
            )
        )
        before = values
    return tuple(found)


def happened(move: Move, kind: str) -> str:
    """What happened, in words."""
    if move.held:
        refused = f"refused, for {', '.join(move.held)}"
        if kind == "call" and move.instead is None:  # nothing of the tool ended
            return f"the tool is not asked: {refused}"
        return f"{happened(replace(move, held=(), on=move.ending.on), kind)}: {refused}"
    ending = move.ending
    if move.limit:
        return f"the limit {move.limit} is reached"
    match ending.cause:
        case "input" if "message" in ending.events:
            return "the customer writes" + (f": {move.on}" if move.on not in ("message", "") else "")
        case "input":
            return f"the input {move.on} comes"
        case "person" if ending.on == STAYS:
            return "somebody else is heard in the child conversation"
        case "person":
            return f"a person decides: {move.on}"
        case "operator":
            return f"an operator intervenes: {move.on}"
        case "clock":
            return "the deadline passes" if move.on == "expired" else f"the clock: {move.on}"
    words = {
        "agent": "the agent ends",
        "call": "the tool ends",
        "route": "the message is sorted",
        "collect": "all is known",
    }
    return f"{words.get(kind, kind + ' ends')}: {move.on}" if move.on else "the agent asks a tool"


def rows_of(flow: Flow, index: int) -> str:
    """A row as the flow has it."""
    row = flow.transitions[index]
    return f"[{row.source}, {row.on}, {row.guard}, {'push ' if row.push else ''}{row.target}]"
