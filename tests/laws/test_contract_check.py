"""The contract check is total and keeps secrets: any text is a result, or sentences that tell nothing of the text."""

import json
import re
from typing import Any, Literal

from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, RootModel

from interlock.agents.contract import MAX_VIOLATIONS, checked, outcome_of
from interlock.agents.strict_json import read_json
from interlock.agents.tools import check_arguments, tool
from interlock.contracts.agents import AgentResult
from interlock.contracts.canonical import MAX_DEPTH
from interlock.contracts.payload import text_of


class Step(BaseModel):
    name: str
    minutes: int = Field(default=1, ge=0)


class Plan(AgentResult):
    steps: list[Step] = Field(default_factory=list)
    kind: Literal["fast", "slow"] = "slow"
    extras: dict[str, int | bool] = Field(default_factory=dict)
    ratio: float = 0
    flag: bool | None = None
    either: Step | list[Step] | str = ""


@tool
def plan(steps: list[Step], kind: Literal["fast", "slow"] = "slow", note: str | None = None) -> None:
    """Plans."""


CONTRACTS: list[type[BaseModel] | None] = [None, Plan, Step, RootModel[list[int]]]
KNOWN = {"outcome", "reply", "steps", "kind", "extras", "ratio", "flag", "either", "name", "minutes", "root"}
names = st.one_of(st.sampled_from(sorted(KNOWN)), st.text(max_size=8))
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs", "Cc", "L"]), max_size=6),
    st.sampled_from(["done", "fast", "[1]", "{}"]),
)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=5), max_leaves=30
)
SAFE = re.compile(r"[\x20-\x7e]{1,240}")
SYNTAX = re.compile(
    r"The answer (is not JSON: [a-z' JSON]+ at character \d+ of \d+|is longer than \d+ bytes"
    r"|is nested deeper than 64 levels)\."
)
WHOLE = {
    "An object holds the same name twice.",
    "NaN and infinities are not JSON.",
    "An integer is beyond 2^53-1, which JSON readers do not keep exact.",
    "A number is too large for a JSON reader.",
}
FIELD = re.compile(r"(?:(?P<path>[A-Za-z0-9_?.]+)|The answer): (?:is|must|breaks) [^:]*(?:: [^:]*)?\.")


def holds_for(text: str, contract: type[BaseModel] | None) -> None:
    found = checked(text, contract)
    assert (found.result is None) == (bool(found.violations) or contract is None)
    assert len(found.violations) <= MAX_VIOLATIONS
    assert outcome_of(found) in ("done", "unsure", "refused", "invalid")
    assert (outcome_of(found) == "invalid") == bool(found.violations)
    for said in found.violations:
        assert SAFE.fullmatch(said)
        tells_only_what_the_contract_knows(said)
    if found.result is not None:
        again = checked(json.dumps(found.data.get("root", found.data)), contract)
        assert (again.result, again.data) == (found.result, found.data)


def tells_only_what_the_contract_knows(said: str) -> None:
    if said in WHOLE or SYNTAX.fullmatch(said) or re.fullmatch(r"And \d+ more\.", said):
        return
    matched = FIELD.fullmatch(said)
    assert matched, said
    for step in (matched["path"] or "?").split("."):
        assert step == "?" or step.isdecimal() or step in KNOWN


@given(st.text(st.characters(categories=None)), st.sampled_from(CONTRACTS))
@example("[" * 100_000, Plan)
@example('{"a":' * 100_000, Plan)
@example('{"steps": [' + '{"name": 1},' * 5000 + "1]}", Plan)
@example("9" * 100_000, Plan)
@example('"' + "\\ud800" * 1000 + '"', Step)
def test_any_text_is_a_result_or_violations(text: str, contract: type[BaseModel] | None) -> None:
    holds_for(text, contract)


@given(st.binary(), st.sampled_from(CONTRACTS))
def test_any_bytes_are_a_result_or_violations(data: bytes, contract: type[BaseModel] | None) -> None:
    holds_for(text_of(data), contract)


@given(documents, st.sampled_from(CONTRACTS), st.booleans())
def test_any_json_is_a_result_or_violations(document: Any, contract: type[BaseModel] | None, ascii_only: bool) -> None:
    holds_for(json.dumps(document, ensure_ascii=ascii_only), contract)


@given(st.dictionaries(names, documents, max_size=6))
def test_any_object_is_a_result_or_violations(fields: dict[str, Any]) -> None:
    holds_for(json.dumps(fields), Plan)


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.integers(0, 9)), max_size=6))
def test_a_name_that_comes_twice_is_always_refused(pairs: list[tuple[str, int]]) -> None:
    text = "{" + ",".join(f'"{name}":{number}' for name, number in pairs) + "}"
    repeated = len({name for name, _ in pairs}) < len(pairs)
    assert (read_json(text).problem == "An object holds the same name twice.") == repeated


@given(st.integers(1, 2 * MAX_DEPTH), st.booleans())
@example(MAX_DEPTH, True)
@example(MAX_DEPTH, False)
@example(MAX_DEPTH + 1, True)
@example(MAX_DEPTH + 1, False)
def test_the_depth_limit_is_exact(depth: int, objects: bool) -> None:
    text = '{"a":' * depth + "1" + "}" * depth if objects else "[" * depth + "]" * depth
    assert bool(read_json(text).problem) == (depth > MAX_DEPTH)


@given(st.integers())
@example(2**53 - 1)
@example(2**53)
@example(-(2**53))
def test_the_integer_limit_is_exact(number: int) -> None:
    assert (read_json(str(number)).problem == "") == (abs(number) < 2**53)


@given(documents)
def test_a_fence_changes_nothing_but_the_remark(document: Any) -> None:
    text = json.dumps(document)
    plain, fenced = read_json(text), read_json(f"```json\n{text}\n```")
    assert (repr(plain.value), plain.problem) == (repr(fenced.value), fenced.problem)
    assert (plain.unfenced, fenced.unfenced) == (False, True)


@given(documents, st.text(st.characters(categories=None), min_size=1))
def test_nothing_may_follow_the_value(document: Any, rest: str) -> None:
    if rest.strip():
        assert read_json(json.dumps([document]) + rest).problem


@given(st.one_of(st.text(st.characters(categories=None)), documents.map(json.dumps)))
def test_any_arguments_are_arguments_or_problems(text: str) -> None:
    found, problems = check_arguments(plan, text)
    assert (found is None) == bool(problems)
    if found is not None:
        assert check_arguments(plan, json.dumps(found)) == (found, ())
    assert all(SAFE.fullmatch(problem) for problem in problems)
