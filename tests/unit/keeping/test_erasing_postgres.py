"""Erasing, holding and retention on PostgreSQL: what is gone from the tables is gone from their files, too.

The server's own log of writes (`pg_wal`) is the horizon: what was written there stays until the server writes over it.
"""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.contracts.errors import CallError, StorageError
from interlock.contracts.keeping import ErasureDone, TextsPruned
from interlock.contracts.retention import RetentionPolicy, RetentionRule
from interlock.persistence.evidence.bundle import Selection, bundled
from interlock.persistence.evidence.policy import Policy
from interlock.persistence.keyfile import KeyFile
from interlock.persistence.postgres_store import PostgresStore
from interlock.service.auditing import audited
from interlock.service.clock import ManualClock
from interlock.service.erasing import Eraser
from interlock.service.holding import placed, released
from interlock.service.journal import Journal
from interlock.service.retention import Retention
from support.erasure import PROGRAM, canary, talked
from support.evidence import TestKey, checkpointer
from support.postgres import OneServer, database, server_of_one_test
from support.runtime import check_log

MANY = 12


def erase(store: Any, subject: str = "anna", by: str = "dpo") -> ErasureDone:
    eraser = Eraser(store)
    return eraser.finish(eraser.ask(subject, by=by, ground="request 7"))


def texts_of(store: Any, subject: str) -> set[str]:
    streams = [one.stream for one in store.summaries() if one.subject == subject]
    return {one.text for stream in streams for one in store.payloads(stream).values()}


@pytest.fixture(params=[True, False], ids=["in clear", "encrypted"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with database() as url:
        master = None if request.param else KeyFile(tmp_path / "log.key")
        with closing(PostgresStore(url, origin="log", master=master)) as store:
            await talked(store, "anna", range(MANY))
            await talked(store, "bert", range(100, 103))
            yield store


# -- as on SQLite ------------------------------------------------------------------------------------------------


async def test_nothing_of_the_person_is_left_in_the_tables(store: PostgresStore) -> None:
    """Texts and keys are gone; the other person's are as they were, and everything verifies and is decided the same."""
    others = texts_of(store, "bert")
    before = {stream: store.read(stream) for stream in store.streams()}
    done = erase(store)
    assert (done.conversations, done.payloads >= 3 * MANY) == (MANY, True)
    assert (texts_of(store, "anna"), texts_of(store, "bert")) == (set(), others)
    with psycopg.connect(store.url) as connection:
        assert connection.execute("SELECT count(*) FROM data_key WHERE subject = 'anna'").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM payload WHERE subject = 'anna'").fetchone() == (0,)
    for stream, entries in before.items():
        after = store.read(stream)
        assert after[: len(entries)] == entries
        assert [one.type for one in after[len(entries) :]] == (["erased"] if stream.startswith("anna") else [])
    assert audited(store).ok
    check_log(store, PROGRAM)
    eraser = Eraser(store)
    assert (eraser.finish_all(), eraser.finish(eraser.erasings()[0])) == ([], done)


async def test_two_people_and_holds(store: PostgresStore) -> None:
    """One approval is not two, and a hold stands above both."""
    eraser = Eraser(store)
    asked = eraser.ask("anna", by="carl", ground="request 7", approvals=2)
    with pytest.raises(CallError, match="1 of 2 people have approved this erasure"):
        eraser.finish(asked)
    held = placed(Journal(store), subject="anna", conversation=None, by="counsel", ground="case 4/26")
    with pytest.raises(CallError, match=f"Hold {held.number} .case 4/26. stands against erasing 'anna'"):
        eraser.approve("anna", by="dora")
    released(Journal(store), held.number, by="counsel", ground="closed")
    assert eraser.finish(eraser.approve("anna", by="dora")).conversations == MANY
    assert texts_of(store, "anna") == set()


async def test_retention_takes_what_is_overdue_and_not_what_is_held(tmp_path: Path) -> None:
    clock, policy = ManualClock(), RetentionPolicy(rules=(RetentionRule(days=183),))
    with database() as url, closing(PostgresStore(url, origin="log", master=KeyFile(tmp_path / "log.key"))) as store:
        await talked(store, "anna", range(2), clock=clock)
        await talked(store, "bert", [7], clock=clock)
        placed(Journal(store, clock), subject="bert", conversation=None, by="counsel", ground="case")
        clock.advance(timedelta(days=182).total_seconds())
        retention = Retention(store, policy, clock)
        assert retention.prune(by="dpo").places == ()
        clock.advance(timedelta(days=2).total_seconds())
        found = retention.prune(by="dpo", ground="policy 3")
        assert (found.conversations, found.held > 0) == (2, True)
        assert [one.act.payloads for one in retention.journal.acts() if isinstance(one.act, TextsPruned)] == [
            len(found.places)
        ]
        assert (texts_of(store, "anna"), texts_of(store, "bert") != set()) == (set(), True)
        assert audited(store).ok


class Died(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["erase", "scrub"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_at_any_step_is_finished_later(step: str, when: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another process, once."""
    with database() as url:
        with closing(PostgresStore(url, origin="log")) as store:
            await talked(store, "anna", range(3))
            eraser = Eraser(store)
            asked, real = eraser.ask("anna", by="dpo", ground="request 7"), getattr(store, step)

            def dying(*given: Any) -> None:
                if when == "after":
                    real(*given)
                raise Died

            monkeypatch.setattr(store, step, dying)
            with pytest.raises(Died):
                eraser.finish(asked)
        with closing(PostgresStore(url)) as store:
            assert [one.conversations for one in Eraser(store).finish_all()] == [3]
            assert (texts_of(store, "anna"), audited(store).ok) == (set(), True)
            assert [entry.type for s in store.streams() for entry in store.read(s)].count("erased") == 3


# -- what is in the files ----------------------------------------------------------------------------------------


def held_by(folder: Path, needles: list[bytes]) -> dict[str, list[bytes]]:
    """Which files of the server hold which of these: `wal` is its log of writes, `files` all the rest."""
    found: dict[str, list[bytes]] = {"wal": [], "files": []}
    for file in sorted(one for one in folder.rglob("*") if one.is_file()):
        data, kind = file.read_bytes(), "wal" if "pg_wal" in file.parts else "files"
        found[kind] += [one for one in needles if one in data]
    return found


def canaries(numbers: range) -> list[bytes]:
    return [canary(number).encode() for number in numbers]


@contextmanager
def a_log(*, master: KeyFile | None = None) -> Iterator[tuple[OneServer, PostgresStore]]:
    with server_of_one_test() as server, closing(PostgresStore(server.url, origin="log", master=master)) as store:
        yield server, store


def flushed(server: OneServer) -> None:
    """What the server has in memory stands in its files; statistics are gathered, as it does by itself."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ANALYZE")
        connection.execute("CHECKPOINT")


async def leaks(people: int, capfd: Any) -> dict[str, list[bytes]]:
    """Where canaries of erased people stand; texts lie in clear, so that every trace would show."""
    with a_log() as (server, store):
        await talked(store, "bert", [9_999])
        await talked(store, "anna", range(people))
        flushed(server)
        assert len({*held_by(server.folder, canaries(range(people)))["files"]}) == people
        erase(store)
        flushed(server)
        found = held_by(server.folder, canaries(range(people)))
        assert held_by(server.folder, [canary(9_999).encode()])["files"]
        assert audited(store).ok
        checkpointer(store.tree(), signer=TestKey("log")).checkpoint()
        files: dict[str, bytes] = {}
        with store.tree().sequencing():
            policy = Policy((TestKey("log").verifier(),))
            bundled(store, store.tree(), [TestKey("log")], policy, Selection(), files.__setitem__)
        printed = capfd.readouterr()
        said = b"".join(files.values()) + (printed.out + printed.err).encode()
        found["bundle and output"] = [one for one in canaries(range(people)) if one in said]
        return found


async def test_fifty_canaries_are_found_in_no_file_of_the_tables(capfd: Any) -> None:
    """Nor in indexes, free space, statistics, the server's messages, a bundle made afterwards, or what was printed.
    The server's log of writes has them still: that is the horizon."""
    found = await leaks(50, capfd)
    assert (found["files"], found["bundle and output"]) == ([], [])
    assert found["wal"]


@pytest.mark.full
async def test_a_thousand_canaries_are_found_in_no_file_of_the_tables(capfd: Any) -> None:
    """The same with 1,000: the target of the fault list."""
    found = await leaks(1_000, capfd)
    assert (found["files"], found["bundle and output"]) == ([], [])


async def test_what_was_encrypted_is_gone_from_the_files_too(tmp_path: Path) -> None:
    """Ciphertexts, nonces and wrapped keys; and no canary was ever in any file, the log of writes included."""
    with a_log(master=KeyFile(tmp_path / "log.key")) as (server, store):
        await talked(store, "anna", range(3))
        flushed(server)
        with psycopg.connect(server.url) as connection:
            before = [
                bytes(one)
                for query in (
                    "SELECT body FROM payload WHERE subject = 'anna'",
                    "SELECT nonce FROM payload WHERE subject = 'anna'",
                    "SELECT wrapped FROM data_key WHERE subject = 'anna'",
                )
                for (one,) in connection.execute(query.encode())
            ]
        assert len(before) > 10
        assert {*held_by(server.folder, before)["files"]} == {*before}
        erase(store)
        flushed(server)
        found = held_by(server.folder, before)
        assert (found["files"], bool(found["wal"])) == ([], True)
        assert held_by(server.folder, canaries(range(3))) == {"wal": [], "files": []}


async def test_control_deleted_rows_alone_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without rewriting the tables, the texts stand in their files."""
    with a_log() as (server, store):
        monkeypatch.setattr(store, "scrub", lambda: None)
        await talked(store, "anna", range(MANY))
        erase(store)
        flushed(server)
        assert texts_of(store, "anna") == set()
        assert held_by(server.folder, canaries(range(MANY)))["files"]


async def test_an_old_transaction_keeps_the_texts_and_is_named() -> None:
    """Who began to read before the deletion still sees the rows, so they cannot go: said, and done when it is over."""
    with a_log() as (server, store):
        await talked(store, "anna", range(3))
        eraser = Eraser(store)
        asked = eraser.ask("anna", by="dpo", ground="request 7")
        with psycopg.connect(server.url) as reader:
            reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
            reader.execute("SELECT count(*) FROM flow")
            with pytest.raises(StorageError) as refused:
                eraser.finish(asked)
            assert refused.value.what == "A transaction that began before the deletion still sees what was deleted."
            assert "End it, and ask again" in refused.value.fix
            assert [one.done for one in eraser.erasings()] == [None]
        assert eraser.finish_all()
        flushed(server)
        assert held_by(server.folder, canaries(range(3)))["files"] == []


async def test_the_eraser_rewrites_what_it_does_not_own(tmp_path: Path) -> None:
    """A member of the role deletes and scrubs on its own connection; the app may not scrub."""
    with a_log() as (server, store):
        await talked(store, "anna", range(3))
        as_app, may_not = PostgresStore(f"{server.url}&options=-crole%3Dinterlock_app"), "user may not do this"
        with closing(as_app) as app, pytest.raises(StorageError, match=may_not):
            app.scrub()
        with closing(PostgresStore(f"{server.url}&options=-crole%3Dinterlock_eraser")) as eraser:
            places = [(stream, at) for stream in store.streams() for at in store.payloads(stream)]
            assert eraser.prune(places) == len(places)
            eraser.scrub()
        flushed(server)
        assert held_by(server.folder, canaries(range(3)))["files"] == []


async def test_who_may_not_erase_records_no_request(store: PostgresStore) -> None:
    """Where it would be done at once, or by the last approval, the right is looked at first, and its role named."""
    with psycopg.connect(store.url, autocommit=True) as owner:
        name = "clerk_" + owner.execute("SELECT current_database()").fetchone()[0]  # type: ignore[index]
        owner.execute(f"CREATE ROLE {name} IN ROLE interlock_app, interlock_sequencer")
    try:
        sign = "&" if "?" in store.url else "?"
        url = f"{store.url}{sign}options=-crole%3D{name}"
        with closing(PostgresStore(url, master=store.master)) as clerk:
            assert (store.may_erase(), clerk.may_erase()) == (True, False)
            with pytest.raises(StorageError, match="The database's user may not erase") as caught:
                Eraser(clerk).ask("anna", by="dpo", ground="request 7")
            assert "Run as a member of `interlock_eraser`" in caught.value.fix
            assert Eraser(store).erasings() == []
            assert Eraser(clerk).ask("anna", by="dpo", ground="request 7", approvals=2).approved == ("dpo",)
            with pytest.raises(StorageError, match="The database's user may not erase"):
                Eraser(clerk).approve("anna", by="bert")
        (waiting,) = Eraser(store).erasings()
        assert waiting.approved == ("dpo",)
        assert Eraser(store).finish(Eraser(store).approve("anna", by="bert")).payloads
    finally:
        with psycopg.connect(store.url, autocommit=True) as owner:
            owner.execute(f"DROP ROLE {name}")
