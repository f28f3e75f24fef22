"""log, verify and replay: documents, sentences, and what they say of a log that does not hold."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

BIG = "A large refund: a question in between, then a person approves"
DESK = "Somebody who is not the holder of the account"


def flipped(path: Path, stream: str, version: int) -> None:
    """Change one byte of an entry under the database, past its triggers."""
    with closing(sqlite3.connect(path)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        row = connection.execute(
            "SELECT entry FROM event WHERE stream = ? AND version = ?", (stream, version)
        ).fetchone()
        changed = bytearray(row[0])
        changed[-3] ^= 1
        connection.execute(
            "UPDATE event SET entry = ? WHERE stream = ? AND version = ?", (bytes(changed), stream, version)
        )
        connection.commit()


def test_the_list_says_where_every_conversation_stands(run: Any, log: Path, ids: Any) -> None:
    """Newest first; open tasks are named."""
    found = run("log", "--db", log, "--json").json
    assert set(found) == {"log", "conversations"}
    by_id = {one["id"]: one for one in found["conversations"]}
    assert by_id.keys() == set(ids.values())
    desk = by_id[ids[DESK]]
    assert (desk["flow"], desk["state"], desk["status"], desk["turns"]) == ("bank", "human_desk", "open", 2)
    assert desk["tasks"]
    assert set(desk) == {
        "id", "flow", "version", "digest", "state", "status", "events", "turns", "started", "updated", "undecided",
        "tasks", "parent", "fork_at", "child",
    }  # fmt: skip
    ran = run("log", "--db", log)
    assert "a person, task" in ran.words
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_timeline_shows_texts_only_when_asked(run: Any, log: Path, ids: Any) -> None:
    """Lengths without --texts, what was said with it; the beginning of the id is enough."""
    quiet, loud = run("log", ids[BIG][:8], "--db", log), run("log", ids[BIG][:8], "--db", log, "--texts")
    assert quiet.code == loud.code == 0
    assert "Maria Keller" not in quiet.out
    assert "Texts are personal and left out" in quiet.words
    assert "customer: “Maria Keller”" in loud.words
    assert "You want €250.00 back because: faulty. Is that right?" in loud.words
    assert "Maria Keller" not in run("log", ids[BIG], "--db", log, "--json").out


def test_an_erased_text_says_so(run: Any, log: Path, ids: Any) -> None:
    """The event stands, and the log still verifies; not where somebody took the texts, and no record says why."""
    with closing(sqlite3.connect(log)) as connection:
        ((subject,),) = connection.execute("SELECT subject FROM conversation WHERE stream = ?", (ids[BIG],))
    assert run("erase", "--subject", subject, "--as", "dpo", "--ground", "request 7", "--db", log).code == 0
    assert "customer: [erased]" in run("log", ids[BIG], "--db", log, "--texts").words
    checked = run("verify", ids[BIG], "--db", log, "--json").json
    assert checked["ok"]
    assert checked["erased"] > 5
    with closing(sqlite3.connect(log)) as connection:
        connection.execute("DELETE FROM payload WHERE stream = ?", (ids[DESK],))
        connection.commit()
    for options in (("--texts",), ("--texts", "--at", "3")):
        told = run("log", ids[DESK], "--db", log, *options).words
        assert ("[missing]" in told, "[erased]" in told) == (True, False), told
    told = run("log", ids[DESK], "--db", log, "--texts")
    lost = run("log", ids[DESK], "--db", log, "--texts", "--json").json["missing"]
    assert (told.code, lost[0]["name"]) == (1, "message")
    assert (
        f"{len(lost)} texts are missing: nothing on the record says that they were erased. Keep the file as evidence, "
        "and restore a backup; `interlock verify` names the first."
    ) in told.words
    assert "missing" not in run("log", ids[BIG], "--db", log, "--texts", "--json").json
    found = run("verify", ids[DESK], "--db", log)
    assert found.code == 1
    assert "is missing: nothing on the record says that it was erased" in found.words


def test_a_timeline_in_json_has_every_event(run: Any, log: Path, ids: Any) -> None:
    """Verdicts as sentences, clauses and whole hashes."""
    found = run("log", ids[DESK], "--db", log, "--json").json
    assert [one["version"] for one in found["events"]] == list(range(len(found["events"])))
    refused = next(one for one in found["events"] if one["policy"] == "ID-3")
    assert refused["type"] == "transition_taken"
    assert refused["notes"][0] == {"mark": "bad", "says": "the customer is verified: does not hold"}
    assert len(refused["leaf"]) == 64
    assert set(refused) == {
        "version", "at", "type", "key", "actor", "flow", "says", "policy", "notes", "leaf", "prev", "data",
    }  # fmt: skip
    assert refused["data"]["because"] == "ID-3"
    assert refused["prev"] == found["events"][refused["version"] - 1]["leaf"]
    assert {one["flow"] for one in found["events"]} == {found["digest"]}
    assert any(one["key"] for one in found["events"])
    assert found["broken"] is None


def test_a_conversation_that_does_not_verify_is_told_with_a_warning(run: Any, log: Path, ids: Any) -> None:
    """Exit 1, the event, and the timeline all the same; the other conversations are told as ever."""
    with closing(sqlite3.connect(log)) as connection:
        for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE event SET leaf = zeroblob(32) WHERE stream = ? AND version = 7", (ids[BIG],))
        connection.commit()
    ran = run("log", ids[BIG], "--db", log)
    assert ran.code == 1
    assert "This log does not verify: it is broken at event 7." in " ".join(ran.err.split())
    assert "starts on bank v1" in ran.out
    found = run("log", ids[BIG], "--db", log, "--json")
    assert (found.code, found.json["broken"]["version"]) == (1, 7)
    assert run("log", ids[DESK], "--db", log).code == 0


def test_verify_says_what_it_does_not_prove(run: Any, log: Path) -> None:
    """Never a bare OK: NOT SIGNED, and why."""
    ran = run("verify", "--db", log)
    assert ran.code == 0
    assert "14 conversations" in ran.words
    assert "NOT SIGNED: nothing here is signed." in ran.words
    assert "SELF-ATTESTED" not in ran.words
    assert "`interlock key new` and `interlock checkpoint` sign it." in ran.words
    found = run("verify", "--db", log, "--json").json
    assert set(found) == {
        "log",
        "attestation",
        "ok",
        "conversations",
        "events",
        "payloads",
        "erased",
        "unopened",
        "locked",
        "broken",
        "tree",
    }
    assert (found["ok"], found["attestation"], found["broken"]) == (True, "NOT SIGNED", [])


def test_verify_names_the_first_broken_position(run: Any, log: Path, ids: Any) -> None:
    """Exit 1, the conversation, the event, and what is wrong there; the others hold."""
    flipped(log, ids[BIG], 12)
    ran = run("verify", "--db", log)
    assert ran.code == 1
    assert f"{ids[BIG]} is broken at event 12: The entry does not hash to its leaf." in ran.words
    assert run("verify", "--db", log, "--json").json["broken"] == [
        {"id": ids[BIG], "version": 12, "what": "The entry does not hash to its leaf."}
    ]
    assert run("verify", ids[DESK], "--db", log).code == 0


def test_replay_decides_everything_again(run: Any, log: Path, ids: Any) -> None:
    """One by its beginning, or all; no divergence and no model call."""
    one = run("replay", ids[BIG][:8], "--db", log, "--json").json
    assert (one["same"], one["conversations"], one["divergences"], one["model_calls"]) == (True, 1, 0, 0)
    assert one["replayed"][0]["first"] is None
    ran = run("replay", "--all", "--db", log)
    assert ran.code == 0
    assert "0 divergences, 0 model calls" in ran.words


def test_replay_shows_the_first_divergence(run: Any, log: Path, ids: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a guard that decides otherwise today, the event, what was recorded and what would be."""
    from interlock.cli import proof
    from interlock.service.wiring import found_flows as real

    def stricter(*arguments: Any) -> Any:
        found = real(*arguments)
        for one in found.values():
            assert one.program is not None
            functions = {**one.program.functions, "customer_is_verified": lambda facts: False}
            object.__setattr__(one.program, "functions", functions)
        return found

    monkeypatch.setattr(proof, "found_flows", stricter)
    ran = run("replay", ids[BIG], "--db", log)
    assert ran.code == 1
    assert "the first at event 38" in ran.words
    assert 'target recorded "refund_details"; today "human_desk"' in ran.words
    found = run("replay", ids[BIG], "--db", log, "--json").json
    assert (found["same"], found["replayed"][0]["first"]["version"]) == (False, 38)


def test_replay_needs_to_be_told_what(run: Any, log: Path) -> None:
    """Neither ids nor --all is a wrong call, and both are, too."""
    for arguments in ((), ("--all", "abc")):
        ran = run("replay", *arguments, "--db", log)
        assert ran.code == 2
        assert "Give the beginnings of their ids, or --all." in ran.words


def test_an_id_that_is_unknown_or_not_enough_is_a_wrong_call(run: Any, log: Path, ids: Any) -> None:
    """The fix says how to find it, or to say more."""
    unknown = run("log", "zzzz", "--db", log)
    assert unknown.code == 2
    assert "There is no conversation 'zzzz' in this log." in unknown.words
    first = next(one for one in "0123456789abcdef" if sum(i.startswith(one) for i in ids.values()) > 1)
    several = run("log", first, "--db", log)
    assert several.code == 2
    assert "Give more of the id." in several.words


@pytest.mark.parametrize("command", [("log",), ("verify",), ("replay", "--all"), ("tasks",)])
def test_a_log_that_is_not_there_is_not_made(run: Any, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Looking never creates a database; with --json the error is the document."""
    path = tmp_path / "none.db"
    ran = run(*command, "--db", path)
    assert ran.code == 2
    assert "There is no log in this place." in ran.words
    assert not path.exists()
    found = run(*command, "--db", path, "--json")
    assert found.code == 2
    assert found.json["error"]["code"] == "setup"
    assert set(found.json["error"]) == {"code", "what", "where", "fix", "faults"}


def test_a_file_that_is_no_log_is_refused(run: Any, tmp_path: Path) -> None:
    """A text file is no database, and is left as it was."""
    path = tmp_path / "notes.db"
    path.write_text("shopping list " * 100)
    ran = run("verify", "--db", path)
    assert ran.code in (1, 2)
    assert "fix" in ran.words
    assert path.read_text() == "shopping list " * 100
