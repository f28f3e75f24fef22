"""The demo: everything holds, it says what is imitated, and it fails when something does not hold."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from interlock.cli import demo_play
from interlock.contracts.values import written_time


def test_everything_holds_and_the_document_says_so(demo_made: Any) -> None:
    """One JSON document with the figures that the demo is about."""
    path, found = demo_made
    assert found["held"]
    assert found["agents"]["says"] == "scripted: canned answers, no model is called"
    assert (found["agents"]["scripted"], found["agents"]["failed"]) == (True, 1)
    assert len(found["conversations"]) == 14
    assert all(one["held"] and one["as_scripted"] and one["problems"] == [] for one in found["conversations"])
    assert found["verify"]["ok"]
    assert found["tamper"]["found"]
    assert found["replay"]["divergences"] == 0
    assert found["replay"]["model_calls"] == 0
    assert found["replay"]["events"] == found["verify"]["events"] > 400
    assert found["db"] == str(path)
    assert set(found) == {"held", "flow", "agents", "db", "conversations", "verify", "tamper", "replay", "seconds"}


def test_the_demo_says_what_is_imitated_and_what_was_shown(run: Any) -> None:
    """In words: the script, the moved clock, the refused guard, the limit, the break-in, the replay."""
    ran = run("demo")
    assert ran.code == 0
    for sentence in (
        "advisers scripted: canned answers, no model is called",
        "the demo moved its clock by 16 minutes",
        "the customer is verified: does not hold, so check_refund_id → human_desk (ID-3)",
        "j.brandt (refund_approver) decides: approved",
        "j.brandt (refund_approver) decides: rejected",
        "abstains: below the threshold",
        "limit reached: handoffs, 3 of 3",
        "screened out: blocked by injection",
        "came twice with one key",
        "breaks its contract: needs_person: must be true or false",
        "the €250.00 refund reads €350.00",
        "0 divergences, 0 model calls",
        "14 of 14 customers came to where they should",
        "everything held",
    ):
        assert sentence in ran.words, sentence
    assert max(map(len, ran.out.splitlines())) <= 80


def test_a_temporary_log_is_removed_and_a_named_one_kept(run: Any, tmp_path: Path) -> None:
    """Without --db and --keep nothing is left behind, and the document names no file."""
    assert run("demo", "--json").json["db"] is None
    kept = run("demo", "--keep", "--json").json["db"]
    assert Path(kept).is_file()
    named = tmp_path / "mine.db"
    assert run("demo", "--db", named, "--json").json["db"] == str(named)
    assert named.is_file()


def test_a_customer_who_does_not_come_to_the_end_fails_the_demo(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: with one wrong expectation the demo exits with 1 and names it."""
    monkeypatch.setattr(demo_play, "_missed", lambda one, entries: ["it came elsewhere"])
    ran = run("demo")
    assert ran.code == 1
    assert "did not hold: it came elsewhere" in ran.words
    assert "something did not hold" in ran.words


def test_a_break_in_that_is_not_found_fails_the_demo(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: verification that finds nothing is reported, not passed over."""
    from interlock.cli import tampering

    monkeypatch.setattr(tampering, "_found", lambda path, stream: None)
    assert run("demo", "--json").json["tamper"]["found"] is False
    assert run("demo").code == 1


def test_no_time_of_the_demo_is_to_come_or_long_past(run: Any, tmp_path: Path) -> None:
    """The machine's clock, but for the customer for whom the demo says that it moves it."""
    before, db = written_time(datetime.now(UTC)), tmp_path / "demo.db"
    assert run("demo", "--db", db).code == 0
    found = run("log", "--db", db, "--json").json["conversations"]
    assert len(found) == 14
    assert all(before <= one["updated"] <= written_time(datetime.now(UTC)) for one in found)
    assert [one["state"] for one in found if one["started"] < before] == ["timed_out"]
