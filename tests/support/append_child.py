"""A process whose threads append to the same streams as everybody else, and note when each call began and ended.

Arguments: the store's place, a number of its own, threads, appends, streams, the file for what was seen, and `stale`
for the control, whose reads now and then answer with what they answered before.
"""

import pickle
import random
import sys
import threading
import time
from pathlib import Path
from typing import Any

from interlock.contracts.envelope import Head
from interlock.contracts.errors import StorageError, StreamMoved
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from support.linear import Call
from support.stores import decided


def opened(place: str) -> Any:
    """The store at a path or a URL; other processes may keep it for a while."""
    if place.startswith("postgres"):
        return PostgresStore(place, wait_seconds=60)
    return SqliteStore(place, wait_seconds=60)


def worked(store: Any, name: str, appends: int, streams: int, stale: bool) -> list[Call]:
    """Appends until so many have succeeded; every call with its times."""
    chance, calls, done, old = random.Random(name), list[Call](), 0, dict[str, Head]()
    while done < appends:
        stream = f"s{chance.randrange(streams)}"
        began = time.monotonic_ns()
        head = store.head(stream)
        if stale and chance.random() < 0.2:
            head = old.setdefault(stream, head)
        calls.append(Call(stream, began, time.monotonic_ns(), head.length, False))
        append = decided(head, key=f"{name}-{done}-{began}", size=1)
        began = time.monotonic_ns()
        try:
            length = store.append(append)
        except StreamMoved:
            continue
        except StorageError as error:
            if "locked" not in error.what:
                raise
            continue
        calls.append(Call(stream, began, time.monotonic_ns(), length, True))
        done += 1
    return calls


def main() -> None:
    place, name, threads, appends, streams, out, how = sys.argv[1:]
    store, calls, lock = opened(place), list[Call](), threading.Lock()

    def work(number: int) -> None:
        mine = worked(store, f"{name}-{number}", int(appends) // int(threads), int(streams), how == "stale")
        with lock:
            calls.extend(mine)

    workers = [threading.Thread(target=work, args=(number,)) for number in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    store.close()
    Path(out).write_bytes(pickle.dumps(calls))


if __name__ == "__main__":
    main()
