"""What waits for the thread that records: each gets its own outcome, and the loop is woken once for many."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread
from typing import Any

import pytest

from interlock.contracts.errors import StorageError
from interlock.service.durably import Durably


def on_a_thread(work: Callable[[], None]) -> None:
    thread = Thread(target=work)
    thread.start()
    thread.join()


class Woken:
    """Counts how often a loop is woken from outside."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.times, loop = 0, asyncio.get_running_loop()
        wake = loop.call_soon_threadsafe

        def counted(*given: Any, **more: Any) -> Any:
            self.times += 1
            return wake(*given, **more)

        monkeypatch.setattr(loop, "call_soon_threadsafe", counted)


async def test_what_was_recorded_together_wakes_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fifty appends of one transaction: fifty outcomes, each its own, and one wake-up."""
    durably, futures = Durably(), [Future[int]() for _ in range(50)]
    waiting = [asyncio.create_task(durably.result(one)) for one in futures]
    await asyncio.sleep(0)
    woken = Woken(monkeypatch)

    def record() -> None:
        for number, one in enumerate(futures):
            one.set_result(number)

    on_a_thread(record)
    assert await asyncio.gather(*waiting) == list(range(50))
    assert woken.times == 1


async def test_a_later_group_wakes_the_loop_again() -> None:
    """Nothing is left lying because the loop was woken before."""
    durably = Durably()
    for number in range(20):
        recorded = Future[int]()
        waiting = asyncio.create_task(durably.result(recorded))
        await asyncio.sleep(0)
        on_a_thread(lambda recorded=recorded, number=number: recorded.set_result(number))  # type: ignore[misc]
        assert await asyncio.wait_for(waiting, 5) == number


async def test_an_outcome_that_is_there_already_is_given() -> None:
    """The thread was faster than the wait."""
    recorded = Future[int]()
    recorded.set_result(3)
    assert await asyncio.wait_for(Durably().result(recorded), 5) == 3


async def test_a_failure_is_raised_where_it_is_waited_for_and_hurts_nobody_else() -> None:
    """One append refused among others."""
    durably, refused, kept = Durably(), Future[int](), Future[int]()
    waiting = [asyncio.create_task(durably.result(one)) for one in (refused, kept)]
    await asyncio.sleep(0)
    refused.set_exception(StorageError("The disk is full.", fix="Free space."))
    kept.set_result(7)
    with pytest.raises(StorageError, match="The disk is full"):
        await waiting[0]
    assert await waiting[1] == 7


async def test_cancelling_the_wait_takes_back_what_nobody_works_on() -> None:
    """An append that is still in the row is not made; one that is being made is."""
    durably, queued, begun = Durably(), Future[int](), Future[int]()
    begun.set_running_or_notify_cancel()
    for recorded, is_cancelled in ((queued, True), (begun, False)):
        waiting = asyncio.create_task(durably.result(recorded))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert recorded.cancelled() is is_cancelled
    begun.set_result(1)
    await asyncio.sleep(0)


async def test_a_cancelled_append_cancels_the_wait() -> None:
    """As it would with a future of the loop's own."""
    durably, recorded = Durably(), Future[int]()
    waiting = asyncio.create_task(durably.result(recorded))
    await asyncio.sleep(0)
    recorded.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


def test_a_second_event_loop_is_served_as_the_first_was() -> None:
    """A program may run its runtime in one loop after another; what came too late for the first is dropped."""
    durably, late = Durably(), Future[int]()

    async def once(recorded: "Future[int]") -> int:
        waiting = asyncio.create_task(durably.result(recorded))
        await asyncio.sleep(0)
        on_a_thread(lambda: recorded.set_result(1))
        return await asyncio.wait_for(waiting, 5)

    async def gone() -> None:
        waiting = asyncio.create_task(durably.result(late))
        await asyncio.sleep(0)
        late.set_running_or_notify_cancel()
        waiting.cancel()

    assert asyncio.run(once(Future())) == 1
    asyncio.run(gone())
    late.set_result(2)
    assert asyncio.run(once(Future())) == 1
