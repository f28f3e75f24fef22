"""Refunds: who gets one from code, who from a person, and who not at all (RF, ID)."""

from typing import Any

import pytest

from interlock.contracts.errors import KeyReused
from interlock.examples.bank.code import LEDGER

MARIA = "my name is Maria Keller, account 12345678"


async def test_a_small_refund_is_paid_by_code(counter: Any) -> None:
    """RF-3: verified, found, at most €100: no person is asked."""
    await counter.customer("i want a refund of 42.50 euros, it never came", MARIA, "not received")
    outcome = await counter.customer("yes")
    assert outcome.state == "refund_paid"
    assert "€42.50" in outcome.text
    assert list(LEDGER.refunds.values()) == [("12345678", 4250)]
    assert not counter.of("task_opened")


async def test_a_refund_above_the_limit_needs_approval(counter: Any) -> None:
    """RF-4: nothing is paid before a person with the role said so."""
    await counter.customer("i want a refund of 250 euros", MARIA, "faulty", "yes")
    assert (counter.outcome.state, LEDGER.refunds) == ("approve_refund", {})
    await counter.colleague("approved")
    assert counter.outcome.state == "refund_paid"
    assert list(LEDGER.refunds.values()) == [("12345678", 25000)]


async def test_an_approval_without_the_role_moves_nothing(counter: Any) -> None:
    """RF-4: the attempt is recorded, and the task stays open."""
    await counter.customer("i want a refund of 250 euros", MARIA, "faulty", "yes")
    await counter.colleague("approved", role="intern")
    assert (counter.outcome.state, LEDGER.refunds) == ("approve_refund", {})
    assert counter.of("command_refused")[-1].event.reason == "role_missing"


async def test_a_rejected_refund_is_not_paid(counter: Any) -> None:
    """RF-6."""
    await counter.customer("i want a refund of 250 euros", MARIA, "faulty", "yes")
    await counter.colleague("rejected")
    assert (counter.outcome.state, LEDGER.refunds) == ("refund_denied", {})


async def test_an_approval_that_nobody_gives_goes_to_the_desk(counter: Any) -> None:
    """RF-7: after four hours."""
    await counter.customer("i want a refund of 250 euros", MARIA, "faulty", "yes")
    assert (await counter.silence(minutes=239)).state == "approve_refund"
    assert (await counter.silence(minutes=2)).state == "human_desk"
    assert LEDGER.refunds == {}


async def test_somebody_unverified_never_reaches_a_payment(counter: Any) -> None:
    """ID-3: Tom Okafor is not the holder of Maria Keller's account, and no payment is even looked for."""
    await counter.customer("i want a refund of 42.50 euros", "my name is Tom Okafor, account 12345678")
    assert counter.outcome.state == "human_desk"
    assert not {"find_payment", "pay_refund", "approve_refund"} & set(counter.path)
    verdicts = [(one.guard, one.result) for one in counter.of("transition_taken")[-1].event.verdicts]
    assert verdicts == [("customer_is_verified", "fails"), ("otherwise", "holds")]


async def test_a_payment_that_does_not_exist_is_not_refunded(counter: Any) -> None:
    """RF-5."""
    await counter.customer("i want a refund of 43.50 euros", MARIA, "faulty", "yes")
    assert (counter.outcome.state, LEDGER.refunds) == ("no_payment", {})


async def test_the_same_payment_is_refunded_once(counter: Any) -> None:
    """RF-5: asked again in the same conversation, there is nothing left to pay back."""
    await counter.customer("i want a refund of 42.50 euros", MARIA, "faulty", "yes")
    await counter.customer("i want a refund of 42.50 euros", "faulty", "yes")
    assert (counter.outcome.state, len(LEDGER.refunds)) == ("no_payment", 1)


async def test_a_message_sent_twice_pays_once(counter: Any) -> None:
    """The second with the same key gets the first one's answer, and the log does not grow."""
    await counter.customer("i want a refund of 42.50 euros", MARIA, "faulty")
    first = await counter.runtime.say(counter.id, "yes", key="telephone-1")
    again = await counter.runtime.say(counter.id, "yes", key="telephone-1")
    assert (again, len(LEDGER.refunds)) == (first, 1)
    with pytest.raises(KeyReused):
        await counter.runtime.say(counter.id, "no", key="telephone-1")
    assert len(LEDGER.refunds) == 1


async def test_a_slip_is_put_right_before_anything_is_paid(counter: Any) -> None:
    """RF-2: the confirmed amount is the corrected one."""
    await counter.customer("i want a refund of 24.50 euros", MARIA, "not received")
    await counter.customer("no wait, the amount is 42.50, not 24.50", "yes")
    assert list(LEDGER.refunds.values()) == [("12345678", 4250)]


async def test_what_was_given_is_not_asked_again(counter: Any) -> None:
    """Amount, name and account were given in passing: the only question left is why."""
    await counter.customer("i want a refund of 42.50 euros", MARIA)
    asked = [one.event.fact for one in counter.of("question_asked")]
    assert asked == ["full_name", "refund_reason"]


async def test_a_digression_comes_back_to_the_question(counter: Any) -> None:
    """CS-10: opening hours in the middle of a form, and the form goes on where it was."""
    await counter.customer("i want a refund", "Maria Keller")
    outcome = await counter.customer("wait, are you open on saturdays?")
    assert outcome.state == "identify_refund"
    assert outcome.replies == (
        "Our branches are open Monday to Friday, 9 to 17.",
        "What is your 8-digit account number?",
    )
    assert [one.event.move for one in counter.of("transition_taken")][-2:] == ["push", "return"]


async def test_a_form_that_nobody_fills_in_is_closed(counter: Any) -> None:
    """CS-13: after a quarter of an hour of silence."""
    await counter.customer("i want a refund")
    assert (await counter.silence(minutes=16)).state == "timed_out"
    assert counter.outcome.standing == "ended"


async def test_a_verdict_on_an_account_does_not_outlive_the_account(counter: Any) -> None:
    """ID-2: Tom Okafor is verified, then names Maria Keller's account: he is verified anew, and is not her."""
    await counter.customer("i want a refund of 42.50 euros", "my name is Tom Okafor, account 87654321")
    assert counter.outcome.state == "refund_details"
    await counter.customer("sorry, my account number is 12345678", "not received", "yes")
    assert counter.outcome.state == "human_desk"
    assert LEDGER.refunds == {}


async def test_a_second_matter_asks_for_its_own_amount(counter: Any) -> None:
    """What belonged to the refund that was paid is forgotten; who the customer is, is not."""
    await counter.customer("i want a refund of 42.50 euros", MARIA, "not received", "yes")
    assert counter.outcome.state == "refund_paid"
    outcome = await counter.customer("one more refund please")
    assert outcome.state == "refund_details"
    assert "How much was the payment?" in outcome.text
