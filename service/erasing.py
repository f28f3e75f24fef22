"""Erasing a person: what they wrote and its keys go, for good; what was decided stays, and stays provable.

1. The request is recorded (and approvals of other people, where the log asks for them).
2. In one transaction every conversation of the person gets an `erased` entry, and the payload rows and keys go.
3. The database is rewritten without its free pages, and its write-ahead log emptied.
4. The end is recorded.

Whatever stops it in between, `finish` goes on from what the log says: each step can be done again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..contracts.archive import Archived
from ..contracts.commands import Actor, Command
from ..contracts.envelope import Entry, Head, sealed
from ..contracts.errors import CallError, LogBroken, StorageError, StreamMoved
from ..contracts.keeping import (
    Erase,
    Erased,
    ErasureApproved,
    ErasureAsked,
    ErasureDone,
    ErasureRefused,
    HoldPlaced,
)
from ..contracts.protection import KeepingStore
from ..contracts.store import Append, StoredEntry
from ..contracts.values import SubjectId
from ..persistence.codec import stored
from ..persistence.refusals import stream_moved
from ..persistence.sql_store import SqlStore
from ..persistence.verify import verify
from .auditing import projection_of
from .clock import Clock, SystemClock
from .journal import Journal, Recorded
from .loading import recorded

MOST_RACES = 100
CODE = "interlock/0.1.0"


@dataclass(frozen=True, slots=True)
class Erasing:
    """An erasure that was asked for: by whom it is approved so far, and how it stands."""

    request: Recorded
    asked: ErasureAsked
    approved: tuple[str, ...]
    done: ErasureDone | None = None

    @property
    def is_approved(self) -> bool:
        return len(self.approved) >= self.asked.approvals


@dataclass(frozen=True, slots=True)
class Extent:
    """What an erasure would take: the conversations of the subject, and how many texts each holds.

    Of those that are `archived` only the keys are here; without these nobody opens the texts that were archived sealed.
    """

    subject: str
    conversations: tuple[str, ...]
    payloads: Mapping[str, int]
    holds: Mapping[int, HoldPlaced]
    archived: tuple[Archived, ...] = ()


class Eraser:
    """Erasures of one log. `clock` gives the times of records and entries."""

    def __init__(self, store: KeepingStore, clock: Clock | None = None) -> None:
        self.store, self._clock = store, clock or SystemClock()
        self.journal = Journal(store, self._clock)

    def extent(self, subject: str) -> Extent:
        """What there is of the subject. Raises `CallError` where there is nothing."""
        streams, archived = tuple(self.store.streams_of(subject)), tuple(self.store.archived(subject))
        if not streams and not archived:
            raise CallError(
                f"There is no subject {subject!r} in this log.",
                where=self.store.log,
                fix="A subject is the pseudonym that conversations were started with; `interlock log --json` of one "
                "of them shows it.",
            )
        against = {
            number: hold
            for number, hold in self.journal.holds().items()
            if hold.subject == subject or hold.conversation in (*streams, *(one.stream for one in archived))
        }
        return Extent(subject, streams, self.store.payloads_of(subject), against, archived)

    def ask(self, subject: str, *, by: str, ground: str, approvals: int = 1) -> Erasing:
        """Record the request, unless one waits already, or the person was erased and has written nothing since; who
        asks is the first who approves.

        Raises `CallError` where a hold stands against it: the refusal is recorded.
        Raises `StorageError` where the database's user may not do what this asks for: nothing is recorded.
        """
        extent = self.extent(subject)
        self._refuse_held(extent, by, ground)
        earlier = self.waiting(subject) or self.erased(extent)
        if earlier is not None:
            return earlier
        if approvals <= 1:
            self._check_right()
        asked = ErasureAsked(by=by, ground=ground, subject=SubjectId(subject), approvals=approvals)
        return Erasing(self.journal.note(asked), asked, (by,))

    def waiting(self, subject: str) -> Erasing | None:
        """The request for this subject that is not done."""
        return next((one for one in self.erasings() if one.asked.subject == subject and one.done is None), None)

    def erased(self, extent: Extent) -> Erasing | None:
        """The last erasure of the subject, where nothing was written since: no text is there to erase.

        Not where conversations are archived: whether their keys are gone is not told by texts that are here.
        """
        if sum(extent.payloads.values()) or extent.archived:
            return None
        done = [one for one in self.erasings() if one.asked.subject == extent.subject and one.done is not None]
        noted = {stream for one in done for stream in self._erased(one)}
        return done[-1] if done and noted >= set(extent.conversations) else None

    def approve(self, subject: str, *, by: str) -> Erasing:
        """Record another person's approval of the request that waits.

        Raises `CallError` where none waits, and where the same person approves twice: that is recorded too.
        """
        erasing = self.waiting(subject)
        if erasing is None:
            raise CallError(
                f"No erasure of {subject!r} waits for an approval.",
                fix="Ask for it first: `interlock erase --subject`.",
            )
        if by.casefold() in (one.casefold() for one in erasing.approved):
            self.journal.note(
                ErasureRefused(by=by, subject=SubjectId(subject), reason="same_person"),
            )
            raise CallError(
                f"{by} has approved this erasure already; it needs {erasing.asked.approvals} different people.",
                fix="Somebody else must approve it. The attempt is recorded.",
            )
        self._refuse_held(self.extent(subject), by, "")
        if len(erasing.approved) + 1 >= erasing.asked.approvals:
            self._check_right()
        self.journal.note(ErasureApproved(by=by, request=erasing.request.number))
        return Erasing(erasing.request, erasing.asked, (*erasing.approved, by))

    def finish(self, erasing: Erasing) -> ErasureDone:
        """Do what was asked and approved, from wherever it stands; once only. Safe to call again after any crash."""
        if erasing.done is not None:
            return erasing.done
        if not erasing.is_approved:
            raise CallError(
                f"{len(erasing.approved)} of {erasing.asked.approvals} people have approved this erasure.",
                fix="Somebody else approves it with `interlock erase --subject S --approve --as NAME`.",
            )
        subject = erasing.asked.subject
        self._refuse_held(self.extent(subject), erasing.asked.by, erasing.asked.ground)
        self._delete(erasing)
        self.store.scrub()
        erased = self._erased(erasing)
        done = ErasureDone(request=erasing.request.number, conversations=len(erased), payloads=sum(erased.values()))
        self.journal.note(done)
        return done

    def finish_all(self) -> list[ErasureDone]:
        """What a process that died has left, done now. Called where a log is opened to be run or kept."""
        return [self.finish(one) for one in self.erasings() if one.done is None and one.is_approved]

    def erasings(self) -> list[Erasing]:
        """Every erasure that was asked for, in order."""
        found: dict[int, Erasing] = {}
        for one in self.journal.acts():
            match one.act:
                case ErasureAsked():
                    found[one.number] = Erasing(one, one.act, (one.act.by,))
                case ErasureApproved() if one.act.request in found:
                    was = found[one.act.request]
                    found[one.act.request] = Erasing(was.request, was.asked, (*was.approved, one.act.by))
                case ErasureDone() if one.act.request in found:
                    was = found[one.act.request]
                    found[one.act.request] = Erasing(was.request, was.asked, was.approved, one.act)
                case _:
                    pass
        return list(found.values())

    def _check_right(self) -> None:
        """What would be done next can be: else an erasure is on the record that nobody has made."""
        if isinstance(self.store, SqlStore) and not self.store.may_erase():
            raise StorageError(
                "The database's user may not erase: the right to delete texts and their keys is missing.",
                where=self.store.log,
                fix="Run as a member of `interlock_eraser`, `interlock_app` and `interlock_sequencer`; "
                "docs/postgresql.md lists which command takes which role. Nothing was recorded.",
            )

    def _refuse_held(self, extent: Extent, by: str, ground: str) -> None:
        for number, hold in extent.holds.items():
            refused = ErasureRefused(
                by=by, ground=ground, subject=SubjectId(extent.subject), reason="held", hold=number
            )
            self.journal.note(refused)
            raise CallError(
                f"Hold {number} ({hold.ground or 'no ground'}) stands against erasing {extent.subject!r}: its texts "
                "are restricted, not erased.",
                fix=f"When the hold is over: `interlock hold --release {number} --as NAME --ground TEXT`. The attempt "
                "is recorded.",
            )

    def _delete(self, erasing: Erasing) -> None:
        """The one transaction; decided anew where somebody wrote meanwhile. Nothing, where it was done before."""
        subject = erasing.asked.subject
        for attempt in range(MOST_RACES):
            noted = self._erased(erasing)
            try:
                appends = [
                    self._append(stream, erasing) for stream in self.store.streams_of(subject) if stream not in noted
                ]
                if appends or self.store.archived(subject):  # of these the keys go, and no entry can say so
                    self.store.erase(appends, subject)
            except StreamMoved:
                if not attempt:
                    self._refuse_broken(subject)
                continue
            return
        raise CallError(
            f"The conversations of {subject!r} moved under {MOST_RACES} attempts.",
            fix="Ask again when they are quiet; nothing was deleted.",
        )

    def _refuse_broken(self, subject: str) -> None:
        """Raises `LogBroken` where nobody moved a conversation but somebody changed its rows."""
        broken = verify(self.store, streams=self.store.streams_of(subject)).first
        if broken is not None:
            raise LogBroken(
                f"A conversation of {subject!r} is broken, and to erase would hide how: {broken.what}",
                stream=broken.stream,
                version=broken.version,
                fix="Nothing was deleted. Keep the file as evidence, and erase in a backup that verifies.",
            )

    def _append(self, stream: str, erasing: Erasing) -> Append:
        entries = self.store.read(stream)
        # Counted behind the entries: a text that comes in between moves the stream, and all is counted anew.
        payloads = self.store.payloads_of(erasing.asked.subject).get(stream, 0)
        made = self._entry(stream, entries, erasing, payloads)
        summary = self.store.summary(stream)
        projected = projection_of([*entries, stored(made)])
        append = Append(
            entries=(made,),
            expected=len(entries),
            summary=replace(projected, owner=summary.owner if summary else ""),
        )
        if summary is not None and summary.length != len(entries):  # somebody wrote, or cut the end off
            raise stream_moved(append, summary.length)
        return append

    def _entry(self, stream: str, entries: Sequence[StoredEntry], erasing: Erasing, payloads: int) -> Entry:
        opened = recorded(entries)
        last = opened[-1]
        number = erasing.request.number
        command = Command(
            key=f"x:{number}",
            at=max(self._clock.now(), last.envelope.at),
            actor=Actor(kind="human", id=erasing.asked.by, authn="journal"),
            body=Erase(request=erasing.request.leaf.hex(), payloads=payloads),
        )
        event = Erased(request=erasing.request.leaf.hex(), payloads=payloads)
        (entry,) = sealed(
            [event],
            head=Head(stream, len(opened), last.leaf),
            command=command,
            flow=last.envelope.flow,
            code=CODE,
            log=self.store.log,
        )
        return entry

    def _erased(self, erasing: Erasing) -> dict[str, int]:
        """The conversations that have their `erased` entry of this request, and how many texts it took."""
        return dict(self._noted(erasing))

    def _noted(self, erasing: Erasing) -> Iterator[tuple[str, int]]:
        for stream in self.store.streams_of(erasing.asked.subject):
            version = self.store.find_key(stream, f"x:{erasing.request.number}")
            if version is not None:
                (entry,) = recorded(self.store.read(stream, after=version, limit=1))
                if isinstance(entry.event, Erased):
                    yield stream, entry.event.payloads
