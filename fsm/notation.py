"""How people write what a fact holds: numbers in figures and words, dates, names and other text.

All of it is total, and takes time linear in what is read.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import date
from fractions import Fraction
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Literal

from ..contracts.flow import FactSpec
from .controls import says_unsure, words_in

TextReason = Literal["question", "not_found", "unknown"]
"""Why an answer in words is not the text that was asked for."""

MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
SIGNS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        sign: frozenset(codes.split())
        for signs, codes in (
            ("€ euro euros eur", "EUR"),
            ("$ dollar dollars buck bucks", "USD CAD AUD NZD SGD HKD MXN"),
            ("usd us$", "USD"),
            ("£ pound pounds quid gbp", "GBP"),
            ("¥ yen", "JPY CNY"),
            ("jpy", "JPY"),
            ("₹ rupee rupees inr", "INR"),
            ("cad", "CAD"),
            ("aud", "AUD"),
            ("chf franc francs", "CHF"),
            ("sek", "SEK"),
            ("nok", "NOK"),
            ("dkk", "DKK"),
            ("pln zloty", "PLN"),
            ("czk", "CZK"),
            ("cny", "CNY"),
            ("nzd", "NZD"),
            ("kr kronor kroner", "SEK NOK DKK ISK"),
        )
        for sign in signs.split()
    }
)
"""What people write beside an amount, in lower case, and the currencies it may mean."""
SCALES: Mapping[str, int] = MappingProxyType(
    {"hundred": 100, "thousand": 1000, "grand": 1000, "k": 1000, "million": 1_000_000}
)
_SMALL = re.findall(
    "[a-z]+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen",
)
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORD_VALUES: Mapping[str, int] = MappingProxyType(
    {
        **{word: n for n, word in enumerate(_SMALL)},
        **{word: 10 * n for n, word in enumerate(_TENS, 2)},
        "fourty": 40,
        **SCALES,
    }
)
_GROUPED = re.compile(r"[0-9]{1,3}(?:([.,' ])[0-9]{3})(?:\1[0-9]{3})*+(?:(?!\1)[.,]([0-9]{1,2}))?")
_DECIMAL = re.compile(r"([0-9]*)(?:[.,]([0-9]+))?")
_MONTH_NUMBERS = {name[:3].lower(): number for number, name in enumerate(MONTHS, 1)}
_MONTH = (
    rf"(?P<month>{'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in MONTHS)}|sept)\b\.?"
    r"(?!(?<=may) (?:i|be|we|you|it|have|not|need)\b)"
)
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_NO_MORE = "(?![0-9]|[-/.][0-9])"
_DATE_FORMS = tuple(
    re.compile(form, re.I | re.A)
    for form in (
        rf"(?<![\w/.-])(?P<year>[0-9]{{4}})(?P<sep>[-/.])(?P<number>[0-9]{{1,2}})(?P=sep)(?P<day>[0-9]{{1,2}}){_NO_MORE}",
        rf"(?<![\w/.-]){_DAY}(?:[ -]|(?: day)? of )?{_MONTH}(?:(?:,? |-|,|/)(?P<year>[0-9]{{4}})(?![0-9]))?",
        rf"\b{_MONTH} ?(?:the )?{_DAY}(?![\w:]|[.,][0-9]{{1,2}}\b)(?:,? (?P<year>[0-9]{{4}})(?![0-9]))?",
        rf"(?<![\w/.-])(?P<one>[0-9]{{1,2}})(?P<sep>[-/.])(?P<other>[0-9]{{1,2}})(?P=sep)(?P<year>(?:[0-9]{{2}}){{1,2}}){_NO_MORE}",
    )
)


def of_figures(written: str) -> Fraction | None:
    """The number in `1,234.50`, `1.234,50`, `1 234,50` or `45.5`; None if it is none, such as `12.05.2024`.

    With a single separator, three digits after it are thousands (see `is_thousands_or_slip`); a number that begins
    with 0 has no thousands.
    """
    grouped = None if written.startswith("0") else _GROUPED.fullmatch(written)
    if grouped:
        decimals = grouped[2] or ""
        whole = re.sub("[^0-9]", "", written[: len(written) - len(decimals)])
    elif figures := _DECIMAL.fullmatch(written):
        whole, decimals = figures[1] or "0", figures[2] or ""
    else:
        return None
    return Fraction(int(whole + decimals), 10 ** len(decimals))


def is_thousands_or_slip(written: str) -> bool:
    """True for `42.505` or `1,234`: thousands, or one digit too many after the decimal point."""
    return re.fullmatch(r"[1-9][0-9]{0,2}[.,][0-9]{3}", written) is not None


def of_words(written: str) -> Fraction | None:
    """The number in English words such as `two hundred and forty-five`; None if they make none."""
    words = [word for word in re.findall("[a-z]+", written.lower()) if word not in ("a", "an", "and")]
    total, current, scale = 0, 0, 10**9
    for word in words:
        value = WORD_VALUES.get(word, -1)
        if value == 100 and current < 100:
            current = max(current, 1) * 100
        elif 1000 <= value < scale:
            total, current, scale = total + max(current, 1) * value, 0, value
        elif 0 <= value < 100 and _may_follow(current, value):
            current += value
        else:
            return None
    return Fraction(total + current) if words else None


def of_price_words(written: str) -> Fraction | None:
    """The price in `forty-two fifty`, 42.50; None if there is no one place where its cents may begin."""
    words = re.findall("[a-z]+", written.lower())
    splits = (
        (of_words(" ".join(words[:at])), of_words(" ".join(words[at:])))
        for at in range(1, len(words) if len(words) <= 4 and "and" not in words else 0)
    )
    prices = [
        whole + cents / 100 for whole, cents in splits if whole and cents and 0 < whole < 100 and 10 <= cents < 100
    ]
    return prices[0] if len(prices) == 1 else None


def _may_follow(current: int, value: int) -> bool:
    """True if the word for `value` may follow `current`: five after twenty, twelve after two hundred."""
    return (
        current == 0
        or (value > 0 and current % 100 == 0)
        or (0 < value < 10 and current % 100 >= 20 and current % 10 == 0)
    )


def dates_in(message: str, most: int) -> list[tuple[str, int, int]]:
    """Calendar dates and where they stand, in order; of two that overlap, the longer one.

    Each is `YYYY-MM-DD`, or why it is no day: `ambiguous` (day or month first), `no_year`, `no_such_date`.
    At most `most` of each form are looked at.
    """
    found_dates = [
        (_day_of(found), *found.span()) for form in _DATE_FORMS for found in islice(form.finditer(message), most)
    ]
    kept: list[tuple[str, int, int]] = []
    for day, start, end in sorted(found_dates, key=lambda one: (one[1], -one[2])):
        if not kept or start >= kept[-1][2]:
            kept.append((day, start, end))
        elif end - start > kept[-1][2] - kept[-1][1]:
            kept[-1] = (day, start, end)
    return kept


def is_date(written: str) -> bool:
    """True for a day of the calendar, written `YYYY-MM-DD`."""
    found = _DATE_FORMS[0].fullmatch(written)
    return found is not None and _day_of(found) == written


def _day_of(found: re.Match[str]) -> str:
    parts = found.groupdict()
    year, day, month = parts.get("year"), parts.get("day"), parts.get("number")
    if named := parts.get("month"):
        month = str(_MONTH_NUMBERS[named[:3].lower()])
    elif (one := parts.get("one")) and (other := parts.get("other")):
        if len(year or "") == 2 or (int(one) <= 12 and int(other) <= 12 and int(one) != int(other)):
            return "ambiguous"
        day, month = (one, other) if int(one) > 12 else (other, one)
    if year is None:
        return "no_year"
    try:
        return date(int(year), int(month or 0), int(day or 0)).isoformat()
    except ValueError:
        return "no_such_date"


_COMMON = words_in(
    "the your you for and was are has have that this with number how many much time value which what from into when "
    "where who whose its his her their our please tell want would like full given ask"
)
_LINKS = words_in(
    "is was are were be been being should must of for to at the a an on about only it s actually now number code ends "
    "ending in with that this my exactly just no date day value meant sorry amount total"
)


@lru_cache(maxsize=1024)
def words_of(name: str, says: str) -> frozenset[str]:
    """The telling words of a fact's name and sentence, without plural endings."""
    words = re.findall(r"[a-z]+", f"{name} {says}".lower().replace("_", " "))
    return frozenset(word.removesuffix("s") for word in words if len(word) > 2 and word not in _COMMON)


def is_named(spec: FactSpec, message: str, span: tuple[int, int], beside: frozenset[str] = frozenset()) -> bool:
    """True if the fact's own words (those not in `beside`) stand right before the span, or right after it."""
    words = words_of(spec.name, spec.says) - beside
    before = re.split(r"[0-9.;!?\n]", message[max(0, span[0] - 64) : span[0]].lower())[-1]
    for word in reversed(re.findall("[a-z]+", before)):
        if word.removesuffix("s") in words:
            return True
        if word not in _LINKS:
            break
    after = re.findall(r"[a-z]+|[^a-z -]", message[span[1] : span[1] + 40].lower())[:3]
    near = [word for word in after[:2] if word.isalpha()] if after and after[0].isalpha() else []
    follows = after[len(near)] if len(after) > len(near) else ""
    if near and follows and (follows in ("is", "was", "of") or follows in ":=€$£0123456789"):
        near.pop()
    return any(word.removesuffix("s") in words for word in near)


_SHORT_FOR = words_in("acct acc a/c no nr num ref id")
_BEFORE_CODE = re.compile(r"(?:[\w/']+[ .:#=]*){0,5}\Z")


def without_codes(spans: Iterable[tuple[tuple[int, int], FactSpec]], message: str) -> str:
    """`message` with a line end and blanks where codes stand, and what they are called right before them."""
    for (start, stop), spec in spans:
        words = words_of(spec.name, spec.says) | _SHORT_FOR
        before = _BEFORE_CODE.search(message, max(0, start - 48), start)
        first, told = start, False
        for word in reversed(list(re.finditer(r"[\w/']+", before[0]))) if before else ():
            plainly = word[0].lower().removesuffix("s") in words
            if not plainly and word[0] not in _LINKS and word[0] != "and":
                break
            told = told or plainly
            first = before.start() + word.start() if before else start
        first = first if told else start
        while first and message[first - 1] in " ,;:(#-":
            first -= 1
        message = f"{message[:first]}\n{' ' * (stop - first - 1)}{message[stop:]}"
    return message


def bare_name(message: str) -> tuple[int, int] | None:
    """Where the name stands if the whole of `message` is one: two to four capitalised words, and nothing else."""
    found = _ONLY_A_NAME.fullmatch(message[:200]) if len(message) <= 200 else None
    if found is None or any(word.lower() in _NO_NAMES for word in found["name"].split()):
        return None
    return found.span("name")


_OTHERS_NAMES = words_in(
    "merchant shop store company business payee recipient beneficiary bank product street city file pet maiden mother "
    "father user login nick domain screen host brand"
)
_SHORT_ANSWERS = words_in("name address email mail phone city street country town postcode zip")
_CAPITAL = r"[^\W\d_a-z](?=[\w'-]{0,40}[^\W\d_A-Z])[\w'-]*"
_ONLY_A_NAME = re.compile(
    rf"[\s,.;:!)-]*(?:(?i:hi|hello|sure|yes|ok|okay|and|it's|its|it is|i'm|i am|for)[\s,:]+){{0,3}}"
    rf"(?P<name>{_CAPITAL}(?: (?:van|von|der|de|la|di|da|bin|al|{_CAPITAL})){{0,3}} {_CAPITAL})"
    r"[\s,.;:!()-]*(?:(?i:please|thanks|thank you)[\s,.!]*)?"
)
_NO_NAMES = words_in(
    "thank thanks please hello hi hey dear good morning evening my your the this that is here it card account number "
    "order refund bank customer service help yes no not date amount"
)
_ORDINARY = words_in(
    "yes yeah yep yup no nope nah ok okay sure fine right correct wrong true false done ready next skip pass back stop "
    "cancel cancelled canceled quit exit end help what nothing none other any all maybe later now again repeat hello "
    "hi hey thanks thank you please sorry great good perfect exactly agreed confirm confirmed refund refunded faulty "
    "broken damaged defective missing received lost stolen charged twice returned late wait it its it's is was not i "
    "a an the my and because card account order payment money amount name"
)


def is_ordinary_reply(told: str, choices: Iterable[str]) -> bool:
    """True if `told` is nothing but words that people answer other questions with, such as those of `choices`."""
    taken = {word for choice in choices for word in choice.lower().split("_")}
    return all(word in _ORDINARY or word in taken for word in re.findall(r"[^\W_]+(?:'[^\W_]+)*", told.lower()))


_MY_NAME = (
    rf"\b(?:my (?:full |first |last |sur)?name(?: is|'s| ?[:=])|the name(?: is|'s)(?= (?-i:{_CAPITAL}))"
    rf"|(?:you can "
    r"|please )?call me|"
    rf"i(?:'m| am|m)(?= (?-i:{_CAPITAL}(?: {_CAPITAL}){{1,3}})(?:[,.!]|$| (?:and|from|calling|but|born"
    rf"|with)\b)))"
)
_CLAUSE_END = re.compile(
    r"(?<=\w\w\w)[.!?](?=\s)|[\n;]|,? (?:and|but|so|because) (?=(?:i|i'm|i've|my|the|it|it's|we|this|that"
    r"|please|can|was|am|"
    r"would|need|want|have)\b)|,? (?=(?:i|i'm|i've|my|please|can|could|thanks|thank)\b)",
    re.I,
)
_NAME_END = re.compile(r"[(]|, (?-i:[a-z])|,? (?:and|from|calling|here|born|with|on behalf|who)\b|,? ?[0-9]", re.I)
_COMMA_DIGIT = re.compile(r",\s?[0-9]")
_GREETING = re.compile(
    r"(?:(?:hi|hello|hey|ok|okay|sure|yes|yeah|yep|well|oh|um|uh|of course|certainly|so|no problem"
    r"|good (?:morning|day|evening|"
    r"afternoon)|thanks|thank you|sorry|actually)(?![\w'])[,.!;: ]*)*+",
    re.I,
)
_IT_IS = re.compile(
    r"(?:it's|it is|its|that's|that is|that would be|that'd be|it would be|this is"
    r"|the answer is|here is|here's)\b ?:? ?",
    re.I,
)
_I_AM = re.compile(r"(?:i am|i'm|im|call me|the name is|the name's)\b ", re.I)
_THANKS = re.compile(r"[\s,.;:!]*(?:\b(?:please|pls|thanks|thank you|thx)[\s.!]*)?\Z", re.I)
_QUESTION = re.compile(
    r"(?:why|what|how|who|when|where|which|can|could|do|does|is|are|will|would|should"
    r"|did)\b",
    re.I,
)
_ASKS = re.compile(
    r"(?:why|what|how|when|where|which|who)(?:'s|'re|s)?(?![\w'-])"
    r"|(?:can|could|may|do|does|did|is|are|am|will|would|should|must|have|has) "
    r"(?:i|you|u|we|it|this|that|there|they|the|an?|my|your|someone|anyone|somebody|anybody)(?![\w'-])",
    re.I,
)
_ASKS_OF_FORM = re.compile(
    r"(?:(?:but|and|wait|sorry|hang on),? ){0,3}(?:"
    r"(?:why|what|how come|what for)(?: the hell| on earth)? (?:do|are|would|should|must|did) (?:you|u|i|we)"
    r"(?: guys| all)?(?: even| really| actually)? (?:need|want|ask|asking|have to|require|collect)(?: [\w']+){0,6}"
    r"|why|what for|how come|says who|who (?:are|is) (?:you|this|that)|what(?:'s| is) (?:this|that|it) for"
    r"|(?:are you|is this|am i (?:talking|speaking|chatting) (?:to|with)) an? (?:real |actual |live )?"
    r"(?:bot|robot|human|person|machine|ai|computer|scam)(?: being)?"
    r"|is (?:this|that|it) (?:really |even )?(?:safe|secure|necessary|required|mandatory|optional|needed|private)"
    r"|do i(?: really)? (?:have|need) to(?: [\w']+){0,5}|must i(?: [\w']+){0,5}"
    r"|how long (?:does|will|is) (?:this|it)(?: gonna| going to)? (?:take|last))",
    re.I,
)
_WANTS_A_PERSON = re.compile(
    r"(?:(?:please|no|just|but),? ){0,3}"
    r"(?:(?:can|could|may) (?:i|we|you|u) |let (?:me|us) |i(?: just)? (?:want|need|wish|would like|wanna)(?: to)? "
    r"|i'd (?:like|prefer|rather)(?: to)? )?(?:please )?"
    r"(?:(?:speak|talk|chat|get|connect|put|transfer|pass|give)(?: me| us)?(?: through| over| on)?(?: to| with)? "
    r"|(?<=want )|(?<=need )|(?<=like )|(?<=prefer )|(?<=have )|(?<=rather ))"
    r"(?:(?:an?|the|your|real|actual|live|human|another|different) ){0,4}"
    r"(?:someone|somebody|anyone|anybody|person|human|agent|operator|representative|rep|supervisor|manager)"
    r"(?: (?:else|being|there|please|pls|now|instead|about (?:this|it))){0,3}",
    re.I,
)
_SENTENCE = re.compile(
    r"(?:(?:help|give|get|let|tell|show|send|put|connect|transfer|leave|stop|refund|cancel) "
    r"(?:me|us|it|my|the|this|that)"
    r"|(?:speak|talk|chat) (?:to|with)|i|i'm|i've|i'd|im|my|we|you|there|they|because|please|not|no|nothing|nobody"
    r"|none|whatever|anything|that|this|same as|already (?:told|gave|said)|the(?! (?-i:[A-Z])))(?![\w'-])"
    r"|(?:(?:an? )?(?:real |live |actual )?(?:agent|human|person|operator|representative|supervisor|manager|someone"
    r"|somebody)|help|refund)(?: please| pls)?\Z",
    re.I,
)
_EDGES = " \"'.,;:!?-\n"


@lru_cache(maxsize=256)
def _lead_in(name: str, says: str) -> re.Pattern[str]:
    """What stands before the text of a fact: "my name is" for a person's name, else "my/the <its words> is"."""
    spoken = {name.lower().replace("_", " "), re.sub(r"^(?:your|the|a|an|our|my) ", "", says.lower()).strip()}
    called = "|".join(re.escape(one) for one in sorted(spoken, key=len, reverse=True) if one)
    whose = "my" if is_person(name, says) else "my|the|our"
    own = rf"\b(?:(?:{whose}) (?:{called})(?: is|'s|:| ?=| was| would be)|(?:{called}) ?[:=])"
    return re.compile(rf"(?:{f'{_MY_NAME}|' if is_person(name, says) else ''}{own}) ", re.I)


def is_person(name: str, says: str) -> bool:
    words = set(re.findall("[a-z]+", f"{name} {says}".lower().replace("_", " ")))
    return bool(words & {"name", "fullname", "surname"}) and not words & _OTHERS_NAMES


def told_text(spec: FactSpec, message: str) -> tuple[int, int] | None:
    """Where the text of `spec` stands after an explicit lead-in, up to the end of its clause."""
    found = _lead_in(spec.name, spec.says).search(message)
    if found is None:
        return None
    end = _CLAUSE_END.search(message, found.end())
    stop = end.start() if end else len(message)
    if is_person(spec.name, spec.says) and (cut := _NAME_END.search(message, found.end(), stop)):
        stop = cut.start()
    start, stop = _trimmed(message, found.end(), stop)
    if ":" in message[start:stop] and is_person(spec.name, spec.says):
        return None
    return (start, stop) if start < stop else None


def bare_answer(spec: FactSpec, message: str) -> tuple[int, int] | TextReason | None:
    """The whole message as the asked text, without greeting and thanks; None if nothing is left.

    A name, an address and the like are neither questions back nor sentences about something else.
    """
    person = is_person(spec.name, spec.says)
    greeting = _GREETING.match(message, len(message) - len(message.lstrip(_EDGES)))
    start = greeting.end() if greeting else 0
    for lead in (_IT_IS, _I_AM) if person else (_IT_IS,):
        if found := lead.match(message, start):
            start = found.end()
    start, stop = _trimmed(message, start, len(message))
    short = person or not words_of(spec.name, spec.says).isdisjoint(_SHORT_ANSWERS)
    if reason := _no_text(message[start:stop], asks=message.rstrip().endswith("?"), short=short):
        return reason
    if person:
        for ending in (_CLAUSE_END, _COMMA_DIGIT):
            end = ending.search(message, start, stop)
            start, stop = _trimmed(message, start, end.start() if end else stop)
        if len(message[start:stop].split()) > 6 or any(one.isdigit() for one in message[start:stop]):
            return "not_found"
    return (start, stop) if start < stop else None


def _no_text(told: str, *, asks: bool, short: bool) -> TextReason | None:
    """Why `told` is no text to take: a question about the form, a wish for a person, or words that know nothing.

    What is `short` (a name, an address) is no other question and no sentence either; a longer story may be both.
    """
    whole = told if len(told) <= 160 else ""
    if _ASKS_OF_FORM.fullmatch(whole) or _WANTS_A_PERSON.fullmatch(whole):
        return "question"
    if says_unsure(whole) and (short or len(whole.split()) <= 4):
        return "unknown"
    if not short:
        return None
    if _ASKS.match(told) or (asks and _QUESTION.match(told)):
        return "question"
    return "not_found" if _SENTENCE.match(told) else None


def _trimmed(message: str, start: int, stop: int) -> tuple[int, int]:
    """The span without thanks, quotes and punctuation at its edges."""
    tail = _THANKS.search(message, max(start, stop - 40), stop)
    stop = tail.start() if tail else stop
    while start < stop and message[start] in _EDGES:
        start += 1
    while stop > start and message[stop - 1] in _EDGES:
        stop -= 1
    return start, stop
