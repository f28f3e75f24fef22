"""What is recognised in sentences as people write them, by type of fact."""

import pytest

from interlock.contracts.facts import FactType
from interlock.contracts.flow import FactSpec
from interlock.fsm.recognise import REASONS, Reason, Seen, Told, look_for, recognise

AMOUNT = FactSpec(name="amount", type="money")
BAGS = FactSpec(name="bags", type="integer", says="number of bags")
DAY = FactSpec(name="day", type="date")
CABIN = FactSpec(name="cabin", type="choice", choices=("economy", "basic_economy", "business"))
AGREED = FactSpec(name="agreed", type="yes_no")
BOOKING = FactSpec(name="booking", type="code", pattern="[A-Z0-9]{6}")
CARD = FactSpec(name="card", type="code", pattern="[0-9]{16}")
NAME = FactSpec(name="full_name", type="text", says="your name")
STORY = FactSpec(name="what_happened", type="text")
ADDRESS = FactSpec(name="address", type="text")


def why(word: str) -> Reason:
    assert word in REASONS
    return Reason(word)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("40", 4000),
        ("€40", 4000),
        ("40 euros", 4000),
        ("EUR 1,234.50", 123450),
        ("1.234,50 €", 123450),
        ("$12", 1200),
        ("twelve euros", 1200),
        ("45.5", 4550),
        ("2k", 200000),
        ("2.5k €", 250000),
        ("2 thousand euros", 200000),
        ("1 234,50", 123450),
        ("1'234.50", 123450),
        ("1,234", why("ambiguous")),
        ("€1,234", why("ambiguous")),
        ("42.505 euro", why("ambiguous")),
        ("1.234.567", 123456700),
        ("1 234", 123400),
        ("1,234,567", 123456700),
        ("12€50", 1250),
        ("99 cents", 99),
        ("40 euros and 50 cents", 4050),
        ("€40 50 cents", 4050),
        ("12 euros 50", 1250),
        ("12 euro 50 cents", 1250),
        ("twelve euros and five cents", 1205),
        ("forty two euros fifty", 4250),
        ("12 euros 50, please", 1250),
        ("12 euros 2 shoes", 1200),
        ("1,234 euros and 50 cents", why("ambiguous")),
        ("forty-two fifty euros", 4250),
        ("I paid forty-two fifty", 4250),
        ("it cost nineteen ninety-nine", 1999),
        ("forty-two fifty", why("ambiguous")),
        ("two fifty", why("ambiguous")),
        ("2 times 42.50", 4250),
        ("2 x 42.50", 4250),
        ("2 × 42.50", 4250),
        ("42.50 x 2", 4250),
        ("42.50, order 77", 4250),
        ("42.50 for order no. 77", 4250),
        ("I ordered 3 shoes for 40", 4000),
        ("2 orders", None),
        ("order 42", None),
        ("account 12345678", None),
        ("fifty p", 50),
        (".50", 50),
        ("a hundred and twenty euros", 12000),
        ("two thousand three hundred", 230000),
        ("forty-five", 4500),
        ("fifteen hundred pounds", 150000),
        ("Forty five dollars please", 4500),
        ("one", 100),
        ("it was about 40 i think", 4000),
        ("EUR40", 4000),
        ("40EUR", 4000),
        ("40.-", 4000),
        ("40,-", 4000),
        ("um...40", 4000),
        ("40!!", 4000),
        ("(40)", 4000),
        ("not 40, 45", 4500),
        ("40... sorry 45", 4500),
        ("45 instead of 40", 4500),
        ("40, no wait, 45", 4500),
        ("it isn't 40 but 45", 4500),
        ("40 no 45", 4500),
        ("€40, I mean €45", 4500),
        ("40, 40 euros", 4000),
        ("it was 40 on 3 March", 4000),
        ("I paid 40, 2 days ago", 4000),
        ("40 at 10:30", 4000),
        ("40 at 10 pm", 4000),
        ("order #77, 40 euros", 4000),
        ("€40 for 2", 4000),
        ("٤٠", 4000),
        ("\u200f40\u00a0€", 4000),
        ("４０ euros", 4000),
        ("-40", why("negative")),
        ("minus 40 euros", why("negative")),
        ("€-40", why("negative")),
        ("\u221240 €", why("negative")),
        ("40 or 45", why("several")),
        ("€40 and €45", why("several")),
        ("45.5555", why("too_precise")),
        ("4111111111111111", why("too_large")),
        ("9" * 5000, why("too_large")),
        ("no idea", why("unknown")),
        ("40%", None),
        ("10:30", None),
        ("two days ago", None),
        ("12.05.2024", None),
        ("192.168.1.1", None),
        ("that one", None),
        ("A40", None),
        ("twenty and thirty", None),
        ("", None),
        ("\x00", None),
        ("\ud800", None),
        ("hello", None),
    ],
)
def test_an_amount_is_read_when_it_was_asked(text: str, value: object) -> None:
    assert recognise(AMOUNT, text, True) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("I was charged €40 twice", 4000),
        ("the amount is 40", 4000),
        ("refund of 40 please", 4000),
        ("charged me 40", 4000),
        ("Amount: 40", 4000),
        ("somebody withdrew $300 at an ATM", 30000),
        ("withdrew 300$ i want to cancel", 30000),
        ("a five hundred pound cash withdrawal", 50000),
        ("I'm missing $500!", 50000),
        ("ONLY $20 instead of $100", 2000),
        ("refund me forty two euros fifty", 4250),
        ("I was charged 2 times 42.50", 4250),
        ("I was charged twice 42.50", 4250),
        ("charged 42.50 2 times", 4250),
        ("refund 42,50", 4250),
        ("i want 42.5 back", 4250),
        ("refund 250", 25000),
        ("refund 19.99 for order 42", 1999),
        ("get my 30 back", 3000),
        ("charged 42.50", 4250),
        ("I paid 42.50 yesterday", 4250),
        ("it cost me 30", 3000),
        ("the amount was 30", 3000),
        ("order number 42, please refund 19.99", 1999),
        ("refund 42.505 euro", None),
        ("refund 1,234", None),
        ("refund order 42", None),
        ("refund no. 42", None),
        ("refund #42", None),
        ("refund account 12345678", None),
        ("refund 12345678", None),
        ("refund for card 4242", None),
        ("my reference is 4242", None),
        ("I want order 42 back", None),
        ("the amount for order 42", None),
        ("refund 2 shoes", None),
        ("refund 3 orders", None),
        ("charged 2 days ago", None),
        ("charged 2 times", None),
        ("go back 2", None),
        ("40", None),
        ("I have 3 cards", None),
        ("call me at 555 1234", None),
        ("my card ends in 1234", None),
        ("on 3 March 2026", None),
        ("2 of them", None),
        ("I withdrew $100 but only received $20", None),
        ("€-40", None),
    ],
)
def test_an_amount_is_volunteered_only_with_a_currency_or_its_name(text: str, value: object) -> None:
    assert recognise(AMOUNT, text, False) == value


def test_bounds_are_in_minor_units() -> None:
    spec = AMOUNT.changed(minimum=100, maximum=5000)
    answers = [recognise(spec, text, True) for text in ("0.99", "1", "50", "50.01")]
    assert answers == [why("too_small"), 100, 5000, why("too_large")]


def test_below_zero_needs_a_minimum_below_zero() -> None:
    assert recognise(AMOUNT.changed(minimum=-5000), "-40", True) == -4000


@pytest.mark.parametrize(
    ("text", "currency", "value"),
    [
        ("$40", "EUR", why("other_currency")),
        ("€40", "EUR", 4000),
        ("40 quid", "GBP", 4000),
        ("40 dollars", "CAD", 4000),
        ("40", "USD", 4000),
        ("¥1,000", "JPY", 1000),
        ("1000", "JPY", 1000),
        ("10.5", "JPY", why("too_precise")),
        ("12.345", "KWD", why("ambiguous")),
        ("12.5", "KWD", 12500),
    ],
)
def test_the_currency_of_the_flow_says_what_a_sign_and_a_number_mean(text: str, currency: str, value: object) -> None:
    seen = look_for(AMOUNT, Told(text), asked=True, currency=currency)
    assert (seen.value if isinstance(seen, Seen) else seen) == value


@pytest.mark.parametrize(
    ("text", "asked", "value"),
    [
        ("2", True, 2),
        ("two", True, 2),
        ("2 bags", True, 2),
        ("none", True, 0),
        ("1,000", True, 1000),
        ("one", True, 1),
        ("just one", True, 1),
        ("2 no 3", True, 3),
        ("it's 3", True, 3),
        ("2 or 3", True, why("several")),
        ("3.5", True, why("not_whole")),
        ("-1", True, why("negative")),
        ("€40", True, None),
        ("the one I lost", True, None),
        ("2 bags", False, 2),
        ("I'd like to add 3 checked bags", False, 3),
        ("bags: 2", False, 2),
        ("adding two bags", False, 2),
        ("2", False, None),
        ("€40 for bags", False, None),
        ("3 passengers", False, None),
        ("no bags", False, None),
    ],
)
def test_whole_numbers(text: str, asked: bool, value: object) -> None:
    assert recognise(BAGS, text, asked) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-03-03", "2026-03-03"),
        ("2026/3/3", "2026-03-03"),
        ("3 March 2026", "2026-03-03"),
        ("3rd of March 2026", "2026-03-03"),
        ("March 3rd, 2026", "2026-03-03"),
        ("march 3 2026", "2026-03-03"),
        ("Mar. 3, 2026", "2026-03-03"),
        ("3-Mar-2026", "2026-03-03"),
        ("3march2026", None),
        ("25/12/2026", "2026-12-25"),
        ("12/25/2026", "2026-12-25"),
        ("25.12.2026", "2026-12-25"),
        ("03/03/2026", "2026-03-03"),
        ("it was on 1 sept 2026, at 10", "2026-09-01"),
        ("29 Feb 2024", "2024-02-29"),
        ("the 3rd of March 2026 I think", "2026-03-03"),
        ("3 March 2026, no wait, 4 March 2026", "2026-03-04"),
        ("not 3 March 2026, 4 March 2026", "2026-03-04"),
        ("03/04/2026, that is 3 April 2026", "2026-04-03"),
        ("03/04/2026", why("ambiguous")),
        ("1/2/26", why("ambiguous")),
        ("31 Feb 2026", why("no_such_date")),
        ("29/02/2026", why("no_such_date")),
        ("March 3rd", why("no_year")),
        ("3 march", why("no_year")),
        ("yesterday", why("relative")),
        ("two days ago", why("relative")),
        ("last Friday", why("relative")),
        ("Monday morning", why("relative")),
        ("3 March 2026 or 4 March 2026", why("several")),
        ("I don't know", why("unknown")),
        ("March 2026", None),
        ("30 may I ask", None),
        ("12:30", None),
        ("1.2.3.4", None),
        ("40 euros", None),
    ],
)
def test_a_date_is_read_when_it_was_asked(text: str, value: object) -> None:
    assert recognise(DAY, text, True) == value


def test_only_a_whole_date_is_volunteered() -> None:
    texts = ("charged on 3 March 2026", "charged on 3 March", "charged yesterday", "on 03/04/2026")
    assert [recognise(DAY, text, False) for text in texts] == ["2026-03-03", None, None, None]


@pytest.mark.parametrize(
    ("text", "asked", "value"),
    [
        ("economy", True, "economy"),
        ("Basic Economy please", True, "basic_economy"),
        ("basic-economy", True, "basic_economy"),
        ("BUSINESS", True, "business"),
        ("the second one", True, "basic_economy"),
        ("2", True, "basic_economy"),
        ("option 3", True, "business"),
        ("the last one please", True, "business"),
        ("1st", True, "economy"),
        ("I think I'd go for the first option", True, "economy"),
        ("not economy, business", True, "business"),
        ("economy, no wait, business", True, "business"),
        ("I don't want economy, business please", True, "business"),
        ("economy or business", True, why("several")),
        ("4", True, None),
        ("the first time I called", True, None),
        ("no preference", True, None),
        ("economical", True, None),
        ("I want a business seat", False, "business"),
        ("the second one", False, None),
        ("economy or business", False, None),
    ],
)
def test_choices(text: str, asked: bool, value: object) -> None:
    assert recognise(CABIN, text, asked) == value


def test_everyday_words_are_choices_only_when_asked() -> None:
    spec = CABIN.changed(choices=("refund", "other"))
    assert recognise(spec, "the other day I called", False) is None
    assert recognise(spec, "other", True) == "other"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(
            (text, True)
            for text in (
                "yes",
                "Yeah",
                "yep!",
                "sure",
                "correct",
                "that's right",
                "no problem, yes",
                "yes please",
                "y",
                "ok",
                "of course",
                "I have it here, yes",
                "no wait, yes",
                "Yes, I did not receive it",
                "I think so",
                "it is",
                "👍",
                "yess",
                "why not",
                "Well, yes",
                "that\u2019s correct",
                "Yes of course, no doubt",
            )
        ),
        *(
            (text, False)
            for text in (
                "no",
                "nope",
                "nah",
                "wrong",
                "not really",
                "No, I lost it",
                "not at all",
                "I don't think so",
                "that's not right",
                "no thanks",
                "absolutely not",
                "I'm afraid not",
                "it isn't",
                "n",
                "No card here",
                "never",
                "yes wait, no",
                "👎",
            )
        ),
        *(
            (text, None)
            for text in (
                "no idea",
                "maybe",
                "yes and no",
                "yes but no",
                "there is no charge",
                "what?",
                "",
                "\x00",
                "no one came",
                "\ud83d",
                "why do you ask",
                "knows",
                "the noble yesterday",
                "no problem",
            )
        ),
        ("I don't know", why("unknown")),
        ("not sure", why("unknown")),
    ],
)
def test_yes_and_no_when_asked(text: str, value: object) -> None:
    expected = why("unknown") if value is None and text in ("no idea", "maybe") else value
    assert recognise(AGREED, text, True) == expected


def test_yes_is_never_volunteered() -> None:
    assert recognise(AGREED, "yes", False) is None


@pytest.mark.parametrize(
    ("spec", "text", "asked", "value"),
    [
        (BOOKING, "NO6JO3", True, "NO6JO3"),
        (BOOKING, "it's no6jo3", True, "NO6JO3"),
        (BOOKING, "please help", True, None),
        (BOOKING, "my code is NO6JO3, thanks", True, "NO6JO3"),
        (BOOKING, "AB12CD or CD12AB", True, why("several")),
        (BOOKING, "AB12CD, sorry, CD12AB", True, "CD12AB"),
        (BOOKING, "xNO6JO3y", True, None),
        (BOOKING, "ref NO6JO3 please", False, "NO6JO3"),
        (BOOKING, "PLEASE HELP", False, None),
        (BOOKING, "no6jo3", False, None),
        (CARD, "4111 1111 1111 1111", True, "4111111111111111"),
        (CARD, "it's 4111-1111-1111-1111.", True, "4111111111111111"),
        (CARD, "4111 1111", True, None),
        (CARD, "4111 1111 1111 1111", False, None),
        (CARD, "my card 4111111111111111.", False, "4111111111111111"),
        (BOOKING.changed(pattern="[A-Z]{3}"), "I fly from JFK", False, "JFK"),
        (BOOKING.changed(pattern="[A-Z]{3}"), "THE APP", False, None),
        (BOOKING.changed(pattern="(?i)[a-z]{2}[0-9]{2}"), "aB12", True, "aB12"),
        (BOOKING.changed(pattern="^[0-9]{4}$"), "1234", True, "1234"),
        (BOOKING.changed(pattern="("), "1234", True, None),
        (BOOKING.changed(pattern=""), "1234", True, None),
        (BOOKING.changed(pattern="x*"), "1234", True, None),
    ],
)
def test_codes(spec: FactSpec, text: str, asked: bool, value: object) -> None:
    assert recognise(spec, text, asked) == value


@pytest.mark.parametrize(
    ("spec", "text", "value"),
    [
        (NAME, "Ana Ruiz", "Ana Ruiz"),
        (NAME, "my name is Ana Ruiz", "Ana Ruiz"),
        (NAME, "It's Ana Ruiz, thanks", "Ana Ruiz"),
        (NAME, "I am Ana Ruiz and I was charged twice", "Ana Ruiz"),
        (NAME, "Hi, this is Ana.", "Ana"),
        (NAME, "My name\u2019s Ana O'Neil-Smith. I want a refund", "Ana O'Neil-Smith"),
        (NAME, "i'm mark", "mark"),
        (NAME, "Dr. Ana Ruiz", "Dr. Ana Ruiz"),
        (NAME, "Ruiz, Ana", "Ruiz, Ana"),
        (NAME, "Ana Ruiz, 1234", "Ana Ruiz"),
        (NAME, "Ángel Núñez", "Ángel Núñez"),
        (NAME, "王小明", "王小明"),
        (NAME, "مريم", "مريم"),
        (NAME, "the name is ben", "ben"),
        (NAME, "why do you need it?", why("question")),
        (NAME, "I lost my card", why("not_found")),
        (NAME, "", why("empty")),
        (NAME, "  ...  ", why("empty")),
        (NAME, "\x00", why("empty")),
        (NAME, "x" * 201, why("too_long")),
        (NAME, "card 1234", why("not_found")),
        (STORY, "I was charged twice", "I was charged twice"),
        (STORY, "why was I charged twice?", "why was I charged twice"),
        (STORY, "It's a long story.", "a long story"),
        (STORY, "x" * 200, "x" * 200),
        (STORY, "a\ud800b", "a\ud800b"),
        (ADDRESS, "12 High Street, London", "12 High Street, London"),
        (ADDRESS, "it's 5 Elm Rd. London", "5 Elm Rd. London"),
        (ADDRESS, "My address is 12 High St, London and I need help", "12 High St, London"),
    ],
)
def test_text_is_the_answer_without_what_is_said_around_it(spec: FactSpec, text: str, value: object) -> None:
    assert recognise(spec, text, True) == value


@pytest.mark.parametrize(
    ("spec", "text", "value"),
    [
        (NAME, "my name is Ana Ruiz and I lost my card", "Ana Ruiz"),
        (NAME, "I'm Ana Ruiz, hi", "Ana Ruiz"),
        (NAME, "I'm John Smith from Boston", "John Smith"),
        (NAME, "Yes my name is Alexis, same as the doctor lol", "Alexis"),
        (NAME, "Hi my name is Ben and my ride ID is 370", "Ben"),
        (NAME, "I am very angry", None),
        (NAME, "Ana Ruiz", None),
        (NAME, "this is ridiculous", None),
        (NAME, "I AM MISSING CASH FROM MY ACCOUNT", None),
        (NAME, "not sure if the name is just different", None),
        (STORY, "I was charged twice", None),
        (ADDRESS, "my address is 12 High St, London", "12 High St, London"),
        (ADDRESS, "address: 12 High St.", "12 High St"),
        (FactSpec(name="merchant_name", type="text"), "my name is Ana Ruiz", None),
        (FactSpec(name="merchant_name", type="text"), "the merchant name is Zara", "Zara"),
    ],
)
def test_text_is_volunteered_only_after_a_lead_in(spec: FactSpec, text: str, value: object) -> None:
    assert recognise(spec, text, False) == value


@pytest.mark.parametrize("kind", ["text", "code", "money", "integer", "date", "choice", "yes_no"])
def test_only_the_first_20000_characters_are_read(kind: FactType) -> None:
    """A value behind them is as if it were not there, and a megabyte costs no more."""
    spec = FactSpec(name="it", type=kind, choices=("blue",), pattern="[0-9]{4}")
    hidden = " " * 20_000 + "1234 euros 2026-03-03 blue yes my it is x" + "z" * 1_000_000
    assert recognise(spec, hidden, False) is None
    assert recognise(spec, hidden, True) in (None, why("empty"))
