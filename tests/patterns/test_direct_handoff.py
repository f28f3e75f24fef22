"""Direct handoff: what each agent is given, who does not get the conversation back, and what is refused."""

from typing import Any

import pytest

from interlock.agents.scripted import fails, gives
from interlock.contracts.agents import AgentRequest
from interlock.contracts.events import (
    AgentRequested,
    HandoffMade,
    HistorySummarised,
    LimitReached,
    RetryScheduled,
    RoutingDecided,
)
from support.patterns import playing

NAME = "direct_handoff"


def texts(request: AgentRequest) -> list[str]:
    return [message.content for message in request.messages[1:]]


def requests(play: Any, agent: str) -> list[AgentRequest]:
    return [one for one in play.agent.requests if one.agent == agent]


async def test_verbatim_is_every_word_and_a_window_is_said_to_be_one() -> None:
    async with playing(NAME) as play:
        await play.say("What are your hours?", "My card is lost")
        hours = ["How can I help?", "What are your hours?", "We are open from 9 to 17.", "How can I help?"]
        assert texts(requests(play, "front")[-1]) == [*hours, "My card is lost"]
        assert texts(requests(play, "cards")[-1]) == ["How can I help?", "My card is lost"]
        (made,) = [one.handoff for one in play.of(HandoffMade)]
        assert (made.source, made.target, made.trigger) == ("front", "cards", "done")
        assert made.warnings == ("history is a window of 2 of 5 messages",)
        assert made.history.policy == "window"


async def test_a_summary_stands_for_the_older_messages() -> None:
    """The specialist gets three messages word for word, and what came before as the scribe put it."""
    chat = ("What are your hours?", "Are you open on Sunday?")
    async with playing(NAME) as play:
        await play.say(*chat, "a question about my loan")
        summary, *latest = texts(requests(play, "loans")[-1])
        assert summary.startswith("<summary>")
        assert len(latest) == 3
        (event,) = play.of(HistorySummarised)
        assert (event.agent, event.by) == ("loans", "scribe")
        assert event.tokens_after < event.tokens_before
        (made,) = [one.handoff for one in play.of(HandoffMade)]
        assert made.history.summary == event.at
        assert made.warnings == ("history is a summary and the latest 3 of 8 messages",)


async def test_a_history_that_does_not_fit_is_summed_up_before_the_call() -> None:
    async with playing(NAME) as play:
        await play.say("a" * 5_000, "I want to complain")
        (event,) = play.of(HistorySummarised)
        assert event.agent == "complaints"
        asking = next(one for one in play.of(AgentRequested) if one.agent == "complaints")
        assert asking.token_bound <= 6_000 < asking.token_bound + event.tokens_before
        assert play.outcome.replies[0] == "I am sorry. We will make it right."


async def test_the_front_desk_does_not_get_back_what_it_handed_on() -> None:
    async with playing(NAME, {"cards": gives(outcome="unsure")}) as play:
        await play.say("My card is lost")
        assert [one.limit for one in play.of(LimitReached)] == ["no_return"]
        assert play.outcome.standing == "with_person"
        await play.decide("back")
        await play.say("What are your hours?")
        assert play.outcome.replies[0] == "We are open from 9 to 17."


async def test_control_an_agent_that_may_return_does() -> None:
    async with playing(NAME, {"cards": gives(reply="Blocked.")}) as play:
        await play.say("My card is lost")
        assert play.of(LimitReached) == []
        assert play.outcome.standing == "waiting"


@pytest.mark.parametrize("says", ["Will the weather suit my card?", "Is my loan on the card?"])
async def test_out_of_scope_is_refused_and_not_answered(says: str) -> None:
    """Whoever proposed it: the message in hand is measured before the specialist is asked."""
    async with playing(NAME, {"front": gives(next="cards")}) as play:
        await play.say(says.replace("card", "plans"))
        (measured,) = play.of(RoutingDecided)
        assert (measured.state, measured.agent) == ("cards", "cards")
        assert measured.decision.outcome in ("weather", "loans")
        assert requests(play, "cards") == []
        assert play.path[-1] == "refused>desk"


async def test_in_trouble_it_waits_then_another_agent_answers_then_a_person() -> None:
    down = fails("server_error")
    async with playing(NAME, {"front": down}) as play:
        await play.say("hello")
        assert play.pause.asked == [1, 2]
        assert len(play.of(RetryScheduled)) == 2
        assert play.path[-1] == "failed>desk"
    async with playing(NAME, {"loans": down}) as play:
        await play.say("my loan")
        assert [one.handoff.why for one in play.of(HandoffMade)] == ["transition", "fallback"]
        assert play.outcome.replies[0] == "Let me see what I can do."
