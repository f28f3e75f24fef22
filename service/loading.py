"""A conversation read back from its entries: the same fold as in normal running, there is no other path."""

from collections.abc import Callable, Sequence

from ..contracts.envelope import Head, opened
from ..contracts.errors import CallError, LogBroken, NotEncodable
from ..contracts.events import ConversationStarted, FlowChanged
from ..contracts.flow import Flow
from ..contracts.imported import ConversationImported
from ..contracts.store import FlowRow, StoredEntry
from ..fsm.conversation import Conversation
from ..fsm.program import Program
from ..fsm.replay import Recorded, check_states
from .live import Live


def recorded(entries: Sequence[StoredEntry]) -> list[Recorded]:
    """Entries opened for reading. Raises `LogBroken` at the first that is no known event."""
    found = []
    for entry in entries:
        try:
            envelope, event = opened(entry.data)
        except NotEncodable as error:
            raise LogBroken(
                error.what,
                stream=entry.stream,
                version=entry.version,
                fix="Run `interlock verify`; if it passes, use a release that knows this event.",
            ) from error
        found.append(Recorded(envelope, event, entry.data, entry.leaf))
    return found


def recorded_flow(row: FlowRow) -> Flow:
    """The flow as the log keeps it."""
    return Flow.model_validate_json(row.body)


def loaded(
    conversation: str,
    entries: Sequence[StoredEntry],
    pinned: Callable[[str], Program],
    kept: Callable[[str], FlowRow | None] = lambda _: None,
) -> Live:
    """The live conversation after `entries`. `pinned` gives the program of a flow digest, or raises; `kept` the row of
    a flow that it ran on before, for what that said: no code of it is needed."""
    opened_entries = recorded(entries)
    first = opened_entries[0].event
    if isinstance(first, ConversationImported):
        raise CallError(
            "The conversation was imported: it was led elsewhere, and cannot go on here.",
            where=f"conversation {conversation}",
            fix="Read it with `interlock log`, or start a conversation of a flow.",
        )
    if not isinstance(first, ConversationStarted):
        raise LogBroken(
            "The stream does not begin with its start.", stream=conversation, version=0, fix="Run `interlock verify`."
        )
    moves = [(version, one.event) for version, one in enumerate(opened_entries) if isinstance(one.event, FlowChanged)]
    since, now = (moves[-1][0], moves[-1][1].flow) if moves else (0, first.flow)
    live = Live(conversation, pinned(now.digest), Conversation(id=conversation), Head(conversation))
    before = {move.before.digest: kept(move.before.digest) for _, move in moves}
    live.flows = {digest: recorded_flow(row) for digest, row in before.items() if row is not None}
    for version, one in enumerate(opened_entries[since:], since):
        check_states(live.program, conversation, version, one.event)
    live.take(
        ((one.event, one.envelope.key, entry.at) for one, entry in zip(opened_entries, entries, strict=True)),
        Head(conversation, len(entries), entries[-1].leaf),
    )
    return live
