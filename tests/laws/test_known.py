"""What is said to be known on every path is known whenever the core comes there."""

from functools import lru_cache

from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.events import TransitionTaken
from interlock.contracts.flow import AgentSpec, CollectState, Flow, State, WaitState
from interlock.contracts.guard import otherwise
from interlock.fsm.build import flow, row
from interlock.fsm.guards import known, not_
from interlock.fsm.program import compiled
from interlock.fsm.prove.known import Paths
from support.flows import CODE, FACTS, FlowCase, states_of
from support.histories import History, histories

MAIN = {"collect": "complete", "wait": "message", "call": "done", "agent": "done", "human": "approve"}
OTHERS = ("gave_up", "declined", "expired", "unsure", "refused", "invalid", "timeout", "failed", "over_budget", "limit")
PROMISED = "verified"
"""What the contract `Advice` always holds: random reports do not keep to it."""


@st.composite
def chains(draw: st.DrawFn) -> FlowCase:
    """States one after another, forms among them, some of which lead back to an earlier one."""
    kinds = draw(st.lists(st.sampled_from(("collect", "collect", "wait", "agent", "call")), min_size=2, max_size=5))
    chain: list[State] = [WaitState(name="start", deadline_seconds=60)]
    for number, kind in enumerate(kinds):
        state = draw(states_of(f"{kind}_{number}", kind))
        plain = {"tools": (), "agents": (), "agent": "clerk"} if kind == "agent" else {}
        chain.append(state.changed(inputs=()) if isinstance(state, WaitState) else state.changed(**plain))
    ends = [draw(states_of("desk", "human")), draw(states_of("closed", "final"))]
    rows = []
    for number, state in enumerate(chain):
        following = [*chain, ends[0]][number + 1].name
        back = draw(st.sampled_from([one.name for one in chain[: number + 1]]))
        guard = draw(st.sampled_from(("known", "not_known", "none")))
        fact = draw(st.sampled_from([one.name for one in FACTS]))
        if guard != "none" and state.kind != "collect":
            asked = known(fact) if guard == "known" else not_(known(fact))
            rows.append(row(state.name, MAIN[state.kind], asked, back, "C-1"))
        rows.append(row(state.name, MAIN[state.kind], otherwise, following, "C-2"))
    asked_of = {"desk": getattr(ends[0], "decisions", ())}
    rows += [row("desk", one, otherwise, "closed", "C-3") for one in asked_of["desk"]]
    given_by = {"gave_up": "collect", "declined": "collect", "expired": "wait", "limit": "wait", "timeout": "call"}
    used = {one.kind for one in chain}
    for on in OTHERS:
        if (
            given_by.get(on, "agent") in used
            or (on == "failed" and "call" in used)
            or (on == "timeout" and "agent" in used)
        ):
            rows.append(row("any", on, otherwise, "desk" if on in ("declined", "failed") else "closed", "C-4"))
    return FlowCase(
        flow(
            name="chain",
            version=1,
            owner="tests",
            initial="start",
            states=(*chain, *ends),
            transitions=rows,
            facts=FACTS,
            agents=(AgentSpec(name="clerk", instructions="Help."),),
            code=CODE,
        )
    )


@lru_cache(maxsize=256)
def missing(flow_json: str) -> frozenset[tuple[str, str]]:
    """(fact, state) where the fact may be missing."""
    paths = Paths(compiled(Flow.model_validate_json(flow_json), CODE))
    names = [one.name for one in paths.program.flow.states]
    return frozenset((fact.name, state) for fact in FACTS for state in names if paths.may_miss(fact.name, state))


def entered(history: History) -> list[tuple[str, frozenset[str]]]:
    """Each state that was come to, with the facts that are known there."""
    found = []
    for step in history.steps:
        targets = [one.target for one in step.decision.events if isinstance(one, TransitionTaken)]
        after = step.decision.conversation
        if targets and after.state == targets[-1]:
            found.append((after.state, frozenset(one.name for one in FACTS if after.facts.known(one.name))))
    return found


@given(histories(cases=chains(), most=30))
def test_what_is_said_to_be_known_is_known(history: History) -> None:
    """Forms, guards, corrections and what is forgotten, in whatever order they come."""
    may_be_missing = missing(history.program.flow.model_dump_json())
    for state, facts in entered(history):
        gone = {one.name for one in FACTS} - facts - {PROMISED}
        assert {(fact, state) for fact in gone} <= may_be_missing


@given(chains())
def test_a_form_is_known_to_have_asked(case: FlowCase) -> None:
    """The control: of a chain's first form, what it must have is not missing right after it."""
    first = case.flow.states[1]
    found = missing(case.flow.model_dump_json())
    if isinstance(first, CollectState) and not first.enough and case.flow.states[2].kind != "wait":
        led = [one for one in case.flow.transitions if one.target == case.flow.states[2].name]
        if {one.source for one in led} == {first.name}:
            assert not {(name, case.flow.states[2].name) for name in set(first.facts) - set(first.optional)} & found
