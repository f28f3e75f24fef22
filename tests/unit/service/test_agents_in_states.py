"""Agents inside states: contracts, repairs, tools, handoffs, digressions; each attempt on the record."""

import asyncio
from typing import Any

import pytest

from interlock.agents.scripted import ScriptedAgent, after, after_tool, calls, fails, gives, rules, when
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentCutShort, AgentReply, AgentRequest, ToolCall
from interlock.contracts.errors import AgentFailed, StorageError
from interlock.contracts.events import (
    AgentRequested,
    AgentReturned,
    HandoffMade,
    LimitReached,
    ReplySent,
    RoutingDecided,
    ToolRefused,
    ToolRequested,
    ToolReturned,
)
from interlock.contracts.limits import Usage
from interlock.fsm.code import Code
from interlock.fsm.describe import described
from interlock.fsm.load import read_flow
from interlock.fsm.program import compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.service.outcome import TurnOutcome
from interlock.service.runtime import Runtime
from support.runtime import Bank, FailingStore, check_log, events_of, mini, of_type, path_of


async def turns(store: Any, agent: Any, *texts: str, bank: Bank | None = None, **flow: Any) -> TurnOutcome:
    """A conversation `talk` of these messages; its log is checked."""
    program = mini(bank, **flow)
    async with Runtime(store, program, agent) as runtime:
        outcome = await runtime.start(conversation="talk")
        for text in texts:
            outcome = await runtime.say("talk", text)
    check_log(store, program)
    return outcome


async def test_a_broken_contract_is_asked_for_again_with_what_was_wrong() -> None:
    """The second attempt is a decision: it is requested with the violations, and succeeds."""
    store = MemoryStore()
    agent = ScriptedAgent(['{"outcome": "done", "reply": 5}', gives(reply="Yes.")])
    outcome = await turns(store, agent, "help")
    assert (outcome.state, outcome.replies) == ("more", ("Yes.", "Anything else?"))
    first, second = of_type(store, "talk", AgentRequested)
    assert (first.attempt, first.repairs, second.attempt) == (1, (), 2)
    assert len(second.repairs) == 1
    assert "reply" in second.repairs[0]
    assert [event.report.outcome for event in of_type(store, "talk", AgentReturned)] == ["invalid", "done"]
    assert second.repairs[0] in agent.requests[1].messages[-1].content or any(
        second.repairs[0] in message.content for message in agent.requests[1].messages
    )


@pytest.mark.parametrize("answer", ["not json", "[]", "{}}", '{"outcome":"perhaps"}', '{"more":1}', "", "null"])
async def test_two_answers_that_break_the_contract_are_invalid(answer: str) -> None:
    """The declared outcome, after as many attempts as the state has; nothing of the answers reaches the customer."""
    store = MemoryStore()
    outcome = await turns(store, ScriptedAgent(lambda _: answer), "help")
    assert (outcome.state, outcome.standing, outcome.replies) == ("desk", "with_person", ("A clerk comes.",))
    assert path_of(store, "talk")[-1] == "invalid>desk"
    assert [event.report.outcome for event in of_type(store, "talk", AgentReturned)] == ["invalid", "invalid"]


@pytest.mark.parametrize(
    ("answer", "outcome", "attempts"),
    [
        (fails("server_error"), "failed", 2),
        (fails("rate_limited", retry_after_seconds=7), "failed", 2),
        (fails("slow", kind="timeout"), "timeout", 2),
        (fails("declined", kind="refused"), "refused", 1),
        (fails("nonsense", kind="invalid"), "invalid", 2),
        (fails("what", kind="no_such_kind"), "failed", 2),
        (gives(outcome="refused", reply="I may not."), "refused", 1),
        (AgentReply(text="", refused=True), "refused", 1),
    ],
)
async def test_each_end_of_an_attempt_is_its_declared_outcome(answer: Any, outcome: str, attempts: int) -> None:
    """Every attempt has its request and its result; then the row of the outcome is taken."""
    store = MemoryStore()
    await turns(store, ScriptedAgent(lambda _: answer), "help")
    assert path_of(store, "talk")[-1] == f"{outcome}>desk"
    assert [event.report.outcome for event in of_type(store, "talk", AgentReturned)] == [outcome] * attempts
    assert [event.attempt for event in of_type(store, "talk", AgentRequested)] == list(range(1, attempts + 1))


class Raises:
    """An agent whose adapter is broken in its own way."""

    name = "raises"

    def __init__(self, error: BaseException | Any) -> None:
        self.error = error

    async def run(self, request: AgentRequest) -> AgentReply:
        if isinstance(self.error, BaseException):
            raise self.error
        return self.error  # type: ignore[no-any-return]


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even my text fails")


def cut_short() -> AgentCutShort:
    error = AgentCutShort("Out of tokens.", kind="invalid", reason="truncated", request_id="req-9")
    error.usage, error.model = Usage(input_tokens=30, output_tokens=100), "small-served"
    return error


@pytest.mark.parametrize(
    "error",
    [
        ValueError("\ud800"),
        Unspeakable(),
        RecursionError(),
        MemoryError(),
        StopAsyncIteration(),
        SystemExit(3),
        asyncio.CancelledError(),
        TimeoutError(),
        StorageError("not even ours"),
        AgentFailed("x", retry_after_seconds=-5),
        AgentFailed("x", retry_after_seconds=2**80),
        AgentFailed("x", retry_after_seconds=1.5),  # type: ignore[arg-type]
        AgentFailed("x", reason="\x00" * 500, request_id="\ud800" * 500),
        AgentFailed("x", reason=5),  # type: ignore[arg-type]
    ],
    ids=repr,
)
async def test_whatever_an_agent_raises_is_the_outcome_failed(error: BaseException) -> None:
    """The turn is not lost, nobody waits for ever, and the log holds each attempt."""
    store = MemoryStore()
    outcome = await asyncio.wait_for(turns(store, Raises(error), "help"), 20)
    assert (outcome.state, outcome.standing) == ("desk", "with_person")
    assert [event.report.outcome for event in of_type(store, "talk", AgentReturned)] == ["failed", "failed"]


@pytest.mark.parametrize(
    "reply",
    [
        None,
        5,
        "text",
        b"bytes",
        AgentReply(text=None),  # type: ignore[arg-type]
        AgentReply(text=b"{}"),  # type: ignore[arg-type]
        AgentReply(text=["x"]),  # type: ignore[arg-type]
        AgentReply(text="{}", usage=None),  # type: ignore[arg-type]
        AgentReply(tool_calls=("x",)),  # type: ignore[arg-type]
        AgentReply(tool_calls=(ToolCall("1", None, None),)),  # type: ignore[arg-type]
    ],
    ids=repr,
)
async def test_a_reply_that_is_none_is_the_outcome_failed(reply: Any) -> None:
    """An adapter that gives anything else than a reply has failed, twice."""
    store = MemoryStore()
    outcome = await turns(store, Raises(reply), "help")
    assert outcome.standing == "with_person"
    assert path_of(store, "talk")[-1] in ("failed>desk", "invalid>desk")


async def test_more_tokens_than_any_model_has_are_no_measurement() -> None:
    """A provider that reports nonsense is charged at what was reserved; the budgets stay whole numbers."""
    store = MemoryStore()
    absurd = AgentReply(text='{"reply":"Yes."}', usage=Usage(input_tokens=2**53 - 1, output_tokens=2**53 - 1))
    outcome = await turns(store, ScriptedAgent(lambda _: absurd), "help", "help")
    assert outcome.state == "more"
    request, returned = of_type(store, "talk", AgentRequested)[0], of_type(store, "talk", AgentReturned)[0]
    assert (returned.report.usage, returned.cost) == (Usage(measured=False), request.reserved_cost)


async def test_what_an_unfinished_attempt_cost_is_settled_at_what_it_used() -> None:
    """Cut short by the output limit: paid for, so its tokens, model and request id are on the record."""
    store = MemoryStore()
    await turns(store, Raises(cut_short()), "help")
    first = of_type(store, "talk", AgentReturned)[0]
    assert (first.report.usage, first.report.model) == (Usage(input_tokens=30, output_tokens=100), "small-served")
    assert (first.report.outcome, first.report.request_id) == ("invalid", "req-9")
    assert first.cost == 30 * 1_000 + 100 * 2_000


async def test_a_model_that_hangs_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt ends at the state's timeout, and the row of `timeout` is taken."""
    store = MemoryStore()
    agent = ScriptedAgent(after(60, gives(reply="Too late.")))
    await turns(store, agent, "help", timeout="1s", attempts=1)
    assert path_of(store, "talk")[-1] == "timeout>desk"


async def test_a_tool_round_brings_the_result_to_the_model() -> None:
    """Proposed, allowed, intended, run, told: then the model answers."""
    store, bank = MemoryStore(), Bank()
    agent = ScriptedAgent([calls("look_up", what="it"), gives(reply="Found.")])
    outcome = await turns(store, agent, "help", bank=bank)
    assert outcome.replies[0] == "Found."
    (requested,) = of_type(store, "talk", ToolRequested)
    assert (requested.tool, requested.caller, requested.consequential) == ("look_up", "agent", False)
    version = events_of(store, "talk").index(requested)
    assert bank.calls == [("look_up", f"talk:{version}")]
    told = agent.requests[1].messages[-1]
    assert (told.role, told.content) == ("tool", '{"found":"it"}')
    assert agent.requests[1].messages[-2].tool_calls[0].name == "look_up"


async def test_tools_that_may_not_run_are_refused_and_the_model_is_told() -> None:
    """Unknown, not of this state, bad arguments: three refusals on the record, nothing is executed."""
    store, bank = MemoryStore(), Bank()
    proposals = AgentReply(
        tool_calls=(
            ToolCall("a", "no_such_tool", "{}"),
            ToolCall("b", "erase_everything", "{}"),
            ToolCall("c", "pay_unkeyed", "{}"),
            ToolCall("d", "look_up", '{"what": 5}'),
            ToolCall("e", "look_up", "not json"),
        )
    )
    agent = ScriptedAgent([proposals, gives(reply="Then not.")])
    outcome = await turns(store, agent, "help", bank=bank)
    assert outcome.replies[0] == "Then not."
    refusals = of_type(store, "talk", ToolRefused)
    assert [(event.tool, event.reason) for event in refusals] == [
        (None, "unknown"),
        (None, "unknown"),
        ("pay_unkeyed", "not_allowed"),
        ("look_up", "bad_arguments"),
        ("look_up", "bad_arguments"),
    ]
    assert bank.calls == []
    told = [message.content for message in agent.requests[1].messages if message.role == "tool"]
    assert [text.split(".")[0] for text in told] == [
        "Refused (unknown)",
        "Refused (unknown)",
        "Refused (not_allowed)",
        "Refused (bad_arguments)",
        "Refused (bad_arguments)",
    ]
    assert len(agent.requests[1].messages[-6].tool_calls) == 5


async def test_more_calls_at_once_than_are_taken_break_the_contract() -> None:
    """Forty proposals: none runs, none is forgotten in silence, and the model is asked again."""
    store, bank = MemoryStore(), Bank()
    many = AgentReply(tool_calls=tuple(ToolCall(str(n), "look_up", '{"what":"x"}') for n in range(40)))
    outcome = await turns(store, ScriptedAgent([many, gives(reply="Enough.")]), "help", bank=bank)
    assert outcome.replies[0] == "Enough."
    first = of_type(store, "talk", AgentReturned)[0]
    assert (first.report.outcome, first.report.violations) == (
        "invalid",
        ("The answer proposes 40 tool calls; at most 32 are taken.",),
    )
    assert bank.calls == []


@pytest.mark.parametrize("calls_at_once", [1, 32, 200])
async def test_any_number_of_calls_with_everything_wrong_fits_the_log(calls_at_once: int) -> None:
    """Each with as many problems as arguments can have: the entry stays within its 65,535 bytes."""
    store = MemoryStore()
    arguments = '{"what": 5,' + ",".join(f'"unheard_of_{n:050}": {n}' for n in range(60)) + "}"
    many = AgentReply(tool_calls=tuple(ToolCall(str(n), "look_up", arguments) for n in range(calls_at_once)))
    outcome = await turns(
        store,
        ScriptedAgent([many, gives(reply="Enough.")]),
        "help",
        input_tokens=400_000,
        limits="{turn_tokens: 1000000, turn_cost: 1000}",
    )
    assert outcome.replies[0] == "Enough."


async def test_a_tool_that_fails_is_told_to_the_model_and_to_the_flow() -> None:
    """Inside an agent the model hears of it; in a state of its own the row of `failed` is taken."""
    store, bank = MemoryStore(), Bank()

    def breaks(name: str) -> None:
        raise ValueError(f"{name} of Mrs Smith is broken")

    bank.answer = breaks
    agent = ScriptedAgent(
        rules(after_tool("look_up", then=gives(reply="It does not work.")), otherwise=calls("look_up", what="it"))
    )
    await turns(store, agent, "help", "pay", bank=bank)
    assert [event.report.outcome for event in of_type(store, "talk", ToolReturned)] == ["failed", "failed"]
    assert path_of(store, "talk")[-1] == "failed>desk"
    assert not any(b"Smith" in entry.data for entry in store.read("talk"))


async def test_a_handoff_tells_the_next_agent_what_it_needs_and_no_more() -> None:
    """The envelope: who, to whom, which history, named facts, why, what is allowed, and what was left out."""
    store = MemoryStore()
    agent = ScriptedAgent({"helper": gives(outcome="unsure"), "expert": gives(reply="I know.")})
    outcome = await turns(store, agent, "form", "Paris", "12.50", "help")
    assert outcome.replies[0] == "I know."
    (made,) = of_type(store, "talk", HandoffMade)
    handoff = made.handoff
    request = of_type(store, "talk", AgentRequested)[-1]
    assert (handoff.source, handoff.target) == ("helper", "expert")
    assert handoff.trace.startswith("talk:")
    assert handoff.facts == ("city",)
    assert (handoff.why, handoff.label) == ("label", "help")
    assert handoff.history == request.history
    assert (handoff.history.policy, handoff.history.count) == ("window", 2)
    assert handoff.constraints.allowed_actions == ()
    assert handoff.constraints.token_budget == request.reserved_tokens == 10_100
    assert handoff.constraints.deadline > made.handoff.constraints.deadline.replace(year=2020)
    assert handoff.warnings == ("history is a window of 2 of 8 messages",)
    expert = agent.requests[-1]
    assert [message.content for message in expert.messages[-2:]] == ["Anything else?", "help"]
    assert not any("How much?" in message.content for message in expert.messages), "older than the window"
    assert not any("12.50" in message.content for message in expert.messages), "the amount is not the expert's to read"
    assert any("Paris" in message.content for message in expert.messages)


async def test_facts_that_an_agent_gives_are_typed_as_the_flow_declares_them() -> None:
    """A field of the result with a fact's name becomes that fact; free text only as a payload."""
    store = MemoryStore()
    await turns(store, ScriptedAgent(lambda _: gives(reply="Yes.", city="Rome")), "help", "form")
    assert path_of(store, "talk")[-1] == "form>form"
    assert not any(b"Rome" in entry.data for entry in store.read("talk"))


# -- digressions -----------------------------------------------------------------------------------------

PUSHES = "  - [any, help, otherwise, push helper, P-10]\n"


async def test_a_digression_returns_to_the_form_it_left() -> None:
    """Asked something in the middle of a form: it is answered, and the same question is asked again."""
    store = MemoryStore()
    agent = ScriptedAgent(lambda _: gives(reply="Because."))
    outcome = await turns(store, agent, "form", "Paris", "help me, why?", rows=PUSHES)
    assert (outcome.state, outcome.replies) == ("form", ("Because.", "How much?"))
    assert path_of(store, "talk")[-2:] == ["help>helper", "done>form"]
    taken = [event for event in events_of(store, "talk") if event.type == "transition_taken"]
    assert [event.move for event in taken[-2:]] == ["push", "return"]
    assert of_type(store, "talk", RoutingDecided)[-1].state == "form"


async def test_a_form_goes_on_after_a_digression() -> None:
    """What it knew before is known after it, and its attempts are not used up."""
    store = MemoryStore()
    agent = ScriptedAgent(lambda _: gives(reply="Because."))
    outcome = await turns(store, agent, "form", "Paris", *["help me"] * 5, "12.50", rows=PUSHES)
    assert outcome.state == "more"


async def test_a_label_pushed_where_nobody_could_come_back_to_is_an_ordinary_move() -> None:
    """From a route state a digression has nothing to return to: the conversation goes on, and never stands still."""
    store = MemoryStore()
    program_rows = PUSHES
    agent = ScriptedAgent(lambda _: gives(reply="Because."))
    program = mini(rows=program_rows, own_help=False)
    async with Runtime(store, program, agent) as runtime:
        await runtime.start(conversation="talk")
        outcome = await runtime.say("talk", "help")
        assert (outcome.state, outcome.replies) == ("more", ("Because.", "Anything else?"))
    check_log(store, program)


async def test_a_form_that_a_digression_filled_is_complete() -> None:
    """The agent of the digression finds out the last fact: nothing is left to ask, and nobody waits in silence."""
    store = MemoryStore()
    program = mini(rows=PUSHES)
    async with Runtime(store, program, ScriptedAgent([gives(reply="You live in Rome.", city="Rome")])) as runtime:
        await runtime.start(conversation="talk", facts={"amount": 4_500})
        await runtime.say("talk", "form")
        outcome = await runtime.say("talk", "help me, why?")
    assert path_of(store, "talk")[-3:] == ["help>helper", "done>form", "complete>more"]
    assert outcome.replies == ("You live in Rome.", "Anything else?")
    check_log(store, program)


async def test_digressions_within_digressions_stop_at_the_declared_depth() -> None:
    """A form pushed from a form: at depth one a second push reaches the limit, and a person takes over."""
    store = MemoryStore()
    rows = "  - [any, help, otherwise, push other, P-10]\n"
    program = mini(
        rows=rows,
        own_help=False,
        limits="{digression_depth: 1}",
        more_states=("  other: {kind: collect, facts: [amount], attempts: 3, deadline: 15m}\n"),
        more_rows="  - [other, complete, in_digression, return, P-10]\n  - [other, complete, otherwise, more, P-10]\n",
    )
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "form")
        assert (await runtime.say("talk", "help")).state == "other"
        outcome = await runtime.say("talk", "help")
        assert outcome.state == "desk"
        (reached,) = of_type(store, "talk", LimitReached)
        assert (reached.limit, reached.value, reached.maximum) == ("digression_depth", 1, 1)
    check_log(store, program)


# -- the disk fails --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "kind"), [("help", "agent"), ("pay", "tool"), ("once", "tool")])
async def test_no_agent_and_no_tool_is_called_when_its_intent_cannot_be_recorded(text: str, kind: str) -> None:
    """The disk fails at the commit: the caller is told, nothing was called, nothing moved; later it works."""
    bank = Bank()
    program = mini(bank)
    store = FailingStore(MemoryStore(), StorageError("The disk is full.", fix="Make room."))
    agent = ScriptedAgent(lambda _: gives(reply="Yes."))
    async with Runtime(store, program, agent) as runtime:
        await runtime.start(conversation="talk")
        length = store.head("talk").length
        store.broken = True
        with pytest.raises(StorageError, match="The disk is full"):
            await runtime.say("talk", text, key="k")
        assert (bank.calls, agent.requests, store.head("talk").length) == ([], [], length)
        store.broken = False
        assert (await runtime.say("talk", text, key="k")).state == "more"
        assert len(bank.calls) + len(agent.requests) == 1
    check_log(store, program)


async def test_a_tool_that_a_model_proposed_does_not_run_when_the_disk_fails() -> None:
    """Between the model's answer and the tool lies a commit: when that fails, the tool does not run."""
    bank = Bank()
    program = mini(bank)
    store = FailingStore(MemoryStore(), StorageError("The disk is full.", fix="Make room."))

    def fill(_: AgentRequest) -> AgentReply:
        store.broken = True
        return calls("pay", amount=3)

    async with Runtime(
        store, program, ScriptedAgent(rules(after_tool("pay", then=gives(reply="Paid.")), when("tool", then=fill)))
    ) as runtime:
        await runtime.start(conversation="talk")
        with pytest.raises(StorageError):
            await runtime.say("talk", "help tool")
        assert bank.calls == []
    check_log(store, program)


async def test_replies_are_only_what_was_recorded() -> None:
    """A reply whose record failed is not given by the next outcome either."""
    store = FailingStore(MemoryStore(), StorageError("The disk is full.", fix="Make room."))
    program = mini()
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        await runtime.start(conversation="talk")
        store.broken = True
        with pytest.raises(StorageError):
            await runtime.say("talk", "form", key="k")
        store.broken = False
        assert of_type(store, "talk", ReplySent)[-1].text == "state.start"
        assert (await runtime.outcome("talk")).state == "start"
    check_log(store, program)


async def test_a_call_gives_what_the_flow_says_beside_the_facts() -> None:
    """One tool, two states that give it different words: what the flow says stands in the call."""
    told: list[tuple[str, int]] = []

    @tool(says="Changes an order.")
    def change(what: str, amount: int) -> dict[str, bool]:
        told.append((what, amount))
        return {}

    flow = read_flow(GIVING, Code.of(tools=[change])).flow
    program = compiled(flow, Code.of(tools=[change]))
    store = MemoryStore()
    async with Runtime(store, program, ScriptedAgent([])) as runtime:
        opened = await runtime.start()
        outcome = await runtime.say(opened.conversation, "40 euros")
    assert (told, outcome.state) == ([("waive fee", 4_000), ("send again", 4_000)], "closed")
    assert "calls change" in described(flow)
    assert "what “waive fee”" in described(flow)
    check_log(store, program)


GIVING = """
flow: giving
version: 1
owner: tests
initial: start
facts:
  amount: {type: money, ask: "How much?"}
states:
  start:  {kind: wait, deadline: 5m}
  waive:  {kind: call, tool: change, reads: [amount], gives: {what: waive fee}}
  again:  {kind: call, tool: change, reads: [amount], gives: {what: send again}}
  closed: {kind: final}
transitions:
  - [start, message, otherwise, waive,  P-1]
  - [waive, done,    otherwise, again,  P-1]
  - [again, done,    otherwise, closed, P-1]
  - [any,   expired, otherwise, closed, P-2]
  - [any,   failed,  otherwise, closed, P-2]
  - [any,   timeout, otherwise, closed, P-2]
  - [any,   limit,   otherwise, closed, P-3]
"""
