"""The contract check: what a model wrote becomes a typed result, or a list of violations.

Pure. A violation is safe for the log: its path is made of names that the contract declares and of indices,
and it says what was expected; what the model wrote is never in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from ..contracts.agents import AgentOutcome, AgentResult
from ..contracts.payload import bytes_of
from ..contracts.values import printable
from .strict_json import MAX_BYTES, read_json, written

MAX_VIOLATIONS = 20
_LONGEST = 240
_OWN_WORDS: dict[str, AgentOutcome] = {"done": "done", "unsure": "unsure", "refused": "refused"}

_SENTENCES = {
    "missing": "is missing",
    "extra_forbidden": "is not in the contract",
    "string_type": "must be a string",
    "int_type": "must be an integer",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "none_required": "must be null",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "set_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "literal_error": "must be one of: {expected}",
    "enum": "must be one of: {expected}",
    "date_parsing": "must be a date as YYYY-MM-DD",
    "date_from_datetime_parsing": "must be a date as YYYY-MM-DD",
    "date_type": "must be a date as YYYY-MM-DD",
    "decimal_type": "must be a decimal number",
    "decimal_parsing": "must be a decimal number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "multiple_of": "must be a multiple of {multiple_of}",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "must match {pattern}",
    "too_short": "must have at least {min_length} items",
    "too_long": "must have at most {max_length} items",
    "union_tag_invalid": "must be tagged with one of: {expected_tags}",
    "union_tag_not_found": "must have the tag {discriminator}",
}
"""pydantic's error types in words. Each place is filled from the contract, never from the answer."""
_CONTAINERS = frozenset({"list_type", "tuple_type", "set_type", "dict_type", "model_type", "model_attributes_type"})


@dataclass(frozen=True, slots=True)
class Checked:
    """The typed result and the same as JSON data, or the violations (then `result` is None and `data` empty).

    `unfenced` is True where a Markdown code fence around the JSON was taken off.
    """

    result: BaseModel | None = None
    data: dict[str, Any] = field(default_factory=dict)
    violations: tuple[str, ...] = ()
    unfenced: bool = False


def checked(text: str, contract: type[BaseModel] | None, *, max_bytes: int = MAX_BYTES) -> Checked:
    """What `text` is under `contract`; with None, any text within `max_bytes` passes and gives no data.

    Types are taken strictly, as the contract's JSON Schema says them: "5" is no integer, and a list that
    came as a string is a violation. Lone surrogates in strings become U+FFFD in the result. Never raises,
    whatever the text is, and whatever a validator of the contract raises.
    """
    if contract is None:
        too_long = len(text) > max_bytes or len(bytes_of(text)) > max_bytes
        return Checked(violations=(f"The answer is longer than {max_bytes} bytes.",) if too_long else ())
    reading = read_json(text, max_bytes=max_bytes)
    if reading.problem:
        return Checked(violations=(reading.problem,), unfenced=reading.unfenced)
    result, data, violations = fitted(reading.value, contract)
    return Checked(result, data, violations, reading.unfenced)


def fitted(
    value: Any, contract: type[BaseModel], *, what: str = "The answer"
) -> tuple[BaseModel | None, dict[str, Any], tuple[str, ...]]:
    """A JSON value as the contract's type and as JSON data by field name, or the violations. Never raises."""
    try:
        result = contract.model_validate_json(written(_encodable(value)), strict=True)
        dumped: Any = result.model_dump(mode="json", warnings=False)
        data = dumped if isinstance(dumped, dict) else {"root": dumped}
        written(data)
    except ValidationError as error:
        return None, {}, _violations(error, contract, what)
    except Exception as error:  # noqa: BLE001 - a contract's own validators may raise anything
        return None, {}, (f"The check of {printable(contract.__name__)} stopped with {_class_name(error)}.",)
    return result, data, ()


def outcome_of(found: Checked, refused: bool = False) -> AgentOutcome:
    """How the attempt ended: the provider's refusal first, then violations, then the result's own word.

    A result that is no `AgentResult` says nothing of itself and is `done`. A subclass that allows itself
    another word than `done`, `unsure` or `refused` breaks the contract of contracts and is `invalid`.
    """
    if refused:
        return "refused"
    if found.violations:
        return "invalid"
    if isinstance(found.result, AgentResult):
        return _OWN_WORDS.get(str(found.result.outcome), "invalid")
    return "done"


def _encodable(value: Any) -> Any:
    """`value` with lone surrogates replaced: pydantic's JSON reader refuses the whole text for one of them."""
    if isinstance(value, str):
        return value if value.isascii() else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_encodable(name): _encodable(part) for name, part in value.items()}
    return [_encodable(part) for part in value] if isinstance(value, list) else value


def _violations(error: ValidationError, contract: type[BaseModel], what: str) -> tuple[str, ...]:
    found = error.errors(include_url=False)
    shown = found if len(found) <= MAX_VIOLATIONS else found[: MAX_VIOLATIONS - 1]
    known = _known_names(contract)
    sentences = [_sentence(fault, known, what) for fault in shown]
    if len(shown) < len(found):
        sentences.append(f"And {len(found) - len(shown)} more.")
    return tuple(sentences)


def _sentence(fault: ErrorDetails, known: frozenset[str], what: str) -> str:
    path = ".".join(_step(step, known) for step in fault["loc"]) or what
    kind = fault["type"]
    said = _SENTENCES.get(kind)
    if said is None:
        said = f"breaks the rule {kind if kind.isidentifier() else 'custom'}"
    else:
        try:
            said = said.format_map(fault.get("ctx", {}))
        except (KeyError, ValueError):
            said = f"breaks the rule {kind}"
    if kind in _CONTAINERS and _holds_json(fault["input"]):
        said += "; it came as a string that holds JSON"
    return printable(f"{path}: {said}.", _LONGEST)


def _step(step: int | str, known: frozenset[str]) -> str:
    return str(step) if isinstance(step, int) or step in known else "?"


def _holds_json(given: object) -> bool:
    return isinstance(given, str) and given.lstrip()[:1] in ("[", "{")


@lru_cache(maxsize=512)
def _known_names(contract: type[BaseModel]) -> frozenset[str]:
    """Every property name in the contract's schema; the field names alone where it has no JSON Schema."""
    names: set[str] = set(contract.model_fields)
    try:
        schema: object = contract.model_json_schema()
    except Exception:  # noqa: BLE001 - a type without JSON Schema only makes the paths less telling
        return frozenset(names)
    todo: list[object] = [schema]
    while todo:
        part = todo.pop()
        if isinstance(part, Mapping):
            properties = part.get("properties")
            names.update(properties if isinstance(properties, Mapping) else ())
            todo.extend(part.values())
        elif isinstance(part, list):
            todo.extend(part)
    return frozenset(names)


def _class_name(error: BaseException) -> str:
    return printable(type(error).__name__, 60)
