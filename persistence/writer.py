"""The thread that owns the connection: everything waiting is written together, then every read is answered.

Many conversations append at once; a transaction costs one wait for the disk however many entries it holds.
So the thread takes all that has been enqueued and commits it in one.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Any, Generic, Protocol, TypeVar

from ..contracts.errors import StorageError
from ..contracts.store import Append
from .refusals import closed_store

T = TypeVar("T")
L = TypeVar("L", bound="Log")
MOST_TOGETHER = 1_000
"""Appends in one transaction, at most: bounds how long the first of them waits."""


class Log(Protocol):
    """What the thread drives: it alone touches the connection."""

    def commit(self, appends: Sequence[Append]) -> Sequence[int | Exception]:
        """Record each append or refuse it, all durable on return. Raises where nothing was recorded."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class _Waiting:
    append: Append
    future: "Future[int]"


@dataclass(frozen=True, slots=True)
class _Question(Generic[T]):
    answer: Callable[[], T]
    future: "Future[T]"


class Writer(Generic[L]):
    """Runs `commit` and questions one after the other, on one thread, in the order they came."""

    def __init__(self, opened: Callable[[], L], where: str) -> None:
        """Start the thread and open the log on it; raises what opening raises."""
        self._where = where
        self._process = os.getpid()
        self._queue: SimpleQueue[_Waiting | _Question[Any] | None] = SimpleQueue()
        self._gate = Lock()
        self._in_use = Lock()
        self._closed = False
        ready: Future[L] = Future()
        self._thread = Thread(target=self._run, args=(opened, ready), name=f"interlock {where}", daemon=True)
        self._thread.start()
        self.log = ready.result()

    def enqueue(self, append: Append) -> "Future[int]":
        future: Future[int] = Future()
        self._put(_Waiting(append, future))
        return future

    def append(self, append: Append) -> int:
        """Record it and wait. Where nothing else waits, the caller's own thread does it: a change of threads
        costs about as much as a commit."""
        if not self._queue.empty() or not self._in_use.acquire(blocking=False):
            return self.enqueue(append).result()
        try:
            self._check_open()
            outcome = self.log.commit([append])[0]
        finally:
            self._in_use.release()
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def ask(self, answer: Callable[[], T]) -> T:
        """What `answer` gives on the thread, after everything that was enqueued before."""
        future: Future[T] = Future()
        self._put(_Question(answer, future))
        return future.result()

    def close(self) -> None:
        """Finish what was enqueued, then close the log. Safe to call twice, and in a forked child."""
        with self._gate:
            if not self._closed:
                self._closed = True
                if os.getpid() == self._process:
                    self._queue.put(None)
        if os.getpid() == self._process:
            self._thread.join()

    def _check_open(self) -> None:
        if self._closed:
            raise closed_store(self._where)
        if os.getpid() != self._process:
            raise StorageError(
                "The store was opened before this process was forked.",
                where=self._where,
                fix="Open the store in the process that uses it.",
            )

    def _put(self, work: "_Waiting | _Question[Any]") -> None:
        with self._gate:  # nothing may be put behind the end mark, for nobody would answer it
            self._check_open()
            self._queue.put(work)

    def _run(self, opened: Callable[[], L], ready: "Future[L]") -> None:
        try:
            log = opened()
        except BaseException as error:  # noqa: BLE001 - raised again where the store is opened
            ready.set_exception(error)
            return
        ready.set_result(log)
        last = False
        while not last:
            work = self._taken()
            last = None in work
            with self._in_use:
                self._write(log, [item for item in work if isinstance(item, _Waiting)])
                for item in work:
                    if isinstance(item, _Question):
                        _settle(item.future, item.answer)
        with self._in_use:
            log.close()

    def _taken(self) -> "list[_Waiting | _Question[Any] | None]":
        """Everything that waits, once something does."""
        work = [self._queue.get()]
        while work[-1] is not None and len(work) < MOST_TOGETHER:
            try:
                work.append(self._queue.get_nowait())
            except Empty:
                break
        return work

    def _write(self, log: L, waiting: list[_Waiting]) -> None:
        # A caller may have cancelled; from here on it cannot.
        waiting = [item for item in waiting if item.future.set_running_or_notify_cancel()]
        if not waiting:
            return
        try:
            outcomes = log.commit([item.append for item in waiting])
        except Exception as error:  # noqa: BLE001 - every caller of this transaction is told
            outcomes = [error] * len(waiting)
        for item, outcome in zip(waiting, outcomes, strict=True):
            if isinstance(outcome, Exception):
                item.future.set_exception(outcome)
            else:
                item.future.set_result(outcome)


def _settle(future: "Future[T]", answer: Callable[[], T]) -> None:
    try:
        result = answer()
    except BaseException as error:  # noqa: BLE001 - raised again where the question was asked
        future.set_exception(error)
    else:
        future.set_result(result)
