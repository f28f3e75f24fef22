"""A log with texts of two people, for tests of what becomes of texts."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.clock import ManualClock
from support.erasure import talked
from support.evidence import ORIGIN


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.db"


@pytest.fixture
async def store(path: Path) -> Any:
    with closing(SqliteStore(path, origin=ORIGIN)) as store:
        await talked(store, "anna", [1, 2])
        await talked(store, "bert", [3])
        yield store


@pytest.fixture
def aged(path: Path) -> Iterator[tuple[SqliteStore, ManualClock]]:
    with closing(SqliteStore(path, origin=ORIGIN)) as store:
        yield store, ManualClock()
