"""What SARIF 2.1.0 demands of the parts that we write: checked by hand, section by section of the standard."""

from collections.abc import Iterator
from typing import Any

KINDS = {"notApplicable", "pass", "fail", "review", "open", "informational"}
LEVELS = {"none", "note", "warning", "error"}
IMPORTANCE = {"important", "essential", "unimportant"}


def problems_of(document: dict[str, Any]) -> list[str]:
    """Everything that the standard would not take; empty for a good log."""
    found = [] if document.get("version") == "2.1.0" else ["3.13.2 version is not 2.1.0"]
    if not document.get("$schema", "").endswith("sarif-2.1.0.json"):
        found.append("3.13.3 no schema")
    for run in document.get("runs", [None]):
        found += _run(run) if run else ["3.13.4 no runs"]
    return found


def _run(run: dict[str, Any]) -> Iterator[str]:
    driver = run.get("tool", {}).get("driver", {})
    if not driver.get("name"):
        yield "3.19.8 the driver has no name"
    rules = driver.get("rules", [])
    ids = [one.get("id") for one in rules]
    if len(set(ids)) != len(ids):
        yield "3.19.23 a rule stands twice"
    for rule in rules:
        for name in ("shortDescription", "fullDescription", "help"):
            if not rule.get(name, {}).get("text", "").endswith((".", "one.")):
                yield f"3.49 rule {rule.get('id')} has no {name}"
    if run.get("columnKind") not in ("utf16CodeUnits", "unicodeCodePoints"):
        yield "3.14.17 columnKind"
    for result in run.get("results", ()):
        yield from _result(result, ids, len(run.get("artifacts", ())))


def _result(result: dict[str, Any], ids: list[str], artifacts: int) -> Iterator[str]:
    kind, level = result.get("kind", "fail"), result.get("level", "warning")
    if kind not in KINDS or level not in LEVELS:
        yield f"3.27.9 kind {kind!r}, level {level!r}"
    if kind != "fail" and level != "none":
        yield f"3.27.10 level {level!r} of what does not fail"
    if not result.get("message", {}).get("text"):
        yield "3.27.11 no message"
    if result.get("ruleId") not in ids or ids[result.get("ruleIndex", -1)] != result["ruleId"]:
        yield f"3.27.5 ruleId {result.get('ruleId')!r} and ruleIndex do not name one rule"
    for location in result.get("locations", ()):
        yield from _location(location, artifacts)
    for flow in result.get("codeFlows", ()):
        if not flow.get("threadFlows"):
            yield "3.36.3 a code flow without thread flows"
        for thread in flow.get("threadFlows", ()):
            yield from _thread(thread, artifacts)
    for one in result.get("suppressions", ()):
        if one.get("kind") not in ("inSource", "external") or not one.get("justification"):
            yield "3.35 suppression"
        if one.get("status") not in ("accepted", "underReview", "rejected"):
            yield "3.35.3 status"


def _thread(thread: dict[str, Any], artifacts: int) -> Iterator[str]:
    locations = thread.get("locations", ())
    if not locations:
        yield "3.37.6 a thread flow without locations"
    orders = [one.get("executionOrder", -1) for one in locations]
    if orders != sorted(orders) or any(one < 1 for one in orders):
        yield "3.38.11 executionOrder"
    for one in locations:
        yield from _location(one.get("location", {}), artifacts)
        if not one.get("location", {}).get("message", {}).get("text"):
            yield "3.28.5 a step without a message"
        if one.get("importance") not in IMPORTANCE:
            yield "3.38.13 importance"
        if not all(isinstance(value.get("text"), str) for value in one.get("state", {}).values()):
            yield "3.38.9 state"


def _location(location: dict[str, Any], artifacts: int) -> Iterator[str]:
    physical = location.get("physicalLocation", {})
    artifact = physical.get("artifactLocation", {})
    if not artifact.get("uri") or "\\" in artifact["uri"] or " " in artifact["uri"]:
        yield f"3.4.3 uri {artifact.get('uri')!r}"
    if not 0 <= artifact.get("index", 0) < artifacts:
        yield "3.4.5 index"
    region = physical.get("region")
    if region is not None and (not isinstance(region.get("startLine"), int) or region["startLine"] < 1):
        yield "3.30.5 startLine"
    for one in location.get("logicalLocations", ()):
        if not one.get("fullyQualifiedName"):
            yield "3.33.5 a logical location without a name"
