"""A receipt of every append, handed back to who asked: it holds the log to what it said."""

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from interlock.agents.scripted import ScriptedAgent
from interlock.persistence.evidence import verify_bundle as alone
from interlock.persistence.evidence.keys import new_key
from interlock.persistence.evidence.notes import ED25519, ML_DSA, Note, Signature
from interlock.persistence.evidence.receipts import receipt, receipt_of, unkept
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.checkpointing import Checkpointer
from interlock.service.clock import ManualClock
from interlock.service.outcome import TurnOutcome
from interlock.service.runtime import Runtime
from support.evidence import ORIGIN, Remembered, TestKey, checkpointer, filled
from support.runtime import mini
from support.tampering import (
    altered,
    as_administrator,
    bundle_of,
    drop,
    forget_the_tree,
    projected_again,
    rechained,
    shown,
)

KEYS = (TestKey().verifier(),)


async def talked(store: Any, receipts: Any, clock: ManualClock | None = None) -> list[TurnOutcome]:
    """What the caller of a conversation of two messages was given."""
    options = {"presence": OnlyProcess(), "clock": clock or ManualClock(), "receipts": receipts}
    async with Runtime(store, mini(), ScriptedAgent([]), **options) as runtime:
        started = await runtime.start()
        said = [await runtime.say(started.conversation, text) for text in ("pay", "12.00")]
        assert (await runtime.outcome(started.conversation)).receipt == said[-1].receipt
    return [started, *said]


async def test_every_turn_gives_a_receipt_of_its_last_entry() -> None:
    """Signed, of the leaf and the time as they are stored; and of no other."""
    store = MemoryStore(origin=ORIGIN)
    outcomes = await talked(store, checkpointer(store.tree()).receipt)
    assert len({one.length for one in outcomes}) == 3
    for one in outcomes:
        found, entry = receipt_of(one.receipt, KEYS[0]), store.read(one.conversation)[one.length - 1]
        assert (found.origin, found.stream, found.version) == (ORIGIN, one.conversation, one.length - 1)
        assert (found.leaf, found.at) == (entry.leaf, entry.at)
        assert unkept(store, KEYS, "mine", one.receipt) == ""


async def test_a_conversation_that_is_read_again_gives_the_same_receipt() -> None:
    """The control of the time: the last entry's, though another process reads the log."""
    store, clock = MemoryStore(origin=ORIGIN), ManualClock()
    sign = checkpointer(store.tree()).receipt
    last = (await talked(store, sign, clock))[-1]
    clock.advance(60)
    async with Runtime(store, mini(), ScriptedAgent([]), presence=OnlyProcess(), clock=clock, receipts=sign) as runtime:
        assert (await runtime.outcome(last.conversation)).receipt == last.receipt


async def test_without_a_key_there_is_none_and_nothing_is_signed() -> None:
    store = MemoryStore(origin=ORIGIN)
    assert {one.receipt for one in await talked(store, None)} == {""}


async def test_a_key_that_does_not_sign_loses_nothing() -> None:
    """The turn goes on without a receipt: what was acknowledged is in the log."""

    class Down(TestKey):
        def sign(self, message: bytes) -> bytes:
            raise ConnectionError("no answer")

    store = MemoryStore(origin=ORIGIN)
    outcomes = await talked(store, checkpointer(store.tree(), signer=Down()).receipt)
    assert {one.receipt for one in outcomes} == {""}
    assert store.head(outcomes[0].conversation).length == outcomes[-1].length


@pytest.mark.parametrize("how", ["cut", "dropped", "altered", "gone"])
async def test_a_receipt_convicts_the_log_that_took_its_entry_back(tmp_path: Path, how: str) -> None:
    """Whoever has the database and the key makes all of it fit, and signs it: the receipt still says no."""
    path = tmp_path / "log.db"
    with closing(SqliteStore(path, origin=ORIGIN)) as store:
        sign = checkpointer(store.tree()).receipt
        (*_, last) = await talked(store, sign)
        await talked(store, sign)
    stream, end = last.conversation, last.length - 1
    with as_administrator(path) as connection:
        if how == "cut":
            drop(connection, stream, end)
        elif how == "dropped":
            drop(connection, stream, end - 1)
        elif how == "altered":
            rows = connection.execute("SELECT id, entry FROM event WHERE stream = ?", (stream,)).fetchall()
            for identity, entry in rows:
                connection.execute("UPDATE event SET entry = ? WHERE id = ?", (altered(entry), identity))
        else:
            for version in range(end + 1):
                drop(connection, stream, version)
        rechained(connection, stream)
        projected_again(connection)
        forget_the_tree(connection, checkpoints=True)
    with closing(SqliteStore(path)) as store:
        checkpointer(store.tree()).checkpoint()
        said = unkept(store, KEYS, "my receipt", last.receipt)
        assert said.startswith(f"The entry that my receipt promises ({stream} event {end}, of ")
        assert said.endswith("the log was cut or rewritten, or this is an old copy.")
    report = alone.check(
        shown(path), alone.Trust([alone.Key(str(KEYS[0]))], receipts=[("mine", last.receipt.encode())])
    )
    assert report.faults == [f"receipts: the entry that mine promises ({stream} version {end}) is not in the log."]


async def test_an_honest_log_is_not_convicted(tmp_path: Path) -> None:
    """The control: the same, with nothing done to it."""
    store = MemoryStore(origin=ORIGIN)
    signing = checkpointer(store.tree())
    outcomes = await talked(store, signing.receipt)
    signing.checkpoint()
    receipts = [(str(one.length), one.receipt.encode()) for one in outcomes]
    trust = alone.Trust([alone.Key(str(KEYS[0]))], receipts=receipts)
    assert alone.check(bundle_of(store), trust).faults == []


@pytest.mark.skipif(not alone.has_ml_dsa(), reason="this `cryptography` has no ML-DSA-44")
@pytest.mark.parametrize(
    ("how", "holds"),
    [("whole", True), ("handed back", True), ("bit", False), ("id", False), ("cut", False), ("no Ed25519", False)],
)
def test_each_line_of_a_receipt_is_checked_by_who_has_its_key(tmp_path: Path, how: str, holds: bool) -> None:
    """By `verify` and by the bundle's verifier; Ed25519 alone is on one that was handed back."""
    store = MemoryStore(origin=ORIGIN)
    filled(store, 1)
    key = new_key(tmp_path / "both.key", ORIGIN, ED25519, ML_DSA)
    Checkpointer(store.tree(), key.signers, Remembered(), clock=ManualClock()).checkpoint()
    made = receipt(store, key.signers, store.streams()[0], 0)
    ed, dsa = made.signatures
    bit = dsa.signature[:-9] + bytes([dsa.signature[-9] ^ 1]) + dsa.signature[-8:]
    lines = {
        "whole": (ed, dsa),
        "handed back": (ed,),
        "bit": (ed, Signature(dsa.name, dsa.key_id, bit)),
        "id": (ed, Signature(dsa.name, b"none", dsa.signature)),
        "cut": (ed, Signature(dsa.name, dsa.key_id, dsa.signature[:100])),
        "no Ed25519": (dsa,),
    }[how]
    data = str(Note(made.text, lines))
    found = unkept(store, key.verifiers(), "it", data)
    assert (found == "") is holds
    assert holds or found.startswith("it was not signed with a key of this log: ")
    if how in ("bit", "id", "cut"):
        assert found.endswith("Its line of ML-DSA-44 does not hold.")
    trust = alone.Trust([alone.Key(str(one)) for one in key.verifiers()], receipts=[("it", data.encode())])
    report = alone.check(bundle_of(store, signers=key.signers), trust)
    assert report.faults == ([] if holds else ["receipts: it is no receipt that this log signed."])
    told = "it is signed with Ed25519 alone, as a receipt is that is handed back at once."
    assert (told in report.says) is (how == "handed back")
    first = alone.Trust([alone.Key(str(key.verifier()))], receipts=[("it", data.encode())])
    assert (alone.check(bundle_of(store, signers=key.signers), first).faults == []) is (how != "no Ed25519")


async def test_a_receipt_of_somebody_elses_key_says_nothing() -> None:
    store = MemoryStore(origin=ORIGIN)
    forged = (await talked(store, checkpointer(store.tree(), signer=TestKey(seed=5)).receipt))[-1].receipt
    assert unkept(store, KEYS, "it", forged).startswith("it was not signed with a key of this log: The receipt is not")
    assert unkept(store, (), "it", forged) == "it was not signed with a key of this log: no key of it is known."
