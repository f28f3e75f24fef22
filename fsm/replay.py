"""Replay without a model: fold the recorded events, and decide every recorded command again.

Deciding again compares bytes: the entries that today's code and flow would write, with those that
were written. The first difference is named; after one, the fold goes on from what was recorded, so
every later decision is still judged on its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ..contracts.commands import Command
from ..contracts.envelope import Entry, Envelope, Head, sealed
from ..contracts.errors import FlowError, LogBroken
from ..contracts.events import ConversationStarted, Event, FlowChanged, TransitionTaken
from ..contracts.imported import ConversationImported, MessageImported
from ..contracts.keeping import Erased
from ..contracts.recorded_commands import command_of
from .conversation import Conversation
from .decide import decide
from .evolve import evolve, fold
from .program import Program


@dataclass(frozen=True, slots=True)
class Recorded:
    """One stored entry, opened: what replay reads."""

    envelope: Envelope
    event: Event
    data: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Divergence:
    """Where today's decision differs from the recorded one: the version, and both events in JSON."""

    stream: str
    version: int
    recorded: str
    decided: str

    def __str__(self) -> str:
        return f"event {self.version}: recorded {self.recorded}; today {self.decided}"


@dataclass(frozen=True, slots=True)
class Redecided:
    """What deciding a stream again gave. `divergence` is the first one, `divergences` how many decisions differ."""

    stream: str
    events: int
    decisions: int
    divergences: int
    divergence: Divergence | None
    conversation: Conversation
    imported: bool = False
    """The conversation was led elsewhere: nothing in it was decided, so there is nothing to decide again."""


def decisions_in(entries: Sequence[Recorded]) -> Iterable[Sequence[Recorded]]:
    """The entries grouped by the command that caused them, in order."""
    start = 0
    for index in range(1, len(entries) + 1):
        if index == len(entries) or entries[index].envelope.cause != entries[start].envelope.cause:
            yield entries[start:index]
            start = index


@dataclass(frozen=True, slots=True)
class Redecision:
    """One recorded decision beside today's, both made of what was recorded before it. `before` is the fold up to it,
    `after` that of what was recorded."""

    before: Conversation
    after: Conversation
    recorded: Sequence[Recorded]
    decided: tuple[Entry, ...]


Programs = Program | Mapping[str, Program]
"""One program for the whole stream, or by flow digest: of a conversation that moved to another flow, each stretch is
decided by the one it ran on."""


def redecide(program: Programs, stream: str, entries: Sequence[Recorded]) -> Redecided:
    """Decide every recorded command of the stream again. No model, tool, clock or payload is needed.

    Raises `LogBroken` where an entry cannot have been written by its flow, and `FlowError` where a stretch ran on a
    flow that is not among the programs.
    """
    if check_import(stream, entries):
        return Redecided(stream, len(entries), 0, 0, None, fold(stream, (one.event for one in entries)), imported=True)
    conversation = Conversation(id=stream)
    first: Divergence | None = None
    different = decisions = 0
    for one in redecisions(program, stream, entries):
        decisions += 1
        base = one.before.version
        found = _first_difference(stream, base, one.recorded, one.decided)
        if found is not None:
            different += 1
            first = first or found
        conversation = one.after
    return Redecided(stream, len(entries), decisions, different, first, conversation)


def check_import(stream: str, entries: Sequence[Recorded]) -> bool:
    """Whether the stream was imported: nothing in it was decided. Raises `LogBroken` where it is both."""
    imported = bool(entries) and isinstance(entries[0].event, ConversationImported)
    for version, one in enumerate(entries):
        if isinstance(one.event, Erased):
            continue
        if isinstance(one.event, ConversationImported | MessageImported) != imported or (
            version and isinstance(one.event, ConversationImported)
        ):
            raise LogBroken(
                f"An event {one.envelope.type!r} stands in a conversation that was "
                f"{'imported' if imported else 'led here'}.",
                stream=stream,
                version=version,
                fix="No release writes both into one stream, so the log was forged: compare it with a copy.",
            )
    return imported


def redecisions(program: Programs, stream: str, entries: Sequence[Recorded]) -> Iterator[Redecision]:
    """Each recorded decision of the stream with what today's code and flow decide in its place.

    Raises as `redecide`.
    """
    conversation = Conversation(id=stream)
    head = Head(stream)
    for group in decisions_in(entries):
        own = _program(program, stream, group[0])
        decided = _decided(own, stream, conversation, head, group[0])
        after = _folded(own, stream, conversation, group)
        yield Redecision(conversation, after, group, decided)
        conversation = after
        head = Head(stream, head.length + len(group), group[-1].leaf)


def _program(programs: Programs, stream: str, opening: Recorded) -> Program:
    """Of the flow that the decision was made on."""
    if isinstance(programs, Program):
        return programs
    digest = opening.envelope.flow
    if digest not in programs:
        raise FlowError(
            f"From event {opening.envelope.ver} on it ran on the flow {digest[:12]}, which is not loaded.",
            where=f"conversation {stream}",
            fix="Load every flow that it ran on, each with its code.",
        )
    return programs[digest]


def _folded(program: Program, stream: str, conversation: Conversation, group: Sequence[Recorded]) -> Conversation:
    for one in group:
        check_states(program, stream, conversation.version, one.event)
        conversation = evolve(conversation, one.event)
    return conversation


def _decided(
    program: Program, stream: str, conversation: Conversation, head: Head, opening: Recorded
) -> tuple[Entry, ...]:
    """What is decided today of the command that `opening` records."""
    envelope, body = opening.envelope, command_of(opening.event)
    if body is None or envelope.key is None:
        raise LogBroken(
            f"A decision begins with {envelope.type!r}, which records no command.",
            stream=stream,
            version=envelope.ver,
            fix="Verify the log; the entry was altered.",
        )
    command = Command(key=envelope.key, at=envelope.at, actor=envelope.actor, body=body)
    try:
        decision = decide(program, conversation, command)
    except KeyError as error:
        raise LogBroken(
            f"The entry names {error}, which flow {program.ref.name!r} v{program.ref.version} does not have.",
            stream=stream,
            version=envelope.ver,
            fix="Its digest says that this flow wrote it, so the log was forged: compare it with a copy.",
        ) from error
    return sealed(decision.events, head=head, command=command, flow=envelope.flow, code=envelope.code, log=envelope.log)


def check_states(program: Program, stream: str, version: int, event: Event) -> None:
    """Raises `LogBroken` where the event leads to a state that the flow does not have: no rule goes on from it."""
    if isinstance(event, TransitionTaken):
        state = event.target
    elif isinstance(event, ConversationStarted | FlowChanged):
        state = event.state
    else:
        return
    if state not in program.states:
        raise LogBroken(
            f"The entry leads to the state {state!r}, which flow {program.ref.name!r} v{program.ref.version} does not "
            "have.",
            stream=stream,
            version=version,
            fix="Its digest says that this flow wrote it, so the log was forged: compare it with a copy.",
        )


def _upcast(was: Recorded, now: Entry) -> bool:
    """Whether the entry was written in an older shape, and says the same in today's."""
    older = f'"schema":{was.envelope.schema_number},'.encode() not in was.data
    return older and (was.event, was.envelope.key, was.envelope.ver) == (now.event, now.key, now.version)


def _first_difference(
    stream: str, base: int, recorded: Sequence[Recorded], decided: Sequence[Entry]
) -> Divergence | None:
    for index in range(max(len(recorded), len(decided))):
        was = recorded[index] if index < len(recorded) else None
        now = decided[index] if index < len(decided) else None
        if was is None or now is None or (was.data != now.data and not _upcast(was, now)):
            return Divergence(stream, base + index, _shown(was), _shown(now))
    return None


def _shown(one: Recorded | Entry | None) -> str:
    return "nothing" if one is None else one.event.model_dump_json(exclude_none=True)
