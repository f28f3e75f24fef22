"""Finds the value of one fact in one message: amounts, whole numbers, dates, choices, yes or no, codes and text.

Each type has a function that lists *spots*: where something of that type stands, with its value or the reason why
it has none. One rule then settles which spot counts. Asked, a bare answer is enough; unasked, it must be plain from
the words around it what is meant. Everything is total, and linear in the text (`spec.pattern` is the flow's own).
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property, lru_cache
from itertools import islice
from typing import Final, Literal, get_args

from ..contracts.facts import FactType
from ..contracts.flow import FactSpec
from ..contracts.values import MAX_SAFE_INTEGER
from .controls import corrects, corrects_between, plain, says_unsure, yes_no_in
from .notation import (
    SCALES,
    SIGNS,
    WORD_VALUES,
    bare_answer,
    dates_in,
    is_named,
    is_thousands_or_slip,
    of_figures,
    of_price_words,
    of_words,
    told_text,
)
from .render import minor_digits

LONGEST_NUMBER = 24
MOST_NUMBERS = 300
"""Numbers, and dates of one form, that are looked at in one message: nobody answers with more."""
TEXT_LIMIT = 200
"""The most characters of a `text` fact."""

ReasonWord = Literal[
    "not_found",
    "unknown",
    "question",
    "several",
    "ambiguous",
    "relative",
    "no_year",
    "no_such_date",
    "not_whole",
    "too_precise",
    "too_small",
    "too_large",
    "negative",
    "other_currency",
    "too_long",
    "empty",
]
"""Why an answer could not be taken: nothing like it; "I don't know"; a question back; more than one; day or month;
"yesterday"; a date without its year, or of no calendar; a fraction; fractions of a cent; outside the bounds; ..."""
REASONS: Final = frozenset(get_args(ReasonWord))

Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Reason:
    """Something was there, and this is why it is no value."""

    word: ReasonWord


@dataclass(frozen=True, slots=True)
class Seen:
    """A value, where it stood, and whether the message says that it replaces another one."""

    value: bool | int | str
    span: Span
    corrected: bool = False


@dataclass(frozen=True, slots=True)
class Spot:
    """A place that may hold a value. `marked` ones say themselves what they are: a currency, a unit, a name."""

    value: bool | int | str | Reason
    start: int
    end: int
    marked: bool = True
    cents: bool = False


class Told:
    """One message, looked at once for all facts: its text, what is read of it, and the dates and numbers in it."""

    def __init__(self, text: str) -> None:
        self.text, self.plain = text, plain(text)

    @cached_property
    def dates(self) -> tuple[Spot, ...]:
        return tuple(
            Spot(_date_or_reason(written), start, end) for written, start, end in dates_in(self.plain, MOST_NUMBERS)
        )

    @cached_property
    def numbers(self) -> tuple[tuple[re.Match[str], Fraction | Reason], ...]:
        """Every number that stands for itself, with its value; a date's or a time's numbers do not."""
        return tuple(_numbers(self.plain, self.dates))


def recognise(spec: FactSpec, text: str, asked: bool) -> bool | int | str | Reason | None:
    """The value of `spec` in `text`, or None. Asked, a `Reason` if something is there that cannot be taken."""
    seen = look_for(spec, Told(text), asked=asked)
    return seen.value if isinstance(seen, Seen) else seen


def look_for(
    spec: FactSpec,
    told: Told,
    *,
    asked: bool,
    currency: str = "",
    keep: Callable[[Spot], bool] | None = None,
) -> Seen | Reason | None:
    """As `recognise`, with the place. Only spots that `keep` allows count; `currency` refuses the signs of others."""
    spots = [spot for spot in _SPOTTERS[spec.type](spec, told, asked, currency) if keep is None or keep(spot)]
    settled = _settled(spots, told.plain, asked) if spots else None
    if spec.type in ("money", "integer") and isinstance(settled, Seen):
        settled = within(spec, settled)
    elif spec.type == "text" and isinstance(settled, Seen):
        settled = replace(settled, value=told.text[slice(*settled.span)])
    if not asked:
        return settled if isinstance(settled, Seen) else None
    return Reason("unknown") if settled is None and says_unsure(told.plain) else settled


def _settled(spots: Sequence[Spot], message: str, asked: bool) -> Seen | Reason | None:
    """The one value among `spots`: those taken back ("not 40", "40, sorry, 45") do not count."""
    if asked and any(spot.marked for spot in spots):
        spots = [spot for spot in spots if spot.marked]
    standing = [spot for spot in spots if not _NEGATED.search(message[max(0, spot.start - 24) : spot.start])]
    last = 0
    for place in range(1, len(standing)):
        one, other = standing[place - 1], standing[place]
        if other.value != one.value and corrects_between(message[one.end : min(other.start, one.end + 99)]):
            last = place
    kept = [spot for spot in standing[last:] if not isinstance(spot.value, Reason)] or standing[last:]
    if not kept:
        return None
    if len({(type(spot.value), spot.value) for spot in kept}) > 1:
        return Reason("several")
    value, span = kept[0].value, (kept[0].start, kept[0].end)
    if isinstance(value, Reason):
        return value
    return Seen(value, span, len(kept) < len(spots) or corrects(message, span[0]))


_NEGATED = re.compile(
    r"\b(?:not|instead of|rather than|isn't|wasn't|don't want|do not want) (?:(?:at|a|an|the|on|for|my) )?$", re.I
)


def within(spec: FactSpec, seen: Seen) -> Seen | Reason:
    """`seen` if it is inside the bounds of `spec`; below zero only where the minimum allows it."""
    value = int(seen.value)
    if value < 0 and (spec.minimum is None or spec.minimum >= 0):
        return Reason("negative")
    if spec.minimum is not None and value < spec.minimum:
        return Reason("too_small")
    if abs(value) > MAX_SAFE_INTEGER or (spec.maximum is not None and value > spec.maximum):
        return Reason("too_large")
    return seen


_WORD = rf"(?:{'|'.join(sorted(WORD_VALUES.keys() - {'k', 'grand'}, key=len, reverse=True))})\b"
_WORD_NUMBER = rf"(?:an?\x20(?=hundred|thousand|million))?{_WORD}(?:[\x20-]{{1,3}}(?:and\x20)?{_WORD}){{0,12}}+"
_SIGN = r"(?:us\$|[€$£¥₹]|(?:eur|usd|gbp|jpy|inr|cad|aud|nzd|chf|sek|nok|dkk|pln|czk|cny)(?![a-z]))"
_SIGN_AFTER = rf"(?:{_SIGN}|(?:euros?|dollars?|bucks?|pounds?|quid|yen|rupees?|francs?|zloty|kr|kronor|kroner)\b)"
_NUMBER = re.compile(
    rf"""
    (?<![\w/\#])(?<![0-9][-:.,'])                     # not inside a word, a date, a time, a range or a path
    (?P<minus>-|minus\x20|negative\x20)?
    (?:(?P<before>{_SIGN})\x20{{0,2}}(?P<minus_inside>-)?)?
    (?:(?P<digits>[0-9]{{1,3}}(?:\x20[0-9]{{3}}){{1,5}}+(?![0-9])(?:[.,][0-9]{{1,2}}(?![0-9]))?
                 |[0-9]++(?:[.,'][0-9]++)*+|(?<![\w.])\.[0-9]{{1,2}}(?![0-9]))
       (?:(?P<k>k)\b|\x20(?P<scale>hundred|thousand|grand|million)\b|[.,]-(?![0-9]))?
     |(?P<words>{_WORD_NUMBER}))
    (?:\x20{{0,2}}(?:(?P<after>{_SIGN_AFTER})|(?P<cents>cents?\b|ct\b|pence\b|penny\b|[cp]\b)))?
    (?:(?<=[€$£])(?P<joined>[0-9]{{2}})(?![0-9]))?    # 12€50
    (?![\w%]|[-/:][0-9])""",
    re.X | re.I | re.A,
)
_COUNTED = re.compile(
    r" {0,2}(?:(?:more |full |business |working )?(?:second|minute|min|hour|hr|day|week|month|year|night|"
    r"star|percent|people|person|passenger|bag|suitcase|attempt|piece|kid|child|adult|shoe|shirt|ticket|pair|"
    r"parcel|package|box|product|thing|unit|copy|(?:card|account|order|item|transaction|payment|charge|purchase|"
    r"refund)(?=s\b))"
    r"(?:s|es|ren)?\b|[ap]\.?m\b|o'clock|%|of (?:them|those|my|the|these)\b)",
    re.I,
)
_TIMES = re.compile(r" {0,2}(?:times?\b|[x×*](?= {0,2}[0-9€$£]))", re.I)
_TIMES_BEFORE = re.compile(r"(?:[.,][0-9]{2}|[€$£]|\beuros?|\beur) {0,2}(?:times|[x×*]) {0,2}$", re.I)
_LABEL_BEFORE = re.compile(
    r"(?:(?<!by )(?<!with )(?<!by my )(?<!with my )\b(?:orders?|account|acct|a/c|card|booking|invoice|ticket|case)"
    r"(?: (?:ends|ending) (?:in|with|on))?|\b(?:(?:account|card|order)(?= is\b)|number|ref|reference)(?: (?:is|was))?|"
    r"(?<=[a-z] )no\.|\b(?:order|account|card|ref|reference) (?:no|nr|id|code)\b\.?(?: (?:is|was))?|#)"
    r" ?[:#=]? ?$",
    re.I,
)
_ALONE = re.compile(
    r"\W*(?:(?:just|only|it's|it was|about|i have|i want|i need|the) )?one(?: please| thanks)?\W*", re.I
)
_MONEY_BEFORE = re.compile(
    r"\b(?:amounts?|amounted|refund(?:ed)?|(?:over)?charge[ds]?|charged(?: me| us)? for|paid|costs?|billed|debited|"
    r"payment of|transfer of)(?: (?:me|us|my|twice|(?:[0-9]{1,2}|two|three|four) ?(?:times|[x×])))*"
    r"(?: (?:is|was|of|to|at|should be|should have been|about|only|exactly))*(?: ?[:=] ?| )$",
    re.I,
)
_MONEY_AFTER = re.compile(r" back\b", re.I)
_BACK_WANTED = re.compile(r"\b(?:want|get|need|give|have|like|pay|send|transfer|me|my)\b[^.;!?\n]*$", re.I)
_GOES_ON = re.compile(
    r" {0,2}(?:$|[,.;:!?()\n-]|(?:[0-9]|(?:back|please|pls|plz|thanks|thank|for|to|on|from|in|at|by|via|with|and|but|"
    r"because|as|since|when|instead|twice|two|three|again|today|yesterday|now|asap|last|this|it|i|was|is|not|too|only|"
    r"that|which|order|account|acct|card|ref|reference)\b))",
    re.I,
)
_EUROS_END = re.compile(r"\b(?:euros?|eur|dollars?|bucks?|pounds?|quid)$", re.I)
_CENTS_END = re.compile(
    r" {0,2}(?:$|[,.;:!?()\n]|(?:back|please|pls|thanks|for|to|on|from|in|at|was|is|i|but|because|and)\b)", re.I
)


def _date_or_reason(written: str) -> str | Reason:
    match written:
        case "ambiguous" | "no_year" | "no_such_date":
            return Reason(written)
        case _:
            return written


def _numbers(message: str, taken: Sequence[Spot]) -> Iterator[tuple[re.Match[str], Fraction | Reason]]:
    dates = [(spot.start, spot.end) for spot in taken]
    for found in islice(_NUMBER.finditer(message), MOST_NUMBERS):
        while dates and dates[0][1] <= found.start():
            dates.pop(0)
        if dates and dates[0][0] < found.end():
            continue
        if found["words"] is not None:
            value = of_words(found["words"])
            value = of_price_words(found["words"]) if value is None else value
        elif len(found["digits"]) > LONGEST_NUMBER:
            yield found, Reason("too_large")
            continue
        else:
            value = of_figures(found["digits"])
        if value is not None:
            value *= SCALES.get((found["k"] or found["scale"] or "").lower(), 1)
            yield found, -value if found["minus"] or found["minus_inside"] else value


def _money_spots(spec: FactSpec, told: Told, asked: bool, currency: str) -> Iterator[Spot]:
    """Amounts in minor units. Euros and the cents that follow them are one amount."""
    held: Spot | None = None
    for found, value in told.numbers:
        spot = _money_spot(spec, found, value, told.plain, currency)
        if held and spot and (whole := _with_cents(held, spot, found, told.plain)) is not None:
            held = replace(held, value=whole, end=spot.end, cents=True)
        elif spot and (asked or spot.marked):
            if held:
                yield held
            held = spot
    if held:
        yield held


def _with_cents(held: Spot, spot: Spot, found: re.Match[str], message: str) -> int | Reason | None:
    """The one amount in "12 euros and 5 cents", "12 euros 50", "forty two euros fifty"; None if these are two."""
    gap = message[held.end : spot.start]
    if held.cents or not isinstance(spot.value, int):
        return None
    if spot.cents:
        cents = spot.value if re.fullmatch(" ?(?:,|and|&)? ?", gap) else None
    elif gap not in (" ", " and ") or found["before"] or found["after"] or not _CENTS_END.match(message, spot.end):
        return None
    else:
        written = _EUROS_END.search(message, max(0, held.end - 12), held.end)
        cents = spot.value // 100 if written and spot.value in range(1000, 10000, 100) else None
    if cents is None or not isinstance(held.value, int):
        return held.value if cents is not None and isinstance(held.value, Reason) else None
    return held.value + (cents if held.value >= 0 else -cents)


def _money_spot(
    spec: FactSpec,
    found: re.Match[str],
    value: Fraction | Reason,
    message: str,
    currency: str,
) -> Spot | None:
    digits = minor_digits(currency)
    start, end = found.span()
    sign = (found["before"] or found["after"] or "").lower()
    plain_sign = bool(sign or found["cents"])
    if not plain_sign and _is_no_amount(found, value, message):
        return None
    marked = plain_sign or _is_told_as_amount(found, message) or is_named(spec, message, (start, end))
    if not marked and found["words"] == "one" and not _ALONE.fullmatch(message):
        return None
    if isinstance(value, Reason):
        return Spot(value, start, end, marked)
    if sign and currency and currency not in SIGNS.get(sign, ()):
        return Spot(Reason("other_currency"), start, end, marked)
    if digits and found["digits"] and is_thousands_or_slip(found["digits"]):
        return Spot(Reason("ambiguous"), start, end, marked)
    if _is_price(found, value) and (value < 10 or not marked):
        return Spot(Reason("ambiguous"), start, end, marked)
    minor = value if found["cents"] else value * 10**digits + int(found["joined"] or 0)
    if minor.denominator != 1:
        return Spot(Reason("too_precise"), start, end, marked)
    return Spot(_safe(minor), start, end, marked, bool(found["cents"]))


def _is_price(found: re.Match[str], value: Fraction | Reason) -> bool:
    """True for "forty-two fifty": words make no other fraction."""
    return found["words"] is not None and isinstance(value, Fraction) and value.denominator != 1


def _is_no_amount(found: re.Match[str], value: Fraction | Reason, message: str) -> bool:
    """True if the number counts something ("2 times", "3 shoes") or is what something is called ("order 42")."""
    start, end = found.span()
    if _COUNTED.match(message, end):
        return True
    whole = isinstance(value, Reason) or value.denominator == 1
    decimals = found["digits"] is not None and re.search("[.,][0-9]{2}$", found["digits"]) is not None
    before = message[max(0, start - 32) : start]
    return (whole and not decimals and _TIMES.match(message, end) is not None) or (
        _TIMES_BEFORE.search(before) is not None or (not decimals and _LABEL_BEFORE.search(before) is not None)
    )


def _is_told_as_amount(found: re.Match[str], message: str) -> bool:
    """True for "refund 42,50", "charged me 40", "get my 30 back": said as an amount, with no noun behind it."""
    start, end = found.span()
    if found["words"] == "one" or re.fullmatch("[0-9]{6,}", found["digits"] or ""):
        return False
    before = message[max(0, start - 48) : start]
    if _MONEY_AFTER.match(message, end) and _BACK_WANTED.search(before):
        return True
    return _MONEY_BEFORE.search(before) is not None and _GOES_ON.match(message, end) is not None


def _safe(value: Fraction) -> int | Reason:
    return int(value) if abs(value) <= MAX_SAFE_INTEGER else Reason("too_large")


def _integer_spots(spec: FactSpec, told: Told, asked: bool, currency: str) -> Iterator[Spot]:
    """Whole numbers that are no amounts; unasked, only beside the fact's own words ("2 bags", "bags: 2")."""
    message = told.plain
    for found, value in told.numbers:
        named = is_named(spec, message, found.span())
        alone = (found["words"] or "").lower() != "one" or _ALONE.fullmatch(message)
        price = found["before"] or found["after"] or found["cents"] or _is_price(found, value)
        if price or not (named or (asked and alone)):
            continue
        whole = value if isinstance(value, Reason) else Reason("not_whole") if value.denominator != 1 else _safe(value)
        yield Spot(whole, *found.span(), named)
    if asked and (none := re.fullmatch(r"\W*(?:none|nil|nothing)\W*", message, re.I)):
        yield Spot(0, *none.span())


_RELATIVE = re.compile(
    r"\b(?:yesterday|today|tomorrow|tonight|(?:last|next|this|past|coming) (?:week|month|year|weekend|night|morning)|"
    r"(?:days?|weeks?|months?|years?) ago|(?:mon|tues|wednes|thurs|fri|satur|sun)day|just now)\b",
    re.I,
)


def _date_spots(spec: FactSpec, told: Told, asked: bool, currency: str) -> Iterator[Spot]:
    message = told.plain
    yield from told.dates
    if not told.dates and (found := _RELATIVE.search(message)):
        yield Spot(Reason("relative"), *found.span())


_NTHS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "last")
_NTH = rf"{'|'.join(_NTHS)}|[1-9](?:st|nd|rd|th)"
_ORDINAL = re.compile(
    r"\W*(?:(?:i'll take|i want|i choose|i'd like|it's|give me|let's go with|maybe) )?(?:the )?"
    rf"(?P<nth>{_NTH})(?: (?:one|option|choice))?(?: please| thanks)?\W*\Z"
    rf"|.{{0,60}}?\b(?P<said>{_NTH}) (?:one|option|choice)\b"
    r"|\W*(?:(?:option|number|choice|no\.?|nr\.?) ?)?(?P<digit>[1-9])\W*\Z",
    re.I,
)
_EVERYDAY = frozenset(("other", "none", "any", "all", "yes", "no", "unknown", "new", "old"))


@lru_cache(maxsize=256)
def _choice_pattern(choices: tuple[str, ...]) -> re.Pattern[str]:
    names = sorted(choices, key=len, reverse=True)
    spelled = (r"[\s_-]{0,2}".join(map(re.escape, name.split("_"))) for name in names)
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(f'({one})' for one in spelled) or '(?!)'})s?(?![^\W_])", re.I)


def _choice_spots(spec: FactSpec, told: Told, asked: bool, currency: str) -> Iterator[Spot]:
    """A choice by its name's words; asked, also by its place in the list ("the second one", "2")."""
    message = told.plain
    names = sorted(spec.choices, key=len, reverse=True)
    named = False
    for found in _choice_pattern(spec.choices).finditer(message):
        choice = names[(found.lastindex or 1) - 1]
        if asked or choice.lower() not in _EVERYDAY:
            named = True
            yield Spot(choice, *found.span())
    if asked and not named and (place := _ORDINAL.match(message)):
        word = (place["nth"] or place["said"] or place["digit"]).lower()
        index = int(word[0]) - 1 if word[0].isdigit() else -1 if word == "last" else _NTHS.index(word)
        if index < len(spec.choices):
            yield Spot(spec.choices[index], *place.span())


def _yes_no_spots(spec: FactSpec, told: Told, asked: bool, currency: str) -> Iterator[Spot]:
    """Yes or no means something only as an answer, so it is never volunteered; it takes no place."""
    message = told.plain
    verdict = yes_no_in(message) if asked else None
    if verdict is not None:
        yield Spot(verdict, 0, 0)


@lru_cache(maxsize=256)
def code_pattern(pattern: str) -> re.Pattern[str] | None:
    """`pattern` compiled to match whole words (ASCII), or None if it is empty or no regular expression."""
    flags = re.match(r"\(\?([imsx]+)\)", pattern)
    inner = f"(?{flags[1]}:{pattern[flags.end() :]})" if flags else f"(?:{pattern})"
    try:
        return re.compile(rf"(?<!\w){inner}(?!\w)", re.A) if pattern else None
    except (re.error, OverflowError, RecursionError):
        return None


def _code_spots(spec: FactSpec, told: Told, asked: bool, currency: str) -> Iterator[Spot]:
    """Codes that match exactly; asked, also with spaces or dashes between digits, or in the other case."""
    message = told.plain
    pattern = code_pattern(spec.pattern)
    if pattern is None:
        return
    exact = [
        Spot(found[0], *found.span())
        for found in pattern.finditer(message)
        if found[0] and (asked or _stands_out(spec.pattern, found[0], message))
    ]
    yield from exact
    if exact or not asked:
        return
    gaps = {place for gap in re.finditer(r"(?<=[0-9])[ -]{1,3}(?=[0-9])", message) for place in range(*gap.span())}
    places = [place for place in range(len(message)) if place not in gaps]
    squeezed = "".join(message[place] for place in places)
    for spelled in (squeezed, re.sub("[a-z]", lambda found: found[0].upper(), squeezed)):
        found_spots = [
            Spot(found[0], places[found.start()], places[found.end() - 1] + 1)
            for found in pattern.finditer(spelled)
            if found[0] and (spelled is squeezed or _has_digit(found[0]))
        ]
        if found_spots:
            yield from found_spots
            return


def _has_digit(text: str) -> bool:
    return any("0" <= one <= "9" for one in text)


def _stands_out(pattern: str, code: str, message: str) -> bool:
    """True if `code` is no ordinary word. Codes that may have digits must have one: people write CANCEL, too."""
    if re.search(r"0-9|\\d", pattern):
        return _has_digit(code)
    return not code.isalpha() or (code.isupper() and any(one.islower() for one in message))


def _text_spots(spec: FactSpec, told: Told, asked: bool, currency: str) -> Iterator[Spot]:
    """The text after a lead-in ("my name is"); asked, else the whole message without what is said around it."""
    message = told.plain
    span = told_text(spec, message) or (bare_answer(spec, message) if asked else None)
    if isinstance(span, str):
        yield Spot(Reason(span), 0, 0)
    elif span is not None:
        start, end = span
        empty = not any(one.isalnum() for one in message[start:end])
        yield Spot(Reason("empty") if empty else Reason("too_long") if end - start > TEXT_LIMIT else "", start, end)
    elif asked:
        yield Spot(Reason("empty"), 0, 0)


_SPOTTERS: Final[dict[FactType, Callable[[FactSpec, Told, bool, str], Iterator[Spot]]]] = {
    "money": _money_spots,
    "integer": _integer_spots,
    "date": _date_spots,
    "choice": _choice_spots,
    "yes_no": _yes_no_spots,
    "code": _code_spots,
    "text": _text_spots,
}
