"""What the events of a broadcast, and results that later states are given, do to the fold. Holds no rule."""

from types import MappingProxyType

from ..contracts.commands import AgentReport
from ..contracts.events import AgentRequested, AgentReturned, BroadcastStarted, LateResult, ResultAt
from ..contracts.payload import PayloadAt
from .conversation import Conversation, Member, more

OUTPUT = "output"
"""The payload of an agent's result that holds its text."""


def asked_all(conversation: Conversation, event: BroadcastStarted) -> Conversation:
    """A broadcast begins: nobody was asked yet, and its state has no results any more."""
    members = {
        one.name: Member(one) if one.agent is not None else Member(one, "failed", reason="unknown_worker")
        for one in event.members
    }
    return conversation.changed(
        visit=conversation.visit.changed(broadcast=conversation.version, members=MappingProxyType(members)),
        broadcasts=more(conversation.broadcasts, event.state, (conversation.version, event)),
        outputs=more(conversation.outputs, event.state, ()),
    )


def asked_member(conversation: Conversation, event: AgentRequested) -> Conversation:
    visit = conversation.visit
    member = visit.members.get(event.member or "")
    if member is None:
        return conversation
    asked = member.changed(status="pending", effect=conversation.version, attempt=event.attempt, reason="")
    return conversation.changed(visit=visit.changed(members=more(visit.members, member.planned.name, asked)))


def member_answered(conversation: Conversation, request: AgentRequested, event: AgentReturned) -> Conversation:
    """A member in hand has a result, or failed; whether it is asked again is decided elsewhere."""
    visit, report = conversation.visit, event.report
    member = visit.members.get(request.member or "")
    if member is None or member.effect != event.effect:
        return conversation
    valid = report.outcome == "done" and not report.calls
    why = "proposed_a_tool" if report.calls else report.reason or report.outcome
    answered = member.changed(
        status="done" if valid else "failed",
        reason="" if valid else why,
        result=conversation.version,
        facts=report.facts if valid else (),
    )
    visit = visit.changed(members=more(visit.members, member.planned.name, answered))
    return with_output(conversation.changed(visit=visit), request, event)


def without_answer(conversation: Conversation, request: AgentRequested, effect: int) -> Conversation:
    """Somebody said that the member's answer will not come."""
    visit = conversation.visit
    member = visit.members.get(request.member or "")
    if member is None or member.effect != effect:
        return conversation
    failed = member.changed(status="failed", reason="given_up")
    return conversation.changed(visit=visit.changed(members=more(visit.members, member.planned.name, failed)))


def with_output(conversation: Conversation, request: AgentRequested, event: AgentReturned) -> Conversation:
    """The result is kept for later states to read; of a planner, its subtasks too."""
    report = event.report
    found = output_of(request, report, conversation.version)
    if found is None:
        return conversation
    conversation = _keeping(conversation, found)
    if report.subtasks or request.state in conversation.plans:
        plan = (conversation.version, report.subtasks)
        conversation = conversation.changed(plans=more(conversation.plans, request.state, plan))
    return conversation


def output_of(request: AgentRequested, report: AgentReport, version: int, *, late: bool = False) -> ResultAt | None:
    """Where the result in the event at `version` is found; None where there is none that a state could read."""
    if request.purpose not in ("run", "member") or report.outcome != "done" or report.calls or report.output is None:
        return None
    return ResultAt(
        state=request.state,
        member=request.member,
        at=PayloadAt(version=version, name=report.output.name),
        commit=report.output.commit,
        length=report.output.length,
        late=late,
    )


def heard_late(conversation: Conversation, event: LateResult) -> Conversation:
    """A late result that a row was taken for: from now on later states may read it."""
    return conversation if event.result is None else _keeping(conversation, event.result)


def _keeping(conversation: Conversation, found: ResultAt) -> Conversation:
    before = conversation.outputs.get(found.state, ())
    kept = tuple(one for one in before if one.member != found.member) if found.member is not None else ()
    return conversation.changed(outputs=more(conversation.outputs, found.state, (*kept, found)))


def left_behind(conversation: Conversation) -> Conversation:
    """Members that had not answered when their state was left: their answers will be late."""
    left = {
        at: request
        for at, request in conversation.pending.items()
        if isinstance(request, AgentRequested) and request.member is not None
    }
    if not left:
        return conversation
    return conversation.changed(awaited=MappingProxyType({**conversation.awaited, **left}))
