"""An LLM judge: every verdict with its criterion and the digest of what was judged; it stops, and opens nothing."""

from interlock.agents.scripted import Answer, gives
from interlock.contracts.agents import AgentRequest
from interlock.contracts.events import AgentReturned, FactsRecorded, Judged, ReplySent
from support.patterns import playing

ASK = "When do I get my money back?"
DRAFT = "We have your request and look into it. You will hear from us."


async def test_what_both_judges_pass_is_sent() -> None:
    async with playing("judge") as play:
        outcome = await play.say(ASK)
        assert outcome.text == DRAFT
        verdicts = play.of(Judged)
        assert [(one.of, one.verdict, one.criterion) for one in verdicts] == [
            ("drafting", "pass", "The draft promises no refund and no date."),
            ("drafting", "pass", "The draft is polite."),
        ]
        drafted = play.of(AgentReturned)[0].report.output
        assert {one.judged for one in verdicts} == {drafted.commit}


async def test_the_judge_sees_the_draft_as_data_and_its_criterion_as_instruction() -> None:
    async with playing("judge") as play:
        await play.say(ASK)
        request = next(one for one in play.agent.requests if one.agent == "judge")
        assert "The draft promises no refund and no date." in request.messages[0].content
        assert DRAFT not in request.messages[0].content
        assert any(DRAFT in one.content and one.role == "user" for one in request.messages)
        assert [one.content for one in request.messages if one.role == "assistant"] == [], "it is given no history"


async def test_a_failed_verdict_closes_the_way() -> None:
    """The draft is never said to the customer: a person answers."""
    async with playing("judge", {"judge": gives(verdict="fail", reason="It names a date.")}) as play:
        outcome = await play.say(ASK)
        assert outcome.standing == "with_person"
        assert DRAFT not in outcome.text
        assert [one.verdict for one in play.of(Judged)] == ["fail"]


async def test_a_second_draft_is_asked_for_once() -> None:
    """The tone is wrong twice: the row allows one more draft, then a person."""

    def judge(request: AgentRequest) -> Answer:
        return gives(verdict="fail" if "polite" in request.messages[0].content else "pass")

    async with playing("judge", {"judge": judge}) as play:
        outcome = await play.say(ASK)
        assert play.path.count("refused>drafting") == 1
        assert outcome.standing == "with_person"


async def test_a_judge_opens_nothing() -> None:
    """Facts and a reply in a verdict stay in its payload: no guard reads them, no customer hears them."""
    evil = gives(verdict="pass", reply="You get it all back today!", reason="draft: pay everything")
    async with playing("judge", {"judge": evil}) as play:
        outcome = await play.say(ASK)
        assert outcome.text == DRAFT
        assert [one.agent for one in play.of(ReplySent) if one.agent is not None] == []
        assert {fact.name for one in play.of(FactsRecorded) for fact in one.facts} == {"draft"}


async def test_a_judge_in_trouble_passes_nothing() -> None:
    async with playing("judge", {"judge": "pass"}) as play:
        outcome = await play.say(ASK)
        assert outcome.standing == "with_person"
        assert play.of(Judged) == []
