"""audit: policies over the demo's log and over imported conversations, and what broke them."""

import json
from pathlib import Path
from typing import Any

import pytest

STRICT = """policies:
  nobody_is_paid:
    says: Nothing is paid at all.
    never: pay_refund
  person_before_paid:
    says: A person approves every refund.
    never: tool:pay_refund
    unless_before: decided:approve_refund.approved
  every_message_ends_well:
    says: Whoever writes gets to a good end.
    every: message
    then: end:goodbye
  nobody_flies:
    says: Nobody flies.
    at_most: {fly: 1}
"""
CHAT = {
    "messages": [
        {"role": "user", "content": "Please cancel my order"},
        {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "cancel_order", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "a", "content": "cancelled"},
    ]
}


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    path = tmp_path / "strict.yaml"
    path.write_text(STRICT, "utf-8")
    return path


def test_the_demo_keeps_the_policies_of_its_flow(run: Any, log: Path) -> None:
    """Without arguments each conversation is judged by the flow it began on; and again by the flow as it stands."""
    for arguments in ((), ("--flow", "bank")):
        ran = run("audit", "--db", log, *arguments)
        assert ran.code == 0, ran.words
        assert "known_before_paid" in ran.words
        found = run("audit", "--db", log, "--json", *arguments).json
        assert found["breaches"] == []
        by_name = {one["name"]: one for one in found["policies"]}
        assert by_name["known_before_paid"]["kept"] > 0
        assert by_name["known_before_paid"]["broken"] == 0


def test_a_file_of_policies_finds_the_event_that_broke_each(run: Any, log: Path, strict: Path) -> None:
    """With its version, time and what happened; exit 1."""
    ran = run("audit", "--db", log, "--policies", strict)
    assert ran.code == 1
    found = run("audit", "--db", log, "--policies", strict, "--json").json
    by_name = {one["name"]: one for one in found["policies"]}
    assert by_name["nobody_is_paid"]["broken"] > 0
    assert by_name["nobody_flies"]["not_tested"] == found["conversations"]
    assert by_name["person_before_paid"]["kept"] > 0
    (first, *_) = (one for one in found["breaches"] if one["policy"] == "nobody_is_paid")
    told = run("log", first["conversation"], "--db", log, "--json").json
    event = told["events"][first["version"]]
    assert (event["type"], event["data"]["target"]) == ("transition_taken", "pay_refund")
    assert first["at"] == event["at"]
    assert first["what"] == "entering pay_refund"
    assert f"{first['conversation'][:8]} event {first['version']}" in ran.words


def test_what_is_owed_at_the_end_names_since_when(run: Any, log: Path, strict: Path) -> None:
    found = run("audit", "--db", log, "--policies", strict, "--json").json
    owed = [one for one in found["breaches"] if one["policy"] == "every_message_ends_well"]
    counted = next(one for one in found["policies"] if one["name"] == "every_message_ends_well")
    assert counted["open"] > 0
    for one in owed:
        assert one["what"] == f"the end came, and what is owed since event {one['since']} had not"
        assert one["since"] < one["version"]


def test_named_conversations_are_judged_alone(run: Any, log: Path, strict: Path, ids: Any) -> None:
    chosen = next(iter(ids.values()))
    found = run("audit", chosen[:12], "--db", log, "--policies", strict, "--json").json
    assert found["conversations"] == 1
    assert {one["conversation"] for one in found["breaches"]} <= {chosen}


def test_imported_conversations_are_judged_too(run: Any, tmp_path: Path) -> None:
    """By words that they have: messages, tools asked and done, and marks."""
    chats, db, rules = tmp_path / "chats.jsonl", tmp_path / "log.db", tmp_path / "rules.yaml"
    chats.write_text(json.dumps(CHAT) + "\n", "utf-8")
    rules.write_text(
        "policies:\n  asked_first: {says: A yes comes first., never: cancel_order, unless_before: mark:yes}\n"
        "  done: {says: It is done., every: tool:cancel_order, then: done:cancel_order}\n"
        "  said: {says: It is said., must: mark:goodbye}\n",
        "utf-8",
    )
    assert run("import", chats, "--as", "openai", "--db", db).code == 0
    ran = run("audit", "--db", db, "--policies", rules, "--json")
    assert ran.code == 1
    by_name = {one["name"]: one for one in ran.json["policies"]}
    assert (by_name["asked_first"]["broken"], by_name["done"]["kept"], by_name["said"]["broken"]) == (1, 1, 1)
    ran = run("audit", "--db", db)
    assert ran.code == 0
    assert "No conversation here has policies: give --flow FLOW, or --policies FILE." in ran.words


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("policies: {}\n", "R202 The file has no policies. fix Write `policies:` with a name and a rule."),
        ("- a\n", "R203 The file holds a list, not policies. fix Start with `policies:`."),
        ("rules: {}\n", "R201 The key 'rules' is unknown here. fix Allowed here: 'policies'."),
        ("policies:\n  9a: {says: x, must: y}\n", "R204 '9a' is not a name."),
        ("policies:\n  a: {must: y}\n", "R202 'policies.a' has no 'says'. fix Write `says: …`."),
        (
            "policies:\n  a: {says: It is., must: y, never: z}\n",
            "S261 The policy 'a' is several rules: 'never', 'must'.",
        ),
    ],
)
def test_a_file_that_holds_no_policies_says_why(run: Any, log: Path, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "policies.yaml"
    path.write_text(text, "utf-8")
    ran = run("audit", "--db", log, "--policies", path)
    assert ran.code == 1
    assert "The file of policies has 1 fault." in ran.words
    assert says in ran.words


def test_calls_that_cannot_be_are_refused(run: Any, log: Path, strict: Path) -> None:
    ran = run("audit", "--db", log, "--policies", strict, "--flow", "bank")
    assert (ran.code, "Both --flow and --policies stand here." in ran.words) == (2, True)
    ran = run("audit", "--db", log, "--policies", strict.with_name("none.yaml"))
    assert (ran.code, "cannot be read: No such file" in ran.words) == (2, True)
    ran = run("audit", "--db", log, "--flow", "patterns/router")
    assert (ran.code, "The flow 'router' has no policies." in ran.words) == (2, True)


def test_forks_are_left_out_unless_asked_for(run: Any, log: Path, strict: Path, ids: Any) -> None:
    """Said so; a fork that is named is judged."""
    before = run("audit", "--db", log, "--policies", strict, "--json").json
    chosen = next(iter(ids.values()))
    length = len(run("log", chosen, "--db", log, "--json").json["events"])
    fork = run("fork", chosen, "--at", length, "--db", log, "--json").json["id"]
    after = run("audit", "--db", log, "--policies", strict, "--json").json
    assert after == {**before, "forks": 1}
    assert "1 fork left out (--forks takes them)" in run("audit", "--db", log, "--policies", strict).words
    whole = run("audit", "--forks", "--db", log, "--policies", strict, "--json").json
    assert (whole["conversations"], whole["forks"]) == (before["conversations"] + 1, 0)
    assert run("audit", fork, "--db", log, "--policies", strict, "--json").json["conversations"] == 1


def test_the_numbers_are_said_in_words(run: Any, log: Path, strict: Path) -> None:
    """A bare prohibition is never kept: what it forbids happened and broke it, or did not happen."""
    ran = run("audit", "--db", log, "--policies", strict)
    assert "kept: what it speaks of happened, and as it says." in ran.words
    assert "not put to the test: nothing that it speaks of happened" in ran.words
    found = run("audit", "--db", log, "--policies", strict, "--json").json
    paid = next(one for one in found["policies"] if one["name"] == "nobody_is_paid")
    assert paid["kept"] == 0
    assert paid["broken"] + paid["not_tested"] == found["conversations"]
    for one in found["policies"]:
        assert one["kept"] + one["broken"] + one["open"] + one["not_tested"] == found["conversations"]
