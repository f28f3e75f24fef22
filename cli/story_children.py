"""Child conversations in plain words: how a parent's log tells of them, and by which way an error came up."""

from typing import assert_never

from ..contracts.subflow import Failing
from ..contracts.subflow_events import ParentLeft, SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted


def child_words(event: SubflowStarted | SubflowReplied | SubflowLeft | SubflowEnded | ParentLeft) -> tuple[str, str]:
    """How the event is grouped, and its line."""
    match event:
        case SubflowStarted():
            given = f", with {', '.join(event.facts)}" if event.facts else ""
            flow = f"{event.flow.name} v{event.flow.version}"
            return "agent", f"begins child {event.child} on {flow}{given}, level {event.depth} of {event.most}"
        case SubflowReplied():
            return "note", f"the child replied in its event {event.version}"
        case SubflowLeft():
            return "unsure", f"goes on without the child of event {event.effect}{came_up(event.failing)}"
        case SubflowEnded():
            late = ", after it was left" if event.late else ""
            sign = "bad" if event.report.failing else "agent"
            return sign, f"the child ended in {event.report.outcome}{late}{came_up(event.report.failing)}"
        case ParentLeft():
            return "unsure", "the parent went on without this conversation"
        case _:
            assert_never(event)


def came_up(failing: Failing | None) -> str:
    """Why, and where: the innermost state first, then those that the error came up through."""
    if failing is None:
        return ""
    return f": {failing.reason} in {' → '.join(str(place) for place in failing.path)}"
