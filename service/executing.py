"""Where long work over many conversations runs: in this process, or in several of this machine."""

import gc
import multiprocessing
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from ..contracts.errors import SetupError

_COLLECT_AFTER = 50_000
"""Objects made before the collector looks: frozen values hold no circles, so it finds next to nothing."""

A = TypeVar("A")
B = TypeVar("B")
_AHEAD = 2
"""Pieces of work a process has waiting beside the one in hand: enough to be never idle, few enough to stay small."""


class Executor(Protocol):
    """Runs the same function over many pieces of work.

    `begin` is called once in each process before its first piece; what it makes is passed to the function. Results
    come in any order, each as soon as it is there; what the function raises is raised here, and ends the work.
    What was made and has a `close` is closed behind the last piece, or goes with its process. Functions and pieces must
    be picklable where the executor leaves the process.
    """

    def map(self, function: Callable[[Any, A], B], begin: Callable[[], Any], pieces: Iterable[A]) -> Iterator[B]: ...


@dataclass(frozen=True, slots=True)
class InProcess:
    """One piece after another, here."""

    def map(self, function: Callable[[Any, A], B], begin: Callable[[], Any], pieces: Iterable[A]) -> Iterator[B]:
        begun: Any = None
        try:
            for number, piece in enumerate(pieces):
                if not number:
                    begun = begin()
                yield function(begun, piece)
        finally:
            getattr(begun, "close", lambda: None)()


@dataclass(frozen=True, slots=True)
class Processes:
    """Several processes of this machine; a few pieces wait for each, so memory does not grow with the work."""

    jobs: int

    def map(self, function: Callable[[Any, A], B], begin: Callable[[], Any], pieces: Iterable[A]) -> Iterator[B]:
        # Forking would copy a process that has threads and an open database: each begins anew.
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(self.jobs, context, initializer=_begin, initargs=(begin,))
        try:
            yield from _drawn(pool, function, iter(pieces), self.jobs * (1 + _AHEAD))
        except BrokenProcessPool as error:
            raise SetupError(
                "A process that shared the work died.",
                fix="It may have run out of memory: try fewer with --jobs; with --resume what was done is kept.",
            ) from error
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _drawn(pool: ProcessPoolExecutor, function: Callable[[Any, A], B], pieces: Iterator[A], most: int) -> Iterator[B]:
    running: set[Future[B]] = set()
    ended = False
    while True:
        while not ended and len(running) < most:
            try:
                running.add(pool.submit(_run, function, next(pieces)))
            except StopIteration:
                ended = True
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for one in done:
            yield one.result()


_begun: Any = None
"""What this process made before its first piece."""


def _begin(begin: Callable[[], Any]) -> None:
    global _begun  # noqa: PLW0603 - a process of the pool has no other place that outlives a piece
    _begun = begin()
    # What was made until here stays: the collector need not look at it again and again.
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER)


@contextmanager
def collecting_seldom() -> Iterator[None]:
    """For a walk over a whole log in a process that does nothing else."""
    before = gc.get_threshold()
    gc.set_threshold(_COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _run(function: Callable[[Any, A], B], piece: A) -> B:
    return function(_begun, piece)


def executor_for(jobs: int) -> Executor:
    """One process is this one."""
    return InProcess() if jobs <= 1 else Processes(jobs)
