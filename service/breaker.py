"""A circuit breaker: after a few failures in a short time no attempt is made for a while, then one decides.

```
closed --N failures within the window--> open --its time is over--> half_open --success--> closed
                                          ^                             |
                                          +----------- failure --------+
```

Time comes in with every call and nothing waits here, so the laws in `tests/laws/test_breaker.py` run without a
clock. Written here because no kept library fits (see `docs/decisions/0005-breakers-and-limiters.md`).
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..contracts.commands import ConditionState
from ..contracts.flow import BreakerSpec


@dataclass(frozen=True, slots=True)
class Change:
    """From one state to another, and why. `until`: when an open breaker lets a probe through."""

    before: ConditionState
    after: ConditionState
    reason: str
    until: datetime | None = None


class Breaker:
    """The breaker of one agent or model. Ask `admits`, then `begin`, then tell how the attempt `ended`."""

    def __init__(self, spec: BreakerSpec) -> None:
        self.spec = spec
        self.state: ConditionState = "closed"
        self.until: datetime | None = None
        """When an open breaker admits a probe."""
        self._failed: deque[datetime] = deque()
        self._probing = False
        self._period = 0

    def admits(self, now: datetime) -> bool:
        """Whether an attempt may be made now."""
        if self.state == "open":
            return self.until is None or now >= self.until
        return not (self.state == "half_open" and self._probing)

    def begin(self, now: datetime) -> tuple[int, Change | None]:
        """An admitted attempt begins; its period, which `ended` wants back, and the change if it is the probe."""
        change = None
        if self.state == "open":
            change = self._to("half_open", "its time is over: one attempt decides")
        if self.state == "half_open":
            self._probing = True
        return self._period, change

    def ended(self, period: int, succeeded: bool | None, now: datetime) -> Change | None:
        """How an attempt ended; None where it says nothing of its subject, as one that was cut off.

        One that began before the breaker last changed counts no more.
        """
        if period != self._period:
            return None
        if self.state == "half_open":
            self._probing = False
            if succeeded is None:
                return None
            if succeeded:
                return self._to("closed", "the probe succeeded")
            return self._open(now, "the probe failed")
        if succeeded is False:
            self._failed.append(now)
            since = now - timedelta(seconds=self.spec.window_seconds)
            while self._failed and self._failed[0] <= since:
                self._failed.popleft()
            if len(self._failed) >= self.spec.failures:
                return self._open(now, f"{len(self._failed)} failures in {self.spec.window_seconds} s")
        return None

    def _open(self, now: datetime, reason: str) -> Change:
        return self._to("open", reason, now + timedelta(seconds=self.spec.open_seconds))

    def _to(self, after: ConditionState, reason: str, until: datetime | None = None) -> Change:
        change = Change(self.state, after, reason, until)
        self.state, self.until = after, until
        self._period += 1
        self._probing = False
        self._failed.clear()
        return change
