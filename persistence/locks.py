"""A lock between processes on one file of the local disk: held by the system, gone when its holder dies.

The file stays where it is when the lock is let go: removing a locked file would split those who wait for
it. The descriptor is kept between uses, so taking a free lock costs a few microseconds; the library `filelock`
opens and checks the file each time, which costs as much as the write that the lock is for.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..contracts.errors import StorageError

if sys.platform == "win32":
    import msvcrt

    def _try_lock(descriptor: int) -> bool:
        try:
            os.lseek(descriptor, 0, os.SEEK_SET)
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _try_lock(descriptor: int) -> bool:
        try:
            # `flock` and not `lockf`: it belongs to the open file, so closing another descriptor of the same
            # file in this process does not let it go, and two holders in one process exclude each other.
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _unlock(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


_SHORTEST_PAUSE_SECONDS = 0.0002
_LONGEST_PAUSE_SECONDS = 0.002


class ProcessLock:
    """Excludes other processes, and other holders in this one. Not re-entrant, for one thread at a time."""

    def __init__(self, path: Path) -> None:
        """Opens the file, making it where it is missing. Raises `StorageError` if it cannot."""
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        except OSError as error:
            raise StorageError(
                f"The lock file cannot be opened: {error.strerror}.",
                where=str(path),
                fix="The folder must exist and be writable, for SQLite keeps its own files there too.",
            ) from error

    def take_now(self) -> bool:
        """True if the lock is ours now, False if somebody holds it."""
        return _try_lock(self._descriptor)

    def take(self, wait_seconds: float) -> None:
        """Wait for the lock. Raises `StorageError` when somebody holds it for longer than `wait_seconds`."""
        deadline, pause = time.monotonic() + wait_seconds, _SHORTEST_PAUSE_SECONDS
        while not _try_lock(self._descriptor):
            if time.monotonic() >= deadline:
                raise StorageError(
                    f"Another process kept the database locked for {wait_seconds:g} s.",
                    where=str(self.path),
                    fix="Find the process that has the lock file open and end it, or allow a longer wait.",
                )
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE_SECONDS)

    def release(self) -> None:
        _unlock(self._descriptor)

    def close(self) -> None:
        """Lets the lock go if it is held. Safe to call twice."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @contextmanager
    def held(self, wait_seconds: float) -> Iterator[None]:
        self.take(wait_seconds)
        try:
            yield
        finally:
            self.release()
