"""The database as it is now, for an operator to read."""

import sqlite3
from dataclasses import dataclass

from . import statements as sql
from .sqlite_file import SqliteFile
from .triggers import ON_SQLITE, concerns_ours, guards


@dataclass(frozen=True, slots=True)
class Description:
    """The database as it is now, for `interlock doctor`. `missing_triggers` are those an operator removed, and
    `altered_triggers` those that say something else than the migrations wrote; `foreign_triggers` are not ours."""

    path: str
    log: str
    engine: str
    """`SQLite 3.51.3`, with its version."""
    schema: str
    durable: bool
    """Whether a commit that was acknowledged outlives a power cut."""
    durability: str
    """The settings that say so, in words."""
    triggers: tuple[str, ...]
    missing_triggers: tuple[str, ...]
    altered_triggers: tuple[str, ...]
    foreign_triggers: tuple[str, ...]
    counts: dict[str, int]
    bytes_on_disk: int


_SYNCHRONOUS = {0: "OFF", 1: "NORMAL", 2: "FULL", 3: "EXTRA"}


def described(file: SqliteFile) -> Description:
    # A flipped bit makes bytes of a text; then it is another text, and not a fault of ours.
    rows = [tuple(map(str, row)) for row in file.run(sql.TRIGGERS)]
    theirs = {name: said for name, table, said in rows if name in ON_SQLITE or concerns_ours(table, said)}
    found = guards(ON_SQLITE, theirs)
    journal, synchronous = str(file.pragma("journal_mode")), _SYNCHRONOUS.get(file.pragma("synchronous"), "?")
    lock = "with" if file.takes_turns else "without"
    return Description(
        path=str(file.path),
        log=file.log,
        engine=f"SQLite {sqlite3.sqlite_version}",
        schema=str(file.run(sql.REVISION)[0][0]),
        durable=journal == "wal" and synchronous in ("FULL", "EXTRA"),
        durability=f"journal {journal}, synchronous {synchronous}, {lock} a lock between processes",
        triggers=found.present,
        missing_triggers=found.missing,
        altered_triggers=found.altered,
        foreign_triggers=found.foreign,
        counts={name: int(file.run(statement)[0][0]) for name, statement in sql.COUNTS.items()},
        bytes_on_disk=int(file.pragma("page_count")) * int(file.pragma("page_size")),
    )
