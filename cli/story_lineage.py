"""Forks and moves to another flow in plain words: where a conversation comes from, and what it goes on under."""

from ..contracts.events import ConversationStarted, FlowChanged


def lineage_words(event: ConversationStarted | FlowChanged) -> tuple[str, str]:
    """How the event is grouped, and its line."""
    if isinstance(event, ConversationStarted):
        given = f", with {', '.join(one.name for one in event.facts)}" if event.facts else ""
        below = f", as a child of {event.parent.conversation}" if event.parent else ""
        forked = "".join(f", forked from {one.conversation} before event {one.version}" for one in event.forks[-1:])
        return "start", f"starts on {event.flow.name} v{event.flow.version} in {event.state}{given}{below}{forked}"
    old = next(iter(event.stood)).state
    came = f"{old} → {event.state}" if old != event.state else event.state
    return "start", (
        f"goes on under {event.flow.name} v{event.flow.version} ({event.flow.digest[:12]}), "
        f"before v{event.before.version} ({event.before.digest[:12]}), in {came}"
    )
