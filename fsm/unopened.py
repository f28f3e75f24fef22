"""Stored entries that are opened only where somebody looks into them.

Reading an entry costs more than deciding it again. What deciding again needs is the first entry of each decision;
of the others it must only be known whether they are, byte for byte, what was decided. The bytes are RFC 8785: names
stand in one order, and a quote inside a string is escaped, so that a name is found by looking for it.
"""

from collections.abc import Iterator, Sequence

from ..contracts.envelope import Envelope, opened
from ..contracts.errors import LogBroken, NotEncodable
from ..contracts.events import Event

_CAUSE, _DATA, _TYPE = b',"cause":', b',"data":', b',"type":"'


class Unopened:
    """One entry. `envelope` and `event` open it; the rest is read off its bytes, which nobody has checked."""

    __slots__ = ("_opened", "data")

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._opened: tuple[Envelope, Event] | None = None

    @property
    def envelope(self) -> Envelope:
        return self._open()[0]

    @property
    def event(self) -> Event:
        return self._open()[1]

    def _open(self) -> tuple[Envelope, Event]:
        """Raises `LogBroken` for bytes that are no known event."""
        if self._opened is None:
            try:
                self._opened = opened(self.data)
            except NotEncodable as error:
                raise LogBroken(
                    error.what,
                    stream="?",
                    version=0,
                    where=f"entry {self.data[:80]!r}",
                    fix="Run `interlock verify`; if it passes, use a release that knows this event.",
                ) from error
        return self._opened

    @property
    def cause(self) -> bytes:
        """What stands after `cause`, as digits."""
        start = self.data.index(_CAUSE) + len(_CAUSE)
        return self.data[start : self.data.index(b",", start)]

    @property
    def type(self) -> str:
        start = self.data.rindex(_TYPE) + len(_TYPE)
        return self.data[start : self.data.index(b'"', start)].decode()

    def says(self, event: Event) -> bool:
        """Whether the entry's event is this one, byte for byte."""
        body, data = event.canonical_bytes(without="type"), self.data
        start = data.index(_DATA) + len(_DATA)
        end = start + len(body)
        return (
            data.startswith(body, start)
            and data.startswith(b',"flow":"', end)
            and data.find(b',"type":"%b","v":' % event.type.encode(), end) >= 0
        )


def decisions(entries: Sequence[Unopened]) -> Iterator[Sequence[Unopened]]:
    """The entries grouped by the command that caused them, in order."""
    start, cause = 0, entries[0].cause if entries else b""
    for index in range(1, len(entries) + 1):
        following = entries[index].cause if index < len(entries) else b""
        if following != cause:
            yield entries[start:index]
            start, cause = index, following
