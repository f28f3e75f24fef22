"""A supervisor: the model proposes one of an enum, and the rows dispose."""

from interlock.agents.scripted import gives
from interlock.contracts.events import AgentReturned, HandoffMade, TransitionTaken
from support.patterns import playing

ASK = "Why did my rate change?"


async def test_each_proposal_is_a_row_that_code_took() -> None:
    async with playing("supervisor") as play:
        outcome = await play.say(ASK)
        assert outcome.text == "Your rate follows the reference rate, which fell in June."
        moves = [one for one in play.of(TransitionTaken) if one.source == "leading"]
        assert [one.target for one in moves] == ["research", "writing", "answered"]
        assert all(one.verdicts for one in moves)
        handed = [(one.handoff.source, one.handoff.target) for one in play.of(HandoffMade)]
        assert handed == [("lead", "researcher"), ("researcher", "lead"), ("lead", "author"), ("author", "lead")]


async def test_a_supervisor_that_never_finishes_is_counted_out() -> None:
    """The same specialist three times over: the row allows two, then a person."""
    async with playing("supervisor", {"lead": gives(next="research")}) as play:
        outcome = await play.say(ASK)
        assert [one.target for one in play.of(TransitionTaken)].count("research") == 2
        assert outcome.standing == "with_person"


async def test_finished_without_an_answer_is_not_believed() -> None:
    async with playing("supervisor", {"lead": gives(next="finished")}) as play:
        outcome = await play.say(ASK)
        assert play.path == ["message>leading", "done>desk"]
        assert outcome.standing == "with_person"


async def test_a_proposal_outside_the_enum_is_a_broken_contract() -> None:
    async with playing("supervisor", {"lead": gives(next="delete_everything")}) as play:
        await play.say(ASK)
        assert {one.report.outcome for one in play.of(AgentReturned)} == {"invalid"}
        assert play.path == ["message>leading", "invalid>desk"]
