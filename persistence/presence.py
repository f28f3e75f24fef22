"""Which processes are alive: so that what a dead one left undone is taken over, and never a live one's work.

A process that performs effects holds a lock file of its own for as long as it runs. The system lets the
lock go when the process dies, however it dies, so there is no heartbeat and no clock in it. A child made
by `fork` shares the lock: its parent counts as alive until the child has ended too.
"""

import re
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from ..contracts.errors import StorageError
from .locks import ProcessLock

_OWNER = re.compile(r"[0-9a-f]{32}")
_WAIT_SECONDS = 5.0


class Presence(Protocol):
    """Who performs effects on this log."""

    owner: str
    """Names this process: stands in `Summary.owner` of the conversations whose effects it performs."""

    def is_alive(self, owner: str) -> bool:
        """Whether the process that took this name still runs. False for names nobody ever took."""
        ...

    def close(self) -> None:
        """Give the name up. Safe to call twice."""
        ...


class OnlyProcess:
    """The presence of a log in memory: only who shares its `present` names can perform its effects."""

    def __init__(self, present: set[str] | None = None) -> None:
        self.owner = uuid4().hex
        self._present = set() if present is None else present
        self._present.add(self.owner)

    def is_alive(self, owner: str) -> bool:
        return owner in self._present

    def close(self) -> None:
        self._present.discard(self.owner)


class FilePresence:
    """Presence by lock files in `folder`, one for each process: `<owner>.lock`."""

    def __init__(self, folder: Path) -> None:
        """Take a new name, and remove the files of processes that died.

        The name is locked before anybody can know it. Raises `StorageError` where the folder cannot be used.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StorageError(
                f"The folder of running processes cannot be made: {error.strerror}.",
                where=str(folder),
                fix="Make the database's folder writable.",
            ) from error
        self.owner = uuid4().hex
        self._folder = folder
        self._closed = False
        registry = ProcessLock(folder / "registry.lock")
        try:
            # Under the registry's lock nobody removes a file that exists and is not locked yet.
            with registry.held(_WAIT_SECONDS):
                self._remove_stale()
                self._lock = ProcessLock(self._file(self.owner))
                self._lock.take(_WAIT_SECONDS)
        finally:
            registry.close()

    def is_alive(self, owner: str) -> bool:
        if not _OWNER.fullmatch(owner):
            return False
        if owner == self.owner:
            return not self._closed
        return self._file(owner).exists() and not self._is_free(self._file(owner))

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._lock.close()
            _remove(self._file(self.owner))

    def _file(self, owner: str) -> Path:
        return self._folder / f"{owner}.lock"

    def _is_free(self, file: Path) -> bool:
        lock = ProcessLock(file)
        try:
            return lock.take_now()
        finally:
            lock.close()

    def _remove_stale(self) -> None:
        for file in self._folder.glob("*.lock"):
            if _OWNER.fullmatch(file.stem) and self._is_free(file):
                _remove(file)


def _remove(file: Path) -> None:
    with suppress(OSError):  # Windows: somebody is looking at it; the next process that starts removes it
        file.unlink(missing_ok=True)
