"""Pruning: the entries of archived conversations go from the database; their leaves stay, and every proof with them.

1. The archive is verified as an outsider would, against this log's key and tree, and compared with what is here.
2. What is about to go is recorded, under a statement that the log's key has signed, and a checkpoint covers it.
3. In one transaction the conversations are marked as archived and their entries and texts go.
4. The database is rewritten without its free pages.

Whatever stops it in between, nothing is lost, and the same call goes on: a record without its deletion means nothing.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

from ..contracts.archive import Archived, listing_digest, statement_text
from ..contracts.archive import listed as said_of
from ..contracts.canonical import parsed
from ..contracts.errors import CallError, InterlockError, NotEncodable
from ..contracts.keeping import HoldPlaced, PruneRefused, SegmentPruned
from ..contracts.payload import commitment
from ..contracts.protection import KeepingStore
from ..contracts.retention import LEAST_DAYS
from ..contracts.values import listed, written_time
from ..persistence.evidence import verify_bundle
from ..persistence.evidence.bundle import file_name
from ..persistence.evidence.eras import Era, in_force
from ..persistence.evidence.keys import Signer, signed
from ..persistence.evidence.notes import note_of, vouched
from ..persistence.merkle import root_at
from .archiving import LISTING, packed_of, sealed_name
from .checkpointing import Checkpointer
from .clock import Clock, SystemClock
from .journal import Journal

AGAIN = "Make the archive anew with `interlock archive`; nothing was pruned."


@dataclass(frozen=True, slots=True)
class Opened:
    """An archive that verifies: its name, the SHA-256 of its MANIFEST, the tree that it is of, and what it holds."""

    name: str
    manifest: str
    size: int
    root: bytes
    conversations: tuple[Archived, ...]
    files: Mapping[str, bytes]

    @property
    def entries(self) -> int:
        return sum(one.length for one in self.conversations)

    def lines(self, stream: str) -> list[bytes]:
        """The entries of a conversation, byte for byte."""
        return self.files[f"entries/{file_name(stream)}.jsonl"].split(b"\n")[:-1]


class NoArchive(CallError):
    """What was given is no archive of this log: that says nothing about the log."""


def opened(path: Path, eras: Sequence[Era]) -> Opened:
    """Verify the archive alone, by the keys that signed the log when it had the archive's size. Raises `CallError` with
    everything that does not hold."""
    try:
        files = verify_bundle.read(path)
        keys = in_force(eras, _size_said(files))
        trust = verify_bundle.Trust([verify_bundle.Key(str(key)) for key in keys], writes_report=True)
        report = verify_bundle.check(files, trust)
    except verify_bundle.WrongCall as error:
        raise NoArchive(
            "The archive is of another log: its name is not that of this log's key.",
            where=str(path),
            fix="Give an archive that `interlock archive` wrote of this log.",
        ) from error
    except (OSError, ValueError, verify_bundle.Bad) as error:
        raise CallError(
            f"The archive cannot be read: {error}.", where=str(path), fix="Name its folder or zip file."
        ) from (error)
    if report.faults or report.missing:
        raise CallError(
            f"The archive does not verify: {' '.join([*report.faults, *report.missing])}",
            where=str(path),
            fix="Keep it as evidence, and take another copy; nothing was pruned.",
        )
    try:
        said = parsed(files[LISTING])
        conversations = tuple(_archived(one, said["archive"]) for one in said["conversations"])
        manifest = json.loads(note_of(files["MANIFEST"].decode()).text.partition("\n")[2])
        named = sorted(one.stream for one in conversations)
        if manifest["scope"] != "conversations" or manifest["conversations"] != named:
            raise KeyError(LISTING)
    except (KeyError, TypeError, ValueError, NotEncodable) as error:
        raise NoArchive(
            "This is no archive: it does not say what it keeps for the log.",
            where=str(path),
            fix="Give what `interlock archive` wrote; a bundle of `interlock export` is none.",
        ) from error
    size, root = manifest["size"], bytes.fromhex(manifest["root"])
    digest = hashlib.sha256(files["MANIFEST"]).hexdigest()
    return Opened(said["archive"], digest, size, root, conversations, files)


def _size_said(files: Mapping[str, bytes]) -> int:
    """The size that the archive says its tree has, before anything of it is verified; 1 where it says none."""
    try:
        said = json.loads(files["MANIFEST"].partition(b"\n")[2].partition(b"\n\n")[0])["size"]
    except (KeyError, TypeError, ValueError, RecursionError):
        return 1
    return said if isinstance(said, int) and said > 0 else 1


def _archived(said: Mapping[str, Any], archive: str) -> Archived:
    return Archived(
        *(said["stream"], said["length"], bytes.fromhex(said["leaf"]), said["subject"], said["flow"], said["state"]),
        *(said["started"], said["updated"]),
        archive=archive,
        record=0,
    )


def refuse_foreign(archive: Opened, store: KeepingStore) -> None:
    """Raises `CallError` where the archive is not of this very tree."""
    tree = store.tree()
    if archive.size > tree.size() or root_at(archive.size, tree.nodes) != archive.root:
        raise CallError(
            f"The archive is of another tree than this log's first {archive.size} leaves.",
            where=archive.name,
            fix="Give an archive of this log; if this one is, the log was rewritten or cut: run `interlock verify`.",
        )


@dataclass(frozen=True, slots=True)
class Pruned:
    """What went, or would go. `done` is false of a dry run, `again` true where it was pruned before."""

    archive: str
    conversations: int
    entries: int
    payloads: int
    record: int | None = None
    done: bool = False
    again: bool = False


class Pruner:
    """Prunes one log. `least_days` is how long ago a conversation must have ended."""

    def __init__(self, store: KeepingStore, clock: Clock | None = None, *, least_days: int = LEAST_DAYS) -> None:
        self.store, self._clock, self.least_days = store, clock or SystemClock(), least_days
        self.tree, self.journal = store.tree(), Journal(store, self._clock)

    def plan(self, archive: Opened, *, by: str, ground: str = "") -> Pruned:
        """What pruning would do. Raises `CallError` for every reason why it may not be done."""
        refuse_foreign(archive, self.store)
        record = self._record_before(archive)
        if record is not None:
            return Pruned(archive.name, len(archive.conversations), archive.entries, 0, record, again=True)
        self._refuse_held(archive, by, ground)
        self._refuse_young(archive)
        payloads = sum(self._same(archive, one) for one in archive.conversations)
        return Pruned(archive.name, len(archive.conversations), archive.entries, payloads)

    def prune(
        self, archive: Opened, signing: Checkpointer, signers: Sequence[Signer], *, by: str, ground: str
    ) -> Pruned:
        """Do it; durable on return. Raises as `plan`, and what signing and storage raise: then nothing went. Where
        another process was faster, what it left is looked at anew."""
        try:
            return self._pruned(archive, signing, signers, by, ground)
        except InterlockError:
            if self._record_before(archive) is None:
                raise
            return self._pruned(archive, signing, signers, by, ground)

    def _pruned(
        self, archive: Opened, signing: Checkpointer, signers: Sequence[Signer], by: str, ground: str
    ) -> Pruned:
        found = self.plan(archive, by=by, ground=ground)
        if found.again:
            self.store.scrub()
            return found
        record = self._recorded(archive, signers, found.payloads, by, ground)
        signing.checkpoint()
        rows = [replace(one, record=record) for one in archive.conversations]
        cut = self._cut_unless_held(archive, rows)
        if cut is None:  # noted outside: records are added by one sequencer at a time
            self._refuse_held(archive, by, ground)
            raise CallError("A hold came and went meanwhile.", where=archive.name, fix="Prune again; nothing went.")
        entries, payloads = cut
        self.store.scrub()
        return replace(found, entries=entries, payloads=payloads, record=record, done=True)

    def _cut_unless_held(self, archive: Opened, rows: Sequence[Archived]) -> tuple[int, int] | None:
        """Cut while no record can be added: a hold stands before, or comes too late. None where one stands."""
        with self.tree.sequencing():
            return None if self._held(archive) else self.store.cut(rows)

    def _record_before(self, archive: Opened) -> int | None:
        """The record by which this very archive was pruned before. Raises `CallError` where another has all of it."""
        gone = {one.stream: one for one in self.store.archived()}
        if not all(one.stream in gone for one in archive.conversations):
            return None
        numbers = {gone[one.stream].record for one in archive.conversations}
        acts = [one for one in self.journal.acts() if one.number in numbers and isinstance(one.act, SegmentPruned)]
        mine = [
            one.number for one in acts if isinstance(one.act, SegmentPruned) and one.act.manifest == archive.manifest
        ]
        if not mine:
            names = listed(sorted({gone[one.stream].archive for one in archive.conversations}))
            raise CallError(
                f"Its conversations were pruned before to another archive: {names}.",
                where=archive.name,
                fix="Keep the archive that the record names; `interlock verify --archive` says whether one is it.",
            )
        return mine[0]

    def _recorded(self, archive: Opened, signers: Sequence[Signer], payloads: int, by: str, ground: str) -> int:
        """The number of the record: of the one that a run before this one left, where it says the same."""
        listing = listing_digest(archive.conversations)
        text = statement_text(self.store.log, archive.name, archive.manifest, listing, archive.size)
        places = [
            self.tree.index_of(one.stream, version) for one in archive.conversations for version in (0, one.length - 1)
        ]
        known = [one for one in places if one is not None]
        act = SegmentPruned(
            by=by,
            ground=ground,
            archive=archive.name,
            manifest=archive.manifest,
            listing=listing,
            size=archive.size,
            first=min(known),
            last=max(known),
            conversations=len(archive.conversations),
            entries=archive.entries,
            payloads=payloads,
            least_days=self.least_days,
            statement=str(signed(text, *signers)),
        )
        keys = [one.verifier() for one in signers]
        for one in self.journal.acts():
            if isinstance(one.act, SegmentPruned) and one.act == act.changed(statement=one.act.statement):
                note = note_of(one.act.statement)
                if note.text == text and vouched(note, keys):
                    return one.number
        return self.journal.note(act).number

    def _refuse_held(self, archive: Opened, by: str, ground: str) -> None:
        held = self._held(archive)
        if held is not None:
            number, hold = held
            self.journal.note(PruneRefused(by=by, ground=ground, archive=archive.name, hold=number))
            of = f"subject {hold.subject!r}" if hold.subject else f"conversation {hold.conversation!r}"
            raise CallError(
                f"Hold {number} ({hold.ground or 'no ground'}) stands over {of}, which the archive holds.",
                where=archive.name,
                fix="Make an archive without it, or wait until the hold is released. The attempt is recorded.",
            )

    def _held(self, archive: Opened) -> tuple[int, HoldPlaced] | None:
        """The first hold that stands over what the archive holds, and its number."""
        streams = {one.stream for one in archive.conversations}
        subjects = {one.subject for one in archive.conversations}
        holds = self.journal.holds().items()
        return next(
            ((number, one) for number, one in holds if one.subject in subjects or one.conversation in streams), None
        )

    def _refuse_young(self, archive: Opened) -> None:
        latest = written_time(self._clock.now() - timedelta(days=self.least_days))
        young = sorted(one.stream for one in archive.conversations if one.updated_at >= latest)
        if young:
            raise CallError(
                f"{len(young)} of {len(archive.conversations)} conversations ended less than {self.least_days} days "
                f"ago, {young[0]!r} among them.",
                where=archive.name,
                fix=f"Archive with `--before {latest[:10]}`, or set --least-days if another law allows it.",
            )

    def _same(self, archive: Opened, one: Archived) -> int:
        """How many texts the conversation has; all of it is in the archive as it is here, or `CallError`."""
        summary = self.store.summary(one.stream)
        here = None
        if summary is not None:
            of = (summary.length, self.store.head(one.stream).leaf, summary.subject, summary.flow_name, summary.state)
            here = Archived(one.stream, *of, summary.started_at, summary.updated_at, archive.name, 0)
        if here is None or summary is None or summary.status != "ended" or said_of(here) != said_of(one):
            raise CallError(
                "The conversation is not as it was archived.", where=f"{archive.name}, {one.stream}", fix=AGAIN
            )
        if [entry.data for entry in self.store.read(one.stream)] != archive.lines(one.stream):
            raise CallError(
                "The archive holds other entries of the conversation than this log.",
                where=f"{archive.name}, {one.stream}",
                fix="Run `interlock verify`: one of them was altered.",
            )
        return self._same_texts(archive, one.stream)

    def _same_texts(self, archive: Opened, stream: str) -> int:
        here = self.store.packed(stream)
        sealed = archive.files.get(sealed_name(stream))
        if sealed is not None:
            same = packed_of(parsed(sealed)) == tuple(here)
        else:
            told = json.loads(archive.files.get(f"payloads/{file_name(stream)}.json", b"[]"))
            shown = {(one["version"], one["name"]): one["commit"] for one in told if "plaintext" in one}
            texts = self.store.payloads(stream)
            same = shown == {(at.version, at.name): commitment(one.r, one.plaintext) for at, one in texts.items()}
        if not same:
            raise CallError(
                "The archive holds other texts of the conversation than this log.",
                where=f"{archive.name}, {stream}",
                fix=f"They were erased, their time was over, or the archive was written without them. {AGAIN}",
            )
        return len(here)
