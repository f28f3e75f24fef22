"""What broke is kept: as a test, and a conversation also as a log that `interlock log` and `interlock replay` read."""

import re
from pathlib import Path

from ..contracts.errors import InterlockError
from ..fsm.program import Program
from ..persistence.sqlite_store import SqliteStore
from .checking import Found
from .kept_test import asserting_test, conversation_test
from .outside import Outside
from .talk import Talk


def kept(program: Program, found: Found, folder: Path, name: str, source: str = "") -> tuple[Path | None, Path]:
    """Write `folder/test_name.py`, which fails until it is mended, and where a conversation shows what is wrong also
    its log, `folder/name.db`. Returns log (None where no conversation is needed) and test.

    `source` is where the flow is found again, as `load_project` takes it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"\W+", "_", name)
    log, test = folder / f"{name}.db", folder / f"test_{name}.py"
    for old in (log, log.with_name(f"{log.name}-wal"), log.with_name(f"{log.name}-shm"), test):
        old.unlink(missing_ok=True)
    flow = source or program.ref.name
    if found.asserts:
        test.write_bytes(asserting_test(flow, name, found.asserts, found.faults).encode("utf-8", "backslashreplace"))
        return None, test
    _log(program, found, log, source)
    text = conversation_test(flow, name, found.acts, found.expected, found.faults)
    test.write_bytes(text.encode("utf-8", "backslashreplace"))
    return log, test


def _log(program: Program, found: Found, log: Path, source: str) -> None:
    store = SqliteStore(log)
    try:
        talk = Talk(program, Outside(), store=store, source=source)
        try:
            talk.play(found.acts)
        except InterlockError:
            pass  # what broke may be that this act cannot be done: what came before it is kept
        finally:
            talk.close()
    finally:
        store.close()
