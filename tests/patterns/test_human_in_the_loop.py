"""A person in the loop: what is shown is what is approved, by two who did not ask, and it is used once."""

from collections.abc import Iterator

import pytest

from interlock.agents.scripted import fails, gives
from interlock.contracts.commands import Actor
from interlock.contracts.events import (
    ApprovalVoid,
    CommandRefused,
    TaskDecided,
    TaskEndorsed,
    TaskOpened,
    ToolRequested,
)
from interlock.examples.patterns.human_in_the_loop import BOOKS, CONVERSATION, PAID
from support.patterns import Play, playing

ASK = CONVERSATION[0]


@pytest.fixture(autouse=True)
def _empty_books() -> Iterator[None]:
    """Before, and after: others in this process play the same example."""
    BOOKS.clear()
    PAID.clear()
    yield
    BOOKS.clear()


def paid(play: Play) -> list[tuple[str, int]]:
    return [what for key, what in PAID.items() if key.startswith(play.id)]


def refusals(play: Play) -> list[str]:
    return [one.reason for one in play.of(CommandRefused)]


async def test_two_people_approve_and_it_is_paid_once() -> None:
    """The first approval leaves the task open; the second is the outcome. Both stand in the log with their reasons."""
    async with playing("human_in_the_loop") as play:
        asked = await play.say(ASK)
        assert asked.text == "Two colleagues look at €250.00 for you."
        assert asked.task
        assert (asked.task.facts, asked.task.approvals) == (("order", "amount", "reason"), 2)
        first = await play.decide("approved", who="anna", reason="Photo is clear.")
        assert first.task
        assert (first.standing, first.task.number, first.task.endorsed) == ("with_person", asked.task.number, ("anna",))
        assert paid(play) == []
        second = await play.decide("approved", who="ben", reason="Agreed.")
        assert (second.state, second.text) == ("paid", "€250.00 is on its way.")
        assert paid(play) == [("AB123456", 25000)]
        (endorsed,), (decided,) = play.of(TaskEndorsed), play.of(TaskDecided)
        assert (endorsed.by, decided.by) == ("anna", "ben")
        assert endorsed.shown == decided.shown == asked.task.shown
        assert endorsed.reason is not None
        assert play.of(ToolRequested)[-1].approval == asked.task.number


async def test_the_same_person_does_not_count_twice() -> None:
    async with playing("human_in_the_loop") as play:
        await play.say(ASK)
        await play.decide("approved", who="anna")
        await play.decide("approved", who="anna")
        assert refusals(play) == ["same_person"]
        assert play.outcome.standing == "with_person"
        assert paid(play) == []


async def test_another_spelling_is_no_second_person() -> None:
    """`Anna` and `anna` are one pair of eyes."""
    async with playing("human_in_the_loop") as play:
        await play.say(ASK)
        await play.decide("approved", who="anna")
        await play.decide("approved", who="Anna")
        assert refusals(play) == ["same_person"]
        assert paid(play) == []


async def test_nobody_approves_what_they_asked_for() -> None:
    """Who started the conversation, or wrote what led to the task, is refused on the record."""
    async with playing("human_in_the_loop") as play:
        writer = Actor(kind="human", id="ben", roles=("supervisor",))
        await play.runtime.say(play.id, ASK, actor=writer)
        await play.decide("approved", who="ben")
        await play.decide("approved", who="customer")
        assert refusals(play) == ["requester", "requester"]
        assert play.of(TaskEndorsed) == []
        await play.decide("rejected", who="ben")
        assert play.outcome.state == "declined", "whoever asked may still say no"


async def test_a_machine_is_not_a_person() -> None:
    async with playing("human_in_the_loop") as play:
        task = (await play.say(ASK)).task
        assert task
        bot = Actor(kind="agent", id="judge", roles=("supervisor",))
        await play.runtime.decide_task(play.id, task.number, "approved", actor=bot, shown=task.shown)
        assert refusals(play) == ["not_a_person"]


async def test_an_approval_without_what_was_shown_is_refused() -> None:
    """So is one of something else; the task stays as it is, for its facts are the same."""
    async with playing("human_in_the_loop") as play:
        await play.say(ASK)
        await play.decide("approved", who="anna", shown=None)
        await play.decide("approved", who="anna", shown="ab" * 32)
        assert refusals(play) == ["not_shown", "changed"]
        assert len(play.of(TaskOpened)) == 1


async def test_facts_that_change_after_the_approval_void_it() -> None:
    """The books say another amount than was approved: nothing is paid, and people are asked about the new one."""
    BOOKS["AB123456"] = {"amount": 260_00}
    async with playing("human_in_the_loop") as play:
        first = (await play.say(ASK)).task
        await play.decide("approved", who="anna")
        asked = await play.decide("approved", who="ben")
        assert asked.state == "approval"
        assert paid(play) == []
        (void,) = play.of(ApprovalVoid)
        assert first
        assert (void.state, void.tool, void.approval, void.reason) == ("paying", "pay_back", "approval", "changed")
        assert void.task == first.number
        assert asked.text == "Two colleagues look at €260.00 for you."
        await play.decide("approved", who="ben")
        await play.decide("approved", who="anna")
        assert paid(play) == [("AB123456", 260_00)]


async def test_a_custom_decision_with_a_reason_goes_its_own_way() -> None:
    """The question goes to the customer; the answer opens a new task, and the first endorsement counts no more."""
    async with playing("human_in_the_loop") as play:
        await play.say(ASK)
        await play.decide("approved", who="anna")
        asked = await play.decide("ask_again", who="ben", reason="Which part broke?")
        assert asked.text.startswith("Our colleagues need to know more")
        again = await play.say("The lid came off.")
        assert again.task
        assert again.task.endorsed == ()
        await play.decide("approved", who="ben")
        assert paid(play) == []
        await play.decide("approved", who="cleo")
        assert len(paid(play)) == 1


async def test_one_no_is_enough() -> None:
    async with playing("human_in_the_loop") as play:
        await play.say(ASK)
        await play.decide("approved", who="anna")
        outcome = await play.decide("rejected", who="ben", reason="Too late.")
        assert outcome.state == "declined"
        assert paid(play) == []


async def test_nobody_answering_is_an_outcome() -> None:
    """After the deadline another role is asked, and an approval of one does not count for it."""
    async with playing("human_in_the_loop") as play:
        await play.say(ASK)
        await play.decide("approved", who="anna")
        outcome = await play.later(4 * 3600 + 1)
        assert outcome.state == "lapsed"
        assert outcome.task
        assert outcome.task.role == "manager"
        assert paid(play) == []


async def test_what_the_adviser_leaves_open_is_asked_for() -> None:
    """A proposal that says half of it, or none: the form asks for the rest before anybody is bothered."""
    async with playing("human_in_the_loop", {"adviser": gives(outcome="unsure")}) as play:
        outcome = await play.say("Something broke.")
        assert outcome.state == "missing"
    async with playing("human_in_the_loop", {"adviser": fails()}) as play:
        outcome = await play.say(ASK)
        assert outcome.standing == "with_person"
        assert paid(play) == []
