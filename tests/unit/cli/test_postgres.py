"""The command line on PostgreSQL: the file that `--db` names holds the database's URL."""

import os
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from interlock.contracts.errors import SetupError
from interlock.service.wiring import open_log
from support.postgres import database


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with database() as url:
        file = tmp_path / "log.url"
        file.touch(mode=0o600)
        file.write_text(f"{url}\n")
        yield file


def test_the_demo_and_all_that_looks_at_its_log(run: Any, place: Path) -> None:
    """Played, verified, decided again, signed, told, examined: as on a file of SQLite."""
    played = run("demo", "--db", place)
    assert played.code == 0, played.err
    report = run("verify", "--db", place, "--json")
    assert (report.code, report.json["events"]) == (0, 477)
    assert run("replay", "--all", "--db", place).code == 0
    listed = run("log", "--db", place, "--json").json["conversations"]
    assert len(listed) == 14
    assert run("log", listed[0]["id"][:8], "--db", place).code == 0
    assert run("key", "new", "--db", place).code == 0
    assert run("checkpoint", "--db", place).code == 0
    found = {one["name"]: one for one in run("doctor", "--db", place, "--json").json["findings"]}
    assert found["durability"]["says"] == "fsync on, synchronous_commit on"
    assert found["append-only"]["result"] == found["chain"]["result"] == found["texts"]["result"] == "ok"
    assert (place.with_name("log.url.key").stat().st_mode & 0o077) == 0


def test_a_backtest_reads_the_database(run: Any, place: Path, demo_made: tuple[Path, Any]) -> None:
    """The same customers on the same flow: as many turns, and all of them as they were, as in a file of SQLite."""
    assert run("demo", "--db", place).code == 0
    reports = []
    for log in (place, demo_made[0]):
        ran = run("backtest", "bank", "--jobs", 1, "--json", "-", "--db", log)
        assert ran.code == 0, ran.err
        reports.append(ran.json)
    mine, theirs = reports
    assert mine["turns"] == theirs["turns"]
    assert mine["conversations"] == theirs["conversations"]
    drawn = run("backtest", "bank", "--jobs", 2, "--sample", 5, "--json", "-", "--db", place)
    assert drawn.code == 0, drawn.err


def test_who_may_only_append_leaves_the_tree_to_the_sequencer(run: Any, place: Path, tmp_path: Path) -> None:
    """With the signing key at hand, too: the conversation goes on, and one line says who signs; the sequencer needs
    neither the other role nor the key of the texts."""
    url = place.read_text().strip()
    places = {}
    for role in ("app", "sequencer"):
        (tmp_path / role).mkdir()
        places[role] = tmp_path / role / "log.url"
        places[role].touch(mode=0o600)
        places[role].write_text(f"{url}&options=-crole%3Dinterlock_{role}\n")
    unnamed = run("key", "new", "--db", places["sequencer"])
    assert "The log has no name yet: open it once as the owner of its tables" in unnamed.words
    open_log(place).close()
    assert run("key", "new", "--db", places["sequencer"]).code == 0
    shutil.copy(tmp_path / "sequencer" / "log.url.signing-key", tmp_path / "app")
    for _ in range(2):  # the second time, entries wait from the beginning
        told = run("chat", "bank", "--db", places["app"], stdin="hello\nopening hours please\n/quit\n")
        assert (told.code, told.out.count("Our branches are open")) == (0, 1), told.err
        assert told.err == (
            "interlock: warning: checkpoints_left_to_the_sequencer "
            "why=the database's user is no member of interlock_sequencer\n"
        )
    named = run("approver", "new", "anna", "--key", tmp_path / "anna.key", "--db", places["app"])
    assert (named.code, "permission denied for table record) where" in named.words) == (1, True), named.words
    assert not (tmp_path / "anna.key").exists()
    told = run("chat", "bank", "--db", places["app"], stdin="hello\n/log\n/state\n/quit\n")
    assert (told.code, "waiting" in told.out) == (0, True), told.err
    signed = run("checkpoint", "--db", places["sequencer"])
    examined = {one["name"]: one for one in run("doctor", "--db", places["app"], "--json").json["findings"]}
    signing = f"which the database's user is not; with {places['app']}.signing-key this process signs receipts"
    assert (examined["signing"]["result"], examined["signing"]["says"]) == ("ok", f"left to the sequencer, {signing}")
    assert (signed.code, "1 signature" in signed.err) == (0, True), signed.err
    assert not (tmp_path / "sequencer" / "log.url.key").exists()
    assert run("verify", "--db", place, "--json").json["tree"]["waiting"] == 0


def test_an_auditor_verifies_all_but_what_people_wrote(run: Any, place: Path, tmp_path: Path) -> None:
    """The chains, the columns, the tree and its signatures; that no text was looked at is said."""
    assert run("demo", "--db", place).code == 0
    vkey = run("key", "new", "--db", place).out.splitlines()[0]
    assert run("checkpoint", "--db", place).code == 0
    auditor = tmp_path / "auditor.url"
    auditor.touch(mode=0o600)
    auditor.write_text(f"{place.read_text().strip()}&options=-crole%3Dinterlock_auditor\n")
    ran = run("verify", "--db", auditor, "--vkey", vkey)
    assert ran.code == 0, ran.words
    assert "14 conversations, 477 events and 0 texts hold, 92 texts not opened" in ran.words
    assert "The database's user may not read what people wrote, so no text was looked at" in ran.words
    assert "signed up to 478" in ran.words
    unknown = run("verify", "--db", auditor)
    assert "there are checkpoints, and no key that says whether they are genuine" in unknown.words
    examined = run("doctor", "--db", auditor, "--json")
    found = {one["name"]: one for one in examined.json["findings"]}
    assert (examined.code, found["chain"]["result"]) == (0, "ok")
    assert found["texts"]["says"] == "this user may not read texts and their keys: nobody looked at them"
    assert found["writable"]["says"] == "not for this user, who reads alone"
    with psycopg.connect(place.read_text().strip(), autocommit=True) as owner:
        owner.execute("ALTER TABLE event DISABLE TRIGGER ALL")
        owner.execute("UPDATE event SET entry = set_byte(entry, 30, 49) WHERE version = 3")
    broken = run("verify", "--db", auditor, "--vkey", vkey)
    assert (broken.code, "is broken at event 3" in broken.words) == (1, True), broken.words


def test_what_is_rewritten_by_the_owner_is_found(run: Any, place: Path) -> None:
    """Who owns the tables can switch the triggers off; the doctor and the chain say so."""
    import psycopg

    assert run("demo", "--db", place).code == 0
    with psycopg.connect(place.read_text().strip(), autocommit=True) as owner:
        owner.execute("ALTER TABLE event DISABLE TRIGGER event_refuses_change")
        owner.execute(
            "UPDATE event SET entry = replace(encode(entry, 'escape'), 'EUR', 'USD')::bytea WHERE version = 0"
        )
    assert run("verify", "--db", place).code == 1
    findings = {one["name"]: one for one in run("doctor", "--db", place, "--json").json["findings"]}
    assert "event_refuses_change" in findings["append-only"]["says"]
    assert findings["append-only"]["result"] == "fail"


DOES_NOTHING = """
CREATE OR REPLACE FUNCTION interlock_refuses_gap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$
"""
FOR_FEWER_ACTS = """
CREATE OR REPLACE TRIGGER leaf_refuses_change BEFORE UPDATE ON leaf
    FOR EACH ROW EXECUTE FUNCTION interlock_refuses_change();
ALTER TABLE leaf ENABLE ALWAYS TRIGGER leaf_refuses_change
"""
UNDER_A_CONDITION = """
CREATE OR REPLACE TRIGGER event_refuses_change BEFORE UPDATE OR DELETE ON event
    FOR EACH ROW WHEN (false) EXECUTE FUNCTION interlock_refuses_change();
ALTER TABLE event ENABLE ALWAYS TRIGGER event_refuses_change
"""


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (DOES_NOTHING, "event_refuses_gap"),
        (FOR_FEWER_ACTS, "leaf_refuses_change"),
        (UNDER_A_CONDITION, "event_refuses_change"),
    ],
)
def test_a_trigger_that_was_replaced_is_found(run: Any, place: Path, change: str, name: str) -> None:
    """By a body that does nothing, for fewer acts, or under a condition: `verify` and the doctor name it."""
    import psycopg

    with closing(open_log(place, create=True)) as store:
        assert store.describe().altered_triggers == ()
    with psycopg.connect(place.read_text().strip(), autocommit=True) as owner:
        owner.execute(change)
    ran = run("verify", "--db", place)
    assert (ran.code, f"Somebody replaced the triggers that refuse changes: {name}." in ran.words) == (1, True)
    found = {one["name"]: one for one in run("doctor", "--db", place, "--json").json["findings"]}
    assert (found["append-only"]["result"], found["append-only"]["says"]) == ("fail", f"replaced triggers: {name}")


@pytest.mark.parametrize(
    "change",
    ["CREATE RULE r AS ON UPDATE TO meta DO INSTEAD NOTHING", "ALTER TABLE event ENABLE ROW LEVEL SECURITY"],
    ids=["rule", "row security"],
)
def test_the_doctor_names_what_verify_does_of_the_schema(run: Any, place: Path, change: str) -> None:
    """Rules and row security act where no trigger does."""
    with closing(open_log(place, create=True)):
        pass
    assert doctored(run, place) == "ok"
    with psycopg.connect(place.read_text().strip(), autocommit=True) as owner:
        owner.execute(change)
    with closing(open_log(place)) as store:
        (says,) = store.unlike_ours()
    assert says in run("verify", "--db", place).words
    assert doctored(run, place) == f"fail: {says}"


def doctored(run: Any, place: Path) -> str:
    """What the doctor finds of the log's guards."""
    found = {one["name"]: one for one in run("doctor", "--db", place, "--json").json["findings"]}["append-only"]
    return "ok" if found["result"] == "ok" else f"{found['result']}: {found['says']}"


def test_a_url_is_written_into_a_file_for_its_owner_alone(run: Any, place: Path) -> None:
    with pytest.raises(SetupError, match="A URL stands where the file of the log should") as refused:
        open_log(Path("postgresql://user:secret@host/db"))
    assert "umask 077" in refused.value.fix
    assert "secret" not in str(refused.value)
    told_of_url = run("doctor", "--db", "postgresql://user:secret@host/db")
    assert (told_of_url.code, "A URL stands" in told_of_url.words, "secret" in told_of_url.words) == (2, True, False)
    if os.name == "posix":
        place.chmod(0o644)
        with pytest.raises(SetupError, match="may be read by others") as told:
            open_log(place)
        assert told.value.fix == f"chmod 600 {place}"
