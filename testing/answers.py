"""Single answers of a flow, for tests: what one guard says of some facts, and what one phrase is routed to."""

from collections.abc import Iterable, Mapping
from typing import Any

from ..contracts.errors import CallError
from ..contracts.facts import Facts
from ..contracts.guard import Guard
from ..contracts.values import listed
from ..fsm.program import Program
from .routing import routed
from .scenario import FlowGiven, program_of
from .values import holds, known_facts


def guard_says(
    flow: FlowGiven, guard: str, arguments: Iterable[Any], facts: Mapping[str, Any], expected: bool | None
) -> None:
    """Assert what a guard says of these facts, all others unknown; `None` stands for unknown, as an expectation for an
    error. Money is in minor units. Raises `CallError` for a guard or a fact that the flow does not have."""
    program = program_of(flow)
    if guard not in program.functions:
        raise CallError(f"The flow has no guard {guard!r}; it has {listed(sorted(program.functions))}.")
    for name in facts:
        if name not in program.facts:
            raise CallError(f"The flow has no fact {name!r}; it has {listed(sorted(program.facts))}.")
    one = Guard(op="call", name=guard, arguments=tuple(arguments))
    said = holds(program.functions[guard], one, Facts(known_facts(program.flow, facts)))
    if said is not expected:
        words = {True: "holds", False: "does not hold", None: "raises an error"}
        known = ", ".join(f"{name} = {'unknown' if value is None else value}" for name, value in facts.items())
        raise AssertionError(
            f"With {known or 'nothing known'} the guard {one} {words[said]}; it should be: {words[expected]}."
        )


def phrase_means(flow: FlowGiven, router: str, phrase: str, label: str) -> None:
    """Assert what the first message of a conversation is routed to."""
    program: Program = program_of(flow)
    found = routed(program, phrase, router)
    if found != label:
        raise AssertionError(f"“{phrase}” is routed to {found!r} by {router!r}, not to {label!r}.")
