"""SIGKILL of the server, all of it or the process that serves us: what was acknowledged is there afterwards."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import psycopg
import pytest

from interlock.contracts.errors import StorageError, StreamMoved
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.verify import verify
from support.figures import record
from support.postgres import OneServer, server_of_one_test
from support.stores import LOG, after, decided


@pytest.fixture
def server() -> Iterator[OneServer]:
    with server_of_one_test() as found:
        yield found


def writing(url: str, acknowledged: dict[str, int], over: threading.Event, stream: str) -> None:
    """Appends turn after turn, through every failure, and notes each length that was acknowledged."""
    store = None
    turn = 0
    while not over.is_set():
        try:
            store = store or PostgresStore(url)
            append = decided(store.head(stream), key=f"{stream}-{turn}-{time.monotonic_ns()}", size=1)
            acknowledged[stream] = max(acknowledged[stream], store.append(append))
            turn += 1
        except (StorageError, StreamMoved):
            time.sleep(0.02)
    if store is not None:
        store.close()


@pytest.mark.parametrize("who", ["server", "backend"])
@pytest.mark.parametrize(
    ("kills", "batch"), [(3, 0), *(pytest.param(50, batch, marks=pytest.mark.full) for batch in range(1, 21))]
)
def test_no_kill_loses_what_was_acknowledged(server: OneServer, who: str, kills: int, batch: int) -> None:
    """A thousand kills of each kind in the long profile, in batches with a server each."""
    url = server.url
    PostgresStore(url, origin=LOG).close()
    chance, over = random.Random(batch), threading.Event()
    acknowledged = dict.fromkeys("abc", 0)
    writers = [threading.Thread(target=writing, args=(url, acknowledged, over, stream)) for stream in acknowledged]
    for writer in writers:
        writer.start()
    killed = 0
    try:
        while killed < kills:
            before = sum(acknowledged.values())
            deadline = time.monotonic() + 30
            while sum(acknowledged.values()) < before + 20 and time.monotonic() < deadline:
                time.sleep(chance.uniform(0.0, 0.02))
            if who == "server":
                server.kill()
                server.start_again()
                killed += 1
            else:
                with suppress(psycopg.Error), psycopg.connect(url, autocommit=True) as connection:
                    row = connection.execute(
                        "SELECT pid FROM pg_stat_activity WHERE query ILIKE %s AND pid <> pg_backend_pid() LIMIT 1",
                        ("%event%",),
                    ).fetchone()
                    if row is not None:
                        os.kill(row[0], signal.SIGKILL)
                        killed += 1
    finally:
        over.set()
        for writer in writers:
            writer.join(30)
    server.wait_until_ready()
    with closing(PostgresStore(url)) as store:
        found = {stream: store.head(stream).length for stream in acknowledged}
        assert all(found[stream] >= length for stream, length in acknowledged.items()), (found, acknowledged)
        assert verify(store).broken == ()
        head = store.head("a")
        assert store.append(decided(head)) == after(decided(head)).length
    assert sum(acknowledged.values()) >= 20 * kills // 2
    what = {"server": "SIGKILL of the PostgreSQL server", "backend": "SIGKILL of the process that serves a connection"}
    record("F2", what[who], tried=killed, wrong=0, seen={"acknowledged": sum(acknowledged.values())})


def test_a_server_that_forgets_is_refused(server: OneServer) -> None:
    """With fsync off a power cut would lose acknowledged entries."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
        while connection.execute("SHOW fsync").fetchone() != ("off",):
            time.sleep(0.02)
    with pytest.raises(StorageError, match="The server runs with fsync off") as refused:
        PostgresStore(server.url)
    assert "Set `fsync = on`" in refused.value.fix
