"""Keys of a log: texts in clear are encrypted, and data keys get a new master key. Safe to stop and do again."""

from collections.abc import Callable
from typing import Any

from ..contracts.errors import CallError, SetupError
from ..contracts.keeping import KeysChanged
from ..persistence.keyfile import KeyFile
from ..persistence.protecting import clear_payloads, encrypted_in, rewrapped_in, try_rewrapping
from ..persistence.sql_store import SqlStore
from .journal import Journal


def encrypt(store: SqlStore[Any], *, by: str, progress: Callable[[int], None] | None = None) -> int:
    """Encrypt every text that lies in clear, and leave nothing of it in free pages; returns how many there were.

    Recorded before it is done, and the pages are freed though nothing lies in clear any more: who was cut off after the
    last text left both to the next run.
    """
    if store.in_clear:
        raise CallError("This store writes texts in clear.", fix="Open it without `in_clear`.")
    if count := clear_payloads(store):
        Journal(store).note(KeysChanged(by=by, how="encrypted", count=count))
    done = encrypted_in(store, progress)
    store.scrub()
    return done


def rotate(store: SqlStore[Any], *, by: str, ground: str = "") -> int:
    """Wrap every data key by a new master key, and forget the old ones; returns how many were wrapped.

    A crash leaves both keys in the file and each data key under one of them: rotate again. A running server reads
    the file again by itself. Where the database refuses, the key that wrapped before goes on wrapping: nothing is
    written under a key that this machine's file alone has.
    """
    master = store.master
    if not isinstance(master, KeyFile):
        raise SetupError(
            "The master key is not in a file.", fix="Rotate it in the service that keeps it, which unwraps by old keys."
        )
    if not master.exists():
        raise SetupError("There is no master key yet.", where=str(master.path), fix="It is made with the first text.")
    try_rewrapping(store)
    before = master.ids()[-1]
    master.add()
    try:
        count = rewrapped_in(store)
    except Exception:
        master.wrap_by(before)
        raise
    Journal(store).note(KeysChanged(by=by, ground=ground, how="rotated", count=count))
    master.keep_newest()
    return count
