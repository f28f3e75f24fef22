"""What the flow says to people: templates, the sentences that every flow has, and how values are written."""

import re
from collections.abc import Mapping
from datetime import date
from types import MappingProxyType

from ..contracts.errors import CallError, FlowError
from ..contracts.facts import Facts, KnownFact
from ..contracts.flow import CollectState, FactSpec, FinalState, Flow, HumanState, WaitState
from ..contracts.payload import bytes_of
from ..contracts.values import listed
from .notation import MONTHS

CHOICES = ("first_choice", "second_choice")
"""What a text says for the labels of a clarifying question."""
ERASED = "[erased]"
"""What the caller fills in for a sealed text that was erased."""
OPEN_BYTES = 40
"""No open value but a long choice takes more bytes than this when it is said."""

DEFAULT_PHRASES: Mapping[str, str] = MappingProxyType(
    {
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
        "next_issue": "You also asked about {says}.",
        "another_matter": "something else",
        "policy": "I may not do that at this point.",
        "cancelled": "All right, I have stopped this.",
        "cached": "(An earlier answer to the same question:)",
        "ended": "This conversation has ended. Please start a new one.",
    }
)
"""Sentences that every flow needs; a flow says its own under `phrases`."""

_SYMBOLS: Mapping[str, str] = MappingProxyType(
    {
        "EUR": "€",
        "USD": "$",
        "GBP": "£",
        "JPY": "¥",
        "INR": "₹",
        "CAD": "CA$",
        "AUD": "A$",
        "NZD": "NZ$",
        "KRW": "₩",
    }
)
_DIGITS_AFTER_THE_POINT: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "PYG", "RWF"), 0),
        **dict.fromkeys(("BHD", "KWD", "OMR", "JOD", "TND", "IQD", "LYD"), 3),
    }
)
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
                fix="Write {name} for a place, and {{ or }} for a brace.",
            )
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
        _bound_of_one(facts.known_facts.get(name)) for name in names
    )


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


def template_of(flow: Flow, text_id: str) -> str:
    """The template behind a text id: `state.`, `meanwhile.` and `confirm.<state>`, `ask.` and `again.<fact>`,
    `next_issue.<label>`, `issues_dropped.<label>.<label>`, `phrase.<name>`. A state that says nothing gives "".
    Raises `CallError` for an id the flow does not have.
    """
    group, _, name = text_id.partition(".")
    match group:
        case "phrase" if name in flow.phrases or name in DEFAULT_PHRASES:
            return _phrase(flow, name)
        case "state" | "meanwhile" | "confirm":
            return _of_state(flow, group, name)
        case "next_issue" | "issues_dropped":
            says = " and ".join(escaped(_label_in_words(flow, one)) for one in name.split("."))
            return _phrase(flow, group).replace("{says}", says)
        case "ask":
            return _asked(flow, _fact(flow, name))
        case "again":
            spec = _fact(flow, name)
            return f"{spec.help or _phrase(flow, 'not_understood')} {_asked(flow, spec)}"
        case _:
            raise CallError(
                f"There is no text {_shortened(text_id)!r} in flow {flow.name!r}.",
                fix="Ask for state., meanwhile. or confirm.<state>, ask. or again.<fact>, or phrase.<name> with one of "
                f"{listed(sorted({*DEFAULT_PHRASES, *flow.phrases}))}.",
            )


def _of_state(flow: Flow, group: str, name: str) -> str:
    state = next((state for state in flow.states if state.name == name), None)
    if state is None:
        raise CallError(
            f"Flow {flow.name!r} has no state {_shortened(name)!r}.",
            fix=f"Name one of {listed(state.name for state in flow.states)}.",
        )
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


def _label_in_words(flow: Flow, label: str) -> str:
    """What the routers call it; what was not clear enough for a label is something else."""
    words = {name: says for router in flow.routers for name, says in router.labels.items()}
    return words.get(label) or _phrase(flow, "another_matter")


def _called(spec: FactSpec) -> str:
    return escaped(spec.says or spec.name.replace("_", " "))


def _fact(flow: Flow, name: str) -> FactSpec:
    for spec in flow.facts:
        if spec.name == name:
            return spec
    raise CallError(
        f"Flow {flow.name!r} has no fact {_shortened(name)!r}.",
        fix=f"Name one of {listed(spec.name for spec in flow.facts)}.",
    )


def _asked(flow: Flow, spec: FactSpec) -> str:
    if spec.ask:
        return spec.ask
    return _phrase(flow, "ask").replace("{says}", _called(spec))


def _phrase(flow: Flow, name: str) -> str:
    return flow.phrases.get(name, DEFAULT_PHRASES.get(name, ""))


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
