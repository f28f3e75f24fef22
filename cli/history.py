"""`interlock log`: what conversations there are, and what happened in one of them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..contracts.events import TaskOpened
from ..contracts.imported import IMPORTED
from ..contracts.payload import Payload, PayloadAt
from ..contracts.store import Store, Summary
from ..fsm.evolve import fold
from ..fsm.replay import Recorded
from ..persistence.sqlite_store import SqliteStore
from ..persistence.verify import Broken, verify
from ..service.loading import recorded
from . import timeline
from .archiving import archived_in, archives_of, archives_said, read_from
from .finding import flow_of, stream_named
from .seeing import Looking, missing_said, texts_seen
from .story import Told, told
from .terminal import MARKS, Terminal, counted, write_json


def listed_document(store: Store, limit: int) -> dict[str, Any]:
    """`{"log", "conversations": [{"id", "flow", "version", "digest", "state", "status", "events", "turns",
    "started", "updated", "undecided", "tasks", "parent", "fork_at", "child"}]}`: newest first, and before them the
    forks that were made lately, whose events have the times of their parents.

    `parent` is the conversation that a child belongs to, or that a fork took its first `fork_at` events from;
    `child` is the open child that has the customer. Where conversations were pruned, `"archived": {archive: how many}`
    says where they are.
    """
    newest = {one.stream: one for one in store.summaries(limit=limit)}
    lately = [one for name in _begun_last(store, limit) if (one := newest.get(name) or store.summary(name))]
    forks = {one.stream: one for one in lately if _is_fork(store, one.stream)}
    chosen = list({**forks, **newest}.values())[:limit]
    archived = archives_of(archived_in(store))
    listed = {"log": store.log, "conversations": [_summary(store, one) for one in chosen]}
    return listed | ({"archived": archived} if archived else {})


def _begun_last(store: Store, limit: int) -> Sequence[str]:
    """What came into the log last; PostgreSQL keeps no such order, and there a fork stands by its parent's times."""
    return store.begun_last(limit) if isinstance(store, SqliteStore) else ()


def _is_fork(store: Store, stream: str) -> bool:
    return any(b'"origin":"forked"' in one.data for one in store.read(stream, limit=1))


def _summary(store: Store, one: Summary) -> dict[str, Any]:
    folded = fold(one.stream, (entry.event for entry in recorded(store.read(one.stream))))
    fork, task = folded.forks[-1] if folded.forks else None, folded.visit.task
    parent = fork or folded.parent
    own = (task,) if fork and isinstance(folded.visit.opened, TaskOpened) and task is not None else ()
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
        "undecided": len(folded.undecided),
        "tasks": list(own or one.tasks),
        "parent": parent.conversation if parent else None,
        "fork_at": fork.version if fork else None,
        "child": folded.children[folded.child].started.child if folded.child is not None else None,
    }


_FORKS = (
    "Nobody acts in a fork by himself, and `interlock tasks` leaves it out; its times are its parent's. "
    "`interlock chat FLOW --resume ID` goes on with it."
)


def list_all(db: Path | None, limit: int, as_json: bool, archive: Path | None = None) -> None:
    """The conversations, the newest first; of the log, or of an archive of it."""
    with read_from(db, archive) as (store, _):
        document = listed_document(store, limit)
    if as_json:
        write_json(document)
        return
    terminal, found = Terminal(), document["conversations"]
    archived = archives_said(document.get("archived", {}))
    if not found and archived:
        terminal.line((archived, "dim"))
        return
    if not found:
        terminal.line("No conversation yet. Begin one with `interlock chat bank`.")
        return
    wide = terminal.width >= 100
    headings = ["id", "flow", "state", "events", "turns", "updated (UTC)", "waits for"]
    rows = [
        [
            (one["id"][:8], "bold"),
            _led_by(one),
            (one["state"], "dim" if one["status"] == "ended" else ""),
            str(one["events"]),
            str(one["turns"]),
            one["updated"][:19].replace("T", " ") if wide else one["updated"][5:16].replace("T", " "),
            _waits(one),
        ]
        for one in found
    ]
    terminal.table(headings, rows, right=(3, 4), whole=(0, 5))
    if any(one["fork_at"] is not None and one["status"] == "open" for one in found):
        terminal.line((_FORKS, "dim"))
    more = " (the newest; --limit shows more)" if len(found) == limit else ""
    terminal.line((f"{counted(len(found), 'conversation')}{more}. `interlock log ID` tells one.", "dim"))
    if archived:
        terminal.line((archived, "dim"))


def _led_by(one: dict[str, Any]) -> str | tuple[str, str]:
    if one["digest"] == IMPORTED.digest:
        return one["flow"], "dim"
    fork = "" if one["fork_at"] is None else f"\nfork of {one['parent'][:8]} at {one['fork_at']}"
    return f"{one['flow']} v{one['version']}{fork}"


def _waits(one: dict[str, Any]) -> tuple[str, str]:
    if one["digest"] == IMPORTED.digest:
        return "", "dim"
    if one["fork_at"] is not None and one["undecided"]:
        return "whoever goes on with it", "dim"
    if one["fork_at"] is not None and one["tasks"]:
        return f"a person, task {one['tasks'][0]} of the fork", "dim"
    if one["undecided"]:
        return f"{one['undecided']} undecided", "red"
    if one["child"]:
        return f"its child {one['child'][:8]}", ""
    if one["tasks"]:
        return f"a person, task {one['tasks'][0]}", "yellow"
    return ("", "dim") if one["status"] == "ended" else ("the customer", "dim")


@dataclass(frozen=True, slots=True)
class Shown:
    """How a conversation is told. `texts` says who reads what was said; None where nobody does."""

    texts: Looking | None = None
    hashes: bool = False
    all_events: bool = False
    as_json: bool = False


def tell_one(db: Path | None, prefix: str, show: Shown, archive: Path | None = None) -> int:
    """What happened in the conversation whose id begins with `prefix`; 1 if its log does not verify."""
    with read_from(db, archive) as (store, log):
        stream = stream_named(store, prefix)
        broken = verify(store, streams=[stream]).first
        if broken is not None and not show.as_json:
            _warn(broken)
        summary = store.summary(stream)
        entries = recorded(store.read(stream))
        flow = flow_of(store, entries[0].envelope.flow)
        texts: Mapping[PayloadAt, Payload] | None = None
        missing: Sequence[PayloadAt] = ()
        if show.texts:  # recorded in the log, wherever they are read from
            texts = seen = texts_seen(log, stream, "log", show.texts)
            missing = sorted(seen.missing, key=lambda at: (at.version, at.name))
            if store is not log:
                texts, missing = store.payloads(stream), ()
        events = told(entries, flow, texts, partial(flow_of, store))
    if show.as_json:
        lost = [{"version": at.version, "name": at.name} for at in missing]
        write_json(told_document(stream, summary, entries, events, broken) | ({"missing": lost} if lost else {}))
    else:
        _show(stream, summary, events, hashes=show.hashes, texts=texts is not None, all_events=show.all_events)
        if missing:
            terminal = Terminal(error=True)
            terminal.hang(terminal.text((MARKS.bad, "bold red")), (missing_said(len(missing)), "red"))
    return 0 if broken is None and not missing else 1


def _warn(broken: Broken) -> None:
    terminal = Terminal(error=True)
    terminal.hang(
        terminal.text((MARKS.bad, "bold red")),
        (f"This log does not verify: it is broken at event {broken.version}. ", "bold red"),
        f"{broken.what} What follows is what stands there, and proves nothing.",
    )


def told_document(
    stream: str,
    summary: Summary | None,
    entries: Sequence[Recorded],
    events: Sequence[Told],
    broken: Broken | None = None,
) -> dict[str, Any]:
    """`{"id", "flow", "version", "digest", "state", "status", "broken": {"version", "what"}|null, "events":
    [{"version", "at", "type", "key", "actor", "flow", "says", "policy", "notes": [{"mark", "says"}], "leaf",
    "prev", "data"}]}`: `says` holds texts only with --texts; `data` is the event's own, as its entry has it."""
    return {
        "id": stream,
        "flow": summary.flow_name if summary else None,
        "version": summary.flow_version if summary else None,
        "digest": summary.flow_digest if summary else None,
        "state": summary.state if summary else None,
        "status": summary.status if summary else None,
        "broken": {"version": broken.version, "what": broken.what} if broken else None,
        "events": [
            {
                "version": one.version,
                "at": one.at,
                "type": one.type,
                "key": entry.envelope.key,
                "actor": entry.envelope.actor.model_dump(mode="json"),
                "flow": entry.envelope.flow,
                "says": one.text,
                "policy": one.policy or None,
                "notes": [{"mark": note.mark, "says": note.text} for note in one.notes],
                "leaf": one.leaf,
                "prev": entry.envelope.prev,
                "data": json.loads(entry.data)["data"],
            }
            for entry, one in zip(entries, events, strict=True)
        ],
    }


def _show(
    stream: str, summary: Summary | None, events: tuple[Told, ...], *, hashes: bool, texts: bool, all_events: bool
) -> None:

    terminal = Terminal()
    terminal.rule(stream)
    if summary is not None:
        flow = f"{summary.flow_name} v{summary.flow_version}, digest {summary.flow_digest[:12]}"
        if summary.flow_digest == IMPORTED.digest:
            flow = "imported: led elsewhere, by no flow"
            terminal.line((flow, "dim"), indent=1)
        else:
            terminal.line((f"{flow}; {summary.status} in ", "dim"), (summary.state, "bold"), indent=1)
        terminal.line((f"began {summary.started_at[:19].replace('T', ' ')} UTC", "dim"), indent=1)
    terminal.blank()
    timeline.show(terminal, events, hashes=hashes, all_events=all_events)
    if not texts:
        terminal.blank()
        terminal.line(("Texts are personal and left out; --texts shows them.", "dim"), indent=1)
