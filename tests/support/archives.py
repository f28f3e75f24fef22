"""Logs with conversations that ended and some that did not, archives of them, and their pruning."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from interlock.contracts.envelope import Head
from interlock.contracts.protection import KeepingStore
from interlock.persistence.evidence.keys import Signer
from interlock.persistence.evidence.policy import Policy
from interlock.persistence.evidence.tiles import written_to
from interlock.persistence.keyfile import KeyFile
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.archiving import Chosen, Range, chosen, written
from interlock.service.checkpointing import Checkpointer
from interlock.service.clock import ManualClock
from interlock.service.pruning import Opened, Pruned, Pruner, opened
from support.evidence import FLOW, ORIGIN, TestKey, checkpointer
from support.postgres import database
from support.stores import after, decided

LATER = datetime(2028, 1, 1, tzinfo=UTC)
"""Long after everything in these logs."""


def lived(
    store: KeepingStore, ended: int, still_open: int, *, seed: int = 0, turns: int = 3
) -> tuple[list[str], list[str]]:
    """Turns of so many conversations, mixed; gives those that ended and those that did not."""
    random = Random(seed)
    store.put_flow(FLOW)
    names = [f"e{seed}-{n}" for n in range(ended)], [f"o{seed}-{n}" for n in range(still_open)]
    heads = {name: Head(name) for name in (*names[0], *names[1])}
    left = [name for name in heads for _ in range(random.randrange(1, turns + 1))]
    random.shuffle(left)
    while left:
        stream = left.pop()
        written_texts = [random.randbytes(random.randrange(1, 30)) for _ in range(random.randrange(3))]
        done = stream in names[0] and stream not in left
        append = decided(
            heads[stream],
            size=random.randrange(1, 4),
            written=written_texts,
            log=store.log,
            flow=FLOW.digest,
            status="ended" if done else "open",
        )
        store.append(append)
        heads[stream] = after(append)
    return names


@contextmanager
def store_of(kind: str, folder: Path) -> Iterator[KeepingStore]:
    """A store of each kind; `clear` is SQLite without encryption."""
    store: KeepingStore
    if kind == "postgres":
        with database() as url:
            store = PostgresStore(url, origin=ORIGIN, master=KeyFile(folder / "log.key"))
            try:
                yield store
            finally:
                store.close()
        return
    if kind == "memory":
        store = MemoryStore(origin=ORIGIN)
    else:
        store = SqliteStore(folder / "log.db", origin=ORIGIN, in_clear=kind == "clear")
    try:
        yield store
    finally:
        store.close()


def is_clear(store: KeepingStore) -> bool:
    return isinstance(store, MemoryStore) or bool(getattr(store, "in_clear", False))


def archived_to(
    store: KeepingStore,
    path: Path,
    signing: Checkpointer,
    wanted: Range | None = None,
    *,
    name: str = "",
    signer: Signer | None = None,
) -> Chosen:
    """An archive of everything in the range, at `path`."""
    signer, in_clear = signer or TestKey(store.log), is_clear(store)
    signing.checkpoint()
    found = chosen(store, wanted or Range(), in_clear=in_clear)
    with written_to(path) as put, store.tree().sequencing():
        policy = Policy((signer.verifier(),))
        written(store, [signer], policy, name or path.stem, found.conversations, put, in_clear=in_clear)
    return found


def reopened(path: Path, key: Signer | None = None) -> Opened:
    return opened(path, [(0, (key or TestKey()).verifier())])


def pruned(
    store: KeepingStore, path: Path, signing: Checkpointer, *, by: str = "dpo", ground: str = "retention 4"
) -> Pruned:
    pruner = Pruner(store, ManualClock(LATER))
    return pruner.prune(reopened(path, TestKey(store.log)), signing, [TestKey(store.log)], by=by, ground=ground)


def log_with_archive(
    store: KeepingStore, folder: Path, *, seed: int = 0, ended: int = 4, still_open: int = 2
) -> tuple[Path, Checkpointer, list[str], list[str]]:
    """A log whose ended conversations are archived and not yet pruned; the open ones go on afterwards."""
    signing = checkpointer(store.tree())
    gone, stay = lived(store, ended, still_open, seed=seed)
    path = folder / f"archive-{seed}"
    archived_to(store, path, signing)
    return path, signing, gone, stay


def each_file(folder: Path) -> Iterator[Path]:
    for root, _, names in os.walk(folder):
        yield from (Path(root) / name for name in sorted(names))


Step = Callable[[], None]
