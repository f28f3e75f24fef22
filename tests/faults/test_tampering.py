"""The tamper matrix: eleven attacks by whoever has the database, and what shows each.

| attack                                        | chain | + signed | + auditor's older | + published head |
|-----------------------------------------------|-------|----------|-------------------|------------------|
| altered, deleted, reordered                   | shows | shows    | shows             | shows            |
| tail cut, the newest checkpoint kept          | miss  | shows    | shows             | shows            |
| tail cut, an older checkpoint served          | miss  | miss     | miss              | shows            |
| rewritten without the key (old one, own key)  | miss  | shows    | shows             | shows            |
| rewritten, no checkpoint left (tree gone, too) | miss  | shows    | shows             | shows            |
| rewritten with the key                        | miss  | miss     | shows             | shows            |
| forked after the auditor's last visit         | miss  | miss     | miss              | shows            |

`chain` is what the entries' chains show alone; the others are what an auditor finds who has a bundle and the log's
key, then a checkpoint from an earlier visit, then the newest one that was published or witnessed. A miss is a control:
were it to show, the matrix would promise too little.
"""

import shutil
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from interlock.persistence.evidence.checking import Outside, attested
from interlock.persistence.sqlite_store import SqliteStore
from interlock.persistence.verify import verify
from support.evidence import ORIGIN, TestKey, checkpointer, filled
from support.tampering import (
    altered,
    as_administrator,
    checked,
    drop,
    forget_the_tree,
    heads_again,
    projected_again,
    rechained,
    shown,
)

SHOWS, MISS = True, False


class Visited(NamedTuple):
    """An honest log: its file, the checkpoint of the auditor's earlier visit, and the newest, which is published."""

    path: Path
    streams: list[str]
    older: str
    published: str


def honest(folder: Path, seed: int) -> Visited:
    path = folder / "log.db"
    with closing(SqliteStore(path, origin=ORIGIN)) as store:
        signing = checkpointer(store.tree())
        streams = filled(store, 3, seed=seed, turns=3)
        older = signing.checkpoint().note
        streams += filled(store, 2, seed=seed + 1000, turns=3)
        published = signing.checkpoint().note
    return Visited(path, streams, str(older), str(published))


def copied(path: Path, to: Path) -> None:
    """The file, and the key that its texts are encrypted under."""
    for ending in ("", ".key"):
        shutil.copy(path.with_name(path.name + ending), to.with_name(to.name + ending))


def signed_again(path: Path, signer: TestKey | None = None) -> None:
    """A checkpoint over what the database says now, by who does not care what was signed before."""
    with closing(SqliteStore(path)) as store:
        checkpointer(store.tree(), signer=signer).checkpoint()


def one_altered(log: Visited, random: Random) -> None:
    with as_administrator(log.path) as connection:
        rows = connection.execute("SELECT id, entry FROM event ORDER BY id").fetchall()
        identity, entry = random.choice(rows)
        connection.execute("UPDATE event SET entry = ? WHERE id = ?", (altered(entry), identity))


def one_deleted(log: Visited, random: Random) -> None:
    """Not the last of its conversation, and those behind it move up."""
    with as_administrator(log.path) as connection:
        rows = connection.execute("SELECT stream, version FROM event ORDER BY stream, version").fetchall()
        stream, version = random.choice([one for one in rows if (one[0], one[1] + 1) in rows])
        drop(connection, stream, version)
        for behind in sorted(at for of, at in rows if of == stream and at > version):
            where = (behind - 1, stream, behind)
            connection.execute("UPDATE event SET version = ? WHERE stream = ? AND version = ?", where)
        projected_again(connection)


def two_reordered(log: Visited, random: Random) -> None:
    with as_administrator(log.path) as connection:
        rows = connection.execute("SELECT id, stream, leaf, entry FROM event ORDER BY stream, version").fetchall()
        one, other = random.choice([pair for pair in pairwise(rows) if pair[0][1] == pair[1][1]])
        for identity, (_, _, leaf, entry) in ((one[0], other), (other[0], one)):
            connection.execute("UPDATE event SET leaf = ?, entry = ? WHERE id = ?", (leaf, entry, identity))


def tail_cut_newest_kept(log: Visited, random: Random) -> None:
    """The last event of a conversation never happened; the checkpoint that counts it is still there."""
    with as_administrator(log.path) as connection:
        stream = random.choice(log.streams)
        (last,) = connection.execute("SELECT max(version) FROM event WHERE stream = ?", (stream,)).fetchone()
        drop(connection, stream, last)
        projected_again(connection)


def tail_cut_older_served(log: Visited, random: Random) -> None:
    """Everything is as it was when the older checkpoint was signed."""
    size = int(log.older.split("\n")[1])
    with as_administrator(log.path) as connection:
        gone = connection.execute("SELECT stream, version FROM leaf WHERE position >= ?", (size,)).fetchall()
        for stream, version in gone:
            drop(connection, stream, version)
            if not stream:
                connection.execute("DELETE FROM record WHERE number = ?", (version,))
        connection.execute("DELETE FROM leaf WHERE position >= ?", (size,))
        connection.execute("DELETE FROM checkpoint WHERE size > ?", (size,))
        projected_again(connection)
        heads_again(connection)


def _rewritten(log: Visited, random: Random) -> None:
    """One conversation with another past; every hash of it made to fit."""
    with as_administrator(log.path) as connection:
        stream = random.choice(log.streams[:3])
        rows = connection.execute("SELECT id, entry FROM event WHERE stream = ? ORDER BY version", (stream,)).fetchall()
        identity, entry = random.choice(rows[: max(1, len(rows) // 2)])
        connection.execute("UPDATE event SET entry = ? WHERE id = ?", (altered(entry), identity))
        rechained(connection, stream)
        projected_again(connection)


def rewritten_old_checkpoint(log: Visited, random: Random) -> None:
    """The tree is built anew, under the checkpoint that was signed for the old one."""
    _rewritten(log, random)
    with as_administrator(log.path) as connection:
        kept = connection.execute("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1").fetchone()
        forget_the_tree(connection, checkpoints=True)
    signed_again(log.path, TestKey(seed=66))
    with as_administrator(log.path) as connection:
        made = connection.execute("SELECT size FROM checkpoint").fetchone()[0]
        connection.execute("UPDATE checkpoint SET note = ?", (kept[1].replace(f"\n{kept[0]}\n", f"\n{made}\n", 1),))


def rewritten_own_key(log: Visited, random: Random) -> None:
    """Signed, with a key of the attacker's own."""
    _rewritten(log, random)
    with as_administrator(log.path) as connection:
        forget_the_tree(connection, checkpoints=True)
    signed_again(log.path, TestKey(seed=66))


def no_checkpoint_left(log: Visited, random: Random) -> None:
    """The tree is built anew over the other past, and nothing is signed: as if nothing ever had been."""
    rewritten_own_key(log, random)
    with as_administrator(log.path) as connection:
        connection.execute("DELETE FROM checkpoint")


def tree_deleted(log: Visited, random: Random) -> None:
    _rewritten(log, random)
    with as_administrator(log.path) as connection:
        forget_the_tree(connection, checkpoints=True)


def rewritten_with_the_key(log: Visited, random: Random) -> None:
    _rewritten(log, random)
    with as_administrator(log.path) as connection:
        forget_the_tree(connection, checkpoints=True)
    signed_again(log.path)


def forked_after_the_visit(log: Visited, random: Random) -> None:
    """Up to the auditor's last visit nothing is changed; what came then happened otherwise, signed with the key."""
    tail_cut_older_served(log, random)
    with closing(SqliteStore(log.path)) as store:
        filled(store, 2, seed=random.randrange(10_000, 20_000), turns=3)
    signed_again(log.path)


Attack = Callable[[Visited, Random], None]
MATRIX: dict[Attack, tuple[bool, bool, bool, bool]] = {
    one_altered: (SHOWS, SHOWS, SHOWS, SHOWS),
    one_deleted: (SHOWS, SHOWS, SHOWS, SHOWS),
    two_reordered: (SHOWS, SHOWS, SHOWS, SHOWS),
    tail_cut_newest_kept: (MISS, SHOWS, SHOWS, SHOWS),
    tail_cut_older_served: (MISS, MISS, MISS, SHOWS),
    rewritten_old_checkpoint: (MISS, SHOWS, SHOWS, SHOWS),
    rewritten_own_key: (MISS, SHOWS, SHOWS, SHOWS),
    no_checkpoint_left: (MISS, SHOWS, SHOWS, SHOWS),
    tree_deleted: (MISS, SHOWS, SHOWS, SHOWS),
    rewritten_with_the_key: (MISS, MISS, SHOWS, SHOWS),
    forked_after_the_visit: (MISS, MISS, MISS, SHOWS),
}
OWN_KEY: dict[Attack, TestKey] = {rewritten_old_checkpoint: TestKey(seed=66), rewritten_own_key: TestKey(seed=66)}


UNSIGNED = {no_checkpoint_left, tree_deleted}


def not_as_signed(path: Path, *heads: str) -> bool:
    """What the log's key, and what was kept elsewhere, say of the database itself."""
    with closing(SqliteStore(path)) as store:
        return bool(attested(store.tree(), Outside((TestKey().verifier(),), heads=heads, expected=True)).faults)


def found(log: Visited, attack: Attack) -> tuple[bool, bool, bool, bool]:
    """What shows at each level of the matrix."""
    with closing(SqliteStore(log.path)) as store:
        chain = not verify(store).ok
    answers = [chain]
    if attack in UNSIGNED:  # no bundle can be made of it: the auditor has the file, and looks with `verify --vkey`
        shows = [not_as_signed(log.path, *heads) for heads in ((), (log.older,), (log.older, log.published))]
        return chain, shows[0], shows[1], shows[2]
    for heads in ((), (log.older,), (log.older, log.published)):
        files = shown(log.path, signer=OWN_KEY.get(attack))
        answers.append(checked(files, *heads).verdict in ("BROKEN", "NOT SHOWN"))
    return answers[0], answers[1], answers[2], answers[3]


def runs(folder: Path, seeds: range) -> list[str]:
    """Every attack on every seed; what was found otherwise than the matrix says."""
    wrong = []
    for seed in seeds:
        (folder / "honest").mkdir()
        log = honest(folder / "honest", seed)
        if checked(shown(log.path), log.older, log.published).verdict != "ANCHORED":
            wrong.append(f"seed {seed}: a false alarm on the honest log")
        if not_as_signed(log.path, log.older, log.published):
            wrong.append(f"seed {seed}: the honest log is not as it was signed")
        for attack, promised in MATRIX.items():
            copy = log._replace(path=folder / f"{attack.__name__}-{seed}.db")
            copied(log.path, copy.path)
            attack(copy, Random(seed))
            if (answers := found(copy, attack)) != promised:
                wrong.append(f"seed {seed}, {attack.__name__}: {answers}")
            copy.path.unlink()
        shutil.rmtree(folder / "honest")
    return wrong


def test_each_attack_shows_where_the_matrix_says_and_nowhere_else(tmp_path: Path):
    assert runs(tmp_path, range(2)) == []


@pytest.mark.full
def test_each_attack_shows_on_a_hundred_logs(tmp_path: Path):
    assert runs(tmp_path, range(100)) == []
