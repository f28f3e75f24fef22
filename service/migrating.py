"""Moving live conversations to another version of their flow: planned over the log, then recorded one by one.

No agent, tool or old code is needed: the old flow stands in the log, and the move is decided by the new one. A plan is
the decision itself, made and not recorded, so a dry run says exactly what the move does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ..contracts.commands import SYSTEM, Actor, Command, Migrate
from ..contracts.envelope import Entry, Head, sealed
from ..contracts.errors import CallError, StreamMoved
from ..contracts.events import Event, FactForgotten
from ..contracts.flow import Flow
from ..contracts.lineage import Renamed, Stood
from ..contracts.store import Append, FlowRow, Store, Summary
from ..contracts.values import listed
from ..fsm.conversation import Conversation
from ..fsm.decide import decide
from ..fsm.evolve import fold
from ..fsm.migrating import obstacles
from ..fsm.policies.alphabet import Seen, observed
from ..fsm.policies.judging import after
from ..fsm.program import Program, with_children
from .codes import CODE
from .conversations import MOST_RACES, never_settled
from .loading import recorded, recorded_flow
from .projection import summary_of


@dataclass(frozen=True)
class Move:
    """What moving one conversation does, or why it cannot be moved."""

    stream: str
    before: str
    """The flow and version that it runs on."""
    source: str
    target: str
    head: Head
    obstacles: tuple[str, ...] = ()
    forgotten: tuple[str, ...] = ()
    """Facts that the new flow does not have, or has otherwise."""
    entries: tuple[Entry, ...] = ()
    after: Conversation | None = None
    started_at: str = ""
    owner: str = ""

    @property
    def possible(self) -> bool:
        return not self.obstacles


def wanted(store: Store, program: Program) -> list[Summary]:
    """Open conversations of the program's flow that run on another version of it, the oldest first."""
    return [
        one
        for one in reversed(store.summaries(status="open"))
        if one.flow_name == program.ref.name and one.flow_digest != program.ref.digest
    ]


def check_names(program: Program, renamed: Mapping[str, str]) -> None:
    """Raises `CallError` for a state that the new flow does not have."""
    if unknown := sorted({new for new in renamed.values() if new not in program.states}):
        raise CallError(
            f"The flow {program.ref.name!r} v{program.ref.version} has no state {listed(unknown)}.",
            fix=f"Map to one of {listed(program.states)}.",
        )


def check_old_names(store: Store, streams: Iterable[str], renamed: Mapping[str, str]) -> None:
    """Raises `CallError` for a state that no flow of the conversations has: a slip that would move nothing."""
    digests = {one.flow_digest for stream in streams if (one := store.summary(stream)) is not None}
    rows = [row for digest in sorted(digests) if (row := store.flow(digest)) is not None]
    states = {state.name for row in rows for state in recorded_flow(row).states}
    if rows and (unknown := sorted(renamed.keys() - states)):
        raise CallError(
            f"The flow that they run on has no state {listed(unknown)}.", fix=f"Map one of {listed(sorted(states))}."
        )


def planned(
    store: Store,
    stream: str,
    program: Program,
    renamed: Mapping[str, str],
    *,
    at: datetime,
    actor: Actor = SYSTEM,
    code: str = CODE,
) -> Move:
    """The move of one conversation to `program`, decided and not recorded. Raises `LogBroken` for a stream that cannot
    be read."""
    stored = store.read(stream)
    entries = recorded(stored)
    conversation = fold(stream, (one.event for one in entries))
    head = Head(stream, len(entries), entries[-1].leaf)
    summary = store.summary(stream)
    ref = conversation.flow
    row = store.flow(ref.digest) if ref else None
    before = f"{ref.name} v{ref.version}" if ref else "no flow"
    target = renamed.get(conversation.state, conversation.state)
    move = Move(stream, before, conversation.state, target, head, owner=summary.owner if summary else "")
    if ref is None or row is None:
        return _with(move, obstacles=("the log does not keep the flow that it runs on",))
    body = body_of(conversation, program, recorded_flow(row), renamed, (one.event for one in entries))
    if found := tuple(obstacles(program, conversation, body)):
        return _with(move, obstacles=found)
    command = Command(key=f"m:{head.length}", at=at, actor=actor, body=body)
    decision = decide(program, conversation, command)
    made = sealed(decision.events, head=head, command=command, flow=program.ref.digest, code=code, log=store.log)
    return _with(
        move,
        entries=made,
        after=decision.conversation,
        started_at=stored[0].at,
        forgotten=tuple(one.name for one in decision.events if isinstance(one, FactForgotten)),
    )


def _with(move: Move, **changes: object) -> Move:
    return Move(**{**move.__dict__, **changes})


def body_of(
    conversation: Conversation, program: Program, left: Flow, renamed: Mapping[str, str], events: Iterable[Event]
) -> Migrate:
    """The command that moves the conversation, after `events`, from the flow `left` to `program`."""
    kinds = {one.name: one.kind for one in left.states}
    states = [conversation.state, *(frame.state for frame in conversation.frames)]
    return Migrate.model_validate(
        {
            "before": conversation.flow,
            "flow": program.ref,
            "stood": tuple(Stood.model_validate({"state": state, "kind": kinds[state]}) for state in states),
            "currency": left.currency,
            "renamed": tuple(Renamed(old=old, new=new) for old, new in sorted(renamed.items())),
            "watched": _watched(program, renamed, events),
        }
    )


def _watched(program: Program, renamed: Mapping[str, str], events: Iterable[Event]) -> tuple[int, ...]:
    """How the new flow's policies stand after what was recorded, with the states as they are called there."""
    states, seen = (0,) * len(program.watches), Seen()
    for version, event in enumerate(events if states else ()):
        words, seen = observed(event, version, seen)
        states = after(program.watches, states, tuple(_renamed(word, renamed) for word in words))
    return states


def _renamed(word: str, renamed: Mapping[str, str]) -> str:
    kind, _, name = word.partition(":")
    if kind not in ("enter", "end", "confirmed", "result", "decided"):
        return word
    state, dot, rest = name.partition(".")
    return f"{kind}:{renamed.get(state, state)}{dot}{rest}"


def moved(
    store: Store,
    streams: Sequence[str],
    program: Program,
    renamed: Mapping[str, str],
    *,
    at: datetime,
    source: str,
    actor: Actor = SYSTEM,
    code: str = CODE,
) -> tuple[Move, ...]:
    """Move each of the conversations that can be moved; durable on return. The others' logs are untouched.

    A process that has one in memory reads it again at its next append, and must have the new flow by then.
    """
    check_names(program, renamed)
    done = []
    for stream in streams:
        for _ in range(MOST_RACES):
            move = planned(store, stream, program, renamed, at=at, actor=actor, code=code)
            if not move.possible or move.after is None:
                break
            for one in with_children([program]):  # to read it back takes the flows that it begins children on
                store.put_flow(FlowRow(one.ref.digest, one.ref.name, one.ref.version, one.body, source))
            summary = summary_of(move.after, move.entries[-1].at, move.started_at, move.owner)
            try:
                store.append(Append(entries=move.entries, expected=move.head.length, summary=summary))
                break
            except StreamMoved:
                continue
        else:
            raise never_settled(stream)
        done.append(move)
    return tuple(done)
