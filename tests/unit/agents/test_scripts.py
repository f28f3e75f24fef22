"""Scripted and recorded agents: what they serve, and what they say when they have nothing to serve."""

from typing import Any

import pytest

from interlock.agents.recorded import RecordedAgent
from interlock.agents.scripted import ScriptedAgent, after, after_tool, calls, fails, gives, rules, when
from interlock.contracts.agents import AgentReply, AgentRequest, AgentResult, ChatMessage, ToolCall
from interlock.contracts.errors import AgentFailed, CallError
from interlock.contracts.limits import Usage


def request(said: str = "hello", *, agent: str = "teller", effect: str = "c0ffee:1", **changes: Any) -> AgentRequest:
    messages = (ChatMessage("system", "Be kind."), ChatMessage("user", said))
    return AgentRequest(**{"effect": effect, "agent": agent, "model": "m", "messages": messages, **changes})


async def test_a_list_is_served_in_order_and_knows_when_it_is_complete() -> None:
    agent = ScriptedAgent(["one", {"outcome": "done"}, AgentResult(reply="three"), AgentReply(text="four")])
    with pytest.raises(CallError, match="4 scripted answers were never asked for; 0 calls were made"):
        agent.assert_complete()
    assert [(await agent.run(request())).text for _ in range(4)] == [
        "one",
        '{"outcome":"done"}',
        '{"outcome":"done","reply":"three"}',
        "four",
    ]
    agent.assert_complete()
    with pytest.raises(CallError, match=r"no answer for call 5, by agent 'teller'\. Where: effect c0ffee:1"):
        await agent.run(request())


async def test_a_mapping_answers_by_agent_name() -> None:
    agent = ScriptedAgent({"teller": "cards", "judge": lambda asked: asked.messages[-1].content.upper()})
    assert (await agent.run(request())).text == "cards"
    assert (await agent.run(request(agent="judge"))).text == "HELLO"
    with pytest.raises(CallError, match="by agent 'stranger'"):
        await agent.run(request(agent="stranger"))


SCRIPT = rules(
    after_tool("card_status", then=gives(outcome="done", reply="It is active.")),
    when("lost", "STOLEN", then=calls("block_card", card="x")),
    when("status", then=calls("card_status")),
    when("crash", then=fails("rate_limited", retry_after_seconds=3)),
    when("slow", then=after(0.01, "late")),
    otherwise="{garbage",
)


@pytest.mark.parametrize(
    ("said", "text", "tool"),
    [
        ("My card was Stolen!", "", "block_card"),
        ("status?", "", "card_status"),
        ("slow", "late", ""),
        ("anything", "{garbage", ""),
    ],
)
async def test_the_first_rule_that_holds_answers(said: str, text: str, tool: str) -> None:
    reply = await ScriptedAgent(SCRIPT).run(request(said))
    assert (reply.text, [call.name for call in reply.tool_calls]) == (text, [tool] if tool else [])


async def test_a_rule_sees_the_result_of_a_tool() -> None:
    asked = request("status?")
    history = (
        *asked.messages,
        ChatMessage("assistant", "", tool_calls=(ToolCall("c1", "card_status", "{}"),)),
        ChatMessage("tool", "{}", tool_call_id="c1"),
    )
    assert (await ScriptedAgent(SCRIPT).run(request(messages=history))).text == (
        '{"outcome":"done","reply":"It is active."}'
    )


async def test_no_rule_and_no_otherwise_is_an_error_without_the_persons_words() -> None:
    with pytest.raises(CallError, match="None of 1 rules holds for agent 'teller'") as caught:
        await ScriptedAgent(rules(when("a", then="b"))).run(request("4000 1234"))
    assert "4000" not in str(caught.value)


async def test_a_failure_can_be_scripted_twice_without_growing() -> None:
    agent = ScriptedAgent(SCRIPT)
    for _ in range(2):
        with pytest.raises(AgentFailed) as caught:
            await agent.run(request("crash"))
        assert (caught.value.reason, caught.value.retry_after_seconds) == ("rate_limited", 3)
        assert str(caught.value) == "Scripted: rate_limited."


async def test_a_bug_in_a_script_is_not_an_outcome() -> None:
    def broken(_: AgentRequest) -> AgentReply:
        raise ZeroDivisionError

    def impatient(_: AgentRequest) -> AgentReply:
        raise TimeoutError

    with pytest.raises(ZeroDivisionError):
        await ScriptedAgent(broken).run(request())
    with pytest.raises(TimeoutError):
        await ScriptedAgent(impatient).run(request())


async def test_a_delay_is_within_the_timeout() -> None:
    with pytest.raises(AgentFailed, match="No answer within 0 s") as caught:
        await ScriptedAgent(["x"], delay_seconds=1).run(request(timeout_seconds=0))
    assert caught.value.kind == "timeout"


async def test_recordings_are_served_by_effect_and_then_in_order_per_agent() -> None:
    whole = AgentReply(text="one", usage=Usage(input_tokens=1), model="m", request_id="r", finish="stop")
    agent = RecordedAgent({"c0ffee:1": whole}, by_agent={"teller": [AgentReply(text="two"), fails("connection")]})
    assert await agent.run(request()) == whole
    assert await agent.run(request()) == whole
    assert (await agent.run(request(effect="c0ffee:2"))).text == "two"
    with pytest.raises(AgentFailed, match="Scripted: connection"):
        await agent.run(request(effect="c0ffee:3"))
    assert agent.served == 4
    with pytest.raises(CallError, match="Nothing was recorded for effect 'c0ffee:4' of agent 'teller'; 4 recordings"):
        await agent.run(request(effect="c0ffee:4"))
    assert agent.served == 4
