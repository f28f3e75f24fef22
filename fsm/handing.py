"""What handing a conversation over does to the fold. Holds no rule."""

from ..contracts.events import AgentRequested
from .callers import asked_as_tool
from .conversation import Conversation, more


def asked_run(conversation: Conversation, event: AgentRequested) -> Conversation:
    """The agent has the conversation now; a first call of a visit is a handoff within the turn."""
    if event.purpose == "tool":
        return conversation.changed(visit=asked_as_tool(conversation.visit, event))
    if event.purpose != "run":
        return conversation
    turn, visit = conversation.turn, conversation.visit
    handed, pairs = turn.handoffs, turn.pairs
    now = visit.changed(attempts=event.attempt, rounds=event.round, fallback=event.fallback)
    if event.cached:
        return conversation.changed(visit=now)
    if visit.begins(event.round, event.fallback) and turn.last_agent is not None:
        pair = (turn.last_agent, event.agent)
        handed, pairs = handed + 1, more(pairs, pair, pairs.get(pair, 0) + 1)
    before, handed_on = conversation.last_agent, conversation.handed_on
    if before not in (None, event.agent, *handed_on) and not event.fallback:
        handed_on = (*handed_on, str(before))
    return conversation.changed(
        turn=turn.changed(handoffs=handed, pairs=pairs, last_agent=event.agent),
        visit=now,
        last_agent=event.agent,
        handed_on=handed_on,
    )
