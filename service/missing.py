"""Texts that are not in the log any more: whether the log itself says why, or somebody took them away.

What accounts for a missing text:

- an `erased` entry behind it in its conversation, whose request is a record about this subject;
- a completed erasure of the subject, recorded when the text was there already;
- in the beginning that a fork took over: its parent, which does not have the text either and is judged itself;
- a record of retention that names the text and is at least a day younger, of a conversation that has ended. Those of
  an older release say how many texts went and not which: no more may be missing than they say.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from ..contracts.archive import Archived
from ..contracts.canonical import parsed
from ..contracts.errors import ConversationArchived
from ..contracts.events import ConversationStarted
from ..contracts.keeping import (
    Erased,
    ErasureApproved,
    ErasureAsked,
    ErasureDone,
    HoldPlaced,
    HoldReleased,
    TextsPruned,
    text_hash,
)
from ..contracts.lineage import ForkRef
from ..contracts.payload import PayloadAt
from ..contracts.protection import KeepingStore
from ..contracts.store import StoredEntry
from ..contracts.values import written_time
from ..fsm.evolve import fold
from ..persistence.whole import Place
from .journal import Journal, Recorded
from .loading import recorded

SHORTEST = timedelta(days=1)
"""Before this no policy of retention deletes anything."""


class Accounts:
    """What the records of one log say of deleted texts. They are read when a text is missing: whoever deletes records
    it before, so what is not there has its record by then."""

    def __init__(self, store: KeepingStore) -> None:
        self._store, self._journal = store, Journal(store)
        self._seen = 0
        self._asked: dict[int, Recorded] = {}
        self._number: dict[str, int] = {}
        self._approved: dict[int, int] = {}
        self._done: dict[int, str] = {}
        self._holds: dict[int, HoldPlaced] = {}
        self._named: dict[str, str] = {}
        self._pruned: list[tuple[str, int]] = []
        self._taken: list[tuple[str, tuple[str, Place]]] = []
        self._lost: list[tuple[str, Place]] = []

    def lost(self, entries: Sequence[StoredEntry], places: Sequence[Place]) -> list[Place]:
        """Those of the missing texts of a conversation that nothing accounts for. Each conversation once."""
        self._read()
        erased = self._erased_up_to(entries, _subject(entries[0]))
        before = len(self._lost)
        self.judge(entries, [one for one in places if one.version >= erased])
        return [place for _, place in self._lost[before:]]

    def judge(self, entries: Sequence[StoredEntry], places: Sequence[Place]) -> None:
        """Take in the missing texts of a conversation that none of its `erased` entries accounts for."""
        self._read()
        stream, first = entries[0].stream, recorded(entries[:1])[0].event
        forks = first.forks if isinstance(first, ConversationStarted) else ()
        parent = _Parent(self._store, forks[-1] if forks else None)
        # An erasure leaves an entry in every conversation, but in one that began while it was at work.
        erased_at = "" if any(one.type == "erased" for one in entries) else self._erased_at(_subject(entries[0]))
        ended = bool(self._named or self._pruned) and _has_ended(entries)
        for place in sorted(places):
            known = place.version < len(entries)
            if known and (entries[place.version].at <= erased_at or parent.lacks(place)):
                continue
            since = _overdue_from(entries, place.version) if known and ended else ""
            if since and self._named.get(text_hash(stream, *place), "") > since:
                continue
            if since and any(at > since for at, _ in self._pruned):
                self._taken.append((since, (stream, place)))
            else:
                self._lost.append((stream, place))

    def asked(self, request: str) -> str | None:
        """Whom the record with that leaf asks to erase, once as many people approved as must; None where none does."""
        self._read()
        number = self._number.get(request, -1)
        act = self._asked[number].act if number in self._asked else None
        if not isinstance(act, ErasureAsked) or self._approved[number] < act.approvals:
            return None
        return act.subject

    def missing(self) -> list[tuple[str, Place]]:
        """Stream and place of every text that was judged and is not accounted for; all that may have been pruned among
        them, where these are more than retention has recorded."""
        return [*self._lost, *((one for _, one in self._taken) if self._excess() else ())]

    @property
    def pruned(self) -> int:
        """How many texts retention has recorded without their names."""
        return sum(count for _, count in self._pruned)

    def _excess(self) -> bool:
        room, records = 0, sorted(self._pruned)
        for number, (since, _) in enumerate(sorted(self._taken, reverse=True), 1):
            while records and records[-1][0] > since:
                room += records.pop()[1]
            if number > room:
                return True
        return False

    def is_erased(self, one: Archived) -> bool:
        """Whether the keys of an archived conversation went as the log says: an erasure of its subject is complete, or
        approved, with no hold against it, and cut off before its end."""
        self._read()
        if self._erased_at(one.subject) >= one.updated_at:
            return True
        held = any(hold.subject == one.subject or hold.conversation == one.stream for hold in self._holds.values())
        return not held and any(
            number not in self._done and self._approved[number] >= asked.approvals
            for number, asked in self._requests(one.subject)
        )

    # -- records

    def _read(self) -> None:
        for one in self._journal.acts(self._seen):
            self._seen = one.number + 1
            match one.act:
                case ErasureAsked():
                    self._asked[one.number], self._approved[one.number] = one, 1
                    self._number[one.leaf.hex()] = one.number
                case ErasureApproved(request=request):
                    self._approved[request] = self._approved.get(request, 0) + 1
                case ErasureDone(request=request):
                    self._done[request] = written_time(one.at)
                case HoldPlaced():
                    self._holds[one.number] = one.act
                case HoldReleased(hold=hold):
                    self._holds.pop(hold, None)
                case TextsPruned(texts=()):
                    self._pruned.append((written_time(one.at), one.act.payloads))
                case TextsPruned(texts=texts):
                    self._named.update(dict.fromkeys(texts, written_time(one.at)))

    def _requests(self, subject: str) -> Iterator[tuple[int, ErasureAsked]]:
        for number, one in self._asked.items():
            if isinstance(one.act, ErasureAsked) and one.act.subject == subject:
                yield number, one.act

    def _erased_at(self, subject: str) -> str:
        """When the last erasure of the subject was complete; empty where none was."""
        return max((self._done.get(number, "") for number, _ in self._requests(subject)), default="")

    def _erased_up_to(self, entries: Sequence[StoredEntry], subject: str) -> int:
        """The version of the last entry that says that the texts before it were erased, as a record asks; or 0."""
        found = 0
        for one in entries:
            if one.type == "erased":
                event = recorded([one])[0].event
                if isinstance(event, Erased) and self.asked(event.request) == subject:
                    found = one.version
        return found


class _Parent:
    """What a fork was made of, looked at once and only where it must be."""

    def __init__(self, store: KeepingStore, ref: ForkRef | None) -> None:
        self._store, self._ref = store, ref
        self._held: set[PayloadAt] | None = None

    def lacks(self, place: Place) -> bool:
        """Whether the text stood in the parent, and is not there either."""
        if self._ref is None or place.version >= max(self._ref.version, 1):
            return False
        if self._held is None:
            try:
                self._store.head(self._ref.conversation)
                rows = self._store.packed(self._ref.conversation)
            except ConversationArchived:
                rows = ()
            self._held = {PayloadAt(version=one.version, name=one.name) for one in rows}
        return PayloadAt(version=place.version, name=place.name) not in self._held


def _subject(first: StoredEntry) -> str:
    data: Mapping[str, object] = parsed(first.data)["data"]
    return str(data.get("subject", ""))


def _overdue_from(entries: Sequence[StoredEntry], version: int) -> str:
    """From when on retention may have taken the text of that event."""
    return written_time(datetime.fromisoformat(max(one.at for one in entries[: version + 1])) + SHORTEST)


def _has_ended(entries: Sequence[StoredEntry]) -> bool:
    return fold(entries[0].stream, (one.event for one in recorded(entries))).status == "ended"
