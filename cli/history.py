"""`interlock log`: what conversations there are, and what happened in one of them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import Db, Json

if TYPE_CHECKING:
    from ..contracts.store import Store, Summary
    from .story import Told


def log(
    conversation: Annotated[
        str, typer.Argument(metavar="[CONVERSATION]", help="The beginning of its id. Left out: list all.")
    ] = "",
    db: Db = None,
    texts: Annotated[bool, typer.Option("--texts", help="Show what was said: personal, so only when asked.")] = False,
    hashes: Annotated[bool, typer.Option("--hashes", help="Show the first digits of each entry's hash.")] = False,
    all_events: Annotated[bool, typer.Option("--all", help="Show timers, too.")] = False,
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="List at most so many.")] = 50,
    json: Json = False,
) -> None:
    """List the conversations, or tell what happened in one of them."""
    from .finding import existing_log, stream_named

    with existing_log(db) as store:
        if conversation:
            _one(store, stream_named(store, conversation), texts, hashes, all_events, json)
        else:
            _list(store, limit, json)


def listed_document(store: "Store", limit: int) -> dict[str, Any]:
    """`{"log", "conversations": [{"id", "flow", "version", "digest", "state", "status", "events", "turns",
    "started", "updated", "undecided", "tasks"}]}`: newest first."""
    return {"log": store.log, "conversations": [_summary(store, one) for one in store.summaries(limit=limit)]}


def _summary(store: "Store", one: "Summary") -> dict[str, Any]:
    from ..fsm.evolve import fold
    from ..service.loading import recorded

    folded = fold(one.stream, (entry.event for entry in recorded(store.read(one.stream))))
    return {
        "id": one.stream,
        "flow": one.flow_name,
        "version": one.flow_version,
        "digest": one.flow_digest,
        "state": one.state,
        "status": one.status,
        "events": one.length,
        "turns": folded.turn.number,
        "started": one.started_at,
        "updated": one.updated_at,
        "undecided": one.undecided,
        "tasks": list(one.tasks),
    }


def _list(store: "Store", limit: int, as_json: bool) -> None:
    from .terminal import Terminal, counted, write_json

    document = listed_document(store, limit)
    if as_json:
        write_json(document)
        return
    terminal, found = Terminal(), document["conversations"]
    if not found:
        terminal.line("No conversation yet. Begin one with `interlock chat bank`.")
        return
    wide = terminal.width >= 100
    headings = ["id", "flow", "state", "events", "turns", "updated (UTC)", "waits for"]
    rows = [
        [
            (one["id"][:8], "bold"),
            f"{one['flow']} v{one['version']}",
            (one["state"], "dim" if one["status"] == "ended" else ""),
            str(one["events"]),
            str(one["turns"]),
            one["updated"][:19].replace("T", " ") if wide else one["updated"][5:16].replace("T", " "),
            _waits(one),
        ]
        for one in found
    ]
    terminal.table(headings, rows, right=(3, 4), whole=(0, 5))
    more = " (the newest; --limit shows more)" if len(found) == limit else ""
    terminal.line((f"{counted(len(found), 'conversation')}{more}. `interlock log ID` tells one.", "dim"))


def _waits(one: dict[str, Any]) -> tuple[str, str]:
    if one["undecided"]:
        return f"{one['undecided']} undecided", "red"
    if one["tasks"]:
        return f"a person, task {one['tasks'][0]}", "yellow"
    return ("", "dim") if one["status"] == "ended" else ("the customer", "dim")


def _one(store: "Store", stream: str, texts: bool, hashes: bool, all_events: bool, as_json: bool) -> None:
    from ..service.loading import recorded
    from .finding import flow_of
    from .story import told

    summary = store.summary(stream)
    flow = flow_of(store, summary.flow_digest) if summary else None
    events = told(recorded(store.read(stream)), flow, store.payloads(stream) if texts else None)
    if as_json:
        from .terminal import write_json

        write_json(told_document(stream, summary, events))
        return
    _show(stream, summary, events, hashes=hashes, texts=texts, all_events=all_events)


def told_document(stream: str, summary: "Summary | None", events: "tuple[Told, ...]") -> dict[str, Any]:
    """`{"id", "flow", "version", "digest", "state", "status", "events": [{"version", "at", "type", "says",
    "policy", "notes": [{"mark", "says"}], "leaf"}]}`: `says` holds texts only with --texts."""
    return {
        "id": stream,
        "flow": summary.flow_name if summary else None,
        "version": summary.flow_version if summary else None,
        "digest": summary.flow_digest if summary else None,
        "state": summary.state if summary else None,
        "status": summary.status if summary else None,
        "events": [
            {
                "version": one.version,
                "at": one.at,
                "type": one.type,
                "says": one.text,
                "policy": one.policy or None,
                "notes": [{"mark": note.mark, "says": note.text} for note in one.notes],
                "leaf": one.leaf,
            }
            for one in events
        ],
    }


def _show(
    stream: str, summary: "Summary | None", events: "tuple[Told, ...]", *, hashes: bool, texts: bool, all_events: bool
) -> None:
    from . import timeline
    from .terminal import Terminal

    terminal = Terminal()
    terminal.rule(stream)
    if summary is not None:
        flow = f"{summary.flow_name} v{summary.flow_version}, digest {summary.flow_digest[:12]}"
        terminal.line((f"{flow}; {summary.status} in ", "dim"), (summary.state, "bold"), indent=1)
        terminal.line((f"began {summary.started_at[:19].replace('T', ' ')} UTC", "dim"), indent=1)
    terminal.blank()
    timeline.show(terminal, events, hashes=hashes, all_events=all_events)
    if not texts:
        terminal.blank()
        terminal.line(("Texts are personal and left out; --texts shows them.", "dim"), indent=1)
