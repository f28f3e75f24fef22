"""What every store must do: one suite for all of them, and any program has the same answers on each."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from functools import partial
from operator import methodcaller
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from interlock.contracts.envelope import Head
from interlock.contracts.errors import CallError, InterlockError, StorageError, StreamMoved
from interlock.contracts.payload import PayloadAt
from interlock.contracts.store import Append, FlowRow, Reservation, Spent, Store, TimerRow
from interlock.persistence import whole
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sql_store import SqlStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from support.postgres import database
from support.stores import LOG, after, decided, payload_bodies

STREAMS = ("a", "b", "c")
streams = st.sampled_from(STREAMS)
dues = st.sampled_from([f"2026-11-21T12:00:0{n}.000000Z" for n in range(6)])
tenants = st.sampled_from(["acme", "globex"])
amounts = st.builds(Spent, st.integers(0, 3), st.integers(0, 2**53), st.integers(0, 2**53))
owners = st.sampled_from(["", "first", "second"])


def outcome(act: Callable[[], Any]) -> Any:
    """What an act gives, or how it is refused: equal for stores that agree."""
    try:
        return act()
    except InterlockError as error:
        return type(error), error.what


class StoresAgree(RuleBasedStateMachine):
    """Any program, every store, the same answers."""

    @initialize()
    def open_both(self) -> None:
        self.begun = ExitStack()
        self.where = self.begun.enter_context(self.place())
        self.stores: list[Store] = [MemoryStore(origin=LOG), self.opened(origin=LOG)]
        self.other: Store | None = None
        self.heads = {stream: Head(stream) for stream in STREAMS}
        self.keys = {(stream, "never"): 0 for stream in STREAMS}

    def teardown(self) -> None:
        if hasattr(self, "stores"):
            self.part_from_the_other_process()
            for store in self.stores:
                store.close()
            self.begun.close()

    def place(self) -> AbstractContextManager[str]:
        """Where the log is kept, empty, for the time of one program."""
        return TemporaryDirectory()

    def opened(self, **more: Any) -> Store:
        """The log there, as one process opens it."""
        return SqliteStore(Path(self.where) / "log.db", **more)

    def same(self, act: Callable[[Store], Any]) -> Any:
        """The answer that all stores give."""
        answers = [outcome(partial(act, store)) for store in self.stores]
        assert answers == answers[:1] * len(answers)
        return answers[0]

    def appended(self, append: Append) -> bool:
        if self.same(lambda store: store.append(append)) != append.summary.length:
            return False
        self.heads[append.summary.stream] = after(append)
        self.keys |= {(e.stream, e.key): e.version for e in append.entries if e.key is not None}
        return True

    @rule(
        stream=streams,
        size=st.integers(1, 3),
        written=st.lists(payload_bodies, max_size=2),
        timers=st.dictionaries(st.integers(0, 9), dues, max_size=3),
        undecided=st.integers(0, 2),
        owner=owners,
        status=st.sampled_from(["open", "ended"]),
        tasks=st.lists(st.integers(0, 9), max_size=2).map(tuple),
    )
    def append_at_the_end(self, stream, timers, **given) -> None:
        append = decided(self.heads[stream], timers=tuple(timers.items()), **given)
        assert self.appended(append)

    @rule(stream=streams, behind=st.integers(-1, 3))
    def append_elsewhere(self, stream, behind) -> None:
        """Only the stream's length may be expected; anything else moves nothing."""
        length = max(self.heads[stream].length - behind, 0)
        append = decided(Head(stream, length, b"\x01" * 32 if length else b""), key="elsewhere")
        before = self.same(lambda store: (store.read(stream), store.summary(stream)))
        if length == self.heads[stream].length:
            return
        assert self.same(lambda store: store.append(append))[0] is StreamMoved
        assert self.same(lambda store: (store.read(stream), store.summary(stream))) == before

    @rule(stream=streams, data=st.data())
    def append_a_key_again(self, stream, data) -> None:
        """A key that is in the stream already is refused even where the length is right."""
        used = sorted(key for of, key in self.keys if of == stream and key != "never")
        if used:
            append = decided(self.heads[stream], key=data.draw(st.sampled_from(used)))
            assert self.same(lambda store: store.append(append))[0] is StreamMoved

    @rule(first=streams, second=streams, conflict=st.booleans())
    def enqueue_several(self, first, second, conflict) -> None:
        """What waits together is recorded in order, and one loser does not hurt the others."""
        appends = [decided(self.heads[first])]
        heads = self.heads | {first: after(appends[0])}
        if conflict:
            appends.append(decided(self.heads[first], key="loser"))
        appends.append(decided(heads[second], written=[b"second"]))
        heads[second] = after(appends[-1])

        def together(store: Store) -> list[Any]:
            futures = [store.enqueue(append) for append in appends]
            return [outcome(future.result) for future in futures]

        answers = self.same(together)
        assert [isinstance(answer, int) for answer in answers] == [True, *([False] if conflict else []), True]
        self.heads = heads

    @rule(stream=streams, owner=owners, previous=owners)
    def claim(self, stream, owner, previous) -> None:
        self.same(lambda store: store.claim(stream, owner, previous))

    @rule(name=st.sampled_from("fg"), version=st.integers(1, 2), body=st.binary(max_size=4))
    def put_flow(self, name, version, body) -> None:
        row = FlowRow(digest=f"{name}{version}", name=name, version=version, body=body, source="here")
        self.same(lambda store: store.put_flow(row))

    @rule(stream=streams, effect=st.integers(0, 2), tenant=tenants, amount=amounts, most=amounts)
    def reserve(self, stream, effect, tenant, amount, most) -> None:
        """All or nothing, and never over what the day may hold."""
        before = self.same(lambda store: store.spent(tenant, "2026-11-21"))
        wanted = Reservation(stream, effect, tenant, "2026-11-21", amount)
        stood = self.same(lambda store: store.reserve(wanted, most))
        after = self.same(lambda store: store.spent(tenant, "2026-11-21"))
        assert (stood, after) == ((None, before.plus(amount)) if before.plus(amount).fits(most) else (before, before))

    @rule(stream=streams, effect=st.integers(0, 2), used=st.none() | amounts)
    def settle(self, stream, effect, used) -> None:
        """Once: what was used stands where what was reserved stood."""
        found = [one for one in self.same(methodcaller("reservations")) if (one.stream, one.effect) == (stream, effect)]
        before = self.days()
        for _ in range(2):
            self.same(lambda store: store.settle(stream, effect, used))
        for one in found:
            before[one.tenant] = before[one.tenant].minus(one.amount).plus(one.amount if used is None else used)
        assert before == self.days()

    def days(self) -> dict[str, Spent]:
        return {tenant: self.same(methodcaller("spent", tenant, "2026-11-21")) for tenant in ("acme", "globex")}

    @rule()
    def close_and_open(self) -> None:
        self.stores[1].close()
        self.stores[1] = self.opened()
        assert self.stores[1].log == LOG

    @precondition(lambda self: self.other is None)
    @rule()
    def meet_another_process(self) -> None:
        """A second connection to the file, as another process has; each sees what the other acknowledged."""
        self.other = self.opened()
        self.stores[1], self.other = self.other, self.stores[1]

    @precondition(lambda self: self.other is not None)
    @rule()
    def change_sides(self) -> None:
        assert self.other is not None
        self.stores[1], self.other = self.other, self.stores[1]

    @precondition(lambda self: self.other is not None)
    @rule()
    def part_from_the_other_process(self) -> None:
        if self.other is not None:
            self.other.close()
            self.other = None

    @rule(stream=streams, first=st.integers(0, 5), limit=st.none() | st.integers(0, 3))
    def read_a_part(self, stream, first, limit) -> None:
        self.same(lambda store: store.read(stream, after=first, limit=limit))
        at = PayloadAt(version=first, name="fact.p0")
        assert self.same(lambda store: store.payload(stream, at)) == self.same(
            lambda store: store.payloads(stream, after=first).get(at)
        )

    @rule(now=dues, limit=st.integers(1, 4))
    def look_at_the_clock(self, now, limit) -> None:
        self.same(lambda store: store.due_timers(now, limit=limit))

    @invariant()
    def everything_that_can_be_asked_is_the_same(self) -> None:
        if not hasattr(self, "stores"):
            return
        for stream in STREAMS:
            assert self.same(methodcaller("head", stream)) == self.heads[stream]
            for question in ("read", "payloads", "summary"):
                self.same(methodcaller(question, stream))
            self.same(methodcaller("find_key", stream, "k0"))
        self.same(methodcaller("reservations"))
        self.same(lambda store: (store.streams(), store.flows(), store.flow("f1"), store.next_due()))
        self.same(lambda store: (store.summaries(), store.summaries(limit=1), store.summaries(undecided=True)))
        self.same(lambda store: (store.summaries(status="open"), store.summaries(status="ended", undecided=True)))
        assert self.same(verify).ok


StoresAgree.TestCase.settings = settings(max_examples=25, stateful_step_count=20)


LOOKING_ONLY = settings(StoresAgree.TestCase.settings, database=None, phases=[Phase.generate])


class Forgetful(MemoryStore):
    """Knows no deadline."""

    def next_due(self) -> str | None:
        return None


class AForgetfulStoreDisagrees(StoresAgree):
    @initialize()
    def open_both(self) -> None:
        super().open_both()
        self.stores[0] = Forgetful(origin=LOG)


def test_a_store_that_disagrees_is_found():
    """The control: the machine fails for a store that forgets deadlines."""
    with pytest.raises(AssertionError):
        run_state_machine_as_test(AForgetfulStoreDisagrees, settings=LOOKING_ONLY)


TestStoresAgree = StoresAgree.TestCase


class PostgresAgrees(StoresAgree):
    """The same on PostgreSQL, where two processes write at once."""

    def place(self) -> AbstractContextManager[str]:
        return database()

    def opened(self, **more: Any) -> Store:
        return PostgresStore(self.where, **more)


PostgresAgrees.TestCase.settings = settings(max_examples=8, stateful_step_count=20)
TestPostgresAgrees = PostgresAgrees.TestCase


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    with ExitStack() as begun:
        made: Store
        if request.param == "memory":
            made = MemoryStore(origin=LOG)
        elif request.param == "sqlite":
            made = SqliteStore(tmp_path / "log.db", origin=LOG)
        else:
            made = PostgresStore(begun.enter_context(database()), origin=LOG)
        begun.callback(made.close)
        yield made


def test_an_append_is_all_or_none(store: Store):
    """If one entry of several cannot be recorded, none is, and neither are payloads and summary."""
    first = decided(Head("a"), key="once")
    store.append(first)
    # The second entry's key is taken, though the first stands where it should.
    clash = decided(after(first), size=3, written=[b"text"], state="elsewhere")
    clash = replace(
        clash,
        entries=(
            replace(clash.entries[0], key=None),
            replace(clash.entries[1], key="once"),
            clash.entries[2],
        ),
    )
    with pytest.raises(StreamMoved):
        store.append(clash)
    assert store.head("a") == after(first)
    assert store.summary("a") == first.summary
    assert store.payloads("a") == {}


def test_a_repeated_key_says_that_its_entry_is_there(store: Store):
    """The loser is told to look for what the key recorded."""
    first = decided(Head("a"), key="once")
    store.append(first)
    with pytest.raises(StreamMoved) as refused:
        store.append(decided(after(first), key="once"))
    assert str(refused.value) == (
        "An entry of the stream has this idempotency key already. Where: stream a. "
        "Fix: Read the stream again and return what the key's entry recorded."
    )
    assert store.find_key("a", "once") == 0


def test_a_moved_stream_says_how_long_it_is(store: Store):
    """The loser is told both lengths, and to decide again."""
    store.append(decided(Head("a"), size=3))
    with pytest.raises(StreamMoved) as refused:
        store.append(decided(Head("a"), key="late"))
    assert str(refused.value) == (
        "The stream has 3 entries, not 0. Where: stream a. Fix: Read the stream again, decide again, and append again."
    )


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda a: replace(a, entries=()), "There is no entry to append."),
        (lambda a: replace(a, expected=7), "The entries do not follow one another from version 7."),
        (lambda a: replace(a, entries=a.entries[1:]), "The entries do not follow one another from version 0."),
        (lambda a: replace(a, summary=replace(a.summary, stream="b")), "The entries are not of the summary's stream."),
        (lambda a: replace(a, summary=replace(a.summary, length=9)), "The summary says 9 entries."),
        (
            lambda a: replace(a, summary=replace(a.summary, timers=(TimerRow("b", 0, "x"),))),
            "A deadline is of another stream.",
        ),
        (
            lambda a: replace(a, summary=replace(a.summary, timers=(TimerRow("a", 0, "x"),) * 2)),
            "The summary has two deadlines of one event.",
        ),
        (
            lambda a: replace(a, entries=(replace(a.entries[0], payloads=a.entries[0].payloads * 2), a.entries[1])),
            "An entry has two payloads of one name.",
        ),
        (lambda a: replace(a, entries=(a.entries[0], replace(a.entries[1], key="k0"))), "A key stands on two entries."),
    ],
)
def test_an_append_that_is_no_decision_is_refused(store: Store, spoil, what: str):
    """A broken caller is told at once, and nothing is recorded."""
    with pytest.raises(CallError) as refused:
        store.enqueue(spoil(decided(Head("a"), written=[b"text"])))
    assert refused.value.what == what
    assert store.streams() == ()


@pytest.mark.parametrize("stream", ["", "a\0b", "\ud800", "ä", "x" * 129])
def test_a_stream_must_have_a_name(store: Store, stream: str):
    """A stream is found again by its name, on every store and in every file it is exported to."""
    append = decided(Head("a"))
    entries = tuple(replace(entry, stream=stream) for entry in append.entries)
    with pytest.raises(CallError, match=r"1 to 128 printable ASCII"):
        store.append(Append(entries, 0, replace(append.summary, stream=stream)))


def test_hostile_bytes_are_kept_as_they_are(store: Store):
    """A NUL, lone surrogates, broken UTF-8 and 10 MB do not stop the log, and come back unchanged."""
    written = [b"\0", "\ud800 and \udfff".encode("utf-8", "surrogatepass"), b"\xff\xfe\x00", b"", b"x" * 10_000_000]
    store.append(decided(Head("a"), written=written))
    found = store.payloads("a")
    assert [found[PayloadAt(version=0, name=f"fact.p{n}")].plaintext for n in range(5)] == written
    assert verify(store).ok


def test_every_one_of_many_threads_is_answered(store: Store):
    """Appends from many threads at once: each stream whole, and each waiting caller told its own length."""

    def conversation(stream: str) -> list[int]:
        head, lengths = Head(stream), []
        for _ in range(10):
            append = decided(head)
            lengths.append(store.append(append))
            head = after(append)
        return lengths

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(conversation, [f"s{n}" for n in range(8)]))
    assert answers == [[2 * n for n in range(1, 11)]] * 8
    assert verify(store).events == 160


def test_of_those_who_append_to_one_stream_at_once_one_wins(store: Store):
    """All expect the same length; the others are told that the stream moved."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: outcome(lambda: store.append(decided(Head("a"), key=f"k{n}"))), range(8)))
    assert sum(answer == 2 for answer in answers) == 1
    assert sum(answer != 2 and answer[0] is StreamMoved for answer in answers) == 7


def test_only_one_takes_over_a_dead_owners_work(store: Store):
    """A claim succeeds for the first who names the present owner."""
    store.append(decided(Head("a"), undecided=1, owner="dead"))
    assert [store.claim("a", new, "dead") for new in ("first", "second")] == [True, False]
    assert store.claim("never", "first", "") is False
    summary = store.summary("a")
    assert summary is not None
    assert summary.owner == "first"


def test_of_those_who_reserve_the_last_at_once_one_gets_it(store: Store):
    """Eight threads want four calls each of ten: two get theirs, and nobody else's sum is touched."""

    def reserve(number: int) -> Spent | None:
        return store.reserve(Reservation("a", number, "acme", "2026-11-21", Spent(4)), Spent(10, 0, 0))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(reserve, range(8)))
    assert sorted(answers, key=str) == sorted([None, None, *[Spent(8)] * 6], key=str)
    assert len(store.reservations()) == 2
    assert (store.spent("acme", "2026-11-21"), store.spent("acme", "2026-11-22")) == (Spent(8), Spent())


def test_an_effect_that_is_reserved_again_was_spent_once(store: Store):
    """A call that is made again after a crash: the first may have been made, so both count."""
    for _ in range(2):
        assert store.reserve(Reservation("a", 7, "acme", "2026-11-21", Spent(1, 100, 5)), Spent(9, 900, 90)) is None
    store.settle("a", 7, Spent(1, 30, 2))
    assert (store.spent("acme", "2026-11-21"), store.reservations()) == (Spent(2, 130, 7), ())


def test_ended_conversations_have_no_deadlines(store: Store):
    """A deadline left in the projection of an ended conversation never fires."""
    store.append(decided(Head("a"), status="ended", timers=((1, "2026-11-21T12:00:00.000000Z"),)))
    store.append(decided(Head("b"), timers=((2, "2026-11-21T13:00:00.000000Z"), (1, "2026-11-21T12:00:00.000000Z"))))
    assert store.due_timers("2026-11-21T12:30:00.000000Z") == (TimerRow("b", 1, "2026-11-21T12:00:00.000000Z"),)
    assert store.next_due() == "2026-11-21T12:00:00.000000Z"


def test_a_closed_store_says_so(store: Store):
    """Closing twice is fine; anything else after it is refused."""
    store.close()
    store.close()
    for act in (lambda: store.append(decided(Head("a"))), lambda: store.head("a")):
        with pytest.raises(StorageError) as refused:
            act()
        assert refused.value.what == "The store is closed."
        assert refused.value.fix == "Open it again, or close it after the last use."


def test_closing_finishes_what_was_enqueued(store: Store):
    """What was taken before the close is answered."""
    futures = [store.enqueue(decided(Head(f"s{n}"))) for n in range(20)]
    store.close()
    assert [future.result(timeout=5) for future in futures] == [2] * 20


def test_whole_conversations_are_what_single_questions_give(store: Store, monkeypatch: pytest.MonkeyPatch):
    """Read together in pieces of any size: the same entries, texts and projections, each at its conversation."""
    if not isinstance(store, SqlStore):
        return
    appends = [decided(Head(f"s{n}"), size=1 + n % 4, written=[b"text"] * (n % 3)) for n in range(9)]
    for append in appends:
        store.append(append)
    expected = {one.summary.stream: one.summary.length for one in appends}
    assert store.lengths() == expected
    for most in (1, 4, 1_000):
        monkeypatch.setattr(whole, "MOST_ENTRIES", most)
        wholes = list(store.wholes(expected))
        assert [one.stream for one in wholes] == list(expected)
        for one in wholes:
            texts = {(at.version, at.name): text for at, text in store.payloads(one.stream).items()}
            assert tuple(one.entries) == tuple(store.read(one.stream))
            assert one.payloads() == texts
            assert one.summary() == store.summary(one.stream)
    (nobody,) = store.wholes({"nobody": 0})
    assert (nobody.entries, nobody.payloads(), nobody.summary()) == ((), {}, None)
