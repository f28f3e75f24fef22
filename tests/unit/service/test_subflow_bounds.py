"""Limits hold for the whole family: children are counted, what they spend is settled in their parent, and what the
parent has left bounds them."""

import pytest

from interlock.agents.scripted import ScriptedAgent, fails, gives
from interlock.contracts.agents import AgentReply
from interlock.contracts.errors import AgentFailed
from interlock.contracts.events import AgentRequested, LimitReached
from interlock.contracts.limits import Usage
from interlock.contracts.subflow_events import SubflowEnded, SubflowStarted
from interlock.fsm.code import Code, Subflow
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.service.runtime import Runtime
from support.runtime import of_type, path_of
from support.subflows import check_family, family_of

ENDS = "".join(
    f"  - [any, {on}, otherwise, bad, R-2]\n"
    for on in ("unsure", "refused", "invalid", "timeout", "failed", "over_budget", "limit")
)
ASKS = (
    """
flow: asks
version: 1
owner: tests
initial: one
CURRENCY
agents:
  a: {instructions: A, history: none, price: {input: "1.00", output: "1.00", dated: 2026-11},
      max_input_tokens: 900, max_output_tokens: 100}
states:
  one: {kind: agent, agent: a, attempts: 2, timeout: 10s}
  two: {kind: agent, agent: a, attempts: 2, timeout: 10s}
  ok: {kind: final}
  bad: {kind: final}
transitions:
  - [one, done, otherwise, two, R-1]
  - [two, done, otherwise, ok, R-1]
"""
    + ENDS
)
"""Two calls where all goes well, each of 1,000 tokens and 0.001 at most."""
BETWEEN = """
flow: between
version: 1
owner: tests
initial: below
subflows: {below: asks.yaml}
states:
  below: {kind: subflow, flow: below, deadline: 30m}
  ok: {kind: final}
  bad: {kind: final}
transitions:
  - [below, ok, otherwise, ok, B-1]
  - [below, bad, otherwise, below, B-1]
  - [any, failed, otherwise, bad, B-1]
  - [any, limit, otherwise, bad, B-1]
"""
TOP = """
flow: top
version: 1
owner: tests
initial: start
limits: LIMITS
subflows: {team: BELOW.yaml}
states:
  start: {kind: wait, deadline: 30m}
  team: {kind: subflow, flow: team, deadline: 1h}
  stopped: {kind: wait, deadline: 30m}
  over: {kind: final}
transitions:
  - [start, message, otherwise, team, P-1]
  - [stopped, message, otherwise, team, P-1]
  - [any, expired, otherwise, over, P-1]
  - [team, ok, otherwise, start, P-2]
  - [team, bad, otherwise, team, P-2]
  - [team, failed, otherwise, over, P-2]
  - [any, limit, otherwise, stopped, P-5]
"""
ROOMY = "agent_calls: 500, subflows: 500"
PRICED = 1_000_000
"""What one call of 1,000 tokens costs, in billionths."""
FAILING = fails("bad_request")
USED = AgentReply(text='{"outcome": "done"}', usage=Usage(input_tokens=200, output_tokens=10))


def top(limits: str, *, levels: int = 1, currency: str = "") -> Program:
    """A flow that begins a child anew for as long as it ends badly."""
    code = Code()
    below = read_flow(ASKS.replace("CURRENCY", currency), code).flow
    if levels == 2:
        code = Code.of(subflows={"below": Subflow(below, code)})
        below = read_flow(BETWEEN, code).flow
    code = Code.of(subflows={"team": Subflow(below, code)})
    text = TOP.replace("LIMITS", f"{{{limits}}}").replace("BELOW", below.name)
    return compiled(read_flow(text, code).flow, code)


async def asked(
    limits: str, answer: AgentReply | AgentFailed, *, says: int = 1, levels: int = 1, currency: str = ""
) -> MemoryStore:
    """The family's logs after so many messages, with an agent that always answers this."""
    store, program = MemoryStore(), top(limits, levels=levels, currency=currency)
    async with Runtime(store, program, ScriptedAgent(lambda _: answer)) as runtime:
        await runtime.start("top", conversation="talk")
        for _ in range(says):
            await runtime.say("talk", "hello")
    check_family(store, program)
    return store


def calls_in(store: MemoryStore) -> int:
    return sum(len(of_type(store, stream, AgentRequested)) for stream in store.streams())


def reached(store: MemoryStore, stream: str) -> list[tuple[str, int, int]]:
    return [(one.limit, one.value, one.maximum) for one in of_type(store, stream, LimitReached)]


@pytest.mark.parametrize(("limits", "most"), [("agent_calls: 500", 5), ("agent_calls: 500, subflows: 2", 2)])
async def test_children_of_one_turn_are_counted(limits: str, most: int) -> None:
    """A parent that begins them for ever stops at the number; the next message may begin as many."""
    store = await asked(limits, FAILING, says=2)
    assert reached(store, "talk") == [("subflows", most, most)] * 2
    assert len(of_type(store, "talk", SubflowStarted)) == 2 * most
    assert path_of(store, "talk")[-1] == "limit>stopped"


async def test_control_without_that_limit_it_goes_on() -> None:
    """Until the steps of the turn are used up."""
    store = await asked(f"{ROOMY}, steps: 20", FAILING)
    assert reached(store, "talk") == [("steps", 20, 20)]
    assert len(of_type(store, "talk", SubflowStarted)) == 20


@pytest.mark.parametrize("levels", [1, 2])
async def test_children_of_children_count_too(levels: int) -> None:
    """The whole family of one turn has so many children, however deep they stand."""
    store = await asked("agent_calls: 500, subflows: 4", FAILING, levels=levels)
    assert len(list(store.streams())) == 1 + 4


@pytest.mark.parametrize("levels", [1, 2])
async def test_what_a_child_spent_is_the_parents(levels: int) -> None:
    """Calls, tokens and cost, in the parent's turn and in its conversation, through every level."""
    store, program = MemoryStore(), top("agent_calls: 8", levels=levels)
    async with Runtime(store, program, ScriptedAgent(lambda _: USED)) as runtime:
        await runtime.start("top", conversation="talk")
        for number in (1, 2):
            await runtime.say("talk", "hello")
            found = (await runtime._conversations.known("talk")).conversation
            assert (found.turn.agent_calls, found.turn.tokens, found.turn.cost) == (2, 420, 420_000)
            assert found.turn.subflows == levels
            assert (found.tokens, found.cost) == (number * 420, number * 420_000)
    check_family(store, program)


async def test_what_cost_another_currency_is_not_added_up() -> None:
    """Calls and tokens are; dollars are no euros."""
    store = await asked("agent_calls: 8", USED, currency="currency: USD")
    (ended,) = of_type(store, "talk", SubflowEnded)
    assert (ended.report.outlay.agent_calls, ended.report.outlay.turn_tokens) == (2, 420)
    assert (ended.report.outlay.turn_cost, ended.report.outlay.conversation_cost) == (0, 0)


CASES = {
    "agent_calls": ("agent_calls: 3", 1, (1, 1)),
    "turn_tokens": ("turn_tokens: 3500", 1, (2000, 1500)),
    "turn_cost": ('turn_cost: "0.0035"', 1, (2 * PRICED, PRICED * 3 // 2)),
    "conversation_tokens": ("conversation_tokens: 3500", 1, (2000, 1500)),
    "conversation_cost": ('conversation_cost: "0.0035"', 1, (2 * PRICED, PRICED * 3 // 2)),
}
"""Limits of the parent that leave room for three calls: the first child makes two, the second one, and stops there."""


@pytest.mark.parametrize("levels", [1, 2])
@pytest.mark.parametrize("name", CASES)
async def test_what_the_parent_has_left_bounds_the_child(name: str, levels: int) -> None:
    """The child takes its own limit row, under the same name; no call of the family passes what the parent may."""
    limits, number, numbers = CASES[name]
    unmeasured = FAILING
    store = await asked(f"subflows: {2 * levels}, {limits}", unmeasured, levels=levels)
    assert calls_in(store) == 3
    asking = [one for one in family_of(store, "talk") if of_type(store, one, AgentRequested)]
    assert [reached(store, one) for one in asking][number] == [(name, *numbers)]
    assert path_of(store, asking[number])[-1] == "limit>bad"


@pytest.mark.parametrize("name", CASES)
async def test_control_with_room_the_child_goes_on(name: str) -> None:
    """Ten times the room: every child makes its two attempts."""
    limits = CASES[name][0].replace('"0.00', '"0.0').replace("500", "5000").replace("3", "30")
    store = await asked(f"subflows: 2, {limits}", FAILING)
    assert calls_in(store) == 4
    assert [one[0] for stream in family_of(store, "talk") for one in reached(store, stream)] == ["subflows"]


async def test_a_parent_without_room_for_one_call_has_children_that_make_none() -> None:
    """One message once led to four hundred calls."""
    tiny = 'agent_calls: 1, turn_cost: "0.000001", conversation_cost: "0.000001", turn_tokens: 100'
    store = await asked(tiny, FAILING)
    assert calls_in(store) == 0


TALKS = (
    """
flow: talks
version: 1
owner: tests
initial: ready
agents:
  a: {instructions: A, history: none, max_input_tokens: 900, max_output_tokens: 100}
states:
  ready: {kind: wait, deadline: 30m}
  one: {kind: agent, agent: a, attempts: 1, timeout: 10s}
  two: {kind: agent, agent: a, attempts: 1, timeout: 10s}
  ok: {kind: final}
  bad: {kind: final}
transitions:
  - [ready, message, otherwise, one, R-1]
  - [one, done, otherwise, ready, R-1]
  - [one, refused, otherwise, ok, R-1]
  - [one, failed, otherwise, two, R-1]
  - [two, done, otherwise, one, R-1]
  - [any, expired, otherwise, bad, R-1]
"""
    + ENDS
)


@pytest.mark.parametrize(
    ("answer", "most", "calls", "stopped"), [(gives(), 2, 4, []), (FAILING, 2, 8, []), (FAILING, 1, 4, [(1, 1)] * 4)]
)
async def test_each_message_to_a_child_has_the_whole_turn_of_the_parent(
    answer: AgentReply | AgentFailed, most: int, calls: int, stopped: list[tuple[int, int]]
) -> None:
    """A long talk with a child is no long turn; the last case, with room for one call less, is the control."""
    code = Code()
    below = read_flow(TALKS, code).flow
    code = Code.of(subflows={"team": Subflow(below, code)})
    text = TOP.replace("LIMITS", f"{{agent_calls: {most}}}").replace("BELOW", "talks")
    store, program = MemoryStore(), compiled(read_flow(text, code).flow, code)
    async with Runtime(store, program, ScriptedAgent(lambda _: answer)) as runtime:
        await runtime.start("top", conversation="talk")
        for _ in range(5):
            assert (await runtime.say("talk", "hello")).state == "team"
            found = (await runtime._conversations.known("talk")).conversation
            assert found.turn.agent_calls <= most
    assert calls_in(store) == calls
    hits = [one for stream in family_of(store, "talk") for one in reached(store, stream)]
    assert hits == [("agent_calls", *numbers) for numbers in stopped]
    check_family(store, program)
