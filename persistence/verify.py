"""Is the log intact? Recomputed from the stored bytes, and the first broken position is named.

It finds every change to an entry, a leaf, an entry's columns or a payload, and every entry missing between two
others; the projection is compared whole where it is given the fold, as `service.auditing` does. What it cannot
find alone is a log rewritten from some point on, or cut at its end together with its projection: that takes a
checkpoint signed or seen by somebody else. Deciding again may show such a cut, where it fell inside a decision.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from ..contracts.canonical import leaf_hash, parsed
from ..contracts.errors import KeyUnavailable, LogBroken, NotEncodable, UnknownConversation
from ..contracts.payload import Payload, commitment
from ..contracts.store import Store, StoredEntry, Summary
from .sql_store import SqlStore
from .whole import Place, Whole

T = TypeVar("T")
_REF = {"commit", "kind", "length", "name"}


@dataclass(frozen=True, slots=True)
class Broken:
    """The first position of a stream that does not hold, and what is wrong there."""

    stream: str
    version: int
    what: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What was checked. `erased` payloads are gone and their commitments stand; that breaks nothing.

    `untold` are those of them, each with its stream, that no `erased` entry there accounts for: a record must.
    `beside` says what does not hold and belongs to no conversation, such as a trigger that was removed. `unopened`
    payloads are encrypted under a master key that could not be had here: that they are there is all that was seen.
    """

    streams: int = 0
    events: int = 0
    payloads: int = 0
    erased: int = 0
    unopened: int = 0
    broken: tuple[Broken, ...] = ()
    beside: tuple[str, ...] = ()
    untold: tuple[tuple[str, Place], ...] = ()

    @property
    def ok(self) -> bool:
        return not self.broken and not self.beside

    @property
    def first(self) -> Broken | None:
        return self.broken[0] if self.broken else None


class _Break(Exception):
    """Stops the walk over a stream at its first broken position."""

    def __init__(self, version: int, what: str) -> None:
        self.version, self.what = version, what
        super().__init__(what)


def verify(
    store: Store,
    *,
    streams: Sequence[str] | None = None,
    projected: Callable[[Sequence[StoredEntry]], Summary] | None = None,
    asked: Callable[[str], str | None] | None = None,
    progress: Callable[[Verified], None] | None = None,
) -> Verified:
    """Check every stream of `store`, or those named; at most one broken position a stream, in their order.

    May run while the log is written. `projected` folds a stream's entries into its summary: with it the
    whole projection is compared (but for who performs effects), without it what the envelopes say.
    `asked` gives the subject that a request asks to erase: with it an `erased` entry of a request that is not on the
    record breaks its stream. `progress` is called after each stream. Raises `UnknownConversation` for a named stream
    that does not exist, and `StorageError` where the database cannot be read at all.
    """
    report = Verified()
    for whole in _wholes(store, _named(store, streams)):
        report = _stream(whole, store.log, projected, asked, report)
        if progress is not None:
            progress(report)
    return report


def _named(store: Store, streams: Sequence[str] | None) -> Mapping[str, int]:
    """The streams to be looked at, in order, and how many entries each has, as far as that is known before."""
    if streams is None and isinstance(store, SqlStore):
        return store.lengths()
    if streams is None:
        try:
            beside = {summary.stream for summary in store.summaries()}
        except LogBroken as error:  # found again, at its position, when the stream is walked
            beside = {error.stream}
        return dict.fromkeys(sorted({*store.streams(), *beside}), 0)
    found = {stream: store.head(stream).length for stream in streams}
    for stream, length in found.items():
        if not length and store.summary(stream) is None:
            raise UnknownConversation(
                f"There is no conversation {stream!r} in this log.",
                where=store.log,
                fix="`interlock log` lists the conversations.",
            )
    return found


def _wholes(store: Store, streams: Mapping[str, int]) -> Iterator[Whole]:
    return store.wholes(streams) if isinstance(store, SqlStore) else (_consistent(store, stream) for stream in streams)


def _stream(
    whole: Whole,
    log: str,
    projected: Callable[[Sequence[StoredEntry]], Summary] | None,
    asked: Callable[[str], str | None] | None,
    report: Verified,
) -> Verified:
    payloads: Mapping[Place, Payload] = {}
    checked = unopened = 0
    broken, stream, entries, gone = report.broken, whole.stream, whole.entries, _Gone(asked)
    try:
        found = whole.payloads()
        payloads = found or {}
        named: set[Place] = set()
        previous = b""
        for position, row in enumerate(entries):
            fields = _entry(row, stream, position, previous, log)
            for at, ref in _refs(row, fields):
                if at not in named and found is None:
                    unopened += 1
                elif at not in named:
                    gone.saw(at, here=_payload(row.version, ref, payloads.get(at)))
                named.add(at)
            gone.after(fields)
            previous = row.leaf
            checked += 1
        for at in sorted(payloads.keys() - named, key=lambda at: at.version):
            if at.version < len(entries):
                raise _Break(at.version, f"The payload {at.name!r} is named by no entry.")
        _projection(entries, whole.summary(), projected)
    except (_Break, LogBroken) as found:
        broken = (*broken, Broken(stream, found.version, found.what))
    except (TypeError, ValueError) as error:  # null or text where bytes belong: pages written over
        broken = (*broken, Broken(stream, checked, f"A row holds what its table does not admit ({error})."))
    return Verified(
        streams=report.streams + 1,
        events=report.events + checked,
        payloads=report.payloads + len(payloads),
        erased=report.erased + gone.count,
        unopened=report.unopened + unopened,
        broken=broken,
        untold=(*report.untold, *((stream, at) for at in gone.untold)),
    )


class _Gone:
    """The texts of one stream that are gone, against what its `erased` entries say that they took."""

    def __init__(self, asked: Callable[[str], str | None] | None) -> None:
        self.count = 0
        self.untold: list[Place] = []
        self._asked, self._forked = asked, 0
        self._subject: object = ""

    def saw(self, at: Place, *, here: bool) -> None:
        """An entry names a text."""
        if not here:
            self.count += 1
            self.untold.append(at)

    def after(self, fields: Mapping[str, Any]) -> None:
        """An erasure takes everything that was there: what it does not count was gone before, by another hand."""
        data = fields.get("data")
        if fields["ver"] == 0 and isinstance(data, dict):
            self._subject = data.get("subject")
            last = [one.get("version") for one in data.get("forks") or () if isinstance(one, dict)][-1:]
            self._forked = last[0] if last and type(last[0]) is int else 0
        if fields["type"] == "erased":
            self._check_asked(fields["ver"], data)
            taken = data.get("payloads") if isinstance(data, dict) else 0
            del self.untold[len(self.untold) - taken if isinstance(taken, int) and taken <= len(self.untold) else 0 :]

    def _check_asked(self, version: int, data: Any) -> None:
        """A record asks for it, about this subject; what a fork took over, about whose its parent is."""
        if self._asked is None:
            return
        whose = self._asked(str(data.get("request"))) if isinstance(data, dict) else None
        if whose is None or (whose != self._subject and version >= self._forked):
            raise _Break(version, "The entry says that texts were erased, and no record asks for that.")


def _consistent(store: Store, stream: str) -> Whole:
    """A stream as it was at one time, though it may be written meanwhile; no payloads where their key is not here."""
    while True:
        entries = store.read(stream)
        payloads: Mapping[Place, Payload] | None
        try:
            payloads = {Place(at.version, at.name): one for at, one in store.payloads(stream).items()}
        except KeyUnavailable:
            payloads = None
        summary = store.summary(stream)
        end = entries[-1].version + 1 if entries else 0
        overtaken = summary is not None and summary.length > end
        if not overtaken or store.head(stream).length <= end:
            return Whole(stream, entries, partial(_given, payloads), partial(_given, summary))


def _given(value: T) -> T:
    return value


def _entry(row: StoredEntry, stream: str, position: int, previous: bytes, log: str) -> Mapping[str, Any]:
    """The entry's fields. Raises `_Break` where the row is not what belongs there."""
    if row.version != position:
        raise _Break(position, f"The entry is missing; the next one has version {row.version}.")
    if leaf_hash(row.data) != row.leaf:
        raise _Break(position, "The entry does not hash to its leaf.")
    try:
        fields = parsed(row.data)
    except NotEncodable as error:
        raise _Break(position, error.what) from error
    if not isinstance(fields, dict):
        raise _Break(position, "The entry is not a JSON object.")
    get = fields.get
    if get("prev", "") != previous.hex():
        raise _Break(position, "The entry does not follow from the one before it: `prev` is another hash.")
    said = (get("stream"), get("ver"), get("type"), get("at"), get("key"), get("log"))
    if said == (stream, row.version, row.type, row.at, row.key, log):
        return fields
    columns = {
        "log": log,
        "stream": stream,
        "ver": row.version,
        "type": row.type,
        "at": row.at,
        "key": row.key,
    }
    for name, column in columns.items():
        if fields.get(name) != column:
            raise _Break(position, f"The entry says {name} {fields.get(name)!r}, the database {column!r}.")
    return fields


def _refs(row: StoredEntry, fields: Mapping[str, Any]) -> Sequence[tuple[Place, Mapping[str, Any]]]:
    """Every payload that the entry names: they lie at the first event of its decision."""
    if b'"commit":' not in row.data:
        return ()
    refs: list[Mapping[str, Any]] = []
    _collect(fields.get("data"), refs)
    cause: Any = fields.get("cause")
    if refs and not (type(cause) is int and cause >= 0 and all(type(ref["name"]) is str for ref in refs)):
        raise _Break(row.version, "The entry names a payload in a form that cannot be.")
    return [(Place(cause, ref["name"]), ref) for ref in refs]


def _collect(value: Any, refs: list[Mapping[str, Any]]) -> None:
    if type(value) is dict:
        if len(value) == len(_REF) and value.keys() == _REF:
            refs.append(value)
        else:
            for part in value.values():
                if type(part) is dict or type(part) is list:
                    _collect(part, refs)
    elif type(value) is list:
        for part in value:
            _collect(part, refs)


def _payload(version: int, ref: Mapping[str, Any], payload: Payload | None) -> bool:
    """Whether it is there, and then what was committed to."""
    if payload is None:
        return False
    if (payload.kind, len(payload.plaintext)) != (ref["kind"], ref["length"]):
        raise _Break(version, f"The payload {payload.name!r} has another class or length than its entry says.")
    if commitment(payload.r, payload.plaintext) != ref["commit"]:
        raise _Break(version, f"The payload {payload.name!r} is not the one that was committed to.")
    return True


def _projection(
    entries: Sequence[StoredEntry],
    summary: Summary | None,
    projected: Callable[[Sequence[StoredEntry]], Summary] | None,
) -> None:
    if summary is None:
        raise _Break(len(entries), "The projection lacks the conversation.")
    if summary.length != len(entries):
        raise _Break(
            min(summary.length, len(entries)),
            f"The projection says {summary.length} entries; there are {len(entries)}.",
        )
    if not entries:
        raise _Break(0, "The projection has a conversation without an entry.")
    if projected is not None:
        expected = replace(projected(entries), owner=summary.owner)
        wrong = [name for name in Summary.__slots__ if getattr(expected, name) != getattr(summary, name)]
    else:
        first, last = parsed(entries[0].data), parsed(entries[-1].data)
        said = {"started_at": first["at"], "updated_at": last["at"], "flow_digest": last["flow"]}
        if first["type"] == "conversation_started":
            said["subject"] = first["data"]["subject"]
        wrong = [name for name, value in said.items() if getattr(summary, name) != value]
    if wrong:
        raise _Break(len(entries) - 1, f"The projection is not what the entries give: {', '.join(wrong)}.")
