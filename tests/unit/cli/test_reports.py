"""What `interlock check` writes for code review (SARIF) and for CI (JUnit)."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from interlock.cli.checking import Wanted, check
from interlock.cli.junit import junit
from interlock.cli.sarif import sarif, uri_of
from interlock.contracts.errors import CallError, Fault
from interlock.fsm.checks.codes import CHECKS
from interlock.fsm.prove.codes import QUESTIONS
from interlock.fsm.prove.proof import proved
from support.broken import BROKEN, MENDED, Broken, loaded, program_of
from support.sarif import problems_of

ACCEPTING = MENDED.replace(', confirm: "You want {amount} back?"', "").replace(
    "facts:\n", "checks: {P309: A clerk looks at every payment in the evening.}\nfacts:\n", 1
)


def sarif_of(text: str) -> dict[str, Any]:
    flow = loaded(text)
    return sarif("orders.yaml", "0.1.0", flow=flow.flow, proof=proved(program_of(text), flow.lines))


def results_of(document: dict[str, Any], code: str) -> list[dict[str, Any]]:
    return [one for one in document["runs"][0]["results"] if one["ruleId"] == code]


@pytest.mark.parametrize("broken", BROKEN, ids=lambda one: one.name)
def test_sarif_is_what_the_standard_says(broken: Broken) -> None:
    """Every report, with its places, ways and rules."""
    assert problems_of(sarif_of(broken.text)) == []


def test_what_is_no_sarif_is_found() -> None:
    """The control: each part broken is seen."""
    good = sarif_of(BROKEN[2].text)
    for path, value in (
        (("version",), "2.0.0"),
        (("runs", 0, "results", 0, "ruleId"), "P999"),
        (("runs", 0, "results", 0, "kind"), "bad"),
        (("runs", 0, "results", 0, "level"), "error"),
        (("runs", 0, "results", 0, "message"), {}),
        (("runs", 0, "results", 0, "locations", 0, "physicalLocation", "region"), {"startLine": 0}),
        (("runs", 0, "tool", "driver", "name"), ""),
    ):
        document = json.loads(json.dumps(good))
        inner: Any = document
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
        assert problems_of(document), path


def test_a_refuted_answer_has_its_line_and_the_way_there() -> None:
    """As a code flow whose steps have the lines of their rows, in their order."""
    broken = next(one for one in BROKEN if one.code == "P305")
    (result,) = results_of(sarif_of(broken.text), "P305")
    assert (result["kind"], result["level"]) == ("fail", "error")
    line = result["locations"][0]["physicalLocation"]["region"]["startLine"]
    assert 'asking,   done,     "is_(next, billing)"' in broken.text.splitlines()[line - 1]
    steps = result["codeFlows"][0]["threadFlows"][0]["locations"]
    assert [one["executionOrder"] for one in steps] == [1, 2, 3, 4]
    assert [one["importance"] for one in steps] == ["important", "important", "essential", "essential"]
    assert steps[2]["location"]["message"]["text"].startswith("In 'invoices': the agent ends: done; the conversation")
    assert steps[2]["state"]["state"] == {"text": "asking"}


def test_an_accepted_answer_is_suppressed_with_its_reason() -> None:
    """It still stands there, as what fails."""
    (result,) = results_of(sarif_of(ACCEPTING), "P309")
    assert result["kind"] == "fail"
    assert result["suppressions"] == [
        {"kind": "inSource", "status": "accepted", "justification": "A clerk looks at every payment in the evening."}
    ]
    assert all("suppressions" not in one for one in sarif_of(MENDED)["runs"][0]["results"])


def test_faults_of_a_flow_that_cannot_be_read_are_results() -> None:
    """With the rule of each, whose help says what it is for."""
    document = sarif("orders.yaml", "0.1.0", faults=(Fault("S111", "There is no state 'srt'.", "Name one.", 7),))
    assert problems_of(document) == []
    (result,) = results_of(document, "S111")
    assert result["message"]["text"] == "There is no state 'srt'. Name one."
    assert result["locations"][0]["physicalLocation"]["region"] == {"startLine": 7}


def cases_of(text: str) -> dict[str, ElementTree.Element]:
    flow = loaded(text)
    proof = proved(program_of(text), flow.lines)
    root = ElementTree.fromstring(junit("orders", "orders.yaml", flow=flow.flow, proof=proof))
    (suite,) = root
    assert int(suite.attrib["tests"]) == len(suite)
    assert int(suite.attrib["failures"]) == len(suite.findall("testcase/failure"))
    assert int(suite.attrib["skipped"]) == len(suite.findall("testcase/skipped"))
    return {one.attrib["name"].partition(" ")[0]: one for one in suite}


def test_junit_has_one_case_for_each_check() -> None:
    """Structure and behaviour; of the mended flow all pass."""
    cases = cases_of(MENDED)
    assert set(cases) == {one.code for one in (*CHECKS, *QUESTIONS)}
    assert [
        code for code, one in cases.items() if one.find("failure") is not None or one.find("skipped") is not None
    ] == []


def test_junit_shows_the_way_in_the_failure() -> None:
    """With the line to mend, the remedy, and the loop marked."""
    broken = next(one for one in BROKEN if one.code == "P305")
    failure = cases_of(broken.text)["P305"].find("failure")
    assert failure is not None
    assert "go round by themselves" in failure.attrib["message"]
    assert failure.text is not None
    assert "Mend orders.yaml:23" in failure.text
    assert "@ 3  invoices -> asking: the agent ends: done  (line 26)" in failure.text


def test_junit_skips_what_is_accepted() -> None:
    """With the reason; it is no failure."""
    case = cases_of(ACCEPTING)["P309"]
    skipped = case.find("skipped")
    assert case.find("failure") is None
    assert skipped is not None
    assert "Accepted: A clerk looks at every payment in the evening." in skipped.attrib["message"]
    assert "paying -> more" in (case.findtext("system-out") or "")


def test_junit_of_a_flow_with_faults_claims_nothing_else() -> None:
    """The faults fail, what it can do was not asked, and nothing passes."""
    text = junit("orders", "orders.yaml", faults=(Fault("S111", "No state \x00 'srt'.", "Name one.", 7),))
    (suite,) = ElementTree.fromstring(text)
    assert {one.attrib["name"][:4] for one in suite if one.find("failure") is not None} == {"S111"}
    assert all(one.find("failure") is not None or one.find("skipped") is not None for one in suite)


def test_the_command_writes_both(run: Any, tmp_path: Path) -> None:
    """Beside what it prints, with the exit code as ever."""
    flow = tmp_path / "flow.yaml"
    found, report = tmp_path / "found.sarif", tmp_path / "found.xml"
    assert run("check", "patterns/router", "--sarif", found, "--junit", report).code == 0
    assert problems_of(json.loads(found.read_text("utf-8"))) == []
    assert len(ElementTree.parse(report).getroot()) == 1
    flow.write_text("flow: orders\nversion: 1\n")
    assert run("check", flow, "--sarif", found, "--junit", report).code == 1
    assert {one["kind"] for one in json.loads(found.read_text("utf-8"))["runs"][0]["results"]} == {"fail"}
    assert int(ElementTree.parse(report).getroot().attrib["failures"]) > 0


def test_a_report_that_cannot_be_written_is_a_wrong_call(run: Any, tmp_path: Path) -> None:
    ran = run("check", "patterns/router", "--sarif", tmp_path / "no" / "found.sarif")
    assert ran.code == 2
    assert "The report cannot be written: No such file or directory." in ran.words


def test_a_file_is_named_from_here_or_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a URI: no spaces, no backslashes."""
    monkeypatch.chdir(tmp_path)
    assert uri_of(str(tmp_path / "my flows" / "orders.yaml")) == "my%20flows/orders.yaml"
    assert uri_of("/elsewhere/orders.yaml").startswith("file:///")


def test_a_model_for_spin_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Beside the answer; a folder that is not there is told."""
    file = tmp_path / "flow.pml"
    assert check("patterns/router", Wanted(promela=file)) == 0
    assert file.read_text("utf-8").startswith("/* router v1, ")
    with pytest.raises(CallError, match="The report cannot be written"):
        check("patterns/router", Wanted(promela=tmp_path / "nowhere" / "flow.pml"))
    assert "router v1: no fault" in capsys.readouterr().out
