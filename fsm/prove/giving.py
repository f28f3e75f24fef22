"""What each ending of a state gives: facts that are known for sure afterwards, and those that may be.

It says what `service/facts.py` takes from a result, and what forms, people and child conversations bring.
"""

import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, TypeAdapter

from ...contracts.flow import (
    CACHED,
    AgentState,
    BroadcastState,
    CallState,
    CollectState,
    FactSpec,
    State,
    SubflowState,
    WaitState,
)
from ...contracts.tools import Tool
from ...contracts.values import MAX_SAFE_INTEGER
from ..program import Program
from .endings import Ending
from .schemas import Schema
from .subsumes import Fit, fit

NOTHING_SAID: Mapping[str, Any] = {}
"""The schema of a result that says nothing of itself."""


@dataclass(frozen=True, slots=True)
class Given:
    """Facts that an ending gives: `surely`, or perhaps. `untold` are those that the source may give for sure, and
    does not say."""

    surely: frozenset[str] = frozenset()
    maybe: frozenset[str] = frozenset()
    untold: frozenset[str] = frozenset()


def known_schema(spec: FactSpec) -> Mapping[str, Any]:
    """What a known fact is, as a tool or a child flow gets it."""
    match spec.type:
        case "yes_no":
            return {"type": "boolean"}
        case "choice":
            return {"enum": list(spec.choices)}
        case "date":
            return {"type": "string", "format": "date"}
        case "integer" | "money":
            least = -MAX_SAFE_INTEGER if spec.minimum is None else spec.minimum
            most = MAX_SAFE_INTEGER if spec.maximum is None else spec.maximum
            return {"type": "integer", "minimum": least, "maximum": most}
        case _:
            return {"type": "string", "minLength": 1}


def taken_schema(spec: FactSpec) -> Mapping[str, Any]:
    """What of a result is taken as the fact; everything else is left out."""
    if spec.type == "money":  # an amount in text or with cents behind a point: what it is worth decides
        return {
            "anyOf": [known_schema(spec), {"type": ["string", "number"], "not": {"type": "integer"}, "amount": True}]
        }
    return known_schema(spec)


@lru_cache(maxsize=256)
def result_schema(contract: type[BaseModel]) -> Mapping[str, Any] | None:
    """What an answer under the contract is, as data by field name; None where it has no schema."""
    try:
        return contract.model_json_schema(mode="serialization", by_alias=False)
    except Exception:  # noqa: BLE001 - a type without JSON Schema only leaves the question open
        return None


def argument_schema(tool: Tool) -> Mapping[str, Any] | None:
    """What the tool takes; None where it has no schema."""
    try:
        return tool.arguments.model_json_schema()
    except Exception:  # noqa: BLE001 - as above
        return None


def returned_schema(tool: Tool) -> Mapping[str, Any]:
    """What the tool returns, going by its annotation: a model or a `TypedDict` says it, anything else does not."""
    try:
        returned = typing.get_type_hints(tool.function, include_extras=True).get("return")
        if isinstance(returned, type) and issubclass(returned, BaseModel):
            return returned.model_json_schema(mode="serialization", by_alias=False)
        return _dictionary(returned) if hasattr(returned, "__required_keys__") else NOTHING_SAID
    except Exception:  # noqa: BLE001 - as above
        return NOTHING_SAID


def _dictionary(returned: Any) -> Mapping[str, Any]:
    """Of a `TypedDict`, whichever module it is from."""
    hints = typing.get_type_hints(returned)
    return {
        "type": "object",
        "properties": {name: TypeAdapter[Any](hint).json_schema(mode="serialization") for name, hint in hints.items()},
        "required": sorted(returned.__required_keys__),
    }


def field_of(schema: Mapping[str, Any], name: str) -> tuple[Schema | None, bool]:
    """The schema of a property of the document, as a document, and whether it is always there."""
    found = schema
    if "$ref" in schema and str(schema["$ref"]).startswith("#/$defs/"):
        found = schema.get("$defs", {}).get(str(schema["$ref"]).removeprefix("#/$defs/"), {})
    part = found.get("properties", {}).get(name)
    if part is None:
        return None, False
    whole: Schema = {**part, "$defs": schema.get("$defs", {})} if isinstance(part, Mapping) else part
    return whole, name in found.get("required", ())


def without_null(schema: Schema) -> Schema:
    """The same without null, which says that nothing is given."""
    if isinstance(schema, bool):
        return schema
    found = dict(schema)
    for word in ("anyOf", "oneOf"):
        if word in found:
            found[word] = [one for one in found[word] if one != {"type": "null"}]
    if isinstance(found.get("type"), list):
        found["type"] = [one for one in found["type"] if one != "null"]
    if "enum" in found:
        found["enum"] = [one for one in found["enum"] if one is not None]
    return found


def taken(spec: FactSpec, schema: Schema) -> Fit:
    """How what a field may hold fits what the fact takes of it."""
    target = taken_schema(spec)
    if spec.sealed:  # a blank text is no fact, and no fault either
        target = {"type": "string"}
    return fit(without_null(schema), target)


def _of_result(program: Program, schema: Mapping[str, Any] | None) -> Given:
    if schema is None or not schema:
        every = frozenset(program.facts)
        return Given(maybe=every, untold=every)
    surely: set[str] = set()
    maybe: set[str] = set()
    untold: set[str] = set()
    for name, spec in program.facts.items():
        part, always = field_of(schema, name)
        if part is None:
            continue
        maybe.add(name)
        if always and (found := fit(part, taken_schema(spec)).verdict) != "does not fit":
            (surely if found == "fits" else untold).add(name)
    return Given(frozenset(surely), frozenset(maybe), frozenset(untold))


def volunteered(program: Program) -> frozenset[str]:
    """Facts that any message may hold."""
    return frozenset(name for name, spec in program.facts.items() if spec.volunteered)


def gives(program: Program, state: State, ending: Ending) -> Given:
    """What is known after the ending that was not before."""
    match state:
        case CollectState():
            return _of_a_form(program, state, ending)
        case WaitState():
            if ending.on == "message" or "message" in ending.events:
                return Given(maybe=volunteered(program))
            return Given(maybe=frozenset(program.facts)) if ending.on in state.inputs else Given()
        case AgentState():
            return _of_an_agent(program, state, ending)
        case CallState():
            return _of_a_tool(program, state.tool) if ending.on == "done" else Given()
        case BroadcastState() if f"result:{state.name}" in ending.events:
            agents = (*(one.agent for one in state.members), *state.workers)
            return Given(maybe=_every(_of_contract(program, name).maybe for name in agents))
        case SubflowState() if f"result:{state.name}" in ending.events and state.flow in program.children:
            return Given(maybe=frozenset(state.returns))
        case _:
            return Given(maybe=volunteered(program)) if "message" in ending.events else Given()


def _every(some: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset(name for one in some for name in one)


def _of_a_form(program: Program, state: CollectState, ending: Ending) -> Given:
    if ending.on == "expired":
        return Given()
    maybe = volunteered(program) | frozenset(state.facts)
    if ending.on != "complete":
        return Given(maybe=maybe)
    asked = () if state.enough else tuple(name for name in state.facts if name not in state.optional)
    return Given(frozenset(asked), maybe)


def _of_contract(program: Program, agent: str) -> Given:
    contract = program.code.contracts.get(program.agents[agent].contract or "")
    return Given() if contract is None else _of_result(program, result_schema(contract))


def _of_an_agent(program: Program, state: AgentState, ending: Ending) -> Given:
    tools = [_of_a_tool(program, name) for name in state.tools] if ending.worked else []
    used = _every(one.maybe for one in tools)
    if state.judges is not None or f"result:{state.name}" not in ending.events:
        return Given(maybe=used)
    answers = [_of_contract(program, one) for one in (state.agent, *state.fallbacks) if one != CACHED]
    surely = frozenset(program.facts)
    for one in answers:
        surely &= one.surely
    return Given(surely, used | _every(one.maybe for one in answers), _every(one.untold for one in answers))


def _of_a_tool(program: Program, name: str) -> Given:
    return _of_result(program, returned_schema(program.code.tools[name]))
