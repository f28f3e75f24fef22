"""How fast evidence is made and checked: leaves a second, a proof at a million leaves, events verified a second.

    python benchmarks/evidence.py [LEAVES]

Prints one line a figure, then a table of what each check of `interlock verify` costs (`verification.py`, which needs
the `test` extra for a PostgreSQL server). Everything runs on one core: rates of checking are in processor time, proofs
on the clock. The floor beside each figure is the same bytes through SHA-256 or `json` alone.
"""

import hashlib
import json
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import verification
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from interlock.contracts.canonical import canonical, leaf_hash, sha256_hex
from interlock.contracts.commands import SYSTEM, Command, Give
from interlock.contracts.envelope import Head, sealed
from interlock.contracts.events import FactsRecorded
from interlock.contracts.store import Append, FlowRow, Summary
from interlock.persistence import merkle
from interlock.persistence.evidence import verify_bundle
from interlock.persistence.evidence.bundle import Selection, bundled
from interlock.persistence.evidence.checking import Outside, attested
from interlock.persistence.evidence.notes import ED25519, Checkpoint, VerifierKey
from interlock.persistence.evidence.policy import Policy
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.checkpointing import Checkpointer

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
FLOW = canonical({"name": "bench", "version": 1})
CONVERSATION = 40
"""Events of one conversation."""


class Key:
    def __init__(self, log: str) -> None:
        self._private = Ed25519PrivateKey.generate()
        self._key = VerifierKey(log, ED25519, self._private.public_key().public_bytes_raw())

    def verifier(self) -> VerifierKey:
        return self._key

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


class Memory:
    def __init__(self, log: str) -> None:
        self.head = Checkpoint(log, 0, merkle.EMPTY_ROOT)

    def moved(self, advance):
        self.head = advance(self.head)
        return self.head

    def retire(self) -> None:
        pass

    def successor(self) -> None:
        pass


def conversation(store: SqliteStore, number: int, digest: str) -> Append:
    stream = f"c{number:07}"
    entries = sealed(
        [FactsRecorded(facts=())] * CONVERSATION,
        head=Head(stream),
        command=Command(key="k", at=NOON + timedelta(seconds=number), actor=SYSTEM, body=Give(name="note")),
        flow=digest,
        code="bench/1",
        log=store.log,
    )
    at = entries[-1].at
    summary = Summary(stream, "bench", 1, digest, f"of {stream}", "waiting", "open", len(entries), at, at)
    return Append(entries, 0, summary)


def say(name: str, value: float, unit: str) -> None:
    print(f"{name:<58} {value:>12,.3f} {unit}" if value < 10 else f"{name:<58} {value:>12,.0f} {unit}")


def proofs(leaves: int, folder: Path) -> None:
    """A stored tree of this many leaves, without the entries: the tree does not read them."""
    with closing(SqliteStore(folder / "tree.db")) as store:
        tree = store.tree()

        def fill(connection) -> float:
            edge, rows = merkle.Frontier(), []
            started = time.perf_counter()
            with connection.writing():
                for index in range(leaves):
                    leaf = leaf_hash(index.to_bytes(8, "big"))
                    rows.append((index, f"c{index // 40}", index % 40, leaf, b"".join(edge.add(leaf)[1:])))
                    if len(rows) == 10_000 or index == leaves - 1:
                        from interlock.persistence import tree_statements as sql

                        connection.add(sql.ADD_LEAF, rows)
                        rows = []
            return time.perf_counter() - started

        seconds = store._ask(fill)
        say(f"leaves hashed and stored ({leaves:,})", leaves / seconds, "a second")
        for name, make in (
            ("inclusion proof", lambda n: merkle.inclusion_proof(n, leaves, tree.nodes)),
            ("consistency proof", lambda n: merkle.consistency_proof(n + 1, leaves, tree.nodes)),
        ):
            times = []
            for at in range(1000):
                index = at * 7919 % leaves
                started = time.perf_counter()
                make(index)
                times.append(time.perf_counter() - started)
            say(f"{name} at {leaves:,} leaves, median of 1,000", median(times) * 1000, "ms")
            say(f"{name} at {leaves:,} leaves, 99 of 100", sorted(times)[990] * 1000, "ms")
        root, index = merkle.root_at(leaves, tree.nodes), leaves // 3
        proof, leaf = merkle.inclusion_proof(index, leaves, tree.nodes), leaf_hash(index.to_bytes(8, "big"))
        started = time.perf_counter()
        assert all(merkle.is_included(leaf, index, leaves, proof, root) for _ in range(1000))
        say("checking one inclusion proof", (time.perf_counter() - started), "ms")


def checking(conversations: int, folder: Path) -> None:
    """A log with entries: sequenced, checked in the database, exported, and checked by the file that stands alone."""
    with closing(SqliteStore(folder / "log.db")) as store:
        digest = sha256_hex(FLOW)
        store.put_flow(FlowRow(digest, "bench", 1, FLOW, "bench"))
        for future in [store.enqueue(conversation(store, number, digest)) for number in range(conversations)]:
            future.result()
        tree, key = store.tree(), Key(store.log)
        count = conversations * CONVERSATION
        started = time.process_time()
        Checkpointer(tree, [key], Memory(store.log)).checkpoint()
        say(f"sequencing {count:,} events and signing", count / (time.process_time() - started), "events a second")
        started = time.process_time()
        assert not attested(tree, Outside(keys=(key.verifier(),))).faults
        say("checking the tree in the database", count / (time.process_time() - started), "events a second")
        files: dict[str, bytes] = {}
        started = time.process_time()
        bundled(store, tree, [key], Policy((key.verifier(),)), Selection(), files.__setitem__)
        say("exporting everything", count / (time.process_time() - started), "events a second")
        entries = [one.data for number in range(conversations) for one in store.read(f"c{number:07}")]
    started = time.process_time()
    report = verify_bundle.check(files, verify_bundle.Trust([verify_bundle.Key(str(key.verifier()))]))
    say("checking the bundle alone (verify_bundle.py)", count / (time.process_time() - started), "events a second")
    assert report.verdict == "SELF-ATTESTED"
    started = time.process_time()
    edge = merkle.Frontier()
    for entry in entries:
        edge.add(leaf_hash(entry))
    say("  of which: hashing entries and tree", count / (time.process_time() - started), "events a second")
    started = time.process_time()
    for entry in entries:
        json.loads(entry)
    say("  floor: json.loads alone", count / (time.process_time() - started), "events a second")
    started = time.process_time()
    for entry in entries:
        hashlib.sha256(entry).digest()
    say("  floor: SHA-256 of the entries alone", count / (time.process_time() - started), "events a second")


def main() -> None:
    leaves = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with TemporaryDirectory() as folder:
        checking(max(50, leaves // 2000), Path(folder))
        proofs(leaves, Path(folder))
    verification.main()


if __name__ == "__main__":
    main()
