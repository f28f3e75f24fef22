"""A bound on every call to an agent that holds whatever the adapter does.

An adapter keeps its own timeout, and says more when it ends by itself; so ours is `GRACE_SECONDS` longer. A
call that outlives it is cancelled and not waited for. What an adapter that swallows the cancellation returns
afterwards is dropped, with one structured record; until then its task is held here, and `close` ends it.
Code that blocks the event loop cannot be bounded: nothing else runs meanwhile, this neither.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

import structlog

from ..contracts.errors import AgentFailed

T = TypeVar("T")
GRACE_SECONDS = 0.25
log = structlog.get_logger("interlock.perform")


class Bounds:
    """Keeps calls within their time, and what is left of those that did not end in it."""

    def __init__(self, grace_seconds: float = GRACE_SECONDS) -> None:
        self._grace = grace_seconds
        self._orphans: set[asyncio.Task[_Ended[object]]] = set()

    @property
    def orphans(self) -> int:
        """Calls that were given up and have not ended."""
        return len(self._orphans)

    async def within(self, seconds: float, call: Coroutine[Any, Any, T], *, agent: str, effect: str) -> T:
        """What `call` gives or raises. Raises `AgentFailed` of kind `timeout` when its time is over."""
        task: asyncio.Task[_Ended[T]] = asyncio.create_task(_ended(call), name=f"agent-{agent}")
        try:
            finished, _ = await asyncio.wait({task}, timeout=seconds + self._grace)
        except asyncio.CancelledError:
            self._give_up(task, agent, effect)
            raise
        if not finished:
            self._give_up(task, agent, effect)
            log.warning("call_given_up", agent=agent, effect=effect, seconds=seconds)
            raise AgentFailed(
                f"No answer within {seconds:g} s, and the adapter did not end by itself.",
                kind="timeout",
                reason="timeout",
                where=f"agent {agent}, effect {effect}",
                fix="The adapter must keep the request's `timeout_seconds`; see `tests/conformance/test_agents.py`.",
            )
        return task.result().given()

    def _give_up(self, task: "asyncio.Task[_Ended[T]]", agent: str, effect: str) -> None:
        def came_late(ended: "asyncio.Task[_Ended[object]]") -> None:
            self._orphans.discard(ended)
            if not ended.cancelled():
                error = ended.exception() or ended.result().error
                name = type(error).__name__ if error is not None else ""
                log.warning("late_result_dropped", agent=agent, effect=effect, error=name)

        held: asyncio.Task[_Ended[object]] = task  # type: ignore[assignment]
        self._orphans.add(held)
        held.add_done_callback(came_late)
        task.cancel()

    async def close(self, grace_seconds: float = 1.0) -> None:
        """End what is left; a task that ignores being cancelled even now is reported."""
        if not self._orphans:
            return
        for task in self._orphans:
            task.cancel()
        _, left = await asyncio.wait(tuple(self._orphans), timeout=grace_seconds)
        if left:
            log.error("calls_left_running", count=len(left))


class _Ended(Generic[T]):
    """How a call ended. `SystemExit` is carried as a value: raised in a task, it would end the event loop."""

    def __init__(self, result: T | None = None, error: BaseException | None = None) -> None:
        self._result, self.error = result, error

    def given(self) -> T:
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]


async def _ended(call: Coroutine[Any, Any, T]) -> _Ended[T]:
    try:
        return _Ended(await call)
    except SystemExit as error:
        return _Ended(error=error)
