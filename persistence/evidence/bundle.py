"""A bundle: what somebody who does not trust us needs to check conversations, alone and without this package.

```
MANIFEST                          every file's SHA-256, as RFC 8785 JSON in a note that the log signs
policy                            whose signatures count (c2sp.org/tlog-policy)
checkpoint, checkpoints/<size>    signed, with the witnesses' lines
consistency/<size>                base64 hashes: the checkpoint's tree begins with that one
tile/<level>/..., tile/entries/...   the whole tree (c2sp.org/tlog-tiles), where all is exported
entries/<stream>.jsonl            else the conversations' entries, a line each, byte for byte
proofs/<stream>/<version>.tlog-proof, records/<number>.json, heads/<stream>.json
payloads/<stream>.json            disclosed texts with their random bytes; the others are listed
archived/<record>.json            where all is exported: whose entries are in an archive instead, and their leaves
flows/<digest>.json, anchors/<size>-<n>.tsr, report.html, report.csv, verify_bundle.py
```

The same log, selection and key give the same bytes (but for an ML-DSA-44 signature, which is random).
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ...contracts.archive import Archived, listed
from ...contracts.canonical import canonical, leaf_hash, parsed
from ...contracts.errors import CallError, LogBroken
from ...contracts.payload import Payload, PayloadAt
from ...contracts.records import RECORDS
from ...contracts.store import Store, StoredEntry
from ...contracts.tree import Leaf, TreeStore
from ..merkle import consistency_proof, inclusion_proof
from ..whole import Place
from . import verify_bundle
from .accounting import Gone
from .keys import Signer, signed
from .notes import Checkpoint, Note, checkpoint_of, note_of, signature_of
from .policy import Policy
from .telling import told_all
from .tiles import WIDTH, entry_tile, tile_path

Lost = Callable[[Sequence[StoredEntry], Sequence[Place]], Sequence[Place]]
"""Of a conversation's entries and the places of its missing texts: the places of those for which nothing accounts."""
FIRST_LINE = "interlock bundle v1"
"""Of the manifest: no checkpoint begins so, though one key signs both."""
VERIFIER = Path(__file__).with_name("verify_bundle.py")
CHUNK = 4 * WIDTH


@dataclass(frozen=True, slots=True)
class Selection:
    """Which conversations (all if None), and which of their texts: `all`, `none`, names and classes, each alone or
    behind `CONVERSATION:` or `CONVERSATION/EVENT:`, with the event that brought the text.

    `since` are sizes of checkpoints that somebody holds, whose extension is to be shown.
    """

    streams: tuple[str, ...] | None = None
    disclose: tuple[str, ...] = ("all",)
    since: tuple[int, ...] = ()

    def shows(self, stream: str, version: int, payload: Payload) -> bool:
        """Whether the text that the event at `version` brought is disclosed."""
        places, names = ("", stream, f"{stream}/{version}"), ("all", payload.name, payload.kind)
        return any(
            place in places and name in names for place, _, name in (one.rpartition(":") for one in self.disclose)
        )


@dataclass
class Bundle:
    """Files by their names, on their way out: each is passed on as it is made, and its digest kept."""

    put: Callable[[str, bytes], None]
    digests: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, data: bytes) -> None:
        self.digests[name] = hashlib.sha256(data).hexdigest()
        self.put(name, data)


def bundled(
    store: Store,
    tree: TreeStore,
    signers: Sequence[Signer],
    policy: Policy,
    selection: Selection,
    put: Callable[[str, bytes], None],
    more: Iterable[tuple[str, bytes]] = (),
    lost: Lost | None = None,
) -> Checkpoint:
    """Pass every file of the bundle to `put`, with `more` of the caller's and the manifest last. Texts that are
    `lost` are listed as `missing`, which no verifier lets pass.

    To be called inside `tree.sequencing()`, the tree ending with its newest checkpoint. Raises `CallError` where it has
    leaves that nothing signed covers, and `LogBroken` where an entry is gone.
    """
    note = _newest(tree)
    checkpoint = checkpoint_of(note)
    bundle, streams = Bundle(put), _streams(store, selection)
    bundle.add("policy", str(policy).encode())
    bundle.add("verify_bundle.py", VERIFIER.read_bytes())
    _add_signed(bundle, tree, note, selection)
    if selection.streams is None:
        _add_tiles(bundle, tree, checkpoint.size)
        _add_archived(bundle, tree)
    else:
        for stream in streams:
            _add_proved(bundle, store, tree, checkpoint, note, stream)
    _add_anchors(bundle, tree, checkpoint.size)
    told, gone = told_all(store, _add_contents(bundle, store, streams, selection, lost))
    records = list(_records(tree, checkpoint.size, selection, gone, set().union(*(one.signers for one in told))))
    if selection.streams is not None:
        _add_records(bundle, tree, checkpoint, note, records)
    _add_readable(bundle, note, selection, told, [entry for _, _, entry in records])
    for name, data in more:
        bundle.add(name, data)
    manifest = canonical(
        {
            "conversations": streams,
            "disclosed": sorted(selection.disclose),
            "files": dict(sorted(bundle.digests.items())),
            "origin": checkpoint.origin,
            "report": verify_bundle.REPORT,
            "root": checkpoint.root.hex(),
            "scope": "all" if selection.streams is None else "conversations",
            "size": checkpoint.size,
        }
    )
    put("MANIFEST", str(signed(f"{FIRST_LINE}\n{manifest.decode()}\n", *signers)).encode())
    return checkpoint


def _newest(tree: TreeStore) -> Note:
    kept = tree.checkpoints()
    if not kept or kept[-1][0] != tree.size():
        raise CallError("The tree does not end with a checkpoint.", fix="Make one first: `interlock checkpoint`.")
    return _with_cosignatures(tree, *kept[-1])


def _with_cosignatures(tree: TreeStore, size: int, text: str) -> Note:
    note = note_of(text)
    return Note(note.text, (*note.signatures, *map(signature_of, tree.cosignatures(size))))


def _earlier(tree: TreeStore, size: int, selection: Selection) -> Iterator[tuple[int, Note]]:
    """Signed before: all of them where all is exported, else those that somebody else has."""
    wanted = {one.size for one in tree.anchors()} | set(selection.since)
    for at, text in tree.checkpoints():
        if at < size and (selection.streams is None or at in wanted):
            yield at, _with_cosignatures(tree, at, text)


def _add_signed(bundle: Bundle, tree: TreeStore, note: Note, selection: Selection) -> None:
    bundle.add("checkpoint", str(note).encode())
    newest = checkpoint_of(note).size
    for size, one in _earlier(tree, newest, selection):
        bundle.add(f"checkpoints/{size:020}", str(one).encode())
        _add_consistency(bundle, tree, size, newest)
    for size in selection.since:
        _add_consistency(bundle, tree, size, newest)


def _add_consistency(bundle: Bundle, tree: TreeStore, old: int, new: int) -> None:
    name = f"consistency/{old}"
    if old < new and name not in bundle.digests:
        proof = consistency_proof(old, new, tree.nodes)
        bundle.add(name, "".join(f"{_base64(one)}\n" for one in proof).encode())


def _streams(store: Store, selection: Selection) -> list[str]:
    return sorted(store.streams() if selection.streams is None else set(selection.streams))


def file_name(stream: str) -> str:
    """A conversation's name as part of a path: nothing in it leads elsewhere."""
    return quote(stream, safe="").replace(".", "%2E")


# -- the tree -----------------------------------------------------------------------------------------------


def _leaves(tree: TreeStore, first: int, end: int) -> Iterator[tuple[Leaf, bytes]]:
    """Every leaf with its entry, which is empty where it is archived."""
    lengths = {one.stream: one.length for one in tree.archived()}
    for start in range(first, end, CHUNK):
        for leaf, entry in tree.leaves(start, min(CHUNK, end - start)):
            if not entry and leaf.version >= lengths.get(leaf.stream, 0):
                raise LogBroken(
                    f"The entry of leaf {leaf.index} is gone.",
                    stream=leaf.stream,
                    version=leaf.version,
                    fix="Keep the file as evidence, and restore a backup; `interlock verify` lists every break.",
                )
            yield leaf, entry


def _add_tiles(bundle: Bundle, tree: TreeStore, size: int) -> None:
    entries: list[bytes] = []
    for leaf, entry in _leaves(tree, 0, size):
        entries.append(entry)
        if len(entries) == WIDTH or leaf.index == size - 1:
            bundle.add(tile_path("entries", leaf.index // WIDTH, len(entries)), entry_tile(entries))
            entries = []
    level, width = 0, size
    while width:
        for first in range(0, width, WIDTH):
            wanted = [(8 * level, first + n) for n in range(min(WIDTH, width - first))]
            nodes = tree.nodes(wanted)
            data = b"".join(nodes[one] for one in wanted)
            bundle.add(tile_path(str(level), first // WIDTH, len(wanted)), data)
        level, width = level + 1, width >> 8


def _add_archived(bundle: Bundle, tree: TreeStore) -> None:
    """Of each archive the conversations as its record lists them, each with the places of its leaves."""
    records: dict[int, list[Archived]] = {}
    for one in tree.archived():
        records.setdefault(one.record, []).append(one)
    for number, conversations in records.items():
        said = [listed(one) | {"leaves": _places(tree, one)} for one in conversations]
        bundle.add(f"archived/{number}.json", canonical(said))


def _places(tree: TreeStore, one: Archived) -> list[int]:
    places = [tree.index_of(one.stream, version) for version in range(one.length)]
    return [place for place in places if place is not None]


def _records(
    tree: TreeStore, size: int, selection: Selection, gone: Gone, signers: Set[str]
) -> Iterator[tuple[int, int, bytes]]:
    """Number, place and entry of the records that go into the bundle: all, or the last map, changes of the key, what
    names the people who signed approvals, and what accounts for the texts that are gone."""
    for number in range(tree.last_record()[0]):
        index = tree.index_of(RECORDS, number)
        if index is None or index >= size:
            continue
        entry = next(_leaves(tree, index, index + 1))[1]
        wanted = selection.streams is None or index == size - 1 or b'"type":"key_rotated"' in entry
        if entry and (wanted or gone.is_told_by(entry) or _names_one(entry, signers)):
            yield number, index, entry


def _names_one(entry: bytes, people: Set[str]) -> bool:
    """Whether the record says which key one of them signs with, or that they do no more."""
    return bool(people) and b'"type":"approver_named"' in entry and parsed(entry)["data"]["person"] in people


def _add_records(
    bundle: Bundle, tree: TreeStore, checkpoint: Checkpoint, note: Note, records: Sequence[tuple[int, int, bytes]]
) -> None:
    for number, index, entry in records:
        bundle.add(f"records/{number}.json", entry)
        bundle.add(f"proofs/records/{number}.tlog-proof", tlog_proof(tree, index, checkpoint, note))


def _add_proved(bundle: Bundle, store: Store, tree: TreeStore, checkpoint: Checkpoint, note: Note, stream: str) -> None:
    name = file_name(stream)
    entries = store.read(stream)
    for entry in entries:
        index = tree.index_of(stream, entry.version)
        if index is None:
            raise CallError(
                f"{stream!r} has entries that no checkpoint covers.", fix="Make one: `interlock checkpoint`."
            )
        bundle.add(f"proofs/{name}/{entry.version}.tlog-proof", tlog_proof(tree, index, checkpoint, note))
    bundle.add(f"entries/{name}.jsonl", b"".join(entry.data + b"\n" for entry in entries))
    found = tree.head_in_map(stream)
    if found is not None:
        bundle.add(f"heads/{name}.json", canonical({"proof": [one.hex() for one in found[1]]}))


def tlog_proof(tree: TreeStore, index: int, checkpoint: Checkpoint, note: Note) -> bytes:
    """The evidence of one entry, as c2sp.org/tlog-proof says."""
    proof = inclusion_proof(index, checkpoint.size, tree.nodes)
    lines = ["c2sp.org/tlog-proof@v1", f"index {index}", *map(_base64, proof)]
    return ("\n".join(lines) + f"\n\n{note}").encode()


def _add_anchors(bundle: Bundle, tree: TreeStore, size: int) -> None:
    for number, one in enumerate(tree.anchors()):
        stamped = one.size == size or f"checkpoints/{one.size:020}" in bundle.digests
        if one.kind == "rfc3161" and stamped:  # of a checkpoint that was deleted, it says nothing
            bundle.add(f"anchors/{one.size}-{number}.tsr", one.token)


# -- the contents -------------------------------------------------------------------------------------------


def _add_contents(
    bundle: Bundle, store: Store, streams: Sequence[str], selection: Selection, lost: Lost | None
) -> Iterator[tuple[str, Sequence[StoredEntry], list[dict[str, Any]]]]:
    """Texts and flows of each conversation; gives each with its entries and the list of its texts, as it goes."""
    for stream in streams:
        entries, payloads = store.read(stream), store.payloads(stream)
        listed = list(_listed(stream, entries, payloads, selection, lost))
        if listed:
            bundle.add(f"payloads/{file_name(stream)}.json", canonical(listed))
        for digest in sorted({parsed(entry.data)["flow"] for entry in entries}):
            row = store.flow(digest)
            if row is not None and f"flows/{digest}.json" not in bundle.digests:
                bundle.add(f"flows/{digest}.json", row.body)
        yield stream, entries, listed


def _add_readable(
    bundle: Bundle,
    note: Note,
    selection: Selection,
    told: Sequence[verify_bundle.Conversation],
    records: Sequence[bytes],
) -> None:
    """The report for people, by the very code that checks it."""
    readable = verify_bundle.Readable(
        verify_bundle.Checkpoint(str(note).encode()),
        "all" if selection.streams is None else "conversations",
        sorted(selection.disclose),
        told,
        [(verify_bundle.entry_value(entry), leaf_hash(entry)) for entry in records],
    )
    bundle.add("report.csv", readable.csv())
    bundle.add("report.html", readable.html())


def _listed(
    stream: str,
    entries: Sequence[StoredEntry],
    payloads: Mapping[PayloadAt, Payload],
    selection: Selection,
    lost: Lost | None,
) -> Iterator[dict[str, Any]]:
    """Every text that an entry commits to, once; in the order of their versions and names."""
    named: dict[tuple[int, str], Mapping[str, Any]] = {}
    for entry in entries:
        if b'"commit":' in entry.data:
            fields = json.loads(entry.data)
            for ref in _refs_in(fields["data"]):
                named.setdefault((fields["cause"], ref["name"]), ref)
    there = {(at.version, at.name) for at in payloads}
    gone = [Place(*one) for one in sorted(named.keys() - there)]
    missing = set(lost(entries, gone)) if lost is not None and gone else set()
    for (version, name), ref in sorted(named.items()):
        payload = payloads.get(PayloadAt(version=version, name=name))
        said: dict[str, Any] = {"version": version, **ref}
        if payload is None:
            said["not_disclosed"] = "missing" if (version, name) in missing else "erased"
        elif selection.shows(stream, version, payload):
            said |= {"plaintext": _base64(payload.plaintext), "r": payload.r.hex()}
        else:
            said["not_disclosed"] = "withheld"
        yield said


def _refs_in(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if value.keys() == {"commit", "kind", "length", "name"}:
            yield value
        else:
            for part in value.values():
                yield from _refs_in(part)
    elif isinstance(value, list):
        for part in value:
            yield from _refs_in(part)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
