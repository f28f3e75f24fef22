"""An agent asks another as a tool: what each sees, what is recorded, and that a crash anywhere changes nothing."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.agents.scripted import ScriptedAgent, calls, gives
from interlock.agents.tools import check_task, tool
from interlock.cli.story import told as told_story
from interlock.contracts.agents import AgentReply, AgentRequest, AgentResult, ToolCall
from interlock.contracts.errors import AgentFailed, StorageError
from interlock.contracts.events import (
    AgentRequested,
    AgentReturned,
    AgentToolEnded,
    FactsRecorded,
    HandoffMade,
    LimitReached,
    OverBudget,
    ReplySent,
    ToolRefused,
)
from interlock.contracts.store import Append
from interlock.fsm.code import Code
from interlock.fsm.load import read_flow
from interlock.fsm.program import Program, compiled
from interlock.persistence.memory_store import MemoryStore
from interlock.service.loading import recorded
from interlock.service.outcome import TurnOutcome
from interlock.service.runtime import Runtime
from support.runtime import FailingStore, check_log, events_of, of_type, path_of

FLOW = """
flow: consulting
version: 1
owner: tests
initial: start
limits: {LIMITS}
facts:
  amount: {type: money, says: the amount, ask: "How much?"}
  name:   {type: text, says: your name, ask: "Who?"}
  secret: {type: text, says: a secret, ask: "Which?"}
agents:
  adviser: {instructions: You advise., contract: Advice}
  lawyer:
    {instructions: You know the law., says: Reads contracts., handles: [clauses], contract: Opinion,
     reads: [amount, name], consults: [clerk, lawyer], max_input_tokens: WINDOW}
  clerk: {instructions: You look into files.}
states:
  start: {kind: wait, say: "Hello.", deadline: 1h}
  work:  {kind: agent, agent: adviser, agents: [lawyer], tools: [look_up], reads: [secret], attempts: 2}
  more:  {kind: wait, say: "Anything else?", deadline: 1h}
  desk:  {kind: wait, say: "A person comes.", deadline: 1h}
  end:   {kind: final}
transitions:
  - [start, message,     otherwise, work, A]
  - [more,  message,     otherwise, work, A]
  - [desk,  message,     otherwise, work, A]
  - [work,  done,        otherwise, more, A]
  - [any,   unsure,      otherwise, desk, A]
  - [any,   refused,     otherwise, desk, A]
  - [any,   invalid,     otherwise, desk, A]
  - [any,   timeout,     otherwise, desk, A]
  - [any,   failed,      otherwise, desk, A]
  - [any,   over_budget, otherwise, desk, A]
  - [any,   limit,       otherwise, desk, L]
  - [any,   expired,     otherwise, end,  A]
"""


class Advice(AgentResult):
    """The adviser's."""


class Opinion(AgentResult):
    """The lawyer's: with a field that is a fact of the flow."""

    amount: str = ""


@tool(says="Looks up.")
def look_up(what: str) -> dict[str, str]:
    return {"found": what}


CODE = Code.of(tools=[look_up], contracts=[Advice, Opinion])


def program(limits: str = "{agent_calls: 20}", window: int = 32_000) -> Program:
    text = FLOW.replace("LIMITS", limits.strip("{}")).replace("WINDOW", str(window))
    return compiled(read_flow(text, CODE).flow, CODE)


def asks(agent: str, task: str) -> AgentReply:
    return calls(f"ask_{agent}", task=task)


def told(request: AgentRequest) -> list[str]:
    """What the model was told of the calls that it proposed."""
    return [one.content for one in request.messages if one.role == "tool"]


async def talk(agent: Any, made: Program | None = None, **facts: Any) -> tuple[MemoryStore, TurnOutcome]:
    store, made = MemoryStore(), made or program()
    async with Runtime(store, made, agent) as runtime:
        await runtime.start(conversation="talk", facts=facts)
        outcome = await runtime.say("talk", "May I cancel?")
    check_log(store, made)
    return store, outcome


def adviser(request: AgentRequest) -> AgentReply:
    """Asks the lawyer once, then tells the customer what it was told."""
    return gives(reply=told(request)[-1]) if told(request) else asks("lawyer", "Clause 5: may they cancel?")


async def test_the_caller_keeps_the_conversation_and_gets_the_text() -> None:
    """One question, one answer: no handoff, no fact, no reply by the one that was asked."""
    agent = ScriptedAgent({"adviser": adviser, "lawyer": gives(reply="They may.", amount="9.00")})
    store, outcome = await talk(agent)
    assert outcome.replies == ('{"amount":"9.00","reply":"They may."}', "Anything else?")
    asked = [(event.agent, event.purpose) for event in of_type(store, "talk", AgentRequested)]
    assert asked == [("adviser", "run"), ("lawyer", "tool"), ("adviser", "run")]
    (ended,) = of_type(store, "talk", AgentToolEnded)
    assert (ended.agent, ended.outcome, ended.position) == ("lawyer", "done", 0)
    assert not of_type(store, "talk", HandoffMade)
    assert not of_type(store, "talk", FactsRecorded)
    assert len([event for event in of_type(store, "talk", ReplySent) if event.agent is not None]) == 1
    assert not of_type(store, "talk", AgentReturned)[1].report.facts, "not even read"
    assert path_of(store, "talk") == ["message>work", "done>more"]


async def test_the_asked_agent_sees_the_task_and_its_facts_and_nothing_else() -> None:
    """Its instructions and scope, the facts under its `reads`, and the task as a message."""
    agent = ScriptedAgent({"adviser": adviser, "lawyer": gives(reply="They may.")})
    await talk(agent, amount="12.50", name="Ana Ruiz", secret="xyzzy")
    lawyer = agent.requests[1]
    assert [one.role for one in lawyer.messages] == ["system", "user", "user"]
    system, data, task = (one.content for one in lawyer.messages)
    assert "You know the law." in system
    assert "clauses" in system
    assert "12.50" in system
    assert "Ana Ruiz" in data
    assert task == "Clause 5: may they cancel?"
    everything = json.dumps([one.content for one in lawyer.messages])
    assert not [word for word in ("xyzzy", "May I cancel?", "Hello.") if word in everything]
    assert [one.name for one in lawyer.tools] == ["ask_clerk", "ask_lawyer"]


async def test_the_model_is_offered_the_agent_as_a_tool_that_takes_a_task() -> None:
    """With what the flow's author says of it."""
    agent = ScriptedAgent({"adviser": adviser, "lawyer": gives(reply="They may.")})
    await talk(agent)
    tools = {one.name: one for one in agent.requests[0].tools}
    assert sorted(tools) == ["ask_lawyer", "look_up"]
    lawyer = tools["ask_lawyer"]
    assert lawyer.description == "Asks the agent lawyer and gives its answer. Reads contracts. It handles clauses."
    assert lawyer.parameters["required"] == ["task"]
    proposed = agent.requests[2].messages[-2].tool_calls[0]
    assert (proposed.name, json.loads(proposed.arguments)) == ("ask_lawyer", {"task": "Clause 5: may they cancel?"})


async def test_several_calls_of_one_answer_are_handled_in_their_order() -> None:
    """Agents, tools and refusals mixed: each answered in its place."""
    mixed = AgentReply(
        tool_calls=(
            ToolCall("a", "ask_lawyer", '{"task": "One?"}'),
            ToolCall("b", "look_up", '{"what": "it"}'),
            ToolCall("c", "ask_clerk", '{"task": "Two?"}'),
            ToolCall("d", "ask_lawyer", '{"question": "Three?"}'),
            ToolCall("e", "ask_lawyer", '{"task": "  "}'),
            ToolCall("f", "ask_nobody", '{"task": "Four?"}'),
            ToolCall("g", "ask_lawyer", '{"task": "Five?"}'),
        )
    )
    agent = ScriptedAgent(
        {
            "adviser": lambda request: gives(reply="So.") if told(request) else mixed,
            "lawyer": lambda request: gives(reply=f"On {request.messages[-1].content}"),
        }
    )
    store, _ = await talk(agent)
    refused = [(event.agent, event.tool, event.reason) for event in of_type(store, "talk", ToolRefused)]
    assert refused == [
        ("clerk", None, "not_allowed"),
        ("lawyer", None, "bad_arguments"),
        ("lawyer", None, "bad_arguments"),
        (None, None, "unknown"),
    ]
    assert told(agent.requests[-1]) == [
        '{"reply":"On One?"}',
        '{"found":"it"}',
        "Refused (not_allowed).",
        "Refused (bad_arguments). task: is missing. ?: is not in the contract.",
        "Refused (bad_arguments). task: is empty.",
        "Refused (unknown).",
        '{"reply":"On Five?"}',
    ]


async def test_an_agent_in_another_answers_inside_it() -> None:
    """The lawyer asks the clerk: each sees its own calls only, and the stack unwinds in order."""
    agent = ScriptedAgent(
        {
            "adviser": adviser,
            "lawyer": lambda request: gives(reply="They may.") if told(request) else asks("clerk", "Which contract?"),
            "clerk": "Number 7.",
        }
    )
    store, outcome = await talk(agent)
    assert [one.agent for one in agent.requests] == ["adviser", "lawyer", "clerk", "lawyer", "adviser"]
    assert told(agent.requests[3]) == ["Number 7."]
    assert [one.content for one in agent.requests[2].messages[1:]] == ["Which contract?"]
    assert told(agent.requests[4]) == ['{"reply":"They may."}']
    assert agent.requests[2].tools == (), "the clerk may ask nobody"
    assert [event.agent for event in of_type(store, "talk", AgentToolEnded)] == ["clerk", "lawyer"]
    assert outcome.replies[0] == '{"reply":"They may."}'


@pytest.mark.parametrize(("limits", "depth"), [("{agent_calls: 20}", 2), ("{agent_calls: 20, agent_depth: 3}", 3)])
async def test_agents_that_ask_each_other_for_ever_stop_at_the_depth(limits: str, depth: int) -> None:
    """A cycle that no prompt stops: the limit is recorded, the state's row for it taken, the stack gone."""
    agent = ScriptedAgent(lambda request: asks("lawyer", "And you?"))
    store, outcome = await talk(agent, program(limits))
    assert [one.agent for one in agent.requests] == ["adviser", *["lawyer"] * depth]
    (reached,) = of_type(store, "talk", LimitReached)
    assert (reached.limit, reached.value, reached.maximum) == ("agent_depth", depth, depth)
    assert path_of(store, "talk")[-1] == "limit>desk"
    assert outcome.state == "desk"
    assert [len(one.tools) for one in agent.requests] == [2, *[2] * (depth - 1), 0], "the deepest is offered nobody"
    assert not check_log(store, program(limits)).folds["talk"].visit.callers


async def test_control_a_deeper_limit_lets_the_same_agents_go_on() -> None:
    """The same cycle with room for it reaches another limit."""
    store, _ = await talk(
        ScriptedAgent(lambda request: asks("lawyer", "And you?")), program("{agent_depth: 50, turn_tokens: 9000000}")
    )
    assert [event.limit for event in of_type(store, "talk", LimitReached)] == ["agent_calls"]


def fails(_: AgentRequest) -> AgentReply:
    raise AgentFailed("The model is down.", fix="Wait.", kind="failed", reason="down")


@pytest.mark.parametrize(
    ("lawyer", "outcome", "attempts", "said"),
    [
        (fails, "failed", 2, "The agent ended with failed."),
        ("no json", "invalid", 2, "The agent ended with invalid."),
        (
            gives(outcome="unsure", reply="Hm."),
            "unsure",
            1,
            'The agent ended with unsure.\n{"outcome":"unsure","reply":"Hm."}',
        ),
        (AgentReply(text="I will not.", refused=True), "refused", 1, "The agent ended with refused.\nI will not."),
        (lambda _: 5, "failed", 2, "The agent ended with failed."),
    ],
    ids=["failed", "invalid", "unsure", "refused", "nonsense"],
)
async def test_how_it_ended_is_told_to_the_caller_and_never_raised(
    lawyer: Any, outcome: str, attempts: int, said: str
) -> None:
    """After the state's attempts; the caller answers all the same."""
    agent = ScriptedAgent({"adviser": adviser, "lawyer": lawyer})
    store, turn = await talk(agent)
    (ended,) = of_type(store, "talk", AgentToolEnded)
    assert ended.outcome == outcome
    assert [one.agent for one in agent.requests].count("lawyer") == attempts
    assert told(agent.requests[-1]) == [said]
    assert turn.state == "more"


async def test_a_broken_answer_is_repaired_by_the_one_that_gave_it() -> None:
    """With its violations, within its own attempts; the caller's attempts are untouched."""
    answers = iter(("no json", gives(reply="They may.")))
    agent = ScriptedAgent({"adviser": adviser, "lawyer": lambda _: next(answers)})
    store, _ = await talk(agent)
    tries = [event for event in of_type(store, "talk", AgentRequested) if event.purpose == "tool"]
    assert [(event.attempt, bool(event.repairs)) for event in tries] == [(1, False), (2, True)]
    assert [event.attempt for event in of_type(store, "talk", AgentRequested) if event.purpose == "run"] == [1, 1]
    assert "was not accepted" in agent.requests[2].messages[0].content


async def test_a_task_that_does_not_fit_is_an_answer_to_the_caller() -> None:
    """Measured before the call: the numbers are on the record, and nobody was asked."""
    agent = ScriptedAgent(
        {"adviser": lambda request: gives(reply="So.") if told(request) else asks("lawyer", "x" * 9_000)}
    )
    store, outcome = await talk(agent, program(window=9_000))
    (over,) = of_type(store, "talk", OverBudget)
    assert (over.agent, over.maximum) == ("lawyer", 9_000)
    assert [event.outcome for event in of_type(store, "talk", AgentToolEnded)] == ["over_budget"]
    assert told(agent.requests[-1]) == ["The agent ended with over_budget."]
    assert outcome.state == "more"


async def test_an_agent_asked_as_a_tool_uses_no_tools() -> None:
    """What the state allows its own agent is not the asked one's."""
    agent = ScriptedAgent(
        {
            "adviser": adviser,
            "lawyer": lambda request: gives(reply=told(request)[0]) if told(request) else calls("look_up", what="it"),
        }
    )
    store, outcome = await talk(agent)
    assert [(event.tool, event.reason) for event in of_type(store, "talk", ToolRefused)] == [("look_up", "not_allowed")]
    assert "Refused" in outcome.replies[0]


async def test_in_a_flow_without_agents_as_tools_such_a_name_is_no_tool() -> None:
    """Nothing new is recorded where nothing new is used."""
    text = FLOW.replace("LIMITS", "agent_calls: 20").replace("agents: [lawyer], ", "")
    text = text.replace("reads: [amount, name], consults: [clerk, lawyer], max_input_tokens: WINDOW", "temperature: 0")
    made = compiled(read_flow(text, CODE).flow, CODE)
    store, _ = await talk(ScriptedAgent({"adviser": adviser}), made)
    (refused,) = of_type(store, "talk", ToolRefused)
    assert (refused.agent, refused.tool, refused.reason) == (None, None, "unknown")
    assert not any(b"ask_" in entry.data or b'"agents"' in entry.data for entry in store.read("talk"))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"task": "Look."}', ("Look.", ())),
        ("", (None, ("task: is missing.",))),
        ('{"task": 5}', (None, ("task: is not text.",))),
        ("not json", None),
        ('{"task": "a", "task": "b"}', None),
    ],
)
def test_the_arguments_are_a_task_and_nothing_else(text: str, found: Any) -> None:
    """Read as strictly as those of any tool."""
    task, problems = check_task(text)
    if found is None:
        assert task is None
        assert problems
    else:
        assert (task, len(problems)) == (found[0], len(found[1]))


# -- whatever models write ---------------------------------------------------------------------------------

words = st.text(min_size=1, max_size=30).filter(lambda text: bool(text.strip()))
replies = st.one_of(
    words.map(lambda task: asks("lawyer", task)),
    words.map(lambda task: asks("clerk", task)),
    words.map(lambda text: gives(reply=text)),
    words.map(lambda text: AgentReply(text=text)),
    words.map(lambda what: calls("look_up", what=what)),
)
CANARIES = ("canary-history-4711", "canary-fact-4712", "canary-reply-4713")


def size_of(request: AgentRequest) -> int:
    """Bytes of all that is sent."""
    messages = sum(
        len(one.content.encode("utf-8", "surrogatepass"))
        + sum(len(call.name) + len(call.arguments.encode("utf-8", "surrogatepass")) for call in one.tool_calls)
        for one in request.messages
    )
    tools = sum(len(json.dumps(dict(one.parameters))) + len(one.description) + len(one.name) for one in request.tools)
    return messages + tools + len(json.dumps(request.contract or {}))


@given(st.lists(replies, max_size=20))
def test_no_prompt_of_an_asked_agent_holds_history_or_a_fact_outside_its_list(script: list[AgentReply]) -> None:
    """Canaries in the customer's message, in an earlier reply and in a fact of the caller's; and every prompt is
    as large as its bound says, or smaller."""
    left = list(script)

    def answer(request: AgentRequest) -> AgentReply:
        said = CANARIES[2] if request.agent == "adviser" else "Fine."
        return left.pop(0) if left else gives(reply=said)

    agent = ScriptedAgent(answer)
    store = MemoryStore()

    async def turns() -> None:
        async with Runtime(store, program("{agent_calls: 40, agent_depth: 3}"), agent) as runtime:
            await runtime.start(conversation="talk", facts={"secret": CANARIES[1], "name": "Ana Ruiz"})
            for _ in range(3):
                await runtime.say("talk", f"{CANARIES[0]} please")

    asyncio.run(turns())
    recorded = {f"talk:{at}": event for at, event in enumerate(events_of(store, "talk"))}
    for request in agent.requests:
        event = recorded[request.effect]
        assert isinstance(event, AgentRequested)
        assert size_of(request) <= event.token_bound
        if event.purpose == "tool":
            sent = json.dumps([(one.content, [call.arguments for call in one.tool_calls]) for one in request.messages])
            assert not [canary for canary in CANARIES if canary in sent]
    assert any(CANARIES[0] in one.content for one in agent.requests[0].messages), "the control: its own agent does"


# -- crashes -----------------------------------------------------------------------------------------------


class DiesAt(FailingStore):
    """Takes so many appends and refuses every one after: a process that dies there."""

    def __init__(self, store: object, appends: int) -> None:
        super().__init__(store, StorageError("The process is dead.", fix="Bury it."))
        self.left = appends

    def refuses(self, append: Append) -> bool:
        self.left -= 1
        return self.left < 0


NESTED = {
    "adviser": adviser,
    "lawyer": lambda request: gives(reply="They may.") if told(request) else asks("clerk", "Which contract?"),
    "clerk": "Number 7.",
}
APPENDS = 7
"""Start, message and first call, and one for the end of each of five calls."""


async def test_control_the_turn_takes_as_many_appends_as_are_tried_below() -> None:
    """One crash for each of them."""
    counted = DiesAt(MemoryStore(), 100)
    async with Runtime(counted, program(), ScriptedAgent(NESTED)) as runtime:
        await runtime.start(conversation="talk")
        await runtime.say("talk", "May I cancel?", key="k")
    assert 100 - counted.left == APPENDS


@pytest.mark.parametrize("appends", range(1, APPENDS))
async def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(appends: int) -> None:
    """Recovered from the log alone, every call has the same prompt, and the turn the same events and end."""
    whole, whole_agent = MemoryStore(), ScriptedAgent(NESTED)
    async with Runtime(whole, program(), whole_agent) as runtime:
        await runtime.start(conversation="talk")
        expected = await runtime.say("talk", "May I cancel?", key="k")
    store, before, after = MemoryStore(), ScriptedAgent(NESTED), ScriptedAgent(NESTED)
    async with Runtime(DiesAt(store, appends), program(), before) as runtime:
        await runtime.start(conversation="talk")
        with pytest.raises(StorageError):
            await runtime.say("talk", "May I cancel?", key="k")
    async with Runtime(store, program(), after) as runtime:
        assert await runtime.recover() == ()
        outcome = await runtime.say("talk", "May I cancel?", key="k")
    assert (outcome.state, outcome.replies) == (expected.state, expected.replies)
    types = [event.type for event in events_of(store, "talk")]
    assert types == [event.type for event in events_of(whole, "talk")]
    prompts = {one.effect: one.messages for one in (*before.requests, *after.requests)}
    assert prompts == {one.effect: one.messages for one in whole_agent.requests}
    check_log(store, program())


async def test_the_log_tells_who_asked_whom_and_how_it_ended() -> None:
    """In the words of `interlock log`."""
    store, _ = await talk(ScriptedAgent({"adviser": adviser, "lawyer": fails}))
    lines = [one.text for one in told_story(recorded(store.read("talk")), program().flow)]
    assert "adviser proposes to ask lawyer" in lines
    assert any(line.startswith("asks lawyer, attempt 2 as a tool") for line in lines)
    assert "lawyer tells its caller failed" in lines


async def test_a_person_may_give_up_the_call_of_an_asked_agent() -> None:
    """Resolved as failed, it counts as an attempt; after the last one the caller is told and goes on."""
    store = MemoryStore()
    agent = ScriptedAgent({"adviser": adviser, "lawyer": fails})
    async with Runtime(DiesAt(store, 3), program(), agent) as runtime:
        await runtime.start(conversation="talk")
        with pytest.raises(StorageError):
            await runtime.say("talk", "May I cancel?")
    async with Runtime(store, program(), agent) as runtime:
        (effect,) = check_log(store, program()).folds["talk"].pending
        outcome = await runtime.resolve("talk", effect, "failed")
    assert [event.outcome for event in of_type(store, "talk", AgentToolEnded)] == ["failed"]
    assert [event.attempt for event in of_type(store, "talk", AgentRequested) if event.purpose == "tool"] == [1, 2]
    assert outcome.replies[0] == "The agent ended with failed."
    check_log(store, program())
