"""None of several issues is dropped in silence, whatever happens to the conversation meanwhile."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from interlock.contracts.events import IssuesDropped, RoutingDecided
from interlock.contracts.flow import WaitState
from interlock.fsm import queueing
from interlock.fsm.conversation import Conversation
from interlock.fsm.evolve import evolve
from support.flows import FlowCase, flows
from support.histories import History, histories

_cases: st.SearchStrategy[FlowCase] = flows(kinds=("route", "wait", "agent", "call")).filter(
    lambda case: case.flow.routers[0].several
)


def lost(history: History) -> list[str]:
    """Labels that waited and wait no more, were not decided for, and are named nowhere."""
    conversation, missing = Conversation(id=history.head.stream), list[str]()
    for step in history.steps:
        events = step.decision.events
        for event in events:
            before = Counter(one.label for one in conversation.issues)
            named: Counter[str] = Counter()
            if isinstance(event, RoutingDecided):
                named[event.decision.outcome] += 1
                routes = event.agent is None  # one of an agent's scope lets it be asked, and takes nothing up
                if routes and event.decision.stage != "queued" and not event.decision.asks_model:
                    before.update(set(event.decision.queue) - set(before))
                named.update(label for one in events if isinstance(one, IssuesDropped) for label in one.labels)
            elif isinstance(event, IssuesDropped):
                named.update(event.labels)
            conversation = evolve(conversation, event)
            after = Counter(one.label for one in conversation.issues)
            missing += (before - after - named).elements()
    if conversation.status == "ended":
        missing += [one.label for one in conversation.issues]
    return missing


@given(histories(cases=_cases))
def test_an_issue_waits_is_taken_up_or_is_named_as_dropped(history: History) -> None:
    assert lost(history) == []


@given(histories(cases=_cases))
def test_no_more_wait_than_the_limit(history: History) -> None:
    conversation = Conversation(id=history.head.stream)
    for entry in history.entries:
        conversation = evolve(conversation, entry.event)
        assert len(conversation.issues) <= history.program.flow.limits.issues


@given(histories(cases=_cases))
def test_a_state_that_takes_up_issues_never_waits_while_one_waits(history: History) -> None:
    """But for a limit: then everything that waited was dropped, on the record."""
    for step in history.steps:
        after = step.decision.conversation
        state = history.program.states.get(after.state)
        moved = step.before.visit.entered != after.visit.entered
        if moved and isinstance(state, WaitState) and state.next_issue and after.status == "open":
            assert not after.issues or after.pending


def test_the_law_finds_issues_that_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: where ends, people and limits say nothing of what waits, it is missed."""
    monkeypatch.setattr(queueing, "dropped", lambda *_, **__: None)

    @settings(
        max_examples=3_000,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(histories(cases=_cases))
    def law(history: History) -> None:
        assert lost(history) == []

    with pytest.raises(AssertionError):
        law()
