"""A field that a shape got later: old bytes stay what they were."""

from typing import Any

from interlock.contracts.values import Value, added


class _Before(Value):
    name: str


class _Since(_Before):
    depth: int = added(0)
    parts: tuple[str, ...] = added(())


def test_a_field_with_its_default_is_absent_from_the_bytes() -> None:
    assert _Since(name="a").canonical_bytes() == _Before(name="a").canonical_bytes() == b'{"name":"a"}'


def test_a_field_with_another_value_is_there_and_comes_back() -> None:
    written: dict[str, Any] = {"depth": 2, "name": "a", "parts": ["x"]}
    found = _Since(name="a", depth=2, parts=("x",))
    assert found.model_dump(mode="json", exclude_none=True) == written
    assert _Since.model_validate_json(found.canonical_bytes()) == found
