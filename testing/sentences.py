"""Does a guard do what its sentence says? Asked at the bounds that the sentence names, and of yes and no.

A sentence is understood where it says one number of one fact ("the amount is at most €100") or asks one yes or no
("the customer is verified"); of any other this says nothing.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..contracts.facts import Facts
from ..contracts.guard import Guard
from ..fsm.guards import BUILT_IN
from ..fsm.program import Program
from ..fsm.render import said
from .values import guards_of, holds, known_facts, reads_of

_COMPARISONS: tuple[tuple[str, Callable[[int, int], bool]], ...] = (
    (r"at most|no more than|not more than|up to|not over|not above", lambda value, bound: value <= bound),
    (r"at least|no less than|not less than|not under|not below", lambda value, bound: value >= bound),
    (r"more than|over|above|greater than|exceeds", lambda value, bound: value > bound),
    (r"less than|under|below|fewer than", lambda value, bound: value < bound),
)
_NUMBER = re.compile(r"[€$£]?\s?([0-9][0-9,]*)(?:\.([0-9]{2}))?")
_NEGATIVE = re.compile(r"\b(?:not|no|never|nobody|nothing|without|un\w+ed)\b|n't\b")


@dataclass(frozen=True, slots=True)
class Said:
    """A guard that does not do what it says, and with which facts."""

    guard: str
    sentence: str
    facts: Mapping[str, Any]
    result: bool | None
    asserted: tuple[Any, ...] = ()
    """What the sentence demands, as the arguments of `guard_says` after the flow."""

    def __str__(self) -> str:
        does = {True: "holds", False: "does not hold", None: "raises an error"}[self.result]
        known = ", ".join(f"{name} {value}" for name, value in self.facts.items()) or "nothing known"
        return f"the guard {self.guard} says “{self.sentence}”; with {known} it {does}"


def not_as_said(program: Program) -> list[Said]:
    """Every guard of the flow's own that contradicts its sentence."""
    return [
        fault
        for guard in guards_of(program.flow)
        if guard.name not in BUILT_IN or guard.name in program.code.guards
        for fault in _faults(program, guard)
    ]


def _faults(program: Program, guard: Guard) -> Iterator[Said]:
    sentence = program.code.every_guard[guard.name].sentence(guard.arguments)
    reads = reads_of(program, guard)
    numeric = [name for name in reads if program.facts[name].type in ("money", "integer")]
    asked = [name for name in reads if program.facts[name].type == "yes_no"]
    if len(numeric) == 1 and (cases := _bounds(program, numeric[0], sentence)):
        for value, expected in cases:
            yield from _judged(program, guard, sentence, {**dict.fromkeys(asked, True), numeric[0]: value}, expected)
        yield from _judged(program, guard, sentence, {**dict.fromkeys(asked, True), numeric[0]: None}, False)
    elif reads == tuple(asked) and len(asked) == 1:
        positive = not _NEGATIVE.search(sentence)
        for value in (True, False):
            yield from _judged(program, guard, sentence, {asked[0]: value}, value is positive)
        if positive:
            yield from _judged(program, guard, sentence, {asked[0]: None}, False)
    elif not reads and not (numeric or asked):
        yield from _constant(program, guard, sentence)


def _bounds(program: Program, name: str, sentence: str) -> list[tuple[int, bool]]:
    numbers = _NUMBER.findall(sentence)
    if len(numbers) != 1 or _NEGATIVE.search(
        re.sub(r"\b(?:no|not) (?:more|less|over|above|under|below)", "", sentence)
    ):
        return []
    whole, cents = numbers[0]
    bound = int(whole.replace(",", ""))
    if program.facts[name].type == "money":
        bound = bound * 100 + int(cents or 0)
    compares = next((test for words, test in _COMPARISONS if re.search(rf"\b(?:{words})\b", sentence)), None)
    if compares is None:
        return []
    return [(value, compares(value, bound)) for value in (bound - 1, bound, bound + 1)]


def _judged(program: Program, guard: Guard, sentence: str, values: Mapping[str, Any], expected: bool) -> Iterator[Said]:
    result = holds(program.functions[guard.name], guard, Facts(known_facts(program.flow, values)))
    shut = result is None and None in values.values()  # an error about what is unknown: its row stays shut
    if result is not expected and not shut:
        specs = program.facts
        shown = {
            name: "unknown" if value is None else said(specs[name], value, program.flow.currency)
            for name, value in values.items()
        }
        asserted = (guard.name, guard.arguments, dict(values), expected)
        yield Said(str(guard), sentence, shown, result, asserted)


def _constant(program: Program, guard: Guard, sentence: str) -> Iterator[Said]:
    """A guard that asks for no fact and yet says yes to everything: what it says depends on nothing."""
    result = holds(program.functions[guard.name], guard, Facts())
    if result is True:
        yield Said(str(guard), sentence, {}, result, (guard.name, guard.arguments, {}, False))


def untold(program: Program) -> list[str]:
    """Guards that hold while nothing that they read is known, where the sentence cannot tell if they should."""
    found: list[str] = []
    wrong = {one.guard for one in not_as_said(program)}
    for guard in guards_of(program.flow):
        if (guard.name in BUILT_IN and guard.name not in program.code.guards) or str(guard) in wrong:
            continue
        if (reads := reads_of(program, guard)) and holds(program.functions[guard.name], guard, Facts()) is True:
            sentence = program.code.every_guard[guard.name].sentence(guard.arguments)
            found.append(f"the guard {guard} (“{sentence}”) holds with {', '.join(reads)} unknown: is that meant?")
    return found
