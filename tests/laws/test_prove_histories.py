"""Whatever the core does lies inside what was explored, and costs no more than the bill says."""

from functools import lru_cache

import pytest
from hypothesis import Phase, assume, find, given, settings

from interlock.contracts.events import (
    AgentRequested,
    InputReceived,
    MessageReceived,
    MessageTaken,
    TaskDecided,
    ToolRequested,
    TransitionTaken,
)
from interlock.contracts.flow import Flow
from interlock.fsm.prove.bill import Bill
from interlock.fsm.prove.endings import NOTHING, Cost
from interlock.fsm.prove.search import Search, searched
from support.histories import History, histories
from support.limited import small_cases

MOST = 20_000
"""Configurations that are looked at; of a flow with more, the bill is what its limits let pass."""
NEW_TURN = (InputReceived, MessageTaken, TaskDecided)


@lru_cache(maxsize=64)
def search_of(flow_json: str) -> Search:
    return searched(Flow.model_validate_json(flow_json), most=MOST)


def explored(history: History) -> Search:
    return search_of(history.program.flow.model_dump_json())


@given(histories(cases=small_cases(), most=30))
def test_the_core_does_nothing_that_was_not_explored(history: History) -> None:
    """Each move is one from a place that was reached: same state, same digressions, same row, same target."""
    search = explored(history)
    assume(search.complete)
    model = search.explored.model
    moves: set[tuple[str, tuple[str, ...], int | None, str, tuple[str, ...]]] = set()
    places = set()
    for index in search.explored.at():
        here = model.locations[index]
        places.add((here.state, here.frames))
        for move in model.moves_of(index):
            there = model.locations[move.target]
            moves.add((here.state, here.frames, move.row, there.state, there.frames))
    frames: tuple[str, ...] = ()
    for step in history.steps:
        for event in step.decision.events:
            if isinstance(event, TransitionTaken):
                after = frames
                if event.move == "push":
                    after = (*frames, event.source)
                elif event.move == "return":
                    after = frames[:-1]
                elif event.move == "leave":
                    after = ()
                assert (event.source, frames, event.row, event.target, after) in moves
                frames = after
                assert (event.target, frames) in places


def used_in_turns(history: History) -> list[Cost]:
    """What each turn asked for: model calls, tools, and the tokens and money that were reserved. What is asked again in
    the background is not in it: it may come turns later."""
    turns = [NOTHING]
    for step in history.steps:
        for event in step.decision.events:
            new = isinstance(event, NEW_TURN)
            if new or (isinstance(event, MessageReceived) and event.disposition in ("taken", "forwarded")):
                turns.append(NOTHING)
            elif isinstance(event, AgentRequested) and not event.background:
                turns[-1] = turns[-1].plus(Cost(1, 0, event.reserved_tokens, event.reserved_cost))
            elif isinstance(event, ToolRequested):
                turns[-1] = turns[-1].plus(Cost(tools=1))
    return turns


def passed(history: History, bill: Bill) -> dict[str, tuple[int, int]]:
    """The figures of which some turn used more than the bill says: how much, and the bill's."""
    used = NOTHING
    for turn in used_in_turns(history):
        used = used.most(turn)
    names = [name for name in ("calls", "tools", "tokens", "nano") if name not in bill.unbounded]
    both = {name: (getattr(used, name), getattr(bill.most, name)) for name in names}
    return {name: (more, most) for name, (more, most) in both.items() if more > most}


@settings(max_examples=30)
@given(histories(cases=small_cases(), most=30))
def test_no_turn_passes_the_bill(history: History) -> None:
    """Model calls, tool calls, tokens and money between two inputs are within the bill."""
    assert passed(history, explored(history).bill) == {}


@pytest.mark.full
@settings(max_examples=5_000)
@given(histories(cases=small_cases(), most=60))
def test_no_turn_of_thousands_passes_the_bill(history: History) -> None:
    """The same in longer histories."""
    assert passed(history, explored(history).bill) == {}


@pytest.mark.parametrize("name", ["calls", "tools", "tokens", "nano"])
def test_a_bill_with_a_figure_too_small_is_passed(name: str) -> None:
    """The control, for each figure: with nothing allowed some history passes it."""

    many = settings(max_examples=2_000, phases=[Phase.generate], database=None, deadline=None)
    found = find(histories(cases=small_cases(), most=30), lambda one: name in passed(one, Bill(NOTHING)), settings=many)
    assert found.steps
