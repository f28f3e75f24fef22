"""The breaker against a model that a reader can check by eye: a list of everything that happened."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from interlock.contracts.flow import BreakerSpec
from interlock.service.breaker import Breaker, Change

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)
specs = st.builds(
    BreakerSpec,
    failures=st.integers(1, 4),
    window_seconds=st.integers(1, 90),
    open_seconds=st.integers(1, 400),
)


@dataclass
class History:
    """What happened since the breaker last changed, and when that was."""

    state: str = "closed"
    since: datetime = START
    failures: list[datetime] = field(default_factory=list)
    probes: int = 0


class BreakersObey(RuleBasedStateMachine):
    """Any program of attempts, ends and waiting: the breaker says what the history says."""

    @initialize(spec=specs)
    def begin(self, spec: BreakerSpec) -> None:
        self.spec, self.breaker, self.now = spec, Breaker(spec), START
        self.history, self.running = History(), list[tuple[int, History]]()

    def admits(self) -> bool:
        """Closed: always. Open: once its time is over. Half open: one at a time."""
        match self.history.state:
            case "closed":
                return True
            case "open":
                return self.now >= self.history.since + timedelta(seconds=self.spec.open_seconds)
            case _:
                return self.history.probes == 0

    def changed(self, change: Change | None, after: str) -> None:
        assert change is not None
        assert (change.before, change.after) == (self.history.state, after)
        pause = timedelta(seconds=self.spec.open_seconds)
        assert change.until == (self.now + pause if after == "open" else None)
        self.history = History(after, self.now)

    @rule(seconds=st.sampled_from([0, 1, 5, 30, 59, 60, 61, 299, 300, 400]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @precondition(lambda self: self.admits())
    @rule()
    def attempt(self) -> None:
        period, change = self.breaker.begin(self.now)
        if self.history.state == "open":
            self.changed(change, "half_open")
        else:
            assert change is None
        self.history.probes += self.history.state == "half_open"
        self.running.append((period, self.history))

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 99), succeeded=st.sampled_from([True, False, None]))
    def end(self, which: int, succeeded: bool | None) -> None:
        period, began_in = self.running.pop(which % len(self.running))
        change = self.breaker.ended(period, succeeded, self.now)
        if began_in is not self.history:
            assert change is None, "what began before the last change says nothing any more"
            return
        if self.history.state == "half_open":
            self.history.probes -= 1
            if succeeded is None:
                assert change is None
            else:
                self.changed(change, "closed" if succeeded else "open")
            return
        self.history.failures += [self.now] if succeeded is False else []
        since = self.now - timedelta(seconds=self.spec.window_seconds)
        if succeeded is False and sum(one > since for one in self.history.failures) >= self.spec.failures:
            self.changed(change, "open")
        else:
            assert change is None

    @invariant()
    def the_same_is_said(self) -> None:
        if hasattr(self, "breaker"):
            assert self.breaker.state == self.history.state
            assert self.breaker.admits(self.now) == self.admits()


TestBreakersObey: Any = BreakersObey.TestCase


@given(spec=specs, others=st.integers(0, 20))
def test_half_open_lets_exactly_one_through(spec: BreakerSpec, others: int) -> None:
    """However many ask while the probe is out."""
    breaker = Breaker(spec)
    for _ in range(spec.failures):
        breaker.ended(breaker.begin(START)[0], False, START)
    assert not breaker.admits(START)
    later = START + timedelta(seconds=spec.open_seconds)
    assert not breaker.admits(later - timedelta(microseconds=1))
    let_through = 0
    for _ in range(1 + others):
        if breaker.admits(later):
            breaker.begin(later)
            let_through += 1
    assert let_through == 1


@given(spec=specs, gaps=st.lists(st.integers(0, 100), min_size=1, max_size=30))
def test_failures_further_apart_than_the_window_never_open_it(spec: BreakerSpec, gaps: list[int]) -> None:
    """No `failures` of them within the window: it stays closed for ever."""
    assume(spec.failures > 1)
    breaker, now = Breaker(spec), START
    for gap in gaps:
        now += timedelta(seconds=spec.window_seconds + gap)
        assert breaker.ended(breaker.begin(now)[0], False, now) is None
    assert breaker.state == "closed"


def test_by_default_three_failures_in_a_minute_open_it_for_five() -> None:
    """The figures that a flow and a runtime have when they say nothing."""
    breaker, changes = Breaker(BreakerSpec()), []
    for seconds in (0, 30, 59):
        assert breaker.state == "closed"
        changes.append(breaker.ended(breaker.begin(START)[0], False, START + timedelta(seconds=seconds)))
    assert changes[-1] == Change("closed", "open", "3 failures in 60 s", START + timedelta(seconds=359))
    assert not breaker.admits(START + timedelta(seconds=358))
    assert breaker.admits(START + timedelta(seconds=359))
