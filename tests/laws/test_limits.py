"""Limits, for every history: no count ever passes one, and reaching one takes the row that the flow has for it."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.commands import (
    CUSTOMER,
    SYSTEM,
    AgentEnded,
    AgentReport,
    CommandBody,
    Give,
    ProposedCall,
    Start,
    ToolEnded,
    ToolReport,
)
from interlock.contracts.events import AgentRequested, LimitReached, RoutingDecided, TransitionTaken
from interlock.contracts.limits import Limits
from interlock.contracts.payload import PayloadRef
from interlock.contracts.routing import RoutingEvidence
from interlock.contracts.values import SubjectId
from interlock.fsm.conversation import Conversation
from interlock.fsm.draft import CallAgent, Effect
from interlock.fsm.evolve import evolve
from interlock.fsm.load import read_flow
from interlock.fsm.program import compiled
from support.flows import CODE, FlowCase, flows
from support.histories import DIGEST, History, histories

_few = st.integers(1, 3)
_optional = st.none() | _few
tight = st.builds(
    Limits,
    handoffs=_few,
    same_pair=_few,
    self_handoffs=_optional,
    repeats=_optional,
    agent_calls=st.integers(1, 5),
    tool_rounds=_few,
    tool_calls=_optional,
    agent_depth=st.integers(2, 3),
    steps=st.integers(2, 9),
    turn_tokens=st.sampled_from((2_000, 40_000, 200_000)),
    turn_cost=st.integers(20_000_000, 10**9),
    turn_seconds=st.sampled_from((1, 60, 300)),
    conversation_handoffs=st.integers(1, 5),
    conversation_tokens=st.sampled_from((40_000, 300_000)),
    conversation_cost=st.integers(10**6, 10**9),
    conversation_messages=_few,
    digression_depth=_few,
)
"""Limits that are soon reached."""


@st.composite
def tight_flows(draw: st.DrawFn) -> FlowCase:
    """Mostly agents and tools, which is what limits are about."""
    case = draw(flows(kinds=("agent", "agent", "call", "wait", "route")))
    return FlowCase(case.flow.changed(limits=draw(tight)))


tight_histories = histories(most=20, cases=tight_flows())


@given(tight_histories)
def test_no_count_of_the_fold_ever_passes_its_limit(history: History) -> None:
    """After each event, not only at rest; time and size are looked at where they are decided."""
    limits, conversation = history.program.flow.limits, Conversation(id=history.head.stream)
    for entry in history.entries:
        conversation = evolve(conversation, entry.event)
        turn = conversation.turn
        assert turn.handoffs <= limits.handoffs
        assert all(count <= limits.same_pair for count in turn.pairs.values())
        assert limits.self_handoffs is None or turn.self_handoffs <= limits.self_handoffs
        assert limits.repeats is None or all(count <= limits.repeats for count in turn.contexts.values())
        assert limits.tool_calls is None or turn.tool_calls <= limits.tool_calls
        assert turn.agent_calls <= limits.agent_calls
        assert conversation.visit.rounds <= limits.tool_rounds
        assert len(conversation.visit.callers) <= limits.agent_depth
        assert turn.steps <= limits.steps + 1, "the step that the limit's own row takes"
        assert len(conversation.frames) <= limits.digression_depth
        assert conversation.handoffs <= limits.conversation_handoffs
        if isinstance(entry.event, AgentRequested):
            assert (turn.tokens, turn.cost) <= (limits.turn_tokens, turn.cost)
            assert turn.cost <= limits.turn_cost
            assert conversation.tokens <= limits.conversation_tokens
            assert conversation.cost <= limits.conversation_cost


@given(tight_histories)
def test_a_limit_that_is_reached_takes_the_limit_row_next_and_asks_for_nothing(history: History) -> None:
    """In the same decision, with the numbers: at least the maximum, and never silently."""
    for step in history.steps:
        for at, event in enumerate(step.decision.events):
            if isinstance(event, LimitReached):
                assert event.value >= event.maximum
                following = step.decision.events[at + 1]
                if isinstance(following, LimitReached):
                    following = step.decision.events[at + 2]
                if isinstance(following, RoutingDecided):  # no model was asked for the label: the route is unsure
                    assert following.decision.outcome not in following.decision.queue
                    continue
                assert isinstance(following, TransitionTaken)
                assert following.on == "limit"


@given(tight_histories)
def test_entries_are_counted_by_state_within_the_turn(history: History) -> None:
    """`visits` is what the stream itself says, counted here once more by hand."""
    conversation, counted, turn = Conversation(id=history.head.stream), Counter[str](), 0
    for entry in history.entries:
        conversation = evolve(conversation, entry.event)
        if conversation.turn.number != turn:
            turn, counted = conversation.turn.number, Counter()
        if isinstance(entry.event, TransitionTaken) and entry.event.move != "return":
            counted[entry.event.target] += 1
        if turn:
            assert dict(conversation.facts.visits) == dict(counted)
        assert conversation.facts.messages == conversation.received


@given(tight_histories)
def test_the_same_context_is_the_same_facts_state_and_message(history: History) -> None:
    """Two entries of a turn have one digest where nothing that it covers differs, and only there."""
    conversation = Conversation(id=history.head.stream)
    seen: dict[str, tuple[Any, ...]] = {}
    for entry in history.entries:
        event = entry.event
        if isinstance(event, TransitionTaken) and event.context is not None:
            covered = (event.target, dict(conversation.known), conversation.turn.message)
            for digest, other in seen.items():
                assert (digest == event.context) == (_seen(other) == _seen(covered))
            seen[event.context] = covered
        conversation = evolve(conversation, event)


def _seen(covered: tuple[Any, ...]) -> tuple[Any, ...]:
    state, known, message = covered
    return state, {name: (fact.value, fact.sealed) for name, fact in known.items()}, message


# -- each limit with any number, against a conversation that never stops by itself ------------------------

LOOP = """
flow: loop
version: 1
owner: tests
initial: start
agents:
  asker: {instructions: Ask., consults: [asker]}
  left:  {instructions: Hand it over., max_input_tokens: 9990, max_output_tokens: 10, price: {input: "1", output: "1"}}
  right: {instructions: Hand it back., max_input_tokens: 9990, max_output_tokens: 10, price: {input: "1", output: "1"}}
states:
  start: {kind: wait, inputs: [go_left, go_again, go_tool, go_ask], deadline: 30m}
  left:  {kind: agent, agent: left, tools: [look_up], attempts: 1}
  right: {kind: agent, agent: right, attempts: 1}
  again: {kind: agent, agent: left, attempts: 1}
  tool:  {kind: call, tool: look_up}
  ask:   {kind: agent, agent: asker, agents: [asker]}
  desk:  {kind: wait, deadline: 30m}
  end:   {kind: final}
transitions:
  - [start, go_left,  otherwise, left,  L-1]
  - [start, go_again, otherwise, again, L-1]
  - [start, go_tool,  otherwise, tool,  L-1]
  - [start, go_ask,   otherwise, ask,   L-1]
  - [left,  unsure,   otherwise, right, L-1]
  - [right, unsure,   otherwise, left,  L-1]
  - [again, unsure,   otherwise, again, L-1]
  - [tool,  done,     otherwise, tool,  L-1]
  - [any, message,     otherwise, end,  L-2]
  - [any, done,        otherwise, desk, L-2]
  - [ask, unsure,      otherwise, desk, L-2]
  - [any, refused,     otherwise, desk, L-2]
  - [any, invalid,     otherwise, desk, L-2]
  - [any, timeout,     otherwise, desk, L-2]
  - [any, failed,      otherwise, desk, L-2]
  - [any, over_budget, otherwise, desk, L-2]
  - [any, expired,     otherwise, end,  L-2]
  - [any, limit,       otherwise, desk, L-3]
"""
AMPLE = Limits(
    handoffs=10**6,
    same_pair=10**6,
    agent_calls=10**6,
    tool_rounds=10**6,
    steps=10_000,
    turn_tokens=10**12,
    turn_cost=10**15,
    conversation_handoffs=10**6,
    conversation_tokens=10**12,
    conversation_cost=10**15,
    agent_depth=10**6,
)
"""As good as no limits."""
TOKENS, COST = 10_000, 10_000 * 1_000
"""Of one call that reported nothing, and so cost what was reserved."""
WAYS: dict[str, tuple[str, int]] = {
    "handoffs": ("go_left", 1),
    "same_pair": ("go_left", 1),
    "self_handoffs": ("go_again", 1),
    "repeats": ("go_left", 1),
    "agent_calls": ("go_left", 1),
    "tool_rounds": ("rounds", 1),
    "tool_calls": ("go_tool", 1),
    "steps": ("go_left", 1),
    "turn_tokens": ("go_left", TOKENS),
    "turn_cost": ("go_left", COST),
    "conversation_handoffs": ("go_left", 1),
    "conversation_tokens": ("go_left", TOKENS),
    "conversation_cost": ("go_left", COST),
    "agent_depth": ("go_ask", 1),
}
"""Where the endless way begins that this limit is about, and what one round of it takes."""
MOST = 40
"""Commands after which an endless way is taken to be endless."""
REF = PayloadRef(name="arguments_0", kind="arguments", commit=DIGEST, length=2)


def endless(limits: Limits, way: str) -> History:
    """Agents are always unsure, or always propose a tool; tools always succeed."""
    flow = read_flow(LOOP, CODE).flow.changed(limits=limits)
    history = History(compiled(flow, CODE))

    def evidence() -> RoutingEvidence:
        raise AssertionError("nothing is routed")

    history.do("c:0", CUSTOMER, Start(flow=history.program.ref, subject=SubjectId("somebody")), evidence)
    todo: list[CommandBody] = [Give(name="go_left" if way == "rounds" else way)]
    for number in range(1, MOST):
        if todo:
            history.do(f"c:{number}", SYSTEM, todo.pop(0), evidence)
            todo += [_answer(effect, way) for effect in history.steps[-1].decision.effects]
    return history


def _answer(effect: Effect, way: str) -> CommandBody:
    if isinstance(effect, CallAgent):
        looks = (ProposedCall(name="look_up", arguments=REF),) if way == "rounds" else ()
        asks = (ProposedCall(agent="asker", arguments=REF, task=REF),) if way == "go_ask" else ()
        calls = looks or asks
        return AgentEnded(effect=effect.effect, report=AgentReport(outcome="done" if calls else "unsure", calls=calls))
    return ToolEnded(effect=effect.effect, report=ToolReport(outcome="done"))  # type: ignore[union-attr]


def most_counted(history: History, limit: str) -> int:
    """The highest that the fold ever counted of what the limit is about."""
    conversation, most = Conversation(id=history.head.stream), 0
    for entry in history.entries:
        conversation = evolve(conversation, entry.event)
        most = max(most, _counted(conversation, limit))
    return most


def _counted(conversation: Conversation, limit: str) -> int:
    turn = conversation.turn
    match limit:
        case "same_pair":
            return max(turn.pairs.values(), default=0)
        case "repeats":
            return max(turn.contexts.values(), default=0)
        case "tool_rounds":
            return conversation.visit.rounds
        case "agent_depth":
            return len(conversation.visit.callers)
        case "turn_tokens" | "turn_cost":
            return int(getattr(turn, limit.removeprefix("turn_")))
        case "conversation_handoffs" | "conversation_tokens" | "conversation_cost":
            return int(getattr(conversation, limit.removeprefix("conversation_")))
        case _:
            return int(getattr(turn, limit))


@pytest.mark.parametrize("limit", WAYS)
@given(data=st.data())
def test_what_would_never_stop_stops_at_the_declared_number(limit: str, data: st.DataObject) -> None:
    """Any number up to six rounds: it is reached, never passed, and the conversation stands where the row leads."""
    way, unit = WAYS[limit]
    least = 2 if limit == "agent_depth" else 1  # a flow whose agents could ask nobody is refused
    maximum = data.draw(st.integers(least, 6)) * unit + data.draw(st.integers(0, unit - 1))
    history = endless(AMPLE.changed(**{limit: maximum}), way)
    reached = [entry.event for entry in history.entries if isinstance(entry.event, LimitReached)]
    assert [(one.limit, one.maximum) for one in reached] == [(limit, maximum)]
    over = 1 if limit == "steps" else 0  # the step that the limit's own row takes
    assert maximum - unit < most_counted(history, limit) <= maximum + over
    assert (history.conversation.state, history.conversation.pending) == ("desk", {})


@pytest.mark.parametrize("limit", WAYS)
def test_control_without_the_limit_it_goes_on(limit: str) -> None:
    """The same conversation passes six rounds of everything and is still at work."""
    way, unit = WAYS[limit]
    history = endless(AMPLE.changed(repeats=10**6), way)
    assert not any(isinstance(entry.event, LimitReached) for entry in history.entries)
    assert most_counted(history, limit) > 6 * unit
    assert history.conversation.pending
