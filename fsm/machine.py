"""The flow's table compiled into one `transitions` machine: the only home of that library.

The machine holds no conversation. It is compiled once, without a model, without callbacks and without
`to_<state>()` triggers; each row is one trigger, and each step runs on a token that lives for that step
only, so any number of threads share it. The rules (which row, with which guard) were decided before;
here stands only what moves exist at all.

A row that returns from a digression has no target of its own: it leads to the place `return` here, and
the caller says which state it comes back to.
"""

from collections.abc import Iterator

from transitions import Machine, MachineError

from ..contracts.errors import FlowError
from ..contracts.flow import ANY, OPERATOR_INPUTS, RETURN, Flow
from .outcomes import outcomes_of


class _Token:
    """What the library moves: a state's name for the time of one step."""

    __slots__ = ("state",)

    def __init__(self, state: str) -> None:
        self.state = state


def moves_of(flow: Flow) -> Iterator[tuple[str, int, str]]:
    """Every move that exists: state, row, target (`return` where the caller knows it). Our own table.

    A flow-wide row leaves each state that can end with its trigger; on a limit, for a policy, on an operator's input
    or a digression's label it leaves every state but the final ones.
    """
    router = next((one for one in flow.routers if one.name == flow.digressions), None)
    kept = ("policy",) if flow.policies else ()
    interventions = {"limit", *kept, *OPERATOR_INPUTS, *(router.labels if router else ())}
    outcomes = {state.name: outcomes_of(flow, state) for state in flow.states}
    for index, row in enumerate(flow.transitions):
        if row.source != ANY:
            yield row.source, index, row.target
            continue
        for name, possible in outcomes.items():
            if possible and (row.on in possible or row.on in interventions):
                yield name, index, row.target


class FlowMachine:
    """Which moves a flow permits. `step` is safe across threads."""

    def __init__(self, flow: Flow) -> None:
        self._name = f"{flow.name} v{flow.version}"
        states = [state.name for state in flow.states]
        self._states = frozenset(states)
        self._machine = Machine(
            model=None,
            states=[*states, RETURN],
            initial=None,
            auto_transitions=False,
            send_event=False,
            queued=False,
        )
        for source, index, target in moves_of(flow):
            self._machine.add_transition(_trigger(index), source, target)
        self._known: dict[tuple[str, int, str], str] = {}
        self._events = tuple(self._machine.events.get(_trigger(index)) for index in range(len(flow.transitions)))

    def step(self, state: str, row: int, target: str) -> str:
        """The state after taking row number `row` of the flow from `state`; it is `target`. Asked of the machine once
        for each move, since the answer is always the same.

        Raises `FlowError` where no such move exists, or where it leads elsewhere.
        """
        known = self._known.get((state, row, target))
        if known is None:
            known = self._known[state, row, target] = self._stepped(state, row, target)
        return known

    def _stepped(self, state: str, row: int, target: str) -> str:
        event = self._events[row] if 0 <= row < len(self._events) else None
        if event is None or state not in self._states:
            raise self._impossible(state, row, target)
        token = _Token(state)
        try:
            event.trigger(token)
        except MachineError as error:
            raise self._impossible(state, row, target) from error
        if token.state == target or (token.state == RETURN and target in self._states):
            return target
        raise self._impossible(state, row, target)

    def _impossible(self, state: str, row: int, target: str) -> FlowError:
        return FlowError(
            f"There is no move from {state!r} to {target!r} by row {row}.",
            where=self._name,
            fix="Only rows of the flow move a conversation: add the row, or decide again with this flow.",
        )


def _trigger(row: int) -> str:
    return f"row_{row}"
