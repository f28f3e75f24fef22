"""`interlock migrate`: move live conversations to another version of their flow, or say what would move."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..contracts.commands import Actor
from ..contracts.errors import CallError
from ..service.codes import code_of
from ..service.migrating import Move, check_names, check_old_names, moved, planned, wanted
from ..service.project import load_project
from .elsewhere import check_led_here
from .finding import streams_named, writable_log
from .terminal import MARKS, Terminal, counted, write_json


def migrate(
    db: Path | None, prefixes: Sequence[str], flow: str, maps: Sequence[str], who: str, *, dry: bool, as_json: bool
) -> int:
    """Move the conversations, or all open ones of the flow's name; 1 where one cannot be moved."""
    project, renamed = load_project(flow), _renamed(maps)
    program = project.program
    check_names(program, renamed)
    now, actor, code = datetime.now(UTC), Actor(kind="human", id=who, roles=("operator",)), code_of(project)
    with writable_log(db) as store:
        streams = streams_named(store, prefixes) or [one.stream for one in wanted(store, program)]
        for stream in streams:
            check_led_here(store, stream)
        check_old_names(store, streams, renamed)
        if dry:
            moves = tuple(
                planned(store, stream, program, renamed, at=now, actor=actor, code=code) for stream in streams
            )
        else:
            moves = moved(store, streams, program, renamed, at=now, source=project.source, actor=actor, code=code)
    to = f"{program.ref.name} v{program.ref.version}"
    if as_json:
        write_json(moves_document(to, program.ref.digest, moves, dry=dry))
    else:
        _show(to, moves, dry=dry)
    return 0 if all(one.possible for one in moves) else 1


def _renamed(maps: Sequence[str]) -> dict[str, str]:
    """Raises `CallError` for what is not `old=new`, and for a state that is mapped twice."""
    found: dict[str, str] = {}
    for one in maps:
        old, equals, new = one.partition("=")
        if not (old and equals and new):
            raise CallError(f"--map {one!r} is not old=new.", fix="Write as in `--map checking=verifying`.")
        if old in found:
            raise CallError(f"The state {old!r} is mapped twice.", fix="Give one --map for each state.")
        found[old] = new
    return found


def moves_document(to: str, digest: str, moves: Sequence[Move], *, dry: bool) -> dict[str, Any]:
    """`{"to", "digest", "dry_run", "moved", "kept", "conversations": [{"id", "before", "from", "in", "moves",
    "obstacles", "forgets", "events"}]}`: `events` are what the move records, or recorded."""
    return {
        "to": to,
        "digest": digest,
        "dry_run": dry,
        "moved": sum(one.possible for one in moves),
        "kept": sum(not one.possible for one in moves),
        "conversations": [
            {
                "id": one.stream,
                "before": one.before,
                "from": one.source,
                "in": one.target if one.possible else None,
                "moves": one.possible,
                "obstacles": list(one.obstacles),
                "forgets": list(one.forgotten),
                "events": [entry.event.model_dump(mode="json", exclude_none=True) for entry in one.entries],
            }
            for one in moves
        ],
    }


def _show(to: str, moves: Sequence[Move], *, dry: bool) -> None:
    terminal = Terminal()
    for one in moves:
        if one.possible:
            way = one.source if one.source == one.target else f"{one.source} → {one.target}"
            forgets = f"; forgets {', '.join(one.forgotten)}" if one.forgotten else ""
            terminal.hang(
                terminal.text((MARKS.good, "bold green")),
                (one.stream[:8], "bold"),
                f"  from {one.before}, in {way}{forgets}",
            )
        else:
            terminal.hang(
                terminal.text((MARKS.bad, "bold red")),
                (one.stream[:8], "bold"),
                f"  stays on {one.before} in {one.source}: {'; '.join(one.obstacles)}",
            )
    can = sum(one.possible for one in moves)
    verb = "would move" if dry else "moved"
    terminal.line(
        (
            f"{counted(can, 'conversation')} {verb} to {to}; {len(moves) - can} cannot."
            if moves
            else f"No open conversation runs on another version of {to.split(maxsplit=1)[0]}.",
            "dim",
        )
    )
