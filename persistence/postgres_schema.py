"""A PostgreSQL server that may hold the log, and its schema brought to this release's."""

from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import ProgrammingError

from ..contracts.errors import StorageError
from .migrations import HEAD, REVISIONS
from .postgres_patience import ANSWER_SECONDS, PatientConnection
from .refusals import set_back

SCHEMA_LOCK = 0x1A7E_0001
"""The name of our advisory lock for changes of the schema."""
_MIGRATION_SECONDS = 60.0
_SCHEMA = """
SELECT coalesce(
    (SELECT nspname FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace ON pg_namespace.oid = relnamespace
        WHERE pg_class.oid = pg_catalog.to_regclass('alembic_version')),
    pg_catalog.current_schema()
)
"""
"""Where the log is; nothing is looked for elsewhere, be it the catalog or what a session calls its own."""
_THERE = (
    psycopg.errors.DuplicateTable,
    psycopg.errors.DuplicateColumn,
    psycopg.errors.DuplicateObject,
    psycopg.errors.DuplicateFunction,
)


def connected(url: str, wait_seconds: float, answer_seconds: float | None = ANSWER_SECONDS) -> PatientConnection:
    """A connection whose commits are durable, and that waits so long for a lock at most, and for the server to be
    reached. One that is silent for `answer_seconds` beyond that is given up."""
    milliseconds = max(int(wait_seconds * 1000), 1)
    driver = PatientConnection.connect(
        url,
        autocommit=True,
        connect_timeout=max(int(wait_seconds), 2),
        keepalives_idle=30,
        keepalives_interval=10,
        keepalives_count=3,
        tcp_user_timeout=30_000,
    )
    driver.answer_seconds = None if answer_seconds is None else wait_seconds + answer_seconds
    try:
        driver.execute(f"SET synchronous_commit = on; SET lock_timeout = {milliseconds}; SET client_encoding = 'UTF8'")
        schema = driver.execute(_SCHEMA).fetchone()
        if schema is not None and schema[0] is not None:
            driver.execute(sql.SQL("SET search_path = {}, pg_temp").format(sql.Identifier(schema[0])))
    except BaseException:
        driver.close()
        raise
    return driver


def shown(url: str) -> str:
    """The database as an error may name it: without the password."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error:
        return "postgresql"
    host, name = parts.get("host") or "localhost", parts.get("dbname") or ""
    return f"postgresql://{host}/{name}"


def refuse_unfit(driver: "psycopg.Connection[TupleRow]", where: str) -> None:
    """Raises `StorageError` for a server that would forget, or could not hold what people write."""
    if _one(driver, "SHOW fsync") != "on":
        raise StorageError(
            "The server runs with fsync off: it forgets acknowledged entries at a power cut.",
            where=where,
            fix="Set `fsync = on` and restart the server.",
        )
    encoding = _one(driver, "SHOW server_encoding")
    if encoding != "UTF8":
        raise StorageError(
            f"The database's encoding is {encoding}.",
            where=where,
            fix="Create the database with `ENCODING 'UTF8'`.",
        )


def to_head(url: str, driver: "psycopg.Connection[TupleRow]", where: str) -> None:
    """Bring the schema to this release's, one process at a time, in one transaction."""
    if (found := _revision(driver, where)) == HEAD:
        return
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    engine = create_engine("postgresql+psycopg://", creator=lambda: _in_transactions(url), poolclass=NullPool)
    try:
        with engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except ProgrammingError as error:
        if found is None or not isinstance(error.orig, _THERE):
            raise
        raise set_back(found, HEAD, where) from error


def _in_transactions(url: str) -> "psycopg.Connection[TupleRow]":
    driver = connected(url, _MIGRATION_SECONDS, None)
    driver.autocommit = False
    return driver


def _revision(driver: "psycopg.Connection[TupleRow]", where: str) -> str | None:
    if _one(driver, "SELECT to_regclass('alembic_version')") is None:
        if _one(driver, "SELECT to_regclass('event')") is not None:
            raise StorageError(
                "The database holds the tables of another program.",
                where=where,
                fix="Give the URL of an Interlock database, of an empty one, or of another schema "
                "(`?options=-csearch_path%3Dinterlock`).",
            )
        return None
    found = _one(driver, "SELECT version_num FROM alembic_version")
    if found is not None and found not in REVISIONS:
        raise StorageError(
            f"The database has schema {found!r}; this release knows {', '.join(REVISIONS)}.",
            where=where,
            fix="Install the Interlock release that wrote it, or a newer one.",
        )
    return None if found is None else str(found)


def _one(driver: "psycopg.Connection[TupleRow]", query: str) -> Any:
    row = driver.execute(query.encode()).fetchone()
    return None if row is None else row[0]
