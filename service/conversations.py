"""The conversations in memory: found, loaded from the log, read again when somebody else appended."""

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from weakref import WeakValueDictionary

from ..contracts.envelope import Head
from ..contracts.errors import CallError, FlowError, LogError, UnknownConversation
from ..contracts.store import Store
from ..contracts.values import listed
from ..fsm.conversation import Conversation
from ..fsm.program import Program, with_children
from .live import Live
from .loading import loaded

MOST_RACES = 100
"""Times that a lost race on one append is decided again, before the log is taken for broken."""


class Conversations:
    """A bounded cache over the log. What it forgets is folded again when asked for: nothing else is lost."""

    def __init__(self, store: Store, programs: Iterable[Program], remembered: int = 1_000) -> None:
        self._store, self._remembered = store, remembered
        given = tuple(programs)
        self.programs = {program.ref.digest: program for program in with_children(given)}
        self._given = frozenset(program.ref.digest for program in given)
        self._live: OrderedDict[str, Live] = OrderedDict()
        # Two readings of one conversation, one of them forgotten meanwhile, still take turns.
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._writing: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def known(self, conversation: str) -> Live:
        """The conversation, or `UnknownConversation`."""
        live = await self.find(conversation)
        if live is None:
            raise UnknownConversation(
                f"There is no conversation {conversation!r} in this log.",
                fix="Start it first, or list what there is with `interlock log`.",
            )
        return live

    async def current(self, conversation: str) -> Live:
        """The conversation as the log has it now, whichever process moved it last."""
        live = await self.known(conversation)
        if not live.lock.locked():  # else this process is moving it, and sees others' entries when it appends
            async with live.lock, live.writing:  # an operator's turn holds the second only
                head = await asyncio.to_thread(self._store.head, conversation)
                if head.length != live.head.length:
                    await self.reload(live)
        return live

    async def find(self, conversation: str) -> Live | None:
        live = self._live.get(conversation)
        if live is not None:
            self._live.move_to_end(conversation)
            return live if live.head.length else None
        found = await self._read(conversation)
        return found and (self._live.get(conversation) or self._kept(found))

    def opened(self, conversation: str, program: Program) -> Live:
        """A conversation that is about to start."""
        return self._live.get(conversation) or self._kept(
            Live(conversation, program, Conversation(id=conversation), Head(conversation))
        )

    async def reload(self, live: Live) -> None:
        """Somebody else appended: take the stream as it is now."""
        found = await self._read(live.id)
        if found is not None:
            live.become(found)

    async def _read(self, conversation: str) -> Live | None:
        entries = await asyncio.to_thread(self._store.read, conversation)
        if not entries:
            return None
        live = loaded(conversation, entries, self.pinned, self._store.flow)
        summary = await asyncio.to_thread(self._store.summary, conversation)
        live.owner = summary.owner if summary else ""
        return live

    def forget(self, conversation: str) -> None:
        self._live.pop(conversation, None)

    def is_busy(self, conversation: str) -> bool:
        lock = self._locks.get(conversation)
        return lock is not None and lock.locked()

    def pinned(self, digest: str) -> Program:
        """The program of a flow digest, or `FlowError`: another version never runs a conversation in its place."""
        if digest not in self.programs:
            there = (f"{one.ref.name} v{one.ref.version} {one.ref.digest[:12]}" for one in self.programs.values())
            raise FlowError(
                f"The conversation is pinned to flow digest {digest[:12]}, which is not loaded.",
                where=f"loaded: {listed(there)}",
                fix="Load that version of the flow beside the new one; `interlock log` shows who needs it.",
            )
        return self.programs[digest]

    def newest(self, flow: str | None) -> Program:
        """The highest loaded version of the flow; of the only flow where no name is given."""
        # Flows that are there as subflows of others are started by name only.
        found = [
            one
            for digest, one in self.programs.items()
            if flow == one.ref.name or (flow is None and digest in self._given)
        ]
        names = sorted({one.ref.name for digest, one in self.programs.items() if digest in self._given})
        if not found or (flow is None and len(names) > 1):
            raise CallError(
                f"No flow {flow!r} is loaded." if flow else "Several flows are loaded and none was named.",
                fix=f"Use one of {listed(names)}.",
            )
        return max(found, key=lambda one: one.ref.version)

    def _kept(self, live: Live) -> Live:
        live.lock = self._locks.setdefault(live.id, live.lock)
        live.writing = self._writing.setdefault(live.id, live.writing)
        self._live[live.id] = live
        while len(self._live) > self._remembered:
            oldest = next((one for one in self._live.values() if not one.lock.locked() and one is not live), None)
            if oldest is None:
                break
            del self._live[oldest.id]
        return live


def never_settled(conversation: str) -> LogError:
    return LogError(
        f"The stream moved under {MOST_RACES} appends in a row.",
        where=f"conversation {conversation}",
        fix="See which process writes to it without end; nothing of this submission was recorded.",
    )
