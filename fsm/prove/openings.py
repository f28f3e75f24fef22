"""Which rows of a group data can open, found by running the guards themselves over telling values.

It is how the export reads a table, and shares nothing with the search: guards are evaluated as the runtime does.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from ...contracts.facts import Facts, KnownFact
from ...contracts.flow import Flow, Transition
from ...contracts.guard import Guard
from ..guards import BUILT_IN, tried

Rows = Sequence[tuple[int, Transition]]
Visits = tuple[tuple[str, int], ...]
MOST_READINGS = 20_000
"""Combinations of values that are tried for one group; of a group with more, every row may be taken."""


def named_in(guard: Guard) -> Iterator[Guard]:
    if guard.op == "call":
        yield guard
    for part in guard.parts:
        yield from named_in(part)


def is_own(flow: Flow, guard: Guard) -> bool:
    """Whether only the flow's code knows what it says."""
    own = {one.name: one for one in flow.guards}
    built_in = BUILT_IN.get(guard.name)
    return built_in is None or own.get(guard.name, built_in.spec) != built_in.spec or guard.name == "confidence_below"


def looked_at(flow: Flow, guard: Guard) -> bool:
    """Whether the condition cannot hold unless a guard does that is declared as a sanitiser."""
    if guard.op == "call":
        return any(one.name == guard.name and one.sanitises for one in flow.guards)
    parts = [looked_at(flow, part) for part in guard.parts]
    return any(parts) if guard.op == "all_of" else bool(parts) and all(parts) and guard.op == "any_of"


def visits_asked(flow: Flow, rows: Rows) -> Mapping[str, int]:
    """States whose visits some guard of the rows counts, with the largest number."""
    found: dict[str, int] = {}
    for guard in (one for _, row in rows for one in named_in(row.guard)):
        if guard.name == "visits_at_most" and not is_own(flow, guard):
            state = str(guard.arguments[0])
            found[state] = max(found.get(state, 0), int(guard.arguments[1]))
    return found


def openings(flow: Flow, rows: Rows, in_digression: bool, visits: Visits) -> tuple[int, ...]:
    """The rows that are the first to hold under some values, in their order."""
    atoms = {str(one): one for _, row in rows for one in named_in(row.guard)}
    own = [one for one in atoms.values() if is_own(flow, one)]
    others = [one for one in atoms.values() if not is_own(flow, one)]
    telling = _telling(others)
    number = 3 ** len(own)
    for values in telling.values():
        number *= len(values)
    if number > MOST_READINGS:
        return tuple(index for index, _ in rows)
    found: set[int] = set()
    for answers in product((True, False, None), repeat=len(own)):
        functions = _functions(dict(zip((str(one) for one in own), answers, strict=True)), own)
        for values in product(*telling.values()):
            first, _ = tried(rows, _facts(dict(zip(telling, values, strict=True)), in_digression, visits), functions)
            if first is not None:
                found.add(first[0])
    return tuple(index for index, _ in rows if index in found)


def _telling(guards: Sequence[Guard]) -> dict[str, tuple[Any, ...]]:
    """By fact (or `` for the number of messages): values that the guards can tell from one another."""
    found: dict[str, set[Any]] = {}
    for guard in guards:
        match guard.name:
            case "visits_at_most":
                continue
            case "messages_at_least":
                found.setdefault("", set()).update((int(guard.arguments[0]) - 1, int(guard.arguments[0])))
            case "at_most" | "at_least":
                bound = int(str(guard.arguments[1]).replace(".", ""))
                found.setdefault(str(guard.arguments[0]), set()).update((bound - 1, bound, bound + 1))
            case "is_":
                found.setdefault(str(guard.arguments[0]), set()).update((str(guard.arguments[1]), "another choice"))
            case "is_true":
                found.setdefault(str(guard.arguments[0]), set()).update((True, False))
            case _:
                found.setdefault(str(guard.arguments[0]), set()).add("something")
    # True and 1 are the same in a set, and differ to a guard.
    return {
        name: (*([None] if name else ()), *sorted(values, key=repr), *([True] if name and 1 in values else ()))
        for name, values in found.items()
    }


def _facts(values: Mapping[str, Any], in_digression: bool, visits: Visits) -> Facts:
    known = {name: KnownFact(name=name, value=value) for name, value in values.items() if name and value is not None}
    return Facts(known, int(in_digression), dict(visits), values.get("", 1))


def _functions(answers: Mapping[str, bool | None], own: Sequence[Guard]) -> Mapping[str, Callable[..., bool]]:
    """The built-in guards, and the flow's own with the answers that are given."""

    def answering(name: str) -> Callable[..., bool]:
        def answer(_facts: Facts, *arguments: Any) -> bool:
            found = answers[str(Guard(name=name, arguments=arguments))]
            if found is None:
                raise ValueError(name)
            return found

        return answer

    return {**{name: one.function for name, one in BUILT_IN.items()}, **{one.name: answering(one.name) for one in own}}
