"""`interlock replay --routes`: would today's rules and classifier give the recorded messages the same label?"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError
from ..contracts.imported import IMPORTED
from ..contracts.routing import RoutingDecision, RoutingEvidence
from ..contracts.store import Store
from ..service.loading import recorded
from ..service.project import load_project
from ..service.rerouting import Rerouted, Routed, routed_again
from ..service.wiring import FoundFlow, found_flows
from .finding import existing_log, streams_named
from .terminal import MARKS, Terminal, counted, safe, write_json

_SHOWN = 5


def routes(db: Path | None, prefixes: Sequence[str], every: bool, flow: str, as_json: bool) -> int:
    """Route conversations again; 1 where a label differs or a conversation could not be looked at."""
    if bool(prefixes) == every:
        raise CallError("Say which conversations to route again.", fix="Give the beginnings of their ids, or --all.")
    with existing_log(db) as store:
        flows = found_flows(store, load_project(flow) if flow else None)
        streams = list(store.streams()) if every else streams_named(store, prefixes)
        found, problems, artefacts = _again(store, flows, streams)
    if as_json:
        write_json(routes_document(len(streams), found, problems, artefacts))
    else:
        _show(len(streams), found, problems, artefacts)
    return 0 if found.first is None and not problems else 1


def _again(
    store: Store, flows: dict[str, FoundFlow], streams: Sequence[str]
) -> tuple[Rerouted, dict[str, str], dict[str, set[str]]]:
    """What came of it; why conversations could not be looked at; and digests of the classifiers, then and today."""
    found, problems = Rerouted(), dict[str, str]()
    artefacts: dict[str, set[str]] = {"recorded": set(), "today": set()}
    for stream in streams:
        entries = recorded(store.read(stream))
        if entries[0].envelope.flow == IMPORTED.digest:  # nothing of ours routed it
            continue
        flow = flows.get(entries[-1].envelope.flow)
        if flow is None or flow.today is None:
            problems[stream] = flow.problem if flow else "the log does not keep its flow"
            continue
        again = tuple(routed_again(flow.today, stream, entries, store.payloads(stream)))
        found.take(again)
        for one in again:
            _note(artefacts["recorded"], one.recorded.evidence)
            _note(artefacts["today"], one.evidence)
    return found, problems, artefacts


def _note(artefacts: set[str], evidence: RoutingEvidence | None) -> None:
    if evidence is not None and evidence.artefact is not None:
        artefacts.add(evidence.artefact)


def routes_document(
    conversations: int, found: Rerouted, problems: dict[str, str], artefacts: dict[str, set[str]]
) -> dict[str, Any]:
    """`{"same", "conversations", "decisions", "standings": {"same", "other", "needs_model", "erased", "no_router"},
    "moved": [{"from", "to", "count"}], "artefacts": {"recorded": [digest], "today": [digest]}, "first", "others": [{
    "id", "version", "message", "recorded": {"outcome", "stage", "scores", "threshold"}, "today"}], "problems": [{"id",
    "problem"}], "model_calls"}`."""
    kinds = ("same", "other", "needs_model", "erased", "no_router")
    return {
        "same": found.first is None and not problems,
        "conversations": conversations,
        "decisions": found.decisions,
        "standings": {kind: found.standings[kind] for kind in kinds},  # type: ignore[index]
        "moved": [{"from": was, "to": now, "count": count} for (was, now), count in found.moved.most_common()],
        "artefacts": {when: sorted(digests) for when, digests in artefacts.items()},
        "first": _one(found.first) if found.first else None,
        "others": [_one(one) for one in found.others],
        "problems": [{"id": stream, "problem": what} for stream, what in problems.items()],
        "model_calls": 0,
    }


def _one(one: Routed) -> dict[str, Any]:
    return {
        "id": one.stream,
        "version": one.version,
        "message": one.recorded.message,
        "recorded": _side(one.recorded.decision, one.recorded.evidence),
        "today": _side(one.decided, one.evidence) if one.decided and one.evidence else None,
    }


def _side(decision: RoutingDecision, evidence: RoutingEvidence) -> dict[str, Any]:
    return {
        "outcome": decision.outcome,
        "stage": decision.stage,
        "scores": {one.label: one.score for one in evidence.scores},
        "threshold": decision.threshold,
    }


def _show(conversations: int, found: Rerouted, problems: dict[str, str], artefacts: dict[str, set[str]]) -> None:
    terminal = Terminal()
    for stream, what in problems.items():
        terminal.hang(
            terminal.text((MARKS.bad, "bold red")), (f"{stream[:8]} cannot be routed again: ", "bold"), safe(what)
        )
    for one in found.others[:_SHOWN]:
        terminal.hang(
            terminal.text((MARKS.bad, "bold red")),
            (f"{one.stream[:8]} event {one.version}: {_words(one.recorded.decision, one.recorded.evidence)}", "bold"),
            (f"; today {_words(one.decided, one.evidence)}" if one.decided and one.evidence else "", "bold"),
        )
    if len(found.others) > _SHOWN:
        terminal.line((f"and {len(found.others) - _SHOWN} more; --json lists them", "dim"), indent=2)
    for (was, now), count in found.moved.most_common():
        terminal.line(f"{was} → {now}: {count}", indent=2)
    then, today = artefacts["recorded"], artefacts["today"]
    if today and then != today:
        terminal.hang(
            terminal.text((MARKS.warn, "bold yellow")),
            f"the classifier is another one: {_digests(then)} then, {_digests(today)} today",
        )
    for kind, what in _UNANSWERED.items():
        if number := found.standings[kind]:  # type: ignore[index]
            terminal.hang(terminal.text((MARKS.warn, "bold yellow")), f"{counted(number, 'message')} {what}")
    good = found.first is None and not problems
    terminal.hang(
        terminal.text((MARKS.good, "bold green") if good else (MARKS.bad, "bold red")),
        f"{counted(conversations, 'conversation')}: {counted(found.decisions, 'routing decision')}, ",
        (f"{found.standings['same']} the same, {found.standings['other']} re-routed", "bold"),
        ", 0 model calls",
    )


_UNANSWERED = {
    "erased": "could not be read: erased, and not guessed",
    "needs_model": "would be asked of the router's model today: not asked here",
    "no_router": "belong to a route state that today's flow does not have",
}


def _digests(digests: set[str]) -> str:
    return ", ".join(sorted(one[:12] for one in digests)) or "none"


def _words(decision: RoutingDecision, evidence: RoutingEvidence) -> str:
    best = ", ".join(f"{one.label} {one.score[:4]}" for one in evidence.scores[:2])
    needs = f", needs {decision.threshold[:4]}" if decision.threshold else ""
    return f"{decision.outcome} by {decision.stage}{f' ({best}{needs})' if best else ''}"
