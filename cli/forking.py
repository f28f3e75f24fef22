"""`interlock fork`: go on from an event of a recorded conversation in a new one, with something changed."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError
from ..contracts.store import Store
from ..fsm.program import with_children
from ..service.codes import codes_of
from ..service.fork_points import Change
from ..service.forking import Forked, Wiring, forked
from ..service.loading import recorded
from ..service.project import Project, load_project
from ..service.wiring import Agents, ModelChoice, agents_for, found_flows
from .elsewhere import check_led_here
from .finding import stream_named, writable_log
from .given import text_of
from .terminal import MARKS, Terminal, counted, safe, write_json


@dataclass(frozen=True, slots=True)
class Wish:
    """What the command line asked for."""

    conversation: str
    at: int
    message: str | None
    answer: Path | None
    flow: str
    live: bool
    alone: bool


def fork(db: Path | None, wish: Wish, choice: ModelChoice, *, as_json: bool) -> int:
    """Fork, and say what came of it; 1 where it stopped before the end of the record."""
    if wish.message is not None and wish.answer is not None:
        raise CallError("A fork changes one thing.", fix="Give --message or --answer, and fork the fork for the other.")
    change = Change(wish.message, _read(wish.answer))
    with writable_log(db) as store:
        parent = stream_named(store, wish.conversation)
        check_led_here(store, parent)
        wiring, agents = _wired(store, parent, wish, choice)
        made = asyncio.run(_run(store, parent, wish, wiring, agents, change))
    if as_json:
        write_json(forked_document(made))
    else:
        _show(made, wish)
    return 1 if made.stopped else 0


async def _run(store: Store, parent: str, wish: Wish, wiring: Wiring, agents: Agents | None, change: Change) -> Forked:
    try:
        return await forked(store, parent, wish.at, wiring, change=change, alone=wish.alone)
    finally:
        if agents is not None:
            await agents.close()


def _read(path: Path | None) -> str | None:
    if path is None:
        return None
    return text_of(path)


def _wired(store: Store, parent: str, wish: Wish, choice: ModelChoice) -> tuple[Wiring, Agents | None]:
    """Raises `CallError` where no code is there to go on with."""
    project = load_project(wish.flow) if wish.flow else None
    flows = found_flows(store)
    used = {one.envelope.flow for one in recorded(store.read(parent))}
    found = [flows[digest] for digest in sorted(used) if digest in flows]
    programs = [one.program for one in found if one.program is not None]
    own = project or next((one.project for one in found if one.project is not None), None)
    if own is None or not (programs or project):
        why = "; ".join(one.problem for one in found) or "the log does not keep its flow"
        raise CallError(f"There is no code to go on with: {safe(why)}", where=parent, fix="Give its place with --flow.")
    agents = agents_for(own, choice) if wish.live else None
    codes, sources = _marks(own, found)
    return Wiring(
        programs or [own.program],
        under=project.program if project else None,
        agent=agents.agent if agents else None,
        codes=codes,
        sources=sources,
    ), agents


def _marks(own: Project, found: Any) -> tuple[dict[str, str], dict[str, str]]:
    """By flow digest: which code decides, and where the flow is."""
    codes, sources = {}, {}
    for one in found:
        if one.program is not None and one.project is not None:
            codes.update(codes_of(one.project, one.program))
            sources.update({each.ref.digest: one.row.source for each in with_children([one.program])})
    codes.update(codes_of(own, own.program))
    sources.update({each.ref.digest: own.source for each in with_children([own.program])})
    return codes, sources


def forked_document(made: Forked) -> dict[str, Any]:
    """`{"id", "parent", "at", "state", "status", "events", "said_again", "recorded_answers", "live_answers",
    "stopped"}`: the answers are given by the versions of their intents, in the parent and in the fork."""
    return {
        "id": made.stream,
        "parent": made.parent,
        "at": made.version,
        "state": made.state,
        "status": made.status,
        "events": made.events,
        "said_again": made.said_again,
        "recorded_answers": made.served,
        "live_answers": made.live,
        "stopped": made.stopped or None,
    }


def _show(made: Forked, wish: Wish) -> None:
    terminal = Terminal()
    terminal.hang(
        terminal.text((MARKS.good, "bold green")),
        ("Forked as ", ""),
        (made.stream, "bold"),
        f", from {made.parent[:8]} before event {made.version}; {made.status} in {made.state}, "
        f"{counted(made.events, 'event')}.",
    )
    asked = f"{len(made.live)} asked anew" if wish.live else "no model was called"
    served, again = counted(len(made.served), "answer"), counted(made.said_again, "input")
    terminal.line(f"{served} from the record, {asked}; {again} given again.", indent=2)
    if made.stopped:
        terminal.hang(terminal.text((MARKS.warn, "bold yellow")), ("It stopped: ", "yellow"), safe(made.stopped))
    terminal.line((f"Compare: interlock diff {made.parent[:8]} {made.stream[:8]}", "dim"), indent=2)
