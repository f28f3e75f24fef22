"""A receipt: the log's signed promise, given at once, that an entry is in it. It closes the time until a checkpoint.

```
interlock receipt v1
<origin>
<stream>
<version>
<base64 of the leaf hash>
<time of the entry>

— <origin> <signature>
```

Signed with Ed25519 where it is handed back at once; `interlock receipt` prints it with a line of each key.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ...contracts.canonical import leaf_hash
from ...contracts.errors import UnknownConversation
from ...contracts.store import Store
from ...contracts.tree import TreeStore
from .keys import Signer, signed
from .notes import ED25519, ML_DSA, Note, NoteRefused, VerifierKey, note_of

FIRST_LINE = "interlock receipt v1"
"""No checkpoint begins so, though one key signs both: a checkpoint's second line is a number."""

ED25519_BYTES = 64
"""Of a signature; one of ML-DSA-44 is longer."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """An entry that the log has: its place in its conversation, its leaf hash, its time."""

    origin: str
    stream: str
    version: int
    leaf: bytes
    at: str

    @property
    def text(self) -> str:
        leaf = base64.b64encode(self.leaf).decode()
        return f"{FIRST_LINE}\n{self.origin}\n{self.stream}\n{self.version}\n{leaf}\n{self.at}\n"


def receipt(store: Store, signers: Sequence[Signer], stream: str, version: int) -> Note:
    """The receipt of an entry that was acknowledged. Raises `UnknownConversation` where there is none."""
    found = store.read(stream, after=version, limit=1)
    if not found:
        raise UnknownConversation(
            f"There is no event {version} of {stream!r} in this log.", fix="List what there is with `interlock log`."
        )
    entry = found[0]
    return signed(Receipt(store.log, stream, version, entry.leaf, entry.at).text, *signers)


def unkept(store: Store, keys: Iterable[VerifierKey], name: str, data: str, tree: TreeStore | None = None) -> str:
    """What does not hold of a receipt that somebody brought, called `name`; empty where its entry is in the log.

    Of an entry that is archived, `tree` has the leaf, and that is enough.
    """
    problems, keys = [], tuple(keys)
    for key in _asked_first(keys):
        try:
            found = receipt_of(data, key)
        except NoteRefused as error:
            problems.append(error.what)
            continue
        if not _all_hold(note_of(data), keys):
            problems.append("Its line of ML-DSA-44 does not hold.")
            continue
        kept = _kept(store, tree, found)
        if kept == found.leaf:
            return ""
        what = "is another" if kept else "is not there"
        return (
            f"The entry that {name} promises ({found.stream} event {found.version}, of {found.at}) {what}: the log was "
            "cut or rewritten, or this is an old copy."
        )
    return f"{name} was not signed with a key of this log: {problems[0] if problems else 'no key of it is known.'}"


def origin_of(data: str) -> str:
    """The log that a receipt says it is of, whoever signed it. Raises `NoteRefused` for what is no receipt."""
    lines = note_of(data).text[:-1].split("\n")
    if lines[0] != FIRST_LINE or len(lines) != 6:
        raise NoteRefused("This is no receipt.", fix="Give the file as it was handed out.")
    return lines[1]


def _asked_first(keys: Sequence[VerifierKey]) -> Sequence[VerifierKey]:
    """Those of Ed25519, with which every receipt is signed; the others where no such key is known."""
    return [key for key in keys if key.kind == ED25519] or keys


def _all_hold(note: Note, keys: Sequence[VerifierKey]) -> bool:
    """Whether each line of the log that is none of Ed25519 holds, where a key of ML-DSA-44 is known."""
    quantum = [key for key in keys if key.kind == ML_DSA]
    good = {key.text_id for key in quantum if note.signed_by(key)}
    names = {key.name for key in quantum}
    lines = [one for one in note.signatures if one.name in names and len(one.signature) != ED25519_BYTES]
    return all(one.key_id in good for one in lines)


def _kept(store: Store, tree: TreeStore | None, found: Receipt) -> bytes:
    """The leaf of the entry in the receipt's place; empty where there is none, or it is not that of its entry."""
    if tree is not None and found.version < {one.stream: one.length for one in tree.archived()}.get(found.stream, 0):
        place = tree.index_of(found.stream, found.version)
        return b"" if place is None else tree.leaves(place, 1)[0][0].hash
    entries = store.read(found.stream, after=found.version, limit=1)
    return entries[0].leaf if entries and leaf_hash(entries[0].data) == entries[0].leaf else b""


def receipt_of(data: str, key: VerifierKey) -> Receipt:
    """What a receipt says, if this key signed it. Raises `NoteRefused`."""
    note = note_of(data)
    lines = note.text[:-1].split("\n")
    try:
        first, origin, stream, version, leaf, at = lines
        found = Receipt(origin, stream, int(version), base64.b64decode(leaf, validate=True), at)
    except (ValueError, binascii.Error) as error:
        raise NoteRefused("This is no receipt.", fix="Give the file as it was handed out.") from error
    if first != FIRST_LINE or found.text != note.text or origin != key.name or not note.signed_by(key):
        raise NoteRefused(
            f"The receipt is not signed with the key {key.id.hex()} of {key.name!r}.", fix="Give the log's own key."
        )
    return found
