"""What a change of flow does to the fold: states get their new names, and all else stays. Holds no rule."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ..contracts.events import FlowChanged
from .conversation import NOTHING, Conversation, Frame
from .policies.alphabet import Seen


def under_another_flow(conversation: Conversation, event: FlowChanged) -> Conversation:
    """The conversation in its new flow; its counters and budgets go on, its approvals do not."""
    names = {one.old: one.new for one in event.renamed}

    def new(state: str) -> str:
        return names.get(state, state)

    def by_new(states: Mapping[str, Any]) -> Mapping[str, Any]:
        return MappingProxyType({new(state): value for state, value in states.items()})

    turn, visit = conversation.turn, conversation.visit
    if visit.opened is not None:
        visit = visit.changed(opened=visit.opened.changed(state=new(visit.opened.state)))
    read_back = visit.question is not None and visit.question.fact is None
    return conversation.changed(
        flow=event.flow,
        state=event.state,
        visit=visit,
        turn=turn.changed(visits=by_new(turn.visits)),
        frames=tuple(Frame(new(frame.state), frame.visit) for frame in conversation.frames),
        outputs=MappingProxyType(
            {
                new(state): tuple(one.changed(state=new(one.state)) for one in given)
                for state, given in conversation.outputs.items()
            }
        ),
        plans=by_new(conversation.plans),
        broadcasts=by_new(conversation.broadcasts),
        approvals=NOTHING,
        watches=event.policies,
        watched=event.watched,
        seen=Seen(task=visit.opened.state if visit.opened else "", read_back=event.state if read_back else ""),
    )
