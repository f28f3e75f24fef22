"""Erasing a person: what they wrote and its keys are nowhere afterwards; what was decided stays, and stays provable."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.contracts.errors import CallError, LogBroken
from interlock.contracts.keeping import ErasureDone, ErasureRefused
from interlock.persistence import settings, sqlite_file
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.auditing import audited
from interlock.service.erasing import Eraser
from interlock.service.holding import placed, released
from interlock.service.journal import Journal
from interlock.service.runtime import Runtime
from support.erasure import PROGRAM, canary, echoing, found_in, talked
from support.figures import record
from support.runtime import check_log

MANY = 12


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "log.db"


@pytest.fixture(params=[True, False], ids=["in clear", "encrypted"])
async def store(request: pytest.FixtureRequest, path: Path) -> Any:
    path.parent.mkdir()
    with closing(SqliteStore(path, origin="log", in_clear=request.param)) as store:
        await talked(store, "anna", range(MANY))
        await talked(store, "bert", range(100, 103))
        yield store


def erase(store: Any, subject: str = "anna", by: str = "dpo") -> ErasureDone:
    eraser = Eraser(store)
    return eraser.finish(eraser.ask(subject, by=by, ground="request 7"))


def held_in(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.iterdir()) if file.is_file())


def streams_of(store: Any, subject: str) -> list[str]:
    return [one.stream for one in store.summaries() if one.subject == subject]


def texts_of(store: Any, subject: str) -> set[str]:
    return {one.text for stream in streams_of(store, subject) for one in store.payloads(stream).values()}


async def test_nothing_of_the_person_is_left(store: SqliteStore, path: Path) -> None:
    """Not one canary in any file of the database; the other person's texts are as they were."""
    others = texts_of(store, "bert")
    assert any(canary(0) in one for one in texts_of(store, "anna"))
    done = erase(store)
    assert (done.conversations, done.payloads >= 3 * MANY) == (MANY, True)
    assert texts_of(store, "anna") == set()
    assert texts_of(store, "bert") == others
    assert found_in(path.parent, range(MANY)) == []
    store.close()
    assert found_in(path.parent, range(MANY)) == []
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM data_key WHERE subject = 'anna'").fetchone() == (0,)


async def test_what_was_encrypted_is_gone_too(path: Path) -> None:
    """The ciphertexts, nonces and wrapped keys that stood in the file before stand nowhere in it now."""
    path.parent.mkdir()
    with closing(SqliteStore(path)) as store:
        await talked(store, "anna", range(3))
        with closing(sqlite3.connect(path)) as connection:
            before = [
                *connection.execute("SELECT body FROM payload WHERE subject = 'anna'"),
                *connection.execute("SELECT nonce FROM payload WHERE subject = 'anna'"),
                *connection.execute("SELECT wrapped FROM data_key WHERE subject = 'anna'"),
            ]
        assert len(before) > 10
        assert [one for (one,) in before if one not in held_in(path.parent)] == []
        erase(store)
        assert [one for (one,) in before if one in held_in(path.parent)] == []


async def test_control_without_overwriting_something_is_found(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deleted rows alone, without VACUUM, checkpoint and `secure_delete`, leave the texts in the files."""
    path.parent.mkdir()
    pragmas = tuple((name, "OFF" if name == "secure_delete" else value) for name, value in settings.PRAGMAS)
    monkeypatch.setattr(sqlite_file, "PRAGMAS", pragmas)
    with closing(SqliteStore(path, in_clear=True)) as store:
        monkeypatch.setattr(store, "scrub", lambda: None)
        await talked(store, "anna", range(MANY))
        erase(store)
        assert texts_of(store, "anna") == set()
        assert found_in(path.parent, range(MANY)) != []


async def test_the_chain_the_leaves_and_every_route_stay(store: SqliteStore) -> None:
    """Each conversation gets one entry more; all before it are as they were, and all of it is decided the same."""
    before = {stream: store.read(stream) for stream in store.streams()}
    erase(store)
    for stream, entries in before.items():
        after = store.read(stream)
        assert after[: len(entries)] == entries
        assert [one.type for one in after[len(entries) :]] == (["erased"] if stream.startswith("anna") else [])
    report = audited(store)
    assert (report.ok, report.erased >= 3 * MANY) == (True, True)
    check_log(store, PROGRAM)


async def test_old_proofs_still_hold(store: SqliteStore) -> None:
    """The tree's root over what was there before is the same after."""
    tree = store.tree()
    while tree.sequence():
        pass
    size = tree.size()
    leaves = [leaf.hash for leaf, _ in tree.leaves(0, size)]
    erase(store)
    while tree.sequence():
        pass
    assert [leaf.hash for leaf, _ in tree.leaves(0, size)] == leaves
    assert tree.size() > size


async def test_an_open_conversation_goes_on(store: SqliteStore, path: Path) -> None:
    """Its person can write again: under a new key, and the old texts read as erased."""
    erase(store)
    async with Runtime(store, PROGRAM, echoing()) as runtime:
        await runtime.start(conversation="again", subject="anna")
        await runtime.say("again", "help, once more")
    assert any("once more" in one for one in texts_of(store, "anna"))
    assert audited(store).ok


async def test_a_runtime_that_knows_the_texts_forgets_them(path: Path) -> None:
    """What is in memory of a running server goes with the next look at the log."""
    path.parent.mkdir()
    with closing(SqliteStore(path)) as store, closing(SqliteStore(path)) as other:
        async with Runtime(store, PROGRAM, echoing()) as runtime:
            await runtime.start(conversation="talk", subject="anna")
            await runtime.say("talk", f"help {canary(1)}")
            assert any(canary(1) in text for text in runtime.texts._cache.values())
            erase(other)
            await runtime.forget_erased()
            assert not any(canary(1) in text for text in runtime.texts._cache.values())
            outcome = await runtime.say("talk", "help")
            assert outcome.standing == "waiting"
        assert audited(store).ok


# -- asking, approving, refusing ----------------------------------------------------------------------


async def test_it_happens_once(store: SqliteStore) -> None:
    """Asked again, it finds what there is then: here nothing but the conversations; nothing is recorded twice."""
    first = erase(store)
    eraser = Eraser(store)
    asked = [one for one in eraser.erasings() if one.done is not None]
    assert eraser.finish(asked[0]) == first
    heads = {stream: store.head(stream) for stream in store.streams()}
    assert eraser.finish_all() == []
    assert {stream: store.head(stream) for stream in store.streams()} == heads


async def test_two_different_people_where_two_are_asked(store: SqliteStore) -> None:
    """Nothing goes before; the same person with other capitals is the same person, and that is on the record."""
    eraser = Eraser(store)
    asked = eraser.ask("anna", by="carl", ground="request 7", approvals=2)
    with pytest.raises(CallError, match="1 of 2 people have approved this erasure"):
        eraser.finish(asked)
    assert eraser.finish_all() == []
    with pytest.raises(CallError, match="Carl has approved this erasure already; it needs 2 different people"):
        eraser.approve("anna", by="Carl")
    assert texts_of(store, "anna")
    refused = [one.act for one in eraser.journal.acts() if isinstance(one.act, ErasureRefused)]
    assert [(one.by, one.reason) for one in refused] == [("Carl", "same_person")]
    approved = eraser.approve("anna", by="dora")
    assert eraser.finish(approved).conversations == MANY
    assert texts_of(store, "anna") == set()
    with pytest.raises(CallError, match="No erasure of 'anna' waits for an approval"):
        eraser.approve("anna", by="emil")


@pytest.mark.parametrize("of", [{"subject": "anna", "conversation": None}, {"subject": None, "conversation": "anna-3"}])
async def test_a_hold_stands_against_it(store: SqliteStore, of: dict[str, str | None]) -> None:
    """Of the person or of one of their conversations: nothing goes, the attempt is recorded; released, it goes."""
    journal = Journal(store)
    held = placed(journal, **of, by="counsel", ground="case 4/26")
    with pytest.raises(CallError) as refused:
        erase(store)
    assert refused.value.what == (
        f"Hold {held.number} (case 4/26) stands against erasing 'anna': its texts are restricted, not erased."
    )
    assert any(isinstance(one.act, ErasureRefused) and one.act.hold == held.number for one in journal.acts())
    assert texts_of(store, "anna")
    assert erase(store, "bert").conversations == 3
    released(journal, held.number, by="counsel", ground="case closed")
    with pytest.raises(CallError, match=f"No hold {held.number} stands"):
        released(journal, held.number, by="counsel", ground="again")
    assert erase(store).conversations == MANY


async def test_a_hold_placed_between_asking_and_approving_stands(store: SqliteStore) -> None:
    """It is looked at when the texts would go, not when they were asked for."""
    eraser = Eraser(store)
    asked = eraser.ask("anna", by="carl", ground="request 7", approvals=1)
    placed(eraser.journal, subject="anna", conversation=None, by="counsel", ground="case 4/26")
    with pytest.raises(CallError, match="stands against erasing"):
        eraser.finish(asked)
    assert texts_of(store, "anna")


@pytest.mark.parametrize(
    "change",
    [
        "DELETE FROM event WHERE stream = 'anna-3' AND version = 7",
        "DELETE FROM event WHERE stream = 'anna-3' AND version = (SELECT max(version) FROM event)",
        "UPDATE conversation SET length = length + 2 WHERE stream = 'anna-3'",
    ],
    ids=["an entry", "the last entry", "the length"],
)
async def test_a_broken_conversation_is_named_and_nothing_goes(store: SqliteStore, path: Path, change: str) -> None:
    """Its new entry would stand where the missing one stood, under a projection that fits again."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        assert connection.execute(change).rowcount == 1
    texts = texts_of(store, "anna")
    with pytest.raises(LogBroken) as refused:
        erase(store)
    broken = audited(store, streams=streams_of(store, "anna")).first
    assert broken is not None
    assert refused.value.what == f"A conversation of 'anna' is broken, and to erase would hide how: {broken.what}"
    assert (refused.value.stream, refused.value.version) == ("anna-3", broken.version)
    assert refused.value.fix == ("Nothing was deleted. Keep the file as evidence, and erase in a backup that verifies.")
    assert texts_of(store, "anna") == texts
    assert audited(store, streams=["anna-3"]).first == broken


async def test_nobody_of_that_name(store: SqliteStore) -> None:
    """A pseudonym that no conversation has is said to be none."""
    with pytest.raises(CallError, match="There is no subject 'carla' in this log"):
        Eraser(store).ask("carla", by="dpo", ground="x")
    with pytest.raises(CallError, match="There is no subject 'carla' in this log"):
        placed(Journal(store), subject="carla", conversation=None, by="dpo", ground="x")


async def test_in_memory_it_is_the_same() -> None:
    """The store in memory erases as the one on a disk."""
    store = MemoryStore(origin="log")
    await talked(store, "anna", range(2))
    await talked(store, "bert", range(2))
    assert erase(store).conversations == 2
    assert texts_of(store, "anna") == set()
    assert texts_of(store, "bert")
    assert audited(store).ok


# -- at length ------------------------------------------------------------------------------------------


async def leaks(folder: Path, people: int, capfd: Any) -> list[str]:
    """Where canaries of erased people stand: database, its side files, what was printed, an export of the log."""
    folder.mkdir()  # noqa: ASYNC240 - nothing else runs
    with closing(SqliteStore(folder / "log.db", in_clear=True)) as store:
        await talked(store, "bert", [9_999])
        root = {stream: store.read(stream) for stream in store.streams()}
        await talked(store, "anna", range(people))
        assert len(found_in(folder, range(people))) >= people
        erase(store)
        assert {stream: store.read(stream) for stream in root} == root
        assert audited(store).ok
        check_log(store, PROGRAM)
        with closing(sqlite3.connect(folder / "log.db")) as connection:
            (folder / "export.sql").write_text("\n".join(connection.iterdump()))
    printed = capfd.readouterr()
    (folder / "printed.txt").write_text(printed.out + printed.err)
    assert found_in(folder, [9_999])
    record("F15", "before the erasure", tried=people, wrong=people, control=True)
    return found_in(folder, range(people))


async def test_a_hundred_canaries_are_found_nowhere(tmp_path: Path, capfd: Any) -> None:
    """In the database, its write-ahead log, free pages, a dump, and what was printed: 0 of 100."""
    assert await leaks(tmp_path / "log", 100, capfd) == []
    record("F15", "canaries of erased people, looked for everywhere", tried=100, wrong=0)


@pytest.mark.full
async def test_a_thousand_canaries_are_found_nowhere(tmp_path: Path, capfd: Any) -> None:
    """The same with 1,000: the target of the fault list."""
    assert await leaks(tmp_path / "log", 1_000, capfd) == []
    record("F15", "canaries of erased people, looked for everywhere", tried=1_000, wrong=0)


# -- a crash at any step ------------------------------------------------------------------------------


class Died(BaseException):
    """The process ends here."""


STEPS = ("note", "erase", "erased", "scrub", "scrubbed", "done")


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_at_any_step_is_finished_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Whichever step it dies before or after: another process finishes it, once."""
    folder = tmp_path / "log"
    folder.mkdir()
    path = folder / "log.db"
    with closing(SqliteStore(path, in_clear=True)) as store:
        await talked(store, "anna", range(3))
        eraser = Eraser(store)
        asked = eraser.ask("anna", by="dpo", ground="request 7")
        dying(monkeypatch, store, eraser, step)
        with pytest.raises(Died):
            eraser.finish(asked)
    monkeypatch.undo()
    with closing(SqliteStore(path, in_clear=True)) as store:
        again = Eraser(store)
        done = again.finish_all()
        assert [one.conversations for one in done] == ([] if step == "done" else [3])
        assert [one.done is not None for one in again.erasings()] == [True]
        assert texts_of(store, "anna") == set()
        assert [entry.type for s in store.streams() for entry in store.read(s)].count("erased") == 3
        assert audited(store).ok
    assert found_in(folder, range(3)) == []


def dying(monkeypatch: pytest.MonkeyPatch, store: SqliteStore, eraser: Eraser, step: str) -> None:
    def before(*_: Any) -> Any:
        raise Died

    def after(act: Any) -> Any:
        def acted(*given: Any) -> Any:
            act(*given)
            raise Died

        return acted

    match step:
        case "note":
            monkeypatch.setattr(Eraser, "_delete", before)
        case "erase":
            monkeypatch.setattr(store, "erase", before)
        case "erased":
            monkeypatch.setattr(store, "erase", after(store.erase))
        case "scrub":
            monkeypatch.setattr(store, "scrub", before)
        case "scrubbed":
            monkeypatch.setattr(store, "scrub", after(store.scrub))
        case _:
            monkeypatch.setattr(eraser.journal, "note", after(eraser.journal.note))


@pytest.fixture
def copied(tmp_path: Path) -> Any:
    return lambda path: shutil.copytree(path.parent, tmp_path / "copy")


async def test_with_its_key_a_backup_still_opens_and_without_it_does_not(path: Path, copied: Any) -> None:
    """What a backup from before holds is unreadable once the wrapped key is gone from it: the second belt."""
    path.parent.mkdir()
    with closing(SqliteStore(path)) as store:
        await talked(store, "anna", range(2))
    copied(path)
    backup = path.parent.parent / "copy" / "log.db"
    with closing(SqliteStore(backup)) as store:
        assert any(canary(0) in one for one in texts_of(store, "anna"))
    with closing(sqlite3.connect(backup, isolation_level=None)) as connection:
        connection.execute("DELETE FROM data_key")
    assert found_in(backup.parent, range(2)) == []
