"""What is kept of a failure: a test that fails while the bug is there and passes once it is mended."""

import runpy
from dataclasses import replace
from pathlib import Path

import pytest

from interlock.contracts.errors import CallError
from interlock.contracts.facts import Facts
from interlock.testing import answers
from interlock.testing.answers import guard_says, phrase_means
from interlock.testing.baseline import Baseline, Verdict
from interlock.testing.checking import Asked, Found, guards_as_before, sentences
from interlock.testing.keeping import kept
from interlock.testing.sentences import not_as_said, untold
from interlock.testing.values import guards_of
from support.seeded import bank_with


def below(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount < limit * 100


def at_most(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is not None and amount <= limit * 100


def unless_more(facts: Facts, limit: int) -> bool:
    amount = facts.integer("amount")
    return amount is None or amount <= limit * 100


def run_kept(test: Path, program: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the kept test's one function on this program."""
    monkeypatch.setattr(answers, "program_of", lambda _: program)
    names = runpy.run_path(str(test))
    next(one for name, one in names.items() if name.startswith("test_"))()


def test_a_sentence_that_is_not_kept_is_kept_as_a_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = bank_with({"amount_at_most": below})
    found = sentences(Asked(wrong))
    assert found is not None
    log, test = kept(wrong, found, tmp_path, "bank sentences")
    assert log is None
    assert "guard_says('bank', 'amount_at_most', (100,), {'amount': 10000}, True)" in test.read_text("utf-8")
    with pytest.raises(AssertionError, match=r"With amount = 10000 the guard .* does not hold; it should be: holds"):
        run_kept(test, wrong, monkeypatch)
    run_kept(test, bank_with({"amount_at_most": at_most}), monkeypatch)


def test_a_guard_that_says_something_else_than_recorded_is_kept_as_a_test(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong, good = bank_with({"amount_at_most": below}), bank_with({"amount_at_most": at_most})
    guard = next(one for one in guards_of(good.flow) if one.name == "amount_at_most")
    found = guards_as_before(Asked(wrong, baseline=Baseline(good.flow, (Verdict(guard, {"amount": 10000}, True),))))
    assert found is not None
    assert found.faults == ("of amount 10000 the guard amount_at_most(100) held; today it does not hold",)
    _, test = kept(wrong, found, tmp_path, "guards")
    with pytest.raises(AssertionError):
        run_kept(test, wrong, monkeypatch)
    run_kept(test, good, monkeypatch)


def test_what_is_at_most_does_not_hold_of_the_unknown() -> None:
    """The control: the same guard that asks whether it is known."""
    said = [str(one) for one in not_as_said(bank_with({"amount_at_most": unless_more}))]
    assert said == ["the guard amount_at_most(100) says “the amount is at most €100”; with amount unknown it holds"]
    assert not_as_said(bank_with({"amount_at_most": at_most})) == []


def test_a_guard_whose_sentence_cannot_tell_is_noted() -> None:
    program = bank_with({"amount_at_most": unless_more})
    maker = program.code.guards["amount_at_most"]
    vague = replace(maker, spec=maker.spec.changed(says="the amount is fine for {limit}"))
    program = replace(program, code=replace(program.code, guards={**program.code.guards, "amount_at_most": vague}))
    assert untold(program) == [
        "the guard amount_at_most(100) (“the amount is fine for 100”) holds with amount unknown: is that meant?"
    ]


def test_a_phrase_that_is_routed_elsewhere_is_kept_as_a_test(tmp_path: Path) -> None:
    program = bank_with({})
    found = Found("rules", ("“x”",), asserts=(("phrase_means", ("triage", "I lost my card", "nowhere")),))
    _, test = kept(program, found, tmp_path, "rules")
    assert "phrase_means('bank', 'triage', 'I lost my card', 'nowhere')" in test.read_text("utf-8")
    with pytest.raises(AssertionError, match=r"is routed to .* by 'triage', not to 'nowhere'"):
        phrase_means("bank", "triage", "I lost my card", "nowhere")


def test_what_the_flow_does_not_have_is_said() -> None:
    with pytest.raises(CallError, match="The flow has no guard 'none'; it has "):
        guard_says("bank", "none", (), {}, True)
    with pytest.raises(CallError, match="The flow has no fact 'none'; it has "):
        guard_says("bank", "amount_at_most", (100,), {"none": 1}, True)
