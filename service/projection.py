"""The summary row of a conversation: what lists, timers and recovery look up without reading streams."""

from ..contracts.events import TaskOpened
from ..contracts.store import Summary, TimerRow
from ..contracts.values import written_time
from ..fsm.conversation import Conversation


def summary_of(conversation: Conversation, at: str, started_at: str, owner: str) -> Summary:
    """Derived from the fold alone, but for the times and the owner.

    A fork has no timers, no tasks and nothing undecided here: nobody acts in it but who asks for it.
    """
    flow, visit, acts = conversation.flow, conversation.visit, not conversation.forks
    timers = tuple(TimerRow(conversation.id, timer, written_time(due)) for timer, due in conversation.timers if acts)
    tasks = (visit.task,) if isinstance(visit.opened, TaskOpened) and visit.task is not None and acts else ()
    return Summary(
        stream=conversation.id,
        flow_name=flow.name if flow else "",
        flow_version=flow.version if flow else 0,
        flow_digest=flow.digest if flow else "",
        subject=conversation.subject,
        state=conversation.state,
        status="ended" if conversation.status == "ended" else "open",
        length=conversation.version,
        started_at=started_at,
        updated_at=at,
        undecided=len(conversation.undecided) + len(conversation.children) if acts else 0,
        owner=owner,
        timers=timers,
        tasks=tasks,
    )
