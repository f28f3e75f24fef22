"""The language of tests, and that it fails where it should, with the conversation shown."""

from collections.abc import Callable
from typing import Any

import pytest

from interlock.agents.scripted import gives
from interlock.contracts.errors import CallError
from interlock.testing import Scenario
from interlock.testing.scenario import seconds_of

MONEY_BACK = {"refund": 0.9}


def refund(amount: str = "42.50") -> Scenario:
    """Somebody who wants a payment back, up to what the books say of it."""
    talk = Scenario("bank", tools={"verify_customer": {"verified": True}})
    talk.customer_writes("I want my money back", classified=MONEY_BACK)
    talk.customer_writes("Maria Keller").customer_writes("12345678")
    return talk.customer_writes(amount).customer_writes("faulty").customer_writes("yes")


def test_a_small_refund_is_paid_without_review() -> None:
    """At most €100: no person needs to look (RF-3)."""
    with refund() as talk:
        talk.then(state="find_payment", waiting="find_payment", facts={"amount": 4250, "full_name": "Maria Keller"})
        talk.tool_answers("find_payment", {"payment_found": True})
        talk.then(called=("pay_refund", {"account_number": "12345678", "amount": 4250}), not_called="block_card")
        talk.tool_answers("pay_refund", {"paid": True})
        talk.then(
            state="refund_paid",
            path=["done → refund_paid"],
            said=["Done: €42.50 is on its way back to your account. Anything else?"],
            unknown="amount",
            standing="waiting",
        )
        talk.deadline_passes().then(state="timed_out", ended=True)


def test_a_large_refund_waits_for_a_person() -> None:
    """Above €100 a refund approver decides within four hours."""
    with refund("250.00") as talk:
        talk.tool_answers("find_payment", {"payment_found": True})
        talk.then(state="approve_refund", task="refund_approver", facts={"amount": 25000})
        talk.then(task=["approved", "rejected"])
        talk.person_decides("approved", who="stranger", roles=["visitor"]).then(state="approve_refund")
        talk.time_passes("3h").then(state="approve_refund")
        talk.time_passes("1h").then(state="human_desk", path=["expired → human_desk"])


def test_a_crash_loses_nothing_and_pays_once() -> None:
    """The tool that was called is called again with the same key; the message that was cut off is there once."""
    with refund() as talk:
        talk.tool_answers("find_payment", {"payment_found": True})
        talk.crash_and_restart()
        talk.then(waiting="pay_refund", called="pay_refund")
        assert len({one.key for one in talk.talk.outside.called if one.tool == "pay_refund"}) == 1
        talk.tool_answers("pay_refund", {"paid": True}).then(state="refund_paid")
        talk.crash_and_restart(at_write=1).customer_writes("thank you, that is all", classified={"goodbye": 0.95})
        talk.then(state="goodbye", path=["message → triage", "goodbye → goodbye"])


def test_models_that_fail_hang_or_break_their_contract() -> None:
    """Two attempts; then a person (CS-14)."""
    with Scenario("bank") as talk:
        talk.customer_writes("where is my card?", classified={"card": 0.9})
        talk.agent_answers("card_adviser", "no JSON").agent_fails("card_adviser")
        talk.then(state="human_desk", path=["message → triage", "card → advise_card", "failed → human_desk"])
    with Scenario("bank") as talk:
        talk.customer_writes("where is my card?", classified={"card": 0.9})
        talk.time_passes("20s").time_passes("20s").then(state="human_desk")
    with Scenario("bank") as talk:
        talk.customer_writes("where is my card?", classified={"card": 0.9})
        talk.agent_answers("card_adviser", calls={"card_status": {}})
        talk.tool_fails("card_status", "OSError").agent_answers("card_adviser", {"reply": "Not known."})
        talk.then(state="anything_else", said="Not known.")


def test_answers_given_beforehand() -> None:
    """Agents and tools that are named answer at once, and the flow's own tools run only where told to."""
    with Scenario("bank", agents={"card_adviser": gives(reply="It is on its way.")}) as talk:
        talk.customer_writes("where is my card?", classified={"card": 0.9}).then(said="It is on its way.")
    with Scenario("bank", real_tools=True) as talk:
        talk.customer_writes("I want my money back", classified=MONEY_BACK)
        talk.customer_writes("Maria Keller").customer_writes("12345678")
        talk.then(state="refund_details", facts={"verified": True})


def test_a_limit_and_an_operator() -> None:
    """What is reached is named; who stops it needs no message."""
    with Scenario("bank") as talk:
        talk.customer_writes("where is my card?", classified={"card": 0.9})
        for _ in range(4):
            name = talk.talk.outside.waiting[0].name
            talk.agent_answers(name, {"outcome": "unsure"})
        talk.then(limit="handoffs", state="human_desk")
        talk.input_given("operator_kill").then(state="stopped", ended=True)


WRONG: tuple[tuple[Callable[[Scenario], object], str], ...] = (
    (lambda talk: talk.then(state="desk"), 'state: "find_payment", not "desk"'),
    (lambda talk: talk.then(ended=True), "ended: false, not true"),
    (lambda talk: talk.then(standing="ended"), 'standing: "working", not "ended"'),
    (lambda talk: talk.then(said="Goodbye."), "'Goodbye.' was not said; said was"),
    (lambda talk: talk.then(said=[]), "not []"),
    (lambda talk: talk.then(path=["message → triage"]), '"refund → identify_refund"'),
    (lambda talk: talk.then(facts={"amount": 1}), "the fact 'amount' is 4250, not 1"),
    (lambda talk: talk.then(facts={"payment_found": True}), "the fact 'payment_found' is 'unknown', not True"),
    (lambda talk: talk.then(unknown=["amount"]), "the fact 'amount' is known: 4250"),
    (lambda talk: talk.then(called="pay_refund"), "the tool 'pay_refund' was not called"),
    (lambda talk: talk.then(called=("find_payment", {})), "was not called with {}; called were: [('verify_customer'"),
    (lambda talk: talk.then(not_called="find_payment"), "the tool 'find_payment' was called"),
    (lambda talk: talk.then(waiting=()), 'waiting: ["find_payment"], not []'),
    (lambda talk: talk.then(limit="handoffs"), "the limit 'handoffs' was not reached; reached were: none"),
    (lambda talk: talk.then(task="clerk"), "no task is open"),
    (lambda talk: talk.agent_answers("card_adviser"), "The agent 'card_adviser' was not asked"),
    (lambda talk: talk.person_decides("approved"), "No task is open, so 'approved' cannot be decided."),
    (lambda talk: talk.person_resolves("done"), "No effect is left undecided."),
)


@pytest.mark.parametrize(("does", "says"), WRONG, ids=[says[:30] for _, says in WRONG])
def test_what_does_not_hold_fails_with_the_conversation(does: Callable[[Scenario], object], says: str) -> None:
    """Each clause alone, and the failure shows who said what."""
    with refund() as talk, pytest.raises(AssertionError) as failure:
        does(talk)
    assert says in str(failure.value)
    assert "« customer: “I want my money back”" in str(failure.value)
    assert "now in 'find_payment'; tool find_payment has not answered" in str(failure.value)


def test_a_task_for_somebody_else() -> None:
    with refund("250.00") as talk:
        talk.tool_answers("find_payment", {"payment_found": True})
        with pytest.raises(AssertionError, match='task: "refund_approver", not "clerk"'):
            talk.then(task="clerk")
        with pytest.raises(AssertionError, match="decisions of the task"):
            talk.then(task=["approved"])


def test_a_log_that_was_changed_fails_the_next_then() -> None:
    """The control of `log verifies`: one flipped byte in the store."""
    with refund() as talk:
        entries = talk.talk.store._entries[talk.talk.id]
        entries[3] = entries[3]._replace(data=entries[3].data.replace(b"message", b"massage"))
        with pytest.raises(AssertionError, match="the log is broken at event 3"):
            talk.then()


@pytest.mark.parametrize(("given", "seconds"), [("45s", 45), ("30m", 1800), ("4h", 14400), ("1d", 86400), (7, 7)])
def test_times_as_flows_write_them(given: str | int, seconds: int) -> None:
    assert seconds_of(given) == seconds


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(CallError, match="'soon' is no time"):
        seconds_of("soon")


async def test_a_scenario_runs_inside_of_a_coroutine() -> None:
    """Its loop is its own."""
    with Scenario("patterns/pipeline") as talk:
        talk.then(state=talk.state)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tools": {"nosuch": 1}}, "The flow has no tool 'nosuch'; it has "),
        ({"tools": {"pay_refnd": 1}}, "Did you mean 'pay_refund'?"),
        ({"agents": {"nobody": "Hello."}}, "The flow has no agent 'nobody'; it has "),
    ],
)
def test_who_is_not_in_the_flow_cannot_answer(given: dict[str, Any], says: str) -> None:
    with pytest.raises(CallError) as failure:
        Scenario("bank", **given)
    assert says in str(failure.value)
    assert "card_adviser" in str(failure.value) or "tools" in given


def test_a_label_that_no_router_has_is_refused() -> None:
    with Scenario("bank") as talk, pytest.raises(CallError, match=r"The flow has no label 'refnd'; it has .*'refund'"):
        talk.customer_writes("I want my money back", classified={"refnd": 0.9})


def test_what_happens_is_told_in_the_words_of_a_baseline() -> None:
    """And the control: anything else fails, with both sides said."""
    with Scenario("patterns/pipeline") as talk:
        talk.keeps_what_must_hold()
        with pytest.raises(AssertionError, match="It should be: starts in nowhere\nIt is: starts in"):
            talk.happens("starts in nowhere")
