"""Strict schemas: what fits OpenAI's subset is made to fit, what does not is named as such, nothing is changed."""

import copy
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel

from interlock.agents.strict_schema import strict_schema
from interlock.contracts.agents import AgentResult


class Colour(Enum):
    RED = "red"


class Leaf(BaseModel):
    kind: Literal["leaf"] = "leaf"
    text: str = Field(default="x", max_length=5, title="T", description="Short.")


class Node(BaseModel):
    kind: Literal["node"] = "node"
    children: list["Node | Leaf"] = Field(min_length=1, default_factory=list)


class Everything(AgentResult):
    leaf: Leaf
    tree: Annotated[Node | Leaf, Field(discriminator="kind", description="Either.")]
    maybe: Leaf | None = Field(default=None, description="Or not.")
    colour: Colour = Colour.RED
    due: date | None = None
    at: datetime | None = None
    price: Decimal = Decimal("1")
    code: str = Field(default="", pattern="^[a-z]+$")


def objects(part: Any) -> list[dict[str, Any]]:
    if isinstance(part, list):
        return [found for inner in part for found in objects(inner)]
    if not isinstance(part, dict):
        return []
    return [part] * ("properties" in part) + [found for inner in part.values() for found in objects(inner)]


def keywords(part: Any, names: bool = False) -> set[str]:
    if isinstance(part, list):
        return set().union(*(keywords(inner) for inner in part))
    if not isinstance(part, dict):
        return set()
    own = set() if names else set(part)
    return own.union(*(keywords(inner, name in ("properties", "$defs")) for name, inner in part.items()))


def test_every_object_requires_all_it_has_and_takes_nothing_else() -> None:
    schema = Everything.model_json_schema()
    before = copy.deepcopy(schema)
    made = strict_schema(schema)
    assert made is not None
    assert schema == before
    assert len(objects(made)) == 3
    for found in objects(made):
        assert found["required"] == list(found["properties"])
        assert found["additionalProperties"] is False
    assert keywords(made) <= {
        "$defs",
        "$ref",
        "additionalProperties",
        "anyOf",
        "const",
        "description",
        "enum",
        "format",
        "items",
        "minItems",
        "pattern",
        "properties",
        "required",
        "type",
    }
    assert made["properties"]["tree"] == {
        "anyOf": [{"$ref": "#/$defs/Node"}, {"$ref": "#/$defs/Leaf"}],
        "description": "Either.",
    }
    assert made["properties"]["code"] == {"type": "string", "pattern": "^[a-z]+$"}
    assert made["properties"]["price"] == {"anyOf": [{"type": "number"}, {"type": "string"}]}


def test_a_contract_that_refers_to_itself_is_strict_from_the_root() -> None:
    made = strict_schema(Node.model_json_schema())
    assert made is not None
    assert (made["type"], made["required"]) == ("object", ["kind", "children"])


class Open(BaseModel):
    model_config = ConfigDict(extra="allow")
    name: str


class Counts(BaseModel):
    counts: dict[str, int]


class Anything(BaseModel):
    what: Any


class Pair(BaseModel):
    both: tuple[int, str]


class Empty(BaseModel):
    pass


@pytest.mark.parametrize(
    "contract", [Open, Counts, Anything, Pair, Empty, RootModel[list[int]], RootModel[Leaf | Node]]
)
def test_what_cannot_be_strict_is_none(contract: type[BaseModel]) -> None:
    assert strict_schema(contract.model_json_schema()) is None


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"type": "object", "properties": {"a": True}},
        {"$ref": "#/$defs/Gone"},
        {"type": "object", "properties": {"a": {"not": {"type": "string"}}}},
        {"type": "object", "properties": {"a": {"allOf": [{"type": "string"}, {"type": "string"}]}}},
        {"type": "object", "properties": {"a": {"type": "array"}}},
    ],
)
def test_schemas_written_by_hand_may_be_unfit_too(schema: dict[str, Any]) -> None:
    assert strict_schema(schema) is None
