"""A break-in for show: one bit of a copy of the log is flipped, and verification must name the place."""

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from ..contracts.store import Store
from ..persistence.sqlite_store import SqliteStore
from ..persistence.verify import Broken, verify


@dataclass(frozen=True, slots=True)
class Tampered:
    """Which bit was flipped where, and what verification found."""

    stream: str
    version: int
    before: str
    after: str
    found: Broken | None

    @property
    def named(self) -> bool:
        """Whether verification named exactly the entry that was changed."""
        return self.found is not None and (self.found.stream, self.found.version) == (self.stream, self.version)


def tampered(store: SqliteStore, stream: str, version: int, mark: bytes, folder: Path) -> Tampered | None:
    """Flip one bit behind `mark` in the entry, in a copy of the file, as somebody with access to the disk could.

    No trigger sees it: the bytes are changed under the database. None where the entry's bytes do not lie
    in one piece in the file.
    """
    copy = folder / "tampered.db"
    with closing(sqlite3.connect(store.path)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")
    entry = store.read(stream, after=version, limit=1)[0].data
    data = bytearray(copy.read_bytes())
    place = _place(data, entry, mark)
    if place < 0:
        return None
    before = bytes(data[place : place + 1])
    data[place] ^= 1
    copy.write_bytes(data)
    after = bytes(data[place : place + 1])
    return Tampered(stream, version, before.decode("ascii"), after.decode("ascii"), _found(copy, stream))


def _place(data: bytearray, entry: bytes, mark: bytes) -> int:
    """Where the letter behind `mark` stands in the file, or -1."""
    start, within = data.find(entry), entry.find(mark)
    if start < 0 or within < 0 or data.find(entry, start + 1) >= 0:
        return -1
    return start + within + len(mark)


def _found(path: Path, stream: str) -> Broken | None:
    copy: Store = SqliteStore(path)
    try:
        return verify(copy, streams=[stream]).first
    finally:
        copy.close()
