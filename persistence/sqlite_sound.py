"""Whether an SQLite file is what this release makes: its pages fit together, and its schema is ours.

Rows are found through indexes, and what refuses changes are triggers: so these are compared before the rows are read.
"""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any

from sqlalchemy import NullPool, create_engine

from ..contracts.errors import StorageError
from .sqlite_errors import DATABASE_ERRORS, translated
from .sqlite_file import SqliteFile
from .statements import Statement

_SCHEMA = Statement("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL", (), {})
_INTEGRITY = Statement("PRAGMA integrity_check(1)", (), {})
Declared = dict[tuple[str, str], tuple[str, str]]
"""(kind, name) -> (table, declaration)."""


def check_pages(file: SqliteFile) -> None:
    """Raises `StorageError` where pages, rows and indexes do not fit together: no reading of it can be believed."""
    try:
        with file.reading():
            found = str(file.run(_INTEGRITY)[0][0])
    except DATABASE_ERRORS as error:
        raise translated(error, file.path) from error
    if found != "ok":
        raise StorageError(
            f"The database is malformed: {' '.join(found.split())}.",
            where=str(file.path),
            fix="Stop every process that uses it, keep the file as it is, and restore a backup that verifies.",
        )


def unlike_ours(file: SqliteFile) -> list[str]:
    """What the schema lacks or declares otherwise than this release's.

    Of triggers that are missing, say something else or are others' `describe` tells. Tables and indexes that others
    have added are let be: they change no row of ours.
    """
    return list(_unlike(_declarations(file.run(_SCHEMA)), _ours()))


def _unlike(found: Declared, ours: Declared) -> Iterator[str]:
    for (kind, name), declared in ours.items():
        there = found.get((kind, name))
        if kind == "trigger" and (there is None or there[1] != declared[1]):
            continue  # `describe` names it
        if there is None:
            yield f"Somebody removed the {kind} {name} from the database."
        elif there != declared:
            yield f"Somebody changed the {kind} {name}: it is declared otherwise than this release declares it."


def _declarations(rows: Sequence[Any]) -> Declared:
    return {(kind, name): (table, _plain(said)) for kind, name, table, said in rows}


def _plain(declared: Any) -> str:
    """Whatever tool wrote it, and in whatever layout; nothing, where a flipped bit made bytes of the text."""
    if not isinstance(declared, str):
        return ""
    return re.sub(r"\s*([(),])\s*", r"\1", re.sub(r"\s+", " ", declared.replace('"', ""))).strip()


@cache
def _ours() -> Declared:
    """The schema that the migrations make, from a database of their own in memory."""
    from alembic import command
    from alembic.config import Config

    with closing(sqlite3.connect(":memory:", check_same_thread=False)) as driver:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
        with create_engine("sqlite+pysqlite://", creator=lambda: driver, poolclass=NullPool).connect() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            rows = [tuple(row) for row in connection.exec_driver_sql(_SCHEMA.sql).fetchall()]
    return {key: said for key, said in _declarations(rows).items() if said[0] != "alembic_version"}
