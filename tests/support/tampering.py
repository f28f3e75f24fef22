"""What a database's administrator does to a log: every row and trigger is theirs; the signing key may be."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import patch

from interlock.contracts.canonical import canonical, leaf_hash, parsed, sha256_hex
from interlock.contracts.tree import Leaf, MapHead, TreeStore
from interlock.persistence.evidence import bundle, verify_bundle
from interlock.persistence.evidence.bundle import Selection, bundled
from interlock.persistence.evidence.keys import Signer, signed
from interlock.persistence.evidence.policy import Policy
from interlock.persistence.heads import Cell, HeadMap, bucket_of, kept, key_of
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from support.evidence import TestKey

TREE = ("leaf", "record", "head", "head_node", "checkpoint", "cosignature", "anchor")


@contextmanager
def as_administrator(path: Path) -> Iterator[sqlite3.Connection]:
    """The file with no trigger and no key in the way; the triggers are put back, as somebody careful would."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'").fetchall()
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("BEGIN")
        yield connection
        connection.execute("COMMIT")
        for _, sql in triggers:
            connection.execute(sql)


def altered(entry: bytes) -> bytes:
    """The entry with another time: what is told stays, but not what happened when."""
    value = parsed(entry)
    value["at"] = value["at"].replace("2026", "2025")
    return canonical(value)


def rechained(connection: sqlite3.Connection, stream: str) -> None:
    """Every `prev` and leaf of the stream made to fit its entries."""
    previous = b""
    rows = connection.execute("SELECT id, version, entry FROM event WHERE stream = ? ORDER BY version", (stream,))
    for number, (identity, _, entry) in enumerate(rows.fetchall()):
        value = parsed(entry)
        value["ver"] = number
        value.pop("prev", None)
        if previous:
            value["prev"] = previous.hex()
        data = canonical(value)
        previous = leaf_hash(data)
        connection.execute(
            "UPDATE event SET version = ?, at = ?, leaf = ?, entry = ? WHERE id = ?",
            (number, value["at"], previous, data, identity),
        )


def forget_the_tree(connection: sqlite3.Connection, *, checkpoints: bool) -> None:
    """Empty the tables of the tree, so that it is built anew over what the entries are now."""
    for table in TREE if checkpoints else TREE[:4]:
        connection.execute(f"DELETE FROM {table}")


def drop(connection: sqlite3.Connection, stream: str, version: int) -> None:
    """One entry and its texts, with nothing left of them."""
    for table in ("payload", "event"):
        connection.execute(f"DELETE FROM {table} WHERE stream = ? AND version = ?", (stream, version))


def projected_again(connection: sqlite3.Connection) -> None:
    """The projection made to fit the entries that are left."""
    mine = "FROM event AS e WHERE e.stream = conversation.stream"
    connection.execute("DELETE FROM conversation WHERE stream NOT IN (SELECT stream FROM event)")
    connection.execute(
        f"UPDATE conversation SET length = (SELECT count(*) {mine}), "
        f"started_at = (SELECT at {mine} ORDER BY version LIMIT 1), "
        f"updated_at = (SELECT at {mine} ORDER BY version DESC LIMIT 1)"
    )


def heads_again(connection: sqlite3.Connection) -> None:
    """The map of heads made to fit the leaves that are left."""
    connection.execute("DELETE FROM head")
    connection.execute("DELETE FROM head_node")
    ends = "SELECT stream, max(version), hash FROM leaf WHERE stream <> '' GROUP BY stream"
    heads = [MapHead(*row) for row in connection.execute(ends).fetchall()]
    for one in heads:
        row = (key_of(one.stream), one.stream, one.version, one.leaf)
        connection.execute("INSERT INTO head (key, stream, version, leaf) VALUES (?, ?, ?, ?)", row)
    cells: dict[tuple[int, int], Cell] = {}
    buckets: dict[int, list[tuple[bytes, bytes]]] = {}
    for one in heads:
        buckets.setdefault(bucket_of(key_of(one.stream)), []).append(kept(one))

    def put(depth: int, place: int, cell: Cell) -> None:
        cells[depth, place] = cell

    made = HeadMap(lambda place: buckets.get(place, []), lambda depth, place: cells.get((depth, place)), put)
    made.moved(key_of(one.stream) for one in heads)
    for (depth, place), cell in cells.items():
        node = (depth, place, cell.kind, cell.hash)
        connection.execute("INSERT INTO head_node (depth, place, kind, hash) VALUES (?, ?, ?, ?)", node)


def shown(
    path: Path,
    *,
    signer: Signer | None = None,
    streams: tuple[str, ...] | None = None,
    disclose: tuple[str, ...] = ("all",),
) -> dict[str, bytes]:
    """The bundle that whoever has the database makes of it, with an exporter of their own that nothing stops."""
    signer = signer or TestKey()
    files: dict[str, bytes] = {}
    with closing(SqliteStore(path)) as store:
        tree: TreeStore = store.tree()
        with tree.sequencing(), patch.object(bundle, "_leaves", _whatever_is_there):
            policy = Policy((signer.verifier(),))
            bundled(store, tree, [signer], policy, Selection(streams, disclose), files.__setitem__)
    return files


def bundle_of(
    store: MemoryStore,
    streams: tuple[str, ...] | None = None,
    disclose: tuple[str, ...] = ("all",),
    signers: Sequence[Signer] = (),
) -> dict[str, bytes]:
    """An honest bundle, of everything or of some conversations."""
    files: dict[str, bytes] = {}
    signers = signers or [TestKey(store.log)]
    policy = Policy(tuple(one.verifier() for one in signers))
    bundled(store, store.tree(), signers, policy, Selection(streams, disclose), files.__setitem__)
    return files


def _whatever_is_there(tree: TreeStore, first: int, end: int) -> Iterator[tuple[Leaf, bytes]]:
    """What an exporter of the attacker's own would write: an entry that is gone does not stop it."""
    yield from tree.leaves(first, end - first)


def checked(files: dict[str, bytes], *heads: str, key: Signer | None = None, policy: str = "") -> verify_bundle.Report:
    """What an auditor finds who has the log's key, and perhaps checkpoints from elsewhere and a policy."""
    trust = verify_bundle.Trust(
        keys=[verify_bundle.Key(str((key or TestKey()).verifier()))],
        policy=verify_bundle.Policy(policy) if policy else None,
        heads=[(f"head {n}", head.encode()) for n, head in enumerate(heads)],
    )
    return verify_bundle.check(files, trust)


def resigned(files: dict[str, bytes], signer: Signer | None = None, **said: object) -> dict[str, bytes]:
    """The files under a manifest that fits them: what somebody can do who has the signing key. `said` goes into it."""
    first, _, manifest = verify_bundle.Note(files["MANIFEST"]).text.partition("\n")
    digests = {name: sha256_hex(data) for name, data in sorted(files.items()) if name != "MANIFEST"}
    value = parsed(manifest.strip().encode()) | {"files": digests} | said
    value = {name: one for name, one in value.items() if one != ""}
    note = signed(f"{first}\n{canonical(value).decode()}\n", signer or TestKey())
    return {**files, "MANIFEST": str(note).encode()}
