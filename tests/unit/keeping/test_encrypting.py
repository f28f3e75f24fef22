"""Encrypting what lay in clear, cut off at each step: the next run leaves no text in the files, and the log says so."""

from contextlib import closing
from pathlib import Path

import pytest

from interlock.contracts.keeping import KeysChanged
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service import keys
from interlock.service.journal import Journal
from support.erasure import found_in, talked


class Killed(BaseException):
    """The process ends here."""


async def in_clear(path: Path) -> None:
    with closing(SqliteStore(path, in_clear=True)) as store:
        await talked(store, "anna", range(30))


def cut_off(path: Path, where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patches, closing(SqliteStore(path)) as store:
        patches.setattr(store if where == "scrub" else keys, where, killed)
        with pytest.raises(Killed):
            keys.encrypt(store, by="ops")


@pytest.mark.parametrize("where", ["encrypted_in", "scrub"])
async def test_whoever_is_cut_off_is_completed_by_the_next_run(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, scrubbed = tmp_path / "log.db", list[bool]()
    await in_clear(path)
    cut_off(path, where, monkeypatch)
    with closing(SqliteStore(path)) as store:
        scrub = store.scrub

        def noting() -> None:
            scrub()
            scrubbed.append(True)

        monkeypatch.setattr(store, "scrub", noting)
        keys.encrypt(store, by="ops")
        acts = [one.act for one in Journal(store).acts()]
        assert any(isinstance(one, KeysChanged) and one.how == "encrypted" for one in acts)
    assert scrubbed
    assert found_in(tmp_path, range(30)) == []


async def test_control_the_search_finds_what_lies_in_clear(tmp_path: Path) -> None:
    await in_clear(tmp_path / "log.db")
    assert found_in(tmp_path, range(30)) != []
