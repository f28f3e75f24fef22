"""Child conversations in the core: what each command leads to, with no shell around it."""

from datetime import UTC, datetime
from typing import Any

import pytest

from interlock.contracts.commands import (
    CUSTOMER,
    SYSTEM,
    Actor,
    Command,
    CommandBody,
    Fire,
    Give,
    Leave,
    Say,
    Start,
    SubflowDone,
    SubflowSaid,
)
from interlock.contracts.events import (
    CommandRefused,
    ConversationEnded,
    FactsRecorded,
    LimitReached,
    MessageReceived,
    MessageTaken,
    ReplySent,
    TimerSet,
    TransitionTaken,
)
from interlock.contracts.facts import FactReading
from interlock.contracts.payload import PayloadRef
from interlock.contracts.subflow import Failing, ParentRef, Place, SubflowReport
from interlock.contracts.subflow_events import ParentLeft, SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted
from interlock.contracts.values import ConversationId, SubjectId
from interlock.fsm.conversation import Conversation
from interlock.fsm.decide import decide, effects_of
from interlock.fsm.draft import Decision, TendChild
from interlock.fsm.subflow import child_id
from support.subflows import desk

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PROGRAM = desk(unsolved="broken")
OPERATOR = Actor(kind="human", id="boss", roles=("operator",))
REF = PayloadRef(name="message", kind="message", commit="ab" * 32, length=5)
HERE = Place(flow="desk", state="working")
SAID = Say(message=REF, token_bound=5)


def did(conversation: Conversation, body: CommandBody, *, actor: Actor = SYSTEM, program: Any = PROGRAM) -> Decision:
    return decide(program, conversation, Command(key="k", at=NOON, actor=actor, body=body))


def started(parent: ParentRef | None = None, program: Any = PROGRAM) -> Conversation:
    start = Start(flow=program.ref, subject=SubjectId("somebody"), parent=parent)
    return did(Conversation(id="top"), start, program=program).conversation


def working() -> tuple[Conversation, int]:
    """A conversation whose child was begun, and the version of that event."""
    conversation = did(started(), SAID, actor=CUSTOMER).conversation
    assert conversation.child is not None
    return conversation, conversation.child


def kinds(decision: Decision) -> list[str]:
    return [event.type for event in decision.events]


def test_entering_begins_the_child_under_an_id_that_derives_from_the_event() -> None:
    """The intent holds all that a restart needs; a timer runs; the shell is asked to tend it."""
    decision = did(started(), SAID, actor=CUSTOMER)
    assert kinds(decision) == ["message_received", "transition_taken", "subflow_started", "timer_set"]
    begun, timer = decision.events[2:]
    assert isinstance(begun, SubflowStarted)
    assert isinstance(timer, TimerSet)
    assert begun.due == timer.due
    effect = decision.conversation.child
    assert begun.child == child_id("top", effect or 0)
    assert (begun.depth, begun.most, begun.flow.name) == (1, 3, "team")
    assert decision.effects == (TendChild(effect or 0),)
    assert effects_of(decision.conversation) == decision.effects


def test_the_id_of_a_child_is_a_uuid_made_of_a_digest() -> None:
    """Stable for ever: a log that is read in ten years finds its children."""
    assert child_id("top", 4) == "255c39a8-82c0-8f06-89e0-1e194583aa72"
    assert len({child_id(parent, version) for parent in ("a", "b", "a\n1") for version in range(20)}) == 60


def test_a_child_too_deep_takes_the_limit_row() -> None:
    """Counted over all conversations above, by the limit of the highest that says least."""
    above = ParentRef(conversation=ConversationId("above"), effect=3, depth=2, most=2)
    decision = did(started(above), SAID, actor=CUSTOMER)
    (limit,) = [event for event in decision.events if isinstance(event, LimitReached)]
    assert (limit.limit, limit.value, limit.maximum) == ("subflow_depth", 3, 2)
    assert decision.conversation.state == "clerk"
    assert decision.conversation.child is None
    roomy = ParentRef(conversation=ConversationId("above"), effect=3, depth=2, most=9)
    begun = did(started(roomy), SAID, actor=CUSTOMER).events[2]
    assert isinstance(begun, SubflowStarted)
    assert (begun.depth, begun.most) == (3, 5)


def test_a_message_is_forwarded_while_the_child_is_open() -> None:
    """Recorded here, in the history, as a turn of its own; the deadline goes on."""
    conversation, effect = working()
    decision = did(conversation, SAID, actor=CUSTOMER)
    (received,) = decision.events
    assert isinstance(received, MessageReceived)
    assert received.disposition == "forwarded"
    assert decision.effects == (TendChild(effect),)
    after = decision.conversation
    assert [version for version, _ in after.children[effect].forwarded] == [conversation.version]
    assert after.visit.timer == conversation.visit.timer
    assert after.turn.number == conversation.turn.number + 1
    assert after.messages == conversation.messages + 1


def test_a_reply_of_the_child_is_told_once() -> None:
    """It stands in the parent's history; the same, or an earlier one, again records nothing."""
    conversation, effect = working()
    said = SubflowSaid(effect=effect, version=7, reply=REF, token_bound=5)
    decision = did(conversation, said)
    replied, told = decision.events
    assert isinstance(replied, SubflowReplied)
    assert told == ReplySent(state="working", agent=conversation.version, token_bound=5)
    for version in (7, 3):
        assert did(decision.conversation, said.changed(version=version)).events == ()
    assert did(decision.conversation, said.changed(effect=99)).events == ()


def test_an_end_is_the_outcome_and_brings_the_facts_that_are_declared() -> None:
    """Others are left out, whatever the child reports."""
    conversation, effect = working()
    facts = (FactReading(name="paid", value=True), FactReading(name="amount", value=5))
    decision = did(conversation, SubflowDone(effect=effect, report=SubflowReport(outcome="solved", facts=facts)))
    assert kinds(decision) == ["subflow_ended", "facts_recorded", "transition_taken", "reply_sent", "timer_set"]
    (known,) = [event for event in decision.events if isinstance(event, FactsRecorded)]
    assert [(fact.name, fact.source) for fact in known.facts] == [("paid", "subflow")]
    assert decision.conversation.children == {}
    again = did(decision.conversation, SubflowDone(effect=effect, report=SubflowReport(outcome="solved")))
    assert again.events == ()


def test_an_end_that_the_flow_does_not_declare_is_failed() -> None:
    """No outcome without a row."""
    conversation, effect = working()
    decision = did(conversation, SubflowDone(effect=effect, report=SubflowReport(outcome="elsewhere")))
    (move,) = [event for event in decision.events if isinstance(event, TransitionTaken)]
    assert (move.on, move.target) == ("failed", "clerk")


def test_an_error_of_the_child_is_passed_on_by_an_end_that_is_a_failure() -> None:
    """The same reason and path, for the next parent to add its state to."""
    conversation, effect = working()
    failing = Failing(reason="timeout", path=(Place(flow="worker", state="pay"), HERE))
    decision = did(conversation, SubflowDone(effect=effect, report=SubflowReport(outcome="unsolved", failing=failing)))
    end = decision.events[-1]
    assert isinstance(end, ConversationEnded)
    assert (end.state, end.failing) == ("broken", failing)
    assert decision.conversation.failing == failing


def test_an_error_that_was_got_over_is_not_blamed_for_a_later_one() -> None:
    """A new turn forgets it: the end names what failed then."""
    conversation, effect = working()
    failing = Failing(reason="timeout", path=(HERE,))
    gone_on = did(conversation, SubflowDone(effect=effect, report=SubflowReport(outcome="failed", failing=failing)))
    assert gone_on.conversation.state == "clerk"
    assert gone_on.conversation.turn.failing == failing
    resumed = did(gone_on.conversation, Give(name="operator_human"), actor=OPERATOR)
    assert resumed.conversation.turn.failing is None


def test_a_deadline_leaves_the_child_and_its_end_is_late() -> None:
    """The parent goes on at once; the child stays on its list until it is known to have ended."""
    conversation, effect = working()
    decision = did(conversation, Fire(timer=conversation.visit.timer or 0))
    assert kinds(decision)[:3] == ["timer_fired", "subflow_left", "transition_taken"]
    left = decision.events[1]
    assert left == SubflowLeft(effect=effect, failing=Failing(reason="deadline", path=(HERE,)))
    assert TendChild(effect) in decision.effects
    after = decision.conversation
    assert after.state == "clerk"
    assert after.child is None
    assert after.children[effect].left
    late = did(after, SubflowDone(effect=effect, report=SubflowReport(outcome="solved")))
    (end,) = late.events
    assert isinstance(end, SubflowEnded)
    assert end.late
    assert late.conversation.state == "clerk"
    assert late.conversation.children == {}


def test_a_reply_that_comes_after_the_parent_left_is_not_told() -> None:
    """It stands in the child's own log."""
    conversation, effect = working()
    after = did(conversation, Give(name="operator_human"), actor=OPERATOR).conversation
    assert did(after, SubflowSaid(effect=effect, version=7, reply=REF, token_bound=5)).events == ()


def test_a_message_that_the_child_did_not_take_is_taken_by_the_parent() -> None:
    """As soon as it is free for it."""
    conversation, effect = working()
    forwarded = did(conversation, SAID, actor=CUSTOMER).conversation
    report = SubflowReport(outcome="solved", upto=conversation.version, untaken=(conversation.version,))
    decision = did(forwarded, SubflowDone(effect=effect, report=report))
    assert [event.message for event in decision.events if isinstance(event, MessageTaken)] == [conversation.version]
    assert decision.conversation.inbox == ()
    assert decision.conversation.state == "working"


def test_a_message_that_was_queued_goes_to_the_child_that_begins_meanwhile() -> None:
    """It is for whoever has the customer now."""
    conversation, effect = working()
    first = did(conversation, SAID, actor=CUSTOMER).conversation
    second = did(first, SAID, actor=CUSTOMER).conversation
    report = SubflowReport(outcome="solved")  # given neither of them
    after = did(second, SubflowDone(effect=effect, report=report)).conversation
    taken = after.children[after.child or 0].forwarded
    assert [version for version, _ in taken] == [first.version]
    assert after.inbox == ()


def test_a_child_whose_parent_left_ends_where_it_stands() -> None:
    """With its own children; another time, or without a parent, it is refused."""
    above = ParentRef(conversation=ConversationId("above"), effect=3, depth=1, most=3)
    conversation = did(started(above), SAID, actor=CUSTOMER).conversation
    effect = conversation.child or 0
    decision = did(conversation, Leave())
    failing = Failing(reason="parent_left", path=(HERE,))
    assert decision.events == (
        ParentLeft(),
        SubflowLeft(effect=effect, failing=failing),
        ConversationEnded(state="working", failing=failing),
    )
    assert decision.effects == (TendChild(effect),)
    assert decision.conversation.status == "ended"
    assert effects_of(decision.conversation) == (TendChild(effect),)
    assert did(decision.conversation, Leave()).events == (CommandRefused(command=Leave(), reason="ended"),)
    assert did(started(), Leave()).events == (CommandRefused(command=Leave(), reason="no_parent"),)


@pytest.mark.parametrize("name", ["operator_kill", "operator_human"])
def test_a_row_that_leaves_the_state_leaves_the_child(name: str) -> None:
    """Recorded before the move, with the trigger as the reason."""
    conversation, effect = working()
    decision = did(conversation, Give(name=name), actor=OPERATOR)
    assert kinds(decision)[:3] == ["input_received", "subflow_left", "transition_taken"]
    assert decision.events[1] == SubflowLeft(effect=effect, failing=Failing(reason=name, path=(HERE,)))


def test_a_message_that_the_child_has_come_to_is_not_kept() -> None:
    """Only those it names: one that it has not come to is kept, whatever its number, for the parent may need it."""
    conversation, effect = working()
    first = conversation.version
    for _ in range(3):
        conversation = did(conversation, SAID, actor=CUSTOMER).conversation
    versions = [version for version, _ in conversation.children[effect].forwarded]
    assert versions == [first, first + 1, first + 2]
    said = SubflowSaid(effect=effect, version=2, reply=REF, token_bound=5, taken=(first + 1,))
    after = did(conversation, said).conversation
    assert [version for version, _ in after.children[effect].forwarded] == [first, first + 2]
    silent = SubflowSaid(effect=effect, version=2, reply=REF, token_bound=5)
    assert b"taken" not in silent.canonical_bytes()
    assert did(conversation, silent).conversation.children[effect].forwarded == conversation.children[effect].forwarded
