"""`interlock doctor` on a log's evidence and its clock: each finding, with its words."""

import json
import shutil
import socket
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from interlock.cli.examine_clock import _SINCE_1900
from interlock.cli.terminal import span
from interlock.persistence.sqlite_store import SqliteStore
from support.postgres import database
from support.tampering import as_administrator

Found = dict[str, dict[str, Any]]


@pytest.fixture
def look(run: Any, log: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Found]:
    """The doctor's findings on the log, by name; of several, the last."""
    for name in ("INTERLOCK_SIGNING_KEY", "INTERLOCK_POLICY", "INTERLOCK_ANCHORS", "INTERLOCK_NTP"):
        monkeypatch.delenv(name, raising=False)

    def findings(*words: object, db: Path = log) -> Found:
        ran = run("doctor", "--db", db, "--json", *words)
        found = {one["name"]: one for one in ran.json["findings"]}
        assert ran.code == any(one["result"] == "fail" for one in ran.json["findings"])
        return found

    return findings


@pytest.fixture
def signed(run: Any, log: Path, look: Any) -> Path:
    run("key", "new", "--db", log)
    run("checkpoint", "--db", log)
    return log


def result(found: Found, name: str) -> tuple[str, str]:
    return found[name]["result"], found[name]["says"]


def test_a_log_in_order_has_nothing_to_say(run: Any, signed: Path, look: Any, tmp_path: Path) -> None:
    """The control of all that follows."""
    run("checkpoint", "--db", signed, "--anchor", tmp_path / "bucket")
    found = look()
    assert result(found, "leaves") == (
        "ok",
        "those of 14 conversations are those of the entries; 478 leaves, 0 wait",
    )
    assert result(found, "signing") == ("ok", f"the key for Ed25519 in {signed}.signing-key, for its owner alone")
    assert found["checkpoint"]["result"] == "ok"
    assert found["checkpoint"]["says"].startswith("the last signs 478 leaves, ")
    assert found["checkpoint"]["says"].endswith(" ago; 0 more wait")
    assert result(found, "anchor") == ("ok", f"the last checkpoint is anchored at {tmp_path / 'bucket'}")
    assert result(found, "witnesses") == ("ok", f"none: there is no policy ({signed}.policy)")
    assert result(found, "writable") == ("ok", "an entry can be written")
    assert result(look("--full"), "leaves")[1].startswith("those of every conversation are those of")


@pytest.mark.parametrize("full", [True, False])
def test_a_leaf_that_is_not_its_entrys_is_found(signed: Path, look: Any, full: bool) -> None:
    with as_administrator(signed) as connection:
        wanted = "SELECT stream, version FROM leaf WHERE stream <> '' AND version = 2 ORDER BY position LIMIT 1"
        stream, version = connection.execute(wanted).fetchone()
        connection.execute("UPDATE leaf SET hash = zeroblob(32) WHERE stream = ? AND version = ?", (stream, version))
    found = look(*(["--full"] if full else []))
    assert result(found, "leaves") == ("fail", f"the tree has another leaf than the entry: {stream} event {version}")
    assert "interlock verify" in found["leaves"]["fix"]
    with as_administrator(signed) as connection:
        connection.execute("UPDATE leaf SET hash = zeroblob(32) WHERE stream = ? AND version > 2", (stream,))
    assert ", and " in look()["leaves"]["says"]


def test_the_key_that_cannot_sign_is_found(run: Any, signed: Path, look: Any, tmp_path: Path) -> None:
    """Open to others; missing; of another log; changed for another; one that never signed here; no key at all."""
    key, kept = Path(f"{signed}.signing-key"), tmp_path / "kept"
    key.chmod(0o644)
    assert result(look(), "signing") == ("fail", f"{key}: Others may read the signing key: its mode is 0644.")
    assert "chmod 600" in look()["signing"]["fix"]
    key.chmod(0o600)
    key.rename(kept)
    assert result(look(), "signing") == ("warn", f"signed once, and its key is not here ({key})")
    assert look()["signing"]["fix"].startswith("Give the key's file in INTERLOCK_SIGNING_KEY")
    run("demo", "--db", tmp_path / "other.db")
    run("key", "new", "--db", tmp_path / "other.db", "--key", key)
    assert "The signing key is of " in look()["signing"]["says"]
    key.write_text("nonsense")
    assert result(look(), "signing") == ("fail", f"{key}: The file holds no signing key.")
    key.unlink()
    kept.rename(key)
    run("key", "rotate", "--to", tmp_path / "new", "--db", signed)
    new = tmp_path / "new"
    assert result(look(), "signing") == ("fail", f"{key}: This key was changed for another, {new}, and signs no more.")
    assert look()["signing"]["fix"].startswith(f"Set INTERLOCK_SIGNING_KEY={new} where the log is written")


def test_a_key_that_is_not_the_one_that_signed_is_found(
    run: Any, signed: Path, look: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for beside in signed.parent.glob(f"{signed.name}.signing-key*"):
        beside.unlink()
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(signed)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.copy(signed, copy)
    with as_administrator(copy) as connection:
        connection.execute("DELETE FROM checkpoint")
    assert run("key", "new", "--db", copy, "--key", f"{signed}.signing-key").code == 0
    assert "was signed with another key." in look()["signing"]["says"]


def test_an_old_checkpoint_is_said(signed: Path, look: Any, run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries came since, and nobody signed; with none since, its age is no fault."""
    Path(f"{signed}.signing-key").rename(signed.with_name("away"))
    Path(f"{signed}.signing-key.head").unlink()
    run("chat", "bank", "--db", signed, stdin="hello\n")
    fresh = look()["checkpoint"]
    assert (fresh["result"], " more wait" in fresh["says"]) == ("ok", True)
    monkeypatch.setattr("interlock.cli.examine_signing.LATE", timedelta())
    late = look()["checkpoint"]
    assert (late["result"], "interlock checkpoint" in late["fix"]) == ("warn", True)


def test_a_checkpoint_past_the_end_of_the_tree_is_found(signed: Path, look: Any) -> None:
    Path(f"{signed}.signing-key.head").unlink()
    with as_administrator(signed) as connection:
        connection.execute("DELETE FROM leaf WHERE position > 400")
    assert result(look(), "checkpoint") == ("fail", "the last signs 478 leaves, and the tree has 401")


def test_what_is_anchored_is_said(
    run: Any, signed: Path, look: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nowhere; not the last; a folder that is away, empty, in step, or ahead of this log."""
    assert result(look(), "anchor") == ("warn", "anchored nowhere")
    bucket = tmp_path / "bucket"
    run("checkpoint", "--db", signed, "--anchor", bucket)
    run("chat", "bank", "--db", signed, stdin="hello\n")
    assert look()["anchor"]["says"].startswith("the last anchored has 478 leaves, the last signed ")
    monkeypatch.setenv("INTERLOCK_ANCHORS", str(bucket))

    def folder() -> tuple[str, str]:
        listed = run("doctor", "--db", signed, "--json").json["findings"]
        return next((one["result"], one["says"]) for one in listed if one["name"] == "anchor")

    assert folder() == ("ok", f"{bucket} has 1 checkpoint, the newest of 478 leaves")
    (copy,) = bucket.rglob("*.checkpoint")
    text = copy.read_text()
    copy.write_text(text.replace("\n478\n", "\n477\n"))
    assert folder() == ("fail", f"{bucket} has a checkpoint of 477 leaves that this log does not extend")
    copy.unlink()
    assert folder() == ("warn", f"no checkpoint is in {bucket}")
    shutil.rmtree(bucket)
    assert folder() == ("fail", f"the folder {bucket} is not there")


def test_the_policy_and_its_quorum_are_said(
    run: Any, signed: Path, look: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is missing, that cannot be read, that asks nobody, and whose witnesses have not signed."""
    policy, key = Path(f"{signed}.policy"), run("witness", "key", "w.example", "--key", tmp_path / "w").out.strip()
    policy.write_text("nonsense\n")
    assert result(look(), "witnesses")[0] == "fail"
    assert "The policy cannot be read" in look()["witnesses"]["says"]
    policy.write_text(f"witness W {key}\nquorum none\n")
    assert result(look(), "witnesses") == ("warn", f"{policy}: 1 witness, quorum none; without an address: W")
    policy.write_text(f"witness W {key} http://127.0.0.1:9\nquorum W\n")
    said = f"{policy}: 1 witness, quorum W; the last checkpoint has 0 of 1: not enough"
    assert result(look(), "witnesses") == ("warn", said)
    monkeypatch.setenv("INTERLOCK_POLICY", str(tmp_path / "away"))
    assert result(look(), "witnesses") == ("fail", f"INTERLOCK_POLICY names {tmp_path / 'away'}, which is not there")


def test_a_quorum_that_has_signed_is_enough(run: Any, signed: Path, look: Any, tmp_path: Path) -> None:
    from interlock.persistence.evidence.keys import SigningKey, cosigned
    from interlock.persistence.evidence.notes import note_of

    key = run("witness", "key", "w.example", "--key", tmp_path / "w").out.strip()
    Path(f"{signed}.policy").write_text(f"witness W {key}\nquorum W\n")
    with closing(SqliteStore(signed)) as store:
        size, note = store.tree().checkpoints()[-1]
        store.tree().add_cosignature(size, str(cosigned(note_of(note).text, SigningKey(tmp_path / "w"), 1_790_000_000)))
    assert look()["witnesses"]["says"].endswith("the last checkpoint has 1 of 1: enough")


def test_a_log_that_cannot_be_written_is_found(log: Path, look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By trying: what only looks writable is not."""

    def refused(self: Any) -> None:
        with closing(sqlite3.connect(self._where)) as connection:
            connection.execute("PRAGMA query_only = 1")
            try:
                connection.execute("DELETE FROM flow")
            except sqlite3.Error as error:
                raise self._failures.translated(error, self._where) from error

    monkeypatch.setattr(SqliteStore, "try_writing", refused)
    found = look()["writable"]
    assert found["result"] == "fail"
    assert found["says"].startswith("the log cannot be written, so that every turn is refused: ")


def test_trying_to_write_leaves_nothing(log: Path) -> None:
    with closing(SqliteStore(log)) as store:
        before = [row.digest for row in store.flows()]
        store.try_writing()
        assert [row.digest for row in store.flows()] == before


def test_on_postgres_a_log_is_tried_and_its_clock_compared(run: Any, tmp_path: Path) -> None:
    """A database that takes no writes is found; the server's clock is this machine's here."""
    import psycopg

    with database() as url:
        place = tmp_path / "log.url"
        place.touch(mode=0o600)
        place.write_text(f"{url}\n")
        run("demo", "--db", place)
        listed = run("doctor", "--db", place, "--json").json["findings"]
        says = [one["says"] for one in listed if one["name"] == "clock"]
        assert says[-1].startswith("the database server's clock agrees to ")
        assert next(one for one in listed if one["name"] == "writable")["result"] == "ok"
        with psycopg.connect(url, autocommit=True) as owner:
            name = owner.execute("SELECT current_database()").fetchone()
            assert name is not None
            owner.execute(f'ALTER DATABASE "{name[0]}" SET default_transaction_read_only = on')
        listed = run("doctor", "--db", place, "--json").json["findings"]
        found = next(one for one in listed if one["name"] in ("writable", "log") and one["result"] == "fail")
        assert "read-only" in found["says"]


@pytest.mark.parametrize(("off", "result"), [(0.0, "ok"), (30.0, "warn"), (-7.0, "warn")])
def test_the_clock_is_compared_with_the_database_servers(
    look: Any, monkeypatch: pytest.MonkeyPatch, off: float, result: str
) -> None:
    from datetime import UTC, datetime

    monkeypatch.setattr(SqliteStore, "server_time", lambda _: datetime.now(UTC) + timedelta(seconds=off))
    found = look()["clock"]
    assert found["result"] == result
    if off:
        words = "30 s before" if off > 0 else "7.0 s behind"
        assert found["says"] == f"the database server's clock is {words} this machine's"
        assert found["fix"] == "Set the clock (NTP): deadlines depend on it."


@contextmanager
def time_server(off: float, answers: Callable[[bytes], bytes] = lambda data: data) -> Iterator[str]:
    """A time server whose clock is `off` seconds before ours."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.settimeout(20)

    def answer() -> None:
        data, asker = server.recvfrom(512)
        now = time.time() + off
        stamp = struct.pack(">II", (int(now) + _SINCE_1900) & 0xFFFFFFFF, int(now % 1 * (1 << 32)))
        reply = b"\x24\x02" + bytes(22) + data[40:48] + stamp + stamp
        server.sendto(answers(reply), asker)

    thread = Thread(target=answer)
    thread.start()
    try:
        yield f"127.0.0.1:{server.getsockname()[1]}"
        thread.join()
    finally:
        server.close()


@pytest.mark.parametrize(
    ("off", "result", "says"),
    [(0.0, "ok", " clock agrees to "), (90.0, "warn", "90 s before"), (-5.0, "warn", "5.0 s behind")],
)
def test_the_clock_is_compared_with_a_time_server_that_is_named(look: Any, off: float, result: str, says: str) -> None:
    """None is asked unless one is named: then by how much ours is off."""
    with time_server(off) as place:
        found = look("--ntp", place)["clock"]
    assert (found["result"], says in found["says"]) == (result, True), found
    assert place in found["says"]


@pytest.mark.parametrize(
    "broken",
    [lambda data: data[:30], lambda data: b"\x24\x00" + data[2:], lambda data: data[:24] + bytes(8) + data[32:]],
    ids=["cut", "knows no time", "of another question"],
)
def test_an_answer_that_is_none_is_not_believed(look: Any, broken: Callable[[bytes], bytes]) -> None:
    with time_server(60, broken) as place:
        found = look("--ntp", place)["clock"]
    assert found["says"] == f"{place} was not heard: its answer is none of a time server that knows the time"
    assert found["fix"] == "Name another with --ntp or INTERLOCK_NTP."


def test_a_time_server_that_is_silent_is_said(look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlock.cli.examine_clock.NTP_SECONDS", 0.05)
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        assert result(look("--ntp", place), "clock") == ("warn", f"{place} was not heard: it did not answer in time")


def test_without_a_name_no_time_server_is_asked(look: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        raise AssertionError("a time server was asked")

    monkeypatch.setattr("interlock.cli.examine_clock._ahead", never)
    assert look()["clock"]["result"] == "ok"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.003, "3 ms"), (1.24, "1.2 s"), (42, "42 s"), (240, "4 min"), (10_800, "3 h"), (400_000, "5 days")],
)
def test_a_span_is_said_to_one_place(seconds: float, words: str) -> None:
    assert span(timedelta(seconds=seconds)) == words


def test_the_summary_is_json(run: Any, signed: Path) -> None:
    said = json.loads(run("doctor", "--db", signed, "--json").out)
    assert said["ok"] is True
