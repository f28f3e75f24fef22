"""What `interlock replay --routes` says of imported conversations: measured today, and never taken for decided."""

from typing import Any

from ..service.routing_imports import ImportRouter, RoutedImport, outcomes_of
from .terminal import MARKS, Terminal, counted, safe

_SHOWN = 5
_UNREAD = {
    "erased": "could not be read: erased, and not guessed",
    "no_text": "had no text",
}


def imports_document(number: int, routed: ImportRouter | None) -> dict[str, Any] | None:
    """`{"conversations", "decided": false, "flow", "version", "digest", "router", "classifier", "messages", "outcomes",
    "first", "stages", "needs_model", "unread": {"erased", "no_text"}, "compared", "agreed", "moved": [{"from", "to",
    "count"}], "differences": [{"id", "version", "labels", "scores", "today": {"outcome", "stage", "threshold",
    "scores"}}], "unknown_labels"}`; without a flow the first two alone, and None where nothing is imported.

    `outcomes` and `first` count messages, all of them and each conversation's first, by what they come to.
    """
    if not number:
        return None
    head = {"conversations": number, "decided": False}
    if routed is None:
        return head
    found, ref = routed.found, routed.program.ref
    return {
        **head,
        "flow": ref.name,
        "version": ref.version,
        "digest": ref.digest,
        "router": routed.router.name,
        "classifier": routed.router.classifier,
        "messages": found.messages,
        "outcomes": {one: found.outcomes[one] for one in outcomes_of(routed.router)},
        "first": {one: found.first[one] for one in outcomes_of(routed.router)},
        "stages": dict(found.stages),
        "needs_model": found.needs_model,
        "unread": {kind: found.unread[kind] for kind in _UNREAD},  # type: ignore[index]
        "compared": found.compared,
        "agreed": found.agreed,
        "moved": [{"from": was, "to": now, "count": count} for (was, now), count in found.moved.most_common()],
        "differences": [_difference(one) for one in found.differences],
        "unknown_labels": dict(found.unknown),
    }


def _difference(one: RoutedImport) -> dict[str, Any]:
    return {
        "id": one.stream,
        "version": one.version,
        "labels": list(one.labels),
        "scores": dict(one.scores),
        "today": {
            "outcome": one.decided.outcome,
            "stage": one.decided.stage,
            "threshold": one.decided.threshold,
            "scores": {score.label: score.score for score in one.evidence.scores},
        },
    }


def show_imports(terminal: Terminal, number: int, routed: ImportRouter | None) -> None:
    """Nothing where no conversation is imported."""
    if not number:
        return
    if routed is None:
        terminal.hang(
            terminal.text((MARKS.dot, "dim")),
            f"{counted(number, 'conversation')} imported: no flow routed them. ",
            "Name one with --flow to see how it would.",
        )
        return
    found, ref = routed.found, routed.program.ref
    read = found.messages - found.unread.total()
    terminal.hang(
        terminal.text((MARKS.dot, "dim")),
        (f"{counted(number, 'conversation')} imported: {counted(read, 'message')} of customers ", "bold"),
        f"through the router {routed.router.name} of {ref.name} v{ref.version}. Measured today; nobody decided on it.",
    )
    rows = [one for one in outcomes_of(routed.router) if found.outcomes[one] or one in ("unsure", "blocked")]
    shown = [(one, f"{found.outcomes[one]:,}", f"{found.first[one]:,}") for one in rows]
    terminal.table(("label", "messages", "first of a conversation"), shown, right=(1, 2), whole=(0,))
    if found.needs_model:
        terminal.line(f"{counted(found.needs_model, 'unsure message')} would be asked of the router's model", indent=2)
    for kind, what in _UNREAD.items():
        if count := found.unread[kind]:  # type: ignore[index]
            terminal.hang(terminal.text((MARKS.warn, "bold yellow")), f"{counted(count, 'message')} {what}")
    _show_compared(terminal, routed)


def _show_compared(terminal: Terminal, routed: ImportRouter) -> None:
    found = routed.found
    if found.unknown:
        what = ", ".join(f"{name} {count:,}" for name, count in found.unknown.most_common(_SHOWN))
        terminal.hang(
            terminal.text((MARKS.warn, "bold yellow")), f"labels of records that the router does not have: {what}"
        )
    if not found.compared:
        terminal.line("No message has a recorded label to compare with.", indent=2)
        return
    share = 100 * found.agreed / found.compared
    terminal.line(
        f"{counted(found.compared, 'message')} with a recorded label: {found.agreed:,} agree ({share:.0f} %)", indent=2
    )
    for one in found.differences[:_SHOWN]:
        terminal.hang(
            terminal.text((MARKS.move, "bold")),
            (f"{one.stream[:8]} event {one.version}: recorded {_scored(one, ' and '.join(one.labels))}", "bold"),
            (f"; today {_scored(one, one.decided.outcome)} by {one.decided.stage}", "bold"),
            f", needs {one.decided.threshold[:4]}" if one.decided.threshold else "",
        )
    if len(found.differences) > _SHOWN:
        terminal.line((f"and {len(found.differences) - _SHOWN:,} more; --json lists them", "dim"), indent=2)
    for (was, now), count in found.moved.most_common():
        terminal.line(f"{was} → {now}: {count:,}", indent=2)


def _scored(one: RoutedImport, what: str) -> str:
    score = one.scores.get(what)
    return safe(what if score is None else f"{what} {score[:4]}")
