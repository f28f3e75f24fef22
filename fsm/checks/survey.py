"""What every check looks at: the flow, indexed once, with the lines of its file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from ...contracts.errors import Fault
from ...contracts.flow import ANY, OPERATOR_INPUTS, RETURN, FactSpec, Flow, RouterSpec, State, Transition
from ...contracts.guard import Guard
from ...contracts.subflow import SubflowSpec
from ..code import Code
from ..outcomes import outcomes_of

LIMIT = "limit"
"""The trigger of the rows that are taken when a limit is reached."""
POLICY = "policy"
"""The trigger of the rows that are taken where a step would break a policy."""
Row = tuple[int, Transition]


@dataclass
class Survey:
    """A flow under inspection.

    `unread` are names of states and other things that stand in the file and could not be read: they
    are known, and nothing is known of them. `partial` is true where rows or states were lost.
    """

    flow: Flow
    code: Code | None = None
    lines: Mapping[str, int] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()
    partial: bool = False

    def fault(self, code: str, where: str, what: str, fix: str) -> Fault:
        line, place = 0, where
        while place and not line:
            line = self.lines.get(place, 0)
            place = place.rpartition(".")[0]
        return Fault(code, what, fix, line, where)

    @cached_property
    def states(self) -> Mapping[str, State]:
        """By name; the first of several with one name."""
        found: dict[str, State] = {}
        for state in self.flow.states:
            found.setdefault(state.name, state)
        return found

    @cached_property
    def facts(self) -> Mapping[str, FactSpec]:
        return {fact.name: fact for fact in self.flow.facts}

    @cached_property
    def routers(self) -> Mapping[str, RouterSpec]:
        return {router.name: router for router in self.flow.routers}

    @cached_property
    def subflows(self) -> Mapping[str, SubflowSpec]:
        return {one.name: one for one in self.flow.subflows}

    def knows_state(self, name: str) -> bool:
        return name in self.states or name in self.unread

    @cached_property
    def rows(self) -> tuple[Row, ...]:
        return tuple(enumerate(self.flow.transitions))

    @cached_property
    def groups(self) -> Mapping[tuple[str, str], tuple[Row, ...]]:
        """Rows by (from, on), in their order: each group is tried top to bottom."""
        found: dict[tuple[str, str], list[Row]] = {}
        for index, row in self.rows:
            found.setdefault((row.source, row.on), []).append((index, row))
        return {key: tuple(rows) for key, rows in found.items()}

    @cached_property
    def digression_labels(self) -> tuple[str, ...]:
        router = self.routers.get(self.flow.digressions or "")
        return tuple(router.labels) if router else ()

    def labels_unknown(self, router: str | None) -> bool:
        """True if nothing can be said of the labels: the router is not there, or could not be read."""
        found = self.routers.get(router or "")
        return router in self.unread or found is None or not found.labels

    @cached_property
    def outcomes(self) -> Mapping[str, tuple[str, ...]]:
        """By state: what it can end with."""
        return {name: outcomes_of(self.flow, state) for name, state in self.states.items()}

    @cached_property
    def interventions(self) -> frozenset[str]:
        """Triggers that come from outside a state's work: a limit, a policy, an operator, a digression."""
        held = {POLICY} if self.flow.policies else ()
        return frozenset({LIMIT, *OPERATOR_INPUTS, *self.digression_labels, *held})

    def rows_for(self, state: str, on: str) -> tuple[Row, ...]:
        """The state's own rows for a trigger, or the flow-wide ones where it has none."""
        return self.groups.get((state, on)) or self.groups.get((ANY, on)) or ()

    def successors(self, name: str, outcomes: Iterable[str]) -> Iterator[str]:
        """Where the rows for `outcomes` lead; a digression's return leads to every state it may have left."""
        for outcome in outcomes:
            for _, row in self.rows_for(name, outcome):
                if row.target == RETURN:
                    yield from self.interruptible
                elif row.target in self.states:
                    yield row.target

    @cached_property
    def interruptible(self) -> tuple[str, ...]:
        """States that a digression may leave and come back to: those that hear messages."""
        return tuple(name for name, state in self.states.items() if state.kind in ("wait", "collect", "human"))


def asks(guard: Guard, op: str) -> bool:
    """True if the guard cannot hold unless `op` does: it is `op`, or an `all_of` with such a part."""
    return guard.op == op or (guard.op == "all_of" and any(asks(part, op) for part in guard.parts))


def shown_row(row: Transition) -> str:
    """How a row is called in a message."""
    push = "push " if row.push else ""
    return f"[{row.source}, {row.on}, {row.guard}, {push}{row.target}]"
