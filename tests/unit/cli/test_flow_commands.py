"""check, draw, new and chat: flows on the command line."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def shop(run: Any, tmp_path: Path) -> Path:
    """A freshly scaffolded project."""
    ran = run("new", "shop", "--in", tmp_path, "--json")
    assert ran.json["files"] == [".gitignore", "README.md", "code.py", "flow.yaml", "scripted.py", "test_flow.py"]
    assert "interlock.db*" in (tmp_path / "shop" / ".gitignore").read_text()
    assert "from interlock import ScriptedAgent" in (tmp_path / "shop" / "scripted.py").read_text()
    return tmp_path / "shop"


def test_a_new_project_checks_clean_and_its_tests_pass(run: Any, shop: Path) -> None:
    """What `new` writes is a working beginning, not a sketch."""
    assert run("check", shop).code == 0
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", str(shop)],
        capture_output=True, text=True, cwd=shop, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout


def test_a_project_is_never_overwritten(run: Any, shop: Path) -> None:
    """Exit 2; the file that was there is as it was."""
    (shop / "flow.yaml").write_text("mine")
    ran = run("new", "shop", "--in", shop.parent)
    assert ran.code == 2
    assert "nothing is overwritten" in ran.words
    assert (shop / "flow.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("name", "better"),
    [("My Shop!", "my_shop"), ("class", "class_flow"), ("../up", "up"), ("7up", "up"), ("", "orders")],
)
def test_a_bad_name_is_refused_with_a_good_one(run: Any, tmp_path: Path, name: str, better: str) -> None:
    """The fix is a command that works."""
    ran = run("new", name, "--in", tmp_path)
    assert ran.code == 2
    assert f"interlock new {better}`" in ran.words
    assert list(tmp_path.iterdir()) == []


def test_check_says_what_was_checked(run: Any) -> None:
    """Counts, digest, the kinds of fault that were looked for, and what is not looked for yet."""
    ran = run("check", "bank")
    assert ran.code == 0
    assert "bank v1: no fault: 28 states, 80 rows" in ran.words
    assert "policies known_before_paid, agreed_before_paid" in ran.words
    found = run("check", "bank", "--json").json
    assert (found["ok"], found["faults"], found["flow"]["states"]) == (True, [], 28)
    assert (found["proof"]["holds"], found["proof"]["bill"]["turn"]["calls"]) == (True, 6)


def test_check_describes_the_flow_in_english(run: Any) -> None:
    """One sentence for each row, with its clause."""
    out = run("check", "bank", "--describe").out
    assert "Flow bank, version 1. Owner: retail-bank-operations." in out
    assert "(RF-4)" in out


def test_check_shows_all_faults_with_line_and_fix(run: Any, shop: Path) -> None:
    """Exit 1; the same faults in the document."""
    flow = shop / "flow.yaml"
    text = flow.read_text()
    flow.write_text(
        text.replace("[sort,     question,", "[srt,     question,").replace(
            '{kind: wait, deadline: 30m, say: "Anything', '{kind: wait, say: "Anything'
        )
    )
    ran = run("check", shop)
    assert ran.code == 1
    assert "S111" in ran.words
    assert "Did you mean 'sort'?" in ran.words
    found = run("check", shop, "--json")
    assert found.code == 1
    codes = {one["code"]: one for one in found.json["faults"]}
    assert {"S111", "R202", "S130"} <= set(codes)
    assert codes["S111"]["line"] == 1 + text.split("[sort,     question,")[0].count("\n")
    assert run("chat", shop, "--db", shop / "log.db").code == 1


def test_a_flow_that_is_not_there_is_a_wrong_call(run: Any) -> None:
    """Exit 2, and what a flow may be named by."""
    ran = run("check", "no_such_flow")
    assert ran.code == 2
    assert "Give a flow.yaml, its folder, an installed package, or `bank`." in ran.words


def test_draw_writes_mermaid_to_stdout_and_pictures_to_files(run: Any, tmp_path: Path) -> None:
    """The ending says the format; nothing else is printed with Mermaid."""
    ran = run("draw", "bank")
    assert ran.out.splitlines()[0].startswith(("stateDiagram", "flowchart", "---", "%%"))
    for ending, beginning in (
        (".svg", b"<"),
        (".png", b"\x89PNG"),
        (".mmd", ran.out.encode()[:10]),
        (".dot", b"digraph"),
    ):
        file = tmp_path / f"bank{ending}"
        assert run("draw", "bank", "--out", file).code == 0
        assert file.read_bytes().startswith(beginning)


def test_draw_refuses_what_it_cannot_write(run: Any, tmp_path: Path) -> None:
    """An unknown ending, a PNG on the terminal, a folder that does not exist: exit 2 with the fix."""
    assert "Use .svg, .png, .dot or .mmd." in run("draw", "bank", "--out", tmp_path / "x.doc").words
    assert "Name a file with --out." in run("draw", "bank", "--format", "png").words
    assert run("draw", "bank", "--out", tmp_path / "no" / "x.svg").code == 2


def test_chat_reads_from_a_pipe(run: Any, shop: Path) -> None:
    """Messages, a person's decision by the beginning of its name, state, log, and what to do next."""
    db = shop / "log.db"
    talk = "cancel it\nB20000\nyes\n/state\n/nonsense\n/yes\n/log\nthanks, bye\n"
    ran = run("chat", shop, "--db", db, stdin=talk)
    assert ran.code == 0, ran.err
    for sentence in (
        "scripted: canned answers, no model is called",
        "Order B20000, is that the one?",
        "for clerk: /yes_cancel or /no_keep",
        "There is no command /nonsense; there are /state, /log, /receipt, /quit, /yes_cancel, /no_keep.",
        "Order B20000 is cancelled. Anything else?",
        "goodbye · ended",
        "interlock replay",
    ):
        assert sentence in ran.words, sentence
    assert run("replay", "--all", "--db", db).code == 0


def test_chat_goes_on_where_it_was_left(run: Any, shop: Path) -> None:
    """--resume takes the beginning of the id; the conversation knows what it knew."""
    db = shop / "log.db"
    run("chat", shop, "--db", db, stdin="cancel it\n/quit\n")
    conversation = run("log", "--db", db, "--json").json["conversations"][0]["id"]
    ran = run("chat", shop, "--db", db, "--resume", conversation[:8], stdin="A12345\nyes\n")
    assert "Order A12345 is cancelled." in ran.words
    assert len(run("log", "--db", db, "--json").json["conversations"]) == 1


def test_chat_starts_on_the_flow_as_it_is_now(run: Any, shop: Path) -> None:
    """After an edit without a new version number, an open older conversation does not decide what runs."""
    db, flow = shop / "log.db", shop / "flow.yaml"
    run("chat", shop, "--db", db, stdin="hmm\n")
    flow.write_text(flow.read_text().replace("Hello! I answer", "Good day! I answer"))
    assert "Good day! I answer questions" in run("chat", shop, "--db", db, stdin="/quit\n").words
    assert "stands in its file with digest" in run("replay", "--all", "--db", db).words


def test_chat_without_any_agent_says_how_to_get_one(run: Any, shop: Path) -> None:
    """No key, no server, no script: exit 2, and the three ways."""
    (shop / "scripted.py").unlink()
    ran = run("chat", shop, "--db", shop / "log.db")
    assert ran.code == 2
    assert "Set OPENAI_API_KEY, give --base-url of a compatible server, or put a `scripted.py`" in ran.words


def test_chat_refuses_a_conversation_of_another_flow(run: Any, shop: Path, log: Path, ids: Any) -> None:
    """Exit 2 with the flow to name, and not one event more."""
    stream = ids["Somebody who is not the holder of the account"]
    before = run("log", stream, "--db", log, "--json").json["events"]
    ran = run("chat", shop, "--db", log, "--resume", stream[:8], stdin="hello\n")
    assert ran.code == 2
    assert "This is a conversation of the flow 'bank', not of 'shop'." in ran.words
    assert f"`interlock chat interlock.examples.bank --resume {stream[:8]}`" in ran.words
    assert run("log", stream, "--db", log, "--json").json["events"] == before


def test_the_state_in_a_chat_is_what_is_known_now(run: Any, tmp_path: Path) -> None:
    """A corrected fact stands there once, with its last value."""
    talk = "i want my money back, not received, it was 24.50 euros\nno wait, the amount is 42.50\n/state\n"
    out = run("chat", "bank", "--db", tmp_path / "log.db", stdin=talk).words
    state = out[out.rindex("events") :]
    assert "amount: €42.50" in state
    assert "24.50" not in state
