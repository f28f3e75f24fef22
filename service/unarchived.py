"""An archive's conversations read back, as a store in memory: for people to read, and for nothing to be written to."""

import base64

from ..contracts.archive import Archived
from ..contracts.canonical import leaf_hash, parsed
from ..contracts.errors import KeyUnavailable
from ..contracts.payload import Payload, PayloadAt
from ..contracts.protection import KeepingStore
from ..contracts.store import Append, FlowRow, StoredEntry
from ..persistence.codec import entry_of
from ..persistence.evidence.bundle import file_name
from ..persistence.memory_store import MemoryStore
from .archiving import packed_of, sealed_name
from .auditing import projection_of
from .pruning import Opened


def store_of(archive: Opened, log: KeepingStore) -> MemoryStore:
    """The conversations of an archive that verifies. Texts are opened with the keys in `log`; those whose key is gone,
    or cannot be had, read as erased."""
    store = MemoryStore(origin=log.log)
    for name, body in archive.files.items():
        if name.startswith("flows/"):
            said = parsed(body)
            store.put_flow(FlowRow(name[6:-5], said["name"], said["version"], body, archive.name))
    for one in archive.conversations:
        rows = [_row(line) for line in archive.lines(one.stream)]
        payloads = _payloads(archive, one, log)
        entries = tuple(entry_of(row, payloads) for row in rows)
        store.append(Append(entries, 0, projection_of(rows)))
    return store


def _row(line: bytes) -> StoredEntry:
    fields = parsed(line)
    said = (fields["stream"], fields["ver"], fields["type"], fields["at"], fields.get("key"))
    return StoredEntry(*said, leaf_hash(line), line)


def _payloads(archive: Opened, one: Archived, log: KeepingStore) -> dict[PayloadAt, Payload]:
    sealed = archive.files.get(sealed_name(one.stream))
    if sealed is not None:
        try:
            return dict(log.unpacked(one.stream, packed_of(parsed(sealed))))
        except KeyUnavailable:
            return {}
    told = archive.files.get(f"payloads/{file_name(one.stream)}.json")
    return {
        PayloadAt(version=text["version"], name=text["name"]): Payload(
            text["name"], text["kind"], bytes.fromhex(text["r"]), base64.b64decode(text["plaintext"])
        )
        for text in (parsed(told) if told else ())
        if "plaintext" in text
    }
