"""What a check found as SARIF 2.1.0, which code review reads: a rule for each question, a place for each answer, and
the way to what is wrong as a code flow."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..contracts.canonical import digest_of
from ..contracts.errors import Fault
from ..contracts.flow import Flow
from ..fsm.checks.codes import CHECKS
from ..fsm.prove.codes import QUESTIONS
from ..fsm.prove.findings import Finding, Proof, Step, rows_of
from .terminal import counted

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
PAGE = "docs/check.md"
_FAULTY = "A flow with this fault starts no conversation."
_KINDS = {
    "proved": ("pass", "none"),
    "refuted": ("fail", "error"),
    "noted": ("informational", "none"),
    "bounded": ("open", "none"),
    "unknown": ("open", "none"),
    "accepted": ("fail", "error"),
}
"""SARIF's kind and level; a level but `none` is only for what fails. What is accepted fails, and is suppressed."""


def sarif(
    file: str,
    version: str,
    *,
    faults: Sequence[Fault] = (),
    flow: Flow | None = None,
    proof: Proof | None = None,
) -> dict[str, Any]:
    """The log of one run. With `faults` the flow could not be read, else `flow` and `proof` say what it can do."""
    codes = {one.code for one in faults}
    rules = [
        *({"code": one.code, "says": one.says, "why": _FAULTY} for one in CHECKS if one.code in codes),
        *({"code": one.code, "says": one.says, "why": one.why} for one in QUESTIONS),
    ]
    place = {one["code"]: index for index, one in enumerate(rules)}
    results = [_of_fault(one, file, place) for one in faults]
    if flow is not None and proof is not None:
        results += [_of_finding(one, file, flow, place) for one in proof.findings]
    run = {
        "tool": {
            "driver": {
                "name": "interlock",
                "semanticVersion": version,
                "rules": [_rule(one) for one in rules],
            }
        },
        "columnKind": "utf16CodeUnits",
        "artifacts": [{"location": {"uri": uri_of(file)}}],
        "invocations": [{"executionSuccessful": True}],
        "results": results,
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def uri_of(file: str) -> str:
    """A file as SARIF names it: relative where it lies below the present folder, else whole."""
    if not file:
        return "flow"
    path = Path(file).resolve()
    try:
        return quote(path.relative_to(Path.cwd()).as_posix())
    except ValueError:
        return path.as_uri()


def _rule(one: Mapping[str, str]) -> dict[str, Any]:
    page = f"{PAGE}#the-questions"
    return {
        "id": one["code"],
        "shortDescription": {"text": one["says"]},
        "fullDescription": {"text": f"{one['says']} {one['why']}"},
        "help": {
            "text": f"{one['says']} {one['why']} See {page}, with a broken flow and the mended one.",
            "markdown": f"**{one['says']}** {one['why']}\n\nSee `{page}`, with a broken flow and the mended one.",
        },
        "defaultConfiguration": {"level": "error"},
    }


def _of_fault(one: Fault, file: str, place: Mapping[str, int]) -> dict[str, Any]:
    return {
        "ruleId": one.code,
        **({"ruleIndex": place[one.code]} if one.code in place else {}),
        "kind": "fail",
        "level": "error",
        "message": {"text": f"{one.what} {one.fix}".strip()},
        "locations": [_location(file, one.line, one.where)],
        "partialFingerprints": {"interlock/v1": digest_of({"code": one.code, "where": one.where, "what": one.what})},
    }


def _of_finding(one: Finding, file: str, flow: Flow, place: Mapping[str, int]) -> dict[str, Any]:
    kind, level = _KINDS[one.verdict]
    result = {
        "ruleId": one.code,
        "ruleIndex": place[one.code],
        "kind": kind,
        "level": level,
        "message": {"text": f"{one.says} {one.fix}".strip() if one.verdict == "refuted" else one.says},
        "locations": [_location(file, one.line, one.where)],
        "partialFingerprints": {"interlock/v1": digest_of({"code": one.code, "where": one.where, "flow": flow.name})},
        "properties": {"verdict": one.verdict},
    }
    if one.counterexample:
        result["codeFlows"] = [_code_flow(one, file, flow)]
    if one.verdict == "accepted":
        reason = flow.checks[one.code]
        result["suppressions"] = [{"kind": "inSource", "status": "accepted", "justification": reason}]
    return result


def _code_flow(one: Finding, file: str, flow: Flow) -> dict[str, Any]:
    return {
        "message": {"text": f"The shortest way there, {counted(len(one.counterexample), 'step')}."},
        "threadFlows": [{"locations": list(_steps(one.counterexample, file, flow, one.line))}],
    }


def _steps(steps: Sequence[Step], file: str, flow: Flow, line: int) -> Iterator[dict[str, Any]]:
    for step in steps:
        row = "" if step.row is None else f", by {rows_of(flow, step.row)}"
        goes = f" goes to {step.target!r}" if step.target != step.state else " stays"
        again = " (this goes round)" if step.in_loop else ""
        text = f"In {step.state!r}: {step.happened}; the conversation{goes}{row}{again}."
        where = f"states.{step.state}" if step.row is None else f"transitions.{step.row}"
        state = {"state": {"text": step.target}, **{name: {"text": str(value)} for name, value in step.changed}}
        yield {
            "location": {**_location(file, step.line or line, where), "message": {"text": text}},
            "executionOrder": step.number,
            "importance": "essential" if step.in_loop else "important",
            "state": state,
        }


def _location(file: str, line: int, where: str) -> dict[str, Any]:
    """A place in the flow's file; without a line, the file as a whole."""
    physical: dict[str, Any] = {"artifactLocation": {"uri": uri_of(file), "index": 0}}
    if line:
        physical["region"] = {"startLine": line}
    logical = [{"fullyQualifiedName": where, "kind": "member"}] if where else []
    return {"physicalLocation": physical, **({"logicalLocations": logical} if logical else {})}
