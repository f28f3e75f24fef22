"""explain: what a check asks, why, and whether its answer can be accepted."""

from typing import Any

import pytest

from interlock.fsm.checks.codes import CHECKS
from interlock.fsm.prove.codes import QUESTIONS


def test_a_question_is_explained(run: Any) -> None:
    ran = run("explain", "p305")
    assert ran.code == 0
    assert "P305 No loop runs without an input, a person or a limit." in ran.words
    assert "Such a loop calls models until somebody pays." in ran.words
    assert "`checks: {P305: the reason}`" in ran.words


def test_a_fault_cannot_be_accepted(run: Any) -> None:
    ran = run("explain", "S265")
    assert "S265 Some conversation that comes to an end can keep all policies." in ran.words
    assert "It cannot be accepted: every other answer is about a flow that has a meaning." in ran.words


@pytest.mark.parametrize("code", [one.code for one in (*CHECKS, *QUESTIONS)])
def test_every_code_has_its_explanation(code: str) -> None:
    from interlock.cli.explaining import document

    found = document(code)
    assert found["code"] == code
    assert all(found.values())


def test_a_code_that_there_is_not(run: Any) -> None:
    """Names those that are near."""
    ran = run("explain", "P399")
    assert ran.code == 2
    assert "There is no check 'P399'. fix Perhaps P309" in ran.words
    ran = run("explain", "nonsense", "--json")
    assert ran.json["error"]["fix"] == "Codes are as P305 or S130."
