"""Which row of a group may be taken: guards over data are both true and false, as far as they can be together.

Exact are `otherwise`, `in_digression` and counts of visits; the same guard is the same within a decision, and what
built-in guards say of one fact fits together. A guard of the flow's own code may also fail with an error.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from ...contracts.flow import Flow, Transition
from ...contracts.guard import Guard
from ..guards import BUILT_IN

MOST_CASES = 4_096
"""Combinations of one group that are looked at; of a group with more, every row may be taken."""
MOST_ATOMS = 200
"""Guards of one group that are looked at together."""
MANY = 1 << 40
"""A count without an upper bound."""
Rows = Sequence[tuple[int, Transition]]
Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Choice:
    """A row that may be taken, where the visits counted in this turn lie within `visits` (state, least, most).

    `given` says of each guard that was looked at whether it holds (None: it fails with an error): what a test must
    arrange.
    """

    row: int
    visits: tuple[tuple[str, int, int], ...] = ()
    given: tuple[tuple[str, bool | None], ...] = ()


class _Erred(Exception):
    """A guard raised."""


def counted_visits(flow: Flow) -> Mapping[str, int]:
    """States whose visits some guard counts, with the largest number that matters."""
    most: dict[str, int] = {}
    for guard in (atom for row in flow.transitions for atom in atoms_of(row.guard)):
        if guard.name == "visits_at_most" and is_built_in(flow, guard):
            state, number = str(guard.arguments[0]), int(guard.arguments[1])
            most[state] = max(most.get(state, 0), number)
    return most


def is_built_in(flow: Flow, guard: Guard) -> bool:
    """Whether the name means the built-in guard: a flow's own one of that name goes first."""
    own = next((one for one in flow.guards if one.name == guard.name), None)
    return guard.name in BUILT_IN and (own is None or own == BUILT_IN[guard.name].spec)


def atoms_of(guard: Guard) -> Iterator[Guard]:
    """The named guards in a condition."""
    if guard.op == "call":
        yield guard
    for part in guard.parts:
        yield from atoms_of(part)


def sanitised_by(flow: Flow, guard: Guard) -> tuple[str, ...]:
    """The declared sanitisers that hold wherever the condition does."""
    match guard.op:
        case "call":
            return tuple(one.name for one in flow.guards if one.name == guard.name and one.sanitises)
        case "all_of":
            return tuple(name for part in guard.parts for name in sanitised_by(flow, part))
        case "any_of":
            each = [sanitised_by(flow, part) for part in guard.parts]
            return each[0] if all(each) else ()
        case _:
            return ()


def choices(flow: Flow, rows: Rows, in_digression: bool, known: Mapping[str, bool] | None = None) -> tuple[Choice, ...]:
    """Every row of the group that some data makes the first whose guard holds.

    `known` says of facts whether they are known; where it is given, each has a value within its declared bounds.
    """
    atoms = {str(atom): atom for _, row in rows for atom in atoms_of(row.guard)}
    if not atoms:
        taken = _first(rows, {}, in_digression)
        return () if taken is None else (Choice(taken),)
    if len(atoms) > MOST_ATOMS:
        return tuple(Choice(index) for index, _ in rows)
    variables = _variables(flow, tuple(atoms.values()), known)
    counting = {name for name, atom in atoms.items() if atom.name == "visits_at_most" and is_built_in(flow, atom)}
    cases = 1
    for variable in variables:
        cases *= len(variable)
    if cases > MOST_CASES:
        return tuple(Choice(index) for index, _ in rows)
    found: dict[tuple[tuple[str, int, int], ...], dict[int, Choice]] = {}
    for case in product(*variables):
        values: dict[str, bool | None] = {}
        visits: tuple[tuple[str, int, int], ...] = ()
        for said, counted in case:
            values.update(said)
            visits += counted
        taken = _first(rows, values, in_digression)
        if taken is not None:
            given = tuple((name, value) for name, value in values.items() if name not in counting)
            found.setdefault(visits, {}).setdefault(taken, Choice(taken, visits, given))
    return tuple(_merged(found))


def _merged(found: Mapping[tuple[tuple[str, int, int], ...], Mapping[int, Choice]]) -> Iterator[Choice]:
    """Without the visits, where they make no difference to the rows that may be taken, nor to how."""
    kinds = [{row: choice.given for row, choice in rows.items()} for rows in found.values()]
    if kinds and all(kind == kinds[0] for kind in kinds):
        for row, given in kinds[0].items():
            yield Choice(row, (), given)
        return
    for rows in found.values():
        yield from rows.values()


Said = tuple[dict[str, bool | None], tuple[tuple[str, int, int], ...]]


def _variables(flow: Flow, atoms: tuple[Guard, ...], known: Mapping[str, bool] | None) -> list[list[Said]]:
    """Independent unknowns: each a list of what it may make of the guards that depend on it."""
    variables: list[list[Said]] = []
    groups: dict[tuple[str, str], list[Guard]] = {}
    for atom in atoms:
        if not is_built_in(flow, atom) or atom.name not in _KNOWN:
            variables.append([({str(atom): value}, ()) for value in (True, False, None)])
        elif atom.name == "visits_at_most":
            groups.setdefault(("visits", str(atom.arguments[0])), []).append(atom)
        elif atom.name == "messages_at_least":
            groups.setdefault(("messages", ""), []).append(atom)
        else:
            groups.setdefault(("fact", str(atom.arguments[0])), []).append(atom)
    for (kind, name), some in groups.items():
        match kind:
            case "visits":
                variables.append(list(_of_visits(name, some)))
            case "messages":
                variables.append(list(_of_messages(some)))
            case _:
                told = list(_of_fact(some))
                variables.append(told if known is None else _within(flow, name, some, told, known.get(name)))
    return variables


def _of_visits(state: str, atoms: Sequence[Guard]) -> Iterator[Said]:
    bounds = sorted({int(atom.arguments[1]) for atom in atoms if int(atom.arguments[1]) >= 0})
    least = 0
    for most in (*bounds, MANY):
        yield {str(atom): most <= int(atom.arguments[1]) for atom in atoms}, ((state, least, most),)
        least = most + 1


def _of_messages(atoms: Sequence[Guard]) -> Iterator[Said]:
    for least in sorted({0, *(max(0, int(atom.arguments[0])) for atom in atoms)}):
        yield {str(atom): least >= int(atom.arguments[0]) for atom in atoms}, ()


def _of_fact(atoms: Sequence[Guard]) -> Iterator[Said]:
    """What is known of one fact: nothing, or each value that the guards can tell from others."""
    yield {str(atom): False for atom in atoms}, ()
    numbers = {_number(atom) for atom in atoms if atom.name in ("at_most", "at_least")}
    words = {str(atom.arguments[1]) for atom in atoms if atom.name == "is_"}
    values: list[Any] = [*sorted({one + by for one in numbers for by in (-1, 0, 1)}), *sorted(words), object()]
    for value in (*values, *((True,) if any(atom.name == "is_true" for atom in atoms) else ())):
        yield {str(atom): _TELLS[atom.name](atom, value) for atom in atoms}, ()


def _within(flow: Flow, name: str, atoms: Sequence[Guard], told: list[Said], known: bool | None) -> list[Said]:
    """What may be so of a declared fact: unknown first, then each value that it may have. None: either."""
    spec = next((one for one in flow.facts if one.name == name), None)
    if spec is None:
        return told
    found = told[:1] if known is not True else []
    if known is False:
        return found
    values: list[Any] = [object()]
    if spec.type in ("integer", "money"):
        numbers = {_number(atom) for atom in atoms if atom.name in ("at_most", "at_least")} | {0}
        bounds = {one for one in (spec.minimum, spec.maximum) if one is not None}
        near = {one + by for one in numbers | bounds for by in (-1, 0, 1)}
        least, most = spec.minimum, spec.maximum
        values = sorted(one for one in near if (least is None or one >= least) and (most is None or one <= most))
    elif spec.type == "choice" and spec.choices:
        values = list(spec.choices)
    elif spec.type == "yes_no":
        values = [True, False]
    elif words := {str(atom.arguments[1]) for atom in atoms if atom.name == "is_"}:
        values = [*sorted(words), object()]
    return found + [({str(atom): _TELLS[atom.name](atom, value) for atom in atoms}, ()) for value in values]


def _number(atom: Guard) -> int:
    bound = atom.arguments[1]
    return int(bound.replace(".", "")) if isinstance(bound, str) else int(bound)


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_TELLS: Mapping[str, Callable[[Guard, Any], bool]] = {
    "known": lambda _atom, _value: True,
    "is_true": lambda _atom, value: value is True,
    "is_": lambda atom, value: value == str(atom.arguments[1]),
    "at_most": lambda atom, value: _is_number(value) and value <= _number(atom),
    "at_least": lambda atom, value: _is_number(value) and value >= _number(atom),
}


_KNOWN = frozenset({*_TELLS, "visits_at_most", "messages_at_least"})
"""Built-in guards of which it is known how they fit together; any other may hold or not."""


def _first(rows: Rows, values: Mapping[str, bool | None], in_digression: bool) -> int | None:
    for index, row in rows:
        try:
            if _holds(row.guard, values, in_digression):
                return index
        except _Erred:
            continue
    return None


def _holds(guard: Guard, values: Mapping[str, bool | None], in_digression: bool) -> bool:
    match guard.op:
        case "otherwise":
            return True
        case "in_digression":
            return in_digression
        case "all_of":
            return all(_holds(part, values, in_digression) for part in guard.parts)
        case "any_of":
            return any(_holds(part, values, in_digression) for part in guard.parts)
        case "not":
            return not _holds(guard.parts[0], values, in_digression)
        case "call":
            value = values[str(guard)]
            if value is None:
                raise _Erred
            return value
