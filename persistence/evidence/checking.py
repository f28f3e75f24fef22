"""The tree of a log checked against its entries, and what is known of it outside: how far each part is attested."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from ...contracts.canonical import leaf_hash, parsed
from ...contracts.errors import LogBroken, NotEncodable
from ...contracts.keeping import SegmentPruned
from ...contracts.records import RECORDS, HeadsTaken, KeyRotated, record_of
from ...contracts.tree import Leaf, MapHead, TreeStore
from ...contracts.values import written_time
from ..merkle import Frontier
from . import mldsa
from .built_map import BuiltMap
from .eras import Era, followed, in_force
from .notes import (
    ED25519,
    Checkpoint,
    Note,
    NoteRefused,
    VerifierKey,
    checkpoint_of,
    note_of,
    signature_of,
    vouched,
)
from .policy import Policy
from .pruned import pruned_broken
from .recalled import fault_of, fewer, remark_of
from .signing import Remembered

Level = Literal["NOT SIGNED", "SELF-ATTESTED", "ANCHORED", "WITNESSED"]
CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Outside:
    """What the auditor brought: the log's keys, whom to believe, and checkpoints that were kept elsewhere.

    `remembered` is what was signed last, as stands beside the key. `expected`: the log is said to be signed, so
    that one without a checkpoint does not hold.
    """

    keys: tuple[VerifierKey, ...] = ()
    policy: Policy = field(default_factory=Policy)
    heads: tuple[str, ...] = ()
    remembered: Remembered | None = None
    expected: bool = False

    @property
    def known(self) -> tuple[VerifierKey, ...]:
        return self.keys or self.policy.logs


@dataclass(frozen=True, slots=True)
class Attested:
    """How far the log is attested. `faults` is what does not hold; the level is the weakest over all entries.

    `signed`, `anchored` and `witnessed` are how many leaves each covers; `waiting` entries have no leaf yet. `keys` are
    those that are known, and what they were changed for; `eras` says from which leaf on each signs. Of `archived`
    entries the leaves are here alone; `archives` says how many conversations are in each archive, and `looked_at` which
    archives were verified, too. `remarks` are what one should know of it and breaks nothing. `judged` says whether the
    checkpoints were looked at, behind a fault they are not; `strayed`, how many of another tree a known key signed.
    """

    leaves: int = 0
    waiting: int = 0
    checkpoints: int = 0
    signed: int = 0
    anchored: int = 0
    witnessed: int = 0
    seen: int = 0
    of: int = 0
    keys: tuple[VerifierKey, ...] = ()
    faults: tuple[str, ...] = ()
    archived: int = 0
    archives: Mapping[str, int] = field(default_factory=dict)
    looked_at: tuple[str, ...] = ()
    eras: tuple[Era, ...] = ()
    remarks: tuple[str, ...] = ()
    judged: bool = True
    strayed: int = 0

    @property
    def level(self) -> Level:
        entries = self.leaves + self.waiting
        if entries and self.witnessed >= entries:
            return "WITNESSED"
        if entries and max(self.anchored, self.witnessed) >= entries:
            return "ANCHORED"
        return "SELF-ATTESTED" if self.signed else "NOT SIGNED"

    def __str__(self) -> str:
        if self.faults:
            return "BROKEN"
        return f"WITNESSED({self.seen} of {self.of})" if self.level == "WITNESSED" else self.level


def attested(tree: TreeStore, outside: Outside) -> Attested:
    """Check every leaf, node, record, map and signature, and count what covers them. Raises what storage raises."""
    walk = _Walk(tree, outside)
    try:
        walk.leaves()
        walk.checkpoints()
        walk.heads()
    except LogBroken as error:
        walk.faults.append(error.what)
    except (TypeError, ValueError) as error:  # null or text where bytes belong: pages written over
        walk.faults.append(f"A row holds what its table does not admit ({error}).")
    return Attested(
        leaves=tree.size(),
        waiting=tree.waiting(),
        checkpoints=len(walk.notes),
        signed=max(walk.signed, default=0),
        anchored=walk.anchored,
        witnessed=walk.witnessed,
        seen=walk.seen,
        of=len(outside.policy.witnesses),
        keys=tuple(key for _, key in walk.eras),
        eras=tuple(walk.eras),
        faults=tuple(walk.faults),
        remarks=tuple(walk.remarks),
        judged=walk.judged,
        strayed=walk.strayed,
        archived=walk.gone,
        archives=dict(sorted(Counter(one.archive for one in walk.archived.values()).items())),
    )


class _Walk:
    def __init__(self, tree: TreeStore, outside: Outside) -> None:
        self.tree, self.outside = tree, outside
        self.faults: list[str] = []
        self.remarks: list[str] = []
        self.notes = {size: (text, list(tree.cosignatures(size))) for size, text in tree.checkpoints()}
        self.given = list(_read(outside.heads, self.faults))
        sizes = {*self.notes, *(one.size for one, _ in self.given)}
        sizes |= {outside.remembered.head.size} if outside.remembered else set()
        self.roots: dict[int, bytes | None] = dict.fromkeys(sizes)
        self.eras: list[Era] = [(0, key) for key in outside.known]
        self.rotations: list[tuple[Leaf, str]] = []
        self.signed: set[int] = set()
        self.anchored = self.witnessed = self.seen = 0
        self.map = BuiltMap()
        self.last: dict[str, tuple[int, bytes]] = {}
        self.archived = {one.stream: one for one in tree.archived()}
        self.prunes: dict[int, tuple[int, SegmentPruned]] = {}
        self.begun: list[int] = []
        self.gone = self.strayed = 0
        self.judged = False

    def leaves(self) -> None:
        """Every leaf is that of its entry, and every node that of its leaves; the records say what is so."""
        edge = Frontier()
        for expected, (leaf, entry) in enumerate(_all(self.tree)):
            self._note_root(edge)
            if leaf.index != expected:
                raise _broken(leaf, f"Leaf {expected} of the tree is missing.")
            gone = not entry and self._is_archived(leaf)
            if not gone and leaf_hash(entry) != leaf.hash:
                raise _broken(leaf, f"Leaf {leaf.index} is not that of its entry ({_named(leaf)}).")
            if b"".join(edge.add(leaf.hash)[1:]) != leaf.above:
                raise _broken(leaf, f"The tree's nodes above leaf {leaf.index} are not those of its leaves.")
            if gone:
                self._gone(leaf)
            else:
                self._entry(leaf, entry)
        self._note_root(edge)
        self._records_kept()

    def _is_archived(self, leaf: Leaf) -> bool:
        archived = self.archived.get(leaf.stream)
        return archived is not None and leaf.version < archived.length

    def _gone(self, leaf: Leaf) -> None:
        """An entry that is in an archive: its leaf is all there is of it here, and stands in its turn."""
        before, _ = self.last.get(leaf.stream, (-1, b""))
        if leaf.version != before + 1:
            raise _broken(leaf, f"Leaf {leaf.index} is out of turn ({_named(leaf)}).")
        self.last[leaf.stream] = (leaf.version, leaf.hash)
        self.map.moved(MapHead(leaf.stream, leaf.version, leaf.hash))
        self.gone += 1

    def _statement(self, statement: str, index: int) -> bool:
        """Whether a key that was in force signed it; where no key is known, nobody can tell."""
        return not self.eras or vouched(note_of(statement), in_force(self.eras, index + 1))

    def _records_kept(self) -> None:
        """The columns beside the log's own records repeat what they say."""
        for number, row in enumerate(self.tree.kept_records()):
            try:
                envelope, _ = record_of(row.entry)
            except NotEncodable:
                envelope = None
            said = envelope and (envelope.record, envelope.type, written_time(envelope.at), leaf_hash(row.entry))
            if said != (number, row.type, row.at, row.leaf) or row.number != number:
                self.faults.append(f"Record {number} of the log says something else than its columns.")

    def _note_root(self, edge: Frontier) -> None:
        if edge.size in self.roots:
            self.roots[edge.size] = edge.root()

    def _entry(self, leaf: Leaf, entry: bytes) -> None:
        before, previous = self.last.get(leaf.stream, (-1, b""))
        try:
            fields = parsed(entry)
            name = "record" if leaf.stream == RECORDS else "ver"
            said = (fields.get(name), fields.get("stream", RECORDS), fields.get("prev", ""), fields.get("log"))
        except (NotEncodable, AttributeError) as error:
            raise _broken(leaf, f"The entry of leaf {leaf.index} cannot be read.") from error
        if said != (before + 1, leaf.stream, previous.hex(), self.tree.log) or leaf.version != before + 1:
            raise _broken(leaf, f"Leaf {leaf.index} is out of turn ({_named(leaf)}).")
        self.last[leaf.stream] = (leaf.version, leaf.hash)
        if leaf.stream == RECORDS:
            self._record(leaf, entry)
        else:
            self.map.moved(MapHead(leaf.stream, leaf.version, leaf.hash))

    def _record(self, leaf: Leaf, entry: bytes) -> None:
        try:
            _, record = record_of(entry)
        except NotEncodable as error:
            raise _broken(leaf, f"Record {leaf.version} of the log cannot be read.") from error
        if isinstance(record, HeadsTaken):
            self.begun.append(leaf.index + 1)
            root, count = self.map.taken()
            if (record.root, record.conversations, record.leaves) != (root.hex(), count, leaf.index):
                raise _broken(leaf, f"Record {leaf.version} says that conversations end elsewhere than they do.")
        elif isinstance(record, SegmentPruned):
            self.prunes[leaf.version] = (leaf.index, record)
        elif isinstance(record, KeyRotated):
            self.rotations.append((leaf, record.statement))

    def _hand_over(self) -> None:
        """Follow the keys from one that is known, forwards and back."""
        changes = [(leaf.index, leaf.version, statement) for leaf, statement in self.rotations]
        self.eras, faults = followed(self.eras, changes, self.tree.log)
        self.faults += faults

    def checkpoints(self) -> None:
        """Every checkpoint is signed with the key of its time and is of this tree; so is every one from outside."""
        size, self.judged = self.tree.size(), True
        self._hand_over()
        self.faults += pruned_broken(self.archived.values(), self.prunes, self.last, self.tree.log, self._statement)
        self._there(size)
        known = {one.size: f"it was anchored at {one.place} ({one.at[:10]})" for one in self.tree.anchors()}
        known |= {one.size: f"the archive {one.archive} was made under it" for _, one in self.prunes.values()}
        self.remarks += fewer(self.begun, known, self.notes)
        for at, (text, lines) in sorted(self.notes.items()):
            try:
                note = note_of(text)
                self._is_ours(checkpoint_of(note), note, f"The checkpoint of size {at}", at)
                self._by_us_alone(note, at)
                cosigned = Note(note.text, tuple(map(signature_of, lines)))
            except NoteRefused as error:
                self.faults.append(f"The checkpoint of size {at} does not hold: {error.what}")
                continue
            seen = self.outside.policy.cosigned(cosigned)
            for name in self.outside.policy.ahead(cosigned):
                self.remarks.append(
                    f"The witness {name} signed the checkpoint of size {at} with a time that has not come: not counted."
                )
            for name in self.outside.policy.forged(cosigned):
                self.faults.append(
                    f"A line under the checkpoint of size {at} is in the name of the witness {name}, who did not "
                    "sign it."
                )
            if self.outside.policy.has_quorum(seen):
                self.witnessed, self.seen = at, len(seen)
        for at in sorted({*self.tree.cosigned_sizes()} - {*self.notes}):
            self.faults.append(f"Witnesses signed a checkpoint of size {at} that is not in the log: it was deleted.")
        for one, note in self.given:
            if one.size > size:
                self.faults.append(
                    f"A checkpoint of size {one.size} was signed and is kept elsewhere; this tree has {size} leaves: "
                    "the log was cut, or this is an old copy."
                )
            elif self._is_ours(one, note, f"The checkpoint of size {one.size} that is kept elsewhere", one.size):
                self.anchored = max(self.anchored, one.size)

    def _there(self, size: int) -> None:
        """What was signed is still here: some checkpoint, and the tree of the last one."""
        last, newest = self.outside.remembered, max(self.notes, default=0)
        if last is not None and (fault := fault_of(last, newest, size, self.roots[last.head.size])):
            self.faults.append(fault)
        elif last is not None and (remark := remark_of(last, newest, size)):
            self.remarks.append(remark)
        elif not self.notes and self.outside.expected:
            self.faults.append("Nothing in this log is signed, and you gave its key: its checkpoints were deleted.")
        elif not self.notes and size:
            self.faults.append(
                f"The tree has {size} leaves and no checkpoint is left: they were deleted, or the first was "
                "interrupted (then `interlock checkpoint` makes it)."
            )

    def _is_ours(self, one: Checkpoint, note: Note, name: str, size: int) -> bool:
        if (one.origin, one.size) != (self.tree.log, size):
            self.faults.append(f"{name} is of another log or size.")
        elif self.eras and not vouched(note, in_force(self.eras, size)):
            self.faults.append(f"{name} is not signed with the log's key.")
        elif self.roots[size] != one.root:
            cut = self.roots[size] is None
            larger = "larger than the tree: the log was cut, or this is an old copy"
            self.faults.append(
                f"{name} is {larger if cut else 'of another tree: the log was rewritten, or has forked'}."
            )
            self.strayed += bool(self.eras)
        else:
            if self.eras:
                self.signed.add(size)
            return True
        return False

    def _by_us_alone(self, note: Note, size: int) -> None:
        """The log's own note holds the Ed25519 signatures of its keys: any other line of less than one of ML-DSA-44 was
        put there. Those are asked for by `vouched` where their key is known, and else let be."""
        keys = {key for _, key in self.eras if key.kind == ED25519}
        lines = [one for one in note.signatures if len(one.signature) < mldsa.SIGNATURE_BYTES]
        if keys and sum(note.signed_by(key) for key in keys) != len(lines):
            self.faults.append(f"The checkpoint of size {size} carries a signature that is not of the log's keys.")

    def heads(self) -> None:
        """The stored map is that of the leaves."""
        root, count = self.map.taken()
        if not self.faults and (self.tree.heads_root() != (root, count) or self.tree.head_nodes() != self.map.cells):
            self.faults.append("The map of heads is not that of the leaves.")
        for stream in () if self.faults else self.map.heads:
            found = self.tree.head_in_map(stream)
            if found is None or found[0] != self.map.heads[stream]:
                self.faults.append(f"The map of heads says another end of {stream} than the leaves.")
                break


def _read(texts: Iterable[str], faults: list[str]) -> Iterator[tuple[Checkpoint, Note]]:
    for text in texts:
        try:
            note = note_of(text)
            yield checkpoint_of(note), note
        except NoteRefused as error:
            faults.append(f"A checkpoint that is kept elsewhere cannot be read: {error.what}")


def _all(tree: TreeStore) -> Iterator[tuple[Leaf, bytes]]:
    size = tree.size()
    for first in range(0, size, CHUNK):
        found = tree.leaves(first, CHUNK)
        if not found:  # were the size itself made up, the walk would not end
            raise LogBroken(
                f"Leaf {first} of the tree is missing.", stream=RECORDS, version=0, fix="Keep the file as evidence."
            )
        yield from found


def _named(leaf: Leaf) -> str:
    return f"{leaf.stream} event {leaf.version}" if leaf.stream != RECORDS else f"record {leaf.version}"


def _broken(leaf: Leaf, what: str) -> LogBroken:
    return LogBroken(what, stream=leaf.stream, version=leaf.version, fix="Keep the file as evidence.")


def document(found: Attested) -> Mapping[str, Any]:
    """`{"attestation", "tree": {"leaves", "waiting", "checkpoints", "signed", "anchored", "witnessed", "faults"}}`.

    `tree` has `"remarks"`, too, where there are any.
    """
    return {
        "attestation": str(found),
        "tree": {
            "leaves": found.leaves,
            "waiting": found.waiting,
            "checkpoints": found.checkpoints,
            "signed": found.signed,
            "anchored": found.anchored,
            "witnessed": found.witnessed,
            "faults": list(found.faults),
            **({"remarks": list(found.remarks)} if found.remarks else {}),
            **(_archives_document(found) if found.archives else {}),
        },
    }


def _archives_document(found: Attested) -> dict[str, Any]:
    """`{"archived", "archives": {name: conversations}, "looked_at": [name]}`, where entries were pruned."""
    return {"archived": found.archived, "archives": dict(found.archives), "looked_at": list(found.looked_at)}
