"""How fast and how many at once: a token bucket and a number of slots for each agent and each model.

The bucket is pyrate-limiter's, as a pure function of its state and the time we give it: a call that has to wait
takes its token at the moment when it will be made, so those that wait are served in order and none polls. A
provider that answers *429, retry after* pauses its model here for as long as it asks.
"""

import asyncio
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ..contracts.commands import ConditionState
from ..contracts.errors import SetupError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_WEIGHT = 0.2
"""Of the latest call in the running mean of their lengths."""


@dataclass(frozen=True, slots=True)
class Pace:
    """At most `calls` within `per_seconds` (`burst` of them at once, all by default), and `at_once` in hand.

    0 stands for no bound.
    """

    calls: int = 0
    per_seconds: int = 60
    burst: int = 0
    at_once: int = 0

    def __post_init__(self) -> None:
        if min(self.calls, self.burst, self.at_once) < 0 or self.per_seconds < 1:
            raise SetupError(
                f"{self} is no pace.", fix="Give whole numbers of 0 or more, and `per_seconds` of 1 or more."
            )


class _Bucket:
    """A token bucket on pyrate-limiter's algorithm, whose state is a time and whose time is an argument."""

    def __init__(self, pace: Pace) -> None:
        from pyrate_limiter import Rate, TokenBucket  # only where a rate is declared: it costs 90 ms to import

        self._rates = [Rate(pace.calls, pace.per_seconds * 1_000, burst=pace.burst or pace.calls)]
        self._algorithm = TokenBucket()
        self._state = self._algorithm.initial(self._rates)

    def wait_seconds(self, now: datetime) -> float:
        _, decision = self._algorithm.step(self._rates, self._state, _milliseconds(now), 1)
        return (decision.retry_after_ms or 0) / 1_000

    def take(self, at: datetime) -> None:
        self._state, _ = self._algorithm.step(self._rates, self._state, _milliseconds(at), 1)


class Pacer:
    """The limiter of one agent or model."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.state: ConditionState = "free"
        self.paused_until: datetime | None = None
        """What a provider asked for with its last 429."""
        self.in_hand = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean_seconds = 0.0
        self._bucket = _Bucket(pace) if pace.calls else None

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    # -- tokens -----------------------------------------------------------------------------------

    def wait_seconds(self, now: datetime) -> float:
        """How long a call would have to wait for its token; nothing is taken."""
        pause = (self.paused_until - now).total_seconds() if self.paused_until is not None else 0.0
        return max(0.0, pause, self._bucket.wait_seconds(now) if self._bucket is not None else 0.0)

    def take(self, at: datetime) -> None:
        """Take the token of a call that is made at `at`, which `wait_seconds` gave."""
        if self._bucket is not None:
            self._bucket.take(at)

    def pause(self, seconds: int, now: datetime) -> None:
        """No call before the provider will have it."""
        until = now + timedelta(seconds=seconds)
        self.paused_until = until if self.paused_until is None else max(until, self.paused_until)

    # -- slots ------------------------------------------------------------------------------------

    @property
    def is_full(self) -> bool:
        return bool(self.pace.at_once) and (self.in_hand >= self.pace.at_once or bool(self._waiting))

    @property
    def expected_seconds(self) -> float:
        """How long the next to come would wait for a slot, from how long calls took lately."""
        return (len(self._waiting) + 1) / max(1, self.pace.at_once) * self._mean_seconds if self.is_full else 0.0

    def enter(self) -> "asyncio.Future[None] | None":
        """Take a slot, or a place in the line for one: a future that is set when the slot is handed over.

        Whoever gives up waiting calls `step_out` with it.
        """
        if not self.is_full:
            self.in_hand += 1
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        return turn

    def step_out(self, turn: "asyncio.Future[None]") -> None:
        """Leave the line; a slot that was handed over already goes to the next."""
        if turn in self._waiting:
            self._waiting.remove(turn)
        elif turn.done() and not turn.cancelled():
            self.leave()

    def leave(self, took_seconds: float | None = None) -> None:
        """Give the slot back, to the one that waits longest."""
        if took_seconds is not None:
            self._mean_seconds += (took_seconds - self._mean_seconds) * (_WEIGHT if self._mean_seconds else 1)
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)  # its slot is ours: `in_hand` stays as it is
                return
        self.in_hand -= 1


def _milliseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)
