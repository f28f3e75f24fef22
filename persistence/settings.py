"""How every connection to the database file is set, and which releases of SQLite need our lock."""

import sqlite3
import sys

from ..contracts.errors import SetupError

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

OLDEST = (3, 38, 0)
"""STRICT tables came with 3.37, and JSON in every build with 3.38."""


def refuse_old_sqlite(version: tuple[int, ...]) -> None:
    """Raises `SetupError` for a release that cannot hold the log."""
    if version < OLDEST:
        raise SetupError(
            f"SQLite {'.'.join(map(str, version))} is too old for the log; it needs 3.38.",
            where=sys.executable,
            fix="Use a Python that comes with a later SQLite: those of python.org and of `uv` do.",
        )


def needs_write_lock(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether our processes must take turns at writing, because this SQLite cannot be trusted to."""
    return version < WAL_RESET_FIXED
