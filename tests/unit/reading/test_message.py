"""Whole messages: two answers at once, facts before they are asked, corrections, controls."""

from typing import Any

import pytest

from interlock.contracts.facts import Facts, KnownFact, Unreadable
from interlock.contracts.flow import FactSpec, Flow, WaitState
from interlock.fsm.code import Code
from interlock.fsm.reading import Found, FoundFact, read_message


def flow_of(*facts: FactSpec, **more: Any) -> Flow:
    wait = WaitState(name="waiting", deadline_seconds=60)
    return Flow(name="f", version=1, owner="o", initial="waiting", facts=facts, states=(wait,), transitions=(), **more)


BANK = flow_of(
    FactSpec(name="amount", type="money", says="the amount", minimum=1),
    FactSpec(name="charge_date", type="date", says="the date of the charge"),
    FactSpec(name="full_name", type="text", says="your full name"),
    FactSpec(name="card_last4", type="code", pattern="[0-9]{4}", says="the last four digits of your card"),
    FactSpec(name="card_with_you", type="yes_no"),
    FactSpec(name="bags", type="integer", says="number of bags"),
    FactSpec(name="pin", type="integer", volunteered=False),
)
TRIP = flow_of(
    FactSpec(name="amount", type="money"),
    FactSpec(name="fee", type="money"),
    FactSpec(name="departure_date", type="date"),
    FactSpec(name="return_date", type="date"),
    FactSpec(name="origin", type="choice", choices=("paris", "london")),
    FactSpec(name="destination", type="choice", choices=("paris", "london")),
    FactSpec(name="next", type="choice", choices=("stop", "go_on")),
)
KNOWN = Facts(
    known_facts={
        "amount": KnownFact(name="amount", value=4000),
        "charge_date": KnownFact(name="charge_date", value="2026-03-02"),
        "card_last4": KnownFact(name="card_last4", length=4),
    }
)
PLAIN = Code()


def answer(name: str, value: Any) -> FoundFact:
    return FoundFact(name, value=value, answers=True)


def other(name: str, value: Any) -> FoundFact:
    return FoundFact(name, value=value)


def text(name: str, told: str, *, answers: bool = False) -> FoundFact:
    return FoundFact(name, text=told, answers=answers)


def unread(name: str, reason: str) -> Found:
    return Found(unreadable=(Unreadable(name=name, reason=reason),))


@pytest.mark.parametrize(
    ("message", "asking", "facts"),
    [
        ("40", "amount", (answer("amount", 4000),)),
        ("40, card 1234", "amount", (answer("amount", 4000), text("card_last4", "1234"))),
        ("It was 40 and I have 2 bags", "amount", (answer("amount", 4000), other("bags", 2))),
        (
            "€40 on 3 March 2026, my name is Ana Ruiz",
            "amount",
            (answer("amount", 4000), other("charge_date", "2026-03-03"), text("full_name", "Ana Ruiz")),
        ),
        ("Ana Ruiz, 1234", "full_name", (text("full_name", "Ana Ruiz", answers=True), text("card_last4", "1234"))),
        (
            "my name is Ana Ruiz and it was €40",
            "full_name",
            (text("full_name", "Ana Ruiz", answers=True), other("amount", 4000)),
        ),
        (
            "my card ends in 1234 and the charge was €40 on 2026-03-02",
            None,
            (other("charge_date", "2026-03-02"), other("amount", 4000), text("card_last4", "1234")),
        ),
        ("no", "card_with_you", (answer("card_with_you", False),)),
        ("No, I lost it, and they took €40", "card_with_you", (answer("card_with_you", False), other("amount", 4000))),
        ("my pin is 1111", "pin", (answer("pin", 1111),)),
        ("2", "bags", (answer("bags", 2),)),
    ],
)
def test_what_is_read_when_nothing_is_known(message: str, asking: str | None, facts: tuple[FoundFact, ...]) -> None:
    assert read_message(BANK, PLAIN, message, asking=asking) == Found(facts=facts)


@pytest.mark.parametrize(
    ("message", "asking", "facts"),
    [
        ("€40", None, ()),
        ("€40", "amount", (answer("amount", 4000),)),
        ("40 and the fee was 2", "amount", (answer("amount", 4000), other("fee", 200))),
        ("€40 fee", "amount", (other("fee", 4000),)),
        ("the amount was €40 and the fee €2", None, (other("amount", 4000), other("fee", 200))),
        (
            "3 March 2026, return on 10 March 2026",
            "departure_date",
            (answer("departure_date", "2026-03-03"), other("return_date", "2026-03-10")),
        ),
        ("origin paris, destination london", None, (other("origin", "paris"), other("destination", "london"))),
        ("paris", None, ()),
        ("my departure date is 3 March 2026", "amount", (other("departure_date", "2026-03-03"),)),
        ("stop", "next", (answer("next", "stop"),)),
    ],
)
def test_of_facts_that_look_alike_the_named_one_is_meant(
    message: str,
    asking: str | None,
    facts: tuple[FoundFact, ...],
) -> None:
    assert read_message(TRIP, PLAIN, message, asking=asking) == Found(facts=facts)


@pytest.mark.parametrize(
    ("message", "asking", "facts"),
    [
        ("no, it was 45", "full_name", (other("amount", 4500),)),
        ("no, it was 45", "bags", (answer("bags", 45),)),
        ("no, it was €45", "bags", (other("amount", 4500),)),
        ("sorry, the amount is 45", None, (other("amount", 4500),)),
        ("2, and sorry, I meant 45 euros", "bags", (answer("bags", 2), other("amount", 4500))),
        ("not 40, €45", None, (other("amount", 4500),)),
        ("sorry, card 9999", None, (text("card_last4", "9999"),)),
        ("40", "amount", (answer("amount", 4000),)),
        ("1234", "card_last4", (text("card_last4", "1234", answers=True),)),
        ("I was also charged €12", None, ()),
        ("sorry for the trouble, I was also charged €12", None, ()),
        # Whoever names a sealed fact says it anew: its old value cannot be compared.
        ("card 9999", None, (text("card_last4", "9999"),)),
        ("No, and I was charged €45", "card_with_you", (answer("card_with_you", False),)),
    ],
)
def test_a_known_fact_changes_only_where_the_message_says_so(
    message: str,
    asking: str | None,
    facts: tuple[FoundFact, ...],
) -> None:
    assert read_message(BANK, PLAIN, message, asking=asking, known=KNOWN) == Found(facts=facts)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("yes", Found("yes")),
        ("yes that's all correct, thanks", Found("yes")),
        ("Yes, please go ahead and do that", Found("yes")),
        ("Yes, please go ahead. I was also charged a €12 fee", Found("yes")),
        ("no", Found("no")),
        ("no, the amount is 45", Found("no", (other("amount", 4500),))),
        ("no, 45", Found("no", (other("amount", 4500),))),
        ("no the date was 4 March 2026", Found("no", (other("charge_date", "2026-03-04"),))),
        ("the amount is 45", Found(None, (other("amount", 4500),))),
        ("yes but the amount is 45", Found(None, (other("amount", 4500),))),
        ("yes, only the amount is wrong", Found(None)),
        ("what?", Found("repeat")),
        ("never mind", Found("cancel")),
        ("hmm", Found()),
    ],
)
def test_while_confirming_yes_no_and_corrections_count(message: str, found: Found) -> None:
    assert read_message(BANK, PLAIN, message, confirming=True, known=KNOWN) == found


@pytest.mark.parametrize(
    ("message", "asking", "found"),
    [
        ("never mind", "full_name", Found("cancel")),
        ("what?", "full_name", Found("repeat")),
        ("no", "full_name", Found("no")),
        ("I'd rather not say", "amount", Found("decline")),
        ("no, never mind", "card_with_you", Found("cancel")),
        ("go back", "amount", Found("back")),
        ("thanks", "amount", unread("amount", "not_found")),
        ("dunno", "amount", unread("amount", "unknown")),
        ("0", "amount", unread("amount", "too_small")),
        ("$40", "amount", unread("amount", "other_currency")),
        ("3 March", "charge_date", unread("charge_date", "no_year")),
        ("yesterday", "charge_date", unread("charge_date", "relative")),
        ("40 or 45", "amount", unread("amount", "several")),
        ("why do you ask?", "full_name", unread("full_name", "question")),
        ("", "full_name", unread("full_name", "empty")),
        ("hello", None, Found()),
        ("hello", "no_such_fact", Found()),
    ],
)
def test_controls_and_answers_that_could_not_be_read(message: str, asking: str | None, found: Found) -> None:
    assert read_message(BANK, PLAIN, message, asking=asking) == found


def _broken(message: str) -> int:
    raise RuntimeError(message)


def test_a_reader_of_the_flow_goes_before_the_built_in_one() -> None:
    code = Code.of(readers={"bags": lambda message: 7 if "the usual" in message else None})
    assert read_message(BANK, code, "the usual", asking="bags") == Found(facts=(answer("bags", 7),))
    assert read_message(BANK, code, "the usual for €40") == Found(facts=(other("amount", 4000), other("bags", 7)))
    assert read_message(BANK, code, "3", asking="bags") == Found(facts=(answer("bags", 3),))


@pytest.mark.parametrize("reader", [_broken, lambda _: "many", lambda _: True, lambda _: 2**60, lambda _: 1.5])
def test_a_reader_that_raises_or_returns_nonsense_finds_nothing(reader: Any) -> None:
    code = Code.of(readers={"bags": reader})
    assert read_message(BANK, code, "hello", asking="bags") == unread("bags", "not_found")


def test_what_a_reader_takes_is_taken_from_the_others() -> None:
    code = Code.of(
        readers={
            "full_name": lambda message: "1234" if "1234" in message else None,
            "amount": lambda message: 1200 if "12" in message else None,
        }
    )
    assert read_message(BANK, code, "1234", asking="full_name").facts[0] == text("full_name", "1234", answers=True)
    assert read_message(BANK, code, "12", asking="amount") == Found(facts=(answer("amount", 1200),))


def test_a_reader_stays_within_the_bounds_of_its_fact() -> None:
    assert read_message(BANK, Code.of(readers={"amount": lambda _: 0}), "x", asking="amount") == unread(
        "amount", "too_small"
    )
    long_name = Code.of(readers={"full_name": lambda _: "x" * 201})
    assert read_message(BANK, long_name, "x y", asking="full_name") == unread("full_name", "too_long")


REFUND = flow_of(
    FactSpec(name="full_name", type="text", says="your full name"),
    FactSpec(name="account_number", type="code", says="your account number", pattern="[0-9]{8}"),
    FactSpec(name="amount", type="money", says="the amount", minimum=1, maximum=5_000_000),
    FactSpec(
        name="refund_reason", type="choice", says="the reason", choices=("not_received", "faulty", "cancelled", "other")
    ),
    FactSpec(name="block_confirmed", type="yes_no", volunteered=False),
    currency="EUR",
)


@pytest.mark.parametrize("asking", [None, "full_name", "account_number", "amount", "refund_reason", "block_confirmed"])
def test_a_name_and_an_account_are_corrected_together(asking: str | None) -> None:
    known = Facts(
        known_facts={
            "full_name": KnownFact(name="full_name", length=9),
            "account_number": KnownFact(name="account_number", length=8),
        }
    )
    said = "oh no wait my name is Maria Keller and account 12345678"
    found = read_message(REFUND, PLAIN, said, asking=asking, known=known)
    assert {fact.name: fact.text for fact in found.facts} == {
        "full_name": "Maria Keller",
        "account_number": "12345678",
    }


@pytest.mark.parametrize(
    "said",
    ["cancelled", "faulty", "yes", "ok", "Faulty.", "not received", "it's faulty", "yes faulty", "other", "done", "no"],
)
def test_an_ordinary_reply_is_no_name(said: str) -> None:
    found = read_message(REFUND, PLAIN, said, asking="full_name")
    assert all(fact.name != "full_name" for fact in found.facts)


@pytest.mark.parametrize("said", ["maria", "Maria Keller", "maria keller", "it's maria", "Will Back", "Ok Maria"])
def test_a_name_is_still_a_name(said: str) -> None:
    found = read_message(REFUND, PLAIN, said, asking="full_name")
    assert [fact.name for fact in found.facts] == ["full_name"]


def test_an_ambiguous_amount_is_asked_for_again() -> None:
    assert read_message(REFUND, PLAIN, "refund 42.505 euro", asking="amount") == unread("amount", "ambiguous")
    assert read_message(REFUND, PLAIN, "refund 42.505 euro") == Found()
