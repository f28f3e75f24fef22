"""A process that dies when a test says so: what it wrote before is there, and it writes nothing more."""

from typing import Any

from ..contracts.store import Append


class Died(Exception):
    """The process is gone: it writes nothing from here on."""


class Lifeline:
    """A process's hold on its store: cut, and nothing more is written; what was acknowledged is there.

    Writes are done when they return, so that nothing comes from another thread at a moment of its own.
    """

    def __init__(self, store: Any) -> None:
        self._store = store
        self.writes: int | None = None
        """How many writes are left; None for no end."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def enqueue(self, append: Append) -> Any:
        if self.writes is not None:
            if self.writes <= 0:
                raise Died
            self.writes -= 1
        future = self._store.enqueue(append)
        future.exception()
        return future

    def append(self, append: Append) -> int:
        length: int = self.enqueue(append).result()
        return length
