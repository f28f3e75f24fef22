"""`interlock replay --routes`: would today's rules and classifier give the recorded messages the same label?"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError, InterlockError
from ..contracts.imported import IMPORTED
from ..contracts.routing import RoutingDecision, RoutingEvidence
from ..contracts.store import Store
from ..fsm.replay import Recorded
from ..service.loading import recorded
from ..service.project import load_project
from ..service.rerouting import Rerouted, Routed, routed_again
from ..service.routing_imports import ImportRouter
from ..service.wiring import FoundFlow, found_flows
from .finding import existing_log, streams_named
from .routing_imported import imports_document, show_imports
from .terminal import MARKS, Terminal, counted, safe, write_json

_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked: which conversations, and by which flow; the last two are of imported conversations alone."""

    prefixes: Sequence[str] = ()
    every: bool = False
    flow: str = ""
    router: str = ""
    label_at: str = ""


@dataclass
class RoutedLog:
    """What came of it; why conversations could not be looked at; and digests of the classifiers, then and today."""

    found: Rerouted = field(default_factory=Rerouted)
    problems: dict[str, str] = field(default_factory=dict)
    artefacts: dict[str, set[str]] = field(default_factory=lambda: {"recorded": set(), "today": set()})
    conversations: int = 0
    """That were led here."""
    imported: int = 0
    imports: ImportRouter | None = None

    @property
    def holds(self) -> bool:
        """Whether every decision is the same. An import holds none: what it is measured to be today breaks nothing."""
        return self.found.first is None and not self.problems


def routes(db: Path | None, wanted: Wanted, as_json: bool) -> int:
    """Route conversations again; 1 where a label differs or a conversation could not be looked at."""
    if bool(wanted.prefixes) == wanted.every:
        raise CallError("Say which conversations to route again.", fix="Give the beginnings of their ids, or --all.")
    if (wanted.router or wanted.label_at) and not wanted.flow:
        raise CallError("--router and --label-at speak of a flow, and none is named.", fix="Name it with --flow.")
    given = load_project(wanted.flow) if wanted.flow else None
    whole = RoutedLog()
    with existing_log(db) as store:
        flows = found_flows(store, given)
        for stream in store.streams() if wanted.every else streams_named(store, wanted.prefixes):
            entries = _entries(store, stream, whole)
            if not entries:
                continue
            if entries[0].envelope.flow == IMPORTED.digest:
                whole.imported += 1
                if given is not None and whole.imports is None:
                    whole.imports = ImportRouter(given.program, wanted.router, wanted.label_at)
                _measure(store, stream, entries, whole)
            else:
                whole.conversations += 1
                _again(store, flows, stream, entries, whole)
    if as_json:
        write_json(routes_document(whole))
    else:
        _show(whole)
    return 0 if whole.holds else 1


def _entries(store: Store, stream: str, whole: RoutedLog) -> list[Recorded]:
    """The stream, opened; nothing where it cannot be, and then that is a problem of its."""
    try:
        return recorded(store.read(stream))
    except InterlockError as error:
        whole.problems[stream] = str(error)
        return []


def _measure(store: Store, stream: str, entries: Sequence[Recorded], whole: RoutedLog) -> None:
    if whole.imports is None:
        return
    try:
        whole.imports.take(stream, entries, partial(store.payloads, stream))
    except InterlockError as error:
        whole.problems[stream] = str(error)


def _again(
    store: Store, flows: dict[str, FoundFlow], stream: str, entries: Sequence[Recorded], whole: RoutedLog
) -> None:
    flow = flows.get(entries[-1].envelope.flow)
    if flow is None or flow.today is None:
        whole.problems[stream] = flow.problem if flow else "the log does not keep its flow"
        return
    again = tuple(routed_again(flow.today, stream, entries, store.payloads(stream)))
    whole.found.take(again)
    for one in again:
        _note(whole.artefacts["recorded"], one.recorded.evidence)
        _note(whole.artefacts["today"], one.evidence)


def _note(artefacts: set[str], evidence: RoutingEvidence | None) -> None:
    if evidence is not None and evidence.artefact is not None:
        artefacts.add(evidence.artefact)


def routes_document(whole: RoutedLog) -> dict[str, Any]:
    """`{"same", "conversations", "decisions", "standings": {"same", "other", "needs_model", "erased", "no_router"},
    "moved": [{"from", "to", "count"}], "artefacts": {"recorded": [digest], "today": [digest]}, "first", "others": [{
    "id", "version", "message", "recorded": {"outcome", "stage", "scores", "threshold"}, "today"}], "problems": [{"id",
    "problem"}], "imported", "model_calls"}`; of imported conversations nothing stands outside `imported`."""
    found = whole.found
    kinds = ("same", "other", "needs_model", "erased", "no_router")
    return {
        "same": whole.holds,
        "conversations": whole.conversations,
        "decisions": found.decisions,
        "standings": {kind: found.standings[kind] for kind in kinds},  # type: ignore[index]
        "moved": [{"from": was, "to": now, "count": count} for (was, now), count in found.moved.most_common()],
        "artefacts": {when: sorted(digests) for when, digests in whole.artefacts.items()},
        "first": _one(found.first) if found.first else None,
        "others": [_one(one) for one in found.others],
        "problems": [{"id": stream, "problem": what} for stream, what in whole.problems.items()],
        "imported": imports_document(whole.imported, whole.imports),
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


def _show(whole: RoutedLog) -> None:
    terminal = Terminal()
    found = whole.found
    for stream, what in whole.problems.items():
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
    then, today = whole.artefacts["recorded"], whole.artefacts["today"]
    if today and then != today:
        terminal.hang(
            terminal.text((MARKS.warn, "bold yellow")),
            f"the classifier is another one: {_digests(then)} then, {_digests(today)} today",
        )
    for kind, what in _UNANSWERED.items():
        if number := found.standings[kind]:  # type: ignore[index]
            terminal.hang(terminal.text((MARKS.warn, "bold yellow")), f"{counted(number, 'message')} {what}")
    if whole.conversations or not whole.imported:
        terminal.hang(
            terminal.text((MARKS.good, "bold green") if whole.holds else (MARKS.bad, "bold red")),
            f"{counted(whole.conversations, 'conversation')}: {counted(found.decisions, 'routing decision')}, ",
            (f"{found.standings['same']} the same, {found.standings['other']} re-routed", "bold"),
            ", 0 model calls",
        )
    show_imports(terminal, whole.imported, whole.imports)


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
