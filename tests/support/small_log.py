"""One small real log with something of everything: what tests change, byte by byte and row by row.

A payment that two people signed for, a desk with its child, a person who was erased, one under a hold who still waits;
a changed signing key and master key, an archive of what has ended, checkpoints, a witness, an anchor, a budget, and
entries not yet signed.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.commands import Actor
from interlock.contracts.events import TaskOpened
from interlock.contracts.store import Reservation, Spent
from interlock.persistence.evidence.anchors import FolderAnchor
from interlock.persistence.evidence.checking import Outside
from interlock.persistence.evidence.keys import Signer, SigningKey, cosigned, new_key
from interlock.persistence.evidence.notes import COSIGNATURE
from interlock.persistence.evidence.policy import Policy, Witness
from interlock.persistence.sql_store import SqlStore
from interlock.service.approvers import name_approver, signed_approval
from interlock.service.archiving import Range
from interlock.service.checkpointing import Checkpointer
from interlock.service.clock import ManualClock
from interlock.service.erasing import Eraser
from interlock.service.holding import placed
from interlock.service.journal import Journal
from interlock.service.keys import rotate
from interlock.service.loading import recorded
from interlock.service.outcome import TurnOutcome
from interlock.service.pruning import Pruner
from interlock.service.runtime import Runtime
from support.archives import LATER, archived_to, reopened
from support.evidence import Remembered, TestKey, checkpointer
from support.runtime import mini
from support.signing import PROGRAM as SIGNING
from support.subflows import desk

WITNESS = TestKey("witness.example/w", 9, COSIGNATURE)


class Cosigning:
    """A witness at hand."""

    url = "at hand"

    def cosign(self, note: Any, tree: Any) -> Any:
        return [cosigned(note.text, WITNESS, 1_790_000_000)]


async def written(store: SqlStore[Any], folder: Path) -> Outside:
    """Fill the empty store; the approvers' keys and the anchor come into `folder`. Returns what an auditor knows: the
    key of the log's first day, the witness, and what the signer remembers."""
    memory, first, second = Remembered(store.log), TestKey(store.log, 1), TestKey(store.log, 2)
    anchor = FolderAnchor(folder / "anchor")
    signing = checkpointer(store.tree(), signer=first)
    signing.memory = memory
    keys = {name: new_key(folder / name, name) for name in ("anna", "bert")}
    for name, key in keys.items():
        name_approver(store, by="ops", person=name, accounts=(name,), key=key.verifier().public.hex())
    clock = ManualClock()
    clock.moment += timedelta(days=400)  # the records above have the machine's time
    answers = ScriptedAgent(lambda _: gives(reply="So it is."))
    async with Runtime(store, mini(), answers, clock=clock) as runtime:
        await runtime.start(conversation="old", subject="former-one")
        await runtime.say("old", "help me")
        await runtime.say("old", "bye")
    signing.checkpoint()
    old = store.tree().size()
    async with Runtime(store, SIGNING, answers, clock=clock) as runtime:
        await _signed_for(store, runtime, clock, keys)
    signing.checkpoint()
    async with Runtime(store, desk(), answers, clock=clock) as runtime:
        await runtime.start(conversation="desk", subject="child-of-a-desk", facts={"amount": 700})
        await runtime.say("desk", "something for the team")
        await runtime.say("desk", "bye")
    new = Remembered(store.log)
    signing.rotate(new, second)
    async with Runtime(store, mini(), answers, clock=clock) as runtime:
        await runtime.start(conversation="gone", subject="erased-one")
        await runtime.say("gone", "help me, I am Maria")
        eraser = Eraser(store, clock)
        eraser.finish(eraser.ask("erased-one", by="ops", ground="request 7"))
        await runtime.start(conversation="held", subject="held-one")
        await runtime.say("held", "help me")
        rotate(store, by="ops")
        placed(Journal(store, clock), subject="held-one", conversation=None, by="ops", ground="case 9")
        store.reserve(Reservation("held", 99, "acme", "2026-11-21", Spent(1, 500, 7)), Spent(9, 9999, 99))
        store.reserve(Reservation("held", 98, "acme", "2026-11-21", Spent(1, 500, 7)), Spent(9, 9999, 99))
        store.settle("held", 98, Spent(1, 20, 3))
        last = checkpointer(store.tree(), signer=second, witnesses=[Cosigning()], anchors=[anchor])
        last.memory = new
        unseen = checkpointer(store.tree(), signer=second)
        unseen.memory = new
        _archived(store, folder / "archive", unseen, second, before=old)
        last.checkpoint()
        await runtime.say("held", "and more")
    policy = Policy(witnesses=(Witness("W", WITNESS.verifier()),), quorum="W")
    return Outside(keys=(first.verifier(),), policy=policy, remembered=new.last(), expected=True)


def _archived(store: SqlStore[Any], path: Path, signing: Checkpointer, key: Signer, *, before: int) -> None:
    """What had ended when the tree had so many leaves goes to an archive, and from the log."""
    found = archived_to(store, path, signing, Range(through=before), signer=key)
    assert [one.stream for one in found.conversations] == ["old"]
    Pruner(store, ManualClock(LATER)).prune(reopened(path, key), signing, [key], by="dpo", ground="retention 4")


async def _signed_for(store: Any, runtime: Runtime, clock: ManualClock, keys: dict[str, SigningKey]) -> None:
    """Two people sign for a payment."""
    await runtime.start(conversation="pay", subject="payee", facts={"amount": 5_00})
    outcome: TurnOutcome = await runtime.say("pay", "please")
    assert outcome.task
    task = outcome.task.number
    (entry,) = store.read("pay", after=task, limit=1)
    opened = recorded([entry])[0].event
    assert isinstance(opened, TaskOpened)
    for name, key in keys.items():
        signed = signed_approval(
            key, person=name, conversation="pay", task=task, decision="approved", opened=opened,
            meaning="I approve this payment", leaf=entry.leaf, now=clock.now(),
        )  # fmt: skip
        actor = Actor(kind="human", id=name, roles=("clerk",))
        await runtime.decide_task("pay", task, "approved", actor=actor, shown=opened.shown, signed=signed)
