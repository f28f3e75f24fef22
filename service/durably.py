"""Waiting in an event loop for what another thread records: one wake-up for all that was recorded together.

`asyncio.wrap_future` wakes the loop for each future, with a system call that lets go of the interpreter; the thread
that writes then waits for it again, up to a switch interval each, while the other conversations' appends lie there.
"""

import asyncio
from collections import deque
from concurrent.futures import CancelledError, Future
from contextlib import suppress


class Durably:
    """Of one event loop at a time: the one that is running."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._done: deque[tuple[Future[int], asyncio.Future[int]]] = deque()
        self._woken = False

    async def result(self, recorded: "Future[int]") -> int:
        """What the future gives or raises. Cancelling the wait cancels the future, if nobody works on it yet."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # the former one has ended, and nobody waits there
            self._loop, self._done, self._woken = loop, deque(), False
        here: asyncio.Future[int] = loop.create_future()
        recorded.add_done_callback(lambda ended: self._came(ended, here))
        try:
            return await here
        except asyncio.CancelledError:
            recorded.cancel()
            raise

    def _came(self, ended: "Future[int]", here: "asyncio.Future[int]") -> None:
        """On the thread that records."""
        loop = here.get_loop()
        if loop is not self._loop:
            return
        self._done.append((ended, here))
        if not self._woken:
            self._woken = True
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        # In this order: whoever saw the mark still set has put its future in the row before it is emptied.
        self._woken = False
        while self._done:
            ended, here = self._done.popleft()
            if here.done():
                continue
            try:
                here.set_result(ended.result())
            except CancelledError:
                here.cancel()
            except BaseException as error:  # noqa: BLE001 - raised where it is awaited
                here.set_exception(error)
