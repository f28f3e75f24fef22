"""How many turns run at once, how many wait, and that the next one is refused at once.

A submission is *placed* before anything is read or recorded, so a refusal costs no look at the log and
leaves no trace. Turns start in the order they came, but one conversation's turns wait for each other outside
the slots: a conversation that is flooded holds up itself. What may never be refused (an operator's
intervention, a deadline, recovery) is neither counted nor made to wait.
"""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from ..contracts.errors import Overloaded, SetupError

CONCURRENT = 200
WAITING = 100
_WEIGHT = 0.1
"""Of the latest turn in the running mean of their lengths."""


class Admission:
    """Slots for turns and the bounded queue before them."""

    def __init__(self, concurrent: int = CONCURRENT, waiting: int = WAITING) -> None:
        if concurrent < 1 or waiting < 0:
            raise SetupError(
                f"A runtime with concurrent={concurrent} and waiting={waiting} could take no turn.",
                fix="Give `concurrent` of 1 or more, and `waiting` of 0 or more.",
            )
        self.concurrent, self.most_waiting = concurrent, waiting
        self._slots = asyncio.Semaphore(concurrent)
        self._placed: dict[str, int] = {}
        self._behind = 0
        self._turn_seconds = 0.0

    @property
    def waiting(self) -> int:
        """Submissions that were taken and cannot run yet: behind another of their conversation, or without a slot."""
        return self._behind + max(0, len(self._placed) - self.concurrent)

    def enter(self, conversation: str) -> None:
        """Take one submission; whoever calls owes a `leave`. Raises `Overloaded` where it would have to wait
        and no more may."""
        before = self._placed.get(conversation, 0)
        if (before or len(self._placed) >= self.concurrent) and self.waiting >= self.most_waiting:
            raise overloaded(self.waiting, self.retry_after_seconds)
        self._behind += 1 if before else 0
        self._placed[conversation] = before + 1

    def leave(self, conversation: str) -> None:
        left = self._placed[conversation] - 1
        if left:
            self._placed[conversation] = left
            self._behind -= 1
        else:
            del self._placed[conversation]

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """One of the turns that run at once, first come, first served."""
        async with self._slots:
            began = time.perf_counter()
            try:
                yield
            finally:
                took = time.perf_counter() - began
                self._turn_seconds += (took - self._turn_seconds) * (_WEIGHT if self._turn_seconds else 1)

    @property
    def retry_after_seconds(self) -> int:
        """When the queue should have moved on, from how long turns took lately; at least a second."""
        return max(1, math.ceil(self.waiting * self._turn_seconds / self.concurrent))


def overloaded(waiting: int, retry_after_seconds: int) -> Overloaded:
    return Overloaded(
        f"The runtime is overloaded: {waiting} submissions wait; retry after {retry_after_seconds} s.",
        waiting=waiting,
        retry_after_seconds=retry_after_seconds,
        fix="Send the same submission again with the same key, for nothing of it was recorded; "
        "or give the runtime more `concurrent` turns or a longer `waiting` queue.",
    )
