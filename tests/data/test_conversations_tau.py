"""Every recorded conversation of the tau airline, typed at a small airline and at the bank."""

from pathlib import Path

from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.project import load_project
from support import airline
from support.conversations import feed, tau_airline


async def test_every_recorded_conversation_can_be_typed_at_the_airline() -> None:
    """No traceback; every turn ends in a declared state, every log verifies and decides again the same."""
    fed = await feed(MemoryStore(), airline.program(), airline.scripted(), tau_airline())
    print(f"tau at the airline: {fed}")
    assert fed.conversations >= 100
    assert len(fed.states) >= 10
    assert fed.routes.keys() >= {"book", "cancel", "change", "baggage", "refund", "unsure"}


async def test_every_recorded_conversation_can_be_typed_at_the_bank() -> None:
    """Passengers at a bank: nothing that is said is the bank's business, and everything is answered."""
    bank = load_project("bank")
    assert bank.scripted
    fed = await feed(MemoryStore(), bank.program, bank.scripted(), tau_airline())
    print(f"tau at the bank: {fed}")
    assert fed.conversations >= 100


async def test_a_sample_can_be_typed_at_the_airline_on_sqlite(tmp_path: Path) -> None:
    """The same on a file: every fifth conversation."""
    store = SqliteStore(tmp_path / "log.db")
    fed = await feed(store, airline.program(), airline.scripted(), tau_airline()[::5])
    store.close()
    print(f"tau at the airline on SQLite: {fed}")
    assert fed.conversations >= 20
