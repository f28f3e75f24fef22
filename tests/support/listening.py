"""Listeners for tests: one that keeps every record, and some that break."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from interlock.service.live import Live
from interlock.service.observing import Listener
from interlock.service.records import Performing, Record


class Kept(Listener):
    """Keeps records, in order."""

    def __init__(self, *, previews: bool = False) -> None:
        self.previews = previews
        self.records: list[Record] = []

    def heard(self, record: Record) -> None:
        self.records.append(record)

    def of(self, kind: str) -> list[Record]:
        return [one for one in self.records if one.kind == kind]


class Broken(Listener):
    """Raises wherever it can; `where` is one of `heard`, `calling`, `entering`, `leaving`."""

    previews = True

    def __init__(self, where: str) -> None:
        self.where, self.raised = where, 0

    def _raise(self) -> None:
        self.raised += 1
        raise ConnectionError("the collector is gone")

    def heard(self, record: Record) -> None:
        if self.where == "heard":
            self._raise()

    def turn(self, live: Live) -> AbstractContextManager[object]:
        return self._context()

    def performing(self, effect: Performing) -> AbstractContextManager[object]:
        return self._context()

    def _context(self) -> AbstractContextManager[object]:
        if self.where == "calling":
            self._raise()
        return self._inside()

    @contextmanager
    def _inside(self) -> Iterator[None]:
        if self.where == "entering":
            self._raise()
        yield
        if self.where == "leaving":
            self._raise()
