"""Rows of SQLite whose values are not of their columns' types: only a schema that somebody rewrote lets them in.

Our tables are strict, so nothing that reads a row asks again what it holds. Whoever rewrites the schema can put text or
nothing where bytes belong; before a log is audited, all its rows are looked at here, in one question a table.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import Integer, LargeBinary, Table

from .connection import LogConnection
from .statements import Statement
from .tables import METADATA

MOST = 5
"""Rows of a table that are named."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """What a row of `table` holds in `column`, and what belongs there, as SQLite calls the types."""

    table: str
    row: int
    column: str
    holds: str
    belongs: str

    def __str__(self) -> str:
        place = f"Row {self.row} of the table {self.table}"
        return f"{place} holds {self.holds} in {self.column}, where {self.belongs} belongs."


def misfits(connection: LogConnection) -> list[Misfit]:
    """The first of each table. To be asked of SQLite alone: PostgreSQL's tables hold nothing else than they say."""
    with connection.reading():
        return [one for table in METADATA.sorted_tables for one in _of(connection, table)]


def _of(connection: LogConnection, table: Table) -> Iterator[Misfit]:
    belongs = {column.name: _type(column.type) for column in table.columns}
    may_lack = {column.name for column in table.columns if column.nullable and not column.primary_key}
    types_of = [f'typeof("{name}")' for name in belongs]
    wrong = [
        f"{found} NOT IN ('{belongs[name]}', '{'null' if name in may_lack else belongs[name]}')"
        for name, found in zip(belongs, types_of, strict=True)
    ]
    # The names are of our own tables. NOT INDEXED: an index may say something else than the row.
    source = f'FROM "{table.name}" NOT INDEXED WHERE {" OR ".join(wrong)} LIMIT {MOST}'
    asked = f"SELECT rowid, {', '.join(types_of)} {source}"
    for row, *types in connection.run(Statement(asked, (), {})):
        for (name, wanted), holds in zip(belongs.items(), types, strict=True):
            if holds != wanted and not (holds == "null" and name in may_lack):
                yield Misfit(table.name, row, name, "nothing" if holds == "null" else holds, wanted)


def _type(declared: object) -> str:
    if isinstance(declared, Integer):
        return "integer"
    return "blob" if isinstance(declared, LargeBinary) else "text"
