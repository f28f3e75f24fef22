"""SIGKILL at any moment: what was acknowledged is there, without a gap, and the next process goes on."""

import os
import random
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from faults.test_store_disk import TESTS

from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from support.figures import record
from support.stores import LOG

CHILD = """
import os, sys, time
from threading import Thread
from interlock.persistence.sqlite_store import SqliteStore
from support.stores import LOG, after, decided
path, log, cycles = sys.argv[1], LOG, int(sys.argv[2])

def live():
    # One life: opens the log, appends to three streams at once, and says each length once it is durable.
    store = SqliteStore(path, origin=log)
    def say(stream):
        head, turn = store.head(stream), 0
        while True:
            append = decided(head, key=f"{time.monotonic_ns()}-{turn}", written=[b"x" * (turn * 50 % 3000)])
            length = store.append(append)
            os.write(1, f"{stream} {length}\\n".encode())
            head, turn = after(append), turn + 1
    for stream in "abc":
        Thread(target=say, args=(stream,)).start()

# The imports are paid once: each life is a fork of a process that has opened nothing.
for _ in range(cycles):
    life = os.fork()
    if life == 0:
        live()
        break
    os.write(1, f"pid {life}\\n".encode())
    os.waitpid(life, 0)
    os.write(1, b"dead 0\\n")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("cycles", [60, pytest.param(10_000, marks=pytest.mark.full)])
def test_no_kill_loses_what_was_acknowledged(tmp_path: Path, cycles: int):
    """Every acknowledged entry of every life is there, in streams without a gap; the chain verifies."""
    path = tmp_path / "log.db"
    SqliteStore(path, origin=LOG).close()
    acknowledged, said = dict.fromkeys("abc", 0), 0
    chance = random.Random(20261121)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(path), str(cycles)],
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
    )
    life, deaths = 0, 0
    with process:
        assert process.stdout is not None
        for line in process.stdout:
            word, number = line.split()
            if word == "pid":
                life = int(number)
                time.sleep(chance.uniform(0.0, 0.06))
                os.kill(life, signal.SIGKILL)
            elif word == "dead":
                deaths += 1
                with closing(SqliteStore(path)) as store:
                    found = {stream: store.head(stream).length for stream in "abc"}
                assert all(found[stream] >= acknowledged[stream] for stream in "abc"), (found, acknowledged)
            else:
                assert int(number) > acknowledged[word], "a length that was said before is not said again"
                acknowledged[word] = int(number)
                said += 1
    assert deaths == cycles
    assert said > cycles, "lives must be long enough to acknowledge something"
    with closing(SqliteStore(path)) as store:
        report = verify(store)
    assert report.broken == ()
    assert report.events >= sum(acknowledged.values())
    record(
        "F1",
        "SIGKILL of a process that appends",
        tried=deaths,
        wrong=0,
        seen={"acknowledged": said, "events": report.events},
    )
