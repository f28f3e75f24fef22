"""Nothing consequential happens without its approval, whoever says, decides or proposes what."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from interlock.contracts.commands import CUSTOMER, Decide, Give, ToolEnded, ToolReport
from interlock.contracts.events import ApprovalVoid, TaskDecided, TaskEndorsed, ToolRequested
from interlock.fsm import approvals, tasks
from interlock.fsm.evolve import fold
from interlock.fsm.replay import redecide
from support.approving import PEOPLE, approving, begun, no_evidence, talks, unapproved
from support.histories import History


@given(talks())
def test_no_consequential_tool_runs_without_an_unused_approval_of_exactly_its_facts(history: History) -> None:
    """By as many people as the state says, none of whom asked for it."""
    assert unapproved(history.program, history.recorded) == []


@given(talks())
def test_talks_are_decided_again_byte_for_byte(history: History) -> None:
    again = redecide(history.program, history.head.stream, history.recorded)
    assert (again.divergences, again.divergence) == (0, None)
    assert again.conversation == fold(history.head.stream, (one.event for one in history.recorded))


@given(talks())
def test_an_endorsement_moves_nothing(history: History) -> None:
    """The task stays open, as it is, for the others."""
    for step in history.steps:
        if any(isinstance(one, TaskEndorsed) for one in step.decision.events):
            after = step.decision.conversation
            assert len(step.decision.events) == 1
            assert (after.state, after.visit.task, after.visit.timer) == (
                step.before.state,
                step.before.visit.task,
                step.before.visit.timer,
            )


@given(talks())
def test_each_refused_tool_says_why(history: History) -> None:
    """Every `ApprovalVoid` is true of the moment it was recorded in."""
    for step in history.steps:
        conversation = step.before
        for event in step.decision.events:
            if isinstance(event, ApprovalVoid):
                found = conversation.approvals.get(event.approval)
                assert (found is None) is (event.reason == "missing")
                assert (found is not None and found.used) is (event.reason == "used")
            conversation = fold("", [event], conversation)


def approved(people: int) -> History:
    """A task that anna and ben, or one of them, have approved."""
    history = begun(approving(people))
    history.do("c:1", CUSTOMER, Give(name="ask"), no_evidence)
    for number, who in enumerate(PEOPLE[:people]):
        visit = history.conversation.visit
        assert visit.opened is not None
        shown = visit.opened.shown
        history.do(f"c:d{number}", who, Decide(task=visit.task or 0, decision="yes", shown=shown), no_evidence)
    return history


@pytest.mark.parametrize("people", [1, 2])
def test_with_its_approval_the_tool_runs(people: int) -> None:
    """The laws hold of something: an approved payment is asked for, once."""
    history = approved(people)
    history.do("c:2", CUSTOMER, Give(name="act"), no_evidence)
    (request,) = [one.event for one in history.recorded if isinstance(one.event, ToolRequested)]
    (decided,) = [one for one in history.recorded if isinstance(one.event, TaskDecided)]
    assert request.approval == decided.event.task  # type: ignore[union-attr]
    assert unapproved(history.program, history.recorded) == []


def _given_is_enough(conversation: Any, state: str) -> str | None:
    return None if state in conversation.approvals else "missing"


def _nothing_is_void(*_: object) -> None:
    return None


def _anybody(draft: Any, body: Decide) -> str | None:
    task = draft.conversation.visit.opened
    known = task is not None and draft.conversation.visit.task == body.task
    return None if known and body.shown and task.role in draft.command.actor.roles else "unknown_task"


def _never_used(conversation: Any, _: object) -> Any:
    return conversation


CONTROLS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "an approval holds for any facts, and for ever": (approvals, "void_of", _given_is_enough),
    "arguments are not compared": (approvals, "arguments_void", _nothing_is_void),
    "anybody may approve, as often as they like": (tasks, "_refusal", _anybody),
}


@pytest.mark.parametrize("broken", CONTROLS)
def test_the_law_finds_each_rule_that_is_left_out(broken: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The controls: with one rule taken out of the core, some talk breaks the law."""
    where, name, instead = CONTROLS[broken]
    monkeypatch.setattr(where, name, instead)

    @settings(
        max_examples=2_000,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(talks())
    def law(history: History) -> None:
        assert unapproved(history.program, history.recorded) == []

    with pytest.raises(AssertionError):
        law()


def test_an_approval_that_is_never_used_up_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of "once": a second payment on the same approval breaks the law."""
    monkeypatch.setattr("interlock.fsm.evolve.used", _never_used)
    history = approved(1)
    for number in (2, 3):
        history.do(f"c:{number}", CUSTOMER, Give(name="act"), no_evidence)
        (effect,) = history.conversation.pending
        history.do(f"e:{number}", CUSTOMER, ToolEnded(effect=effect, report=ToolReport(outcome="done")), no_evidence)
    assert len(unapproved(history.program, history.recorded)) == 1
