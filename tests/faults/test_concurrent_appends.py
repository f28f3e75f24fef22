"""Many writers at once, in threads and in processes: no gap, no fork, and each stream as if they had come in a line."""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from support.append_child import opened
from support.figures import record
from support.linear import Call, disorders
from support.postgres import database
from support.stores import LOG

CHILD = Path(__file__).parents[1] / "support" / "append_child.py"
STREAMS = 7
WAYS = {"threads": (1, 8), "processes": (4, 3)}
"""How many processes, with how many threads each."""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with ExitStack() as begun:
        if request.param == "sqlite":
            found = str(tmp_path / "log.db")
            SqliteStore(found, origin=LOG).close()
        else:
            found = begun.enter_context(database())
            PostgresStore(found, origin=LOG).close()
        yield found


def appended_by(place: str, folder: Path, processes: int, threads: int, appends: int, how: str = "") -> list[Call]:
    """What every caller saw while so many processes appended."""
    path = os.pathsep.join([str(CHILD.parents[1]), *(entry for entry in sys.path if entry)])
    running = []
    for number in range(processes):
        given = (place, number, threads, appends // processes, STREAMS, folder / f"seen-{number}", how)
        command = [sys.executable, str(CHILD), *map(str, given)]
        running.append(subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}))
    assert [one.wait() for one in running] == [0] * processes
    return [call for number in range(processes) for call in pickle.loads((folder / f"seen-{number}").read_bytes())]


@pytest.mark.parametrize("appends", [480, pytest.param(100_000, marks=pytest.mark.full)])
@pytest.mark.parametrize("way", WAYS)
def test_streams_grow_as_if_their_writers_stood_in_a_line(place: str, tmp_path: Path, way: str, appends: int) -> None:
    """Every success made its stream one longer; what was read fits the times; the chain of every stream verifies."""
    calls = appended_by(place, tmp_path, *WAYS[way], appends)
    assert disorders(calls) == []
    made = {stream: [call.length for call in calls if call.appended and call.stream == stream] for stream in streams()}
    succeeded = sum(map(len, made.values()))
    assert succeeded >= appends * 0.95
    with closing(opened(place)) as store:
        report = verify(store)
        assert (report.broken, report.events) == ((), succeeded)
        for stream, lengths in made.items():
            assert sorted(lengths) == list(range(1, store.head(stream).length + 1)), stream
    kind = "PostgreSQL" if place.startswith("postgres") else "SQLite"
    refused = sum(not call.appended for call in calls) - succeeded
    what = f"concurrent appends by {way}, {kind}"
    seen = {"read": len(calls) - succeeded, "refused and tried again": refused}
    record("F8", what, tried=succeeded, wrong=0, seen=seen)


def streams() -> list[str]:
    return [f"s{number}" for number in range(STREAMS)]


def test_control_readers_of_what_was_are_found_out(tmp_path: Path) -> None:
    """The same history with callers that now and then read what they read before."""
    place = str(tmp_path / "log.db")
    SqliteStore(place, origin=LOG).close()
    calls = appended_by(place, tmp_path, 1, 4, 200, "stale")
    found = disorders(calls)
    assert any(" read " in fault for fault in found)
    record("F8", "readers of what was", tried=sum(not call.appended for call in calls), wrong=len(found), control=True)


# -- the check itself: it admits what some order explains, and nothing else -----------------------------------


@st.composite
def histories(draw: st.DrawFn) -> list[Call]:
    """Calls on one stream that did happen in a line, each with a time somewhere around its moment."""
    calls, length = [], 0
    for moment in range(draw(st.integers(1, 12))):
        appended = draw(st.booleans())
        length += appended
        before, after = draw(st.integers(0, 40)), draw(st.integers(0, 40))
        calls.append(Call("s", moment * 10 - before, moment * 10 + after, length, appended))
    return draw(st.permutations(calls))


@given(histories())
def test_what_happened_in_a_line_is_admitted(calls: list[Call]) -> None:
    assert disorders(calls) == []


def explained(calls: list[Call]) -> bool:
    """By trying: whether some order of the calls explains them."""

    def from_here(left: frozenset[Call], length: int) -> bool:
        if not left:
            return True
        soonest = min(call.ended for call in left)
        return any(
            from_here(left - {call}, call.length)
            for call in left
            if call.began <= soonest and call.length == length + call.appended
        )

    return from_here(frozenset(calls), 0)


def calls_within(began: tuple[int, int], ended: tuple[int, int]) -> st.SearchStrategy[Call]:
    return st.builds(Call, st.just("s"), st.integers(*began), st.integers(*ended), st.integers(0, 2), st.booleans())


any_calls = st.lists(
    calls_within((0, 3), (3, 5)) | calls_within((4, 6), (6, 8)) | calls_within((0, 9), (10, 14)),
    max_size=6,
    unique=True,
)


@given(any_calls)
def test_it_says_what_trying_every_order_says(calls: list[Call]) -> None:
    """Of histories whose appends made every length from one on."""
    made = sorted(call.length for call in calls if call.appended)
    if made == list(range(1, len(made) + 1)) and all(call.length <= len(made) for call in calls):
        assert (disorders(calls) == []) == explained(calls)


def test_control_a_check_that_forgets_the_times_admits_a_stale_read() -> None:
    """Such histories are drawn: one whose lengths fit and whose times do not."""

    def stale(calls: list[Call]) -> bool:
        return disorders([one._replace(began=0, ended=1) for one in calls]) == [] and disorders(calls) != []

    assert find(any_calls, stale, settings=settings(phases=[Phase.generate], max_examples=2_000))
