"""Which states, rows, guard outcomes and row pairs of a flow were taken, and which are missing though they could be."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..contracts.events import ConversationStarted, Event, TransitionTaken
from ..contracts.flow import Flow
from ..contracts.values import listed
from ..fsm.prove.model import NEW_TURN
from ..fsm.prove.search import Search, searched

Pair = tuple[int, int]
_MOST_KNOWN = 64
MOST_CONFIGURATIONS = 60_000
"""Explored for the question of what could be taken; where a flow has more, what is missing may be impossible."""


@dataclass(frozen=True, slots=True)
class Reachable:
    """What can be taken at all, by the model that `interlock check` explores."""

    states: frozenset[str]
    rows: frozenset[int]
    pairs: frozenset[Pair]
    complete: bool
    moves: frozenset[tuple[str, int, str]]
    """Every move as the state left, the row, and the state entered."""
    leads_out: frozenset[str]
    """The states from which an end or a person can be reached."""


_KNOWN: dict[int, tuple[Flow, Reachable]] = {}
"""By the flow object, which is kept so that its number stays its own: a flow's value takes long to compare."""


def reachable(flow: Flow) -> Reachable:
    """Everything that the flow can do, each row after each that can stand before it."""
    found = _KNOWN.get(id(flow))
    if found is None:
        while len(_KNOWN) >= _MOST_KNOWN:
            del _KNOWN[next(iter(_KNOWN))]
        found = flow, reachable_in(searched(flow, most=MOST_CONFIGURATIONS))
        _KNOWN[id(flow)] = found
    return found[1]


def reachable_in(search: Search) -> Reachable:
    explored, model = search.explored, search.explored.model
    states, rows, pairs, moves = set[str](), set[int](), set[Pair](), set[tuple[str, int, str]]()
    after: dict[int, set[int]] = {}
    arriving: dict[int, set[int]] = {}
    onward: dict[str, set[str]] = {}
    for index in explored.at():
        here = model.locations[index].state
        states.add(here)
        for move in model.moves_of(index):
            there = model.locations[move.target].state
            if move.row is None:
                continue
            rows.add(move.row)
            moves.add((here, move.row, there))
            after.setdefault(index, set()).add(move.row)
            arriving.setdefault(move.target, set()).add(move.row)
            if move.ending.cause != "operator":
                onward.setdefault(here, set()).add(there)
    for index, before in arriving.items():
        pairs |= {(one, two) for one in before for two in after.get(index, ())}
    ends = {name for name, state in model.states.items() if state.kind in ("final", "human")}
    while more := {one for one in onward if one not in ends and onward[one] & ends}:
        ends |= more
    return Reachable(
        frozenset(states), frozenset(rows), frozenset(pairs), search.complete, frozenset(moves), frozenset(ends)
    )


INPUTS = NEW_TURN


@dataclass
class Coverage:
    """What was taken of one flow, over any number of conversations."""

    flow: Flow
    states: Counter[str] = field(default_factory=Counter)
    rows: Counter[int] = field(default_factory=Counter)
    pairs: Counter[Pair] = field(default_factory=Counter)
    guards: Counter[tuple[int, str]] = field(default_factory=Counter)
    """By row and verdict: `holds`, `fails` or `error`."""
    conversations: int = 0
    acts: int = 0

    def take(self, events: Iterable[Event]) -> set[int | Pair | str]:
        """Count one conversation's events from its beginning; returns what was new: rows, pairs and states."""
        new: set[int | Pair | str] = set()
        before: int | None = None
        for event in events:
            if isinstance(event, ConversationStarted):
                self.states[event.state] += 1
            elif isinstance(event, TransitionTaken):
                for verdict in event.verdicts:
                    if verdict.result != "not_reached" and verdict.guard not in ("otherwise", "in_digression"):
                        self.guards[verdict.row, verdict.result] += 1
                new |= self._row(event, before)
                before = event.row
        return new

    def _row(self, event: TransitionTaken, before: int | None) -> set[int | Pair | str]:
        new: set[int | Pair | str] = set()
        if not self.rows[event.row]:
            new.add(event.row)
        if not self.states[event.target]:
            new.add(event.target)
        self.rows[event.row] += 1
        self.states[event.target] += 1
        if before is not None:
            if not self.pairs[before, event.row]:
                new.add((before, event.row))
            self.pairs[before, event.row] += 1
        return new

    @property
    def missing_rows(self) -> list[int]:
        return sorted(row for row in reachable(self.flow).rows if not self.rows[row])

    @property
    def missing_states(self) -> list[str]:
        return sorted(state for state in reachable(self.flow).states if not self.states[state])

    @property
    def missing_pairs(self) -> list[Pair]:
        return sorted(pair for pair in reachable(self.flow).pairs if not self.pairs[pair])

    @property
    def missing_guards(self) -> list[tuple[int, str]]:
        """Verdicts that no row's condition gave, of rows that were tried or could be."""
        guarded = [
            row for row in sorted(reachable(self.flow).rows) if self.flow.transitions[row].guard.op not in _PLAIN
        ]
        return [(row, result) for row in guarded for result in ("holds", "fails") if not self.guards[row, result]]

    def row_words(self, row: int) -> str:
        one = self.flow.transitions[row]
        condition = "" if one.guard.op == "otherwise" else f" if {one.guard}"
        return f"row {row + 1}: {one.source}, on {one.on}{condition} → {one.target} ({one.policy})"

    def why(self, row: int) -> str:
        """What a row that was not taken needs, as far as its event tells."""
        one = self.flow.transitions[row]
        if one.on in _NEEDS:
            return _NEEDS[one.on]
        if not self.states[one.source] and one.source != "any":
            return f"{one.source!r} was never entered"
        return "no conversation that was tried took it; more are tried with --flow-runs, or write it by hand"

    def report(self, *, missing: int = 8) -> str:
        """What was covered and what is missing, for people."""
        can = reachable(self.flow)
        guarded = [row for row in can.rows if self.flow.transitions[row].guard.op not in _PLAIN]
        rows, states, pairs, guards = (
            self.missing_rows,
            self.missing_states,
            self.missing_pairs,
            self.missing_guards,
        )
        lines = [
            f"{self.flow.name} v{self.flow.version}: {self.conversations:,} conversations, {self.acts:,} acts",
            f"  states         {_share(len(can.states) - len(states), len(can.states))}",
            f"  rows           {_share(len(can.rows) - len(rows), len(can.rows))}",
            f"  guard outcomes {_share(2 * len(guarded) - len(guards), 2 * len(guarded))}",
            f"  row pairs      {_share(len(can.pairs) - len(pairs), len(can.pairs))}",
        ]
        if not can.complete:
            lines.append("  the flow is larger than was explored: what is missing may be impossible")
        if states:
            lines.append(f"  never entered: {listed(states)}")
        lines += [f"  never taken: {self.row_words(row)}: {self.why(row)}" for row in rows]
        lines += [f"  never {result}: {self.row_words(row)}" for row, result in guards[:missing]]
        unseen = max(len(guards) - missing, 0)
        lines += [f"  and {unseen} more guard outcomes"] if unseen else []
        return "\n".join(lines)


_NEEDS = {
    "over_budget": "it needs usage above a budget, as in `agent_answers(..., usage=(tokens in, tokens out))`",
    "limit": "it needs a limit to be reached, which no conversation that was tried did",
}
_PLAIN = frozenset({"otherwise", "in_digression"})


def _share(found: int, whole: int) -> str:
    return f"{found:>5,} of {whole:,}" + (f" ({found / whole:.0%})" if whole else "")
