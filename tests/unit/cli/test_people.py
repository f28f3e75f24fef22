"""tasks, decide and resolve: people at the command line."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.examples.bank.code import LEDGER
from interlock.service.wiring import open_log

DESK = "Somebody who is not the holder of the account"


def test_open_tasks_are_listed_with_how_to_decide_them(run: Any, log: Path, ids: Any) -> None:
    """The most urgent first, with the decisions each takes."""
    found = run("tasks", "--db", log, "--json").json["tasks"]
    assert {one["conversation"] for one in found} >= {ids[DESK]}
    assert set(found[0]) == {
        *("conversation", "task", "role", "decisions", "state", "facts", "shows", "due"),
        *("shown", "approves", "approvals", "endorsed", "issues", "signed"),
    }
    assert found == sorted(found, key=lambda one: (one["due"], one["conversation"]))
    ran = run("tasks", "--db", log)
    assert "Decide as in: interlock decide" in ran.words
    assert "resolved" in ran.words
    assert "call_back" in ran.words


def test_a_person_decides_and_the_conversation_goes_on(run: Any, log: Path, ids: Any) -> None:
    """Taken, with the reply to the customer; the task is gone, and the log still decides the same."""
    task = next(one for one in run("tasks", "--db", log, "--json").json["tasks"] if one["conversation"] == ids[DESK])
    arguments = ("decide", ids[DESK][:8], task["task"], "resolved", "--as", "anna", "--db", log)
    found = run(*arguments, "--role", "service_agent", "--reason", "Called back.", "--json").json
    assert set(found) == {
        *("conversation", "taken", "refused", "decisions", "state", "standing", "open", "replies", "events", "receipt")
    }
    assert (found["taken"], found["state"], found["standing"]) == (True, "anything_else", "waiting")
    assert found["replies"] == ["Is there anything else I can do for you?"]
    again = run(*arguments, "--role", "service_agent")
    assert again.code == 1
    assert "no such task is open there" in again.words
    assert run("replay", ids[DESK], "--db", log).code == 0
    assert (
        "anna (service_agent) decides: resolved, because “Called back.”"
        in run("log", ids[DESK], "--db", log, "--texts").words
    )


def test_somebody_without_the_role_is_refused_on_the_record(run: Any, log: Path, ids: Any) -> None:
    """Exit 1, nothing moves, and the attempt is an event."""
    task = next(one for one in run("tasks", "--db", log, "--json").json["tasks"] if one["conversation"] == ids[DESK])
    ran = run("decide", ids[DESK], task["task"], "resolved", "--as", "eve", "--role", "intern", "--db", log)
    assert ran.code == 1
    assert "the role that the task asks for is missing" in ran.words
    assert "decide by eve (intern) is refused: role missing" in run("log", ids[DESK], "--db", log).words


def test_a_name_that_cannot_stand_in_the_log_is_a_wrong_call(run: Any, log: Path, ids: Any) -> None:
    """Spaces and foreign letters are refused before anything is recorded."""
    ran = run("decide", ids[DESK], "19", "resolved", "--as", "Anna B", "--role", "service_agent", "--db", log)
    assert ran.code == 2
    assert "A name is printable ASCII without spaces" in ran.words


def test_resolving_what_is_not_undecided_is_refused(run: Any, log: Path, ids: Any) -> None:
    """Exit 1, and how to find what is."""
    ran = run("resolve", ids[DESK], "5", "done", "--db", log)
    assert ran.code == 1
    assert "no such effect is undecided there" in ran.words
    assert run("resolve", ids[DESK], "5", "perhaps", "--db", log).code == 2


def test_a_person_decides_while_another_process_has_the_log_open(run: Any, log: Path, ids: Any) -> None:
    """A store that stays open, as a server's does, sees the decision."""
    server = open_log(log)
    try:
        before = server.head(ids[DESK]).length
        task = next(
            one for one in run("tasks", "--db", log, "--json").json["tasks"] if one["conversation"] == ids[DESK]
        )
        assert (
            run("decide", ids[DESK], task["task"], "resolved", "--as", "a", "--role", "service_agent", "--db", log).code
            == 0
        )
        assert server.head(ids[DESK]).length > before
    finally:
        server.close()


@pytest.fixture
def asked(run: Any, tmp_path: Path) -> tuple[Path, str, int]:
    """A log in which a refund of €250.00 waits for approval, its conversation and its task."""
    LEDGER.start_over()  # in this process the demo may have paid the same payment back
    db = tmp_path / "asked.db"
    talk = "I would like a refund for a blender, 250 euros\nMaria Keller\n12345678\nfaulty\nyes\n"
    talked = run("chat", "bank", "--db", db, stdin=talk)
    assert "refund_approver" in talked.words
    task = run("tasks", "--db", db, "--json").json["tasks"][0]
    return db, task["conversation"], task["task"]


def test_a_task_shows_what_its_person_must_know(run: Any, asked: tuple[Path, str, int]) -> None:
    """Each fact that the flow shows, in words; a text that somebody took away says that it is missing."""
    db, _, _ = asked
    task = run("tasks", "--db", db, "--json").json["tasks"][0]
    shows = {one["name"]: one["says"] for one in task["shows"]}
    assert list(shows) == task["facts"]
    assert shows["amount"] == "€250.00"
    assert shows["full_name"] == "“Maria Keller”"
    ran = run("tasks", "--db", db)
    assert "amount: €250.00" in ran.words
    assert max(map(len, ran.out.splitlines())) <= 80
    with closing(sqlite3.connect(db)) as connection:
        connection.execute("DELETE FROM payload")
        connection.commit()
    assert {"name": "full_name", "says": "[missing]"} in run("tasks", "--db", db, "--json").json["tasks"][0]["shows"]


def test_an_unknown_decision_is_answered_with_those_there_are(run: Any, asked: tuple[Path, str, int]) -> None:
    """In words and in the document."""
    db, stream, task = asked
    arguments = ("decide", stream[:8], task, "maybe", "--as", "anna", "--role", "refund_approver", "--db", db)
    ran = run(*arguments)
    assert ran.code == 1
    assert "the task knows no such decision; it takes approved or rejected" in ran.words
    assert run(*arguments, "--json").json["decisions"] == ["approved", "rejected"]


# -- four eyes ----------------------------------------------------------------------------------------


@pytest.fixture
def two_must_approve(run: Any, tmp_path: Path) -> tuple[Path, str, int]:
    """A log in which a payment waits for two supervisors, its conversation and its task."""
    db = tmp_path / "eyes.db"
    assert run("chat", "patterns/human_in_the_loop", "--db", db, stdin="My kettle came broken\n").code == 0
    task = run("tasks", "--db", db, "--json").json["tasks"][0]
    return db, task["conversation"], task["task"]


def test_a_task_says_how_its_approval_stands(run: Any, two_must_approve: tuple[Path, str, int]) -> None:
    """What is asked, what is shown and its digest, who endorsed; the line to type has the digest in it."""
    db, stream, number = two_must_approve
    ran = run("tasks", "--db", db)
    task = run("tasks", "--db", db, "--json").json["tasks"][0]
    assert (task["approves"], task["approvals"], task["endorsed"]) == ("approved", 2, [])
    assert f"shown: {task['shown'][:16]}" in ran.words
    assert "approvals: 0 of 2" in ran.words
    assert f"--role supervisor --shown {task['shown'][:16]}" in ran.words
    assert max(map(len, ran.out.splitlines())) <= 80
    decide = ("decide", stream[:8], number, "approved", "--role", "supervisor", "--db", db)
    first = run(*decide, "--as", "anna", "--shown", task["shown"][:16])
    assert first.code == 0
    assert "approved by one; others must, too" in first.words
    assert "approvals: 1 of 2 (anna)" in run("tasks", "--db", db).words
    again = run(*decide, "--as", "anna", "--shown", task["shown"])
    assert again.code == 1
    assert "you have approved it before; somebody else must, too" in again.words
    second = run(*decide, "--as", "ben", "--shown", task["shown"], "--json")
    assert (second.json["state"], second.json["open"]) == ("paid", False)
    told = run("log", stream, "--db", db).words
    assert "anna (supervisor) approves: approved; somebody else must too" in told
    assert "calls pay_back, which changes something, as approved in task" in told
    assert "task supervisor: approved or rejected or ask_again, by 2 people" in told


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 1, "say what you were shown: `--shown` with what `interlock tasks` lists"),
        (("--shown", "ab" * 32), 1, "the facts are others than you were shown"),
        (("--shown", "abababab"), 2, "Look at it again with `interlock tasks`"),
        (("--shown", "customer"), 2, "and give at least 8 characters of what stands there"),
    ],
)
def test_an_approval_is_of_what_was_shown(
    run: Any, two_must_approve: tuple[Path, str, int], arguments: tuple[str, ...], code: int, said: str
) -> None:
    """Without the digest, or with another, nothing is approved."""
    db, stream, number = two_must_approve
    ran = run("decide", stream, number, "approved", "--as", "anna", "--role", "supervisor", "--db", db, *arguments)
    assert ran.code == code
    assert said in ran.words
    assert run("tasks", "--db", db, "--json").json["tasks"][0]["endorsed"] == []


def test_nobody_approves_their_own_request(run: Any, two_must_approve: tuple[Path, str, int]) -> None:
    """The one who wrote in the chat is the requester."""
    db, stream, number = two_must_approve
    shown = run("tasks", "--db", db, "--json").json["tasks"][0]["shown"]
    asked = ("decide", stream, number, "approved", "--role", "supervisor", "--db", db, "--shown", shown)
    ran = run(*asked, "--as", "customer")
    assert ran.code == 1
    assert "nobody approves what they asked for themselves" in ran.words
    assert "decide by customer (supervisor) is refused: requester" in run("log", stream, "--db", db).words


def test_two_people_at_one_terminal(run: Any, tmp_path: Path) -> None:
    """In the chat a decision may name who takes it; what is refused says why."""
    talk = "My kettle came broken\n/approved anna\n/approved anna\n/approved ben\n"
    ran = run("chat", "patterns/human_in_the_loop", "--db", tmp_path / "chat.db", stdin=talk)
    assert "(1 of 2 approvals)" in ran.words
    assert "decide by anna (supervisor) is refused: same person" in ran.words
    assert "is on its way" in ran.words


def test_a_task_that_is_to_be_signed_says_so(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In its row, and in the command that decides it."""
    page = (Path(__file__).parents[3] / "docs" / "people.md").read_text("utf-8")
    flow = tmp_path / "pay.yaml"
    flow.write_text(page.partition("```yaml\n")[2].partition("```")[0], "utf-8")
    assert run("chat", flow, "--db", tmp_path / "pay.db", stdin="The invoice of May\n").code == 0
    told = run("tasks", "--db", tmp_path / "pay.db")
    assert ("to be signed" in told.words, told.words.endswith("--sign KEYFILE")) == (True, True), told.words


def test_the_log_shows_who_signed_and_as_what(run: Any, tmp_path: Path) -> None:
    """Before the reason, so that nothing that was typed stands in its place."""
    page = (Path(__file__).parents[3] / "docs" / "people.md").read_text("utf-8")
    flow, db, key = tmp_path / "pay.yaml", tmp_path / "pay.db", tmp_path / "anna.key"
    flow.write_text(page.partition("```yaml\n")[2].partition("```")[0], "utf-8")
    assert run("chat", flow, "--db", db, stdin="The invoice of May\n").code == 0
    made = run("approver", "new", "anna", "--key", key, "--as", "ops", "--ground", "x", "--db", db, "--json").json
    (task,) = run("tasks", "--db", db, "--json").json["tasks"]
    asked = ("decide", task["conversation"], task["task"], task["approves"], "--as", "anna", "--role", task["role"])
    more = ("--shown", task["shown"], "--reason", "fine”, signed by bert", "--db", db)
    assert run(*asked, "--sign", key, "--meaning", "I approve”: this", *more).code == 0
    told = run("log", task["conversation"], "--texts", "--db", db).words
    says = f'decides: approved, signed by anna with the key {made["key"][:16]}… as “I approve": this”, because'
    assert says in told, told


def test_a_fork_of_a_signed_decision_holds(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its signature is of the parent's entries: it is judged there, and not called false in the fork."""
    monkeypatch.delenv("INTERLOCK_SIGNING_KEY", raising=False)
    page = (Path(__file__).parents[3] / "docs" / "people.md").read_text("utf-8")
    flow, db, key = tmp_path / "pay.yaml", tmp_path / "pay.db", tmp_path / "anna.key"
    flow.write_text(page.partition("```yaml\n")[2].partition("```")[0], "utf-8")
    assert run("chat", flow, "--db", db, stdin="The invoice of May\n").code == 0
    run("approver", "new", "anna", "--key", key, "--as", "ops", "--ground", "x", "--db", db)
    (task,) = run("tasks", "--db", db, "--json").json["tasks"]
    asked = ("decide", task["conversation"], task["task"], task["approves"], "--as", "anna", "--role", task["role"])
    assert run(*asked, "--shown", task["shown"], "--sign", key, "--db", db).code == 0
    vkey = run("key", "new", "--db", db).out.strip()
    end = next(one["events"] for one in run("log", "--db", db, "--json").json["conversations"])
    forked = run("fork", task["conversation"], "--at", end, "--flow", flow, "--db", db)
    assert (forked.code, run("verify", "--db", db).code) == (0, 0), forked.words
    assert run("export", "--all", "--bundle", tmp_path / "b", "--db", db).code == 0
    ran = run("verify", "--bundle", tmp_path / "b", "--vkey", vkey)
    assert (ran.code, "who signed it is checked there alone." in ran.words) == (20, True), ran.words
