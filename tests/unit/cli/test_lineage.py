"""fork, migrate, and what doctor says of parked conversations: documents, sentences, refusals."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.examples import bank

SLIP = "A small refund: two facts at once, a slip put right, paid by code"
SILENT = "Somebody who is not the holder of the account"


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """The bank as a project of its own, to be changed."""
    folder = tmp_path / "bank"
    shutil.copytree(Path(bank.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__", "__init__.py"))
    return folder


def changed(folder: Path, what: str, by: str, file: str = "flow.yaml") -> Path:
    path = folder / file
    text = path.read_text()
    assert re.search(what, text), what
    path.write_text(re.sub(what, by, text, count=1))
    return folder


def events(run: Any, log: Path, stream: str) -> list[Any]:
    found: list[Any] = run("log", stream, "--db", log, "--json").json["events"]
    return found


def entries(log: Path, stream: str) -> list[Any]:
    with closing(sqlite3.connect(log)) as connection:
        return connection.execute("SELECT entry FROM event WHERE stream = ? ORDER BY version", (stream,)).fetchall()


# -- fork -----------------------------------------------------------------------------------------------


def test_a_fork_says_another_thing_and_the_parent_stays(run: Any, log: Path, ids: Any) -> None:
    """The correction of the slip is left out: another sum is paid back in the fork, and no bank is called."""
    before = entries(log, ids[SLIP])
    slip = next(one["version"] for one in events(run, log, ids[SLIP]) if "corrected" in str(one["says"]))
    at = next(
        one["version"] for one in reversed(events(run, log, ids[SLIP])[:slip]) if one["type"] == "message_received"
    )
    ran = run(
        "fork", ids[SLIP], "--at", at, "--message", "no wait, the amount is 150.00, not 24.50", "--db", log, "--json"
    )
    found = ran.json
    assert set(found) == {
        "id", "parent", "at", "state", "status", "events", "said_again", "recorded_answers", "live_answers", "stopped",
    }  # fmt: skip
    assert (found["parent"], found["at"]) == (ids[SLIP], at)
    assert found["live_answers"] == []
    assert entries(log, ids[SLIP]) == before
    told = run("log", found["id"], "--db", log, "--texts")
    assert f"forked from {ids[SLIP]} before event {at}" in told.words
    assert "150.00, not 24.50" in told.words
    assert run("diff", ids[SLIP], found["id"], "--db", log, "--json").json["first"]["a"] == at
    assert run("verify", "--db", log).code == 0
    assert run("replay", found["id"], "--db", log).code == 0


def test_a_fork_stops_where_the_record_does_not_apply(run: Any, log: Path, ids: Any) -> None:
    """It says which question has no recorded answer, and exits with 1."""
    asked = next(one["version"] for one in events(run, log, ids[SILENT]) if one["type"] == "message_received")
    ran = run("fork", ids[SILENT], "--at", asked, "--message", "are you open on saturdays?", "--db", log)
    assert ran.code == 1
    assert "It stopped: at event" in ran.words
    assert (
        "agent 'account_adviser' is asked, and was not asked in the recording; --live asks for an answer" in ran.words
    )
    live = run(
        "fork", ids[SILENT], "--at", asked, "--message", "are you open on saturdays?", "--alone", "--live", "--db", log
    )
    assert live.code == 0
    assert "asked anew" in live.words
    assert max(map(len, live.out.splitlines())) <= 80


def test_a_fork_goes_on_under_another_flow(run: Any, log: Path, ids: Any, another: Path) -> None:
    """From the start, everything said again to the new rows; in the middle, after a recorded move."""
    changed(another, r"(?m)^version: 1", "version: 2")
    whole = run("fork", ids[SLIP], "--at", 0, "--flow", another, "--db", log, "--json").json
    assert (whole["state"], whole["stopped"]) == ("goodbye", None)
    messages = [one["version"] for one in events(run, log, ids[SLIP]) if one["type"] == "message_received"]
    half = run("fork", ids[SLIP], "--at", messages[1], "--flow", another, "--db", log, "--json").json
    assert half["stopped"] is None
    assert [one["type"] for one in events(run, log, half["id"])].count("flow_changed") == 1
    told = run("log", half["id"], "--db", log).words
    assert "goes on under bank v2" in told
    again = run("replay", half["id"], "--db", log, "--json")
    assert (again.code, again.json["divergences"]) == (0, 0)


def test_the_list_says_what_is_a_fork(run: Any, log: Path, ids: Any) -> None:
    """Whose and from where; the newest first, whatever its parent's times are; with what it waits for."""
    messages = [one["version"] for one in events(run, log, ids[SILENT]) if one["type"] == "message_received"]
    first = run("fork", ids[SILENT], "--at", messages[1], "--alone", "--db", log, "--json").json["id"]
    length = len(events(run, log, ids[SILENT]))
    second = run("fork", ids[SILENT], "--at", length, "--db", log, "--json").json["id"]
    found = run("log", "--db", log, "--json").json["conversations"]
    assert [(one["id"], one["parent"], one["fork_at"]) for one in found[:2]] == [
        (second, ids[SILENT], length),
        (first, ids[SILENT], messages[1]),
    ]
    assert all(one["fork_at"] is None for one in found[2:])
    parent = next(one for one in found if one["id"] == ids[SILENT])
    assert found[0]["tasks"] == parent["tasks"] != []
    words = run("log", "--db", log).words
    assert "fork of" in words
    assert f"at {length}" in words
    assert "of the fork" in words
    assert "Nobody acts in a fork by himself, and `interlock tasks` leaves it out" in words
    assert [one["id"] for one in run("log", "--limit", 1, "--db", log, "--json").json["conversations"]] == [second]
    assert all(one["conversation"] != second for one in run("tasks", "--db", log, "--json").json["tasks"])


def test_a_fork_goes_on_in_a_chat(run: Any, log: Path, ids: Any) -> None:
    """Whoever wants to talks on in it."""
    messages = [one["version"] for one in events(run, log, ids[SLIP]) if one["type"] == "message_received"]
    made = run("fork", ids[SLIP], "--at", messages[1], "--alone", "--db", log, "--json").json
    assert made["said_again"] == 0
    ran = run("chat", "bank", "--resume", made["id"][:8], "--db", log, stdin="Maria Keller\n/quit\n")
    assert ran.code == 0
    assert [one["type"] for one in events(run, log, made["id"])].count("message_received") == 2
    says = "This is a fork: nothing that changes the world outside is run in it."
    assert says in ran.words
    helped = run("chat", "bank", "--resume", made["id"][:8], "--db", log, stdin="/help\n/quit\n")
    assert helped.words.count(says) == 2
    assert says not in run("chat", "bank", "--db", log, stdin="/help\n/quit\n").words


def test_what_a_fork_refuses(run: Any, log: Path, ids: Any, tmp_path: Path) -> None:
    answer = tmp_path / "answer.json"
    answer.write_text("{}")
    both = run("fork", ids[SLIP], "--at", 3, "--message", "x", "--answer", answer, "--db", log)
    assert (both.code, "A fork changes one thing." in both.words) == (2, True)
    absent = run("fork", ids[SLIP], "--at", 3, "--answer", tmp_path / "none", "--db", log)
    assert "There is no such file." in absent.words
    inside = run("fork", ids[SLIP], "--at", 1, "--db", log)
    assert "Event 1 was decided together with event 0: a fork begins where a decision does." in inside.words
    count = len(run("log", "--db", log, "--json").json["conversations"])
    assert count == len(ids), "nothing was recorded"


# -- migrate --------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_the_move_then_records(run: Any, log: Path, another: Path) -> None:
    """Every open conversation of the flow: the same events, but for when."""
    changed(another, r"(?m)^version: 1", "version: 2")
    dry = run("migrate", "--to", another, "--dry-run", "--db", log, "--json").json
    assert dry["dry_run"]
    assert dry["conversations"]
    assert run("replay", "--all", "--db", log).code == 0
    done = run("migrate", "--to", another, "--db", log, "--json").json
    assert done["conversations"] == dry["conversations"]
    assert (done["moved"], done["kept"]) == (len(dry["conversations"]), 0)
    listed = run("log", "--db", log, "--json").json["conversations"]
    moved = {one["id"] for one in done["conversations"]}
    assert {one["id"] for one in listed if one["version"] == 2} == moved
    again = run("replay", "--all", "--db", log, "--json")
    assert (again.code, again.json["divergences"]) == (0, 0)
    assert run("verify", "--db", log).code == 0
    one = next(iter(moved))
    assert run("diff", one, "--today", "--db", log).code == 0
    walked = run("replay", "--step", one, "--db", log, stdin="999\n")
    assert "decides otherwise" not in walked.words
    assert "goes on under bank v2" in run("log", one, "--db", log).words
    nothing = run("migrate", "--to", another, "--db", log)
    assert "No open conversation runs on another version of bank." in nothing.words


def test_one_that_cannot_move_says_why_and_stays(run: Any, log: Path, ids: Any, another: Path) -> None:
    changed(another, r"(?m)^version: 1", "version: 2")
    changed(another, r"decisions: \[resolved, call_back\]", "decisions: [call_back, resolved]")
    before = entries(log, ids[SILENT])
    ran = run("migrate", ids[SILENT], "--to", another, "--db", log)
    assert ran.code == 1
    assert "stays on bank v1 in human_desk: the open task of 'human_desk' is for another role there" in ran.words
    assert "0 conversations moved to bank v2; 1 cannot." in ran.words
    assert entries(log, ids[SILENT]) == before


def test_maps_are_old_and_new(run: Any, log: Path, another: Path) -> None:
    wrong = run("migrate", "--to", another, "--map", "here", "--db", log)
    assert (wrong.code, "--map 'here' is not old=new." in wrong.words) == (2, True)
    twice = run("migrate", "--to", another, "--map", "a=triage", "--map", "a=greeting", "--db", log)
    assert "The state 'a' is mapped twice." in twice.words
    unknown = run("migrate", "--to", another, "--map", "a=nowhere", "--db", log)
    assert "has no state 'nowhere'" in unknown.words
    changed(another, r"(?m)^version: 1", "version: 2")
    slip = run("migrate", "--to", another, "--map", "nosuch=triage", "--dry-run", "--db", log)
    assert slip.code == 2
    assert "The flow that they run on has no state 'nosuch'. fix Map one of " in slip.words


# -- parked ---------------------------------------------------------------------------------------------


def test_nothing_is_parked_where_all_can_go_on(run: Any, log: Path) -> None:
    found = {one["name"]: one for one in run("doctor", "--db", log, "--json").json["findings"]}
    assert (found["parked"]["result"], found["parked"]["says"]) == ("ok", "every open conversation can go on")


def test_a_flow_that_is_gone_parks_its_conversations(run: Any, log: Path, ids: Any, another: Path) -> None:
    """Each is named with the command that moves it."""
    changed(another, r"(?m)^version: 1", "version: 2")
    run("migrate", ids[SILENT], "--to", another, "--db", log)
    shutil.rmtree(another)
    found = [one for one in run("doctor", "--db", log, "--json").json["findings"] if one["name"] == "parked"]
    (one,) = found
    assert one["says"].startswith(f"{ids[SILENT][:8]}: its flow bank v2 (")
    assert "does not load: There is no flow at" in one["says"]
    assert one["fix"] == f"interlock migrate --to FLOW {ids[SILENT][:8]}"
    back = run("migrate", ids[SILENT], "--to", "bank", "--db", log)
    assert back.code == 0
    after = {one["name"]: one["says"] for one in run("doctor", "--db", log, "--json").json["findings"]}
    assert after["parked"] == "every open conversation can go on"


def test_other_code_is_named(run: Any, log: Path, ids: Any, another: Path) -> None:
    """A conversation that today's code did not decide last goes on, and should be decided again before."""
    changed(another, r"(?m)^version: 1", "version: 2")
    run("migrate", ids[SILENT], "--to", another, "--db", log)
    (another / "code.py").write_text((another / "code.py").read_text() + "\n# another line\n")
    found = [one for one in run("doctor", "--db", log, "--json").json["findings"] if one["name"] == "parked"]
    (one,) = found
    assert "other code decided it last: the flow's code" in one["says"]
    assert one["fix"] == f"interlock replay {ids[SILENT][:8]}"
