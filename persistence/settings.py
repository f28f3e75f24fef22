"""How every connection to the database file is set, and which releases of SQLite need our lock."""

import sqlite3
import sys

# Order matters: `secure_delete` and `recursive_triggers` must stand before the first statement, and the
# journal mode before the first transaction.
PRAGMAS: tuple[tuple[str, str], ...] = (
    ("recursive_triggers", "ON"),  # so that INSERT OR REPLACE fires the delete triggers too
    ("foreign_keys", "ON"),
    ("secure_delete", "ON"),  # erased payloads are overwritten, not only unlinked
    ("trusted_schema", "OFF"),  # a foreign schema calls no function with side effects
    ("mmap_size", "0"),  # a stray write in this process cannot reach the file
    ("journal_mode", "WAL"),
    ("synchronous", "FULL"),  # NORMAL loses acknowledged commits at a power cut
    *((("fullfsync", "ON"), ("checkpoint_fullfsync", "ON")) if sys.platform == "darwin" else ()),
)

WAL_RESET_FIXED = (3, 51, 3)
"""The first release without the WAL-reset bug (https://sqlite.org/wal.html#walresetbug).

Before it, two connections that write or checkpoint at the same instant may lose a transaction and corrupt
the file. `docs/decisions/0001-sqlite-wal-lock.md` has the argument for the lock.
"""


def needs_write_lock(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether our processes must take turns at writing, because this SQLite cannot be trusted to."""
    return version < WAL_RESET_FIXED
