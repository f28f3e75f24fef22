"""What the flow says to people: templates, the sentences that every flow has, and how values are written.

Numbers and dates are written in many ways; `of_figures`, `of_words` and `dates_in` read them back.
"""

import re
from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from itertools import islice
from types import MappingProxyType

from ..contracts.errors import CallError, FlowError
from ..contracts.facts import Facts, KnownFact
from ..contracts.flow import CollectState, FactSpec, FinalState, Flow, HumanState, WaitState
from ..contracts.payload import bytes_of
from ..contracts.values import listed

ERASED = "[erased]"
"""What the caller fills in for a sealed text that was erased."""
OPEN_BYTES = 40
"""No open value but a long choice takes more bytes than this when it is said."""

DEFAULT_PHRASES: Mapping[str, str] = MappingProxyType({
    "ask": "Please tell me {says}.",
    "not_understood": "I am sorry, I did not understand that.",
    "repeat_lead": "Of course:",
    "too_long": "That message is too long for me: at most {limit} bytes. Please send it in parts.",
    "summary_lead": "This is what I have:",
    "confirm": "Is that right?",
    "what_to_change": "What should I change?",
    "corrected": "Thank you, I have changed that.",
    "waiting": "A colleague is looking at this and will come back to you.",
    "limit": "I cannot take this further on my own.",
    "blocked": "I cannot help with that message.",
    "unavailable": "Something on our side did not work. Please try again later.",
    "cancelled": "All right, I have stopped this.",
    "ended": "This conversation has ended. Please start a new one.",
})
"""Sentences that every flow needs; a flow says its own under `phrases`."""

_SYMBOLS: Mapping[str, str] = MappingProxyType({
    "EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "INR": "₹", "CAD": "CA$", "AUD": "A$", "NZD": "NZ$", "KRW": "₩",
})
_DIGITS_AFTER_THE_POINT: Mapping[str, int] = MappingProxyType(
    {**dict.fromkeys(("JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "PYG", "RWF"), 0),
     **dict.fromkeys(("BHD", "KWD", "OMR", "JOD", "TND", "IQD", "LYD"), 3)})
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
          "November", "December")
SIGNS: Mapping[str, frozenset[str]] = MappingProxyType({
    sign: frozenset(codes.split()) for signs, codes in (
        ("€ euro euros eur", "EUR"), ("$ dollar dollars buck bucks", "USD CAD AUD NZD SGD HKD MXN"), ("usd us$", "USD"),
        ("£ pound pounds quid gbp", "GBP"), ("¥ yen", "JPY CNY"), ("jpy", "JPY"), ("₹ rupee rupees inr", "INR"),
        ("cad", "CAD"), ("aud", "AUD"), ("chf franc francs", "CHF"), ("sek", "SEK"), ("nok", "NOK"), ("dkk", "DKK"),
        ("pln zloty", "PLN"), ("czk", "CZK"), ("cny", "CNY"), ("nzd", "NZD"), ("kr kronor kroner", "SEK NOK DKK ISK"),
    ) for sign in signs.split()})
"""What people write beside an amount, in lower case, and the currencies it may mean."""
SCALES: Mapping[str, int] = MappingProxyType(
    {"hundred": 100, "thousand": 1000, "grand": 1000, "k": 1000, "million": 1_000_000})
_SMALL = re.findall(
    "[a-z]+", "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
              "seventeen eighteen nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
WORD_VALUES: Mapping[str, int] = MappingProxyType({
    **{word: n for n, word in enumerate(_SMALL)}, **{word: 10 * n for n, word in enumerate(_TENS, 2)}, "fourty": 40,
    **SCALES})
_GROUPED = re.compile(r"[0-9]{1,3}(?:([.,' ])[0-9]{3})(?:\1[0-9]{3})*+(?:(?!\1)[.,]([0-9]{1,2}))?")
_DECIMAL = re.compile(r"([0-9]*)(?:[.,]([0-9]+))?")
_MONTH_NUMBERS = {name[:3].lower(): number for number, name in enumerate(MONTHS, 1)}
_MONTH = (rf"(?P<month>{'|'.join(f'{name[:3]}(?:{name[3:]})?' for name in MONTHS)}|sept)\b\.?"
          r"(?!(?<=may) (?:i|be|we|you|it|have|not|need)\b)")
_DAY = r"(?P<day>[0-9]{1,2})(?:st|nd|rd|th)?"
_NO_MORE = "(?![0-9]|[-/.][0-9])"
_DATE_FORMS = tuple(re.compile(form, re.I | re.A) for form in (
    rf"(?<![\w/.-])(?P<year>[0-9]{{4}})(?P<sep>[-/.])(?P<number>[0-9]{{1,2}})(?P=sep)(?P<day>[0-9]{{1,2}}){_NO_MORE}",
    rf"(?<![\w/.-]){_DAY}(?:[ -]|(?: day)? of )?{_MONTH}(?:(?:,? |-|,|/)(?P<year>[0-9]{{4}})(?![0-9]))?",
    rf"\b{_MONTH} ?(?:the )?{_DAY}(?![\w:]|[.,][0-9]{{1,2}}\b)(?:,? (?P<year>[0-9]{{4}})(?![0-9]))?",
    rf"(?<![\w/.-])(?P<one>[0-9]{{1,2}})(?P<sep>[-/.])(?P<other>[0-9]{{1,2}})(?P=sep)(?P<year>(?:[0-9]{{2}}){{1,2}}){_NO_MORE}",
))
_PLACE = re.compile(r"\{\{|\}\}|\{([A-Za-z][A-Za-z0-9_]{0,63})\}|[{}]")


def minor_digits(currency: str) -> int:
    """How many digits the minor unit of `currency` has (ISO 4217): 2 for the euro, 0 for the yen."""
    return _DIGITS_AFTER_THE_POINT.get(currency, 2)


def places_in(template: str) -> tuple[str, ...]:
    """The names in the `{name}` places of `template`, in order; `{{` and `}}` stand for braces.

    Raises `FlowError` for a brace that is neither, so that loading a flow finds it.
    """
    names: list[str] = []
    for found in _PLACE.finditer(template):
        if found[0] in ("{", "}"):
            raise FlowError(
                f"A {found[0]!r} at character {found.start() + 1} of {_shortened(template)!r} begins or ends no place.",
                fix="Write {name} for a place, and {{ or }} for a brace.")
        if found[1]:
            names.append(found[1])
    return tuple(names)


def filled(template: str, values: Mapping[str, str]) -> str:
    """`template` with its places filled. Total: a place without a value stays empty, a stray brace stands."""
    def one(found: re.Match[str]) -> str:
        if found[1]:
            return values.get(found[1], "")
        return found[0][0]
    return _PLACE.sub(one, template)


def escaped(text: str) -> str:
    """`text` as a template that says exactly `text`."""
    return text.replace("{", "{{").replace("}", "}}")


def bound_of(template: str, facts: Facts) -> int:
    """An upper bound of the bytes of `template` once it is filled with `facts`, before any text is unsealed."""
    names = [found[1] for found in _PLACE.finditer(template) if found[1]]
    return len(bytes_of(_PLACE.sub(lambda found: "" if found[1] else found[0][0], template))) + sum(
        _bound_of_one(facts.known_facts.get(name)) for name in names)


def _bound_of_one(fact: KnownFact | None) -> int:
    if fact is None:
        return OPEN_BYTES
    if fact.value is None:
        return max(fact.length, len(ERASED))
    return max(OPEN_BYTES, len(bytes_of(str(fact.value))))


def said(spec: FactSpec, value: bool | int | str, currency: str) -> str:
    """A value as people read it: `€1,234.50`, `3 March 2026`, `basic economy`, `yes`. Total."""
    match spec.type, value:
        case "yes_no", bool():
            return "yes" if value else "no"
        case "money", int() if not isinstance(value, bool):
            return _money_said(value, currency)
        case "date", str():
            return _date_said(value)
        case "choice", str():
            return value.replace("_", " ")
        case _:
            return str(value)


def _money_said(minor: int, currency: str) -> str:
    digits = minor_digits(currency)
    whole, part = divmod(abs(minor), 10**digits)
    number = f"{whole:,}" + (f".{part:0{digits}d}" if digits else "")
    symbol = _SYMBOLS.get(currency, f"{currency} ")
    return f"{'-' if minor < 0 else ''}{symbol}{number}"


def _date_said(written: str) -> str:
    try:
        day = date.fromisoformat(written)
    except ValueError:
        return written
    return f"{day.day} {MONTHS[day.month - 1]} {day.year}"


def of_figures(written: str) -> Fraction | None:
    """The number in `1,234.50`, `1.234,50`, `1 234,50` or `45.5`; None if it is none, such as `12.05.2024`.

    With a single separator, three digits after it are thousands; a number that begins with 0 has no thousands.
    """
    grouped = None if written.startswith("0") else _GROUPED.fullmatch(written)
    if grouped:
        decimals = grouped[2] or ""
        whole = re.sub("[^0-9]", "", written[:len(written) - len(decimals)])
    elif figures := _DECIMAL.fullmatch(written):
        whole, decimals = figures[1] or "0", figures[2] or ""
    else:
        return None
    return Fraction(int(whole + decimals), 10**len(decimals))


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


def _may_follow(current: int, value: int) -> bool:
    """True if the word for `value` may follow `current`: five after twenty, twelve after two hundred."""
    return current == 0 or (value > 0 and current % 100 == 0) or (
        0 < value < 10 and current % 100 >= 20 and current % 10 == 0)


def dates_in(message: str, most: int) -> list[tuple[str, int, int]]:
    """Calendar dates and where they stand, in order; of two that overlap, the longer one.

    Each is `YYYY-MM-DD`, or why it is no day: `ambiguous` (day or month first), `no_year`, `no_such_date`.
    At most `most` of each form are looked at.
    """
    found_dates = [(_day_of(found), *found.span()) for form in _DATE_FORMS
                   for found in islice(form.finditer(message), most)]
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


def template_of(flow: Flow, text_id: str) -> str:
    """The template behind a text id: `state.`, `meanwhile.` and `confirm.<state>`, `ask.` and `again.<fact>`,
    `phrase.<name>`. A state that says nothing gives "". Raises `CallError` for an id the flow does not have.
    """
    group, _, name = text_id.partition(".")
    match group:
        case "phrase" if name in flow.phrases or name in DEFAULT_PHRASES:
            return _phrase(flow, name)
        case "state" | "meanwhile" | "confirm":
            return _of_state(flow, group, name)
        case "ask":
            return _asked(flow, _fact(flow, name))
        case "again":
            spec = _fact(flow, name)
            return f"{spec.help or _phrase(flow, 'not_understood')} {_asked(flow, spec)}"
        case _:
            raise CallError(
                f"There is no text {_shortened(text_id)!r} in flow {flow.name!r}.",
                fix="Ask for state., meanwhile. or confirm.<state>, ask. or again.<fact>, or phrase.<name> with one of "
                    f"{listed(sorted({*DEFAULT_PHRASES, *flow.phrases}))}.")


def _of_state(flow: Flow, group: str, name: str) -> str:
    state = next((state for state in flow.states if state.name == name), None)
    if state is None:
        raise CallError(f"Flow {flow.name!r} has no state {_shortened(name)!r}.",
                        fix=f"Name one of {listed(state.name for state in flow.states)}.")
    match group, state:
        case "state", WaitState(say=say) | CollectState(say=say) | HumanState(say=say) | FinalState(say=say):
            return say
        case "meanwhile", HumanState(meanwhile=meanwhile):
            return meanwhile or _phrase(flow, "waiting")
        case "confirm", CollectState():
            return state.confirm or _summary(flow, state)
        case _:
            return ""


def _summary(flow: Flow, state: CollectState) -> str:
    """A confirmation for a form that has none of its own: its facts by name, and whether they are right."""
    specs = {spec.name: spec for spec in flow.facts}
    lines = [f"{_called(specs[name])}: {{{name}}}" for name in state.facts if name in specs]
    return f"{_phrase(flow, 'summary_lead')} {', '.join(lines)}. {_phrase(flow, 'confirm')}"


def _called(spec: FactSpec) -> str:
    return escaped(spec.says or spec.name.replace("_", " "))


def _fact(flow: Flow, name: str) -> FactSpec:
    for spec in flow.facts:
        if spec.name == name:
            return spec
    raise CallError(f"Flow {flow.name!r} has no fact {_shortened(name)!r}.",
                    fix=f"Name one of {listed(spec.name for spec in flow.facts)}.")


def _asked(flow: Flow, spec: FactSpec) -> str:
    if spec.ask:
        return spec.ask
    return _phrase(flow, "ask").replace("{says}", _called(spec))


def _phrase(flow: Flow, name: str) -> str:
    return flow.phrases.get(name, DEFAULT_PHRASES.get(name, ""))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
