"""The limiter: never more than declared in any stretch of time, served in order, and no slot lost or doubled."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from interlock.contracts.errors import SetupError
from interlock.service.pacing import Pace, Pacer

START = datetime(2026, 1, 5, 9, 0, tzinfo=UTC)


@given(
    calls=st.integers(1, 20),
    per_seconds=st.integers(1, 120),
    burst=st.integers(0, 20),
    gaps=st.lists(st.integers(0, 30_000), min_size=1, max_size=60),
)
def test_no_stretch_of_time_holds_more_calls_than_the_burst_and_what_flows_in(
    calls: int, per_seconds: int, burst: int, gaps: list[int]
) -> None:
    """The law of a token bucket, over the moments at which calls are made; who came first is made first."""
    pacer, now, made = Pacer(Pace(calls, per_seconds, burst)), START, list[datetime]()
    for gap in gaps:
        now += timedelta(milliseconds=gap)
        wait = pacer.wait_seconds(now)
        at = now + timedelta(seconds=wait)
        assert not made or at >= made[-1]
        pacer.take(at)
        made.append(at)
    full, refill = burst or calls, per_seconds / calls
    for first in range(len(made)):
        for last in range(first, len(made)):
            stretch = (made[last] - made[first]).total_seconds()
            assert last - first + 1 <= full + stretch / refill + 1e-6


@given(calls=st.integers(1, 20), per_seconds=st.integers(1, 120))
def test_a_rested_bucket_lets_its_burst_through_at_once_and_the_next_waits(calls: int, per_seconds: int) -> None:
    """The control of the law above: it would also hold if every call waited for ever."""
    pacer = Pacer(Pace(calls, per_seconds))
    for _ in range(calls):
        assert pacer.wait_seconds(START) == 0
        pacer.take(START)
    assert 0 < pacer.wait_seconds(START) <= per_seconds / calls + 0.001
    assert pacer.wait_seconds(START + timedelta(seconds=per_seconds / calls + 0.001)) == 0


def test_asking_how_long_takes_nothing() -> None:
    """A call that is not made spends no token."""
    pacer = Pacer(Pace(calls=1))
    assert [pacer.wait_seconds(START) for _ in range(5)] == [0] * 5


def test_a_pause_that_a_provider_asks_for_holds_and_is_never_shortened() -> None:
    """Also without a rate of our own."""
    pacer = Pacer(Pace())
    pacer.pause(30, START)
    pacer.pause(5, START)
    assert pacer.wait_seconds(START) == 30
    assert pacer.wait_seconds(START + timedelta(seconds=31)) == 0


class SlotsAreKept(RuleBasedStateMachine):
    """Any program of entering, leaving and giving up: as many slots as declared, first come, first served."""

    @initialize(at_once=st.integers(1, 3))
    def begin(self, at_once: int) -> None:
        self.loop = asyncio.new_event_loop()
        self.at_once, self.pacer = at_once, Pacer(Pace(at_once=at_once))
        self.holders, self.line = 0, list[asyncio.Future[None]]()

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            self.loop.close()

    @rule()
    def enter(self) -> None:
        async def enter() -> Any:
            return self.pacer.enter()

        turn = self.loop.run_until_complete(enter())
        if turn is None:
            assert self.holders < self.at_once
            assert not self.line
            self.holders += 1
        else:
            assert self.holders == self.at_once
            self.line.append(turn)

    @precondition(lambda self: self.holders)
    @rule()
    def leave(self) -> None:
        self.pacer.leave(1.0)
        if self.line:
            first = self.line.pop(0)
            assert first.done(), "the slot goes to whoever waits longest"
        else:
            self.holders -= 1

    @precondition(lambda self: self.line)
    @rule(which=st.integers(0, 9), cancelled=st.booleans())
    def give_up(self, which: int, cancelled: bool) -> None:
        turn = self.line.pop(which % len(self.line))
        if cancelled:
            turn.cancel()
        self.pacer.step_out(turn)

    @precondition(lambda self: self.holders and self.line)
    @rule()
    def give_up_just_as_the_slot_is_handed_over(self) -> None:
        """The slot goes on to the next, or is free again."""
        first = self.line.pop(0)
        self.pacer.leave()
        assert first.done()
        self.pacer.step_out(first)
        if self.line:
            assert self.line.pop(0).done()
        else:
            self.holders -= 1

    @invariant()
    def the_same_is_said(self) -> None:
        if hasattr(self, "pacer"):
            assert (self.pacer.in_hand, self.pacer.waiting) == (self.holders, len(self.line))
            assert self.pacer.is_full == (self.holders == self.at_once)


TestSlotsAreKept: Any = SlotsAreKept.TestCase


def test_what_is_no_pace_is_refused() -> None:
    """With what was given."""
    with pytest.raises(SetupError) as refused:
        Pace(calls=-1)
    assert str(refused.value) == (
        "Pace(calls=-1, per_seconds=60, burst=0, at_once=0) is no pace. "
        "Fix: Give whole numbers of 0 or more, and `per_seconds` of 1 or more."
    )
