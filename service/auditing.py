"""The whole audit of a log: its chains, every projection against the fold, its flows, its rows and its guards."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from ..contracts.canonical import parsed
from ..contracts.errors import ConversationArchived, NotEncodable
from ..contracts.events import ConversationStarted, FlowChanged
from ..contracts.lineage import ForkRef
from ..contracts.store import FlowRow, Store, StoredEntry, Summary
from ..fsm.evolve import fold
from ..fsm.replay import check_import
from ..persistence.beside import Stray
from ..persistence.sql_store import SqlStore
from ..persistence.verify import Broken, Verified, verify
from ..persistence.whole import Place
from .approvers import Approvers, approvers_of, signatures_broken
from .journal import is_keeping
from .loading import recorded
from .missing import Accounts
from .projection import summary_of


def audited(
    store: Store, *, streams: Sequence[str] | None = None, progress: Callable[[Verified], None] | None = None
) -> Verified:
    """Verify every stream of `store`, or those named, with all that is kept beside the entries.

    Needs no program. The projection is folded again and compared whole, but for the owner. Each flow that a
    conversation runs on must be there and hash to its digest; a flow's break is named once, at the first conversation
    it stops. A text that is gone must have been erased or pruned, as records ask. For the whole log, what
    belongs to no conversation is looked at too. Raises as `verify`, and `StorageError` where the file is malformed.
    """
    if isinstance(store, SqlStore) and (misfits := store.misfits()):
        return Verified(beside=tuple(map(str, misfits)))  # nothing else can be read for certain
    if streams is None and isinstance(store, SqlStore):
        store.check_pages()
    used, forks = dict[str, list[str]](), list[str]()
    signers = approvers_of(store) if is_keeping(store) else Approvers(())
    unsigned: list[Broken] = []

    def projected(entries: Sequence[StoredEntry]) -> Summary:
        signed = any(b'"signed":' in one.data for one in entries)
        if signed and (wrong := signatures_broken(entries, recorded(entries), signers)) is not None:
            unsigned.append(Broken(entries[0].stream, *wrong))
        if b'"forks":' in entries[0].data:
            forks.append(entries[0].stream)
        summary = projection_of(entries)
        if entries[0].type != "conversation_imported":
            for digest in (summary.flow_digest, *_left(entries)):
                used.setdefault(digest, []).append(summary.stream)
        return summary

    asked = Accounts(store).asked if is_keeping(store) else None
    report = verify(store, streams=streams, projected=projected, asked=asked, progress=progress)
    _count_below(flows := {row.digest: Kept(row, _altered(row)) for row in store.flows()}, used)
    rows = store.strays() if isinstance(store, SqlStore) else []
    places = store.misplaced() if isinstance(store, SqlStore) else ()
    untold = _untold(store, report)
    more = [
        *_flows_broken(flows, used),
        *unsigned,
        *(broken for stream in forks if (broken := fork_broken(store, stream)) is not None),
        *(Broken(one.stream, one.version, one.what) for one in rows if not one.foreign),
        *(Broken(*one) for one in places),
        *untold,
    ]
    found = [*report.broken, *(one for one in more if streams is None or one.stream in streams)]
    beside = tuple(_beside(store, flows, used, rows)) if streams is None else ()
    first = _first_of_each(found, streams)
    return replace(report, broken=first, beside=beside, erased=report.erased - len(untold))


class Kept(NamedTuple):
    """A flow that the log keeps, and what is wrong with it."""

    row: FlowRow
    wrong: str


def projection_of(entries: Sequence[StoredEntry]) -> Summary:
    """The summary that a stream's entries give, of no owner. Raises `LogBroken` at an entry that is no event."""
    opened = recorded(entries)
    check_import(entries[0].stream, opened)
    conversation = fold(entries[0].stream, (one.event for one in opened))
    return summary_of(conversation, entries[-1].at, entries[0].at, "")


def _left(entries: Sequence[StoredEntry]) -> Iterator[str]:
    """Digests of the flows that the conversation ran on before: deciding it again needs them, too."""
    for one in recorded([entry for entry in entries if entry.type == "flow_changed"]):
        if isinstance(one.event, FlowChanged):
            yield one.event.before.digest


def fork_broken(store: Store, stream: str) -> Broken | None:
    """What is wrong with the beginning that a fork took; None where it stands in its parent as it stands here."""
    entries = recorded(store.read(stream))
    start = entries[0].event
    if not isinstance(start, ConversationStarted) or not start.forks:
        return None
    ref = start.forks[-1]
    try:
        length = store.head(ref.conversation).length
    except ConversationArchived as error:
        return _fork_of_archived(store, stream, ref, error.archive)
    there = recorded(store.read(ref.conversation, limit=ref.version)) if ref.version else []
    if ref.version > len(entries) or len(there) < ref.version or not length:
        return Broken(stream, 0, f"It was forked from {ref.conversation}, of which this log lacks the beginning.")
    if there and there[-1].leaf.hex() != ref.leaf:
        return Broken(stream, 0, f"Its parent {ref.conversation} has another leaf at event {ref.version - 1}.")
    for version, (one, was) in enumerate(zip(entries, there, strict=False)):
        event = one.event
        if version == 0 and isinstance(was.event, ConversationStarted):
            event = start.changed(origin=was.event.origin, forks=start.forks[:-1])
        if (event, one.envelope.at, one.envelope.actor) != (was.event, was.envelope.at, was.envelope.actor):
            return Broken(stream, version, f"The event stands otherwise in its parent {ref.conversation}.")
    return None


def _fork_of_archived(store: Store, stream: str, ref: ForkRef, archive: str) -> Broken | None:
    """The parent's entries are in an archive, and its leaves are here: the fork's must be the one that it names."""
    if not ref.version or not is_keeping(store):
        return None
    tree = store.tree()
    index = tree.index_of(ref.conversation, ref.version - 1)
    if index is not None and tree.leaves(index, 1)[0][0].hash.hex() == ref.leaf:
        return None
    return Broken(
        stream,
        0,
        f"Its parent {ref.conversation}, archived in {archive!r}, has another leaf at event {ref.version - 1}.",
    )


def _first_of_each(found: Iterable[Broken], streams: Sequence[str] | None) -> tuple[Broken, ...]:
    """The earliest position of each stream; the streams in the order in which they were asked for."""
    first: dict[str, Broken] = {}
    for one in found:
        if one.stream not in first or one.version < first[one.stream].version:
            first[one.stream] = one
    order = sorted(first) if streams is None else [stream for stream in dict.fromkeys(streams) if stream in first]
    return tuple(first[stream] for stream in order)


def _flows_broken(flows: Mapping[str, Kept], used: dict[str, list[str]]) -> Iterator[Broken]:
    for digest, streams in used.items():
        what = flows[digest].wrong if digest in flows else f"The flow {digest[:12]} is not in the log"
        if what:
            more = len(streams) - 1
            others = f", nor can {more} more on this flow" if more else ""
            yield Broken(streams[0], 0, f"{what}: this conversation can no longer be decided again{others}.")


def missing_texts(store: Store, report: Verified) -> tuple[Sequence[tuple[str, Place]], int]:
    """Stream and place of each text that is gone without an erasure, and that no record accounts for either; and how
    many texts retention has recorded without their names."""
    if not report.untold or not is_keeping(store):
        return report.untold, 0
    accounts = Accounts(store)
    for stream, of_stream in groupby(report.untold, itemgetter(0)):
        accounts.judge(store.read(stream), [place for _, place in of_stream])
    return accounts.missing(), accounts.pruned


def _untold(store: Store, report: Verified) -> list[Broken]:
    left, pruned = missing_texts(store, report)
    told = f"; retention took {pruned} of {len(left)} such texts" if 0 < pruned < len(left) else ""
    says = "is missing: nothing on the record says that it was erased"
    return [Broken(stream, at.version, f"The payload {at.name!r} {says}{told}.") for stream, at in left]


def _count_below(flows: Mapping[str, Kept], used: dict[str, list[str]]) -> None:
    """Who runs on a flow needs those that it begins children on, too."""
    for digest, on_it in [*used.items()]:
        for child in _below(flows, digest):
            used[child] = [*dict.fromkeys([*used.get(child, ()), *on_it])]


def _below(flows: Mapping[str, Kept], digest: str) -> Iterator[str]:
    """Digests of the flows that a kept flow begins children on, and those on theirs; its body names them."""
    kept = flows.get(digest)
    if kept is not None and not kept.wrong and b'"subflows"' in kept.row.body:
        for child in parsed(kept.row.body).get("subflows") or ():
            yield child["digest"]
            yield from _below(flows, child["digest"])


def _altered(row: FlowRow) -> str:
    """What is wrong with a kept flow; nothing, where its body is what the digest names and the columns repeat."""
    if hashlib.sha256(row.body).hexdigest() != row.digest:
        return f"The flow {row.digest[:12]} does not hash to its digest"
    try:
        body = parsed(row.body)
    except NotEncodable:
        body = None
    said = (body.get("name"), body.get("version")) if isinstance(body, dict) else None
    return "" if said == (row.name, row.version) else f"The flow {row.digest[:12]} says another name or version"


def _beside(
    store: Store, flows: Mapping[str, Kept], used: dict[str, list[str]], rows: Sequence[Stray]
) -> Iterator[str]:
    """What does not hold and belongs to no conversation."""
    if isinstance(store, SqlStore):
        about = store.describe()
        if about.missing_triggers:
            yield f"Somebody removed the triggers that refuse changes: {', '.join(about.missing_triggers)}."
        if about.altered_triggers:
            yield f"Somebody replaced the triggers that refuse changes: {', '.join(about.altered_triggers)}."
        if about.foreign_triggers:
            says = ", ".join(name[:60] for name in about.foreign_triggers)
            yield f"Somebody put triggers on the log's tables that no release of Interlock makes: {says}."
        yield from store.unlike_ours()
        for name in store.strange_settings():
            yield f"The table meta holds {name[:60]!r}, which no release of Interlock writes: somebody put it there."
        for key in store.altered_keys():
            yield f"The key {key} of a person's texts was altered: the master key does not open it."
    for digest in sorted(flows.keys() - used.keys()):
        if what := flows[digest].wrong:
            yield f"{what}; no conversation that holds runs on it."
    for stream, table in dict.fromkeys((one.stream, one.table) for one in rows if one.foreign):
        yield f"There is a {table} row of {stream!r}, which is no conversation of this log."
