"""The command line and child conversations: told, verified, replayed, and moved by people."""

from pathlib import Path
from typing import Any

import pytest

from interlock.persistence.sqlite_store import SqliteStore
from support.subflows import DESK, TEAM, WORKER, family_of

CODE = """
from interlock.agents.scripted import ScriptedAgent, gives
from interlock.agents.tools import tool
from interlock.contracts.agents import AgentResult
from interlock.contracts.tools import ToolContext
from interlock.fsm.code import Code

@tool(consequential=True, says="Pays once for each key.")
def pay(context: ToolContext, amount: int = 1) -> dict[str, bool]:
    return {"paid": True}

class Answer(AgentResult):
    city: str = ""

code = Code.of(tools=[pay], contracts=[Answer])

def scripted():
    return ScriptedAgent({"helper": gives(reply="Helped.")})
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    text = DESK.format(limits="{turn_seconds: 5m}", deadline="2h", unsolved="clerk", failed="clerk")
    for name, flow in (("flow", text), ("team", TEAM), ("worker", WORKER)):
        (tmp_path / f"{name}.yaml").write_text(flow.replace("version: 1\n", "version: 1\ncode: code.py\n"))
    (tmp_path / "code.py").write_text(CODE)
    return tmp_path


@pytest.fixture
def log(folder: Path, run: Any) -> Path:
    """A conversation in whose child a person is asked."""
    ran = run("chat", folder, "--db", folder / "log.db", stdin="hello\nhelp me\na person\n/quit\n")
    assert ran.code == 0, ran.out + ran.err
    return folder / "log.db"


def test_a_receipt_of_a_childs_entry_is_held_to_with_either(run: Any, log: Path, tmp_path: Path) -> None:
    """The log, and the bundle of the parent, which holds its children; the child's alone does not hold the parent's."""
    vkey = run("key", "new", "--db", log).out.strip()
    parent, child = family(log)[:2]
    for name, stream in (("parent", parent), ("child", child)):
        (tmp_path / f"{name}.receipt").write_text(run("receipt", stream, 0, "--db", log).out, "utf-8")
        assert run("export", stream, "--bundle", tmp_path / name, "--db", log).code == 0
        assert run("verify", "--db", log, "--receipt", tmp_path / f"{name}.receipt").code == 0

    def checked(bundle: str, name: str) -> Any:
        brought = ("--receipt", tmp_path / f"{name}.receipt")
        return run("verify", "--bundle", tmp_path / bundle, "--vkey", vkey, *brought)

    codes = [checked(bundle, name).code for bundle in ("parent", "child") for name in ("parent", "child")]
    assert codes == [20, 20, 3, 20]
    said = f"is of the conversation {parent}, which is not in this bundle: ask for one that holds it."
    assert said in checked("child", "parent").words


def family(log: Path) -> list[str]:
    store = SqliteStore(log)
    try:
        (top,) = [one.stream for one in store.summaries() if one.flow_name == "desk"]
        return family_of(store, top)
    finally:
        store.close()


def test_the_customer_talks_to_the_child_through_its_parent(log: Path, folder: Path, run: Any) -> None:
    """What the child replies is shown; a person's task in it is decided from the same chat."""
    top = family(log)[0]
    ran = run("chat", folder, "--db", log, "--resume", top[:8], stdin="/approve\n/quit\n")
    assert "It was paid." in ran.words
    assert "The team is done." in ran.words
    assert "Anything else?" in ran.words
    assert len(family(log)) == 3


def test_the_log_names_parent_and_child(log: Path, run: Any) -> None:
    top, team = family(log)
    told = run("log", top, "--db", log, "--texts").words
    assert f"begins child {team} on team v1" in told
    assert "(forwarded to the child conversation)" in told
    assert "replies: “Somebody looks at it.”" in told
    assert f"starts on team v1 in asking, as a child of {top}" in run("log", team, "--db", log).words
    listed = {one["id"]: one for one in run("log", "--db", log, "--json").json["conversations"]}
    assert (listed[top]["child"], listed[top]["undecided"], listed[team]["parent"]) == (team, 0, top)
    assert f"its child {team[:8]}" in run("log", "--db", log).words


def test_a_task_in_a_child_is_listed_decided_and_heard_of(log: Path, run: Any) -> None:
    top, team = family(log)
    (task,) = run("tasks", "--db", log, "--json").json["tasks"]
    assert task["conversation"] == team
    ran = run("decide", team[:8], task["task"], "approve", "--as", "ann", "--role", "clerk", "--db", log, "--json")
    assert (ran.code, ran.json["state"]) == (0, "solved")
    listed = {one["id"]: one for one in run("log", "--db", log, "--json").json["conversations"]}
    assert (listed[top]["state"], listed[top]["child"]) == ("more", None)


def test_verify_replay_and_doctor_hold_for_the_whole_family(log: Path, run: Any) -> None:
    """Three logs after the decision; nothing is taken for undone."""
    team = family(log)[1]
    (task,) = run("tasks", "--db", log, "--json").json["tasks"]
    run("decide", team[:8], task["task"], "approve", "--as", "ann", "--role", "clerk", "--db", log)
    verified = run("verify", "--db", log, "--json").json
    assert (verified["ok"], verified["conversations"]) == (True, 3)
    replayed = run("replay", "--all", "--db", log, "--json").json
    assert (replayed["same"], replayed["conversations"], replayed["divergences"]) == (True, 3, 0)
    assert "no effect was begun and not ended" in run("doctor", "--db", log).words


def test_an_open_child_is_nothing_undone(log: Path, run: Any) -> None:
    """The parent waits for it, and that is all."""
    assert "no effect was begun and not ended" in run("doctor", "--db", log).words


def test_the_picture_and_the_description_show_the_subflow(folder: Path, run: Any) -> None:
    assert "subflow team" in run("draw", folder).out
    words = run("check", folder, "--describe").words
    assert (
        "working (subflow): runs the flow team v1 as a child conversation, given city and amount, which returns paid "
        "and note; it ends in solved or unsolved, at most 2 hours."
    ) in words
    assert "broken (final): says “We are sorry.”, ends the conversation, as a failure." in words
    assert "At most 3 child conversations inside one another." in words


def test_an_error_is_told_with_the_way_it_came_up(folder: Path, run: Any) -> None:
    (folder / "code.py").write_text(CODE.replace('return {"paid": True}', 'raise RuntimeError("no")'))
    log = folder / "log.db"
    run("chat", folder, "--db", log, stdin="hello\npay\n/quit\n")
    top = family(log)[0]
    told = run("log", top, "--db", log).words
    assert "the child ended in unsolved: failed in worker.pay → team.paying → desk.working" in told


def test_a_bundle_of_a_conversation_holds_its_children(log: Path, run: Any, tmp_path: Path) -> None:
    """One of the child alone says whose child it is."""
    top, team = family(log)
    assert run("key", "new", "--db", log).code == 0
    case = run("export", top[:8], "--bundle", tmp_path / "case", "--db", log, "--json").json
    assert (case["faults"], case["conversations"], case["not_in_the_bundle"]) == ([], 2, [])
    alone = run("export", team[:8], "--bundle", tmp_path / "alone", "--db", log, "--json").json
    assert (alone["faults"], alone["conversations"], alone["not_in_the_bundle"]) == ([], 1, [top])
    assert f"The parent of {team} (event 0), {top}, is not in this bundle." in alone["says"]
