"""Signed approvals: who signs with which key, whether a signature holds, and as whom its person is known here.

A person may have several accounts and one key at a time. The keys stand in the log's own records, so that an auditor
sees who named whom; what a session says of itself is no signature.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from itertools import zip_longest

from ..contracts.approval import Doubt, SignedApproval
from ..contracts.commands import Actor
from ..contracts.errors import CallError
from ..contracts.events import ConversationStarted, TaskDecided, TaskEndorsed, TaskOpened
from ..contracts.keeping import ApproverNamed
from ..contracts.protection import KeepingStore
from ..contracts.records import RECORDS
from ..contracts.store import Store, StoredEntry
from ..contracts.tree import TreeStore
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
    """Those whom the records name, one after the other. Only the order of records and the places of the tree say who
    signed with which key when: clocks differ between machines, and are set back."""

    def __init__(self, named: Iterable[tuple[int, ApproverNamed]], tree: TreeStore | None = None) -> None:
        """`named` are the records with their numbers, in order; `tree` has their places."""
        self._named, self._tree = tuple(named), tree

    def known(self) -> Mapping[str, Approver]:
        """By person, as the last record of each says."""
        return {one.person: _approver(one) for _, one in self._named}

    def then(self, person: str, stream: str, version: int) -> Iterator[Approver]:
        """As whom the person may have been known when that entry was written.

        A record before it has a lower place. One with a lower place may still be younger, for records get their places
        first; it is older for certain where a checkpoint was taken between the two.
        """
        mine = [(number, one) for number, one in self._named if one.person == person]
        if self._tree is None or not mine:
            yield from (_approver(one) for _, one in mine)
            return
        place = self._tree.index_of(stream, version)
        for (number, one), follows in zip_longest(mine, (number for number, _ in mine[1:])):
            since = self._tree.index_of(RECORDS, number)
            after_it = place is not None and (since is None or since > place)
            if not after_it and (follows is None or not self._is_over(follows, place)):
                yield _approver(one)

    def _is_over(self, record: int, place: int | None) -> bool:
        """Whether a checkpoint over that record was taken before the leaf got its place, or it has none yet."""
        taken = next((number for number in self._checkpoints if number > record), None)
        index = self._tree.index_of(RECORDS, taken) if self._tree is not None and taken is not None else None
        return index is not None and (place is None or index < place)

    @cached_property
    def _checkpoints(self) -> Sequence[int]:
        """The records that each checkpoint begins with."""
        rows = self._tree.kept_records() if self._tree is not None else ()
        return [one.number for one in rows if one.type == "heads_taken"]

    def doubt(
        self, approval: SignedApproval, account: str, leaf: bytes, known: Iterable[Approver] | None = None
    ) -> Doubt | None:
        """Why the signature is not believed, if it is not, of a signer as `known` then; of one known now, where that is
        not given. `leaf` is of the entry that opened the task."""
        if known is None:
            known = [one for one in self.known().values() if one.person == approval.person]
        if not any(one.key == approval.key and one.is_known_as(account) for one in known):
            return "unknown_key"
        public = VerifierKey(approval.person, ED25519, bytes.fromhex(approval.key))
        if not public.verifies(bytes.fromhex(approval.signature), approval.signed_bytes()):
            return "wrong_signature"
        return None if approval.action == leaf.hex() else "other_action"

    def known_here(self, account: str, others: Iterable[str]) -> str:
        """The account under which the same person is among `others` already; else the account itself."""
        same = [one for one in self.known().values() if one.is_known_as(account)]
        return next((other for other in others if any(one.is_known_as(other) for one in same)), account)


def approvers_of(store: KeepingStore) -> Approvers:
    named = ((one.number, one.act) for one in Journal(store).acts() if isinstance(one.act, ApproverNamed))
    return Approvers(named, store.tree())


def _approver(one: ApproverNamed) -> Approver:
    return Approver(one.person, one.accounts, one.key)


def name_approver(
    store: KeepingStore, *, by: str, person: str, accounts: Sequence[str] = (), key: str | None, ground: str = ""
) -> ApproverNamed:
    """Record who signs with which key. Raises `CallError` where the key is another person's, or the person
    has one that was not revoked."""
    for one in approvers_of(store).known().values():
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
    known = approvers_of(store).known().get(person)
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
    store: Store, conversation: Conversation, task: int, approval: SignedApproval, actor: Actor
) -> tuple[Actor, Doubt | None]:
    """As whom the signer is known in this conversation, and why the signature is not believed, if it is not."""
    if not is_keeping(store):
        return actor, "unknown_key"
    approvers = approvers_of(store)
    entries = store.read(conversation.id, after=task, limit=1)
    leaf = entries[0].leaf if entries else b""
    doubt = approvers.doubt(approval, actor.id, leaf)
    known = approvers.known_here(actor.id, (*conversation.requesters, *conversation.visit.endorsed))
    return actor.changed(id=known), doubt


def signatures_broken(
    entries: Sequence[StoredEntry], opened: Sequence[Recorded], approvers: Approvers
) -> tuple[int, str] | None:
    """The first decision of a stream whose signature does not hold, or is not there where its task asks for one.

    What a fork took over was signed in its parent, under the parent's entries: it is judged there, and must stand here
    as it stands there.
    """
    tasks = {one.envelope.ver: one.event for one in opened if isinstance(one.event, TaskOpened)}
    nonces = set[str]()
    first = opened[0].event
    forked = first.forks[-1].version if isinstance(first, ConversationStarted) and first.forks else 0
    for one in opened[forked:]:
        if not isinstance(one.event, TaskDecided | TaskEndorsed):
            continue
        task, signed = tasks.get(one.event.task), one.event.signed
        if signed is None:
            if task is not None and task.signed and one.event.decision == task.approves:
                return one.envelope.ver, "The approval is not signed, and its task asks for a signature."
            continue
        leaf = entries[one.event.task].leaf
        known = approvers.then(signed.person, entries[0].stream, one.envelope.ver)
        doubt = approvers.doubt(signed, one.envelope.actor.id, leaf, known)
        if doubt is None and signed.nonce in nonces:
            doubt = "used_before"
        nonces.add(signed.nonce)
        if doubt is not None:
            return one.envelope.ver, f"The signature under the decision does not hold: {doubt.replace('_', ' ')}."
    return None
