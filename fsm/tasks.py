"""Tasks for people: what is asked of whom, and which decision is taken, endorsed or refused.

A decision is bound to what was shown: one that was made of something else is refused, and the task is opened anew.
An approval needs as many different people as the state says, and none of them may be who asked for it.
"""

from collections.abc import Iterable

from ..contracts.commands import Decide
from ..contracts.events import CommandRefused, TaskDecided, TaskEndorsed, TaskOpened
from ..contracts.flow import HumanState
from ..contracts.routing import Issue
from .approvals import shown_digest
from .draft import Draft


def open_task(draft: Draft, state: HumanState, issues: tuple[Issue, ...] = ()) -> TaskOpened:
    """Ask a person: the task is theirs until its deadline."""
    opened = TaskOpened(
        state=state.name,
        role=state.role,
        decisions=state.decisions,
        facts=state.shows,
        shown=shown_digest(draft.conversation.known, state.shows),
        due=draft.later(state.deadline_seconds),
        approves=state.approves,
        approvals=state.approvals,
        issues=tuple(one.label for one in issues),
        signed=state.signed,
    )
    draft.record(opened)
    return opened


def decided(draft: Draft, body: Decide) -> str | None:
    """The decision as the state's outcome; None where it was refused, or others must give it too."""
    visit, actor = draft.conversation.visit, draft.command.actor
    refusal = _refusal(draft, body)
    if refusal is not None or visit.opened is None:
        draft.record(CommandRefused.model_validate({"command": body, "reason": refusal}))
        if refusal == "changed":
            _open_anew(draft)
        return None
    task = visit.opened
    approves = body.decision == task.approves
    if approves and body.shown is not None and len(visit.endorsed) + 1 < task.approvals:
        draft.record(
            TaskEndorsed(
                task=body.task,
                decision=body.decision,
                by=actor.id,
                shown=body.shown,
                reason=body.reason,
                signed=body.signed,
            )
        )
        return None
    draft.record(
        TaskDecided(
            task=body.task,
            decision=body.decision,
            reason=body.reason,
            turn_due=draft.turn_due,
            shown=body.shown,
            by=actor.id if task.approves is not None else None,
            signed=body.signed,
        )
    )
    return body.decision


def _refusal(draft: Draft, body: Decide) -> str | None:
    """Why the decision is not taken; None where it is."""
    conversation, actor = draft.conversation, draft.command.actor
    visit, task = conversation.visit, conversation.visit.opened
    if visit.task != body.task or task is None:
        return "unknown_task"
    if body.decision not in task.decisions:
        return "unknown_decision"
    if task.role not in actor.roles:
        return "role_missing"
    if body.shown is None:
        return "not_shown" if task.approves is not None else None
    if body.shown != task.shown or task.shown != shown_digest(conversation.known, task.facts):
        return "changed"
    if (unsigned := _signature_refused(draft, body, task)) is not None:
        return unsigned
    if body.decision != task.approves:
        return None
    if actor.kind != "human":
        return "not_a_person"
    if _is_one_of(actor.id, conversation.requesters):
        return "requester"
    return "same_person" if _is_one_of(actor.id, visit.endorsed) else None


def _signature_refused(draft: Draft, body: Decide, task: TaskOpened) -> str | None:
    """Why the signature, or its absence, stands against the decision. That it verifies was found out before."""
    signed = body.signed
    if signed is None:
        return "not_signed" if task.signed and body.decision == task.approves else None
    under = (signed.conversation, signed.task, signed.decision, signed.shown)
    if body.doubt is not None or under != (draft.conversation.id, body.task, body.decision, body.shown):
        return "bad_signature"
    return None if signed.signed_at <= draft.command.at < signed.expires else "expired_signature"


def _open_anew(draft: Draft) -> None:
    """The facts are others than the task shows: it is void, with every endorsement, and a new one shows them.

    Its deadline stays. Where the facts are the same and somebody only decided on something else, so does the task.
    """
    task = draft.conversation.visit.opened
    if task is None:
        return
    shown = shown_digest(draft.conversation.known, task.facts)
    if shown != task.shown:
        draft.record(task.changed(shown=shown))


def _is_one_of(person: str, others: Iterable[str]) -> bool:
    """Whether this is one of them: `Anna` is no second person beside `anna`."""
    return person.casefold() in (one.casefold() for one in others)
