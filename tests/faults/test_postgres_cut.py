"""The connection is cut around COMMIT: whether it happened is unknown, and the key tells. Nothing is lost or doubled
then."""

import random
import re
import select
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from interlock.contracts.envelope import Head
from interlock.contracts.errors import StorageError, StreamMoved
from interlock.contracts.store import Append
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.verify import verify
from support.figures import record
from support.postgres import database, server_socket
from support.stores import LOG, after, decided

COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
"""As the driver sends it; after a few times on one connection it prepares it under a name, and sends that."""
PREPARED = re.compile(rb"(_pg3_\d+\x00)COMMIT\x00")


class Proxy:
    """Stands between the store and the server. Armed, it cuts the next COMMIT: before the server sees it, or after
    the server has done it and before the answer is back."""

    def __init__(self, folder: str) -> None:
        self.armed = ""
        self.cuts = 0
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(Path(folder) / ".s.PGSQL.5432"))
        self._listening.listen()
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def close(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                self._threads.append(threading.Thread(target=self._between, args=(client,)))
                self._threads[-1].start()

    def _between(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(server_socket())
            name = b""
            while True:
                ready, _, _ = select.select([client, server], [], [])
                if server in ready:
                    answer = server.recv(65536)
                    if not answer:
                        return
                    client.sendall(answer)
                if client in ready:
                    data = client.recv(65536)
                    if not data:
                        return
                    if found := PREPARED.search(data):
                        name = found[1]
                    if self.armed and (data.endswith(COMMIT) or (name and b"\x00" + name in data)):
                        how, self.armed = self.armed, ""
                        self.cuts += 1
                        if how == "after":
                            server.sendall(data)
                            server.recv(65536)  # the answer: it is committed
                        return
                    server.sendall(data)


@pytest.fixture
def through() -> Iterator[tuple[Proxy, str]]:
    with TemporaryDirectory(prefix="cut") as folder, database() as url:
        proxy = Proxy(folder)
        yield proxy, f"{url.split('?')[0]}?host={folder}"
        proxy.close()


def append_surely(store: PostgresStore, append: Append) -> None:
    """As a caller does: after a failure it looks its key up, and only where it is missing appends again."""
    stream, key = append.summary.stream, append.entries[0].key
    assert key is not None
    for _ in range(10):
        try:
            store.append(append)
        except StorageError:
            with suppress(StorageError):
                if store.find_key(stream, key) is not None:
                    return
        except StreamMoved:
            assert store.find_key(stream, key) is not None
            return
        else:
            return
    raise AssertionError("never recorded")


@pytest.mark.parametrize("how", ["before", "after"])
@pytest.mark.parametrize("cuts", [40, pytest.param(1_000, marks=pytest.mark.full)])
def test_a_lost_answer_to_a_commit_loses_and_doubles_nothing(through: tuple[Proxy, str], how: str, cuts: int) -> None:
    proxy, url = through
    chance = random.Random(6)
    with closing(PostgresStore(url, origin=LOG)) as store:
        head, turns = Head("s"), 0
        while proxy.cuts < cuts:
            assert turns < 20 + 3 * cuts, "the proxy does not see what it is to cut"
            proxy.armed = how if chance.random() < 0.7 else ""
            append = decided(head, key=f"turn-{turns}", size=1)
            append_surely(store, append)
            head, turns = after(append), turns + 1
        proxy.armed = ""
        assert store.head("s") == head
        assert [entry.key for entry in store.read("s")] == [f"turn-{n}" for n in range(turns)]
        report = verify(store)
        assert (report.broken, report.events) == ((), turns)
    record(
        "F6", f"connections cut {how} COMMIT: turns lost or doubled", tried=proxy.cuts, wrong=0, seen={"turns": turns}
    )


def test_a_prepared_commit_is_cut_too(through: tuple[Proxy, str]) -> None:
    """A connection that has committed many times sends it by a name."""
    proxy, url = through
    with closing(PostgresStore(url, origin=LOG)) as store:
        for turn in range(12):
            store.append(decided(store.head("s"), key=f"turn-{turn}", size=1))
        proxy.armed = "after"
        with pytest.raises(StorageError, match="The connection to the database failed"):
            store.append(decided(store.head("s"), key="cut", size=1))
        assert (proxy.cuts, store.head("s").length) == (1, 13)


def test_control_a_caller_that_does_not_look_its_key_up_doubles_turns(through: tuple[Proxy, str]) -> None:
    """The control: after a failure it takes the stream as it finds it and appends its turn again, under a new key."""
    proxy, url = through
    with closing(PostgresStore(url, origin=LOG)) as store:
        turns = 15
        for turn in range(turns):
            proxy.armed = "after"
            for attempt in range(3):
                try:
                    store.append(decided(store.head("s"), key=f"turn-{turn}-{attempt}", size=1))
                except StorageError:
                    continue
                break
        assert store.head("s").length == 2 * turns
    record("F6", "a caller that does not look its key up", tried=proxy.cuts, wrong=turns, control=True)
