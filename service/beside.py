"""What runs beside the turns of one process: the tasks that closing waits for, and the effects in hand.

An effect is in hand from the commit that asks for it until its end is recorded, or given up. Nobody performs it a
second time meanwhile: neither recovery in this process, nor another process, while `owners` name a living one.
"""

import asyncio
from collections.abc import Callable, Coroutine, Hashable, Iterable
from typing import Any, TypeVar

from ..contracts.errors import CallError
from ..fsm.draft import CallAgent, Effect, RunTool, Wait
from ..persistence.presence import Presence
from .durably import Durably

T = TypeVar("T")
Work = tuple[Hashable, Callable[[], Coroutine[Any, Any, T]]]
"""Something to do beside the turns, under a name."""
AT_ONCE = 100
"""Lines of deadlines, or of conversations to recover, that one look at the log sets going at once."""


class Beside:
    """The tasks and the effects of one runtime."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[Any]] = set()
        self.effects: set[tuple[str, int]] = set()
        """Effects in hand, by conversation and effect."""
        self.closed = False
        self.durably = Durably()
        """What turns wait with for what they append."""
        self._under_way: set[Hashable] = set()

    def task(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """`work` in a task that closing waits for."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def outlived(self, work: Coroutine[Any, Any, T]) -> T:
        """Run `work` in a task that goes on if the caller goes away. Raises `CallError` once closed."""
        if self.closed:
            work.close()
            raise CallError("This runtime is closed.", fix="Use it inside its `async with`, or make a new one.")
        return await asyncio.shield(self.task(work))

    async def each(self, lines: Iterable[Iterable[Work[T]]]) -> list[T]:
        """What each work gives: those of one line one after another, and no line behind another; `AT_ONCE` at most.

        A work that is under way already, under the same name, is left to whoever began it.
        """
        begun: list[asyncio.Task[list[T]]] = []
        running: set[asyncio.Task[list[T]]] = set()
        for line in lines:
            if len(running) >= AT_ONCE:
                _, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            task = asyncio.create_task(self._in_line(line))
            begun.append(task)
            running.add(task)
        return [one for given in await asyncio.gather(*begun) for one in given]

    async def _in_line(self, line: Iterable[Work[T]]) -> list[T]:
        given: list[T] = []
        for name, work in line:
            if name not in self._under_way:
                self._under_way.add(name)
                try:
                    given.append(await work())
                finally:
                    self._under_way.discard(name)
        return given

    def hold(self, conversation: str, effects: Iterable[Effect]) -> set[tuple[str, int]]:
        """Have these in hand, and say which; whoever holds them takes them off `effects` when they are over."""
        held = _places(conversation, effects)
        self.effects |= held
        return held

    def free(self, conversation: str, effects: Iterable[Effect]) -> list[Effect]:
        """Those that nobody here has in hand."""
        return [one for one in effects if not _places(conversation, (one,)) & self.effects]

    def has_in_hand(self, conversation: str) -> bool:
        return any(stream == conversation for stream, _ in self.effects)

    async def close(self, grace_seconds: float) -> None:
        """Let all end, with what they begin meanwhile, within the time; then cut off what is left."""
        self.closed = True
        clock = asyncio.get_running_loop()
        over = clock.time() + grace_seconds
        while self.tasks and (left := over - clock.time()) > 0:
            await asyncio.wait(tuple(self.tasks), timeout=left)
        while self.tasks:
            for task in (unfinished := tuple(self.tasks)):
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)


def _places(conversation: str, effects: Iterable[Effect]) -> set[tuple[str, int]]:
    return {(conversation, one.effect) for one in effects if isinstance(one, CallAgent | RunTool | Wait)}


def owners_after(before: str, presence: Presence, *, begins: bool) -> str:
    """Who performs effects of a conversation after a commit of this process, where some were in hand before it.

    Those who live stay: only they know what they have in hand. This process joins them where the commit `begins`
    something, which it will perform, or where nobody is left.
    """
    there = living(before.split(), presence)
    if presence.owner not in there and (begins or not there):
        there = (*there, presence.owner)
    return " ".join(there)


def living(owners: Iterable[str], presence: Presence) -> tuple[str, ...]:
    """Those of the owners that run: this process, and others that are alive."""
    return tuple(one for one in owners if one == presence.owner or presence.is_alive(one))
