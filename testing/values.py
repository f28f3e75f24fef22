"""Values worth trying, from what the flow declares: facts at the bounds that guards ask for, texts that match a
pattern, and JSON that keeps or breaks a schema. The plainest stand first, so that what fails shrinks towards them."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from ..contracts.facts import Facts, KnownFact
from ..contracts.flow import FactSpec, Flow
from ..contracts.guard import Guard
from ..fsm.guards import BUILT_IN, GuardFunction
from ..fsm.program import Program

FREE_TEXT = "Maria Keller"
_DATE = "2026-11-21"
_MOST_VALUES = 12


def calls_in(guard: Guard) -> Iterator[Guard]:
    """Every named guard in a condition."""
    if guard.op == "call":
        yield guard
    for part in guard.parts:
        yield from calls_in(part)


def guards_of(flow: Flow) -> tuple[Guard, ...]:
    """Every named guard of the flow's rows with its arguments, each once."""
    return tuple(dict.fromkeys(one for row in flow.transitions for one in calls_in(row.guard)))


class _Noting(Mapping[str, KnownFact]):
    """Facts that note which of them were asked for."""

    def __init__(self, facts: Mapping[str, KnownFact], asked: set[str]) -> None:
        self._facts, self._asked = facts, asked

    def __getitem__(self, name: str) -> KnownFact:
        self._asked.add(name)
        return self._facts[name]

    def __contains__(self, name: object) -> bool:
        self._asked.add(str(name))
        return name in self._facts

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)


def known_facts(flow: Flow, values: Mapping[str, Any]) -> dict[str, KnownFact]:
    """Facts as guards read them; of a sealed one only that it is known."""
    specs = {one.name: one for one in flow.facts}
    return {
        name: KnownFact(name=name, value=None if specs[name].sealed else value)
        for name, value in values.items()
        if name in specs and value is not None
    }


def reads_of(program: Program, guard: Guard) -> tuple[str, ...]:
    """The facts that a named guard asks for, found by asking it with several fillings."""
    flow, asked = program.flow, set[str]()
    if guard.name in BUILT_IN and guard.name not in program.code.guards:
        first = guard.arguments[0] if guard.arguments else None
        return (first,) if isinstance(first, str) and first in program.facts else ()
    function = program.functions[guard.name]
    plain = {one.name: _plain_values(one, ()) for one in flow.facts}
    fillings: list[dict[str, Any]] = [{}]
    fillings += [{name: values[at % len(values)] for name, values in plain.items() if values} for at in range(3)]
    for filling in fillings:
        holds(function, guard, Facts(_Noting(known_facts(flow, filling), asked)))
    return tuple(sorted(asked & program.facts.keys()))


def holds(function: GuardFunction, guard: Guard, facts: Facts) -> bool | None:
    """What a guard says, or None where it raises."""
    try:
        return function(facts, *guard.arguments) is True
    except Exception:  # noqa: BLE001 - a user's guard may raise anything; its row then stays shut
        return None


def bounds_of(program: Program) -> dict[str, tuple[int, ...]]:
    """By fact: the numbers at which a guard could change its mind, from its arguments and its code's constants."""
    found: dict[str, dict[int, None]] = {}
    for guard in guards_of(program.flow):
        numbers = [number for one in guard.arguments for number in _numbers(one)]
        function = program.functions[guard.name]
        code = getattr(function, "__code__", None)
        constants = [
            one for one in getattr(code, "co_consts", ()) if isinstance(one, int) and not isinstance(one, bool)
        ]
        numbers += constants if guard.name not in BUILT_IN else []
        numbers += [one * two for one in numbers for two in constants if two > 1]
        for name in reads_of(program, guard):
            if program.facts[name].type in ("money", "integer"):
                found.setdefault(name, {}).update(dict.fromkeys(numbers))
    return {name: tuple(numbers) for name, numbers in found.items()}


def _numbers(argument: object) -> tuple[int, ...]:
    if isinstance(argument, bool):
        return ()
    if isinstance(argument, int):
        return (argument, argument * 100)
    if isinstance(argument, str) and re.fullmatch(r"[0-9]+(\.[0-9]{2})?", argument):
        return (int(argument.replace(".", "")),)
    return ()


def _plain_values(spec: FactSpec, bounds: Sequence[int]) -> tuple[Any, ...]:
    match spec.type:
        case "yes_no":
            return True, False
        case "choice":
            return spec.choices
        case "date":
            return (_DATE,)
        case "text":
            return (FREE_TEXT,)
        case "code":
            return (matching(spec.pattern),)
        case _:
            least = spec.minimum if spec.minimum is not None else 0
            most = spec.maximum if spec.maximum is not None else 1_000_000
            near = [number + by for number in bounds for by in (0, 1, -1)]
            wanted = (*near, min(most, max(least, 4_250)), least, most)
            return tuple(dict.fromkeys(one for one in wanted if least <= one <= most))[:_MOST_VALUES]


def fact_values(program: Program) -> dict[str, tuple[Any, ...]]:
    """By fact: values to try, those at a guard's bounds first. Money is in minor units."""
    bounds = bounds_of(program)
    return {name: _plain_values(spec, bounds.get(name, ())) for name, spec in program.facts.items()}


def fact_answer(spec: FactSpec, value: Any) -> str:
    """The value as a customer writes it."""
    match spec.type:
        case "yes_no":
            return "yes" if value else "no"
        case "money":
            return f"{value // 100}.{value % 100:02d}"
        case "choice":
            return str(value).replace("_", " ")
        case _:
            return str(value)


# -- texts that match a pattern ---------------------------------------------------------------------------


def matching(pattern: str) -> str:
    """A short text that matches; of a pattern that this cannot follow, the pattern's letters and digits."""
    try:
        from re import _parser  # type: ignore[attr-defined]

        made = "".join(_written(_parser.parse(pattern)))
        if re.fullmatch(pattern, made):
            return made
    except (re.error, ImportError, AttributeError, KeyError, TypeError, ValueError):
        pass
    return re.sub(r"[^A-Za-z0-9]", "", pattern) or "A1"


def _written(parsed: Any) -> Iterator[str]:
    for operator, argument in parsed:
        name = str(operator)
        if name == "LITERAL":
            yield chr(argument)
        elif name == "IN":
            yield _of_class(argument)
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
            least, most, inner = argument
            for number in range(max(least, 1 if int(most) >= 1 and least else least)):
                yield from _varied(inner, number)
        elif name == "SUBPATTERN":
            yield from _written(argument[-1])
        elif name == "BRANCH":
            yield from _written(argument[1][0])
        elif name in ("ANY", "NOT_LITERAL"):
            yield "x"


def _varied(inner: Any, number: int) -> Iterator[str]:
    """The next of a class each time: eight equal digits look like no account number."""
    for operator, argument in inner:
        if str(operator) == "IN":
            yield _of_class(argument, number + 1)
        else:
            yield from _written([(operator, argument)])


def _of_class(parts: Any, at: int = 0) -> str:
    choices: list[str] = []
    for operator, argument in parts:
        name = str(operator)
        if name == "LITERAL":
            choices.append(chr(argument))
        elif name == "RANGE":
            choices += [chr(one) for one in islice(range(argument[0], argument[1] + 1), 26)]
        elif name == "CATEGORY":
            choices += list(
                "0123456789" if "DIGIT" in str(argument) else "abcdefgh" if "WORD" in str(argument) else " "
            )
        elif name == "NEGATE":
            return "x"
    return choices[at % len(choices)] if choices else ""


# -- JSON that keeps or breaks a schema ---------------------------------------------------------------------


def json_values(schema: Mapping[str, Any], facts: Mapping[str, tuple[Any, ...]], *, name: str = "") -> tuple[Any, ...]:
    """Values that keep the JSON Schema, the plainest first; a property with a fact's name has the fact's values."""
    return tuple(_unique(_values(schema, schema.get("$defs", {}), facts, name, 0)))[:40]


def _values(schema: Any, defs: Any, facts: Mapping[str, tuple[Any, ...]], name: str, depth: int) -> Iterator[Any]:
    if "$ref" in schema:
        schema = defs.get(str(schema["$ref"]).rpartition("/")[2], {})
    if "const" in schema:
        yield schema["const"]
    elif "enum" in schema:
        yield from schema["enum"]
    elif options := schema.get("anyOf") or schema.get("oneOf"):
        nulls = [one for one in options if one.get("type") == "null"]
        for one in (*(one for one in options if one not in nulls), *nulls):
            yield from _values(one, defs, facts, name, depth)
    else:
        yield from _of_type(schema, defs, facts, name, depth)


def _of_type(schema: Any, defs: Any, facts: Mapping[str, tuple[Any, ...]], name: str, depth: int) -> Iterator[Any]:
    own = facts.get(name, ())
    match schema.get("type"):
        case "boolean":
            yield from (False, True)
        case "integer":
            least, most = schema.get("minimum", 0), schema.get("maximum", 10**6)
            numbers = [one for one in own if isinstance(one, int) and not isinstance(one, bool)]
            yield from (one for one in (*numbers, least, least + 1, most) if least <= one <= most)
        case "number":
            yield from (schema.get("minimum", 0), schema.get("maximum", 1.5))
        case "null":
            yield None
        case "array":
            items = list(islice(_values(schema.get("items", {}), defs, facts, "", depth + 1), 3))
            least = schema.get("minItems", 0)
            if items:
                yield items[:1] * max(least, 1)
                yield items
            if not least:
                yield []
        case "object" if depth < 4:
            yield from _objects(schema, defs, facts, depth)
        case "object":
            yield {}
        case _:
            yield from _strings(schema, own)


def _strings(schema: Any, own: tuple[Any, ...]) -> Iterator[str]:
    if schema.get("format") == "date":
        yield _DATE
    elif "pattern" in schema:
        yield matching(str(schema["pattern"]))
    else:
        yield from (one for one in own if isinstance(one, str))
        yield "All right."[: schema.get("maxLength", 100)].ljust(schema.get("minLength", 0), "x")


def _objects(schema: Any, defs: Any, facts: Mapping[str, tuple[Any, ...]], depth: int) -> Iterator[dict[str, Any]]:
    """One with every property, one with the required ones alone, then one other value at a time."""
    properties = schema.get("properties", {})
    required = set(schema.get("required", ()))
    choices = {
        one: list(_unique(_values(given, defs, facts, one, depth + 1)))[:10] for one, given in properties.items()
    }
    first = {one: values[0] for one, values in choices.items() if values}
    least = {one: value for one, value in first.items() if one in required or one == "reply"}
    yield least
    if first != least:
        yield first
    for one, values in choices.items():
        for value in values:
            yield {**least, one: value}


def broken_json(schema: Mapping[str, Any]) -> tuple[str, ...]:
    """Texts that break the schema of an object, each in another way."""
    good: Any = next(iter(json_values(schema, {})), None)
    found = ["I would rather not answer in JSON.", "[]", '{"nonsense":1}']
    if schema.get("required"):
        found.insert(0, "{}")
    if isinstance(good, dict) and good:
        name = next(iter(good))
        found.append(json.dumps({**good, name: {"not": ["what", "was", "asked"]}}))
    return tuple(found)


def _unique(values: Iterable[Any]) -> Iterator[Any]:
    seen: list[Any] = []
    for one in values:
        key = (type(one), one)
        if key not in seen:
            seen.append(key)
            yield one
