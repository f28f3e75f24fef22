"""Contents: facts that can be asked and read, limits that can be kept, texts that can be said."""

import re
from collections.abc import Iterator

from ...contracts.errors import Fault, FlowError
from ...contracts.facts import FactType
from ...contracts.flow import FactSpec
from ...contracts.limits import Limits
from ...contracts.values import listed, printable
from ..render import CHOICES, places_in
from .survey import Survey

PLACES = (*CHOICES, "reference")
"""What a reply may say besides facts."""
_PHRASE_PLACES = ("limit", "says")
"""What the sentences under `phrases` may say as well."""
_BOUNDED: tuple[FactType, ...] = ("money", "integer")
_MAX_PATTERN = 300
MOST_STEPS = 10_000
"""Transitions are free of calls, so nothing but this ends a turn that goes round."""
_FEW = 5
_QUANTIFIER = re.compile(r"[*+]|\{[0-9]*,(?P<most>[0-9]{0,6})\}|\{(?P<exact>[0-9]{1,6})\}")


def facts_askable(survey: Survey) -> Iterator[Fault]:
    asked = {name: state.name for state in survey.flow.states if state.kind == "collect" for name in state.facts}
    for fact in survey.flow.facts:
        path = f"facts.{fact.name}"
        if fact.name in asked and not fact.ask.strip():
            yield survey.fault(
                "S161",
                f"{path}.ask",
                f"{asked[fact.name]!r} collects the fact {fact.name!r}, which has no question.",
                "Write the question under `ask`.",
            )
        yield from _fact_fits_type(survey, fact, path)
        if fact.pattern:
            yield from pattern_fits(survey, f"{path}.pattern", fact.pattern)


def some_suffice(survey: Survey) -> Iterator[Fault]:
    for state in survey.flow.states:
        if state.kind != "collect" or not state.enough:
            continue
        what, fix = "", "Delete `enough`: all of them are needed anyway."
        if state.enough >= len(state.facts):
            what = f"{state.name!r} is content with {state.enough} of {len(state.facts)} facts."
        elif state.optional:
            what, fix = (
                f"{state.name!r} has `enough` and `optional`.",
                "Delete `optional`: any of them may be declined.",
            )
        if what:
            yield survey.fault("S187", f"states.{state.name}.enough", what, fix)


def _fact_fits_type(survey: Survey, fact: FactSpec, path: str) -> Iterator[Fault]:
    if fact.type == "choice" and not fact.choices:
        yield survey.fault(
            "S162",
            f"{path}.choices",
            f"The fact {fact.name!r} is a choice of nothing.",
            "List what can be chosen under `choices`.",
        )
    unused = [
        key
        for key, there, types in (
            ("choices", bool(fact.choices), ("choice",)),
            ("pattern", bool(fact.pattern), ("code",)),
            ("minimum", fact.minimum is not None, _BOUNDED),
            ("maximum", fact.maximum is not None, _BOUNDED),
        )
        if there and fact.type not in types
    ]
    for key in unused:
        yield survey.fault(
            "S165",
            f"{path}.{key}",
            f"The fact {fact.name!r} has a {key!r}, which a {fact.type} fact does not use.",
            f"Delete {key!r}, or change the type.",
        )
    if fact.minimum is not None and fact.maximum is not None and fact.minimum > fact.maximum:
        yield survey.fault(
            "S165", f"{path}.minimum", f"The minimum of the fact {fact.name!r} is above its maximum.", "Swap them."
        )


def pattern_fits(survey: Survey, where: str, pattern: str) -> Iterator[Fault]:
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError, MemoryError) as error:
        yield survey.fault(
            "S163",
            where,
            f"The pattern {printable(pattern, 60)!r} does not compile: {printable(error)}.",
            "Mend the regular expression.",
        )
        return
    danger = endless(pattern)
    if danger:
        yield survey.fault(
            "S164",
            where,
            f"The pattern {printable(pattern, 60)!r} {danger}; a message could hold it up for ever.",
            "Repeat single characters or classes only, and use no back-references.",
        )


def endless(pattern: str) -> str:
    """Why matching could take exponential time, or nothing. Careful rather than exact."""
    if len(pattern) > _MAX_PATTERN:
        return f"is longer than {_MAX_PATTERN} characters"
    if re.search(r"\\[1-9]|\(\?P=|\(\?\(", re.sub(r"\\\\", "", pattern)):
        return "refers back to what it matched"
    # Characters and classes cannot repeat anything: reduced to one letter, only groups and quantifiers remain.
    rest = re.sub(r"\\.", "x", pattern, flags=re.DOTALL)
    rest = re.sub(r"\[\^?\]?[^\]]*\]", "x", rest)
    inside: list[bool] = [False]
    for index, character in enumerate(rest):
        if character == "(":
            inside.append(False)
        elif character == "|":
            inside[-1] = True
        elif character == ")" and len(inside) > 1:
            varied = inside.pop()
            if varied and _repeats_often(rest, index + 1):
                return "repeats a group that itself repeats or branches"
            inside[-1] = inside[-1] or varied
        elif _repeats_often(rest, index):
            inside[-1] = True
    return ""


def _repeats_often(pattern: str, index: int) -> bool:
    """True if a quantifier stands at `index` that has no bound, or one above `_FEW`."""
    found = _QUANTIFIER.match(pattern, index)
    if not found:
        return False
    most = found["most"] or found["exact"]
    return not most or int(most) > _FEW


def limits_hold(survey: Survey) -> Iterator[Fault]:
    limits = survey.flow.limits
    for name in Limits.model_fields:
        most = getattr(limits, name)
        if most is not None and most <= 0:
            yield survey.fault(
                "S166", f"limits.{name}", f"The limit {name!r} is 0, so nothing could ever happen.", "Write at least 1."
            )
    if limits.steps > MOST_STEPS:
        yield survey.fault(
            "S166",
            "limits.steps",
            f"The limit 'steps' is {limits.steps:,}: a turn that goes round would hold its process up for ever.",
            f"Write at most {MOST_STEPS:,}.",
        )
    for agent in survey.flow.agents:
        path = f"agents.{agent.name}"
        for bound in ("max_input_tokens", "max_output_tokens"):
            if getattr(agent, bound) <= 0:
                what = f"The {bound!r} of agent {agent.name!r} is 0."
                yield survey.fault("S166", f"{path}.{bound}", what, "Write at least 1.")
        if agent.max_output_tokens > limits.turn_tokens:
            yield survey.fault(
                "S167",
                f"{path}.max_output_tokens",
                f"One answer of agent {agent.name!r} may take "
                f"{agent.max_output_tokens} tokens, but a turn only {limits.turn_tokens}.",
                "Lower `max_output_tokens`, or raise the limit `turn_tokens`.",
            )
        if agent.max_output_tokens * agent.price.output_nano > limits.turn_cost:
            yield survey.fault(
                "S168",
                f"{path}.price",
                f"One answer of agent {agent.name!r} may cost more than a whole turn.",
                "Lower `max_output_tokens`, or raise the limit `turn_cost`.",
            )


def tools_safe(survey: Survey) -> Iterator[Fault]:
    for tool in survey.flow.tools:
        if tool.consequential and not tool.keyed and not tool.says.strip():
            yield survey.fault(
                "S169",
                "states",
                f"The tool {tool.name!r} changes something outside, takes no idempotency key, and "
                "does not say what it does.",
                "Let it take the key, or say in words what a person must look up after a crash.",
            )


def consequences_once(survey: Survey) -> Iterator[Fault]:
    """A second attempt is a second intent with a key of its own: what changes something is not tried twice."""
    consequential = {tool.name for tool in survey.flow.tools if tool.consequential}
    for state in survey.flow.states:
        if state.kind == "call" and state.tool in consequential and state.attempts > 1:
            yield survey.fault(
                "S169",
                f"states.{state.name}.attempts",
                f"State {state.name!r} would call {state.tool!r} up to {state.attempts} times, and it changes "
                "something outside: after a timeout nobody knows whether it already did.",
                "Write `attempts: 1`, and let the rows for `failed` and `timeout` lead to a person.",
            )


def texts_sayable(survey: Survey) -> Iterator[Fault]:
    known = (*survey.facts, *PLACES)
    for path, text in _texts(survey):
        try:
            places = places_in(text)
        except FlowError as error:
            yield survey.fault("S175", path, error.what, error.fix)
            continue
        for name in places:
            if name not in known and not (path.startswith("phrases.") and name in _PHRASE_PLACES):
                fix = f"Write one of {listed(known)} in braces."
                yield survey.fault("S175", path, f"A text says {{{name}}}, which is no fact.", fix)


def _texts(survey: Survey) -> Iterator[tuple[str, str]]:
    for state in survey.flow.states:
        for key in ("say", "confirm", "meanwhile"):
            yield f"states.{state.name}.{key}", getattr(state, key, "")
    for fact in survey.flow.facts:
        yield f"facts.{fact.name}.ask", fact.ask
        yield f"facts.{fact.name}.help", fact.help
    for name, text in survey.flow.phrases.items():
        yield f"phrases.{name}", text


CONTENTS = (facts_askable, some_suffice, limits_hold, tools_safe, consequences_once, texts_sayable)
