"""import: what it says, what it leaves out or refuses, and how the other commands tell such conversations."""

import json
from pathlib import Path
from typing import Any

import pytest

CHAT = {
    "messages": [
        {"role": "user", "content": "Please cancel my order"},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "cancel_order", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "cancelled"},
    ]
}


@pytest.fixture
def chats(tmp_path: Path) -> Path:
    path = tmp_path / "chats.jsonl"
    path.write_text(json.dumps(CHAT) + "\n{broken\n" + json.dumps({"messages": []}) + "\n", "utf-8")
    return path


def test_a_file_with_malformed_lines_is_refused_whole(run: Any, tmp_path: Path, chats: Path) -> None:
    """Each line by its number; nothing is imported, and the exit code says so."""
    db = tmp_path / "log.db"
    ran = run("import", chats, "--as", "openai", "--db", db)
    assert ran.code == 1
    assert "line 2: it is not JSON: Expecting property name" in ran.words
    assert "line 3: messages: there are no messages" in ran.words
    assert (
        "2 malformed records: nothing was imported. Mend the file, or leave such records out with --skip." in ran.words
    )
    document = run("import", chats, "--as", "openai", "--db", db, "--json").json
    assert (document["refused"], document["imported"], document["malformed"]) == (True, 0, 2)
    assert [one["number"] for one in document["faults"]] == [2, 3]
    assert run("log", "--db", db, "--json").json["conversations"] == []


def test_what_is_whole_is_imported_where_it_was_asked(run: Any, tmp_path: Path, chats: Path) -> None:
    """--skip leaves malformed lines out; the second time everything is there already."""
    db = tmp_path / "log.db"
    ran = run("import", chats, "--as", "openai", "--skip", "--db", db)
    assert ran.code == 0
    assert "1 conversation imported with 3 messages and 1 tool call; 2 malformed records left out" in ran.words
    assert "0 conversations imported with 0 messages and 0 tool calls; 1 more in the log already" in (
        run("import", chats, "--as", "openai", "--skip", "--db", db).words
    )


def test_an_imported_conversation_is_told_as_such(run: Any, tmp_path: Path, chats: Path) -> None:
    """In the list, in its own telling with texts and without, by verify, by replay and by doctor."""
    db, marks = tmp_path / "log.db", tmp_path / "marks.yaml"
    marks.write_text("marks: {asks: {role: customer, text: please}, cancels: {tool: cancel_order}}", "utf-8")
    run("import", chats, "--as", "openai", "--skip", "--marks", marks, "--db", db)
    (one,) = run("log", "--db", db, "--json").json["conversations"]
    assert (one["flow"], one["version"], one["status"], one["events"], one["turns"]) == ("imported", 0, "ended", 4, 1)
    assert " imported imported 4 1 " in run("log", "--db", db).words
    told = run("log", one["id"][:8], "--db", db, "--texts").words
    assert "imported: led elsewhere, by no flow" in told
    assert "imported from an OpenAI chat record: 3 messages, led elsewhere; nothing here was decided by a flow" in told
    assert "customer: “Please cancel my order” · marked asks" in told
    assert "the agent there: calls cancel_order “{}” · marked cancels" in told
    assert "cancel_order gave “cancelled”" in told
    assert "cancel my order" not in run("log", one["id"], "--db", db).out
    assert run("verify", "--db", db).code == 0
    replayed = run("replay", "--all", "--db", db)
    assert replayed.code == 0
    assert replayed.words == "· 1 conversation imported: nothing to decide again"
    document = run("replay", "--all", "--db", db, "--json").json
    assert (document["same"], document["decisions"], document["replayed"][0]["imported"]) == (True, 0, True)
    assert run("doctor", "--db", db, "--json").code == 0


def test_marks_that_cannot_be_read_import_nothing(run: Any, tmp_path: Path, chats: Path) -> None:
    """A missing file is a wrong call, faults in one are faults; no log is made."""
    ran = run("import", chats, "--as", "openai", "--marks", tmp_path / "none.yaml", "--db", tmp_path / "log.db")
    assert ran.code == 2
    assert "The marks cannot be read: No such file or directory." in ran.words
    faulty = tmp_path / "faulty.yaml"
    faulty.write_text("marks: {a: {text: '('}}", "utf-8")
    ran = run("import", chats, "--as", "openai", "--marks", faulty, "--db", tmp_path / "log.db")
    assert ran.code == 1
    assert "M107 '(' is not a regular expression" in ran.words
    assert not (tmp_path / "log.db").exists()


def test_imported_messages_are_routed_beside_decisions_and_never_among_them(
    run: Any, log: Path, tmp_path: Path
) -> None:
    """With a flow they are measured; what the log decided is counted as without them, and decides the exit code."""
    alone = run("replay", "--routes", "--all", "--db", log, "--json").json
    assert alone["imported"] is None
    path = tmp_path / "said.jsonl"
    record = {"label": "transfer", "messages": [{"role": "user", "content": "my card has not arrived yet"}]}
    path.write_text(json.dumps(record), "utf-8")
    run("import", path, "--as", "openai", "--db", log)
    ran = run("replay", "--routes", "--all", "--db", log, "--json")
    assert ran.json == {**alone, "imported": {"conversations": 1, "decided": False}}
    ran = run("replay", "--routes", "--all", "--db", log, "--flow", "bank", "--label-at", "label", "--json")
    assert ran.code == 0, "a label of a record that differs is no decision that differs"
    found = ran.json["imported"]
    assert {**ran.json, "imported": None} == alone
    assert (found["decided"], found["router"], found["outcomes"]["card"]) == (False, "triage", 1)
    assert (found["compared"], found["agreed"], found["moved"]) == (
        1, 0, [{"from": "transfer", "to": "card", "count": 1}],
    )  # fmt: skip
    (one,) = found["differences"]
    assert (one["version"], one["labels"], one["today"]["outcome"]) == (1, ["transfer"], "card")
    assert one["scores"].keys() == {"transfer", "card"}
    words = run("replay", "--routes", "--all", "--db", log, "--flow", "bank", "--label-at", "label").words
    assert "1 conversation imported: 1 message of customers through the router triage of bank v1" in words
    assert "Measured today; nobody decided on it." in words
    assert f"{alone['conversations']} conversations: {alone['decisions']} routing decisions" in words


def test_a_router_without_its_flow_is_a_wrong_call(run: Any, log: Path) -> None:
    ran = run("replay", "--routes", "--all", "--db", log, "--router", "triage")
    assert ran.code == 2
    assert "--router and --label-at speak of a flow, and none is named." in ran.words
    assert "Name it with --flow." in ran.words


def test_an_unknown_format_is_a_wrong_call(run: Any, tmp_path: Path, chats: Path) -> None:
    """The formats are listed."""
    ran = run("import", chats, "--as", "csv", "--db", tmp_path / "log.db")
    assert ran.code == 2
    assert "'openai', 'tau'" in ran.words


@pytest.mark.parametrize(
    "command",
    [
        ("fork", "ID", "--at", "1"),
        ("diff", "ID", "--today"),
        ("export", "ID"),
        ("chat", "bank", "--resume", "ID"),
        ("migrate", "ID", "--to", "bank"),
        ("replay", "ID", "--step"),
    ],
)
def test_what_is_not_done_with_an_imported_conversation(run: Any, tmp_path: Path, command: tuple[str, ...]) -> None:
    """Everywhere the same sentence, and what can be done with it; nothing is written."""
    chats, db = tmp_path / "chats.jsonl", tmp_path / "log.db"
    chats.write_text(json.dumps({"messages": [{"role": "user", "content": "Hello"}]}) + "\n", "utf-8")
    assert run("import", chats, "--as", "openai", "--db", db).code == 0
    stream = run("log", "--db", db, "--json").json["conversations"][0]["id"]
    ran = run(*(stream if one == "ID" else one for one in command), "--db", db)
    assert ran.code == 2
    assert (
        "It was imported: it was led elsewhere, and there is no flow to go on with or to decide it again by."
    ) in ran.words
    assert f"`interlock audit {stream[:8]} --policies FILE` judges it" in ran.words
    assert len(run("log", "--db", db, "--json").json["conversations"]) == 1
