"""Archives: conversations that have ended, as a bundle that anybody can verify alone, made so that the log can let
their entries go.

An archive is a bundle of conversations (`persistence.evidence.bundle`) with two files more:

```
archive.json              its name, and what is kept in the log of each conversation
sealed/<stream>.json      texts as they lie in the database: encrypted under the key of the person they are about
```

So a person is erased from archives, too: the key is in the database, and goes there.
"""

import base64
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..contracts.archive import Archived, listed
from ..contracts.canonical import canonical
from ..contracts.errors import CallError
from ..contracts.events import ConversationStarted
from ..contracts.protection import KeepingStore, Packed
from ..contracts.store import Summary
from ..contracts.subflow_events import SubflowStarted
from ..persistence.evidence.bundle import Selection, bundled, file_name
from ..persistence.evidence.keys import Signer
from ..persistence.evidence.notes import Checkpoint
from ..persistence.evidence.policy import Policy
from .journal import Journal
from .loading import recorded
from .missing import Accounts

MOST = 5_000
"""Conversations of one archive: they are pruned in one transaction."""
LISTING = "archive.json"


@dataclass(frozen=True, slots=True)
class Range:
    """Which conversations are wanted: those that began before a time (as entries write it), and before a leaf."""

    before: str = ""
    through: int | None = None


@dataclass(frozen=True, slots=True)
class Kept:
    """A conversation that began within the range and stays in the log, and why."""

    stream: str
    why: str


@dataclass
class Chosen:
    """What an archive would hold: `record` of each is not known yet. `kept` says what keeps the range from being
    archived whole, `more` how many there is no room for."""

    conversations: list[Archived] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    more: int = 0

    @property
    def entries(self) -> int:
        return sum(one.length for one in self.conversations)


def chosen(store: KeepingStore, wanted: Range, *, in_clear: bool = False) -> Chosen:
    """The conversations that can be archived, the oldest first. The tree must end with its newest checkpoint."""
    choosing = _Choosing(store, wanted, in_clear)
    summaries = sorted(store.summaries(), key=lambda one: (one.started_at, one.stream))
    whys = {one.stream: choosing.why_kept(one) for one in summaries if choosing.begins_within(one)}
    relatives = _families(store, [stream for stream, why in whys.items() if not why])
    found = Chosen()
    for one in summaries:
        if one.stream not in whys:
            continue
        family = relatives.get(one.stream, {one.stream})
        out = next((name for name in sorted(family) if whys.get(name, "It is not in the range.")), None)
        why = whys[one.stream]
        if not why and out is not None:
            why = f"It belongs with {out}: {whys.get(out) or 'It is not in the range.'}"
        if why:
            found.kept.append(Kept(one.stream, why))
        else:
            leaf = store.head(one.stream).leaf
            of = (one.stream, one.length, leaf, one.subject, one.flow_name, one.state, one.started_at, one.updated_at)
            found.conversations.append(Archived(*of, archive="", record=0))
    _limit(found, relatives)
    return found


def _limit(found: Chosen, relatives: Mapping[str, set[str]]) -> None:
    """No more than fit into one archive, and no family torn."""
    if len(found.conversations) > MOST:
        first = {one.stream for one in found.conversations[:MOST]}
        fits = [one for one in found.conversations[:MOST] if relatives.get(one.stream, {one.stream}) <= first]
        found.more, found.conversations = len(found.conversations) - len(fits), fits


class _Choosing:
    def __init__(self, store: KeepingStore, wanted: Range, in_clear: bool) -> None:
        self.store, self.tree, self.wanted, self.in_clear = store, store.tree(), wanted, in_clear
        self.through = self.tree.size() if wanted.through is None else min(wanted.through, self.tree.size())
        self.holds = Journal(store).holds()

    def begins_within(self, one: Summary) -> bool:
        index = self.tree.index_of(one.stream, 0)
        return (not self.wanted.before or one.started_at < self.wanted.before) and (
            index is not None and index < self.through
        )

    def why_kept(self, one: Summary) -> str:
        """Why the conversation itself stays; empty where nothing speaks for that."""
        if one.status != "ended":
            return "It is open."
        last = self.tree.index_of(one.stream, one.length - 1)
        if last is None or last >= self.through or (self.wanted.before and one.updated_at >= self.wanted.before):
            return "It goes on behind the range."
        for number, hold in self.holds.items():
            if hold.subject == one.subject or hold.conversation == one.stream:
                return f"Hold {number} stands over it."
        if not self.in_clear and any(row.key is None for row in self.store.packed(one.stream)):
            return "It has texts in clear."
        return ""


def _families(store: KeepingStore, streams: Sequence[str]) -> dict[str, set[str]]:
    """Who belongs with whom, parents and children; they are read together, so they stay or go together."""
    families = {stream: {stream} for stream in streams}
    gone = {one.stream for one in store.archived()}
    for stream in streams:
        for one in recorded(store.read(stream)):
            other = None
            if isinstance(one.event, ConversationStarted) and one.event.parent is not None:
                other = str(one.event.parent.conversation)
            elif isinstance(one.event, SubflowStarted):
                other = str(one.event.child)
            if other is not None and other not in gone:
                joined = families[stream] | families.get(other, {other})
                for name in joined:
                    families[name] = joined
    return families


# -- writing ----------------------------------------------------------------------------------------------------


def written(
    store: KeepingStore,
    signers: Sequence[Signer],
    policy: Policy,
    name: str,
    conversations: Sequence[Archived],
    put: Callable[[str, bytes], None],
    *,
    in_clear: bool = False,
) -> Checkpoint:
    """Pass every file of the archive to `put`. To be called inside `tree.sequencing()`; raises as `bundled`."""
    if not conversations:
        raise CallError(
            "There is nothing to archive in this range.", fix="Give a wider one; `--dry-run` says what has to stay."
        )

    def beside() -> Iterator[tuple[str, bytes]]:
        ordered = sorted(conversations, key=lambda one: one.stream)
        for one in () if in_clear else ordered:
            packed = store.packed(one.stream)
            if packed:
                yield sealed_name(one.stream), canonical([_sealed(row) for row in packed])
        yield LISTING, canonical({"archive": name, "conversations": [listed(one) for one in ordered]})

    selection = Selection(tuple(one.stream for one in conversations), ("all",) if in_clear else ("none",))
    return bundled(store, store.tree(), signers, policy, selection, put, beside(), lost=Accounts(store).lost)


def sealed_name(stream: str) -> str:
    return f"sealed/{file_name(stream)}.json"


def _sealed(row: Packed) -> dict[str, Any]:
    if row.key is None or row.nonce is None:
        raise CallError(
            f"The text {row.name!r} lies in clear.", fix="Encrypt it first: `interlock keys encrypt`, or archive with "
            "`--texts clear`.",
        )  # fmt: skip
    return {
        "body": base64.b64encode(row.body).decode(),
        "key": row.key,
        "kind": row.kind,
        "name": row.name,
        "nonce": row.nonce.hex(),
        "version": row.version,
    }


def packed_of(rows: Iterable[Mapping[str, Any]]) -> tuple[Packed, ...]:
    """The texts of a `sealed` file, as they lie in the database."""
    return tuple(
        Packed(row["version"], row["name"], row["kind"], None, base64.b64decode(row["body"]), row["key"],
               bytes.fromhex(row["nonce"]))
        for row in rows
    )  # fmt: skip
