"""Whatever is changed beside the entries, past the guards of the database, is found by the audit."""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.cli import proof
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import Broken, Verified, verify
from interlock.service.auditing import audited
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.runtime import mini

TRIGGERS = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
Tamper = Callable[..., Verified]


@pytest.fixture
async def log(tmp_path: Path) -> Path:
    """Two conversations of one flow: `talk` waits with a deadline, `other` too."""
    path = tmp_path / "log.db"
    with closing(SqliteStore(path, origin="log")) as store:
        agent = ScriptedAgent(lambda _: gives(reply="Yes."))
        async with Runtime(store, mini(), agent, clock=ManualClock()) as runtime:
            for stream in ("talk", "other"):
                await runtime.start(conversation=stream, subject="somebody")
                await runtime.say(stream, "help")
        summary = store.summary("talk")
        assert summary
        assert summary.timers
        assert store.payloads("talk")
        assert audited(store).ok
    return path


@pytest.fixture
def tampered(log: Path) -> Tamper:
    """Change the file through a connection of one's own, with the triggers dropped and put back."""

    def change(statement: str, *values: Any, streams: list[str] | None = None) -> Verified:
        with closing(sqlite3.connect(log, isolation_level=None)) as connection:
            guards = connection.execute(TRIGGERS).fetchall()
            for name, _ in guards:
                connection.execute(f"DROP TRIGGER {name}")
            assert connection.execute(statement, values).rowcount >= 1
            for _, sql in guards:
                connection.execute(sql)
        with closing(SqliteStore(log)) as store:
            assert store.describe().missing_triggers == ()
            return audited(store, streams=streams)

    return change


def last(path: Path) -> int:
    with closing(SqliteStore(path)) as store:
        return store.head("talk").length - 1


COLUMNS = {
    "flow_name": "'evil'",
    "flow_version": "9",
    "flow_digest": "'evil'",
    "subject": "'evil'",
    "state": "'evil'",
    "status": "'ended'",
    "started_at": "'2020'",
    "updated_at": "'2020'",
    "undecided": "1",
    "tasks": "'[7]'",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_of_the_projection_is_compared(log: Path, tampered: Tamper, column: str) -> None:
    """Named at the last event of the stream: what the entries give is known without any program."""
    what = f"The projection is not what the entries give: {column}."
    report = tampered(f"UPDATE conversation SET {column} = {COLUMNS[column]} WHERE stream = 'talk'")
    found = [one for one in report.broken if what == one.what]
    if column != "subject":  # a payload is then of another subject as well, and that at an earlier event
        assert found == [Broken("talk", last(log), what)]
    assert [one.stream for one in report.broken] == ["talk"]


def test_who_performs_effects_is_free(tampered: Tamper) -> None:
    """The owner is no part of what the entries say."""
    assert tampered("UPDATE conversation SET owner = 'somebody else'").ok


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM timer WHERE stream = 'talk'",
        "UPDATE timer SET due = '2999-01-01T00:00:00.000000Z' WHERE stream = 'talk'",
        "UPDATE timer SET timer = 0 WHERE stream = 'talk'",
        "INSERT INTO timer VALUES ('talk', 99, '2020-01-01T00:00:00.000000Z')",
    ],
)
def test_deadlines_are_compared(log: Path, tampered: Tamper, statement: str) -> None:
    """A deadline that was taken away, moved or added would let a conversation wait for ever, or not at all."""
    what = "The projection is not what the entries give: timers."
    assert tampered(statement).broken == (Broken("talk", last(log), what),)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("subject = 'evil'", "is kept under another subject than the conversation's."),
        ("r = x'00'", "is marked as encrypted and in clear at once."),
    ],
)
def test_a_payload_says_whose_it_is(log: Path, tampered: Tamper, change: str, says: str) -> None:
    """Erasing a person goes by the payload's subject, so it may not be another's."""
    with closing(SqliteStore(log)) as store:
        at = min(store.payloads("talk"), key=lambda one: (one.version, one.name))
    report = tampered(f"UPDATE payload SET {change} WHERE stream = 'talk'")
    assert report.broken == (Broken("talk", at.version, f"The payload {at.name!r} {says}"),)


def test_a_flow_that_was_deleted_is_missed(tampered: Tamper) -> None:
    """Named at the first conversation on it, which begins with the digest."""
    broken = tampered("DELETE FROM flow").broken
    digest = mini().ref.digest[:12]
    assert broken == (
        Broken(
            "other",
            0,
            f"The flow {digest} is not in the log: this conversation can no longer be decided again, "
            "nor can 1 more on this flow.",
        ),
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ("body = x'7b7d'", "does not hash to its digest"),
        ("name = 'evil'", "says another name or version"),
        ("version = 9", "says another name or version"),
    ],
)
def test_a_flow_that_was_altered_is_found(tampered: Tamper, change: str, says: str) -> None:
    """Whether the whole log is verified or one conversation."""
    report = tampered(f"UPDATE flow SET {change}", streams=["talk"])
    assert [(one.stream, one.version) for one in report.broken] == [("talk", 0)]
    assert says in report.broken[0].what
    assert "can no longer be decided again" in report.broken[0].what


def test_what_belongs_to_no_conversation_is_named(tampered: Tamper) -> None:
    """A flow that nobody runs on, and rows of a stream that does not exist."""
    assert tampered("INSERT INTO flow VALUES ('d', 'refund', 1, x'7b7d', '')").beside == (
        "The flow d does not hash to its digest; no conversation that holds runs on it.",
    )
    tampered("INSERT INTO timer VALUES ('gone', 1, '2020')")
    report = tampered("INSERT INTO payload VALUES ('gone', 1, 'm', 'message', 's', x'00', x'00', NULL, NULL)")
    assert not report.ok
    assert report.broken == ()
    assert report.beside[1:] == (
        "There is a payload row of 'gone', which is no conversation of this log.",
        "There is a timer row of 'gone', which is no conversation of this log.",
    )


def test_a_flow_whose_body_is_no_object_is_found(tampered: Tamper) -> None:
    """Its hash fits, and it says no name: the columns cannot be right."""
    for body in (b"[]", b"{"):
        digest = hashlib.sha256(body).hexdigest()
        report = tampered("INSERT INTO flow VALUES (?, 'refund', 1, ?, '')", digest, body)
        assert any(f"The flow {digest[:12]} says another name or version" in what for what in report.beside)


def test_missing_triggers_are_reported(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit 1, in words and in JSON, though every conversation holds."""
    with closing(sqlite3.connect(log)) as connection:
        connection.execute("DROP TRIGGER event_refuses_delete")
    with closing(SqliteStore(log)) as store:
        report = audited(store)
        assert (report.ok, report.broken) == (False, ())
        assert report.beside == ("Somebody removed the triggers that refuse changes: event_refuses_delete.",)
        assert proof.verified_document("log", report)["beside"] == list(report.beside)
        assert verify(store).ok
    assert proof.verify(log, "", as_json=False) == 1
    assert "event_refuses_delete" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("event_refuses_delete", "BEFORE DELETE ON event BEGIN SELECT 1; END"),
        ("leaf_refuses_update", "BEFORE UPDATE ON leaf WHEN 0 BEGIN SELECT RAISE(ABORT, 'no'); END"),
        ("checkpoint_refuses_replace", "BEFORE INSERT ON flow BEGIN SELECT 1; END"),
    ],
)
def test_a_trigger_that_was_replaced_is_found(log: Path, name: str, instead: str) -> None:
    """Its name stands there, and what it does is another thing. Spaced otherwise it is the same."""
    with closing(sqlite3.connect(log)) as connection:
        (text,) = connection.execute("SELECT sql FROM sqlite_master WHERE name = ?", (name,)).fetchone()
        connection.execute(f"DROP TRIGGER {name}")
        connection.execute(" ".join(text.split()))
    with closing(SqliteStore(log)) as store:
        assert audited(store).ok
    with closing(sqlite3.connect(log)) as connection:
        connection.execute(f"DROP TRIGGER {name}")
        connection.execute(f"CREATE TRIGGER {name} {instead}")
        connection.execute("CREATE TRIGGER mine AFTER INSERT ON event BEGIN SELECT 1; END")
    with closing(SqliteStore(log)) as store:
        assert audited(store).beside == (
            f"Somebody replaced the triggers that refuse changes: {name}.",
            "Somebody put triggers on the log's tables that no release of Interlock makes: mine.",
        )
        about = store.describe()
        assert (about.missing_triggers, about.altered_triggers, about.foreign_triggers) == ((), (name,), ("mine",))


def test_the_earliest_position_of_a_stream_is_named(log: Path, tampered: Tamper) -> None:
    """A payload at the first message comes before a projection that is wrong at the end."""
    tampered("UPDATE conversation SET state = 'evil' WHERE stream = 'talk'")
    report = tampered("UPDATE payload SET subject = 'evil' WHERE stream = 'talk'")
    assert len(report.broken) == 1
    assert report.broken[0].version < last(log)


def test_the_tail_that_cannot_be_seen_is_said(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What no chain can show is said with every result, and what may show it."""
    copy = tmp_path / "copy.db"
    shutil.copy(log, copy)
    assert proof.verify(copy, "", as_json=False) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "or cut at its end, by somebody who may write the file" in said
    assert "replay" in said
