"""Attempts, waits, fallbacks, summaries and scopes for every story of failures: bounded, in order, decided the same."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlock.contracts.commands import CUSTOMER, SYSTEM, AgentEnded, AgentReport, Fire, Give, Say, Start
from interlock.contracts.events import (
    AgentRequested,
    HandoffMade,
    HistorySummarised,
    RetryScheduled,
    RoutingDecided,
    TransitionTaken,
)
from interlock.contracts.flow import AgentState
from interlock.contracts.limits import Usage
from interlock.contracts.routing import RoutingEvidence, RuleHit
from interlock.contracts.values import SubjectId
from interlock.fsm.evolve import fold
from interlock.fsm.program import Program
from interlock.fsm.replay import redecide
from support.handed import handed
from support.histories import CLERK, STREAM, History, refs, reports
from support.trouble import troubled

SCOPED = "scope: triage, handles: [cards], refuses: [weather], no_return: true"
PROGRAMS = {
    "waits": troubled("attempts: 4, backoff: 3s, backoff_most: 7s", limits="{turn_seconds: 25}"),
    "fallbacks": troubled("attempts: 2, backoff: 1s, fallbacks: [second, third], fallback_attempts: 2"),
    "cached": troubled("attempts: 1, fallbacks: [second, cached]", first="history: none, cache: 10m"),
    "summaries": handed(
        front="history: summary, window: 1, summariser: scribe",
        back="window: 1, summariser: scribe, when_over: summarise, max_input_tokens: 3000",
        working="attempts: 2, backoff: 2s",
    ),
    "scopes": handed(front=SCOPED, back="no_return: true"),
}
evidences = st.sampled_from(((), ("cards",), ("weather",), ("loans",))).map(
    lambda labels: RoutingEvidence(rules=tuple(RuleHit(label=one, rule=one) for one in labels), scope="0.900000")
)


good = st.builds(
    AgentReport, outcome=st.just("done"), reply=refs, reply_token_bound=st.integers(1, 90), usage=st.just(Usage())
)


def story(draw: st.DrawFn, program: Program) -> History:
    """A conversation in which every call ends somehow, every wait is over some time, and people go on talking."""
    history = History(program)

    def evidence() -> RoutingEvidence:
        return draw(evidences)

    history.do("c:start", CUSTOMER, Start(flow=program.ref, subject=SubjectId("somebody")), evidence)
    for number in range(draw(st.integers(1, 25))):
        conversation = history.conversation
        history.at += timedelta(seconds=draw(st.sampled_from((0, 1, 9))))
        if conversation.pending:
            effect = min(conversation.pending)
            history.do(f"e:{effect}", SYSTEM, AgentEnded(effect=effect, report=draw(good | good | reports)), evidence)
        elif conversation.visit.retry is not None:
            history.do(f"w:{number}", SYSTEM, Fire(timer=conversation.visit.timer or 0), evidence)
        elif draw(st.integers(0, 19)) == 19:
            history.do(f"c:{number}", CLERK, Give(name="operator_human"), evidence)
        else:
            said = Say(message=draw(refs), token_bound=draw(st.integers(0, 900)))
            history.do(f"c:{number}", CUSTOMER, said, evidence)
    return history


stories = st.composite(story)


@pytest.mark.parametrize("name", PROGRAMS)
@settings(deadline=None)
@given(st.data())
def test_every_story_is_decided_the_same_again(name: str, data: st.DataObject) -> None:
    """Byte for byte; and the fold of the entries is the conversation that was decided on."""
    history = data.draw(stories(PROGRAMS[name]))
    assert redecide(history.program, STREAM, history.recorded).divergences == 0
    assert fold(STREAM, (one.event for one in history.recorded)) == history.conversation


@pytest.mark.parametrize("name", PROGRAMS)
@settings(deadline=None)
@given(st.data())
def test_no_visit_has_more_attempts_than_declared_and_fallbacks_come_in_order(name: str, data: st.DataObject) -> None:
    """Whatever fails: each agent has its attempts, the next one comes after it, each is a handoff, no wait outlives
    the turn, and an agent that may not return does not."""
    history = data.draw(stories(PROGRAMS[name]))
    asked: list[AgentRequested] = []
    for one in history.entries:
        event, before = one.event, asked[-1] if asked else None
        if isinstance(event, TransitionTaken):
            asked = []
        if isinstance(event, RetryScheduled):
            due = fold(STREAM, (entry.event for entry in history.entries[: one.version])).turn.due
            assert due is None or event.due < due
        if not isinstance(event, AgentRequested):
            continue
        state = history.program.states[event.state]
        assert isinstance(state, AgentState)
        most = state.attempts if not event.fallback else 1 if event.cached else state.fallback_attempts
        assert event.attempt <= most
        assert before is None or (event.fallback, event.attempt) >= (before.fallback, before.attempt)
        handed_over = isinstance(history.entries[one.version - 1].event, HandoffMade)
        begins = event.purpose == "run" and not event.cached and event.fallback > (before.fallback if before else 0)
        assert handed_over or not begins
        asked.append(event)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("waits", RetryScheduled),
        ("fallbacks", HandoffMade),
        ("summaries", HistorySummarised),
        ("scopes", RoutingDecided),
    ],
)
def test_control_the_stories_reach_what_the_laws_are_about(name: str, kind: type) -> None:
    found: list[type] = []

    @settings(max_examples=100, deadline=None, database=None, derandomize=True)
    @given(st.data())
    def collect(data: st.DataObject) -> None:
        found.extend(type(one.event) for one in data.draw(stories(PROGRAMS[name])).entries)

    collect()
    assert found.count(kind) > 5
