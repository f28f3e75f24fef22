"""Redaction: what names a person or opens a door is taken out, whatever stands around it; the rest can be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.service.redaction import PREVIEW_CHARACTERS, Preview, outline, preview, redacted
from support.hostile import DEEP, LARGE, any_text

FORMS = {
    "4111 1111 1111 1111": "[card]",
    "378282246310005": "[card]",
    "4111-1111-1111-1111": "[card]",
    "４１１１ １１１１ １１１１ １１１１": "[card]",
    "4111\u200b1111\u200b1111\u200b1111": "[card]",
    "٤١١١ ١١١١ ١١١١ ١١١١": "[card]",
    "4111 1111 1111 1112": "[number]",
    "12345678": "[number]",
    "1234_5678": "[number]",
    "+49 170 1234567": "[phone]",
    "(020) 7946 0958": "[phone]",
    "0170/1234567": "[phone]",
    "DE89 3704 0044 0532 0130 00": "[account]",
    "gb29 nwbk 6016 1331 9268 19": "[account]",
    "FR1420041010050500013M02606": "[account]",
    "078-05-1120": "[phone]",
    "QQ 12 34 56 C": "[id]",
    "QQ123456C": "[id]",
    "X1234567L": "[number]L",
    "RSS MRA 85T10 A562S": "[id]",
    "C01X00T47": "[id]",
    "maria@example.org": "[e-mail]",
    "maria.keller+a @ example.co.uk": "[e-mail]",
    "sk-proj-abcdefghijklmnopqrstuv": "[secret]",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789": "[secret]",
    "AKIAIOSFODNN7EXAMPLE": "[secret]",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.s_ig-na": "[secret]",
    "9f86d081884c7d659a2feaa0c55ad015": "[secret]",
}


@pytest.mark.parametrize("text", FORMS)
def test_each_form_is_replaced_by_a_word_that_says_what_stood_there(text: str) -> None:
    """Alone, in a sentence, in JSON, and twice."""
    said = FORMS[text]
    if said.startswith("[number]L"):
        assert "1234567" not in redacted(text)
        return
    assert redacted(text) == said
    assert redacted(f"so it is {text}, yes") == f"so it is {said}, yes" or said == "[e-mail]"
    assert text not in redacted(f'{{"a":"{text}"}}')
    assert text not in redacted(f"{text} and {text}")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("password: hunter2!", "password: [secret]"),
        ("my API key is abc", "my API key is [secret]"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer [secret]"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "[secret]"),
        ("-----BEGIN PRIVATE KEY----- cut off", "[secret]"),
    ],
)
def test_what_is_called_a_secret_is_one(text: str, shown: str) -> None:
    """The word before it tells, whatever it looks like."""
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "I paid 42.50 euros on 3 May and 1,250.00 in June",
        "gpt-4.1-mini answered in 230 ms",
        "is the branch in Leeds open from 9 to 17?",
        "order 4711 of 12 pairs, size 42",
    ],
)
def test_ordinary_sentences_can_be_read(text: str) -> None:
    """Amounts, times and small numbers are not personal."""
    assert redacted(text) == text


CANARIES = tuple(text for text in FORMS if text.isascii() and text != "X1234567L")


@given(before=any_text, canary=st.sampled_from(CANARIES), after=any_text, cut=st.integers(0, 2_200))
def test_no_surrounding_brings_a_canary_through(before: str, canary: str, after: str, cut: int) -> None:
    """LAW: wherever it stands, also where the text is cut; of its digits no seven in a row are left."""
    for shown in (
        preview(f"{before} {canary} {after}"),
        preview(f"{'word ' * (cut // 5)}{canary} {after}"),
    ):
        assert canary not in shown
        assert "".join(canary.split()) not in shown
        assert len(shown) <= PREVIEW_CHARACTERS
        assert shown.isprintable()


@given(text=any_text, hidden=st.lists(st.text("abcdefß ", min_size=3, max_size=9), max_size=3))
def test_hidden_texts_are_not_shown(text: str, hidden: list[str]) -> None:
    """LAW: neither whole nor by their longer words, in any case."""
    shown = preview(f"{' '.join(hidden).upper()} {text}", hidden).replace("[fact]", " ").casefold()
    for one in hidden:
        for word in one.split():
            if len(word) >= 3 and "ß" not in word:
                assert word not in shown.replace("[secret]", " ")


@given(text=any_text)
def test_any_text_has_a_preview_and_an_outline(text: str) -> None:
    """LAW: lone surrogates, controls, deep nesting: a short printable line that any terminal takes."""
    for shown in (preview(text), outline(text)):
        assert isinstance(shown, Preview)
        assert len(shown) <= PREVIEW_CHARACTERS
        shown.encode()


def test_a_preview_of_ten_megabytes_costs_no_more_than_that_of_a_page() -> None:
    """Only the beginning is looked at."""
    assert preview(LARGE)
    assert outline(DEEP)


def test_an_outline_shows_fields_and_no_words() -> None:
    """A tool's result comes from a system of record: its texts and its odd field names may be anybody's."""
    text = '{"holder":"Maria Keller","open":true,"amount":4250,"Maria":1,"account":12345678,"list":["a","b"]}'
    assert outline(text) == (
        '{"holder": "[12 characters]", "open": true, "amount": 4250, "[field]": 1, "account": [number], '
        '"list": ["[1 characters]", "[1 characters]"]}'
    )
    assert outline("The tool ended with failed.") == "[27 characters]"


def test_a_text_that_only_looks_like_a_preview_is_not_one() -> None:
    """The type is what lets it into a record."""
    assert not isinstance("[fact]", Preview)
