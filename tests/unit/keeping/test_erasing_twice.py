"""Erasing who was erased: nothing is there to erase, and nothing is recorded, until they write again."""

from contextlib import closing
from pathlib import Path

from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.erasing import Eraser
from support.erasure import talked


def done(store: SqliteStore) -> tuple[int, int]:
    """Ask and finish; gives the record of the request, and how many texts it took."""
    eraser = Eraser(store)
    erasing = eraser.ask("ann", by="ops", ground="request 7")
    return erasing.request.number, eraser.finish(erasing).payloads


async def test_the_second_time_nothing_is_added(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "log.db")) as store:
        await talked(store, "ann", [1, 2])
        first = done(store)
        before = [store.read(stream) for stream in store.streams()], store.tree().last_record()
        assert done(store) == first
        assert ([store.read(stream) for stream in store.streams()], store.tree().last_record()) == before


async def test_what_was_written_since_is_erased(tmp_path: Path) -> None:
    """The control: another conversation of the same person makes it another erasure."""
    with closing(SqliteStore(tmp_path / "log.db")) as store:
        await talked(store, "ann", [1])
        first, _ = done(store)
        await talked(store, "ann", [2])
        second, texts = done(store)
        assert second > first
        assert texts > 0
        assert sum(store.payloads_of("ann").values()) == 0
