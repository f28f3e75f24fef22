"""`interlock archive` and `prune`: ended conversations go into an archive that verifies alone, then from the log."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..contracts.archive import Archived
from ..contracts.errors import CallError
from ..contracts.protection import KeepingStore
from ..contracts.store import Store
from ..contracts.tree import TreeStore
from ..contracts.values import written_time
from ..persistence.evidence.eras import eras_of
from ..persistence.evidence.policy import Policy
from ..persistence.evidence.tiles import written_to
from ..service.archiving import Chosen, Range, chosen, written
from ..service.checkpointing import Checkpointer
from ..service.evidence import checkpointer_of, policy_in, policy_path, signing_key
from ..service.journal import is_keeping
from ..service.pruning import Opened, Pruned, Pruner, opened
from ..service.unarchived import store_of
from ..service.wiring import db_path
from .finding import existing_log, writable_log
from .seeing import acting, checked_ground, noted_reading
from .terminal import MARKS, Terminal, counted, safe, write_json

ATTEMPTS = 5
REFUSED = 2
"""The exit code where there is nothing to archive: of a dry run as of the real one."""
MOST_SHOWN = 20
"""Conversations that stay, of which each is named with its reason."""


def archive(
    db: Path | None,
    path: Path,
    *,
    name: str,
    before: str,
    through: int | None,
    in_clear: bool,
    key: Path | None,
    policy: Path | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Write the archive and check it with its own verifier, or say what it would hold."""
    wanted = Range(_moment(before), through)
    with writable_log(db) as store:
        place = db_path(db)
        signer = signing_key(place, store.log, key)
        called = _checked_name(name or path.stem)
        if dry_run:
            found = chosen(store, wanted, in_clear=in_clear)
            _show_archive(None, "", found, as_json)
            return 0 if found.conversations or store.tree().waiting() else REFUSED
        given = policy_in(policy_path(place, policy), needed=policy is not None)
        own = signer.verifiers()
        logs = (*own, *(one for one in given.logs if one not in own))
        trusted = Policy(logs, given.witnesses, given.groups, given.quorum)
        signing = checkpointer_of(place, store.tree(), key=key, policy=policy)
        with written_to(path) as put:
            with sealed(store.tree(), signing):
                found = chosen(store, wanted, in_clear=in_clear)
                written(store, signer.signers, trusted, called, found.conversations, put, in_clear=in_clear)
            if in_clear:
                noted_reading(store, [one.stream for one in found.conversations], "export")
    made = opened(path, [(0, key) for key in own])
    _show_archive(made, called, found, as_json)
    return 0


@contextmanager
def sealed(tree: TreeStore, signing: Checkpointer) -> Iterator[None]:
    """Be the only sequencer of a tree that ends with its newest checkpoint; made anew where entries came between."""
    for attempt in range(ATTEMPTS):
        signing.checkpoint()
        with tree.sequencing():
            if tree.checkpoints()[-1][0] == tree.size() or attempt == ATTEMPTS - 1:
                yield
                return


def _moment(given: str) -> str:
    """A date or time as entries write it; a date begins at midnight UTC."""
    if not given:
        return ""
    try:
        found = datetime.fromisoformat(given)
    except ValueError as error:
        raise CallError(f"{given[:40]!r} is no date.", fix="Write it as 2026-01-31.") from error
    return written_time(found if found.tzinfo else found.replace(tzinfo=UTC))


def _checked_name(name: str) -> str:
    kept = (
        name.isascii() and 0 < len(name) <= 100 and name[0].isalnum() and all(c.isalnum() or c in "._-" for c in name)
    )
    if not kept:
        raise CallError(
            f"{name[:40]!r} cannot be an archive's name: it stands in the log for good.",
            fix="Give --name letters, digits, dots and dashes.",
        )
    return name


def _show_archive(made: Opened | None, name: str, found: Chosen, as_json: bool) -> None:
    if as_json:
        write_json(_archive_document(made, name, found))
        return
    terminal = Terminal()
    for one in found.kept[:MOST_SHOWN]:
        terminal.hang(terminal.text(("stays", "dim")), f"{safe(one.stream)}: {one.why}")
    if len(found.kept) > MOST_SHOWN:
        terminal.line((f"and {len(found.kept) - MOST_SHOWN} more stay; --json lists them.", "dim"))
    what = f"{counted(len(found.conversations), 'conversation')}, {counted(found.entries, 'event')}"
    more = f"; {counted(found.more, 'conversation')} more for the next archive" if found.more else ""
    if made is None:
        terminal.line(f"{what} would be archived{more}.")
        return
    terminal.hang(terminal.text((MARKS.good, "bold green")), (f"{name}: ", "bold"), f"{what}; it verifies alone{more}")
    terminal.line(("Put copies where they last; `interlock prune --archive` lets the log go without them.", "dim"))


def _archive_document(made: Opened | None, name: str, found: Chosen) -> dict[str, Any]:
    """`{"archive", "manifest", "size", "conversations": [id], "events", "stay": [{"id", "why"}], "more"}`: of a dry run
    `archive`, `manifest` and `size` are null."""
    return {
        "archive": made and name,
        "manifest": made and made.manifest,
        "size": made and made.size,
        "conversations": [one.stream for one in found.conversations],
        "events": found.entries,
        "stay": [{"id": one.stream, "why": one.why} for one in found.kept],
        "more": found.more,
    }


def prune(
    db: Path | None,
    path: Path,
    *,
    least_days: int,
    key: Path | None,
    policy: Path | None,
    who: str,
    ground: str,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Verify the archive, and let the entries go that it holds; or say what would go."""
    by, ground = acting(who), checked_ground(ground, needed=not dry_run)
    with writable_log(db) as store:
        place = db_path(db)
        signer = signing_key(place, store.log, key)
        held = opened(path, eras_of(store.tree(), signer.verifiers()))
        pruner = Pruner(store, least_days=least_days)
        if dry_run:
            found = pruner.plan(held, by=by, ground=ground)
        else:
            signing = checkpointer_of(place, store.tree(), key=key, policy=policy)
            found = pruner.prune(held, signing, signer.signers, by=by, ground=ground)
            signing.checkpoint()
    _show_pruned(found, as_json)
    return 0


def _show_pruned(found: Pruned, as_json: bool) -> None:
    """`{"archive", "conversations", "events", "payloads", "record", "pruned", "before"}`: `before` is true where an
    earlier run has pruned them."""
    if as_json:
        write_json(
            {
                "archive": found.archive,
                "conversations": found.conversations,
                "events": found.entries,
                "payloads": found.payloads,
                "record": found.record,
                "pruned": found.done,
                "before": found.again,
            }
        )
        return
    terminal = Terminal()
    what = (
        f"{counted(found.entries, 'event')} and {counted(found.payloads, 'text')} of "
        f"{counted(found.conversations, 'conversation')}"
    )
    if found.again:
        terminal.line(f"All that {found.archive} holds was pruned before, by record {found.record}.")
    elif found.done:
        terminal.hang(
            terminal.text((MARKS.good, "bold green")),
            f"pruned {what}: they are in {found.archive}, and record {found.record} says so. Their leaves stay: every "
            "root, checkpoint and proof holds as before.",
        )
    else:
        terminal.line(f"{what} would go: the archive {found.archive} verifies and holds them as they are here.")


# -- reading from an archive -------------------------------------------------------------------------------------


@contextmanager
def read_from(db: Path | None, path: Path | None) -> Iterator[tuple[Store, KeepingStore]]:
    """The log, and again the log to record readings in; or the conversations of an archive of it, and the log. The
    archive is verified first, by the log's key."""
    with existing_log(db) as store:
        if path is None:
            yield store, store
        else:
            key = signing_key(db_path(db), store.log)
            yield store_of(opened(path, eras_of(store.tree(), key.verifiers())), store), store


def archived_in(store: Store) -> Sequence[Archived]:
    """The conversations whose entries were pruned; none in a store that keeps no records."""
    return store.archived() if is_keeping(store) else ()


def archives_of(archived: Iterable[Archived]) -> dict[str, int]:
    """The archives that hold these conversations, each with how many."""
    return dict(sorted(Counter(one.archive for one in archived).items()))


def archives_said(archives: Mapping[str, int]) -> str:
    """In words: `3 conversations are archived in old, 1 in older`; empty where there are none."""
    parts = [f"{counted(number, 'conversation')} in {name}" for name, number in archives.items()]
    return f"Pruned from this log and archived: {', '.join(parts)}." if parts else ""
