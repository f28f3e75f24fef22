"""log --at, replay --step, replay --routes, diff: what they show, what their documents hold, and what they refuse."""

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.examples import bank

BIG = "A large refund: a question in between, then a person approves"
SLIP = "A small refund: two facts at once, a slip put right, paid by code"
SILENT = "Somebody who is not the holder of the account"


def version_of(run: Any, log: Path, stream: str, kind: str, number: int = 0) -> int:
    events = run("log", stream, "--db", log, "--json").json["events"]
    found: list[int] = [one["version"] for one in events if one["type"] == kind]
    return found[number]


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """The bank as a project of its own, to be changed."""
    folder = tmp_path / "bank"
    shutil.copytree(Path(bank.__file__).parent, folder, ignore=shutil.ignore_patterns("__pycache__", "__init__.py"))
    return folder


# -- log --at -------------------------------------------------------------------------------------------


def test_how_it_stood_after_an_event(run: Any, log: Path, ids: Any) -> None:
    """State, facts, limits used, what it waits for, what is in hand: as the event left it, not as it ended."""
    at = version_of(run, log, ids[BIG], "task_opened")
    found = run("log", ids[BIG], "--db", log, "--at", at, "--json").json
    assert (found["at"], found["type"], found["state"], found["kind"], found["status"]) == (
        at, "task_opened", "approve_refund", "human", "open",
    )  # fmt: skip
    facts = {one["name"]: (one["says"], one["source"]) for one in found["facts"]}
    assert facts["amount"] == ("€250.00", "message")
    assert facts["full_name"] == ("sealed", "message")
    assert facts["verified"] == ("yes", "tool")
    used = {one["limit"]: (one["used"], one["maximum"], one["of"]) for one in found["limits"]}
    assert used["tool_calls"] == (1, 8, "turn")
    assert used["steps"][0] > 0
    assert set(found) == {
        "id", "at", "type", "time", "says", "state", "kind", "status", "flow", "version", "digest", "turn", "waits",
        "facts", "limits", "pending", "queue", "digressions", "children", "label", "candidates",
    }  # fmt: skip
    ran = run("log", ids[BIG], "--db", log, "--at", at)
    assert "the amount is" not in ran.words
    assert f"Folded from {at + 1} entries: no code, model or clock was needed." in ran.words
    assert "Maria" not in ran.out
    assert "Maria Keller" in run("log", ids[BIG], "--db", log, "--at", at, "--texts").out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_effects_in_hand_and_digressions_are_shown(run: Any, log: Path, ids: Any) -> None:
    asked = version_of(run, log, ids[BIG], "agent_requested")
    found = run("log", ids[BIG], "--db", log, "--at", asked, "--json").json
    assert found["digressions"] == ["identify_refund"]
    assert found["pending"] == [
        {"effect": asked, "asks": "account_adviser", "kind": "agent", "state": "advise_account", "attempt": 1}
    ]
    assert "agent account_adviser, begun at event" in run("log", ids[BIG], "--db", log, "--at", asked).words


def test_every_prefix_is_the_fold_of_its_events(run: Any, log: Path, ids: Any) -> None:
    """The law behind --at: the last event's standing is what `interlock log` lists."""
    listed = {one["id"]: one for one in run("log", "--db", log, "--json").json["conversations"]}
    for stream, one in listed.items():
        found = run("log", stream, "--db", log, "--at", one["events"] - 1, "--json").json
        assert (found["state"], found["status"], found["turn"]) == (one["state"], one["status"], one["turns"])


def test_an_event_that_is_not_there_is_refused(run: Any, log: Path, ids: Any) -> None:
    ran = run("log", ids[SILENT], "--db", log, "--at", 999)
    assert ran.code == 2
    assert "There is no event 999: the conversation has" in ran.words


# -- replay --step --------------------------------------------------------------------------------------


def test_a_walk_reads_its_commands_from_a_pipe(run: Any, log: Path, ids: Any) -> None:
    """Next, back, a number, the next transition, the next message, nonsense, quit."""
    moved = version_of(run, log, ids[BIG], "transition_taken")
    ran = run("replay", "--step", ids[BIG], "--db", log, stdin=f"n\nb\nt\nm\n{moved}\nwhat\n999\nq\nn\n")
    assert ran.code == 0
    shown = [line.split()[2] for line in ran.out.splitlines() if line.startswith("── event")]
    assert shown[:4] == ["0", "1", "0", str(moved)]
    assert shown[5] == str(moved)
    assert len(shown) == 6, "after q nothing is shown"
    assert "'what' is no command: n next, b back" in ran.words
    assert "There is no event 999: the last one is" in ran.words
    assert "greeting → triage on message" in ran.words


def test_a_walk_shows_the_rows_that_were_tried(run: Any, log: Path, ids: Any) -> None:
    """Each with its condition, where it leads, its clause, and what its guard said."""
    events = run("log", ids[BIG], "--db", log, "--json").json["events"]
    row = next(one for one in events if one["data"].get("target") == "approve_refund")
    ran = run("replay", "--step", ids[BIG], "--db", log, "--texts", stdin=f"{row['version']}\n")
    words = ran.words
    for said in ("only if", "approve_refund RF-4 holds", "RF-5 not", "reached", "context", "amount = €250.00"):
        assert said in words, said
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_walk_is_through_one_conversation(run: Any, log: Path, ids: Any) -> None:
    for named in ((), (ids[BIG], ids[SLIP])):
        ran = run("replay", "--step", *named, "--db", log)
        assert (ran.code, "A walk goes through one conversation." in ran.words) == (2, True)


def test_a_walk_ends_where_it_cannot_go_on(run: Any, log: Path, ids: Any) -> None:
    ran = run("replay", "--step", ids[BIG], "--db", log, stdin="b\n99\nt\n")
    assert "This is the first event." in ran.words
    last = run("log", ids[BIG], "--db", log, "--json").json["events"][-1]["version"]
    ran = run("replay", "--step", ids[BIG], "--db", log, stdin=f"{last}\nn\nt\nm\n")
    assert "This is the last event. No transition follows. No message follows." in ran.words


def test_a_walk_says_where_todays_code_decides_otherwise(run: Any, log: Path, ids: Any, another: Path) -> None:
    """A guard that became stricter shows at the first event it touches."""
    code = another / "code.py"
    code.write_text(code.read_text().replace("amount <= limit * 100", "amount <= limit * 10"))
    events = run("log", ids[SLIP], "--db", log, "--json").json["events"]
    paid = next(one["version"] for one in events if one["data"].get("target") == "pay_refund")
    ran = run("replay", "--step", ids[SLIP], "--db", log, "--flow", another, stdin=f"{paid}\n")
    assert "Today's code decides otherwise here:" in ran.words
    assert '"target":"approve_refund"' in ran.out.replace("\n", "").replace("   ", "").replace("  ", "")
    replayed = run("replay", ids[SLIP], "--db", log, "--flow", another, "--json")
    assert replayed.code == 1
    (one,) = replayed.json["replayed"]
    assert one["first"]["version"] == paid
    assert "the flow's code" in one["code_today"]
    assert "was decided by other code: the flow's code" in run(
        "replay", ids[SLIP], "--db", log, "--flow", another
    ).words  # fmt: skip


def test_the_same_code_is_not_named(run: Any, log: Path, ids: Any) -> None:
    (one,) = run("replay", ids[SLIP], "--db", log, "--json").json["replayed"]
    assert (one["code_today"], one["flow_today"]) == (None, None)


# -- replay --routes ------------------------------------------------------------------------------------


def test_every_recorded_message_is_routed_the_same(run: Any, log: Path) -> None:
    ran = run("replay", "--routes", "--all", "--db", log, "--json")
    assert ran.code == 0
    found = ran.json
    assert found["same"]
    assert found["standings"] == {"same": found["decisions"], "other": 0, "needs_model": 0, "erased": 0, "no_router": 0}
    assert found["decisions"] > 20
    assert found["artefacts"]["recorded"] == found["artefacts"]["today"] != []


def test_a_changed_threshold_moves_exactly_what_it_says(run: Any, log: Path, another: Path) -> None:
    """The messages whose best score lies below it, and no other: with both scores of the first."""
    flow = another / "flow.yaml"
    text = flow.read_text()
    assert "threshold:" in text
    flow.write_text(re.sub(r"(?m)^(\s+threshold: ).*$", r'\g<1>"0.97"', text))
    before = run("replay", "--routes", "--all", "--db", log, "--json").json
    ran = run("replay", "--routes", "--all", "--db", log, "--flow", another, "--json")
    assert ran.code == 1
    found = ran.json
    assert found["first"] == found["others"][0]
    expected = set()
    for one in run("log", "--db", log, "--json").json["conversations"]:
        for event in run("log", one["id"], "--db", log, "--json").json["events"]:
            data = event["data"]
            if event["type"] == "routing_decided" and data["decision"]["stage"] == "classifier":
                best = float(data["evidence"]["scores"][0]["score"])
                if data["decision"]["outcome"] != "unsure" and best < 0.97:
                    expected.add((one["id"], event["version"]))
    assert expected
    assert {(one["id"], one["version"]) for one in found["others"]} == expected
    assert all(one["today"]["outcome"] != one["recorded"]["outcome"] for one in found["others"])
    assert found["decisions"] == before["decisions"]
    words = run("replay", "--routes", "--all", "--db", log, "--flow", another).words
    assert "today" in words
    assert "re-routed" in words


def test_an_erased_message_is_reported_and_never_guessed(run: Any, log: Path, ids: Any) -> None:
    with closing(sqlite3.connect(log)) as connection:
        connection.execute("DROP TRIGGER IF EXISTS payload_no_delete")
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'payload'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("DELETE FROM payload WHERE stream = ? AND name = 'message'", (ids[BIG],))
        connection.commit()
    ran = run("replay", "--routes", ids[BIG], "--db", log, "--json")
    assert ran.json["standings"]["erased"] == ran.json["decisions"] > 0
    assert ran.json["standings"]["same"] == 0
    assert "could not be read: erased, and not guessed" in run("replay", "--routes", ids[BIG], "--db", log).words


# -- diff -----------------------------------------------------------------------------------------------


def test_two_conversations_side_by_side(run: Any, log: Path, ids: Any) -> None:
    """The first difference, then both, aligned: each event of either stands once, in its order."""
    ran = run("diff", ids[BIG], ids[SLIP], "--db", log, "--json")
    assert ran.code == 1
    found = ran.json
    events = found["events"]
    for side, stream in (("a", ids[BIG]), ("b", ids[SLIP])):
        versions = [one[side] for one in events if one[side] is not None]
        length = len(run("log", stream, "--db", log, "--json").json["events"])
        assert versions == list(range(length))
    first = next(one for one in events if one["how"] != "same")
    assert found["first"] == {key: first[key] for key in ("a", "b", "how", "differs")}
    assert "message" in first["differs"]
    assert events[-1]["how"] == "same", "aligned again after the difference"
    ran = run("diff", ids[BIG], ids[SLIP], "--db", log)
    assert f"The first difference is event {first['a']} of {ids[BIG][:8]} and event {first['b']}" in ran.words
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_conversation_is_the_same_as_itself(run: Any, log: Path, ids: Any) -> None:
    for stream in ids.values():
        ran = run("diff", stream, stream, "--db", log, "--json")
        assert (ran.code, ran.json["same"], ran.json["first"]) == (0, True, None)
        assert run("diff", stream, "--today", "--db", log).code == 0


def test_a_conversation_beside_its_re_decision(run: Any, log: Path, ids: Any, another: Path) -> None:
    """One line of a guard changed: found at the first event it touches, and shown beside it."""
    code = another / "code.py"
    code.write_text(code.read_text().replace("amount <= limit * 100", "amount <= limit * 10"))
    ran = run("diff", ids[SLIP], "--today", "--db", log, "--flow", another, "--json")
    assert ran.code == 1
    events = run("log", ids[SLIP], "--db", log, "--json").json["events"]
    paid = next(one["version"] for one in events if one["data"].get("target") == "pay_refund")
    assert (ran.json["first"]["a"], ran.json["first"]["how"]) == (paid, "changed")
    assert "target" in ran.json["first"]["differs"]


def test_diff_needs_something_to_compare_with(run: Any, log: Path, ids: Any) -> None:
    ran = run("diff", ids[BIG], "--db", log)
    assert ran.code == 2
    assert "Say what to compare the conversation with." in ran.words
    assert "Name another one, or give --today for its re-decision." in ran.words


def test_the_ladder_is_in_the_help(run: Any) -> None:
    """Every level, with what it needs."""
    words = run("replay", "--help").words
    for said in (
        "is the log intact?",
        "fork ID --at N",
        "backtest FLOW",
        "(entries, texts, agents)",
        "guesses nothing",
    ):
        assert said in words, said
