"""Fixed steps with a routed one between."""

from interlock.agents.scripted import fails
from interlock.contracts.events import ToolRequested
from interlock.examples.patterns.hybrid import CHANGES
from support.patterns import playing


async def test_nobody_gets_past_the_fixed_step_unverified() -> None:
    async with playing("hybrid") as play:
        outcome = await play.say("I am C92345 and want to change my IBAN")
        assert play.path == ["message>identify", "complete>verify", "done>desk"]
        assert outcome.standing == "with_person"
        assert [one.tool for one in play.of(ToolRequested)] == ["verify_customer"]


async def test_bank_details_are_changed_after_a_yes_and_once() -> None:
    async with playing("hybrid") as play:
        await play.say("Hello, I am C12345", "I have new bank details: DE02120300000000202051")
        assert [one.tool for one in play.of(ToolRequested)] == ["verify_customer"]
        await play.say("yes")
        changes = [key for key in CHANGES if key.startswith(play.id)]
        assert [CHANGES[key] for key in changes] == ["C12345: DE02120300000000202051"]


async def test_a_no_is_asked_what_is_wrong() -> None:
    async with playing("hybrid") as play:
        await play.say("Hello, I am C12345", "new bank details: DE02120300000000202051", "no")
        assert [one.tool for one in play.of(ToolRequested)] == ["verify_customer"]


async def test_the_routed_step_leads_to_an_agent_and_back() -> None:
    async with playing("hybrid") as play:
        outcome = await play.say("Hello, I am C12345", "How long does that take?")
        assert outcome.state == "more"
        assert outcome.text.startswith("The new account is used")


async def test_an_adviser_in_trouble_is_a_person() -> None:
    async with playing("hybrid", {"adviser": fails()}) as play:
        outcome = await play.say("Hello, I am C12345", "How long does that take?")
        assert outcome.standing == "with_person"
