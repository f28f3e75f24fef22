"""The load benchmark in small, on every store: all is answered, refusals leave no trace, and nothing is lost.

Nothing here is timed: the figures are those of `benchmarks/load.py`.
"""

import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.envelope import Head
from interlock.contracts.events import MessageReceived
from interlock.contracts.store import Append, Store, StoredEntry
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from support.source_tree import ROOT


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The benchmark's own module."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    yield import_module("load")
    for name in ("load", "interlock_side", "workload"):
        sys.modules.pop(name, None)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else SqliteStore(tmp_path / "log.db")
    yield made
    made.close()


@pytest.mark.parametrize("at_once", [1, 10])
async def test_submissions_by_the_clock_are_all_answered(load: Any, store: Store, at_once: int) -> None:
    """None refused, none timed out, each in the log once."""
    found = await load.steady(store, submissions=60, a_minute=12_000, conversations=10, at_once=at_once, delay=0.005)
    assert (len(found.seconds), found.turns_in_log, found.refused, found.timeouts) == (60, 60, 0, 0)


async def test_past_the_queue_nothing_is_lost(load: Any, store: Store) -> None:
    """What was acknowledged is in the log, what was refused is not, and succeeds when it is sent again."""
    found = await load.overload(store, submissions=60, concurrent=5, waiting=5, delay=0.02)
    assert found.acknowledged >= 10
    assert found.refused >= 20, "more than run and wait came at once"
    assert found.acknowledged + found.refused == 60
    assert (found.acknowledged_in_log, found.refused_in_log) == (found.acknowledged, 0)
    assert (found.repeated, found.in_log_at_the_end, found.verified) == (found.refused, 60, True)


class Losing(MemoryStore):
    """Acknowledges everything, and does not have each tenth conversation that got a message when it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.spoken: list[str] = []

    def enqueue(self, append: Append) -> Any:
        if any(isinstance(entry.event, MessageReceived) for entry in append.entries):
            self.spoken.append(append.summary.stream)
        return super().enqueue(append)

    def read(self, stream: str, *, after: int = 0, limit: int | None = None) -> Sequence[StoredEntry]:
        return () if stream in self.lost else super().read(stream, after=after, limit=limit)

    def head(self, stream: str) -> Head:
        return Head(stream) if stream in self.lost else super().head(stream)

    def streams(self) -> Sequence[str]:
        return tuple(stream for stream in super().streams() if stream not in self.lost)

    @property
    def lost(self) -> list[str]:
        return self.spoken[::10]


async def test_control_a_store_that_loses_what_it_acknowledged_is_found(load: Any) -> None:
    """The same count on a store that lies."""
    found = await load.overload(Losing(), submissions=30, concurrent=50, waiting=5, delay=0)
    assert found.acknowledged == 30
    assert found.acknowledged_in_log == found.in_log_at_the_end == 27
