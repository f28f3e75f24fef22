"""A bounded debate: three rounds, whatever the agents would like."""

from interlock.agents.scripted import gives
from interlock.contracts.events import AgentRequested
from support.patterns import playing

CLAIM = "Fixed rates are better than variable ones."


async def test_three_rounds_and_a_summary() -> None:
    async with playing("debate") as play:
        outcome = await play.say(CLAIM)
        spoke = [one.agent for one in play.of(AgentRequested)]
        assert spoke == ["defender", "opponent"] * 3 + ["chair"]
        assert outcome.standing == "waiting"


async def test_each_hears_what_the_other_said_last() -> None:
    arguments = iter(range(100))

    def argue(_: object) -> object:
        return gives(argument=f"argument {next(arguments)}")

    async with playing("debate", {"defender": argue, "opponent": argue}) as play:  # type: ignore[dict-item]
        await play.say(CLAIM)
        asked = [one for one in play.agent.requests if one.agent in ("defender", "opponent")]
        heard = ["".join(message.content for message in one.messages if message.role == "user") for one in asked]
        assert "argument" not in heard[0]
        for number, text in enumerate(heard[1:], start=1):
            assert f"argument {number - 1}" in text
            assert f"argument {number - 2}" not in text


async def test_the_rounds_begin_anew_with_each_message() -> None:
    """The count is per turn: the bound is of what one message can cause."""
    async with playing("debate") as play:
        await play.say(CLAIM)
        assert len(play.of(AgentRequested)) == 7
