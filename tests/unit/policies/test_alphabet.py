"""What can be observed of a conversation: the words of its recorded events."""

from datetime import UTC, datetime

from hypothesis import given

from interlock.contracts.commands import AgentReport, ProposedCall, ToolReport
from interlock.contracts.events import (
    AgentReturned,
    ConversationEnded,
    Event,
    LimitReached,
    QuestionAsked,
    TaskDecided,
    TaskOpened,
    ToolRequested,
    ToolReturned,
    TransitionTaken,
)
from interlock.contracts.payload import PayloadRef
from interlock.contracts.subflow_events import ParentLeft
from interlock.fsm.policies.alphabet import NOTHING_SEEN, observed
from support.histories import History, histories

AT = datetime(2026, 1, 1, tzinfo=UTC)
DIGEST = "ab" * 32


def words_of(*events: Event) -> list[str]:
    seen = NOTHING_SEEN
    found: list[str] = []
    for version, event in enumerate(events):
        words, seen = observed(event, version, seen)
        found += words
    return found


def moved(source: str, on: str, target: str) -> TransitionTaken:
    return TransitionTaken(source=source, on=on, target=target, row=0, because="R-1")


def tool(approval: int | None = None) -> ToolRequested:
    return ToolRequested(
        state="paying", tool="pay", consequential=True, caller="state", timeout_seconds=5, approval=approval
    )


def test_a_tool_is_asked_then_done():
    returned = ToolReturned(effect=0, report=ToolReport(outcome="done"))
    assert words_of(tool(), returned) == ["tool:pay", "done:pay"]
    assert words_of(tool(approval=0), returned) == ["approved:pay", "tool:pay", "done:pay"]


def test_a_tool_that_fails_or_reports_late_is_not_done():
    assert words_of(tool(), ToolReturned(effect=0, report=ToolReport(outcome="failed"))) == ["tool:pay"]
    assert words_of(tool(), ToolReturned(effect=0, report=ToolReport(outcome="done"), late=True)) == ["tool:pay"]


def test_a_decision_names_the_state_that_asked_for_it():
    opened = TaskOpened(state="review", role="clerk", decisions=("yes", "no"), facts=(), shown=DIGEST, due=AT)
    assert words_of(opened, TaskDecided(task=0, decision="yes", turn_due=AT)) == ["decided:review.yes"]


def test_only_a_form_that_was_read_back_is_confirmed():
    """The yes to what was read back completes the form; a form that is complete without that is not confirmed."""
    asked = QuestionAsked(state="form", fact="city", attempt=1, how="ask")
    back = QuestionAsked(state="form", attempt=1, how="confirm")
    complete = moved("form", "complete", "paying")
    assert words_of(asked, back, complete) == ["confirmed:form", "enter:paying"]
    assert words_of(back, asked, complete) == ["enter:paying"]
    assert words_of(back, moved("form", "question", "aside"), moved("aside", "done", "form"), complete) == [
        "enter:aside",
        "enter:form",
        "enter:paying",
    ]


def test_an_end_counts_unless_the_parent_left():
    ended = ConversationEnded(state="closed")
    assert words_of(moved("a", "done", "closed"), ended) == ["enter:closed", "end:closed"]
    assert words_of(ParentLeft(), ended) == []


def test_an_answer_with_tool_calls_is_no_result_yet():
    call = ProposedCall(name="pay", arguments=PayloadRef(name="a", kind="arguments", commit=DIGEST, length=2))
    returned = AgentReturned(effect=9, report=AgentReport(outcome="done", calls=(call,)), cost=0)
    assert words_of(returned) == []
    assert words_of(LimitReached(limit="steps", value=50, maximum=50)) == ["limit:steps"]


@given(histories(most=20))
def test_states_and_tools_of_any_history_are_observed(history: History) -> None:
    """Each state entered and each tool asked is a word, in order; and what is kept meanwhile is bounded by what is
    in hand."""
    events = [one.event for one in history.recorded]
    seen = NOTHING_SEEN
    found: list[str] = []
    for version, event in enumerate(events):
        words, seen = observed(event, version, seen)
        found += words
    entered = [event.target for event in events if isinstance(event, TransitionTaken)]
    assert [word[6:] for word in found if word.startswith("enter:")][1:] == entered
    tools = [event.tool for event in events if isinstance(event, ToolRequested)]
    assert [word[5:] for word in found if word.startswith("tool:")] == tools
    assert {at for at, _ in seen.awaited} <= {*history.conversation.pending, *history.conversation.children}
