"""Laws of reading: it never fails, amounts come back as they were written, and nothing known changes in silence."""

import re
import time
from collections.abc import Mapping
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.facts import Control, Facts, KnownFact
from interlock.contracts.flow import FactSpec, Flow, WaitState
from interlock.contracts.values import MAX_SAFE_INTEGER
from interlock.fsm.code import Code
from interlock.fsm.controls import control_in, yes_no_in
from interlock.fsm.reading import read_message
from interlock.fsm.recognise import REASONS, Reason, recognise
from interlock.fsm.render import said

SPECS = (
    FactSpec(name="amount", type="money", says="the amount"),
    FactSpec(name="fee", type="money", minimum=0, maximum=10_000),
    FactSpec(name="bags", type="integer", says="number of bags"),
    FactSpec(name="birth_date", type="date"),
    FactSpec(name="cabin", type="choice", choices=("economy", "basic_economy", "business")),
    FactSpec(name="agreed", type="yes_no"),
    FactSpec(name="booking", type="code", pattern="[A-Z0-9]{6}"),
    FactSpec(name="full_name", type="text", says="your name"),
    FactSpec(name="story", type="text"),
)
FLOW = Flow(
    name="f",
    version=1,
    owner="o",
    initial="w",
    facts=SPECS,
    transitions=(),
    states=(WaitState(name="w", deadline_seconds=60),),
)
CODE = Code()

anything = st.text(st.characters(codec=None, categories=None), max_size=80)
fragments = st.lists(
    st.sampled_from(
        (
            "40",
            "€45",
            "12,50",
            "1.234,5",
            "-",
            "not",
            "no",
            "yes",
            "sorry",
            "actually",
            ",",
            ";",
            ".",
            "3 March 2026",
            "03/04/2026",
            "2026-02-30",
            "bags",
            "2",
            "fee",
            "the amount is",
            "my name is",
            "Ana Ruiz",
            "NO6JO3",
            "economy",
            "basic economy",
            "what?",
            "go back",
            "never mind",
            "I don't know",
            "twelve",
            "hundred",
            "k",
            "%",
            "\x00",
            "\ud800",
            "\u200f",
            "٤",
            "\n",
            "İ",
            "ß",
        )
    ),
    max_size=12,
).map(" ".join)
messages = anything | fragments | st.tuples(fragments, anything).map("".join)
questions = st.sampled_from((None, "unknown", *(spec.name for spec in SPECS)))
amounts = st.integers(0, 10_000_000) | st.integers(0, MAX_SAFE_INTEGER)


@st.composite
def known_facts(draw: st.DrawFn) -> Facts:
    values: Mapping[str, bool | int | str | None] = {
        "amount": draw(st.sampled_from((4000, 4500, 1200))),
        "bags": 2,
        "birth_date": "2026-03-03",
        "cabin": "economy",
        "agreed": True,
        "booking": None,
        "full_name": None,
    }
    names = draw(st.sets(st.sampled_from(sorted(values))))
    return Facts(known_facts={name: KnownFact(name=name, value=values[name], length=8) for name in names})


@given(messages, questions, st.booleans(), known_facts())
def test_every_message_is_read_into_something_that_the_flow_declares(
    message: str,
    asking: str | None,
    confirming: bool,
    known: Facts,
) -> None:
    """Total: values have their fact's type, reasons and controls are of the closed lists, no fact comes twice."""
    found = read_message(FLOW, CODE, message, asking=asking, confirming=confirming, known=known)
    assert found == read_message(FLOW, CODE, message, asking=asking, confirming=confirming, known=known)
    assert found.control in (None, *get_args(Control))
    assert len({fact.name for fact in found.facts}) == len(found.facts)
    specs = {spec.name: spec for spec in SPECS}
    for fact in found.facts:
        spec = specs[fact.name]
        assert (fact.value is None) == spec.sealed
        assert (fact.text is not None) == spec.sealed
        assert fact.answers == (fact.name == asking)
        if fact.value is not None:
            KnownFact(name=fact.name, value=fact.value)
            said(spec, fact.value, "EUR")
        if spec.type == "choice":
            assert fact.value in spec.choices
        if spec.name == "fee":
            assert isinstance(fact.value, int)
            assert 0 <= fact.value <= 10_000
    assert all(one.name == asking and one.reason in REASONS for one in found.unreadable)


@given(messages, known_facts())
def test_a_known_fact_never_changes_in_silence(message: str, known: Facts) -> None:
    """Unless it is asked, another value for it needs a word of correction in the message."""
    found = read_message(FLOW, CODE, message, known=known)
    words = ("no", "sorry", "actually", "wrong", "mean", "but", "wait", "should", "change", "correct", "instead")
    for fact in found.facts:
        if known.known(fact.name):
            assert any(word in message.lower() for word in words)
            assert fact.value is None or fact.value != known.value(fact.name)


@given(messages, known_facts())
def test_yes_to_a_summary_changes_nothing_of_it(message: str, known: Facts) -> None:
    found = read_message(FLOW, CODE, message, confirming=True, known=known)
    if found.control == "yes":
        assert not any(known.known(fact.name) for fact in found.facts)


def _grouped(whole: int, separator: str) -> str:
    return f"{whole:,}".replace(",", separator)


def _notations(minor: int) -> list[str]:
    """The amount in every notation with figures that people use."""
    whole, cents = divmod(minor, 100)
    numbers = [
        f"{whole}.{cents:02}",
        f"{whole},{cents:02}",
        f"{_grouped(whole, ',')}.{cents:02}",
        f"{_grouped(whole, '.')},{cents:02}",
        f"{_grouped(whole, ' ')},{cents:02}",
        f"{_grouped(whole, chr(0x27))}.{cents:02}",
    ]
    if cents == 0:
        numbers += [str(whole), _grouped(whole, ","), _grouped(whole, "."), _grouped(whole, " "), f"{whole}.-"]
    if cents % 10 == 0:
        numbers.append(f"{whole}.{cents // 10}")
    if minor % 100_000 == 0:
        numbers.append(f"{whole // 1000}k")
    return numbers


around_an_amount = st.sampled_from(
    ("{}", "€{}", "€ {}", "{} €", "{}€", "EUR {}", "{} euros", "it was {}", "{}, please", "-{}")
)


@given(amounts, around_an_amount)
def test_an_amount_reads_back_as_it_was_written(minor: int, around: str) -> None:
    """In every notation; with a currency also when nobody asked. A minus is never lost."""
    spec = FactSpec(name="amount", type="money", minimum=-MAX_SAFE_INTEGER)
    expected = -minor if around.startswith("-") else minor
    for number in _notations(minor):
        if around.startswith("-") and number.endswith("-"):
            continue
        written = around.format(number)
        if re.fullmatch(r"-?\d{1,3}[.,]\d{3}-?", number):  # thousands, or a slip in the cents: nobody can tell
            assert recognise(spec, written, True) == Reason("ambiguous"), written
            continue
        assert recognise(spec, written, True) == expected, written
        if "€" in around or "eur" in around.lower():
            assert recognise(spec, f"I was charged twice, {written}", False) == expected, written


@given(amounts)
def test_what_we_say_of_an_amount_reads_back(minor: int) -> None:
    spec = FactSpec(name="amount", type="money")
    assert recognise(spec, said(spec, minor, "EUR"), False) == minor


_SMALL = (
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def _in_words(number: int, joined: str, hyphen: str) -> str:
    if number < 20:
        return _SMALL[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (hyphen + _SMALL[number % 10] if number % 10 else "")
    size, name = (100, "hundred") if number < 1000 else (1000, "thousand")
    rest = joined + _in_words(number % size, joined, hyphen) if number % size else ""
    return f"{_in_words(number // size, joined, hyphen)} {name}{rest}"


@given(st.integers(0, 9_999), st.sampled_from((" ", " and ")), st.sampled_from(("-", " ")))
def test_numbers_in_words_read_back(number: int, joined: str, hyphen: str) -> None:
    written = _in_words(number, joined, hyphen)
    assert recognise(SPECS[0], f"{written} euros", False) == number * 100
    assert recognise(SPECS[2], f"it is {written}" if number != 1 else "one", True) == number


@given(st.dates())
def test_a_date_reads_back_in_every_form_that_is_not_ambiguous(day: object) -> None:
    spec = SPECS[3]
    iso = str(day)
    told = said(spec, iso, "EUR")
    number, month, year = told.split()
    year = year.zfill(4)
    for form in (iso, f"{number} {month} {year}", f"{month} {number}, {year}", f"{number}th of {month[:3]} {year}"):
        assert recognise(spec, form, True) == iso
        assert recognise(spec, f"It was on {form}.", False) == iso


@given(messages)
def test_a_control_never_stands_beside_an_answer_that_is_an_open_value(message: str) -> None:
    """A message that is a control holds no date and no amount."""
    if control_in(message) is not None:
        assert recognise(SPECS[3], message, False) is None
        assert recognise(SPECS[0], message, False) is None


@pytest.mark.parametrize(
    "unit",
    [
        " ",
        "\n",
        "1 ",
        "1.",
        "111 ",
        "one ",
        "one and ",
        "€",
        "€1 ",
        "-",
        "minus ",
        "my name is ",
        "I am Ana ",
        "no ",
        "yes, ",
        "not 1, ",
        "sorry ",
        "3 March ",
        "03/04/2026 ",
        "1/",
        "basic ",
        "basic_",
        "A",
        "NO6JO3 ",
        "? ",
        "\x00",
        "\ud800",
        "\u200f4",
        "1 bag ",
        "fee 1 ",
        "0",
        "i don't ",
        "that's ",
        "the first option ",
    ],
)
def test_time_is_linear_in_what_is_read(unit: str) -> None:
    """A megabyte of anything takes no longer than its first 20,000 characters, and those not long."""
    message = (unit * 1_000_000)[:1_000_000] + "%x"
    for asking in ("amount", "full_name"):
        began = time.perf_counter()
        read_message(FLOW, CODE, message, asking=asking)
        assert time.perf_counter() - began < 5
    control_in(message)
    yes_no_in(message)
