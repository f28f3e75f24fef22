"""Conversations that nothing moves any more though they are open: which, why, and what mends each.

Forks are left out: nobody acts in one but who asks for it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ..contracts.errors import InterlockError
from ..contracts.events import AgentRequested, ToolRequested
from ..contracts.store import Store, Summary
from ..fsm.conversation import Conversation
from ..fsm.draft import RunTool
from ..fsm.evolve import fold
from ..fsm.program import Program
from ..fsm.replay import Recorded
from ..persistence.presence import Presence
from .codes import CODE, code_of, differing
from .loading import recorded
from .perform import repeatable
from .wiring import FoundFlow


@dataclass(frozen=True, slots=True)
class Parked:
    """One reason for which a conversation stands, and the command that mends it. `stands` is false where it would go
    on, and it should be known before."""

    stream: str
    why: str
    mend: str
    stands: bool = True


def parked(store: Store, flows: Mapping[str, FoundFlow], presence: Presence) -> Iterator[Parked]:
    """Every open conversation's reasons, the newest first. `presence` tells which processes live."""
    for summary in store.summaries(status="open"):
        try:
            entries = recorded(store.read(summary.stream))
        except InterlockError as error:
            yield Parked(summary.stream, f"it cannot be read: {error.what}", "interlock verify")
            continue
        conversation = fold(summary.stream, (one.event for one in entries))
        if not conversation.forks:
            yield from _of_one(summary, entries, conversation, flows.get(summary.flow_digest), presence)


def _of_one(
    summary: Summary,
    entries: list[Recorded],
    conversation: Conversation,
    found: FoundFlow | None,
    presence: Presence,
) -> Iterator[Parked]:
    stream, short = summary.stream, summary.stream[:8]
    name = f"{summary.flow_name} v{summary.flow_version} ({summary.flow_digest[:12]})"
    if found is None or found.program is None:
        why = found.problem if found else "the log does not keep it"
        yield Parked(stream, f"its flow {name} does not load: {why}", f"interlock migrate --to FLOW {short}")
        return
    today = code_of(found.project) if found.project else CODE
    if other := differing(entries[-1].envelope.code, today):
        yield Parked(stream, f"other code decided it last: {other}", f"interlock replay {short}", stands=False)
    if conversation.unfinished and not _is_performed(summary, presence):
        yield from _undecided(found.program, stream, conversation, found.row.source or summary.flow_name)


def _is_performed(summary: Summary, presence: Presence) -> bool:
    return any(presence.is_alive(one) for one in summary.owner.split())


def _undecided(program: Program, stream: str, conversation: Conversation, source: str) -> Iterator[Parked]:
    """What was begun by a process that is gone: taken over where it may be, else a person must say how it ended."""
    for effect, intent in sorted(conversation.unfinished.items()):
        if isinstance(intent, ToolRequested) and not repeatable(program, RunTool(effect, intent)):
            why = f"nobody knows whether {intent.tool} (event {effect}) was done: it takes no key"
            yield Parked(stream, why, f"interlock resolve {stream[:8]} {effect} done|failed|again")
        else:
            what = intent.agent if isinstance(intent, AgentRequested) else intent.tool
            why = f"no living process performs {what} (event {effect})"
            yield Parked(stream, why, f"interlock chat {source} --resume {stream[:8]}")
