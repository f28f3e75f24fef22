"""Reads one message: the answer to the open question, what was volunteered, what was corrected, and controls.

People answer two questions at once, give facts before they are asked, and take back what they said. Nothing is
decided here: the reading goes into the log with the message, and the core decides from it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from ..contracts.facts import Control, Facts, OpenValue, Unreadable
from ..contracts.flow import FactSpec, Flow
from ..contracts.values import MAX_SAFE_INTEGER
from .code import Code
from .controls import LOOKED_AT, control_in, corrects, stands_alone, starts_with_no, yes_no_in
from .notation import bare_name, is_date, is_named, is_ordinary_reply, is_person, without_codes, words_of
from .recognise import REASONS, TEXT_LIMIT, Reason, Seen, Span, Spot, Told, look_for, within

__all__ = ["REASONS", "Found", "FoundFact", "read_message"]

_NOTHING_KNOWN = Facts()
_INSISTENT = ("repeat", "back", "decline", "cancel")
"""Controls that are never an answer, unless they are the name of a choice."""
_ORDER = ("date", "money", "code", "integer", "choice", "text", "yes_no")
"""Who may take a place in the message first: a date's year is no code, an amount no number of bags."""


@dataclass(frozen=True, slots=True)
class FoundFact:
    """A fact that was read: `value` for an open one, `text` for a sealed one. `answers` the open question or not."""

    name: str
    value: OpenValue | None = None
    text: str | None = None
    answers: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """All that rules read in one message. The reasons of `unreadable` are among `REASONS`."""

    control: Control | None = None
    facts: tuple[FoundFact, ...] = ()
    unreadable: tuple[Unreadable, ...] = ()


@dataclass(slots=True)
class _Message:
    """One message while it is read: what is known, and which places of the text are taken."""

    flow: Flow
    code: Code
    told: Told
    known: Facts
    asked: FactSpec | None
    confirming: bool
    taken: list[Span] = field(default_factory=list)
    facts: list[FoundFact] = field(default_factory=list)
    answered_no: bool = False
    """True if a leading "no" answers the open question, and so corrects nothing."""

    @property
    def plain(self) -> str:
        return self.told.plain

    def free(self, spot: Spot) -> bool:
        return all(spot.end <= start or end <= spot.start for start, end in self.taken)

    def take(self, spec: FactSpec, seen: Seen, *, answers: bool = False) -> None:
        """Report `seen`. Text takes no place: an amount inside a told story is still an amount."""
        if spec.sealed:
            self.facts.append(FoundFact(spec.name, text=str(seen.value), answers=answers))
        else:
            self.facts.append(FoundFact(spec.name, value=seen.value, answers=answers))
        if spec.type != "text":
            self.taken.append(seen.span)


def read_message(
    flow: Flow,
    code: Code,
    text: str,
    *,
    asking: str | None = None,
    confirming: bool = False,
    known: Facts = _NOTHING_KNOWN,
) -> Found:
    """Everything that rules find in `text`; never raises, and looks at the first 20,000 characters only.

    A known fact is reported again if it is being asked, or if the value differs and the message says that it is
    a correction; while confirming, naming the fact says so too ("the amount is 45"), and for a sealed fact
    always. A fact that is the only one of its type may be volunteered without its name; of several, only with it.
    """
    asked = next((spec for spec in flow.facts if spec.name == asking), None)
    control = control_in(text)
    message = _Message(flow, code, Told(text), known, asked, confirming)
    if control in _INSISTENT and not (asked and asked.type == "choice"):
        return Found(control)
    claims: dict[str, Seen] = {}
    for name, claimed in _claims(message):
        claims[name] = claimed
        message.taken.append(claimed.span)
    if asked and asked.type == "text":
        _correct_bare(message)
    answer = _answer(message, control)
    if isinstance(answer, Seen) and not confirming:
        control = None
    elif control in _INSISTENT:
        return Found(control)
    for spec in _others(message):
        seen = claims.get(spec.name) or _look(message, spec)
        if isinstance(seen, Seen) and _is_news(message, spec, seen):
            message.take(spec, seen)
    if isinstance(answer, Seen) and asked is not None and asked.type == "code":
        _name_beside(message, answer)
    _correct_bare(message)
    if confirming:
        control = _confirmed(message, control)
    unread = answer if isinstance(answer, Reason) else Reason("not_found")
    missed = asked is not None and control is None and (isinstance(answer, Reason) or not message.facts)
    return Found(
        control,
        tuple(message.facts),
        (Unreadable(name=asked.name, reason=unread.word),) if asked is not None and missed else (),
    )


def _answer(message: _Message, control: Control | None) -> Seen | Reason | None:
    """The asked fact, taken if it is there. A bare yes or no is no text, and neither is a correction."""
    asked = message.asked
    if asked is None or (asked.type == "text" and (control is not None or message.facts)):
        return None
    answer = _by_reader(message, asked)
    if answer is None:
        told = _without_codes(message) if is_person(asked.name, asked.says) else message.told
        answer = look_for(asked, told, asked=True, currency=message.flow.currency, keep=message.free)
        if asked.type == "text" and is_person(asked.name, asked.says) and isinstance(answer, Seen):
            choices = [choice for spec in message.flow.facts for choice in spec.choices]
            answer = Reason("not_found") if is_ordinary_reply(str(answer.value), choices) else answer
    if isinstance(answer, Seen):
        message.answered_no = asked.type == "yes_no"
        message.take(asked, answer, answers=True)
    return answer


def _without_codes(message: _Message, taken: Seen | None = None) -> Told:
    """The message without the codes that stand in it, and without `taken`: a name is what is left."""
    codes: list[tuple[Span, FactSpec]] = []
    for spec in message.flow.facts:
        if spec.type == "code":
            seen = taken if taken and spec is message.asked else look_for(spec, message.told, asked=False)
            if isinstance(seen, Seen):
                codes.append((seen.span, spec))
    return Told(without_codes(codes, message.told.text)) if codes else message.told


def _name_beside(message: _Message, answer: Seen) -> None:
    """ "12345678, Maria Keller": the one name that is missing, if the rest of an asked code's message is a name."""
    wanted = [
        spec
        for spec in _others(message)
        if spec.type == "text" and is_person(spec.name, spec.says) and not message.known.known(spec.name)
    ]
    if len(wanted) != 1 or any(fact.name == wanted[0].name for fact in message.facts):
        return
    told = _without_codes(message, answer)
    if span := bare_name(told.plain):
        message.take(wanted[0], Seen(told.text[slice(*span)], span))


def _others(message: _Message) -> Iterator[FactSpec]:
    """The facts that were not asked and may be taken, in the order in which they may take their places."""
    for kind in _ORDER:
        for spec in message.flow.facts:
            if spec.type == kind and spec is not message.asked and (spec.volunteered or message.known.known(spec.name)):
                yield spec


def _beside(flow: Flow, spec: FactSpec) -> frozenset[str] | None:
    """The words of the other facts that the same value could be meant for; None if there is no such fact."""
    rivals = [
        other
        for other in flow.facts
        if other is not spec
        and other.type == spec.type
        and other.choices == spec.choices
        and other.pattern == spec.pattern
    ]
    words = [words_of(rival.name, rival.says) for rival in rivals]
    return frozenset().union(*words) if rivals else None


def _claims(message: _Message) -> Iterator[tuple[str, Seen]]:
    """Values that stand beside the name of a fact that was not asked: the asked fact may not have them."""
    asked = message.asked
    if asked is None or asked.type in ("text", "yes_no", "choice"):
        return
    text, mine = message.plain, words_of(asked.name, asked.says)
    for spec in _others(message):
        if spec.type not in ("money", "integer", "date", "code") or spec.name in message.code.readers:
            continue

        def named(spot: Spot, spec: FactSpec = spec) -> bool:
            beside = mine | (_beside(message.flow, spec) or frozenset())
            return message.free(spot) and is_named(spec, text, (spot.start, spot.end), beside)

        seen = look_for(spec, message.told, asked=False, currency=message.flow.currency, keep=named)
        if isinstance(seen, Seen):
            yield spec.name, seen


def _look(message: _Message, spec: FactSpec) -> Seen | Reason | None:
    """A fact that was not asked: by the flow's own reader, else by its type; of rivals, only with its name."""
    seen = _by_reader(message, spec)
    if seen is not None:
        return seen

    def mine(spot: Spot) -> bool:
        if not message.free(spot):
            return False
        beside = None if spec.type == "text" else _beside(message.flow, spec)
        return beside is None or is_named(spec, message.plain, (spot.start, spot.end), beside)

    return look_for(spec, message.told, asked=False, currency=message.flow.currency, keep=mine)


def _is_news(message: _Message, spec: FactSpec, seen: Seen) -> bool:
    """True if the fact was unknown, or the message says that this other value replaces it."""
    if not message.known.known(spec.name):
        return True
    if message.known.value(spec.name) == seen.value:
        return False
    text = message.plain
    if message.answered_no and starts_with_no(text):
        return False
    # "My account number is ...": a sealed value cannot be compared, and who names it says it anew.
    return (
        seen.corrected
        or spec.type == "text"
        or ((message.confirming or spec.type == "code") and is_named(spec, text, seen.span))
    )


def _correct_bare(message: _Message) -> None:
    """ "No, it was 45": a bare value that corrects the one known fact which it can be meant for.

    To a summary the value alone says so, too. A code must always stand alone: any word may look like one.
    """
    text = message.plain
    refused = message.confirming and yes_no_in(text) is False
    if message.facts or not (message.confirming or corrects(text)) or (message.answered_no and starts_with_no(text)):
        return
    meant: list[tuple[FactSpec, Seen]] = []
    for spec in _others(message):
        if spec.type in ("text", "yes_no") or not message.known.known(spec.name):
            continue
        seen = look_for(spec, message.told, asked=True, currency=message.flow.currency, keep=message.free)
        if not isinstance(seen, Seen) or seen.value == message.known.value(spec.name):
            continue
        alone = stands_alone(text, seen.span)
        if (alone and message.confirming) or ((refused or seen.corrected) and (alone or spec.type != "code")):
            meant.append((spec, seen))
    if len(meant) == 1 and control_in(message.told.text) is None:
        message.take(*meant[0])


def _confirmed(message: _Message, control: Control | None) -> Control | None:
    """Yes or no to the summary, also inside a longer message. Yes with a correction is not a yes."""
    if control is None:
        verdict = yes_no_in(message.plain)
        hedged = any(word in message.plain.lower().split() for word in ("but", "except", "only", "not", "change"))
        control = "no" if verdict is False else "yes" if verdict and not hedged else None
    changed = any(message.known.known(fact.name) for fact in message.facts)
    return None if control == "yes" and changed else control


def _by_reader(message: _Message, spec: FactSpec) -> Seen | Reason | None:
    """What the flow's own reader finds. One that raises, or returns what the fact cannot be, finds nothing."""
    reader = message.code.readers.get(spec.name)
    if reader is None:
        return None
    try:
        value = reader(message.told.text[:LOOKED_AT])
    except Exception:  # noqa: BLE001 - the flow's own code: a message must not fail because a reader does
        return None
    if value is None or not _may_be(spec, value):
        return None
    place = message.plain.find(value) if isinstance(value, str) and value else -1
    span = (place, place + len(str(value))) if place >= 0 else (0, 0)
    seen = Seen(value, span, corrects(message.plain, None if place < 0 else place))
    if isinstance(value, str) and spec.type == "text" and len(value) > TEXT_LIMIT:
        return Reason("too_long")
    if place < 0 and spec.type in ("money", "integer"):
        built_in = look_for(spec, message.told, asked=True, currency=message.flow.currency, keep=message.free)
        if isinstance(built_in, Seen) and built_in.value == value:
            seen = replace(seen, span=built_in.span)
    return within(spec, seen) if spec.type in ("money", "integer") else seen


def _may_be(spec: FactSpec, value: object) -> bool:
    """True if `value` is of the type that `spec` declares."""
    match spec.type:
        case "money" | "integer":
            return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MAX_SAFE_INTEGER
        case "yes_no":
            return isinstance(value, bool)
        case "choice":
            return value in spec.choices
        case "date":
            return isinstance(value, str) and is_date(value)
        case _:
            return isinstance(value, str) and value.strip() != ""
