"""The machine of the library permits exactly the moves of our own table."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given

from interlock.contracts.errors import FlowError
from interlock.contracts.flow import RETURN
from interlock.fsm.machine import FlowMachine, moves_of
from support.flows import FlowCase, flows


def moved(machine: FlowMachine, state: str, row: int, target: str) -> str | None:
    try:
        return machine.step(state, row, target)
    except FlowError:
        return None


@given(flows())
def test_the_library_and_our_table_agree(case: FlowCase):
    """For every state and row: a move that is in the table is made, any other is refused."""
    machine = FlowMachine(case.flow)
    table = {(state, row): target for state, row, target in moves_of(case.flow)}
    states = [state.name for state in case.flow.states]
    for state in states:
        for row in range(len(case.flow.transitions)):
            target = table.get((state, row))
            for wanted in states:
                fits = target in (wanted, RETURN)
                assert moved(machine, state, row, wanted) == (wanted if fits else None)


@given(flows())
def test_rows_and_states_that_do_not_exist_are_refused(case: FlowCase):
    """No number and no name outside the flow moves anything."""
    machine = FlowMachine(case.flow)
    rows = len(case.flow.transitions)
    for state, row in (("start", rows), ("start", -1), ("nowhere", 0), (RETURN, 0)):
        with pytest.raises(FlowError, match="There is no move from"):
            machine.step(state, row, "desk")


@given(flows())
def test_one_machine_serves_many_threads(case: FlowCase):
    """Steps on tokens of their own do not disturb one another."""
    machine = FlowMachine(case.flow)
    moves = [(state, row, target) for state, row, target in moves_of(case.flow) if target != RETURN] * 3
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda move: machine.step(*move), moves)) == [target for _, _, target in moves]
