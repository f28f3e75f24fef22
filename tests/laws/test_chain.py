"""Laws of the chain: what is stored is what was decided, and whatever is changed afterwards is found."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from interlock.contracts.canonical import canonical, leaf_hash
from interlock.contracts.envelope import Head, sealed
from interlock.contracts.errors import LogBroken, UnknownConversation
from interlock.contracts.store import StoredEntry, Summary, TimerRow
from interlock.persistence.codec import conversation_row, entry_of, event_row, stored, summary_of
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import Broken, verify
from support.stores import DIGEST, EVENT_TYPES, LOG, after, command, decided, events, models, payload_bodies

# The columns of a row that say what its entry says: changed, they contradict it.
COLUMNS = ("type", "at", "idempotency_key")


# Without shrinking: a smaller event is not worth the minutes that looking for it takes.
NO_SHRINKING = [Phase.explicit, Phase.reuse, Phase.generate]


@pytest.mark.parametrize("kind", EVENT_TYPES, ids=lambda kind: kind.__name__)
def test_every_event_comes_back_from_its_row(kind: type):
    """Sealed, stored and read again, an entry of any type is the same entry."""

    @given(event=models(kind), before=st.integers(0, 3), key=st.from_regex(r"[!-~]{1,128}", fullmatch=True))
    @settings(max_examples=15, phases=NO_SHRINKING)
    def law(event: Any, before: int, key: str) -> None:
        head = Head("a", before, b"\x07" * 32 if before else b"")
        entries = sealed([event, event], head=head, command=command(key), flow=DIGEST, code="test/1", log=LOG)
        for entry in entries:
            assert entry_of(StoredEntry(*event_row(entry))) == entry
            assert entry_of(stored(entry)) == entry

    law()


@given(st.lists(payload_bodies, max_size=3))
def test_an_entry_comes_back_with_its_payloads(written: list[bytes]):
    """Payloads go to rows of their own, and are the entry's again when it is read."""
    append = decided(Head("a"), written=written)
    store = MemoryStore(origin=LOG)
    store.append(append)
    assert tuple(entry_of(row, store.payloads("a")) for row in store.read("a")) == append.entries


@given(
    st.builds(
        Summary,
        stream=st.just("a"),
        flow_name=st.text(max_size=5),
        flow_version=st.integers(0, 9),
        flow_digest=st.just(DIGEST),
        subject=st.text(max_size=5),
        state=st.text(max_size=5),
        status=st.sampled_from(["open", "ended"]),
        length=st.integers(0, 9),
        started_at=st.just(""),
        updated_at=st.just(""),
        undecided=st.integers(0, 9),
        owner=st.text(max_size=5),
        tasks=st.lists(st.integers(0, 2**53)).map(tuple),
    )
)
def test_a_summary_comes_back_from_its_row(summary: Summary):
    """A summary is its row and the rows of its deadlines."""
    assert summary_of(conversation_row(summary), []) == summary
    with_deadline = replace(summary, timers=(TimerRow("a", 1, "x"),))
    assert summary_of(conversation_row(with_deadline), [(1, "x")]) == with_deadline


@given(events(), st.integers(0, 7))
@settings(phases=NO_SHRINKING)
def test_a_row_that_contradicts_its_entry_is_refused(event: Any, bit: int):
    """The columns are a checked projection: one that says something else is not believed."""
    entry = sealed([event], head=Head("a"), command=command("k"), flow=DIGEST, code="test/1", log=LOG)[0]
    row = stored(entry)
    for other in (
        row._replace(stream="b"),
        row._replace(version=1),
        row._replace(type="other"),
        row._replace(key=None),
        row._replace(leaf=bytes([row.leaf[0] ^ (1 << bit)]) + row.leaf[1:]),
    ):
        with pytest.raises(LogBroken) as refused:
            entry_of(other)
        assert (refused.value.stream, refused.value.version) == (other.stream, other.version)


class Log:
    """A log on disk with three streams, and a way past its guards."""

    def __init__(self, folder: str, *, in_clear: bool = True) -> None:
        self.path = Path(folder) / "log.db"
        with closing(SqliteStore(self.path, origin=LOG, in_clear=in_clear)) as store:
            for stream in "abc":
                head = Head(stream)
                for turn in range(3):
                    append = decided(head, written=[b"said %d" % turn, b"and more"])
                    store.append(append)
                    head = after(append)
        with self.tampering() as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]
            for name in names:
                connection.execute(f"DROP TRIGGER {name}")

    def tampering(self) -> "closing[sqlite3.Connection]":
        return closing(sqlite3.connect(self.path, isolation_level=None))

    def rows(self, table: str) -> list[dict[str, Any]]:
        with self.tampering() as connection:
            cursor = connection.execute(f"SELECT rowid AS at_row, * FROM {table} ORDER BY rowid")
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]

    def put(self, table: str, at_row: int, column: str, value: Any) -> None:
        with self.tampering() as connection:
            connection.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (value, at_row))

    def verified(self) -> Any:
        with closing(SqliteStore(self.path)) as store:
            return verify(store)


@pytest.fixture(scope="module", params=[True, False], ids=["in clear", "encrypted"])
def log(request: pytest.FixtureRequest) -> Any:
    with TemporaryDirectory() as folder:
        yield Log(folder, in_clear=request.param)


CELLS = [("event", "entry"), ("event", "leaf"), ("payload", "body"), ("payload", "r"), ("payload", "nonce")]


@given(data=st.data())
def test_one_flipped_bit_is_found_at_its_position(log: Log, data: st.DataObject):
    """In any stored entry, leaf or payload: exactly that stream and version is named, and no other."""
    table, column = data.draw(st.sampled_from(CELLS))
    row = data.draw(st.sampled_from(log.rows(table)))
    column = column if row[column] is not None else "body"  # in clear there is no nonce, encrypted no `r` of its own
    cell: bytes = row[column]
    position = data.draw(st.integers(0, 8 * len(cell) - 1))
    flipped = bytearray(cell)
    flipped[position // 8] ^= 1 << position % 8
    log.put(table, row["at_row"], column, bytes(flipped))
    try:
        report = log.verified()
    finally:
        log.put(table, row["at_row"], column, cell)
    assert [(broken.stream, broken.version) for broken in report.broken] == [(row["stream"], row["version"])]
    assert log.verified().ok


@given(data=st.data())
def test_a_column_that_says_something_else_is_found(log: Log, data: st.DataObject):
    """The columns that searches use cannot lie about the entry beside them."""
    row = data.draw(st.sampled_from(log.rows("event")))
    column = data.draw(st.sampled_from(COLUMNS))
    other = data.draw(st.text("abc", min_size=1, max_size=3).filter(lambda text: text != row[column]))
    log.put("event", row["at_row"], column, other)
    try:
        report = log.verified()
    finally:
        log.put("event", row["at_row"], column, row[column])
    name = {"idempotency_key": "key"}.get(column, column)
    assert report.broken == (
        Broken(
            row["stream"],
            row["version"],
            f"The entry says {name} {row[column]!r}, the database {other!r}.",
        ),
    )


def broken_after(statement: str, *, in_clear: bool = True) -> tuple[Broken, ...]:
    with TemporaryDirectory() as folder:
        log = Log(folder, in_clear=in_clear)
        assert log.verified().ok
        with log.tampering() as connection:
            assert connection.execute(statement).rowcount == 1
        broken: tuple[Broken, ...] = log.verified().broken
        return broken


@pytest.mark.parametrize(
    ("statement", "broken"),
    [
        (
            "DELETE FROM event WHERE stream = 'b' AND version = 2",
            Broken("b", 2, "The entry is missing; the next one has version 3."),
        ),
        (
            "DELETE FROM event WHERE stream = 'b' AND version = 5",
            Broken("b", 5, "The projection says 6 entries; there are 5."),
        ),
        (
            "UPDATE event SET version = 9 WHERE stream = 'b' AND version = 5",
            Broken("b", 5, "The entry is missing; the next one has version 9."),
        ),
        ("DELETE FROM conversation WHERE stream = 'b'", Broken("b", 6, "The projection lacks the conversation.")),
        (
            "UPDATE conversation SET length = 4 WHERE stream = 'b'",
            Broken("b", 4, "The projection says 4 entries; there are 6."),
        ),
        (
            "UPDATE conversation SET updated_at = 'x' WHERE stream = 'b'",
            Broken("b", 5, "The projection is not what the entries give: updated_at."),
        ),
        (
            "UPDATE payload SET kind = 'reply' WHERE stream = 'b' AND version = 2 AND name = 'fact.p0'",
            Broken("b", 2, "The payload 'fact.p0' has another class or length than its entry says."),
        ),
        (
            "UPDATE payload SET body = x'736169642039' WHERE stream = 'b' AND version = 2 AND name = 'fact.p0'",
            Broken("b", 2, "The payload 'fact.p0' is not the one that was committed to."),
        ),
        (
            "UPDATE payload SET name = 'other' WHERE stream = 'b' AND version = 2 AND name = 'fact.p0'",
            Broken("b", 2, "The payload 'other' is named by no entry."),
        ),
        (
            "UPDATE conversation SET tasks = 'none' WHERE stream = 'b'",
            Broken("b", 0, "The tasks of the projection are not a list."),
        ),
        (
            (
                "INSERT INTO conversation SELECT 'z', flow_name, flow_version, flow_digest, subject, state, status, "
                "length, started_at, updated_at, undecided, owner, tasks FROM conversation WHERE stream = 'b'"
            ),
            Broken("z", 0, "The projection says 6 entries; there are 0."),
        ),
    ],
)
def test_what_was_taken_away_or_put_in_is_found(statement: str, broken: Broken):
    """Missing entries, moved entries, foreign payloads and a false projection, each at its position."""
    assert broken_after(statement) == (broken,)


@pytest.mark.parametrize(
    "changes",
    [
        "kind = 'reply'",
        "name = 'other'",
        "version = 4",
        "stream = 'a', name = 'other'",
        "body = (SELECT body FROM payload WHERE stream = 'b' AND version = 2 AND name = 'fact.p1')",
        "(body, nonce) = (SELECT body, nonce FROM payload WHERE stream = 'b' AND version = 2 AND name = 'fact.p1')",
        "key_id = (SELECT key_id FROM payload WHERE stream = 'c')",
        "body = x''",
        "nonce = x''",
    ],
)
def test_an_encrypted_payload_opens_in_its_own_place_only(changes: str):
    """Moved to another place, version, class, name or key, or cut: it does not decrypt, and is named where it lies."""
    (broken,) = broken_after(
        f"UPDATE OR REPLACE payload SET {changes} WHERE stream = 'b' AND version = 2 AND name = 'fact.p0'",
        in_clear=False,
    )
    assert broken.what in {
        f"The payload {name!r} does not decrypt as what stands in its place." for name in ("fact.p0", "other")
    }


def replaced_entry(fields: Any) -> tuple[Broken, ...]:
    """What verification says when the second entry is replaced with `fields`, under a leaf that fits."""
    store = MemoryStore(origin=LOG)
    append = decided(Head("a"), size=3)
    store.append(append)
    data = fields if isinstance(fields, bytes) else canonical(fields)
    store._entries["a"][1] = store._entries["a"][1]._replace(data=data, leaf=leaf_hash(data))
    return verify(store).broken


def test_an_entry_rewritten_with_its_leaf_is_found():
    """Whoever can compute a leaf cannot make the next entry follow from it, nor other columns fit."""
    import json

    fields = json.loads(decided(Head("a"), size=3).entries[1].data)
    assert replaced_entry(fields | {"code": "other"}) == (
        Broken("a", 2, "The entry does not follow from the one before it: `prev` is another hash."),
    )
    assert replaced_entry(fields | {"prev": "00" * 32}) == (
        Broken("a", 1, "The entry does not follow from the one before it: `prev` is another hash."),
    )
    assert replaced_entry(fields | {"log": "another"}) == (
        Broken("a", 1, "The entry says log 'another', the database 'interlock-test'."),
    )
    assert replaced_entry(b"\xff") == (Broken("a", 1, "Not JSON: UnicodeDecodeError."),)
    assert replaced_entry(b"[]") == (Broken("a", 1, "The entry is not a JSON object."),)
    assert replaced_entry(b'{"a":1,"a":1}') == (Broken("a", 1, "The bytes are not in RFC 8785 form."),)


def test_rows_that_their_tables_do_not_admit_are_reported():
    """Pages written over can give anything: verification says where, and does not fail itself."""
    store = MemoryStore(origin=LOG)
    store.append(decided(Head("a")))
    store._entries["a"][1] = store._entries["a"][1]._replace(data=None)  # type: ignore[arg-type]
    report = verify(store)
    assert [(broken.stream, broken.version) for broken in report.broken] == [("a", 1)]
    assert report.broken[0].what.startswith("A row holds what its table does not admit (")


def test_a_folded_projection_is_compared_whole():
    """With the fold at hand nothing in the summary may differ, but for who performs effects."""
    store = MemoryStore(origin=LOG)
    append = decided(Head("a"), state="paid", undecided=1, owner="first")
    store.append(append)
    store.claim("a", "second", "first")
    assert verify(store, projected=lambda entries: append.summary).ok
    assert verify(store, projected=lambda entries: replace(append.summary, state="refused")).broken == (
        Broken("a", 1, "The projection is not what the entries give: state."),
    )


def test_one_stream_can_be_verified_alone():
    """Only what was named is read; a name that does not exist is an error, and not an empty success."""
    store = MemoryStore(origin=LOG)
    for stream in "ab":
        store.append(decided(Head(stream)))
    seen: list[int] = []
    report = verify(store, streams=["b"], progress=lambda so_far: seen.append(so_far.events))
    assert (report.streams, report.events, report.first, seen) == (1, 2, None, [2])
    with pytest.raises(UnknownConversation, match="There is no conversation 'z' in this log"):
        verify(store, streams=["z"])
