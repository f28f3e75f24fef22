"""backtest: what it prints, the page and the documents it writes, and how it ends."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from interlock.cli.backtest_page import page
from interlock.cli.flow_picture import Flowing, sankey


class Tags(HTMLParser):
    """Which tags are open, and what the page would load."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "rect", "br"):
            self.open.append(tag)
        self.loads += [f"{tag} {value}" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def checked(text: str) -> str:
    """A page whose tags close and that loads nothing."""
    tags = Tags()
    tags.feed(text.replace("<rect ", "<rect  ").replace("/>", ">"))
    assert tags.open == []
    assert tags.loads == []
    assert "<script" not in text
    return text


def test_the_same_flow_is_the_same(run: Any, log: Path) -> None:
    """All turns of the demo; exit code 0."""
    ran = run("backtest", "bank", "--db", log, "--jobs", 1, "--fail-over", "changed>0")
    assert ran.code == 0, ran.out + ran.err
    assert re.search(r"same 66 100\.0 %", ran.words)
    assert "✓ changed>0: 0 of 66 (0.0 %)" in ran.words
    assert "0 model calls" in ran.words


def test_forks_are_said_to_be_left_out(run: Any, log: Path, ids: Any, tmp_path: Path) -> None:
    """In the report, in the document and on the page; the numbers are as without them."""
    stream = next(iter(ids.values()))
    assert run("fork", stream, "--at", 0, "--db", log).code == 0
    html = tmp_path / "report.html"
    ran = run("backtest", "bank", "--db", log, "--jobs", 1, "--html", html)
    assert re.search(r"same 66 100\.0 %", ran.words)
    assert "1 fork left out: what a fork begins with is a copy" in ran.words
    assert "; 1 fork left out, which begin with copies." in checked(html.read_text("utf-8"))
    assert run("backtest", "bank", "--db", log, "--jobs", 1, "--json", "-").json["forks"] == 1


def test_a_threshold_that_moves_too_much_fails(run: Any, log: Path, tmp_path: Path) -> None:
    """Exit code 1, with what moved, the commands that show it, the page, the document and the turns."""
    html, turns = tmp_path / "report.html", tmp_path / "turns.jsonl"
    document = tmp_path / "report.json"
    ran = run(
        "backtest", "bank", "--db", log, "--jobs", 1, "--threshold", "triage=0.9", "--fail-over", "rerouted>1%",
        "--html", html, "--json", document, "--turns", turns,
    )  # fmt: skip
    assert ran.code == 1
    assert "label card unsure 1" in ran.words
    assert "✗ rerouted>1%: 2 of 66 (3.0 %)" in ran.words
    found = json.loads(document.read_text("utf-8"))
    assert found["verdicts"]["rerouted"] == 2
    assert found["model_calls"] == 0
    assert found["cost"]["would_be"] < found["cost"]["paid"]
    lines = [json.loads(line) for line in turns.read_text("utf-8").splitlines()]
    assert {line["was"] for line in lines} == {"card", "dispute"}
    assert {line["now"] for line in lines} == {"unsure"}
    assert {one["id"] for one in found["top"]} == {line["id"] for line in lines}
    assert found["top"][0]["commands"][0] == f"interlock log {found['top'][0]['id']} --texts --db {log}"
    shown = checked(html.read_text("utf-8"))
    assert "where 2 turns went, and would go now" in shown
    assert "prefers-color-scheme: dark" in shown
    assert found["top"][0]["id"] in shown


def test_the_document_alone_can_be_printed(run: Any, log: Path) -> None:
    """`--json -` writes nothing else."""
    found = run("backtest", "bank", "--db", log, "--jobs", 1, "--json", "-", "--sample", 3, "--seed", 4).json
    assert (found["conversations"], found["flow"], found["versions"][found["digest"]]) == (3, "bank", 3)


def test_a_changed_flow_file_is_tried(run: Any, log: Path, tmp_path: Path) -> None:
    """A lower limit of a guard sends refunds to a person."""
    from interlock.examples import bank

    shutil.copytree(Path(bank.__file__).parent, tmp_path / "bank", ignore=shutil.ignore_patterns("__pycache__"))
    flow = tmp_path / "bank" / "flow.yaml"
    text = flow.read_text("utf-8")
    assert "amount_at_most(100)" in text
    flow.write_text(
        text.replace("amount_at_most(100)", "amount_at_most(10)").replace("version: 1", "version: 2"), "utf-8"
    )
    found = run("backtest", flow, "--db", log, "--jobs", 1, "--json", "-").json
    assert found["moved"] == [{"by": "state", "was": "pay_refund", "now": "approve_refund", "turns": 2}]
    assert found["version"] == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--threshold", "triage=much"), "'much' is no threshold from 0 to 1. fix Write --threshold ROUTER=0.8"),
        (("--threshold", "2"), "'2' is no threshold from 0 to 1."),
        (("--since", "soon"), "'soon' is no date. fix Write --since 2026-01-31"),
        (("--fail-over", "moved>1"), "'moved>1' is no standard."),
        (("--classifier", "triage=/nowhere"), "The classifier cannot be read: No such file or directory."),
        (("--html", "/nowhere/a.html"), "The file cannot be written: No such file or directory."),
        (("--turns", "/nowhere/a.jsonl"), "The file cannot be written: No such file or directory."),
    ],
)
def test_a_wrong_call_says_so(run: Any, log: Path, arguments: tuple[str, str], says: str) -> None:
    """What, where and the fix; exit code 2."""
    ran = run("backtest", "bank", "--db", log, "--jobs", 1, *arguments)
    assert ran.code == 2
    assert says in ran.words


def test_nothing_that_is_named_is_read_as_markup() -> None:
    """Names of a flow are shown as they are."""
    evil = "<b>x</b>"
    document = {
        "flow": evil, "version": 1, "digest": "0" * 64, "source": evil, "versions": {}, "conversations": 1, "turns": 2,
        "decisions": 2, "differing": 1, "verdicts": {"same": 1, "rerouted": 1}, "forks": 2,
        "moved": [{"by": "label", "was": evil, "now": f"{n}", "turns": 1} for n in range(30)],
        "notes": {evil: 1}, "needs": {}, "reasons": {evil: 1}, "watched": [evil], "policies": [], "failed": 1,
        "cost": {"currency": evil, "paid": 1.0, "would_be": 1.0, "more_at_most": 0.0},
        "problems": [{"id": evil, "what": evil}],
        "standards": [{"rule": evil, "number": 1, "of": 2, "holds": False}], "seconds": 1.0, "model_calls": 0,
        "top": [{"id": evil, "turns": [{"version": 1, "verdict": "illegal", "reason": evil}] * 9, "commands": [evil]}],
    }  # fmt: skip
    text = checked(page(document))
    assert "<b>x</b>" not in text
    assert "&lt;b&gt;x&lt;/b&gt;" in text
    assert "others" in text
    assert "and 1 more turns" in text


def test_a_picture_is_drawn_to_scale() -> None:
    """Bands at one node add up to its height; nothing draws nothing."""
    assert sankey([]) == ""
    picture = sankey([Flowing("a", "x", 30), Flowing("a", "y", 10), Flowing("b", "x", 20)])
    heights = [float(one) for one in re.findall(r'height="([0-9.]+)"', picture)]
    bands = [float(one) for one in re.findall(r'stroke-width="([0-9.]+)"', picture)]
    assert sum(bands) == pytest.approx(sum(heights[:2]), rel=0.02)
    assert sum(heights[:2]) == pytest.approx(sum(heights[2:]), rel=0.02)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("bank", "--since", "2999-01-01"), "No conversation of the flow 'bank' matches --since 2999-01-01T00:00:00"),
        (
            ("bank", "--label", "nosuch"),
            "No conversation of the flow 'bank' matches --label nosuch: nothing was",
        ),
        (("patterns/router",), "No conversation of the flow 'router' matches: nothing was tried."),
    ],
)
def test_nothing_to_try_keeps_no_standard(run: Any, log: Path, arguments: tuple[str, ...], says: str) -> None:
    """An error that says which selection matched nothing; an unknown label names those there are."""
    ran = run("backtest", *arguments, "--db", log, "--jobs", 1, "--fail-over", "changed>0")
    assert ran.code == 2
    assert says in ran.words
    if "--label" in arguments:
        assert "Conversations of it were routed to " in ran.words
        assert "'refund'" in ran.words
