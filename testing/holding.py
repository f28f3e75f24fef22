"""What must be true of the log after anything at all: it verifies, and deciding it again gives it byte for byte."""

from collections.abc import Iterator, Mapping, Sequence

from ..contracts.events import TransitionTaken
from ..contracts.store import StoredEntry, Summary
from ..contracts.subflow import PARENT_LEFT
from ..fsm.program import Program
from ..fsm.replay import Recorded, redecide
from ..persistence.verify import verify
from ..service.loading import recorded
from ..service.projection import summary_of
from .talk import Talk


def log_faults(talk: Talk) -> list[str]:
    """Everything that does not hold of the conversation's streams, in words; empty where all does."""
    return [fault for stream in talk.streams for fault in _stream_faults(talk, stream)]


def _stream_faults(talk: Talk, stream: str) -> list[str]:
    program, programs, entries = talk.program_of(stream), talk.programs, talk.store.read(stream)
    found: list[str] = []

    def projected(read: Sequence[StoredEntry]) -> Summary:
        conversation = redecide(programs, stream, recorded(read)).conversation
        return summary_of(conversation, read[-1].at, read[0].at, "")

    verified = verify(talk.store, streams=[stream], projected=projected)
    if verified.broken:  # what is decided from such entries says nothing
        return [f"the log is broken at event {one.version} of {stream}: {one.what}" for one in verified.broken]
    again = redecide(programs, stream, recorded(entries))
    if again.divergences:
        found.append(f"deciding again differs {again.divergences} times, first at {again.divergence}")
    if again.conversation != talk.conversation(stream):
        found.append("the log folds into another conversation than the one that ran")
    return [*found, *_astray(programs, talk.entries(stream)), *_stuck(program, talk, stream)]


def _astray(programs: Mapping[str, Program], entries: Sequence[Recorded]) -> Iterator[str]:
    """Moves between states that the flow of then does not have."""
    for one in entries:
        event = one.event
        if not isinstance(event, TransitionTaken):
            continue
        if not {event.source, event.target} <= programs[one.envelope.flow].states.keys():
            yield f"it moved from {event.source!r} to {event.target!r}, which the flow does not have"


def _stuck(program: Program, talk: Talk, stream: str) -> list[str]:
    """A conversation that nothing will ever move."""
    conversation, found = talk.conversation(stream), list[str]()
    if conversation.status == "ended":
        left = conversation.failing is not None and conversation.failing.reason == PARENT_LEFT
        if not left and program.states[conversation.state].kind != "final":
            found.append(f"it ended in {conversation.state!r}, which is no final state")
    elif not conversation.pending and conversation.visit.timer is None:
        found.append(f"it stands in {conversation.state!r}, and nothing will ever move it")
    return found
