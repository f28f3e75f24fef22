"""Redaction for records: a short look at a text with what could name a person or open a door taken out.

Rules find what has a form (card numbers, accounts, addresses, phone numbers, identity numbers, keys); what
has none, such as a name, is found only where the conversation knows it as a sealed fact. So a preview is
less than the text and more than nothing: it is made only where somebody switched previews on.
"""

import json
import re
import unicodedata
from collections.abc import Iterable
from typing import Any

from .sensitive import SECRETS, luhn

PREVIEW_CHARACTERS = 200
_READ = 2_000
"""Characters that are looked at; the last `_EDGE` of them may hold half of something, and are dropped."""
_EDGE = 300
_LEAST_DIGITS = 7
"""A longer row of digits may be a phone, an account or a person."""
_SEPARATED = r"[\W_]{0,3}"


class Preview(str):
    """Text that went through redaction: only `preview` and `outline` make one, and no other text gets into a record."""

    __slots__ = ()


_KEYED = re.compile(
    r"(?i)\b(pass(?:word|wort|code|phrase)|passwd|pwd|secret|token|api[ _-]?key|authorization|bearer)"
    r"(\W{0,3}(?:is|was|:|=|->)?\W{0,3}(?:bearer |basic )?)([^\s\"',;]+)"
)
_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    *((pattern, "[secret]") for pattern in SECRETS),
    (re.compile(r"(?<!\S)\S+[ \t]?@[ \t]?\S+"), "[e-mail]"),
    (re.compile(r"(?i)\b[a-z]{2} ?\d{2} ?\d{2} ?\d{2} ?[a-d]\b"), "[id]"),
    (re.compile(r"(?i)\b[a-z]{3} ?[a-z]{3} ?\d{2}[a-z]\d{2} ?[a-z]\d{3}[a-z]\b"), "[id]"),
)
"""What has a form of its own, and what is put in its place; tried in this order."""
_ACCOUNT = re.compile(r"(?i)\b[a-z]{2}\d{2}(?:[ -]?[a-z0-9]{4}){2,7}(?:[ -]?[a-z0-9]{1,3})?\b")
_NUMBER = re.compile(rf"[+(]{{0,2}}\d(?:{_SEPARATED}\d){{{_LEAST_DIGITS - 1},}}")
_OPAQUE = re.compile(r"[A-Za-z0-9+/_=-]{24,}")
_MIXED = re.compile(r"\b[^\W_]{6,}\b")


def preview(text: str, hidden: Iterable[str] = ()) -> Preview:
    """The first 200 characters of `text` after redaction, on one line. `hidden` are texts that must not be shown."""
    cut = text[:_READ]
    shown = _redacted(cut, hidden)
    if len(text) > _READ:
        shown = shown[: max(0, len(shown) - _EDGE)]
    return _on_one_line(shown)


def outline(text: str) -> Preview:
    """The form of a tool's result without its words: names of fields, and how much text stands in each."""
    try:
        found = json.loads(text[: 4 * _READ])
    except (ValueError, RecursionError):
        return Preview(f"[{len(text)} characters]")
    return preview(json.dumps(_form(found, 4), ensure_ascii=False))


def redacted(text: str, hidden: Iterable[str] = ()) -> str:
    """The whole text with every match replaced by a word in brackets that says what stood there."""
    return _redacted(text, hidden)


def _redacted(text: str, hidden: Iterable[str]) -> str:
    text = _plain(text)
    for words in _hiding(hidden):
        text = words.sub("[fact]", text)
    text = _KEYED.sub(lambda found: f"{found[1]}{found[2]}[secret]", text)
    for pattern, instead in _RULES:
        text = pattern.sub(instead, text)
    text = _ACCOUNT.sub(_account, text)
    text = _NUMBER.sub(_number, text)
    text = _OPAQUE.sub(_opaque, text)
    return _MIXED.sub(_mixed, text)


def _plain(text: str) -> str:
    """Compatibility forms made ordinary, and characters without width left out: neither hides a number."""
    text = unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode("utf-8"))
    return text if text.isascii() else "".join(one for one in text if unicodedata.category(one) != "Cf")


def _hiding(hidden: Iterable[str]) -> Iterable[re.Pattern[str]]:
    """Each hidden text as a whole, and each of its words of three characters or more, whatever their case."""
    words: set[str] = set()
    for text in hidden:
        plain = _plain(text[:_READ]).strip()
        if plain:
            words.add(plain)
            words.update(word for word in re.split(r"[\W_]+", plain) if len(word) >= 3)
    if words:
        longest_first = sorted(words, key=lambda word: (-len(word), word))
        yield re.compile("|".join(re.escape(word) for word in longest_first), re.IGNORECASE)


def _digits(text: str) -> int:
    return sum(one.isdecimal() for one in text)


def _account(found: re.Match[str]) -> str:
    return "[account]" if _digits(found[0]) >= _LEAST_DIGITS else found[0]


def _number(found: re.Match[str]) -> str:
    digits = "".join(str(int(one)) for one in found[0] if one.isdecimal())
    if 13 <= len(digits) <= 19 and luhn(digits):
        return "[card]"
    return "[phone]" if found[0].startswith(("+", "(", "0")) else "[number]"


def _opaque(found: re.Match[str]) -> str:
    text = found[0]
    looks_made = any(one.isdecimal() for one in text) and any(one.isalpha() for one in text)
    return "[secret]" if looks_made else text


def _mixed(found: re.Match[str]) -> str:
    text = found[0]
    return "[id]" if _digits(text) >= 4 and not text.isdecimal() else text


def _form(value: Any, depth: int) -> Any:
    if isinstance(value, dict):
        return {_field(name): _form(part, depth - 1) for name, part in list(value.items())[:20]} if depth else "{...}"
    if isinstance(value, list):
        return [_form(part, depth - 1) for part in value[:5]] if depth else "[...]"
    return f"[{len(value)} characters]" if isinstance(value, str) else value


def _field(name: str) -> str:
    """A name such as programs give to fields; anything else may be a person's."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]{0,39}", name) else "[field]"


def _on_one_line(text: str) -> Preview:
    return Preview("".join(one if one.isprintable() else " " for one in text)[:PREVIEW_CHARACTERS])
