"""Random changes of a database file, and an oracle that says whether a change was one of evidence.

A file is bytes. `MUTATIONS` change one thing each: a value, a row, two rows, the schema, or raw bytes and pages. The
oracle reads the tables with plain SQL, sharing no code with what it judges.
"""

import re
import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from random import Random
from typing import Any

NOT_EVIDENCE = {
    "tenant_day": "what may still be spent today: an admission counter, told to nobody as history",
    "reservation": "the same, for calls in hand",
    "cosignature": "who saw a checkpoint is what each reader's own policy makes of it; more is never counted",
    "anchor": "where an operator finds what was taken elsewhere; what is anchored is what the auditor brings",
    "alembic_version": "which migrations ran: the schema itself is compared",
}
"""Tables that no verdict rests on, each with the reason."""
NOT_EVIDENCE_COLUMNS = {
    ("event", "id"): "only the order that the numbers give",
    ("conversation", "owner"): "which process performs effects now",
    ("flow", "source"): "where the flow's file was; its digest binds what it says",
}
EVIDENCE = {
    "event": ("stream", "version", "type", "at", "idempotency_key", "leaf", "entry"),
    "payload": ("stream", "version", "name", "kind", "subject", "r", "body", "key_id", "nonce"),
    "data_key": ("id", "subject", "wrapped"),
    "conversation": (
        "stream", "flow_name", "flow_version", "flow_digest", "subject", "state", "status", "length", "started_at",
        "updated_at", "undecided", "tasks",
    ),
    "timer": ("stream", "timer", "due"),
    "flow": ("digest", "name", "version", "body"),
    "leaf": ("position", "stream", "version", "hash", "above"),
    "record": ("number", "type", "at", "leaf", "entry"),
    "head": ("key", "stream", "version", "leaf"),
    "head_node": ("depth", "place", "kind", "hash"),
    "checkpoint": ("size", "note"),
    "meta": ("name", "value"),
    "archived": (
        "stream", "length", "leaf", "subject", "flow_name", "state", "started_at", "updated_at", "archive", "record",
    ),
}  # fmt: skip
IN_ORDER = {"event": "id"}
"""Tables whose rows are told in an order of their own; the others in that of all their columns."""
_WAL = slice(18, 20)


def opened(file: bytes) -> sqlite3.Connection:
    """The file in memory; there it cannot be in WAL mode. Raises `sqlite3.Error` where it is none."""
    data = bytearray(file)
    data[_WAL] = b"\x01\x01"
    connection = sqlite3.connect(":memory:", isolation_level=None)
    connection.deserialize(bytes(data))
    return connection


def closed(connection: sqlite3.Connection) -> bytes:
    data = bytearray(connection.serialize())
    data[_WAL] = b"\x02\x02"
    return bytes(data)


# -- the oracle ---------------------------------------------------------------------------------------------


def evidence(file: bytes) -> dict[str, Any] | str:
    """Everything in the file that is evidence, read row by row and again through every index; or why it cannot be."""
    try:
        with closing(opened(file)) as connection:
            found: dict[str, Any] = {"schema": _schema(connection)}
            for table, columns in EVIDENCE.items():
                listed = ", ".join(columns)
                order = IN_ORDER.get(table, listed)
                scan = f"SELECT {listed} FROM {table} NOT INDEXED ORDER BY {order}"
                found[table] = [_typed(row) for row in connection.execute(scan)]
                for index in _indexes(connection, table):
                    names = [row[2] for row in connection.execute(f"PRAGMA index_info({index})")]
                    walk = f"SELECT {', '.join(names)} FROM {table} INDEXED BY {index} ORDER BY {', '.join(names)}"
                    with suppress(sqlite3.OperationalError):  # a partial index: its rows are compared by integrity
                        found[f"{table} by {index}"] = [_typed(row) for row in connection.execute(walk)]
            found["integrity"] = [row[0] for row in connection.execute("PRAGMA integrity_check")] == ["ok"]
            return found
    except (sqlite3.Error, UnicodeError, OverflowError) as error:
        return f"{type(error).__name__}: {error}"


def _typed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple((type(one).__name__, one) for one in row)


def _indexes(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA index_list({table})") if not row[1].startswith("sqlite_")]


def _schema(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL")
    mine = (*EVIDENCE, "sqlite_")
    ours = [row for row in rows if row[2] in mine or (row[0] == "trigger" and not row[2].startswith("sqlite_"))]
    return sorted((kind, name, re.sub(r"\s+", " ", said)) for kind, name, _, said in ours)


def differing(was: Any, now: Any) -> list[str]:
    """Where two accounts of evidence differ."""
    if isinstance(now, str):
        return [now]
    return [name for name in {**was, **now} if was.get(name) != now.get(name)]


def fewer_signatures(was: bytes, now: bytes) -> bool:
    """Whether the checkpoints of the second file are some of the first's, each with its text and some of its lines."""

    def notes(file: bytes) -> dict[int, tuple[str, set[str]]]:
        with closing(opened(file)) as connection:
            rows = connection.execute("SELECT size, note FROM checkpoint").fetchall()
        return {size: (note.partition("\n\n")[0], set(note.partition("\n\n")[2].splitlines())) for size, note in rows}

    before, after = notes(was), notes(now)
    return before != after and all(
        size in before and text == before[size][0] and lines and lines <= before[size][1]
        for size, (text, lines) in after.items()
    )


# -- rows ---------------------------------------------------------------------------------------------------


class Nothing(Exception):
    """This change is none, or the file itself refuses it: draw another."""


def _tables(connection: sqlite3.Connection) -> list[str]:
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    return sorted(name for (name,) in found)


def _picked(connection: sqlite3.Connection, random: Random) -> tuple[str, list[str], list[tuple[Any, ...]]]:
    tables = _tables(connection)
    table = random.choice([one for one in tables if one in EVIDENCE] if random.random() < 0.8 else tables)
    columns = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    rows = connection.execute(f"SELECT rowid, * FROM {table} ORDER BY rowid").fetchall()
    if not rows:
        raise Nothing
    return table, columns, rows


def other(value: Any, random: Random) -> Any:
    """Another value, mostly of the same type."""
    if random.random() < 0.05:
        return random.choice([None, "", b"", 0, -1, 2**40, "x", b"\x00"])
    if isinstance(value, int):
        return value + random.choice([-(2**33), -7, -1, 1, 2, 7, 2**33])
    if value is None:
        return random.choice(["x", b"x", 1])
    kind, one_more = random.randrange(4), b"x" if isinstance(value, bytes) else "x"
    at = random.randrange(len(value) + 1)
    if kind == 0 or not value:
        return value[:at] + one_more + value[at:]
    if kind == 1:
        return value[:at] if random.random() < 0.5 else value[at:]
    at = random.randrange(len(value))
    if isinstance(value, bytes):
        return value[:at] + bytes([value[at] ^ 1 << random.randrange(8)]) + value[at + 1 :]
    return value[:at] + chr(ord(value[at]) ^ 1 << random.randrange(5)) + value[at + 1 :]


def a_value(connection: sqlite3.Connection, random: Random) -> str:
    table, columns, rows = _picked(connection, random)
    row, column = random.choice(rows), random.randrange(len(columns))
    was = row[1 + column]
    new = random.choice(rows)[1 + column] if random.random() < 0.2 else other(was, random)
    if (type(new), new) == (type(was), was):
        raise Nothing
    connection.execute(f"UPDATE {table} SET {columns[column]} = ? WHERE rowid = ?", (new, row[0]))
    return f"{table}.{columns[column]} of row {row[0]}: {was!r:.80} -> {new!r:.80}"


def a_row_gone(connection: sqlite3.Connection, random: Random) -> str:
    table, _, rows = _picked(connection, random)
    row = random.choice(rows)
    connection.execute(f"DELETE FROM {table} WHERE rowid = ?", row[:1])
    return f"{table} row {row[0]} gone"


def a_row_more(connection: sqlite3.Connection, random: Random) -> str:
    """A copy of a row with some values changed, so that it finds room."""
    table, columns, rows = _picked(connection, random)
    row = list(random.choice(rows)[1:])
    changed = random.sample(range(len(columns)), random.randrange(0, min(3, len(columns)) + 1))
    for one in changed:
        row[one] = other(row[one], random)
    keys = [one[1] for one in connection.execute(f"PRAGMA table_info({table})") if one[5]]
    if random.random() < 0.7:
        for name in random.sample(keys, 1) if keys else []:
            row[columns.index(name)] = other(row[columns.index(name)], random)
    places = ", ".join("?" * len(columns))
    connection.execute(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places})", row)
    return f"{table} has one more: {row!r:.200}"


def two_exchanged(connection: sqlite3.Connection, random: Random) -> str:
    """Two rows exchange all but their keys, or one column."""
    table, columns, rows = _picked(connection, random)
    if len(rows) < 2:
        raise Nothing
    one, two = random.sample(rows, 2)
    names = [name for name in columns if (table, name) != ("event", "id")]
    names = (
        [random.choice(names)] if random.random() < 0.5 else random.sample(names, random.randrange(1, len(names) + 1))
    )
    mine = [one[1 + columns.index(name)] for name in names]
    theirs = [two[1 + columns.index(name)] for name in names]
    if mine == theirs:
        raise Nothing
    # By way of what stands nowhere else, so that no unique index is in the way.
    sets = ", ".join(f"{name} = ?" for name in names)
    away = [_away(value) for value in mine]
    for values, to in ((away, one[0]), (mine, two[0]), (theirs, one[0])):
        at = connection.execute(f"UPDATE {table} SET {sets} WHERE rowid = ?", (*values, to))
        if not at.rowcount:
            raise Nothing
    return f"{table} rows {one[0]} and {two[0]} exchange {', '.join(names)}"


def _away(value: Any) -> Any:
    match value:
        case int():
            return value + 2**40
        case bytes():
            return value + b"~"
        case str():
            return value + "~"
    return value


def rows_of(change: Callable[[sqlite3.Connection, Random], str]) -> Callable[[bytes, Random], tuple[bytes, str]]:
    """The change with no trigger in its way; the triggers are put back."""

    def changed(file: bytes, random: Random) -> tuple[bytes, str]:
        with closing(opened(file)) as connection:
            triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for name, _ in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            try:
                said = change(connection, random)
            except (sqlite3.IntegrityError, OverflowError) as error:
                raise Nothing from error
            for _, made in triggers:
                connection.execute(made)
            return closed(connection), f"{change.__name__}: {said}"

    changed.__name__ = change.__name__
    return changed


# -- the schema ---------------------------------------------------------------------------------------------


def the_schema(file: bytes, random: Random) -> tuple[bytes, str]:
    """A trigger or an index dropped, emptied, or put on another table; a trigger more; a table's declaration."""
    with closing(opened(file)) as connection:
        rows = connection.execute(
            "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        ).fetchall()
        kind, name, table, made = random.choice(rows)
        while table in NOT_EVIDENCE or table.startswith("sqlite_"):
            kind, name, table, made = random.choice(rows)
        act = random.randrange(3)
        if kind == "table" or act == 2:
            if random.random() < 0.5 or kind != "table":
                connection.execute(
                    f"CREATE TRIGGER t{random.randrange(99)} AFTER INSERT ON {table} BEGIN SELECT 1; END"
                )
                return closed(connection), f"one trigger more on {table}"
            old, new = random.choice([(" NOT NULL", ""), (" STRICT", ""), (" TEXT", " ANY"), ("INTEGER", "INT")])
            if old not in made:
                raise Nothing
            connection.execute("PRAGMA writable_schema = ON")
            connection.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (made.replace(old, new, 1), name))
            return closed(connection), f"{name} declared without{old}"
        connection.execute(f"DROP {kind.upper()} {name}")
        if act == 1 and kind == "trigger":
            connection.execute(f"CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN 0 BEGIN SELECT 1; END")
            return closed(connection), f"{name} does nothing"
        if act == 1 and "UNIQUE" in made:
            connection.execute(made.replace("UNIQUE ", ""))
            return closed(connection), f"{name} is unique no more"
        return closed(connection), f"{name} dropped"


# -- bytes --------------------------------------------------------------------------------------------------


def some_bits(file: bytes, random: Random) -> tuple[bytes, str]:
    data, at = bytearray(file), random.randrange(len(file))
    for _ in range(random.randrange(1, 9)):
        data[at] ^= 1 << random.randrange(8)
        at = random.randrange(len(file)) if random.random() < 0.3 else min(at + 1, len(file) - 1)
    return _whole(file, bytes(data)), f"bits near byte {at} (page {at // 4096})"


def an_end_gone(file: bytes, random: Random) -> tuple[bytes, str]:
    size = random.randrange(len(file)) if random.random() < 0.5 else 4096 * random.randrange(len(file) // 4096)
    return file[:size], f"cut at {size}"


def pages_exchanged(file: bytes, random: Random) -> tuple[bytes, str]:
    one, two = (4096 * at for at in random.sample(range(len(file) // 4096), 2))
    data = bytearray(file)
    data[one : one + 4096], data[two : two + 4096] = file[two : two + 4096], file[one : one + 4096]
    return _whole(file, bytes(data)), f"pages {one // 4096} and {two // 4096} exchanged"


def a_page_copied(file: bytes, random: Random) -> tuple[bytes, str]:
    one, two = (4096 * at for at in random.sample(range(len(file) // 4096), 2))
    data = bytearray(file)
    data[two : two + 4096] = random.choice([file[one : one + 4096], bytes(4096), random.randbytes(4096)])
    return _whole(file, bytes(data)), f"page {two // 4096} overwritten"


def bytes_moved(file: bytes, random: Random) -> tuple[bytes, str]:
    at, size = random.randrange(len(file)), random.randrange(1, 64)
    if random.random() < 0.5:
        return file[:at] + random.randbytes(size) + file[at:], f"{size} bytes more at {at}"
    return file[:at] + file[at + size :], f"{size} bytes fewer at {at}"


def _whole(was: bytes, now: bytes) -> bytes:
    if was == now:
        raise Nothing
    return now


ROWS = tuple(rows_of(one) for one in (a_value, a_value, a_value, a_row_gone, a_row_more, two_exchanged))
BYTES = (some_bits, some_bits, some_bits, some_bits, an_end_gone, pages_exchanged, a_page_copied, bytes_moved)


def mutated(file: bytes, random: Random, *, raw: bool) -> tuple[bytes, str]:
    """The file with one change, and what it is."""
    while True:
        with suppress(Nothing):
            if raw:
                change: Callable[[bytes, Random], tuple[bytes, str]] = random.choice(BYTES)
            else:
                change = the_schema if random.random() < 0.05 else random.choice(ROWS)
            data, said = change(file, random)
            return data, f"{change.__name__}: {said}"
