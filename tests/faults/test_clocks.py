"""Clocks that jump an hour, go back, stand still, repeat a second and drift: no order, no record and no text depends
on them.

What is ordered is ordered by version. A deadline fires by the clock that is asked, once, and no sooner than that clock
says. Nobody's text is deleted sooner for a clock that was set back, and an operator hears that it was.
"""

import random
from contextlib import closing, suppress
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from interlock.contracts.envelope import Head, sealed
from interlock.contracts.errors import CallError, InterlockError
from interlock.contracts.events import TimerFired, TimerSet
from interlock.contracts.retention import RetentionPolicy, RetentionRule
from interlock.contracts.store import Append
from interlock.fsm.replay import redecide
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.clock import ManualClock
from interlock.service.loading import recorded
from interlock.service.retention import Retention
from interlock.service.runtime import Runtime
from support.figures import record
from support.kill_child import slow_script
from support.runtime import Bank, check_log, mini, path_of
from support.stores import DIGEST, command, opening, summary_after

TEXTS = ("help tool", "pay", "once", "help me", "what", "expert")
JUMPS = (3600, -3600, -1, 1, 0, -0.000001, 600, -600)


class WildClock(ManualClock):
    """Runs fast or slow by a tenth, and now and then jumps, or stands still; `true` is the time it should tell."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.true, self._chance, self._rate = self.moment, random.Random(seed), 1.0

    def now(self) -> datetime:
        passed = self._chance.uniform(0, 2)
        self.true += timedelta(seconds=passed)
        self.moment += timedelta(seconds=passed * self._rate)
        if self._chance.random() < 0.1:
            self._rate = self._chance.choice((0.0, 0.9, 1.0, 1.1))
            self.moment += timedelta(seconds=self._chance.choice(JUMPS))
        return self.moment


async def talked(store: MemoryStore, clock: Any, texts: list[str]) -> Any:
    """One conversation; deadlines are looked for between its turns."""
    program = mini(Bank(), limits="{turn_seconds: 20h}")  # an hour more or less is no limit of this flow
    async with Runtime(store, program, slow_script(), clock=clock) as runtime:
        await runtime.start(conversation="talk")
        for number, text in enumerate(texts):
            with suppress(CallError):  # it has ended: a deadline has passed by that clock
                await runtime.say("talk", text, key=str(number))
                await runtime.fire_due()
    return program


def times(store: MemoryStore) -> list[datetime]:
    return [entry.envelope.at for entry in recorded(store.read("talk"))]


def fired_wrongly(store: MemoryStore) -> list[str]:
    """Deadlines that fired before the clock said so, or twice."""
    entries, wrong, fired = recorded(store.read("talk")), [], set()
    for entry in entries:
        if not isinstance(entry.event, TimerFired):
            continue
        timer = entries[entry.event.timer].event
        if isinstance(timer, TimerSet) and entry.envelope.at < timer.due:
            wrong.append(f"{entry.event.timer} fired before it was due")
        if entry.event.timer in fired:
            wrong.append(f"{entry.event.timer} fired twice")
        fired.add(entry.event.timer)
    return wrong


@pytest.mark.parametrize("conversations", [15, pytest.param(2_000, marks=pytest.mark.full)])
async def test_no_clock_changes_the_order_or_the_record(conversations: int) -> None:
    """Every history verifies and is decided again the same, its deadlines fire once and not before their time; where
    none fired, it went the way that a steady clock gives."""
    wrong, back, ordered_by_time, heard, compared = list[str](), 0, 0, 0, 0
    for seed in range(conversations):
        chance = random.Random(seed)
        texts = [chance.choice(TEXTS) for _ in range(6)]
        wild, steady = MemoryStore(), MemoryStore()
        with capture_logs() as logs:
            program = await talked(wild, WildClock(seed), texts)
        await talked(steady, ManualClock(), texts)
        check_log(wild, program)
        wrong += [f"seed {seed}: {one}" for one in fired_wrongly(wild)]
        if not any(isinstance(entry.event, TimerFired) for entry in recorded(wild.read("talk"))):
            compared += 1
            if path_of(wild, "talk") != path_of(steady, "talk"):
                wrong.append(f"seed {seed}: another way")
        told = times(wild)
        went_back = any(b < a for a, b in pairwise(told))
        back += went_back
        heard += any(one["event"] == "clock_behind" for one in logs)
        if any(b - a < -MINUTE for a, b in pairwise(told)):
            if not any(one["event"] == "clock_behind" for one in logs):
                wrong.append(f"seed {seed}: the clock went back, and nobody was told")
            ordered_by_time += not same_by_time(program, wild)
    assert wrong == []
    assert back > conversations // 3
    assert compared > conversations // 3
    assert ordered_by_time > 0
    seen = {"went back": back, "reported": heard, "compared with a steady clock": compared}
    record("F11", "conversations by clocks that jump, stand and drift", tried=conversations, wrong=0, seen=seen)
    record("F11", "the same, read in the order of their times", tried=back, wrong=ordered_by_time, control=True)


def same_by_time(program: Any, store: MemoryStore) -> bool:
    """Whether the entries, read in the order of their times, are decided again as they stand."""
    entries = sorted(recorded(store.read("talk")), key=lambda entry: entry.envelope.at)
    try:
        return redecide(program, "talk", entries).divergences == 0
    except (InterlockError, AssertionError, LookupError):
        return False


# -- retention ---------------------------------------------------------------------------------------------

DAYS = 30
MINUTE = timedelta(minutes=1)
BEGAN = datetime.fromisoformat("2026-01-05T09:00:00+00:00")
jumps = st.lists(st.sampled_from([-400, -40, -1, 0, 0, 0]), min_size=1, max_size=6)
"""How many days the clock was set back when each turn was recorded."""


def aged(store: Any, days_back: list[int]) -> list[datetime]:
    """A conversation that ended, with a text in each turn; the true times of its turns. The first is told right."""
    head, true = Head("s"), [BEGAN + number * MINUTE for number in range(len(days_back) + 1)]
    for number, days in enumerate([0, *days_back]):
        event, payloads = opening([b"text"], number)
        entries = sealed(
            [event],
            head=head,
            command=command(f"k{number}", at=true[number] + timedelta(days=days)),
            flow=DIGEST,
            code="test/1",
            log=store.log,
            payloads=payloads,
        )
        store.append(Append(entries=entries, expected=head.length, summary=summary_after(entries, status="ended")))
        head = Head("s", head.length + 1, entries[-1].leaf)
    return true


def kept_after(store: Any, moment: datetime) -> set[int]:
    """The turns whose texts are still there once retention has run by a clock that tells that time."""
    clock = ManualClock(moment)
    Retention(store, RetentionPolicy(rules=(RetentionRule(days=DAYS),), least_days=1), clock).prune(by="dpo")
    return {at.version for at in store.payloads("s")}


@given(jumps)
def test_a_clock_that_was_set_back_deletes_nothing_sooner(days_back: list[int]) -> None:
    store = MemoryStore(origin="log")
    true = aged(store, days_back)
    assert kept_after(store, true[-1] + timedelta(days=DAYS - 1)) == set(range(len(true)))
    assert kept_after(store, true[-1] + timedelta(days=DAYS + 1)) == set()


@pytest.mark.parametrize("days_back", [[-400, 0, -40], [0, -1], [-400]])
def test_on_sqlite_too(tmp_path: Path, days_back: list[int]) -> None:
    with closing(SqliteStore(tmp_path / "log.db", in_clear=True)) as store:
        true = aged(store, days_back)
        assert kept_after(store, true[-1] + timedelta(days=DAYS - 1)) == set(range(len(true)))
        assert kept_after(store, true[-1] + timedelta(days=DAYS + 1)) == set()


def test_control_by_the_time_of_each_event_texts_would_go_too_soon() -> None:
    """The law above draws such clocks: some text would be taken for older than it is."""

    def too_soon(days_back: list[int]) -> bool:
        store = MemoryStore(origin="log")
        end = aged(store, days_back)[-1] + timedelta(days=DAYS - 1)
        return any(end - entry.envelope.at > timedelta(days=DAYS) for entry in recorded(store.read("s")))

    assert find(jumps, too_soon, settings=settings(phases=[Phase.generate], max_examples=500))


async def test_who_sets_the_clock_back_is_told_once() -> None:
    """And not by each turn: once for the newest time that is recorded."""
    clock, store = ManualClock(), MemoryStore()
    async with Runtime(store, mini(Bank()), slow_script(), clock=clock) as runtime:
        await runtime.start(conversation="talk")
        clock.advance(-3600)
        with capture_logs() as logs:
            for _ in range(3):
                await runtime.say("talk", "what")
    told = [one for one in logs if one["event"] == "clock_behind"]
    assert [(one["conversation"], one["seconds"], one["log_level"]) for one in told] == [("talk", 3600, "warning")]


class SetBackWhenAsked(ManualClock):
    """Stands at `late` for the first who asks, and an hour before it for everybody after."""

    late: datetime | None = None

    def now(self) -> datetime:
        if self.late is None:
            return self.moment
        told, self.late = self.late, None
        return told


async def test_a_deadline_is_not_recorded_before_it_was_due() -> None:
    """The clock said that it had passed, and was set back before the deadline was recorded."""
    clock, store = SetBackWhenAsked(), MemoryStore()
    async with Runtime(store, mini(Bank()), slow_script(), clock=clock) as runtime:
        await runtime.start(conversation="talk")
        (timer,) = store.due_timers("9999")
        due = datetime.fromisoformat(timer.due)
        clock.moment, clock.late = due - timedelta(hours=1), due + timedelta(seconds=1)
        assert await runtime.fire_due() == 1
    (fired,) = (entry for entry in recorded(store.read("talk")) if isinstance(entry.event, TimerFired))
    assert fired.envelope.at == due
    assert fired_wrongly(store) == []
