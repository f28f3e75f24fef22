"""One agent with tools: it calls what its state lists, once each, and nothing else."""

from collections.abc import Iterator

import pytest

from interlock.agents.scripted import Answer, after_tool, calls, gives, rules
from interlock.contracts.agents import AgentReply, ToolCall
from interlock.contracts.events import LimitReached, ToolRefused, ToolRequested, ToolReturned
from interlock.examples.patterns.single_agent import ADDRESSES
from support.patterns import playing

ASK = "Where is my order AB1234?"


async def test_a_tool_is_looked_up_and_the_answer_uses_it() -> None:
    async with playing("single_agent") as play:
        outcome = await play.say(ASK)
        assert outcome.text == "It is packed and leaves tomorrow."
        assert [one.tool for one in play.of(ToolRequested)] == ["look_up"]


async def test_what_changes_something_runs_once_under_its_own_key() -> None:
    async with playing("single_agent") as play:
        outcome = await play.say(ASK, "Please send it to 12 Byron Street instead.")
        assert outcome.text == "It goes to 12 Byron Street then. Is that right?"
        assert [one.tool for one in play.of(ToolRequested)] == ["look_up"]
        assert (await play.say("Yes")).text == "Done: it goes to 12 Byron Street."
        (request,) = [one for one in play.of(ToolRequested) if one.consequential]
        at = play.events.index(request)
        assert ADDRESSES[f"{play.id}:{at}"] == "AB1234: 12 Byron Street"


@pytest.mark.parametrize("answer", ["No", "stop"])
async def test_nothing_is_changed_without_a_yes(answer: str) -> None:
    async with playing("single_agent") as play:
        ADDRESSES.clear()
        await play.say(ASK, "Please send it to 12 Byron Street instead.", answer)
        assert [one.tool for one in play.of(ToolRequested)] == ["look_up"]
        assert ADDRESSES == {}


async def test_the_agent_may_not_change_an_address_itself() -> None:
    """It knows the tool's name, and calls it: the state does not list it."""
    answers: Iterator[Answer] = iter(
        [calls("change_address", order="AB1234", address="1 Elsewhere"), gives(reply="I may not.")]
    )
    async with playing("single_agent", {"helper": lambda _: next(answers)}) as play:
        ADDRESSES.clear()
        await play.say(ASK)
        assert [one.reason for one in play.of(ToolRefused)] == ["not_allowed"]
        assert ADDRESSES == {}


async def test_a_tool_outside_the_state_is_refused_and_the_agent_told() -> None:
    answers: Iterator[Answer] = iter([calls("drop_table"), gives(reply="I cannot do that.")])
    async with playing("single_agent", {"helper": lambda _: next(answers)}) as play:
        outcome = await play.say(ASK)
        (refused,) = play.of(ToolRefused)
        assert (refused.reason, refused.tool) == ("unknown", None)
        assert outcome.text == "I cannot do that."


async def test_wrong_arguments_are_refused_with_what_is_wrong() -> None:
    wrong = AgentReply(tool_calls=(ToolCall("c", "look_up", '{"order": 7}'),))
    async with playing("single_agent", {"helper": rules(otherwise=wrong)}) as play:
        await play.say(ASK)
        assert {one.reason for one in play.of(ToolRefused)} == {"bad_arguments"}
        assert play.of(ToolReturned) == []


async def test_an_agent_that_never_stops_calling_reaches_its_limit() -> None:
    """Three rounds, then a person: however often it asks."""
    async with playing("single_agent", {"helper": rules(otherwise=calls("look_up", order="AB1234"))}) as play:
        outcome = await play.say(ASK)
        assert outcome.standing == "with_person"
        assert len(play.of(ToolRequested)) == 3
        assert [one.limit for one in play.of(LimitReached)] == ["tool_rounds"]


async def test_many_calls_at_once_are_bounded_too() -> None:
    """One answer proposes twenty calls: five run, as the limit of the turn says."""
    many = AgentReply(tool_calls=tuple(ToolCall(f"c{n}", "look_up", '{"order": "AB1234"}') for n in range(20)))
    script = rules(after_tool("look_up", then=gives(reply="Here.")), otherwise=many)
    async with playing("single_agent", {"helper": script}) as play:
        outcome = await play.say(ASK)
        assert len(play.of(ToolRequested)) == 5
        assert [(one.limit, one.maximum) for one in play.of(LimitReached)] == [("tool_calls", 5)]
        assert outcome.standing == "with_person"
