"""Values that fit: a result for a contract, a value for a fact, and facts for which guards say what they should."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

from ...agents.contract import fitted
from ...contracts.agents import Judgement, Plan
from ...contracts.facts import Facts, KnownFact, OpenValue
from ...contracts.flow import FactSpec
from ...contracts.guard import Guard
from ...fsm.guards import GuardFunction

MOST_DEEP = 6
_DAY = "2026-01-05"


def value_of(spec: FactSpec) -> OpenValue:
    """Some value that the fact may have; of sealed facts, the text."""
    return next(values_of(spec, ()))


def values_of(spec: FactSpec, near: Iterable[int]) -> Iterator[OpenValue]:
    """Values that guards may tell apart: every choice, yes and no, numbers around those in `near`."""
    match spec.type:
        case "yes_no":
            yield from (True, False)
        case "choice":
            yield from spec.choices or ("none",)
        case "money" | "integer":
            least = spec.minimum if spec.minimum is not None else 0
            most = spec.maximum if spec.maximum is not None else max(least, 1_000_000)
            wanted = dict.fromkeys(one + by for one in near for by in (0, -1, 1))
            yield from dict.fromkeys(one for one in (least, *wanted, most) if least <= one <= most)
        case "date":
            yield _DAY
        case _:
            yield "anything"


def facts_that_fit(
    wanted: Mapping[str, bool | None],
    atoms: Mapping[str, Guard],
    functions: Mapping[str, GuardFunction],
    specs: Sequence[FactSpec],
    known: Facts,
    takes: Callable[[str, OpenValue], bool] = lambda _name, _value: True,
) -> dict[str, OpenValue]:
    """Values of `specs` with which as many of the `wanted` verdicts as possible come about by themselves.

    Looks at one fact after another, twice: enough for guards that each read one fact, and more are rare. `takes` says
    whether whoever gives the fact can give that value.
    """
    asked = [(atoms[name], value) for name, value in wanted.items() if name in atoms]
    near = [int(one) * by for atom, _ in asked for one in atom.arguments if _is_number(one) for by in (1, 100)]
    chosen: dict[str, OpenValue] = {}

    def right(values: Mapping[str, OpenValue]) -> int:
        facts = _with(known, values)
        return sum(verdict(functions, atom, facts) is value for atom, value in asked)

    best = right(chosen)
    for spec in (*specs, *specs):
        for value in values_of(spec, near) if best < len(asked) else ():
            if takes(spec.name, value) and (found := right({**chosen, spec.name: value})) > best:
                best, chosen = found, {**chosen, spec.name: value}
    return chosen


def verdict(functions: Mapping[str, GuardFunction], atom: Guard, facts: Facts) -> bool | None:
    """What the guard itself says; None where it fails with an error."""
    try:
        return functions[atom.name](facts, *atom.arguments) is True
    except Exception:  # noqa: BLE001 - a guard may raise anything
        return None


def _with(known: Facts, values: Mapping[str, OpenValue]) -> Facts:
    more = {name: KnownFact(name=name, value=value) for name, value in values.items()}
    return Facts({**known.known_facts, **more}, known.digression_depth, known.visits, known.messages, known.confidence)


def _is_number(value: object) -> bool:
    return isinstance(value, int) or (isinstance(value, str) and value.replace(".", "", 1).lstrip("-").isdigit())


def result_of(contract: type[BaseModel], outcome: str, given: Mapping[str, Any], workers: Sequence[str]) -> Any:
    """A result that fits the contract, with these fields; None where none was found.

    A judge's verdict follows the outcome; a plan has one subtask for the first of the `workers`, or none of them.
    """
    schema = contract.model_json_schema()
    fields: dict[str, Any] = {name: given[name] for name in schema.get("properties", {}) if name in given}
    own = outcome
    if issubclass(contract, Judgement):
        own, fields["verdict"] = ("unsure", "fail") if outcome == "unsure" else ("done", _VERDICTS.get(outcome, "fail"))
    if issubclass(contract, Plan):
        fields["subtasks"] = [{"worker": one, "task": "Do it."} for one in workers[:1]]
    if "outcome" in schema.get("properties", {}):
        fields["outcome"] = own
    made = _sample(schema, schema, 0)
    value = {**(made if isinstance(made, dict) else {}), **fields}
    return value if fitted(value, contract)[0] is not None else None


_VERDICTS = {"done": "pass", "refused": "fail"}


def _sample(schema: Mapping[str, Any], whole: Mapping[str, Any], depth: int) -> Any:
    """The smallest value that the schema takes, as far as its plain keywords say."""
    if depth > MOST_DEEP:
        return None
    if "$ref" in schema:
        return _sample(whole.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {}), whole, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for name in ("anyOf", "oneOf", "allOf"):
        if schema.get(name):
            parts = sorted(schema[name], key=lambda part: part.get("type") != "null")
            return _sample(parts[0], whole, depth + 1)
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: _sample(properties.get(name, {}), whole, depth + 1) for name in schema.get("required", ())}
        case "array":
            return [_sample(schema.get("items", {}), whole, depth + 1)] * schema.get("minItems", 0)
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return False
        case "string":
            return {"date": _DAY}.get(schema.get("format", "")) or "x" * max(1, schema.get("minLength", 1))
        case _:
            return None


def _number(schema: Mapping[str, Any]) -> int:
    above = schema.get("exclusiveMinimum")
    least = schema.get("minimum", 0 if above is None else above + 1)
    most = schema.get("maximum", schema.get("exclusiveMaximum", least + 1) if "exclusiveMaximum" in schema else least)
    return int(max(least, 0) if most >= 0 else most)
