"""What `interlock doctor` looks at of keeping a log: its keys, texts in clear, holds, erasures, room."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..contracts.errors import KeyUnavailable
from ..contracts.keeping import KeysChanged, SegmentPruned
from ..persistence.keyfile import KeyFile
from ..persistence.protecting import clear_payloads
from ..persistence.sql_store import SqlStore
from ..persistence.sqlite_store import SqliteStore
from ..service.erasing import Eraser
from ..service.journal import Journal
from ..service.missing import Accounts
from .archiving import archives_of, archives_said
from .terminal import counted

LEAST_BYTES_FREE = 200_000_000
"""Room on the log's disk below which it is time to act: a log that cannot be written stops every turn."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing that was looked at: as `examine.Finding`."""

    name: str
    result: Literal["ok", "warn", "fail"]
    says: str
    fix: str = ""


def keeping(store: SqlStore[Any]) -> Iterator[Kept]:
    """One finding a thing, each with what to do."""
    yield from _room(store)
    if store.reads_texts():
        yield _key(store)
        yield _clear(store)
    else:
        fix = "Run it as a member of interlock_app too."
        yield Kept("texts", "warn", "this user may not read texts and their keys: nobody looked at them", fix)
    yield from _erasures(store)
    yield _archives(store)


def _archives(store: SqlStore[Any]) -> Kept:
    archives = archives_of(store.archived())
    done = {one.record for one in store.archived()}
    left = [one for one in Journal(store).acts() if isinstance(one.act, SegmentPruned) and one.number not in done]
    later = [one for one in left if isinstance(one.act, SegmentPruned) and one.act.archive not in archives]
    if later:
        says = f"record {later[-1].number} says that something was to be pruned, and it is all still here: a crash"
        return Kept("archives", "warn", says, "Run `interlock prune` again with that archive, or leave it.")
    if lost := _keyless(store) if store.reads_texts() else []:
        says = f"the data keys of all texts archived in {', '.join(lost)} are missing, and no erasure is recorded"
        return Kept("archives", "fail", says, "Restore a backup; `interlock verify --archive PATH` says more.")
    return Kept("archives", "ok", archives_said(archives) or "nothing was pruned from this log")


def _keyless(store: SqlStore[Any]) -> list[str]:
    """Archives with texts for which not one key is left, though nobody was erased. Which of the people wrote a text
    only the archive says: one key that is missing among others is seen by `interlock verify --archive` alone."""
    there, accounts, found = store.subjects_with_keys(), Accounts(store), []
    begun = 0 if not isinstance(store.master, KeyFile) or store.master.exists() else None
    prunes = list[tuple[int, SegmentPruned]]()
    for one in Journal(store).acts():
        if isinstance(one.act, KeysChanged) and one.act.how == "encrypted":
            begun = one.number  # what was archived before may have been in clear, without any key
        elif isinstance(one.act, SegmentPruned) and one.act.payloads:
            prunes.append((one.number, one.act))
    for number, act in prunes if begun is not None else ():
        gone = [one for one in store.archived() if one.record == number]
        if number >= (begun or 0) and gone and not any(o.subject in there or accounts.is_erased(o) for o in gone):
            found.append(act.archive)
    return found


def _room(store: SqlStore[Any]) -> Iterator[Kept]:
    if not isinstance(store, SqliteStore):
        return  # the server's disk is not this machine's
    free = shutil.disk_usage(store.path.resolve().parent).free
    says = f"{free / 1_000_000_000:.1f} GB are free on the log's disk"
    if free < LEAST_BYTES_FREE:
        fix = "Free space or move the log: on a full disk every turn is refused, and nothing acknowledged is lost."
        yield Kept("room", "warn", says, fix)
    else:
        yield Kept("room", "ok", says)


def _key(store: SqlStore[Any]) -> Kept:
    wrapped, master = store.describe().counts["data_keys"], store.master
    if not isinstance(master, KeyFile):
        return Kept("key", "ok", f"{counted(wrapped, 'data key')} under a key service")
    if not wrapped and not master.exists():
        return Kept("key", "ok", "none yet: it is made with the first text")
    try:
        ids = master.ids()
    except KeyUnavailable as error:
        return Kept("key", "fail", f"{master.path}: {error.what}", error.fix)
    says = f"{counted(len(ids), 'master key')} over {counted(wrapped, 'data key')} in {master.path}"
    return Kept("key", "ok", f"{says}, for its owner alone; keep a copy elsewhere")


def _clear(store: SqlStore[Any]) -> Kept:
    clear = clear_payloads(store)
    if clear:
        return Kept("texts", "warn", f"{counted(clear, 'text')} in clear", "Run `interlock keys encrypt`.")
    return Kept("texts", "ok", "none lies in clear")


def _erasures(store: SqlStore[Any]) -> Iterator[Kept]:
    eraser = Eraser(store)
    left = [one for one in eraser.erasings() if one.done is None]
    ready = [one for one in left if one.is_approved]
    if ready:
        says = f"{counted(len(ready), 'erasure')} approved and not complete: a crash, or a hold"
        yield Kept("erasures", "fail", says, "Run `interlock erase` again for each; `interlock access` lists them.")
    elif left:
        says = f"{counted(len(left), 'erasure')} waiting for another person's approval"
        yield Kept("erasures", "warn", says, "Somebody else runs `interlock erase --subject S --approve`.")
    else:
        yield Kept("erasures", "ok", "none waits")
    holds = eraser.journal.holds()
    yield Kept("holds", "ok", f"{counted(len(holds), 'hold')}" + ("; `interlock hold` lists them" if holds else ""))
