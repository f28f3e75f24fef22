"""Checkpoints: the entries get their places in the tree, its head is signed, witnessed and taken elsewhere.

One cycle at least every 60 s or 1,000 entries while there is something new, and one at shutdown: so nothing that was
acknowledged is without a signed checkpoint for longer than that.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event, Thread
from typing import Protocol

import structlog

from ..contracts.canonical import leaf_hash
from ..contracts.errors import InterlockError, SetupError
from ..contracts.records import HeadsTaken, KeyRotated, record_bytes, record_of
from ..contracts.tree import KeptRecord, TreeStore
from ..contracts.values import written_time
from ..persistence.evidence import mldsa
from ..persistence.evidence.anchors import Anchor
from ..persistence.evidence.eras import eras_of, in_force, rotation_text, successors
from ..persistence.evidence.keys import Signer, signed
from ..persistence.evidence.matching import refuse_altered
from ..persistence.evidence.notes import (
    ML_DSA,
    Checkpoint,
    Note,
    Signature,
    VerifierKey,
    checkpoint_of,
    note_of,
    signature_of,
    vouched,
)
from ..persistence.evidence.receipts import Receipt
from ..persistence.evidence.signing import HeadMemory, extended, signed_head
from .clock import Clock, SystemClock

log = structlog.get_logger("interlock.checkpointing")
EVERY_SECONDS, EVERY_ENTRIES = 60.0, 1000


class Cosigner(Protocol):
    """A witness, asked over its protocol."""

    url: str

    def cosign(self, note: Note, tree: TreeStore) -> Sequence[Signature]:
        """Its signatures under the checkpoint. Raises `InterlockError` where it does not sign."""
        ...


@dataclass(frozen=True, slots=True)
class Signed:
    """A checkpoint with its cosignatures. `failures` says which witnesses and anchors did not take it, and why.

    Leaves from `compared_from` on were compared with their entries before it was signed.
    """

    checkpoint: Checkpoint
    note: Note
    fresh: bool
    failures: tuple[str, ...] = ()
    compared_from: int = 0


Told = Callable[[Signed | InterlockError], None]
"""Hears of each checkpoint that was made, and of why one was not."""


def _to_own_log(found: Signed | InterlockError) -> None:
    if isinstance(found, InterlockError):
        log.error("checkpoint_failed", error=found.code, what=found.what, fix=found.fix)
        return
    for failure in found.failures:
        log.error("checkpoint_not_shown", size=found.checkpoint.size, why=failure)


class Checkpointer:
    """Signs for one log. Safe in several processes: one of them sequences at a time."""

    def __init__(
        self,
        tree: TreeStore,
        signers: Sequence[Signer],
        memory: HeadMemory,
        *,
        witnesses: Sequence[Cosigner] = (),
        anchors: Sequence[Anchor] = (),
        clock: Clock | None = None,
    ) -> None:
        """`signers` is one, or one of each algorithm: Ed25519, then ML-DSA-44."""
        self.tree, self.memory = tree, memory
        self._signers, self._witnesses, self._anchors = tuple(signers), tuple(witnesses), tuple(anchors)
        self._clock = clock or SystemClock()
        self._stop = Event()
        self._thread: Thread | None = None
        self._tell: Told = _to_own_log
        self._retired = False

    def checkpoint(self) -> Signed:
        """Sequence everything that waits and sign the head; where nothing is new, the last checkpoint again.

        Raises `SigningRefused` if the tree does not extend what was signed last, and `LogBroken` where an entry that
        came since the last checkpoint, or since the one before it if there is nothing new, was altered.
        """
        with self.tree.sequencing():
            signed_before = self.tree.checkpoints()
            self._refuse_another_key(signed_before)
            self._recall(signed_before)
            self._drain()
            first = self._compared(signed_before)
            if signed_before and signed_before[-1][0] == self.tree.size():
                note, fresh = note_of(signed_before[-1][1]), False
            else:
                note, fresh = self._sign(), True
        return self._shown(note, fresh, first)

    def rotate(self, memory: HeadMemory, *new: Signer, place: str = "") -> Signed:
        """Record that the log signs with `new` from here on, and sign the checkpoint over that with all keys.

        `place` is where the new key lies, for who comes with the old one.
        """
        old = self._signers
        text = rotation_text(self.tree.log, [one.verifier() for one in old], [one.verifier() for one in new])
        with self.tree.sequencing():
            signed_before = self.tree.checkpoints()
            self._refuse_another_key(signed_before)
            self._recall(signed_before)
            self._drain()
            first = self._compared(signed_before)
            self._record(KeyRotated(statement=str(signed(text, *old, *new))))
            self._signers = (*old, *new)
            note = self._sign()
            memory.moved(lambda _: checkpoint_of(note))
            memory.keep(checkpoint_of(note))
            self.memory.retire(place)
            self._signers, self.memory = new, memory
        return self._shown(note, True, first)

    def refuse_another_key(self) -> None:
        """Raises `SetupError` where the last checkpoint was not signed with this key."""
        self._refuse_another_key(self.tree.checkpoints())

    def _refuse_another_key(self, signed_before: Sequence[tuple[int, str]]) -> None:
        if not signed_before:
            return
        note, mine = note_of(signed_before[-1][1]), [one.verifier() for one in self._signers]
        if not vouched(note, mine) and not self._has_taken_over(signed_before[-1][0], note, mine):
            raise SetupError(
                f"The last checkpoint (size {signed_before[-1][0]}) was signed with another key.",
                where=self.tree.log,
                fix="Give that key with --key or INTERLOCK_SIGNING_KEY; to change it for another, use `interlock key "
                "rotate` with the old one.",
            )
        if len(note.signatures) > len(mine):
            self._refuse_changed(note, mine)
        both = any(len(one.signature) > mldsa.SIGNATURE_BYTES for one in note.signatures)
        if both and all(key.kind != ML_DSA for key in mine):
            raise SetupError(
                f"The last checkpoint (size {signed_before[-1][0]}) was signed with ML-DSA-44 as well.",
                where=self.tree.log,
                fix="Give the key file with both lines, as `interlock key new --ml-dsa` wrote it.",
            )

    def _has_taken_over(self, size: int, note: Note, mine: Sequence[VerifierKey]) -> bool:
        """Whether a change to these keys is on the record since, and was cut off before the checkpoint over it."""
        eras = eras_of(self.tree, mine)
        now = {key.public for key in in_force(eras, self.tree.size() + 1)}
        return vouched(note, in_force(eras, size)) and now == {key.public for key in mine}

    def _refuse_changed(self, note: Note, mine: Sequence[VerifierKey]) -> None:
        """Under the checkpoint over a change stand old keys and new ones: only the new sign the next."""
        now = in_force(eras_of(self.tree, mine), self.tree.size() + 1)
        if {key.public for key in now} != {key.public for key in mine}:
            raise SetupError(
                f"This key was changed for {now[0] if now else 'another'}, and signs no more.",
                where=self.tree.log,
                fix="Give the new key's file with --key or INTERLOCK_SIGNING_KEY.",
            )

    def _compared(self, signed_before: Sequence[tuple[int, str]]) -> int:
        """From which leaf on the leaves were compared with their entries. Raises `SetupError` where a change to another
        key is among those that nothing signed covers."""
        sizes = [0, 0, *(size for size, _ in signed_before)]
        first = sizes[-1] if sizes[-1] < self.tree.size() else sizes[-2]
        for index, entry in refuse_altered(self.tree, first):
            envelope, record = record_of(entry)
            if index >= sizes[-1] and isinstance(record, KeyRotated):
                self._refuse_handed_over(envelope.record, successors(record.statement))
        return first

    def _refuse_handed_over(self, number: int, new: Sequence[VerifierKey]) -> None:
        if {key.public for key in new} != {one.verifier().public for one in self._signers}:
            raise SetupError(
                f"A change to the key {new[0]} is on the record ({number}), and was cut off before its checkpoint.",
                where=self.tree.log,
                fix="Give that key's file, which `interlock key rotate --to` made, with --key or "
                "INTERLOCK_SIGNING_KEY: `interlock checkpoint` then completes the change.",
            )

    def _recall(self, signed_before: Sequence[tuple[int, str]]) -> None:
        """Before anything gets a place: an old copy is refused as it is, and of the first checkpoint it is remembered
        that there is none yet. Where a crash came before the last one was noted as kept, that is made up for."""
        extended(self.tree.size(), self.tree.nodes, self.memory)
        if signed_before:
            self.memory.keep(checkpoint_of(note_of(signed_before[-1][1])))

    def _drain(self) -> None:
        while self.tree.sequence():
            pass

    def _sign(self) -> Note:
        root, conversations = self.tree.heads_root()
        heads = HeadsTaken(root=root.hex(), conversations=conversations, leaves=self.tree.size())
        self._record(heads)
        head, note = signed_head(self.tree.size(), self.tree.nodes, signers=self._signers, memory=self.memory)
        self.tree.add_checkpoint(head.size, str(note))
        self.memory.keep(head)
        return note

    def _record(self, record: HeadsTaken | KeyRotated) -> None:
        number, previous = self.tree.last_record()
        now = self._clock.now()
        entry = record_bytes(record, number=number, at=now, log=self.tree.log, previous=previous)
        self.tree.add_record(KeptRecord(number, record.type, written_time(now), leaf_hash(entry), entry))
        self.tree.sequence(1)  # records come first, so this is the one

    def _shown(self, note: Note, fresh: bool, first: int) -> Signed:
        """Have it witnessed and anchored. Neither holds up the log: what fails is said, and tried at the next."""
        checkpoint, failures = checkpoint_of(note), []
        for witness in self._witnesses:
            try:
                for line in witness.cosign(note, self.tree):
                    self.tree.add_cosignature(checkpoint.size, str(line))
            except InterlockError as error:
                failures.append(f"witness {witness.url}: {error}")
        for anchor in self._anchors:
            try:
                self.tree.add_anchor(anchor.put(checkpoint, note, self._clock.now()))
            except InterlockError as error:
                failures.append(f"anchor: {error}")
        lines = tuple(map(signature_of, self.tree.cosignatures(checkpoint.size)))
        return Signed(checkpoint, Note(note.text, (*note.signatures, *lines)), fresh, tuple(failures), first)

    def checkpoint_told(self) -> Signed:
        """`checkpoint`, for who does not look at it: what did not take it is written to this process's own log."""
        found = self.checkpoint()
        _to_own_log(found)
        return found

    def receipt(self, stream: str, version: int, leaf: bytes, at: str) -> str:
        """The signed receipt of an entry that was just acknowledged; signed at once, so a key service must be quick.

        Empty where the key does not sign, or was changed for another: the entry is in the log, and the next checkpoint
        covers it.
        """
        if self._says_retired():
            return ""
        try:
            return str(signed(Receipt(self.tree.log, stream, version, leaf, at).text, self._signers[0]))
        except Exception as error:  # noqa: BLE001 - somebody else's key service; nothing acknowledged may be lost by it
            log.error("receipt_failed", conversation=stream, version=version, error=type(error).__name__)
            return ""

    # -- while a server runs ------------------------------------------------------------------------

    def start(
        self, *, every_seconds: float = EVERY_SECONDS, every_entries: int = EVERY_ENTRIES, tell: Told = _to_own_log
    ) -> None:
        """Make checkpoints in a thread of its own until `close`. `tell` hears of each, in that thread."""
        self._tell = tell
        self._thread = Thread(target=self._run, args=(every_seconds, every_entries), name="checkpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """One last checkpoint over everything. Safe to call twice."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None
            self._try()

    def _run(self, every_seconds: float, every_entries: int) -> None:
        last, said = time.monotonic(), ""
        while not self._stop.wait(min(1.0, every_seconds)):
            try:
                waiting = self.tree.waiting()
            except InterlockError as error:
                if error.what != said:  # not every second again, for as long as a server is away
                    self._tell(error)
                said = error.what
                continue
            said = ""
            if waiting and (waiting >= every_entries or time.monotonic() - last >= every_seconds):
                self._try()
                last = time.monotonic()

    def _says_retired(self) -> bool:
        """Whether the key was changed for another while this process ran; said once, with what to do."""
        place = self.memory.successor()
        if place is not None and not self._retired:
            self._retired = True
            log.error(
                "signing_key_changed",
                why=f"the log's key was changed for another{f', {place}' if place else ''}; this process signs nothing "
                f"more: start it again with INTERLOCK_SIGNING_KEY={place or 'FILE'}. The next checkpoint with the new "
                "key covers what it records",
            )
        return place is not None

    def _try(self) -> None:
        if self._says_retired():
            return
        try:
            found = self.checkpoint()
        except InterlockError as error:
            self._tell(error)
        else:
            self._tell(found)
