"""Every recorded dialogue of STAR, typed at the bank: no traceback, every turn ends, every log verifies and replays."""

from pathlib import Path

from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.project import load_project
from support.conversations import feed, star


async def test_every_recorded_dialogue_can_be_typed_at_the_bank() -> None:
    """Whatever its task was: bank or not, each message leads to a declared state where somebody is waited for."""
    bank = load_project("bank")
    assert bank.scripted
    fed = await feed(MemoryStore(), bank.program, bank.scripted(), star())
    print(f"star at the bank: {fed}")
    assert fed.conversations > 100
    assert len(fed.states) >= 12
    assert fed.routes.keys() >= {"card", "unsure"}


async def test_a_sample_can_be_typed_at_the_bank_on_sqlite(tmp_path: Path) -> None:
    """The same on a file: every tenth dialogue."""
    bank = load_project("bank")
    assert bank.scripted
    store = SqliteStore(tmp_path / "log.db")
    fed = await feed(store, bank.program, bank.scripted(), star()[::10])
    store.close()
    print(f"star at the bank on SQLite: {fed}")
    assert fed.conversations >= 10
