"""A cost storm: the last minute cost more than five times what a minute cost over the last quarter of an hour.

Kept in slices of ten seconds, so that it stays small however many calls there are. There is no verdict until a
whole window has been seen, nor after one in which nothing was spent: there is nothing to compare with. A few
calls after a quiet time are no storm either (`least_calls`).
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..contracts.commands import ConditionState
from .breaker import Change

SLICE_SECONDS = 10
MINUTE_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Storm:
    """When spending counts as a storm, and for how long agents that are not critical are then paused.

    Costs are in billionths of the flows' currency unit; a `times` of 0 turns it off.
    """

    times: int = 5
    window_seconds: int = 900
    pause_seconds: int = 300
    least_calls: int = 10
    """In the minute, below which nothing is a storm."""
    least_cost: int = 0
    """The same for what the minute cost."""


class Spending:
    """What was spent lately by all agents of a runtime. Time comes in with every call."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self.until: datetime | None = None
        self._since: datetime | None = None
        self._slices: deque[list[int]] = deque()
        """Number of the slice since 1970, cost, calls."""

    @property
    def state(self) -> ConditionState:
        return "normal" if self.until is None else "storm"

    def look(self, now: datetime) -> Change | None:
        """The end of a pause whose time is over."""
        if self.until is None or now < self.until:
            return None
        self.until = None
        return Change("storm", "normal", "the pause is over")

    def spent(self, cost: int, now: datetime) -> Change | None:
        """One call was paid for; the change where that makes it a storm."""
        self._since = self._since or now
        number = int(now.timestamp()) // SLICE_SECONDS
        if not self._slices or self._slices[-1][0] < number:
            self._slices.append([number, 0, 0])
            oldest = number - (self.storm.window_seconds + MINUTE_SECONDS) // SLICE_SECONDS
            while self._slices[0][0] <= oldest:
                self._slices.popleft()
        self._slices[-1][1] += cost
        self._slices[-1][2] += 1
        if self.until is not None or not self.storm.times or not self._compares(now):
            return None
        return self._judged(number, now)

    def _compares(self, now: datetime) -> bool:
        return self._since is not None and now - self._since >= timedelta(seconds=self.storm.window_seconds)

    def _judged(self, number: int, now: datetime) -> Change | None:
        first = number - MINUTE_SECONDS // SLICE_SECONDS
        minute = sum(cost for at, cost, _ in self._slices if at > first)
        calls = sum(count for at, _, count in self._slices if at > first)
        before = sum(cost for at, cost, _ in self._slices if at <= first)
        minutes = self.storm.window_seconds / MINUTE_SECONDS
        if calls < self.storm.least_calls or minute < self.storm.least_cost or not before:
            return None
        if minute * minutes <= before * self.storm.times:
            return None
        self.until = now + timedelta(seconds=self.storm.pause_seconds)
        return Change("normal", "storm", f"spending is over {self.storm.times} times its average", self.until)
