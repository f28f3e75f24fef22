"""Planner, workers, aggregator: a typed plan, workers at once, and a count of what came back."""

from interlock.agents.scripted import Answer, fails, gives
from interlock.contracts.agents import AgentRequest
from interlock.contracts.events import AgentRequested, AgentReturned, BroadcastEnded, BroadcastStarted, LimitReached
from support.patterns import playing

ASK = "What did our rates do this year?"


def plan(*workers: str) -> Answer:
    return gives(subtasks=[{"worker": one, "task": f"look at {number}"} for number, one in enumerate(workers)])


async def test_each_subtask_goes_to_its_worker_and_the_writer_gets_all() -> None:
    async with playing("planner") as play:
        outcome = await play.say(ASK)
        assert outcome.text == "Your rate went from 3.0 % to 2.5 % in June.\nAnything else?"
        workers = [one for one in play.agent.requests if one.agent in ("searcher", "reader")]
        assert sorted((one.agent, one.messages[-1].content) for one in workers) == [
            ("reader", "the June notice"),
            ("searcher", "rates this year"),
        ]
        assert all(len(one.messages) == 2 for one in workers), "instructions and the subtask, no history"
        (ended,) = play.of(BroadcastEnded)
        assert (ended.outcome, ended.valid, ended.percent) == ("complete", 2, 100)


async def test_an_empty_plan_is_an_outcome() -> None:
    async with playing("planner", {"planner": gives(subtasks=[], reply="There is nothing to find out.")}) as play:
        outcome = await play.say(ASK)
        assert outcome.text.startswith("There is nothing to find out.\nThere is nothing in that")
        assert play.of(BroadcastEnded)[0].outcome == "empty"
        assert "empty>nothing" in play.path


async def test_a_list_that_came_back_as_a_string_is_refused_and_asked_again() -> None:
    """The planner's list arrives as text: the contract says so, and no worker ever sees it."""
    answers = iter([gives(subtasks='["searcher: rates"]'), plan("searcher")])

    def planner(_: AgentRequest) -> Answer:
        return next(answers)

    async with playing("planner", {"planner": planner}) as play:
        await play.say(ASK)
        first, second = [one for one in play.of(AgentReturned) if not one.report.facts][:2]
        assert first.report.outcome == "invalid"
        assert any("subtasks" in violation for violation in first.report.violations)
        assert [one.repairs != () for one in play.of(AgentRequested) if one.agent == "planner"] == [False, True]
        assert second.report.outcome == "done"
        assert len(play.of(BroadcastStarted)[0].members) == 1


async def test_the_share_of_valid_results_is_the_confidence() -> None:
    """One of three is below the half that the flow asks for: failed, and a person takes over."""
    async with playing("planner", {"planner": plan("searcher", "reader", "reader"), "reader": fails()}) as play:
        outcome = await play.say(ASK)
        (ended,) = play.of(BroadcastEnded)
        assert (ended.outcome, ended.percent) == ("failed", 33)
        assert outcome.standing == "with_person"


async def test_half_of_the_results_is_partial() -> None:
    async with playing("planner", {"planner": plan("searcher", "reader"), "reader": fails()}) as play:
        await play.say(ASK)
        (ended,) = play.of(BroadcastEnded)
        assert (ended.outcome, ended.percent) == ("partial", 50)
        assert [one.name for one in ended.members if one.status == "failed"] == ["task_2"]


async def test_a_plan_that_is_too_long_reaches_its_limit() -> None:
    async with playing("planner", {"planner": plan(*["searcher"] * 6)}) as play:
        outcome = await play.say(ASK)
        (reached,) = play.of(LimitReached)
        assert (reached.limit, reached.value, reached.maximum) == ("subtasks", 6, 5)
        assert outcome.standing == "with_person"
        assert [one for one in play.of(AgentRequested) if one.member] == []


async def test_an_unknown_worker_is_no_worker() -> None:
    """The contract's enum refuses it before code has to."""
    async with playing("planner", {"planner": plan("searcher", "administrator")}) as play:
        outcome = await play.say(ASK)
        assert outcome.standing == "with_person"
        assert {one.report.outcome for one in play.of(AgentReturned)} == {"invalid"}
