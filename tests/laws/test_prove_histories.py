"""Whatever the core does lies inside what was explored, and costs no more than the bill says."""

from functools import lru_cache

from hypothesis import given

from interlock.contracts.events import (
    AgentRequested,
    InputReceived,
    MessageReceived,
    MessageTaken,
    TaskDecided,
    TransitionTaken,
)
from interlock.contracts.flow import Flow
from interlock.fsm.prove.search import Search, searched
from support.histories import History, histories
from support.limited import small_cases

NEW_TURN = (InputReceived, MessageTaken, TaskDecided)


@lru_cache(maxsize=64)
def search_of(flow_json: str) -> Search:
    return searched(Flow.model_validate_json(flow_json))


def explored(history: History) -> Search:
    return search_of(history.program.flow.model_dump_json())


@given(histories(cases=small_cases(), most=30))
def test_the_core_does_nothing_that_was_not_explored(history: History) -> None:
    """Each move is one from a place that was reached: same state, same digressions, same row, same target."""
    search = explored(history)
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


@given(histories(cases=small_cases(), most=30))
def test_no_turn_makes_more_calls_than_the_bill_says(history: History) -> None:
    """Model calls between two inputs, in the background too, are within the bill."""
    search = explored(history)
    if search.bill.cycle:
        return
    calls = most = 0
    for step in history.steps:
        for event in step.decision.events:
            new = isinstance(event, NEW_TURN)
            if new or (isinstance(event, MessageReceived) and event.disposition in ("taken", "forwarded")):
                calls = 0
            elif isinstance(event, AgentRequested) and not event.background:
                calls += 1
                most = max(most, calls)
    assert most <= search.bill.most.calls
