"""Payloads at rest: encrypted under each person's own key, which the master key wraps; nothing is lost or leaks."""

import os
import sqlite3
import stat
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.envelope import Head
from interlock.contracts.errors import KeyUnavailable, LogBroken
from interlock.contracts.payload import PayloadAt
from interlock.persistence import vault
from interlock.persistence.keyfile import FIRST_LINE, KeyFile
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from support.keys import KnownKey
from support.stores import LOG, after, decided

SECRET = b"my mother's maiden name is Quimby"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, origin=LOG)) as opened:
        yield opened


def files_with(folder: Path, found: bytes) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if file.is_file() and found in file.read_bytes())


def rows(path: Path, question: str) -> list[Any]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(question).fetchall()


def test_what_a_person_wrote_is_in_no_file(store: SqliteStore, path: Path) -> None:
    """Neither in the database nor in its write-ahead log; a reader of the store gets every byte back."""
    store.append(decided(Head("a"), written=[SECRET, b""]))
    assert [one.plaintext for one in store.payloads("a").values()] == [SECRET, b""]
    one = store.payload("a", PayloadAt(version=0, name="fact.p0"))
    assert one
    assert one.plaintext == SECRET
    assert files_with(path.parent, SECRET) == []


def test_control_in_clear_it_is_found(path: Path) -> None:
    """The same search finds a text that was not encrypted."""
    with closing(SqliteStore(path, origin=LOG, in_clear=True)) as store:
        store.append(decided(Head("a"), written=[SECRET]))
        assert files_with(path.parent, SECRET) == ["log.db-wal"]


def test_each_person_has_a_key_and_no_nonce_comes_twice(store: SqliteStore, path: Path) -> None:
    """One key for a subject however many decisions, wrapped: it stands nowhere as it is."""
    for stream in ("a", "b"):
        head = Head(stream)
        for _ in range(3):
            append = decided(head, written=[b"same text", b"same text"])
            store.append(append)
            head = after(append)
    keys = rows(path, "SELECT id, subject, wrapped FROM data_key ORDER BY subject")
    assert [subject for _, subject, _ in keys] == ["of a", "of b"]
    used = rows(path, "SELECT subject, key_id, nonce, body, r FROM payload")
    assert {(subject, key) for subject, key, *_ in used} == {(subject, key) for key, subject, _ in keys}
    assert len({nonce for _, _, nonce, *_ in used}) == len({body for *_, body, _ in used}) == len(used) == 12
    assert {len(nonce) for _, _, nonce, *_ in used} == {12}
    assert {r for *_, r in used} == {None}


def test_another_process_uses_the_same_keys(store: SqliteStore, path: Path) -> None:
    """A key that another connection made is found before a second one is made."""
    store.append(decided(Head("a"), written=[b"one"]))
    with closing(SqliteStore(path)) as other:
        append = decided(store.head("a"), written=[b"two"])
        other.append(append)
        store.append(decided(after(append), written=[b"three"]))
        assert [one.plaintext for one in other.payloads("a").values()] == [b"one", b"two", b"three"]
    assert len(rows(path, "SELECT * FROM data_key")) == 1


def test_an_erased_key_is_never_used_again(store: SqliteStore, path: Path) -> None:
    """Somebody deletes the rows and the key of a person: what comes after lies under a new key."""
    store.append(decided(Head("a"), written=[b"one"]))
    (before,) = rows(path, "SELECT id FROM data_key")
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM payload")
        connection.execute("DELETE FROM data_key")
    store.append(decided(store.head("a"), written=[b"two"]))
    (key,) = rows(path, "SELECT id FROM data_key")
    assert key != before
    assert [one.plaintext for one in store.payloads("a").values()] == [b"two"]


def test_a_key_that_was_undone_with_its_transaction_is_not_used(path: Path) -> None:
    """A refused append leaves no key in memory that the database does not hold."""
    with closing(SqliteStore(path, origin=LOG)) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(
                "CREATE TRIGGER no BEFORE INSERT ON conversation BEGIN SELECT RAISE(ABORT, 'refused'); END"
            )
            with pytest.raises(Exception, match="refused"):
                store.append(decided(Head("a"), written=[b"one"]))
            connection.execute("DROP TRIGGER no")
        store.append(decided(Head("a"), written=[b"one"]))
        assert [one.plaintext for one in store.payloads("a").values()] == [b"one"]


def test_a_key_is_left_before_its_nonces_run_out(
    store: SqliteStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the bound another key of the same person takes over; all of it stays readable."""
    monkeypatch.setattr(vault, "MOST_PAYLOADS", 4)
    head = Head("a")
    for number in range(6):
        append = decided(head, written=[b"%d" % number, b"x"])
        store.append(append)
        head = after(append)
    counts = rows(path, "SELECT count(*) FROM payload GROUP BY key_id")
    assert [count for (count,) in counts] == [4, 4, 4]
    with closing(SqliteStore(path)) as again:
        assert len(again.payloads("a")) == 12


@given(texts=st.lists(st.binary(max_size=300), min_size=1, max_size=5))
def test_any_bytes_come_back(tmp_path_factory: pytest.TempPathFactory, texts: list[bytes]) -> None:
    """Whatever was written, across a restart with another cache."""
    path = tmp_path_factory.mktemp("any") / "log.db"
    with closing(SqliteStore(path, origin=LOG)) as store:
        store.append(decided(Head("a"), written=texts))
    with closing(SqliteStore(path)) as store:
        assert [one.plaintext for _, one in sorted(store.payloads("a").items(), key=lambda it: it[0].name)] == texts
        assert verify(store).ok


# -- the master key ------------------------------------------------------------------------------------


def test_the_key_file_is_made_for_its_owner_alone(store: SqliteStore, path: Path) -> None:
    """On first use and not before; mode 0600; durable text that says what it is."""
    file = path.with_name("log.db.key")
    assert not file.exists()
    store.append(decided(Head("a"), size=2))
    assert not file.exists()
    store.append(decided(Head("b"), written=[b"text"]))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().startswith(FIRST_LINE)
    assert [one.name for one in path.parent.glob("log.db.key*")] == ["log.db.key"]


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of this kind are POSIX's")
@pytest.mark.parametrize("mode", [0o604, 0o620, 0o640, 0o666])
def test_a_key_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    """The error says what to do, nothing is recorded, and after that is done everything is there."""
    with closing(SqliteStore(path, origin=LOG)) as store:
        store.append(decided(Head("a"), written=[b"one"]))
    path.with_name("log.db.key").chmod(mode)
    with closing(SqliteStore(path)) as store:
        for act in (lambda: store.payloads("a"), lambda: store.append(decided(store.head("a"), written=[b"two"]))):
            with pytest.raises(KeyUnavailable) as refused:
                act()
            assert refused.value.what == f"The key file can be read or written by others (mode {mode:04o})."
            assert refused.value.fix.startswith("Run `chmod 600 ")
        assert store.head("a").length == 2
        path.with_name("log.db.key").chmod(0o600)
        assert [one.plaintext for one in store.payloads("a").values()] == [b"one"]


def test_a_missing_key_is_refused_and_not_made_anew(path: Path) -> None:
    """While wrapped keys exist: a new key would hide that everything written before is unreadable."""
    file, aside = path.with_name("log.db.key"), path.with_name("aside")
    with closing(SqliteStore(path, origin=LOG)) as store:
        store.append(decided(Head("a"), written=[b"one"]))
    file.rename(aside)
    with closing(SqliteStore(path)) as store:
        for stream in ("a", "b"):
            with pytest.raises(KeyUnavailable, match="The key file is missing, and texts of this log are encrypted"):
                store.append(decided(store.head(stream), written=[b"two"]))
        with pytest.raises(KeyUnavailable, match="is missing"):
            store.payloads("a")
        assert not file.exists()
        report = verify(store)
        assert (report.ok, report.events, report.payloads, report.unopened) == (True, 2, 0, 1)
        aside.rename(file)
        assert [one.plaintext for one in store.payloads("a").values()] == [b"one"]


def test_another_logs_key_file_is_refused(path: Path, tmp_path: Path) -> None:
    """It is a key file, and not this log's."""
    with closing(SqliteStore(path, origin=LOG)) as store:
        store.append(decided(Head("a"), written=[b"one"]))
    other = KeyFile(tmp_path / "other.key")
    other.create()
    with closing(SqliteStore(path, master=other)) as store, pytest.raises(KeyUnavailable) as refused:
        store.payloads("a")
    assert refused.value.what.endswith("is not in the key file.")


@pytest.mark.parametrize("content", ["", "secret", FIRST_LINE, f"{FIRST_LINE}\nab cd", f"{FIRST_LINE}\nzz zz\n"])
def test_a_damaged_key_file_is_refused(tmp_path: Path, content: str) -> None:
    """Never taken for an empty one."""
    file = tmp_path / "a.key"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(KeyUnavailable, match="This is no file of master keys, or it is damaged"):
        KeyFile(file).wrap(b"k" * 32, b"")


def test_a_key_file_that_cannot_be_made_stops_the_append(path: Path) -> None:
    """No payload is recorded that nobody could ever read."""
    key = KeyFile(path.parent / "no such folder" / "a.key")
    with closing(SqliteStore(path, origin=LOG, master=key)) as store:
        with pytest.raises(KeyUnavailable, match="The key file cannot be written: No such file or directory"):
            store.append(decided(Head("a"), written=[b"one"]))
        assert store.head("a").length == 0


def test_a_wrapped_key_opens_in_its_own_context_only(tmp_path: Path) -> None:
    """Another person's, an altered one, or a short one is refused."""
    keys = KeyFile(tmp_path / "a.key")
    keys.create()
    wrapped = keys.wrap(b"k" * 32, b"anna")
    assert keys.unwrap(wrapped, b"anna") == b"k" * 32
    for bad, context in ((wrapped, b"bert"), (wrapped[:-1] + b"x", b"anna"), (wrapped[:8], b"anna")):
        with pytest.raises(KeyUnavailable, match="was altered, or put in another's place"):
            keys.unwrap(bad, context)


def test_a_key_service_is_asked_once_a_person(path: Path) -> None:
    """And a service that is away stops what needs it, and nothing else."""
    key = KnownKey()
    with closing(SqliteStore(path, origin=LOG, master=key)) as store:
        head = Head("a")
        for _ in range(5):
            append = decided(head, written=[b"text"])
            store.append(append)
            head = after(append)
        store.payloads("a")
        assert (key.wrapped, key.unwrapped) == (1, 0)
        key.away = True
        store.append(decided(head, written=[b"known by now"]))
        with pytest.raises(KeyUnavailable, match="does not answer"):
            store.append(decided(Head("b"), written=[b"text"]))
        store.append(decided(Head("c"), size=2))
        assert not path.with_name("log.db.key").exists()


def test_a_service_that_gives_nonsense_is_refused(path: Path) -> None:
    """A key of another length is no key."""
    key = KnownKey()
    with closing(SqliteStore(path, origin=LOG, master=key)) as store:
        store.append(decided(Head("a"), written=[b"text"]))
    key.unwrap = lambda wrapped, context: b"short"  # type: ignore[method-assign]
    with closing(SqliteStore(path, master=key)) as store, pytest.raises(KeyUnavailable, match="no data key"):
        store.payloads("a")


def test_a_payload_without_its_key_is_a_break(store: SqliteStore, path: Path) -> None:
    """Erasing deletes both; a key alone that is gone is damage, and named."""
    store.append(decided(Head("a"), written=[b"one"]))
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("DELETE FROM data_key")
    with closing(SqliteStore(path)) as again:
        with pytest.raises(LogBroken, match=r"The key of the payload 'fact\.p0' is gone, and the payload is not"):
            again.payloads("a")
        assert verify(again).first is not None


def test_two_processes_that_make_the_first_key_agree(path: Path) -> None:
    """Of two files made at once, one wins, and both use it."""
    first, second = KeyFile(path.with_name("k")), KeyFile(path.with_name("k"))
    made = os.link

    def late(*names: Any) -> None:
        os.link = made
        second.create()
        made(*names)

    os.link = late  # type: ignore[assignment]
    try:
        first.create()
    finally:
        os.link = made
    assert first.ids() == second.ids()
    assert second.unwrap(first.wrap(b"k" * 32, b""), b"") == b"k" * 32
