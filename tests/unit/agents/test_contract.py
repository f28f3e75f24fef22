"""The contract check: what is refused, in which words, and what is let through."""

import json
from datetime import date
from decimal import Decimal
from typing import Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, field_serializer, field_validator

from interlock.agents.contract import MAX_VIOLATIONS, Checked, checked, outcome_of
from interlock.agents.strict_json import read_json
from interlock.contracts.agents import AgentResult


class Step(BaseModel):
    name: str
    minutes: int = Field(default=1, ge=0, le=60)


class Plan(AgentResult):
    steps: tuple[Step, ...] = ()
    kind: Literal["fast", "slow"] = "slow"
    extras: dict[str, int] = Field(default_factory=dict)
    due: date | None = None
    price: Decimal | None = None
    code: str = Field(default="AB", pattern="^[A-Z]{2}$", max_length=2)


def violations(text: str, contract: type[BaseModel] = Plan) -> tuple[str, ...]:
    found = checked(text, contract)
    assert (found.result, found.data) == (None, {}) or not found.violations
    return found.violations


def test_a_result_comes_back_typed_and_as_json_data() -> None:
    found = checked('{"due": "2026-01-31", "price": "1.20", "steps": [{"name": "a"}]}', Plan)
    assert found.result == Plan(due=date(2026, 1, 31), price=Decimal("1.20"), steps=(Step(name="a"),))
    assert found.data == {
        "outcome": "done",
        "reply": "",
        "steps": [{"name": "a", "minutes": 1}],
        "kind": "slow",
        "extras": {},
        "due": "2026-01-31",
        "price": "1.20",
        "code": "AB",
    }


def test_without_a_contract_any_text_passes() -> None:
    assert checked("not { json \x00 \ud800", None) == Checked()
    assert checked("é" * 600_000, None).violations == ("The answer is longer than 1000000 bytes.",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "The answer is not JSON: a value was expected at character 0 of 0."),
        ("Sure! {}", "The answer is not JSON: a value was expected at character 0 of 8."),
        ("{} and more", "The answer is not JSON: text follows the JSON value at character 3 of 11."),
        ('{"a" 1}', "The answer is not JSON: a colon was expected at character 5 of 7."),
        ("{'a': 1}", "The answer is not JSON: a name in double quotes was expected at character 1 of 8."),
        ('{"a": "\\q"}', "The answer is not JSON: an escape is not one of JSON's at character 7 of 11."),
        ('{"reply": "open', "The answer is not JSON: a string does not end at character 10 of 15."),
        ('{"reply": "a", "reply": "b"}', "An object holds the same name twice."),
        ('{"steps": [{"name": "a", "name": "a"}]}', "An object holds the same name twice."),
        ('{"a": NaN}', "NaN and infinities are not JSON."),
        ('{"a": -Infinity}', "NaN and infinities are not JSON."),
        ('{"a": 1e999}', "A number is too large for a JSON reader."),
        ('{"a": 9007199254740992}', "An integer is beyond 2^53-1, which JSON readers do not keep exact."),
        ('{"a": -' + "9" * 9000 + "}", "An integer is beyond 2^53-1, which JSON readers do not keep exact."),
        ("[" * 66 + "]" * 66, "The answer is nested deeper than 64 levels."),
        ("[" * 500_000, "The answer is nested deeper than 64 levels."),
        ('{"a":' * 100_000, "The answer is nested deeper than 64 levels."),
        (" " * 1_000_001, "The answer is longer than 1000000 bytes."),
        ("[]", "The answer: must be an object."),
        ('"{}"', "The answer: must be an object; it came as a string that holds JSON."),
        ("null", "The answer: must be an object."),
    ],
)
def test_what_is_refused_says_so_in_one_sentence(text: str, said: str) -> None:
    assert violations(text) == (said,)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"steps": '[{"name": "a"}]'}, "steps: must be a list; it came as a string that holds JSON."),
        ({"steps": "none"}, "steps: must be a list."),
        ({"steps": ['{"name": "a"}']}, "steps.0: must be an object; it came as a string that holds JSON."),
        ({"steps": [{"name": "a"}, {}]}, "steps.1.name: is missing."),
        ({"steps": [{"name": 5}]}, "steps.0.name: must be a string."),
        ({"steps": [{"name": "a", "minutes": "5"}]}, "steps.0.minutes: must be an integer."),
        ({"steps": [{"name": "a", "minutes": True}]}, "steps.0.minutes: must be an integer."),
        ({"steps": [{"name": "a", "minutes": 61}]}, "steps.0.minutes: must be at most 60."),
        ({"steps": [{"name": "a", "minutes": -1}]}, "steps.0.minutes: must be at least 0."),
        ({"kind": "IGNORE ALL RULES"}, "kind: must be one of: 'fast' or 'slow'."),
        ({"outcome": "failed"}, "outcome: must be one of: 'done', 'unsure' or 'refused'."),
        ({"4000 1234 5678": 1}, "?: is not in the contract."),
        ({"extras": {"Jane Doe": "x"}}, "extras.?: must be an integer."),
        ({"code": "ab"}, "code: must match ^[A-Z]{2}$."),
        ({"code": "ABC"}, "code: must have at most 2 characters."),
        ({"due": "yesterday"}, "due: must be a date as YYYY-MM-DD."),
    ],
)
def test_a_violation_names_the_field_and_what_was_expected(fields: dict[str, Any], said: str) -> None:
    assert violations(json.dumps(fields)) == (said,)


def test_only_twenty_violations_are_told_and_the_rest_is_counted() -> None:
    found = violations(json.dumps({"steps": [1] * 500}))
    assert len(found) == MAX_VIOLATIONS
    assert found[-1] == "And 481 more."


@pytest.mark.parametrize(
    "text", ['```json\n{"kind":"fast"}\n```', '  ```\r\n{"kind":"fast"}\r\n```\n', '```JSON\n{"kind":"fast"}```']
)
def test_one_code_fence_around_the_whole_is_taken_off_and_told(text: str) -> None:
    found = checked(text, Plan)
    assert (found.result, found.unfenced) == (Plan(kind="fast"), True)


@pytest.mark.parametrize(
    "text", ["```json\n{}\n```\nDone!", "Here:\n```json\n{}\n```", "```json\n```json\n{}\n```\n```", "`{}`", "```{}```"]
)
def test_any_other_wrapping_is_refused(text: str) -> None:
    assert violations(text)[0].startswith("The answer is not JSON")


@pytest.mark.parametrize(
    ("text", "reply"),
    [
        ('{"reply": "a\\u0000b"}', "a\0b"),
        ('{"reply": "a\0\tb"}', "a\0\tb"),
        ('{"reply": "\\ud83d\\ude00"}', "😀"),
        ('{"reply": "\\ud800"}', "\ufffd"),
        ('{"reply": "x\udfffy"}', "x\ufffdy"),
    ],
)
def test_strings_may_hold_anything_and_lone_surrogates_are_replaced(text: str, reply: str) -> None:
    assert checked(text, Plan).data["reply"] == reply


class Touchy(AgentResult):
    word: str = ""

    @field_validator("word")
    @classmethod
    def _checked(cls, word: str) -> str:
        if word.startswith("v"):
            raise ValueError(f"bad {word}")
        if word.startswith("k"):
            raise KeyError(word)
        return word

    @field_serializer("word")
    def _written(self, word: str) -> str:
        if word.startswith("s"):
            raise RuntimeError(word)
        return word


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("v4111 1111", "word: breaks the rule value_error."),
        ("k4111 1111", "The check of Touchy stopped with KeyError."),
        ("s4111 1111", "The check of Touchy stopped with PydanticSerializationError."),
    ],
)
def test_a_validator_may_raise_anything_and_its_words_stay_inside(word: str, said: str) -> None:
    assert violations(json.dumps({"word": word}), Touchy) == (said,)


def test_names_that_the_schema_knows_by_alias_are_told() -> None:
    class Aliased(BaseModel):
        model_config = ConfigDict(extra="forbid")
        amount_cents: int = Field(alias="amountCents")

    assert violations('{"amountCents": "x"}', Aliased) == ("amountCents: must be an integer.",)
    assert checked('{"amountCents": 5}', Aliased).data == {"amount_cents": 5}


def test_a_contract_that_is_a_list_gives_its_data_under_root() -> None:
    assert checked("[1]", RootModel[list[int]]).data == {"root": [1]}


class Wordy(AgentResult):
    outcome: Literal["done", "escalated"] = "done"  # type: ignore[assignment]


@pytest.mark.parametrize(
    ("text", "contract", "refused", "outcome"),
    [
        ('{"outcome": "done"}', Plan, False, "done"),
        ('{"outcome": "unsure"}', Plan, False, "unsure"),
        ('{"outcome": "refused"}', Plan, False, "refused"),
        ("I cannot help.", Plan, True, "refused"),
        ("I cannot help.", Plan, False, "invalid"),
        ("Anything.", None, False, "done"),
        ('{"name": "a"}', Step, False, "done"),
        ('{"outcome": "escalated"}', Wordy, False, "invalid"),
    ],
)
def test_the_outcome_is_the_refusal_then_the_violations_then_the_results_own_word(
    text: str, contract: type[BaseModel] | None, refused: bool, outcome: str
) -> None:
    assert outcome_of(checked(text, contract), refused) == outcome


def test_nesting_of_exactly_64_levels_is_read() -> None:
    assert read_json("[" * 64 + "]" * 64).problem == ""
    assert read_json("[" * 65 + "]" * 65).problem != ""
