"""Signed approvals: who signs with which key, whether a signature holds, and as whom its person is known here.

A person may have several accounts and one key at a time. The keys stand in the log's own records, so that an auditor
sees who named whom; what a session says of itself is no signature.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ..contracts.approval import Doubt, SignedApproval
from ..contracts.commands import Actor
from ..contracts.errors import CallError
from ..contracts.events import TaskDecided, TaskEndorsed, TaskOpened
from ..contracts.keeping import ApproverNamed
from ..contracts.protection import KeepingStore
from ..contracts.store import Store, StoredEntry
from ..fsm.conversation import Conversation
from ..fsm.replay import Recorded
from ..persistence.evidence.keys import Signer
from ..persistence.evidence.notes import ED25519, VerifierKey
from .journal import Journal, is_keeping

LASTS = timedelta(minutes=15)
"""How long a signature may wait before its decision is recorded."""


@dataclass(frozen=True, slots=True)
class Approver:
    """A person who signs: under which accounts, and with which key now (None: with none any more)."""

    person: str
    accounts: tuple[str, ...]
    key: str | None

    def is_known_as(self, account: str) -> bool:
        return account.casefold() in {self.person.casefold(), *(one.casefold() for one in self.accounts)}


class Approvers:
    """Those whom the records name, as of a moment."""

    def __init__(self, named: Iterable[tuple[datetime, ApproverNamed]]) -> None:
        self._named = tuple(named)

    def at(self, moment: datetime | None = None) -> Mapping[str, Approver]:
        """By person; of several records of one person the last before `moment`."""
        found: dict[str, Approver] = {}
        for at, one in self._named:
            if moment is None or at <= moment:
                found[one.person] = Approver(one.person, one.accounts, one.key)
        return found

    def doubt(self, approval: SignedApproval, account: str, leaf: bytes, moment: datetime) -> Doubt | None:
        """Why the signature is not believed, if it is not. `leaf` is of the entry that opened the task."""
        approver = self.at(moment).get(approval.person)
        if approver is None or approver.key != approval.key or not approver.is_known_as(account):
            return "unknown_key"
        public = VerifierKey(approval.person, ED25519, bytes.fromhex(approval.key))
        if not public.verifies(bytes.fromhex(approval.signature), approval.signed_bytes()):
            return "wrong_signature"
        return None if approval.action == leaf.hex() else "other_action"

    def known_here(self, account: str, others: Iterable[str]) -> str:
        """The account under which the same person is among `others` already; else the account itself."""
        same = [one for one in self.at().values() if one.is_known_as(account)]
        return next((other for other in others if any(one.is_known_as(other) for one in same)), account)


def approvers_of(store: KeepingStore) -> Approvers:
    return Approvers((one.at, one.act) for one in Journal(store).acts() if isinstance(one.act, ApproverNamed))


def name_approver(
    store: KeepingStore, *, by: str, person: str, accounts: Sequence[str] = (), key: str | None, ground: str = ""
) -> ApproverNamed:
    """Record who signs with which key. Raises `CallError` where the key is another person's, or the person
    has one that was not revoked."""
    for one in approvers_of(store).at().values():
        if key is not None and one.key == key and one.person != person:
            raise CallError(
                f"This key is {one.person}'s.", fix="Each person has a key of their own: make one for this person."
            )
    if key is not None:
        refuse_second_key(store, person, key)
    act = ApproverNamed(by=by, ground=ground, person=person, accounts=tuple(accounts), key=key)
    Journal(store).note(act)
    return act


def refuse_second_key(store: KeepingStore, person: str, key: str = "") -> None:
    """Raises `CallError` where the person signs with another key, which was not revoked."""
    known = approvers_of(store).at().get(person)
    if known is not None and known.key not in (None, key):
        raise CallError(
            f"{person!r} signs with a key already.",
            fix=f"To replace it: `interlock approver revoke {person} --ground TEXT`, then `interlock approver new "
            f"{person} --key FILE` with a new file.",
        )


def signed_approval(
    signer: Signer,
    *,
    person: str,
    conversation: str,
    task: int,
    decision: str,
    meaning: str,
    opened: TaskOpened,
    leaf: bytes,
    now: datetime,
    lasts: timedelta = LASTS,
) -> SignedApproval:
    """The decision under the person's signature: of exactly this entry, and for a short time."""
    public = signer.verifier().public.hex()
    draft = SignedApproval(
        action=leaf.hex(),
        conversation=conversation,
        task=task,
        decision=decision,
        meaning=meaning,
        shown=opened.shown,
        person=person,
        key=public,
        nonce=os.urandom(16).hex(),
        signed_at=now,
        expires=now + lasts,
        signature="0" * 128,
    )
    return draft.changed(signature=signer.sign(draft.signed_bytes()).hex())


def looked_at(
    store: Store, conversation: Conversation, task: int, approval: SignedApproval, actor: Actor, now: datetime
) -> tuple[Actor, Doubt | None]:
    """As whom the signer is known in this conversation, and why the signature is not believed, if it is not."""
    if not is_keeping(store):
        return actor, "unknown_key"
    approvers = approvers_of(store)
    entries = store.read(conversation.id, after=task, limit=1)
    leaf = entries[0].leaf if entries else b""
    doubt = approvers.doubt(approval, actor.id, leaf, now)
    known = approvers.known_here(actor.id, (*conversation.requesters, *conversation.visit.endorsed))
    return actor.changed(id=known), doubt


def signatures_broken(
    entries: Sequence[StoredEntry], opened: Sequence[Recorded], approvers: Approvers
) -> tuple[int, str] | None:
    """The first decision of a stream whose signature does not hold, or is not there where its task asks for one."""
    tasks = {one.envelope.ver: one.event for one in opened if isinstance(one.event, TaskOpened)}
    nonces = set[str]()
    for one in opened:
        if not isinstance(one.event, TaskDecided | TaskEndorsed):
            continue
        task, signed = tasks.get(one.event.task), one.event.signed
        if signed is None:
            if task is not None and task.signed and one.event.decision == task.approves:
                return one.envelope.ver, "The approval is not signed, and its task asks for a signature."
            continue
        leaf = entries[one.event.task].leaf
        doubt = approvers.doubt(signed, one.envelope.actor.id, leaf, one.envelope.at)
        if doubt is None and signed.nonce in nonces:
            doubt = "used_before"
        nonces.add(signed.nonce)
        if doubt is not None:
            return one.envelope.ver, f"The signature under the decision does not hold: {doubt.replace('_', ' ')}."
    return None
