"""A TCP line that a test may cut, silence or slow down: what a client of the database sees when a network fails."""

import select
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Literal

How = Literal["open", "silent", "reset", "cut", "slow"]
"""`silent`: everything is taken and nothing passed on, in both directions, and new connections are taken too (a frozen
host, a half-open line). `reset`: the next bytes end the connection with a TCP reset; `cut`: so do new connections
(nobody listens). `slow`: each answer comes late."""


class Line:
    """Listens on a port of this machine, and passes what comes to the unix socket of a server."""

    def __init__(self, target: str, *, late_seconds: float = 0.05) -> None:
        self.how: How = "open"
        self.after = 0
        """How many more messages of the client pass before `how` holds."""
        self.hits = 0
        """How many failures have met something."""
        self._target, self._late = target, late_seconds
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._closing = self._met = False
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def fails(self, how: How, after: int = 0) -> None:
        self._met = False
        self.after, self.how = after, how

    def heals(self) -> None:
        self.how = "open"

    def _meets(self) -> None:
        self.hits += not self._met
        self._met = True

    def close(self) -> None:
        self._closing = True
        self._listening.close()
        for thread in self._threads:
            thread.join(5)

    @property
    def _now(self) -> How:
        return "open" if self.after > 0 else self.how

    def _accept(self) -> None:
        while not self._closing:
            ready, _, _ = select.select([self._listening], [], [], 0.05) if self._listening.fileno() >= 0 else ([],) * 3
            if not ready:
                continue
            with suppress(OSError):
                client, _ = self._listening.accept()
                if self._now == "cut":
                    self._meets()
                    reset(client)
                    continue
                self._threads.append(threading.Thread(target=self._between, args=(client,), daemon=True))
                self._threads[-1].start()

    def _between(self, client: socket.socket) -> None:
        with client, socket.socket(socket.AF_UNIX) as server, suppress(OSError):
            server.connect(self._target)
            deaf = False
            while not self._closing:
                ready, _, _ = select.select([client, server], [], [], 0.02)
                now = self._now
                if ready and now != "open":
                    self._meets()
                # What was silent once stays so: bytes are missing from it. It ends when the line is well again.
                deaf = deaf or (now == "silent" and bool(ready))
                if deaf and now != "silent":
                    return reset(client)
                if ready and now in ("reset", "cut"):
                    if now == "reset":
                        self.how = "open"
                    return reset(client)
                for one, other in ((server, client), (client, server)):
                    if one not in ready:
                        continue
                    data = one.recv(65536)
                    if not data:
                        return None
                    if one is client:
                        self.after -= 1
                    elif now == "slow":
                        time.sleep(self._late)
                    if not deaf:
                        other.sendall(data)
        return None


def reset(connection: socket.socket) -> None:
    """End it with a reset instead of a farewell."""
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
