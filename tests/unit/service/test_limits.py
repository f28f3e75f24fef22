"""Limits: each is reached in a flow, recorded with its numbers, and leads where the flow says."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from interlock.agents.scripted import ScriptedAgent, calls, gives
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.events import (
    AgentRequested,
    AgentReturned,
    LimitReached,
    MessageReceived,
    OverBudget,
    TransitionRefused,
    TransitionTaken,
)
from interlock.contracts.limits import LimitName, Limits, Usage
from interlock.persistence.memory_store import MemoryStore
from interlock.service.clock import ManualClock
from interlock.service.outcome import TurnOutcome
from interlock.service.runtime import Runtime
from support.runtime import CLERK, Bank, check_log, mini, of_type, path_of
from support.source_tree import ROOT

UNSURE = ScriptedAgent(lambda _: gives(outcome="unsure"))
HELPFUL = ScriptedAgent(lambda _: gives(reply="Yes."))
USED = AgentReply(text='{"reply":"Yes."}', usage=Usage(input_tokens=100, output_tokens=10))
SPENDING = ScriptedAgent(lambda _: USED)
LOOKING = ScriptedAgent(lambda _: calls("look_up", what="it"))
RESERVED = 10_100
"""Tokens of one call by the helper at its declared maximum."""
PRICED = 10_000 * 1_000 + 100 * 2_000
"""The same in billionths of the currency."""


async def limited(
    agent: Any, *texts: str, limits: str, clock: ManualClock | None = None, **flow: Any
) -> tuple[MemoryStore, TurnOutcome]:
    store, program = MemoryStore(), mini(limits=limits, **flow)
    async with Runtime(store, program, agent, clock=clock) as runtime:
        outcome = await runtime.start(conversation="talk")
        for text in texts:
            if outcome.task:
                await runtime.decide_task("talk", outcome.task.number, "resolved", actor=CLERK)
            outcome = await runtime.say("talk", text)
    check_log(store, program)
    return store, outcome


ROOMY = "turn_tokens: 2000000, turn_cost: 5"
OWN: dict[str, Any] = {
    "own_help": False,
    "more_states": "  own: {kind: agent, agent: helper, attempts: 1, timeout: 10s}\n",
    "rows": """  - [triage, help,   otherwise, own,  P-2]
  - [own,    done,   otherwise, more, P-3]
  - [own,    unsure, otherwise, own,  P-3]
""",
}
"""A state that goes to itself when its agent is unsure: triage that hands to itself."""
FLOWS: dict[LimitName, dict[str, Any]] = {"self_handoffs": OWN}
"""Where the small flow alone does not reach the limit."""
CASES: dict[LimitName, tuple[Any, tuple[str, ...], str, tuple[int, int]]] = {
    "handoffs": (UNSURE, ("help",), "{handoffs: 2, same_pair: 9}", (2, 2)),
    "same_pair": (UNSURE, ("help",), "{handoffs: 9, same_pair: 1}", (1, 1)),
    "agent_calls": (UNSURE, ("help",), "{handoffs: 9, same_pair: 9, agent_calls: 3}", (3, 3)),
    "steps": (UNSURE, ("help",), "{handoffs: 90, same_pair: 90, agent_calls: 90, steps: 7}", (7, 7)),
    "turn_tokens": (UNSURE, ("help",), "{handoffs: 9, same_pair: 9, turn_tokens: 20300}", (3 * RESERVED, 20_300)),
    "turn_cost": (UNSURE, ("help",), '{handoffs: 9, same_pair: 9, turn_cost: "0.015"}', (2 * PRICED, 15_000_000)),
    "conversation_handoffs": (UNSURE, ("help",), "{handoffs: 9, same_pair: 9, conversation_handoffs: 2}", (2, 2)),
    "conversation_tokens": (
        SPENDING,
        ("help", "help", "help"),
        "{conversation_tokens: 10300}",
        (2 * 110 + RESERVED, 10_300),
    ),
    "conversation_cost": (SPENDING, ("help", "help"), '{conversation_cost: "0.0103"}', (120_000 + PRICED, 10_300_000)),
    "conversation_messages": (HELPFUL, ("help", "help", "help"), "{conversation_messages: 2}", (3, 2)),
    "tool_rounds": (LOOKING, ("help",), "{tool_rounds: 2, turn_tokens: 900000}", (2, 2)),
    "tool_calls": (LOOKING, ("help",), f"{{tool_calls: 2, tool_rounds: 5, {ROOMY}}}", (2, 2)),
    "self_handoffs": (UNSURE, ("help",), f"{{self_handoffs: 2, handoffs: 5, same_pair: 5, {ROOMY}}}", (2, 2)),
    "repeats": (UNSURE, ("help",), f"{{repeats: 2, handoffs: 9, same_pair: 9, {ROOMY}}}", (2, 2)),
}
_HERE = "tests/unit/service/test_limits.py"
ELSEWHERE = {
    "turn_seconds": f"{_HERE}::test_a_turn_that_takes_too_long_ends_at_its_deadline",
    "message_bytes": f"{_HERE}::test_a_message_that_is_too_long_is_recorded_whole_and_read_by_nobody",
    "digression_depth": "tests/unit/service/test_agents_in_states.py::"
    "test_digressions_within_digressions_stop_at_the_declared_depth",
    "subflow_depth": "tests/unit/flow/test_subflow_decisions.py::test_a_child_too_deep_takes_the_limit_row",
    "issues": "tests/patterns/test_router.py::test_issues_beyond_the_limit_are_named_and_told",
    "subflows": "tests/unit/service/test_subflow_bounds.py::test_children_of_one_turn_are_counted",
    "agent_depth": "tests/unit/service/test_consulting.py::test_agents_that_ask_each_other_for_ever_stop_at_the_depth",
}
"""Limits with tests of their own."""


def test_every_limit_has_its_test() -> None:
    """A limit that is added must be reached here."""
    assert {*CASES, *ELSEWHERE} == set(Limits.model_fields)
    for place in ELSEWHERE.values():
        path, _, test = place.partition("::")
        assert f"def {test}(" in (ROOT / path).read_text("utf-8")


@pytest.mark.parametrize("name", CASES)
async def test_a_limit_is_recorded_with_its_numbers_and_its_row_is_taken(name: LimitName) -> None:
    """The value that would have been reached, the maximum, and a person at the end of the row."""
    agent, texts, limits, numbers = CASES[name]
    store, outcome = await limited(agent, *texts, limits=limits, **FLOWS.get(name, {}))
    assert [(event.limit, event.value, event.maximum) for event in of_type(store, "talk", LimitReached)] == [
        (name, *numbers)
    ]
    assert path_of(store, "talk")[-1] == "limit>desk"
    assert (outcome.state, outcome.standing) == ("desk", "with_person")


@pytest.mark.parametrize("name", CASES)
async def test_control_without_the_limit_the_same_conversation_does_not_reach_it(name: LimitName) -> None:
    """The same agent and messages with ten times the room: another limit, or none."""
    agent, texts, _, _ = CASES[name]
    roomy = (
        "{handoffs: 12, same_pair: 12, agent_calls: 30, steps: 60, turn_tokens: 2000000, turn_cost: 5, "
        "conversation_handoffs: 40, tool_rounds: 6}"
    )
    store, _ = await limited(agent, *texts, limits=roomy, **FLOWS.get(name, {}))
    assert name not in {event.limit for event in of_type(store, "talk", LimitReached) if event.maximum < 6}
    assert all(event.maximum >= 6 for event in of_type(store, "talk", LimitReached))


async def test_a_context_is_recorded_only_where_repeats_are_limited() -> None:
    """Entered again with the same facts and message it is the same digest; the `limit` row has none."""
    store, _ = await limited(UNSURE, "help", limits=CASES["repeats"][2])
    taken = of_type(store, "talk", TransitionTaken)
    contexts = [event.context for event in taken if event.target == "helper"]
    assert contexts[0] is not None
    assert contexts == [contexts[0]] * 2
    assert len({event.context for event in taken if event.on != "limit"}) == 3, "triage, helper and expert"
    assert [event.context for event in taken if event.on == "limit"] == [None]
    store, _ = await limited(UNSURE, "help", limits="{handoffs: 2}")
    assert {event.context for event in of_type(store, "talk", TransitionTaken)} == {None}


async def test_what_became_known_makes_another_context() -> None:
    """Open or sealed, a fact that is new lets the state be entered again: that is progress, not a loop."""
    cities = iter(("Rome", "Oslo", "Bern", "Rome", "Oslo", "Bern"))
    learning = ScriptedAgent(lambda _: gives(outcome="unsure", city=next(cities)))
    store, _ = await limited(learning, "help", limits=f"{{repeats: 1, handoffs: 4, same_pair: 9, {ROOMY}}}")
    assert [event.limit for event in of_type(store, "talk", LimitReached)] == ["handoffs"]


async def test_a_prompt_that_the_provider_counts_higher_is_told_in_the_event_and_to_the_operators() -> None:
    """The bound held for every tokenizer we know; one that it does not hold for shows itself."""
    low = AgentReply(text='{"reply":"Yes."}', usage=Usage(input_tokens=10_000_000, output_tokens=1))
    with capture_logs() as logs:
        store, _ = await limited(ScriptedAgent(lambda _: low), "help", limits="{conversation_tokens: 90000000}")
    request, returned = of_type(store, "talk", AgentRequested)[0], of_type(store, "talk", AgentReturned)[0]
    assert returned.undercounted
    (warned,) = [one for one in logs if one["event"] == "tokens_undercounted"]
    assert (warned["token_bound"], warned["input_tokens"]) == (request.token_bound, 10_000_000)
    store, _ = await limited(SPENDING, "help", limits="{}")
    assert not of_type(store, "talk", AgentReturned)[0].undercounted
    assert not any(b"undercounted" in entry.data for entry in store.read("talk"))


async def test_counters_of_a_turn_begin_anew_with_the_next_message() -> None:
    """The limit of a turn is no limit of the conversation."""
    store, _ = await limited(UNSURE, "help", "help", limits="{handoffs: 2, same_pair: 9}")
    assert [event.value for event in of_type(store, "talk", LimitReached)] == [2, 2]


async def test_a_budget_is_reserved_before_a_call_and_settled_after_it() -> None:
    """Two calls of 110 tokens fit where two reservations would not."""
    store, outcome = await limited(ScriptedAgent(lambda _: USED), "help", "help", limits="{conversation_tokens: 10300}")
    assert outcome.state == "more"
    assert [event.reserved_tokens for event in of_type(store, "talk", AgentRequested)] == [RESERVED] * 2
    assert not of_type(store, "talk", LimitReached)


async def test_an_attempt_that_measured_nothing_costs_what_was_reserved() -> None:
    """Else a provider that reports no usage would be without a budget."""
    store, outcome = await limited(HELPFUL, "help", "help", limits="{conversation_tokens: 20000}")
    assert outcome.standing == "with_person"
    assert of_type(store, "talk", LimitReached)[0].value == 2 * RESERVED


async def test_a_turn_that_takes_too_long_ends_at_its_deadline() -> None:
    """An attempt that failed after the deadline is not followed by another."""
    clock = ManualClock()

    def slow(_: AgentRequest) -> str:
        clock.advance(61)
        return "not json"

    store, outcome = await limited(ScriptedAgent(slow), "help", limits="{turn_seconds: 60}", clock=clock)
    (reached,) = of_type(store, "talk", LimitReached)
    assert (reached.limit, reached.value, reached.maximum) == ("turn_seconds", 61, 60)
    assert outcome.standing == "with_person"


async def test_an_attempt_gets_no_more_time_than_the_turn_has_left() -> None:
    """The timeout of the second attempt is what remains of the turn."""
    clock = ManualClock()

    def slow(_: AgentRequest) -> str:
        clock.advance(57)
        return "not json"

    store, _ = await limited(ScriptedAgent(slow), "help", limits="{turn_seconds: 60}", clock=clock)
    assert [event.timeout_seconds for event in of_type(store, "talk", AgentRequested)] == [10, 3]


async def test_a_message_that_is_too_long_is_recorded_whole_and_read_by_nobody() -> None:
    """The customer is asked to shorten it; the state and its deadline stay."""
    store, program = MemoryStore(), mini(limits="{message_bytes: 100}")
    agent = ScriptedAgent([])
    async with Runtime(store, program, agent) as runtime:
        await runtime.start(conversation="talk")
        fits = await runtime.say("talk", "x" * 100)
        assert fits.state == "more"
        outcome = await runtime.say("talk", "help " * 21)
        assert outcome.state == "more"
        assert "100" in outcome.text
        assert await runtime.say("talk", "é" * 51, key="k") == await runtime.say("talk", "é" * 51, key="k")
    received = of_type(store, "talk", MessageReceived)
    assert [event.disposition for event in received] == ["taken", "refused", "refused"]
    assert received[1].message.length == 105
    assert {event.reason for event in of_type(store, "talk", TransitionRefused)} == {"too_long"}
    check_log(store, program)


async def test_a_history_that_does_not_fit_the_window_is_over_budget_with_its_measure() -> None:
    """Nothing is cut in silence: the call is not made, and the event says how much it would have been."""
    store, program = MemoryStore(), mini(limits="{message_bytes: 9000}", input_tokens=6000)
    agent = ScriptedAgent([])
    async with Runtime(store, program, agent) as runtime:
        await runtime.start(conversation="talk")
        outcome = await runtime.say("talk", "help " + "x" * 3990)
        assert (outcome.state, outcome.standing) == ("desk", "with_person")
    (over,) = of_type(store, "talk", OverBudget)
    assert over.token_bound > over.maximum == 6000
    assert path_of(store, "talk")[-1] == "over_budget>desk"
    assert agent.requests == []
    check_log(store, program)


async def test_a_limit_may_lead_to_a_wait_and_the_conversation_goes_on() -> None:
    """The row decides; here the customer is simply asked what else."""
    store, outcome = await limited(UNSURE, "help", "form", limits="{handoffs: 1}", limit_goes_to="more")
    assert outcome.state == "form"
    assert "limit>more" in path_of(store, "talk")


async def test_the_last_tool_round_offers_no_tools() -> None:
    """At the limit the model is asked without tools, so that it can still answer."""
    offered: list[int] = []

    def script(request: AgentRequest) -> AgentReply:
        offered.append(len(request.tools))
        return calls("look_up", what="it") if request.tools else gives(reply="Then so.")

    bank = Bank()
    _, outcome = await limited(ScriptedAgent(script), "help", limits="{tool_rounds: 2}", bank=bank)
    assert outcome.replies[0] == "Then so."
    assert offered == [2, 2, 0]
    assert bank.names == ["look_up", "look_up"]
