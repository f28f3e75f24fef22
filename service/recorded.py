"""A recorded log run again through the real runtime: every answer, id, time and random byte is the recorded one.

`rerun(source, target, programs)` submits what came from outside, in its order, to a runtime on `target`. Each intent is
answered from the record, by its position: exactly the event that answered it. No agent is called and no tool is run;
there is none to call. The log that comes of it is the recorded one, byte for byte, or the first difference is named.

For answers that are found by what is asked (`Recordings`, `Unfit`), whatever its position, see `fsm.recordings`; both
are public here.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from ..agents.recorded import RecordedAgent
from ..contracts.commands import Actor, CommandBody, Fire, Migrate
from ..contracts.envelope import Entry, Head
from ..contracts.errors import CallError
from ..contracts.events import RoutingDecided
from ..contracts.payload import Payload
from ..contracts.recorded_commands import command_of
from ..contracts.routing import RoutingEvidence
from ..contracts.store import Store
from ..fsm.conversation import Conversation
from ..fsm.decide import effects_of
from ..fsm.draft import Effect, Route, Wait
from ..fsm.program import Program
from ..fsm.recordings import Answered, Recordings, Unfit, recordings
from ..fsm.replay import Divergence, Recorded, decisions_in
from ..persistence.presence import OnlyProcess
from .live import Live
from .loading import recorded
from .loop import InHand
from .runtime import Runtime
from .submission import Submission

__all__ = ["Answered", "Changed", "Recordings", "Reran", "Rerun", "Tape", "Unfit", "recordings", "rerun"]
FROM_OUTSIDE = ("c:", "t:", "w:", "m:", "x:")
"""Prefixes of the keys whose commands are submitted again; all others follow from those."""
Changed = Mapping[tuple[str, int], tuple[CommandBody, tuple[Payload, ...]]]
"""Other answers than the recorded ones: by stream and the version of the answer's event."""


@dataclass(frozen=True, slots=True)
class Told:
    """One recorded command: at which version, by whom and when it was given, what it said, and the texts it brought."""

    version: int
    key: str
    actor: Actor
    at: datetime
    body: CommandBody
    payloads: tuple[Payload, ...]


@dataclass
class Tape:
    """One recorded stream, opened for running again."""

    stream: str
    entries: list[Recorded]
    told: dict[str, Told] = field(default_factory=dict)
    """Every command by its key."""
    at: dict[int, Told] = field(default_factory=dict)
    """And by its version."""

    @classmethod
    def of(cls, source: Store, stream: str, changed: Changed | None = None) -> "Tape":
        """Raises `LogBroken` where an entry is no known event. Erased texts are missing, and are not made up."""
        tape = cls(stream, recorded(source.read(stream)))
        payloads: dict[int, list[Payload]] = {}
        for place, payload in source.payloads(stream).items():
            payloads.setdefault(place.version, []).append(payload)
        for group in decisions_in(tape.entries):
            opening, body = group[0].envelope, command_of(group[0].event)
            if body is None or opening.key is None:
                continue
            texts = tuple(payloads.get(opening.ver, ()))
            body, texts = (changed or {}).get((stream, opening.ver), (body, texts))
            told = Told(opening.ver, opening.key, opening.actor, opening.at, body, texts)
            tape.told[opening.key] = tape.at[opening.ver] = told
        return tape

    @property
    def outside(self) -> list[Told]:
        """The commands that nothing in the log gave rise to, in their order."""
        return [told for _, told in sorted(self.at.items()) if told.key.startswith(FROM_OUTSIDE)]


@dataclass(frozen=True, slots=True)
class Reran:
    """What running streams again gave: how many events, and the first difference of each stream that has one."""

    streams: int
    events: int
    answered: int
    """Intents that were answered from the record."""
    differences: tuple[Divergence, ...] = ()

    @property
    def same(self) -> bool:
        return not self.differences


class _Over(Exception):
    """The record ends here."""


class Rerun(Runtime):
    """A runtime on `store` that is given what stands in `source`, and gives nothing else."""

    def __init__(
        self,
        source: Store,
        store: Store,
        programs: Iterable[Program],
        *,
        streams: Sequence[str] | None = None,
        changed: Changed | None = None,
    ) -> None:
        super().__init__(store, programs, RecordedAgent(), presence=OnlyProcess())
        wanted = source.streams() if streams is None else streams
        self.tapes = {stream: Tape.of(source, stream, changed) for stream in wanted}
        self.differences: dict[str, Divergence] = {}
        self.answered = 0
        self._lengths = {stream: store.head(stream).length for stream in self.tapes}
        self._moved, self._over = asyncio.Condition(), False

    async def run(self) -> Reran:
        """Go on from wherever the streams in the store end until all that was recorded is there, or something
        differs. What a run before this one left undone is done again."""
        works = [self._resumed(stream) for stream in self.tapes if self._lengths[stream]]
        works += [self._submit_all(tape) for tape in self.tapes.values()]
        tasks = [asyncio.create_task(self._or_end(work)) for work in works]
        with suppress(_Over):
            await self._wait(lambda: all(self._lengths[one.stream] >= len(one.entries) for one in self.tapes.values()))
        await self._end()
        failures = [one for one in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(one, Exception)]
        for failure in failures:
            if not isinstance(failure, _Over):
                raise failure
        events = sum(self._lengths.values())
        return Reran(len(self.tapes), events, self.answered, tuple(self.differences.values()))

    def missing(self) -> Iterator[Divergence]:
        """The first recorded entry of each stream that was not made again."""
        for stream, tape in self.tapes.items():
            if self._lengths[stream] < len(tape.entries):
                was = tape.entries[self._lengths[stream]]
                yield Divergence(stream, was.envelope.ver, was.event.model_dump_json(exclude_none=True), "nothing")

    async def _or_end(self, work: Coroutine[Any, Any, None]) -> None:
        """Whatever goes wrong ends the run: nobody waits for what will not come."""
        try:
            await work
        except BaseException:
            await self._end()
            raise

    async def _submit_all(self, tape: Tape) -> None:
        """Give the stream what came from outside, each at its version."""
        turns = []
        for told in tape.outside:
            if told.version < self._lengths[tape.stream]:
                continue
            await self._wait(lambda told=told: self._lengths[tape.stream] >= told.version)  # type: ignore[misc]
            live = await self._conversations.find(tape.stream)
            if live is None:
                program = self._conversations.pinned(tape.entries[0].envelope.flow)
                live = self._conversations.opened(tape.stream, program)
            if isinstance(told.body, Migrate):
                self._under(live, told.body)
            given = Submission(told.key, told.actor, lambda _, told=told: (told.body, told.payloads), True, True)  # type: ignore[misc]
            turns.append(asyncio.create_task(self._submitted(live, given)))
            await self._wait(lambda told=told: self._lengths[tape.stream] > told.version, turns[-1])  # type: ignore[misc]
        await asyncio.gather(*turns)

    def _under(self, live: Live, body: Migrate) -> None:
        """The move is decided by the flow that it leads to."""
        live.flows = {**live.flows, body.before.digest: live.program.flow}
        live.program = self._conversations.pinned(body.flow.digest)

    async def _resumed(self, stream: str) -> None:
        live = await self._conversations.known(stream)
        await self._perform_all(live, list(effects_of(live.conversation)))
        await self._children.told_above(live)

    async def _wait(self, holds: Callable[[], bool], task: "asyncio.Task[object] | None" = None) -> None:
        """Until it holds. Raises `_Over` where the run ends before, and what `task` raised."""
        async with self._moved:
            while not holds():
                if self._over:
                    raise _Over
                if task is not None and task.done() and task.exception() is not None:
                    self._over = True
                    self._moved.notify_all()
                    await task
                await self._moved.wait()

    async def _end(self) -> None:
        async with self._moved:
            self._over = True
            self._moved.notify_all()

    # -- where the record stands in for the world -------------------------------------------------------

    async def _performed(self, live: Live, effect: InHand) -> tuple[CommandBody, tuple[Payload, ...]]:
        key = f"w:{effect.effect}" if isinstance(effect, Wait) else f"e:{effect.effect}"
        told = self.tapes[live.id].told.get(key)
        await self._wait(lambda: told is not None and self._lengths[live.id] >= told.version)
        if told is None:
            raise _Over
        if isinstance(effect, Wait):
            return Fire(timer=effect.effect), ()
        self.answered += 1
        return told.body, told.payloads

    async def _commit(
        self, live: Live, key: str, actor: Actor, body: CommandBody, payloads: tuple[Payload, ...]
    ) -> list[Effect]:
        """In the recorded order, with the recorded texts and their random bytes where the command is the same."""
        told = self.tapes[live.id].told.get(key) if live.id in self.tapes else None
        if told is not None:
            await self._wait(lambda: self._lengths[live.id] >= told.version)
            actor, body, payloads = told.actor, told.body, told.payloads
        try:
            return await super()._commit(live, key, actor, body, payloads)
        except BaseException:
            await self._end()
            raise

    def _time_of(self, live: Live, version: int, body: CommandBody) -> datetime:
        tape = self.tapes.get(live.id)
        told = tape.at.get(version) if tape else None
        return told.at if told else super()._time_of(live, version, body)

    def _code_of(self, conversation: str, version: int, program: Program) -> str:
        tape = self.tapes.get(conversation)
        told = tape.at.get(version) if tape else None
        return (
            tape.entries[version].envelope.code if tape and told else super()._code_of(conversation, version, program)
        )

    async def _evidence(self, live: Live, effect: Route, version: int) -> RoutingEvidence:
        tape = self.tapes[live.id]
        event = tape.entries[version].event if version < len(tape.entries) else None
        if isinstance(event, RoutingDecided) and event.state == effect.state:
            return event.evidence
        return await super()._evidence(live, effect, version)

    async def _append(self, live: Live, entries: list[Entry], conversation: Conversation, head: Head) -> None:
        await super()._append(live, entries, conversation, head)
        tape = self.tapes.get(live.id)
        async with self._moved:
            for entry in entries if live.id not in self.differences else ():
                was = tape.entries[entry.version] if tape and entry.version < len(tape.entries) else None
                if was is None or was.data != entry.data:
                    self.differences[live.id] = _divergence(was, entry)
                    self._over = True
                    break
            self._lengths[live.id] = head.length
            self._moved.notify_all()


def _divergence(was: Recorded | None, entry: Entry) -> Divergence:
    recorded = "nothing" if was is None else was.event.model_dump_json(exclude_none=True)
    return Divergence(entry.stream, entry.version, recorded, entry.event.model_dump_json(exclude_none=True))


async def rerun(
    source: Store,
    target: Store,
    programs: Iterable[Program],
    *,
    streams: Sequence[str] | None = None,
    changed: Changed | None = None,
) -> Reran:
    """Run the streams of `source` again on `target`, a log of the same origin, and go on where one ends before.

    `changed` gives other answers than the recorded ones. Raises `CallError` for a target of another origin: its name
    stands in every entry.
    """
    if source.log != target.log:
        raise CallError(
            f"The log {target.log!r} is not of the origin {source.log!r}: no entry could be the same.",
            fix="Give a new store with the origin of the recorded one, such as `MemoryStore(origin=source.log)`.",
        )
    programs = tuple(programs)
    while True:
        before = _length(target)
        async with Rerun(source, target, programs, streams=streams, changed=changed) as runtime:
            try:
                found = await runtime.run()
            finally:
                await runtime.close(0)
        missing = tuple(runtime.missing())
        if found.differences or not missing:
            return found
        # What a crash left undone in one stream may end the others' work early: another run goes on from there.
        if _length(target) == before:
            return replace(found, differences=missing)


def _length(store: Store) -> int:
    return sum(store.head(stream).length for stream in store.streams())
