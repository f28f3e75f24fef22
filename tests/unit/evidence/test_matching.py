"""What was altered since the last checkpoint is not signed: the first wrong position is named."""

from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from interlock.contracts.canonical import leaf_hash
from interlock.contracts.errors import LogBroken
from interlock.persistence.evidence.matching import refuse_altered
from interlock.persistence.evidence.signing import HeadMemory
from interlock.persistence.sqlite_store import SqliteStore
from support.evidence import ORIGIN, checkpointer, filled
from support.tampering import altered, as_administrator


def signed_log(path: Path) -> tuple[int, HeadMemory]:
    """A log with a checkpoint, and entries that came since."""
    with closing(SqliteStore(path, origin=ORIGIN)) as store:
        filled(store, 3)
        signing = checkpointer(store.tree())
        size = signing.checkpoint().checkpoint.size
        filled(store, 3, seed=1)
        return size, signing.memory


def tampered(path: Path, change: str, *values: object, new: bool) -> tuple[str, int]:
    """Change the second entry of a conversation that was signed, or of a new one; gives its place."""
    with as_administrator(path) as connection:
        wanted = f"SELECT id, stream, version, entry, leaf FROM event WHERE stream LIKE 'c{int(new)}-%' AND version = 1"
        identity, stream, version, entry, _ = connection.execute(wanted).fetchone()
        connection.execute(change, (*values, identity) if values else (altered(entry), identity))
    return stream, version


def test_an_entry_that_was_altered_since_is_not_signed(tmp_path: Path) -> None:
    """Its leaf stays as it was when it was committed; nothing is signed, and nothing is kept of the try."""
    path = tmp_path / "log.db"
    size, memory = signed_log(path)
    stream, version = tampered(path, "UPDATE event SET entry = ? WHERE id = ?", new=True)
    with closing(SqliteStore(path)) as store:
        signing = checkpointer(store.tree())
        signing.memory = memory
        with pytest.raises(LogBroken) as refused:
            signing.checkpoint()
        place = store.tree().index_of(stream, version)
        assert refused.value.what == f"The entry of leaf {place} was altered ({stream} event {version})."
        assert refused.value.fix.startswith("Nothing was signed.")
        assert [one for one, _ in store.tree().checkpoints()] == [size]
        assert memory.moved(lambda last: last).size == size


def test_an_entry_that_is_gone_is_not_signed(tmp_path: Path) -> None:
    """After it got its place: before, nothing but its conversation's next entry says that it was there."""
    path = tmp_path / "log.db"
    signed_log(path)
    with closing(SqliteStore(path)) as store:
        store.tree().sequence()
    stream, version = tampered(path, "DELETE FROM event WHERE 1 = ? AND id = ?", 1, new=True)
    with closing(SqliteStore(path)) as store, pytest.raises(LogBroken, match="is gone") as refused:
        checkpointer(store.tree()).checkpoint()
    assert (refused.value.stream, refused.value.version) == (stream, version)


def test_an_entry_altered_with_its_leaf_breaks_its_chain(tmp_path: Path) -> None:
    """Before it got its place, so that the tree has what it says now: the next entry holds another hash."""
    path = tmp_path / "log.db"
    signed_log(path)
    with as_administrator(path) as connection:
        wanted = "SELECT id, stream, entry FROM event WHERE stream LIKE 'c1-%' AND version = 1"
        identity, stream, entry = connection.execute(wanted).fetchone()
        data = altered(entry)
        connection.execute("UPDATE event SET entry = ?, leaf = ? WHERE id = ?", (data, leaf_hash(data), identity))
    with closing(SqliteStore(path)) as store, pytest.raises(LogBroken, match="does not follow from the one") as refused:
        checkpointer(store.tree()).checkpoint()
    assert (refused.value.stream, refused.value.version) == (stream, 2)


def test_where_nothing_is_new_what_was_signed_last_is_compared(tmp_path: Path) -> None:
    """So that a checkpoint of a log that was altered is not said to be fine."""
    path = tmp_path / "log.db"
    with closing(SqliteStore(path, origin=ORIGIN)) as store:
        filled(store, 2)
        signing = checkpointer(store.tree())
        signing.checkpoint()
        assert signing.checkpoint().compared_from == 0
    tampered(path, "UPDATE event SET entry = ? WHERE id = ?", new=False)
    with closing(SqliteStore(path)) as store, pytest.raises(LogBroken, match="was altered"):
        checkpointer(store.tree()).checkpoint()


def test_what_was_signed_before_is_left_to_verify(tmp_path: Path) -> None:
    """The control, and the bound of the cost: only what came since is read."""
    path = tmp_path / "log.db"
    size, memory = signed_log(path)
    tampered(path, "UPDATE event SET entry = ? WHERE id = ?", new=False)
    with closing(SqliteStore(path)) as store:
        signing = checkpointer(store.tree())
        signing.memory = memory
        made = signing.checkpoint()
        assert (made.fresh, made.compared_from) == (True, size)
        with pytest.raises(LogBroken):
            refuse_altered(store.tree(), 0)


@pytest.mark.parametrize("seed", range(5))
def test_any_entry_that_is_altered_is_named(tmp_path: Path, seed: int) -> None:
    """The first of them, wherever it is."""
    path, random = tmp_path / "log.db", Random(seed)
    with closing(SqliteStore(path, origin=ORIGIN)) as store:
        filled(store, 3, seed=seed)
        store.tree().sequence()
        size = store.tree().size()
        refuse_altered(store.tree(), 0)
    places = sorted(random.sample(range(size), 2))
    with as_administrator(path) as connection:
        for place in places:
            where = "(stream, version) = (SELECT stream, version FROM leaf WHERE position = ?)"
            (entry,) = connection.execute(f"SELECT entry FROM event WHERE {where}", (place,)).fetchone()
            connection.execute(f"UPDATE event SET entry = ? WHERE {where}", (altered(entry), place))
    with closing(SqliteStore(path)) as store, pytest.raises(LogBroken, match=f"leaf {places[0]} was altered"):
        refuse_altered(store.tree(), 0)
