"""What a check found as JUnit's XML, which CI reads: one test case for each check."""

import re
from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from ..contracts.errors import Fault
from ..contracts.flow import Flow
from ..fsm.checks.codes import CHECKS
from ..fsm.prove.codes import QUESTIONS
from ..fsm.prove.findings import Finding, Proof, Step, rows_of

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, written in whatever way."""
Case = ElementTree.Element


def junit(
    name: str, file: str, *, faults: Sequence[Fault] = (), flow: Flow | None = None, proof: Proof | None = None
) -> str:
    """The report. Of a flow with faults, the questions to what it can do are skipped; of one without, none is left
    out."""
    cases = [*_structure(name, faults), *_questions(name, file, flow, proof)]
    counts = {
        "tests": len(cases),
        "failures": sum(one.find("failure") is not None for one in cases),
        "skipped": sum(one.find("skipped") is not None for one in cases),
        "errors": 0,
    }
    numbers = {key: str(value) for key, value in counts.items()}
    whole = ElementTree.Element("testsuites", {"name": "interlock check", **numbers})
    suite = ElementTree.SubElement(whole, "testsuite", {"name": f"interlock check {name}", "file": file, **numbers})
    suite.extend(cases)
    ElementTree.indent(whole)
    return ElementTree.tostring(whole, encoding="unicode", xml_declaration=True) + "\n"


def _structure(name: str, faults: Sequence[Fault]) -> Iterator[Case]:
    """Every structural check where there is no fault; else those that failed, for others may not have been made."""
    by_code: dict[str, list[Fault]] = {}
    for one in faults:
        by_code.setdefault(one.code, []).append(one)
    says = {one.code: one.says for one in CHECKS}
    for code in by_code or says:
        case = _case(name, "structure", code, says.get(code, ""))
        if found := by_code.get(code):
            told = "\n".join(
                f"{f'line {one.line}' if one.line else one.where}: {one.what} Fix: {one.fix}" for one in found
            )
            _within(case, "failure", found[0].what, told)
        yield case


def _questions(name: str, file: str, flow: Flow | None, proof: Proof | None) -> Iterator[Case]:
    for question in QUESTIONS:
        case = _case(name, "behaviour", question.code, question.says)
        if flow is None or proof is None:
            _within(case, "skipped", "Not asked: the flow has faults.")
        else:
            _answered(case, file, flow, [one for one in proof.findings if one.code == question.code])
        yield case


def _answered(case: Case, file: str, flow: Flow, findings: Sequence[Finding]) -> None:
    refuted = [one for one in findings if one.verdict == "refuted"]
    left = [one for one in findings if one.verdict in ("accepted", "bounded", "unknown")]
    if refuted:
        told = "\n\n".join(_told(one, file, flow) for one in refuted)
        _within(case, "failure", refuted[0].says, told)
    elif left:
        _within(case, "skipped", f"{left[0].verdict}: {left[0].says}")
    said = [f"{one.verdict}: {one.says}" for one in findings]
    told_besides = "\n".join([*said, *(_way(flow, one.counterexample) for one in left if one.counterexample)])
    if told_besides:
        ElementTree.SubElement(case, "system-out").text = _plain(told_besides)


def _told(one: Finding, file: str, flow: Flow) -> str:
    place = f"{file}:{one.line}" if one.line else one.where
    way = f"\nThe shortest way there:\n{_way(flow, one.counterexample)}" if one.counterexample else ""
    return f"{one.says}\nMend {place or 'the flow'}: {one.fix}{way}"


def _way(flow: Flow, steps: Sequence[Step]) -> str:
    """The counterexample, a line a step."""
    return "\n".join(
        f"{'@' if one.in_loop else ' '}{one.number:>2}  {one.state} -> {one.target}: {one.happened}"
        + (f"  (line {one.line})" if one.line else "")
        + ("" if one.row is None else f"  {rows_of(flow, one.row)}")
        + "".join(f"  {counter}={value}" for counter, value in one.changed)
        for one in steps
    )


def _case(name: str, kind: str, code: str, says: str) -> Case:
    return ElementTree.Element(
        "testcase", {"classname": f"{name}.{kind}", "name": _plain(f"{code} {says}"), "time": "0"}
    )


def _within(case: Case, what: str, message: str, text: str = "") -> None:
    inside = ElementTree.SubElement(case, what, {"message": _plain(message)})
    if text:
        inside.text = _plain(text)


def _plain(text: str) -> str:
    return _FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
