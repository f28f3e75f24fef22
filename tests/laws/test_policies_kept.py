"""Policies over random flows: what is proved never happens, and what is enforced is never broken; else it is."""

from collections.abc import Iterator
from functools import reduce
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, assume, find, given, settings
from hypothesis import strategies as st

from interlock.cli.policing import document, show
from interlock.cli.terminal import Terminal
from interlock.contracts.events import ConversationEnded, PolicyKept, ToolRefused
from interlock.contracts.flow import FinalState, Flow, HumanState, State, Transition, WaitState
from interlock.contracts.store import StoredEntry
from interlock.fsm import moves, runs
from interlock.fsm.evolve import fold
from interlock.fsm.policies.automata import automaton, verdict_of
from interlock.fsm.policies.make import policy
from interlock.fsm.policies.words import meanings_of
from interlock.fsm.prove.keeping import kept_anyway, policies_kept
from interlock.fsm.prove.monitor import Kept
from interlock.fsm.prove.search import searched
from interlock.fsm.replay import redecide
from interlock.persistence.codec import event_row
from interlock.service.policing import Judged, PolicyAudit, refused_for
from support import dwyer
from support.flows import flows
from support.histories import STREAM, History, histories
from support.limited import small_cases
from support.policed import policed_cases, policies_for, words_observed
from support.policies import policies

PATIENT = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much], deadline=None)
FEW = settings(PATIENT, max_examples=20)
"""Each example makes a flow, policies that it may have and a history; `-m full` runs thousands."""
MOST = 4_000
"""Configurations that a proof looks at; flows with more are left out."""


def broken(history: History) -> list[str]:
    """Policies that the log breaks, by the definitions and not by the automata."""
    words = words_observed(one.event for one in history.recorded)
    ended = any(isinstance(one.event, ConversationEnded) for one in history.recorded)
    own_end = ended and any(word.startswith("end:") for word in words)
    flow = history.program.flow
    return [
        one.name
        for one in flow.policies
        if dwyer.lost(one, words, meanings_of(flow)) or (own_end and not dwyer.holds(one, words, meanings_of(flow)))
    ]


@FEW
@given(histories(cases=policed_cases(), most=30))
def test_a_policy_of_a_flow_is_never_broken_in_its_log(history: History) -> None:
    """Whatever agents, tools, people and the clock do: the log, read by Dwyer's definitions, keeps every policy."""
    assert broken(history) == []


@FEW
@given(histories(cases=policed_cases(), most=30))
def test_an_audit_counts_where_a_step_had_to_be_refused(history: History) -> None:
    """Exactly the policies that some event of the log says would have been broken."""
    stored = [StoredEntry(*event_row(one)) for one in history.entries]
    events = [one.event for one in history.recorded]
    refused = {name for one in events if isinstance(one, PolicyKept | ToolRefused) for name in one.policies}
    assert refused_for(stored) == refused


def test_an_audit_says_where_a_step_had_to_be_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """In words, and only of the policies that it is true of."""
    rule = policy("paid_once", says="Once.", at_most={"pay": 1})
    kept = policy("kept", says="Never.", never="fly")
    found = PolicyAudit({"paid_once": Judged(rule, refused=3), "kept": Judged(kept)}, conversations=5, events=60)
    show(Terminal(), found)
    printed = " ".join(capsys.readouterr().out.split())
    assert "paid_once in 3 conversations a step that would have broken it had to be refused" in printed
    assert printed.count("had to be refused") == 1
    assert [one["refused"] for one in document(found)["policies"]] == [3, 0]


@FEW
@given(histories(cases=policed_cases(), most=20))
def test_how_policies_stand_is_folded_from_the_log_alone(history: History) -> None:
    """The fold of the events has each automaton where its words lead it; deciding again gives the same bytes."""
    events = [one.event for one in history.recorded]
    words = words_observed(events)
    folded = fold(STREAM, events)
    assert folded == history.conversation
    assert folded.watched == tuple(reduce(one.step, words, 0) for one in history.program.watches)
    assert redecide(history.program, history.head.stream, history.recorded).divergence is None


@FEW
@given(histories(cases=policed_cases(), most=30))
def test_what_is_refused_would_have_broken_what_is_named(history: History) -> None:
    """Each refusal names policies that were whole before, and are after."""
    for step in history.steps:
        conversation = step.before
        for event in step.decision.events:
            before = conversation
            conversation = fold(STREAM, [event], conversation)
            if isinstance(event, PolicyKept) or (isinstance(event, ToolRefused) and event.policies):
                assert set(event.policies) <= {one.name for one in history.program.flow.policies}
                assert conversation.watched == before.watched


def test_without_enforcement_policies_are_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: the law above can fail."""
    monkeypatch.setattr(moves, "broken_by", lambda draft, event: ())
    monkeypatch.setattr(runs, "broken_by", lambda draft, event: ())
    many = settings(PATIENT, max_examples=3_000, phases=[Phase.generate], database=None)
    found = find(histories(cases=policed_cases(), most=30), lambda one: bool(broken(one)), settings=many)
    assert broken(found)


@FEW
@given(st.data())
def test_what_is_proved_never_happens(data: st.DataObject) -> None:
    """A policy that the rows keep, by the proof, is kept by any run of the core that knows nothing of it."""
    case = data.draw(flows(most_states=4))
    policy = data.draw(policies_for(case.flow))
    watch = automaton(policy, meanings_of(case.flow))
    flow = case.flow.changed(policies=(policy,))
    search = searched(flow, (Kept(watch),), {}, MOST)
    (finding,) = policies_kept(search.explored, {}, search.complete)
    assume(finding.verdict == "proved")
    history = data.draw(histories(cases=st.just(case), most=40))
    state = reduce(watch.step, words_observed(one.event for one in history.recorded), 0)
    ended = any(word.startswith("end:") for word in words_observed(one.event for one in history.recorded))
    verdict = verdict_of(watch, state)
    assert verdict == "holds" or (verdict == "pending" and not ended)


@FEW
@given(st.data())
def test_what_the_rows_keep_whatever_limits_do_is_kept_with_every_limit_counted(data: st.DataObject) -> None:
    """Looking at more than can happen proves no policy that looking at exactly what can happen refutes."""
    case = data.draw(small_cases())
    policy = data.draw(policies_for(case.flow))
    watch = automaton(policy, meanings_of(case.flow))
    assume(kept_anyway(case.flow, (watch,), MOST))
    search = searched(case.flow.changed(policies=(policy,)), (Kept(watch),), {}, MOST)
    (finding,) = policies_kept(search.explored, {}, search.complete)
    assert finding.verdict in ("proved", "bounded"), finding


NAMES = ("start", "one", "two", "desk", "closed")


@st.composite
def plain_flows(draw: st.DrawFn) -> Flow:
    """Waits, people and ends, with rows that need no data: few enough ways to try each."""
    people = ("desk", "two") if draw(st.booleans()) else ("desk",)
    states: list[State] = [
        HumanState(name=name, role="clerk", decisions=("yes", "no"), deadline_seconds=60)
        if name in people
        else WaitState(name=name, deadline_seconds=60)
        for name in NAMES[:-1]
    ]
    rows = [Transition(source="any", on="limit", target="desk", policy="P-1")]
    for state in states:
        for on in ("yes", "no", "expired") if state.kind == "human" else ("message", "expired"):
            target = draw(st.sampled_from(NAMES))
            rows.append(Transition(source=state.name, on=on, target=target, policy="P-1"))
    return Flow(
        name="plain",
        version=1,
        owner="tests",
        initial="start",
        states=(*states, FinalState(name="closed")),
        transitions=tuple(rows),
    )


def every_trace(flow: Flow, most: int) -> Iterator[tuple[str, ...]]:
    """All that can be observed of conversations of up to so many rows, each beginning too."""
    rows = {(row.source, row.on): row.target for row in flow.transitions}
    todo: list[tuple[str, tuple[str, ...], int]] = [("start", ("enter:start",), 0)]
    while todo:
        here, trace, length = todo.pop()
        yield trace
        if length == most or here == "closed":
            continue
        people = next(one.kind for one in flow.states if one.name == here) == "human"
        for on in ("yes", "no", "expired") if people else ("message", "expired", "limit"):
            target = rows.get((here, on)) or rows["any", on]
            before = {"message": ("message",), "limit": ("message", "limit:conversation_messages"), "expired": ()}
            words = before.get(on, (f"decided:{here}.{on}",))
            end = ("end:closed",) if target == "closed" else ()
            todo.append((target, (*trace, *words, f"enter:{target}", *end), length + 1))


@FEW
@given(plain_flows(), st.data())
def test_the_proof_finds_what_trying_everything_finds(flow: Flow, data: st.DataObject) -> None:
    """A policy that some short conversation breaks, by the definitions, is not proved; and where the proof shows a way
    of few steps to break it, so does some conversation of so many."""
    words = sorted({word for trace in every_trace(flow, 3) for word in trace if not word.startswith("limit:")})
    policy = data.draw(policies(st.sampled_from(words)))
    watch = automaton(policy, meanings_of(flow))
    search = searched(flow.changed(policies=(policy,)), (Kept(watch),), {}, MOST)
    (finding,) = policies_kept(search.explored, {}, search.complete)
    depth = 5
    broken = any(
        dwyer.lost(policy, trace, meanings_of(flow))
        or (trace[-1] == "end:closed" and not dwyer.holds(policy, trace, meanings_of(flow)))
        for trace in every_trace(flow, depth)
    )
    if broken:
        assert finding.verdict == "refuted"
    elif finding.verdict == "refuted" and "go round" not in finding.says:
        assert len(finding.counterexample) > depth


LAWS: tuple[tuple[Any, tuple[st.SearchStrategy[Any], ...]], ...] = (
    (test_a_policy_of_a_flow_is_never_broken_in_its_log, (histories(cases=policed_cases(), most=30),)),
    (test_how_policies_stand_is_folded_from_the_log_alone, (histories(cases=policed_cases(), most=20),)),
    (test_what_is_refused_would_have_broken_what_is_named, (histories(cases=policed_cases(), most=30),)),
    (test_what_is_proved_never_happens, (st.data(),)),
    (test_what_the_rows_keep_whatever_limits_do_is_kept_with_every_limit_counted, (st.data(),)),
    (test_the_proof_finds_what_trying_everything_finds, (plain_flows(), st.data())),
)


@pytest.mark.full
@pytest.mark.parametrize(("law", "given_these"), LAWS, ids=[law.__name__ for law, _ in LAWS])
def test_each_law_holds_on_thousands(law: Any, given_these: tuple[st.SearchStrategy[Any], ...]) -> None:
    """The same laws, longer."""
    settings(PATIENT, max_examples=2_000)(given(*given_these)(law.hypothesis.inner_test))()
