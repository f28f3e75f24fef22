"""Sequencers killed at any moment, two at a time: every entry gets one place, and no two signed heads disagree."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from faults.test_store_disk import TESTS

from interlock.contracts.envelope import Head
from interlock.persistence.evidence.notes import checkpoint_of, note_of
from interlock.persistence.merkle import consistency_proof, is_consistent, root_at
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from support.evidence import ORIGIN
from support.figures import record
from support.postgres import database
from support.stores import after, decided

CHILD = """
import os, sys
from pathlib import Path
from interlock.contracts.errors import InterlockError
from interlock.persistence.evidence.signing import FileMemory
from interlock.persistence.postgres_store import PostgresStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.checkpointing import Checkpointer
from interlock.service.clock import SystemClock
from support.evidence import ORIGIN, TestKey
place, memory = sys.argv[1:]

def live():
    # One life: gives places a few at a time and signs, over and over.
    store = PostgresStore(place) if place.startswith("postgres") else SqliteStore(place)
    tree = store.tree()
    signer = Checkpointer(tree, [TestKey()], FileMemory(Path(memory), ORIGIN), clock=SystemClock())
    while True:
        try:
            with tree.sequencing(1):
                tree.sequence(3)
            signer.checkpoint()
        except InterlockError as error:
            if "locked" not in str(error):
                os.write(2, f"{error}\\n".encode())
                os._exit(3)

# The imports are paid once: each life is a fork of a process that has opened nothing.
for line in sys.stdin:
    life = os.fork()
    if life == 0:
        live()
    os.write(1, f"{life}\\n".encode())
"""

LONGEST = {"SQLite": 0.2, "PostgreSQL": 1.2}
"""Seconds between two kills, at most: a life on PostgreSQL begins with a connection and a look at the schema, and one
that never comes to sign shows little."""


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    with ExitStack() as begun:
        yield str(tmp_path / "log.db") if request.param == "sqlite" else begun.enter_context(database())


def opened(place: str) -> SqliteStore | PostgresStore:
    return PostgresStore(place, origin=ORIGIN) if place.startswith("postgres") else SqliteStore(place, origin=ORIGIN)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("kills", [12, pytest.param(1_000, marks=pytest.mark.full)])
def test_no_kill_loses_a_leaf_or_signs_two_histories(place: str, tmp_path: Path, kills: int) -> None:
    chance, kind = random.Random(9), "PostgreSQL" if place.startswith("postgres") else "SQLite"
    with closing(opened(place)) as store:
        heads = {stream: Head(stream) for stream in "abc"}
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, place, str(tmp_path / "signed")],
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])},
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None

            def born() -> int:
                process.stdin.write("\n")  # type: ignore[union-attr]
                process.stdin.flush()  # type: ignore[union-attr]
                return int(process.stdout.readline())  # type: ignore[union-attr]

            lives = [born(), born()]
            for _ in range(kills):
                until = time.monotonic() + chance.uniform(0.02, LONGEST[kind])
                while time.monotonic() < until:
                    stream = chance.choice("abc")
                    append = decided(heads[stream], log=ORIGIN)
                    store.append(append)
                    heads[stream] = after(append)
                os.kill(lives.pop(chance.randrange(2)), signal.SIGKILL)
                lives.append(born())
            for _ in range(2):  # and who is left goes on
                known, append = len(store.tree().checkpoints()), decided(heads["a"], log=ORIGIN)
                store.append(append)
                heads["a"] = after(append)
                within(60, store, known)
            for life in lives:
                os.kill(life, signal.SIGKILL)
            process.stdin.close()
        check(store, heads)
        signed, leaves = len(store.tree().checkpoints()), store.tree().size()
    record(
        "F9",
        f"SIGKILL of one of two sequencers, {kind}",
        tried=kills,
        wrong=0,
        seen={"checkpoints": signed, "leaves": leaves},
    )


def within(seconds: float, store: SqliteStore | PostgresStore, known: int) -> None:
    """Wait until nothing waits for its place, and a checkpoint more than `known` is signed."""
    deadline, tree = time.monotonic() + seconds, store.tree()
    while tree.waiting() or len(tree.checkpoints()) <= known:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def check(store: SqliteStore | PostgresStore, heads: dict[str, Head]) -> None:
    tree = store.tree()
    leaves = [leaf for leaf, _ in tree.leaves(0, tree.size())]
    assert [leaf.index for leaf in leaves] == list(range(len(leaves)))
    for stream, head in heads.items():
        assert [leaf.version for leaf in leaves if leaf.stream == stream] == list(range(head.length))
    signed = [checkpoint_of(note_of(note)) for _, note in tree.checkpoints()]
    assert len(signed) > 1
    last = signed[-1]
    for one in signed:
        assert root_at(one.size, tree.nodes) == one.root
        proof = consistency_proof(one.size, last.size, tree.nodes)
        assert is_consistent(one.size, last.size, proof, one.root, last.root)
