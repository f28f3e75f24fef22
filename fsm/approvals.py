"""Approvals: of exactly the facts that were shown, by enough different people, used once. What events do to them,
and what is left of one now; who may give one is decided in `fsm/tasks.py`."""

from collections.abc import Mapping
from typing import Literal

from ..contracts.canonical import digest_of
from ..contracts.commands import GivenFact, ProposedCall
from ..contracts.events import TaskDecided, TaskEndorsed, TaskOpened, ToolRequested
from ..contracts.facts import KnownFact
from .conversation import Approval, Conversation, less, more

Void = Literal["missing", "changed", "used", "arguments"]


def shown_digest(known: Mapping[str, KnownFact], names: tuple[str, ...]) -> str:
    """Digest of exactly the facts a person decides about: open values, and places of sealed ones."""
    return digest_of({name: known[name].model_dump(mode="json", exclude_none=True) for name in names if name in known})


# -- what is left of an approval ----------------------------------------------------------------------


def void_of(conversation: Conversation, state: str) -> Void | None:
    """Why the approval of human state `state` does not cover the facts as they are now; None where it does."""
    approval = conversation.approvals.get(state)
    if approval is None:
        return "missing"
    if approval.used:
        return "used"
    return None if shown_digest(conversation.known, approval.facts) == approval.shown else "changed"


def arguments_void(conversation: Conversation, state: str, takes: frozenset[str], call: ProposedCall) -> Void | None:
    """`arguments` where a proposed argument with the name of an approved fact says something else than the fact.

    `takes` are the arguments of the tool. An argument that nobody compared differs.
    """
    approval = conversation.approvals[state]
    given = {one.name: one for one in call.given}
    same = all(
        name in given and _same(given[name], conversation.known.get(name)) for name in takes & set(approval.facts)
    )
    return None if same else "arguments"


def _same(given: GivenFact, known: KnownFact | None) -> bool:
    if given.differs:
        return False
    if known is None or known.sealed is not None:
        return given.value is None and given.sealed == (known.sealed if known is not None else None)
    return given.sealed is None and type(given.value) is type(known.value) and given.value == known.value


# -- what events do ------------------------------------------------------------------------------------


def asked_for(conversation: Conversation, by: str | None) -> Conversation:
    """What this person started, wrote or gave may lead to a task, which is not theirs to approve."""
    if by is None or by in conversation.requesters:
        return conversation
    return conversation.changed(requesters=conversation.requesters | {by})


def opened(conversation: Conversation, event: TaskOpened) -> Conversation:
    """A new task begins without endorsements; what its state approved before is void."""
    visit = conversation.visit.changed(task=conversation.version, opened=event, endorsed=())
    conversation = conversation.changed(visit=visit)
    if event.approves is None:
        return conversation
    return conversation.changed(approvals=less(conversation.approvals, event.state))


def endorsed(conversation: Conversation, event: TaskEndorsed) -> Conversation:
    visit = conversation.visit
    return conversation.changed(visit=visit.changed(endorsed=(*visit.endorsed, event.by)))


def given(conversation: Conversation, event: TaskDecided) -> Conversation:
    """The decision that completes an approval makes it good for what was shown."""
    visit = conversation.visit
    task = visit.opened
    if task is None or event.by is None or task.approves != event.decision:
        return conversation
    approval = Approval(task=event.task, shown=task.shown, facts=task.facts, by=(*visit.endorsed, event.by))
    return conversation.changed(approvals=more(conversation.approvals, task.state, approval))


def used(conversation: Conversation, event: ToolRequested) -> Conversation:
    found = [(state, one) for state, one in conversation.approvals.items() if one.task == event.approval]
    for state, one in found if event.approval is not None else ():
        conversation = conversation.changed(approvals=more(conversation.approvals, state, one.changed(used=True)))
    return conversation
