"""erase, hold, retain, access and keys at the command line; reading texts is on the record."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from interlock.service.wiring import open_log
from support.erasure import PROGRAM, echoing


@pytest.fixture
def subject(log: Path, ids: dict[str, str]) -> str:
    with closing(open_log(log)) as store:
        summary = store.summary(next(iter(ids.values())))
        assert summary
        return summary.subject


def test_erasing_from_the_command_line(run: Any, log: Path, subject: str) -> None:
    """A dry run says what would go and does nothing; then it goes; the log verifies and decides the same."""
    dry = run("erase", "--subject", subject, "--dry-run", "--db", log, "--json").json
    assert (dry["subject"], len(dry["conversations"]) >= 1, dry["payloads"] > 0, dry["holds"]) == (
        subject,
        True,
        True,
        [],
    )
    assert run("access", "--db", log, "--json").json == {"acts": []}
    ran = run("erase", "--subject", subject, "--db", log, "--as", "dpo")
    assert (ran.code, "This needs a ground." in ran.words) == (2, True)
    ran = run("erase", "--subject", subject, "--db", log, "--as", "dpo", "--ground", "request 7")
    assert (ran.code, "nothing of them is left in the database" in ran.words) == (0, True)
    assert run("verify", "--db", log).code == 0
    assert run("replay", "--all", "--db", log).code == 0
    acts = run("access", "--db", log, "--json").json["acts"]
    assert [(one["type"], one.get("by"), one.get("ground")) for one in acts] == [
        ("erasure_done", None, None),
        ("erasure_asked", "dpo", "request 7"),
    ]
    stream = dry["conversations"][0]
    assert "the texts of this conversation were erased" in run("log", stream, "--db", log).words


def test_two_people_at_two_terminals(run: Any, log: Path, subject: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first is told what the second runs; exit code 1 until then."""
    monkeypatch.setenv("INTERLOCK_ERASE_APPROVALS", "2")
    ran = run("erase", "--subject", subject, "--db", log, "--as", "carl", "--ground", "request 7")
    assert (ran.code, f"interlock erase --subject {subject} --approve --as NAME" in ran.words) == (1, True)
    assert run("erase", "--subject", subject, "--approve", "--db", log, "--as", "carl").code == 2
    found = run("erase", "--subject", subject, "--approve", "--db", log, "--as", "dora", "--json").json
    assert (found["approvals"], found["erased"]["payloads"] > 0) == ({"needed": 2, "by": ["carl", "dora"]}, True)


def test_holds_are_placed_listed_and_released(run: Any, log: Path, subject: str) -> None:
    """What is held is not erased, and `doctor` and the list say so."""
    assert "No hold stands." in run("hold", "--db", log).words
    assert run("hold", "--subject", subject, "--db", log).code == 2
    placed = run("hold", "--subject", subject, "--as", "counsel", "--ground", "case 4", "--db", log, "--json").json
    (hold,) = placed["holds"]
    assert (hold["subject"], hold["by"], hold["ground"]) == (subject, "counsel", "case 4")
    assert f"Hold {hold['number']} on subject {subject}, by counsel: case 4" in run("hold", "--db", log).words
    assert run("erase", "--subject", subject, "--dry-run", "--db", log).code == 2
    ran = run("erase", "--subject", subject, "--ground", "request 7", "--db", log)
    assert (ran.code, "its texts are restricted, not erased" in ran.words) == (2, True)
    arguments = ("hold", "--release", hold["number"], "--as", "counsel", "--ground", "closed", "--db", log, "--json")
    assert run(*arguments).json == {"holds": []}
    ran = run("hold", "--subject", "a", "--conversation", "b", "--db", log)
    assert "Say one thing at a time." in ran.words


def test_retention_from_the_command_line(run: Any, log: Path, tmp_path: Path) -> None:
    """Nothing of a fresh log is overdue; a dry run says the same as the run."""
    policy = tmp_path / "retention.yaml"
    policy.write_text("rules: [{days: 200}]\n")
    dry = run("retain", "--policy", policy, "--dry-run", "--db", log, "--json").json
    assert (dry["payloads"], dry["held"], dry["dry_run"]) == (0, 0, True)
    assert "0 texts of 0 conversations were deleted" in run("retain", "--policy", policy, "--db", log).words


def test_reading_texts_is_on_the_record(run: Any, log: Path, ids: dict[str, str]) -> None:
    """Who, through what, of which conversation, why; the log without texts is no such reading."""
    stream = next(iter(ids.values()))
    assert run("log", stream, "--db", log).code == 0
    assert "Nobody has read" in run("access", "--db", log).words
    assert run("log", stream, "--texts", "--as", "carl", "--ground", "complaint 9", "--db", log).code == 0
    assert run("tasks", "--as-nobody", "--db", log).code == 2
    (act,) = run("access", "--db", log, "--json").json["acts"]
    assert (act["type"], act["by"], act["ground"], act["through"], act["conversation"]) == (
        *("texts_read", "carl", "complaint 9", "log", stream),
    )
    assert act["says"] == f"read the texts of {stream} (log): complaint 9"
    ran = run("log", stream, "--texts", "--as", "ca rl", "--db", log)
    assert (ran.code, "The name 'ca rl' cannot stand in the log." in ran.words) == (2, True)
    ran = run("log", stream, "--texts", "--ground", "x" * 201, "--db", log)
    assert (ran.code, "The ground is longer than 200 characters, or no single line." in ran.words) == (2, True)


def test_a_reading_that_cannot_be_recorded_does_not_happen(run: Any, log: Path, ids: dict[str, str]) -> None:
    """Fail closed: no record, no texts."""
    with closing(sqlite3.connect(log, isolation_level=None)) as connection:
        connection.execute("CREATE TRIGGER no BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    ran = run("log", next(iter(ids.values())), "--texts", "--db", log)
    assert ran.code == 70 or ran.code == 1
    assert "disk full" in ran.words
    assert "card" not in ran.out


def test_keys_are_shown_rotated_and_old_texts_encrypted(run: Any, log: Path, ids: dict[str, str]) -> None:
    """Every text reads as before; only the newest master key is in the file."""
    stream = next(iter(ids.values()))
    with closing(SqliteStore(log)) as store:
        before = store.payloads(stream)
    shown = run("keys", "show", "--db", log, "--json").json
    assert (len(shown["master_keys"]), shown["in_clear"]) == (1, 0)
    rotated = run("keys", "rotate", "--as", "ops", "--ground", "yearly", "--db", log, "--json").json
    assert rotated == {"rewrapped": shown["data_keys"]}
    again = run("keys", "show", "--db", log, "--json").json
    assert (len(again["master_keys"]), again["master_keys"] != shown["master_keys"]) == (1, True)
    with closing(SqliteStore(log)) as store:
        assert store.payloads(stream) == before
    assert "wrapped 14 data keys by a new master key: yearly" in run("access", "--db", log).words
    ran = run("keys", "rotate", "--db", log)
    assert (ran.code, "This needs a ground." in ran.words) == (2, True)


def test_texts_in_clear_are_encrypted(run: Any, tmp_path: Path) -> None:
    """What a store in clear wrote stays readable, and stands in no file afterwards."""
    from interlock.contracts.envelope import Head
    from support.stores import LOG, decided

    path = tmp_path / "log.db"
    secret = b"my mother's maiden name"
    with closing(SqliteStore(path, origin=LOG, in_clear=True)) as store:
        store.append(decided(Head("a"), written=[secret, b"two"]))
    assert run("keys", "show", "--db", path).code == 1
    assert run("keys", "encrypt", "--as", "ops", "--db", path, "--json").json == {"encrypted": 2}
    assert run("keys", "encrypt", "--db", path, "--json").json == {"encrypted": 0}
    assert run("keys", "show", "--db", path).code == 0
    with closing(SqliteStore(path)) as store:
        assert [one.plaintext for one in store.payloads("a").values()] == [secret, b"two"]
        assert [one.name for one in tmp_path.iterdir() if one.is_file() and secret in one.read_bytes()] == []
    ran = run("keys", "rotate", "--ground", "yearly", "--db", path)
    assert "1 data key wrapped by a new master key" in ran.words


def doctor(run: Any, log: Path) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in run("doctor", "--db", log, "--json").json["findings"]}


def test_the_doctor_looks_at_keys_texts_holds_and_erasures(run: Any, log: Path, subject: str) -> None:
    """Each with its result and what to do."""
    found = doctor(run, log)
    assert {name: found[name]["result"] for name in ("room", "key", "texts", "erasures", "holds", "checkpoint")} == {
        "room": "ok",
        "key": "ok",
        "texts": "ok",
        "erasures": "ok",
        "holds": "ok",
        "checkpoint": "warn",
    }
    assert "none is signed: the log vouches for itself" in found["checkpoint"]["says"]
    run("erase", "--subject", subject, "--approvals", "2", "--ground", "request 7", "--as", "carl", "--db", log)
    assert doctor(run, log)["erasures"]["says"] == "1 erasure waiting for another person's approval"
    run("hold", "--subject", subject, "--ground", "case 4", "--as", "counsel", "--db", log)
    assert doctor(run, log)["holds"]["says"] == "1 hold; `interlock hold` lists them"
    file = log.with_name("log.db.key")
    file.chmod(0o644)
    found = doctor(run, log)
    assert (found["key"]["result"], "can be read or written by others" in found["key"]["says"]) == ("fail", True)
    assert "chmod 600" in found["key"]["fix"]
    file.rename(log.with_name("elsewhere"))
    found = doctor(run, log)
    assert (found["key"]["result"], "The key file is missing" in found["key"]["says"]) == ("fail", True)
    assert run("doctor", "--db", log).code == 1


def test_the_doctor_counts_texts_in_clear(run: Any, tmp_path: Path) -> None:
    """With the command that encrypts them."""
    from interlock.contracts.envelope import Head
    from support.stores import LOG, decided

    with closing(SqliteStore(tmp_path / "log.db", origin=LOG, in_clear=True)) as store:
        store.append(decided(Head("a"), written=[b"one", b"two"]))
    found = run("doctor", "--db", tmp_path / "log.db", "--json").json["findings"]
    (texts,) = [one for one in found if one["name"] == "texts"]
    assert (texts["result"], texts["says"], texts["fix"]) == (
        "warn",
        "2 texts in clear",
        "Run `interlock keys encrypt`.",
    )


def test_a_request_that_waits_is_said_before_anybody_asks_again(run: Any, log: Path, subject: str) -> None:
    """A dry run names it, with who has approved; it records nothing."""
    words = ("erase", "--subject", subject, "--db", log)
    assert run(*words, "--dry-run", "--json").json["waiting"] is None
    assert "waits already" not in run(*words, "--dry-run").words
    asked = run(*words, "--approvals", "2", "--ground", "request 7", "--as", "carl", "--json").json
    said = f"A request for it waits already, record {asked['request']}: approved by 1 of 2 (carl)."
    assert said in run(*words, "--dry-run").words
    waiting = {"record": asked["request"], "needed": 2, "by": ["carl"]}
    assert run(*words, "--dry-run", "--json").json["waiting"] == waiting


def test_a_dry_run_of_an_erasure_ends_as_the_erasure(run: Any, log: Path, subject: str) -> None:
    """0 done, 1 others must approve first, 2 refused: asked, approved by the same person, by another, and held."""
    words = ("erase", "--subject", subject, "--ground", "request 7", "--db", log)
    assert [run(*words, "--approve", *more).code for more in (("--dry-run",), ())] == [2, 2]
    for asked, code in (
        (("--as", "carl", "--approvals", "2"), 1),
        (("--as", "carl", "--approve"), 2),
        (("--as", "Carl", "--approve"), 2),
        (("--as", "dora"), 1),
    ):
        assert [run(*words, *asked, *more).code for more in (("--dry-run",), ())] == [code, code], asked
    assert "It would wait until others approve." in run(*words, "--as", "dora", "--dry-run").words
    assert run("hold", "--subject", subject, "--as", "counsel", "--ground", "case 4", "--db", log).code == 0
    held = (*words, "--as", "dora", "--approve")
    assert [run(*held, *more).code for more in (("--dry-run",), ())] == [2, 2]
    assert run("hold", "--release", "9999", "--ground", "closed", "--db", log).code == 2
    assert run("hold", "--subject", "nobody", "--ground", "case", "--db", log).code == 2
    number = run("hold", "--db", log, "--json").json["holds"][0]["number"]
    assert run("hold", "--release", number, "--ground", "closed", "--db", log).code == 0
    assert [run(*held, *more).code for more in (("--dry-run",), ())] == [0, 0]
    assert [run("erase", "--subject", "x", "--ground", "r", "--db", log, *m).code for m in (("--dry-run",), ())] == [
        2,
        2,
    ]


def test_who_was_erased_is_not_erased_again(run: Any, log: Path, subject: str) -> None:
    """Nothing is recorded, in the conversation or of the log."""
    words = ("erase", "--subject", subject, "--ground", "request 7", "--as", "carl", "--db", log)
    first = run(*words, "--json").json
    before = log_of(log)
    again = run(*words)
    assert again.code == 0
    said = f"{subject} was erased already, and has written nothing since (record {first['request']}); nothing was done."
    assert said in again.words
    found = run(*words, "--json").json
    assert (found["already"], found["request"], found["erased"]) == (True, first["request"], first["erased"])
    assert log_of(log) == before
    assert first["already"] is False


def log_of(log: Path) -> tuple[int, int]:
    """How many entries there are, and how many records."""
    with closing(SqliteStore(log)) as store:
        return store.describe().counts["events"], store.tree().last_record()[0]


def test_who_takes_a_persons_key_says_why(run: Any, log: Path, tmp_path: Path) -> None:
    run("approver", "new", "anna", "--key", tmp_path / "anna", "--ground", "joined", "--db", log)
    ran = run("approver", "revoke", "anna", "--db", log)
    assert (ran.code, "This needs a ground." in ran.words) == (2, True)
    assert run("approver", "revoke", "anna", "--ground", "left in May", "--as", "ops", "--db", log).code == 0
    assert "took the key of approver anna: left in May" in run("access", "--db", log).words


def test_a_second_key_of_a_person_is_refused(run: Any, log: Path, tmp_path: Path) -> None:
    """Not replaced in silence, and no file is made; after a revocation there may be a new one."""
    assert run("approver", "new", "anna", "--key", tmp_path / "anna", "--db", log).code == 0
    first = run("approver", "list", "--db", log, "--json").json
    again = run("approver", "new", "anna", "--key", tmp_path / "anna2", "--db", log)
    assert (again.code, "'anna' signs with a key already." in again.words) == (2, True)
    assert "To replace it: `interlock approver revoke anna --ground TEXT`, then `interlock approver new" in again.words
    assert (tmp_path / "anna2").exists() is False
    assert run("approver", "list", "--db", log, "--json").json == first
    assert run("approver", "revoke", "anna", "--ground", "lost", "--db", log).code == 0
    assert run("approver", "new", "anna", "--key", tmp_path / "anna2", "--db", log).code == 0
    assert run("approver", "list", "--db", log, "--json").json != first


def test_a_hold_gives_one_exit_code(run: Any, log: Path) -> None:
    """To a dry run of an erasure and to the erasure."""
    with closing(SqliteStore(log)) as store:
        subject = store.summaries()[0].subject
    assert run("hold", "--subject", subject, "--ground", "case 4", "--as", "legal", "--db", log).code == 0
    real = ("erase", "--subject", subject, "--ground", "asked", "--as", "dpo", "--db", log)
    assert (run(*real, "--dry-run").code, run(*real).code) == (2, 2)


def test_what_is_unsigned_is_said_as_it_is(run: Any, log: Path, tmp_path: Path) -> None:
    """Where no key is known, nothing could be checked; that is not the same as a signature that is not there."""
    run("key", "new", "--db", log)
    run("checkpoint", "--db", log)
    (log.parent / f"{log.name}.signing-key").rename(tmp_path / "elsewhere")
    words = run("verify", "--db", log).words
    assert "no key is known, so no signature was checked (give it with --vkey)" in words


async def test_retain_says_what_stays_because_it_is_open(run: Any, tmp_path: Path) -> None:
    """Texts over their time are not passed over in silence."""
    path, policy, clock = tmp_path / "old.db", tmp_path / "rules.yaml", ManualClock(datetime(2024, 1, 1, tzinfo=UTC))
    policy.write_text("rules:\n  - {days: 200}\n", "utf-8")
    with closing(SqliteStore(path)) as store:
        async with Runtime(store, PROGRAM, echoing(), clock=clock) as runtime:
            await runtime.start(conversation="open", subject="anna")
            await runtime.say("open", "help me, please")
        count = len(store.payloads("open"))
    for more in (("--dry-run",), ()):
        ran = run("retain", "--policy", policy, "--db", path, *more)
        assert ran.code == 0
        assert f"{count} texts over time stay: 1 conversation has not ended. `interlock tasks` lists" in ran.words
    said = run("retain", "--policy", policy, "--db", path, "--json").json
    assert (said["payloads"], said["open"], said["unended"]) == (0, count, 1)
    with closing(SqliteStore(path)) as store:
        assert len(store.payloads("open")) == count
