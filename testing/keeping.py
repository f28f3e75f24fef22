"""What broke is kept: as a log that `interlock log` and `interlock replay` read, and as a test."""

from collections.abc import Iterable
from pathlib import Path

from ..cli.as_pytest import pytest_of
from ..contracts.errors import InterlockError
from ..fsm.program import Program
from ..persistence.sqlite_store import SqliteStore
from ..service.acts import Act
from ..service.retold import retold
from .outside import Outside
from .talk import Talk


def kept(program: Program, acts: Iterable[Act], folder: Path, name: str, source: str = "") -> tuple[Path, Path | None]:
    """Play the acts into `folder/name.db`, and write `folder/test_name.py`; None where that cannot be written.

    `source` is where the flow is found again, as `load_project` takes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log, test = folder / f"{name}.db", folder / f"test_{name}.py"
    for old in (log, log.with_name(f"{log.name}-wal"), log.with_name(f"{log.name}-shm"), test):
        old.unlink(missing_ok=True)
    store = SqliteStore(log)
    try:
        talk = Talk(program, Outside(), store=store, source=source)
        try:
            talk.play(acts)
        except InterlockError:
            pass  # what broke may be that this act cannot be done: what came before it is kept
        finally:
            talk.close()
        try:
            why = (
                f"A conversation on {program.ref.name} that broke something; mend the flow, then what is expected here."
            )
            text = pytest_of(retold(store, talk.id, program), source or program.ref.name, name=name, why=why)
        except InterlockError:
            return log, None
    finally:
        store.close()
    test.write_bytes(text.encode())
    return log, test
