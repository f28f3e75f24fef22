"""tasks, decide and resolve: people at the command line."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.examples.bank.code import LEDGER
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.wiring import open_log

DESK = "Somebody who is not the holder of the account"


def test_open_tasks_are_listed_with_how_to_decide_them(run: Any, log: Path, ids: Any) -> None:
    """The most urgent first, with the decisions each takes."""
    found = run("tasks", "--db", log, "--json").json["tasks"]
    assert {one["conversation"] for one in found} >= {ids[DESK]}
    assert set(found[0]) == {"conversation", "task", "role", "decisions", "state", "facts", "shows", "due"}
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
    assert set(found) == {"conversation", "taken", "refused", "decisions", "state", "standing", "replies", "events"}
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
    server: SqliteStore = open_log(log)
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
    """Each fact that the flow shows, in words; an erased text says that it is."""
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
    assert {"name": "full_name", "says": "[erased]"} in run("tasks", "--db", db, "--json").json["tasks"][0]["shows"]


def test_an_unknown_decision_is_answered_with_those_there_are(run: Any, asked: tuple[Path, str, int]) -> None:
    """In words and in the document."""
    db, stream, task = asked
    arguments = ("decide", stream[:8], task, "maybe", "--as", "anna", "--role", "refund_approver", "--db", db)
    ran = run(*arguments)
    assert ran.code == 1
    assert "the task knows no such decision; it takes approved or rejected" in ran.words
    assert run(*arguments, "--json").json["decisions"] == ["approved", "rejected"]
