"""An event loop whose time stands still: it moves when a test says so, and nothing that waits takes any.

Everything runs in one thread and in one order, so a conversation goes the same way each time. `settle` runs until
all that is left waits for something from outside or for a later moment.
"""

import asyncio
from asyncio import events
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")
START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
"""When a conversation begins, where a test does not say: a Monday."""
_MICRO = 1_000_000


class VirtualLoop(asyncio.BaseEventLoop):
    """A loop without sockets and threads. Its time is in whole microseconds, so that deadlines are met exactly."""

    def __init__(self) -> None:
        self._microseconds = 0
        self._horizon = 0
        super().__init__()
        self._selector = self  # what `BaseEventLoop` asks how long nothing happens: see `select`
        self.set_exception_handler(lambda _loop, _context: None)

    def time(self) -> float:
        return self._microseconds / _MICRO

    def select(self, timeout: float | None) -> list[Any]:
        """Nothing is ready: go on to the next moment that something waits for, or stop at the horizon."""
        if timeout == 0:
            return []
        waits = self._microseconds + round(timeout * _MICRO) if timeout is not None else None
        if waits is not None and waits <= self._horizon:
            self._microseconds = max(waits, self._microseconds + 1)
        else:
            self._microseconds = max(self._microseconds, self._horizon)
            self.stop()
        return []

    def settle(self, seconds: float = 0) -> None:
        """Run everything that can run, and let `seconds` pass on the way."""
        self._horizon = self._microseconds + round(seconds * _MICRO)
        before = events._get_running_loop()  # a test may be a coroutine itself
        events._set_running_loop(None)
        try:
            self.run_forever()
        finally:
            events._set_running_loop(before)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What `work` gives. It must not wait for anything from outside."""
        task = self.create_task(work)
        self.settle()
        if not task.done():
            task.cancel()
            self.settle()
            raise AssertionError("This waits for something that nobody gives.")
        return task.result()

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> "asyncio.Future[T]":  # type: ignore[override]
        """At once: a thread would come back at a moment of its own."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except BaseException as error:  # noqa: BLE001 - whoever awaits it gets it, as from a thread
            future.set_exception(error)
        return future

    def end(self) -> None:
        """Cancel what is left, and close."""
        if self.is_closed():
            return
        for _ in range(3):
            left = asyncio.all_tasks(self)
            if not left:
                break
            for task in left:
                task.cancel()
            self.settle()
        self.close()

    def _process_events(self, event_list: list[Any]) -> None:
        return

    def _write_to_self(self) -> None:
        return

    def __del__(self, _warn: Any = None) -> None:
        """Silent: nothing outside Python is held open."""


class VirtualClock:
    """The time of a virtual loop as the runtime asks for it."""

    def __init__(self, loop: VirtualLoop, start: datetime = START) -> None:
        self._loop, self.start = loop, start

    def now(self) -> datetime:
        return self.start + timedelta(microseconds=round(self._loop.time() * _MICRO))
