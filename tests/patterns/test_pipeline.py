"""A sequential pipeline: code looks at every step before the next one begins."""

import pytest

from interlock.agents.scripted import gives
from interlock.contracts.events import AgentRequested, ToolRequested
from support.patterns import playing

CLAIM = "My bicycle was stolen, policy P123456, it cost 420.00 EUR."


async def test_a_clear_claim_goes_through_every_step() -> None:
    async with playing("pipeline") as play:
        outcome = await play.say(CLAIM)
        assert (outcome.standing, outcome.text) == ("ended", "We settle your claim with 420.00 EUR.")
        assert [one.tool for one in play.of(ToolRequested)] == ["check_coverage", "check_letter"]


@pytest.mark.parametrize(
    ("agent", "result", "path"),
    [
        ("reader", {"policy_number": "P923456", "damage": "420.00"}, ["done>coverage", "done>desk"]),
        ("writer", {"letter": "We pay you 999.00 EUR."}, ["done>checking", "done>desk"]),
    ],
)
async def test_a_step_that_does_not_hold_goes_to_a_person(agent: str, result: dict[str, str], path: list[str]) -> None:
    """A policy that covers nothing, a letter with another amount: nothing of it reaches the customer."""
    async with playing("pipeline", {agent: gives(**result)}) as play:
        outcome = await play.say(CLAIM if agent == "writer" else "My bicycle was stolen.")
        assert play.path[-2:] == path
        assert outcome.standing == "with_person"
        assert "999" not in outcome.text


async def test_what_the_reader_missed_is_asked() -> None:
    async with playing("pipeline", {"reader": gives()}) as play:
        outcome = await play.say("Somebody stole my bicycle.")
        assert outcome.text == "Which policy?"
        outcome = await play.say("P123456")
        assert outcome.text == "How much is it?"
        outcome = await play.say("420.00 EUR")
        assert outcome.standing == "ended"


async def test_a_broken_step_is_repaired_before_the_next_one_begins() -> None:
    answers = iter([gives(letter=7), gives(letter="We settle your claim with 420.00 EUR.")])
    async with playing("pipeline", {"writer": lambda _: next(answers)}) as play:
        outcome = await play.say(CLAIM)
        assert outcome.standing == "ended"
        assert [one.attempt for one in play.of(AgentRequested) if one.agent == "writer"] == [1, 2]
