"""Which records of the log account for the texts of a bundle that are gone: a person's erasure, and retention."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ...contracts.canonical import parsed
from ...contracts.keeping import text_hash
from ...contracts.store import StoredEntry

_TELL = (b'"type":"erasure_asked"', b'"type":"erasure_done"', b'"type":"texts_pruned"')


class Gone:
    """Texts that a bundle lists as erased: whose they were, and their hashes."""

    def __init__(self) -> None:
        self._subjects: set[str] = set()
        self._texts: set[str] = set()
        self._requests: set[int] = set()

    def note(self, stream: str, entries: Sequence[StoredEntry], listed: Iterable[Mapping[str, Any]]) -> None:
        """Take in what is listed of a conversation's texts."""
        gone = [one for one in listed if one.get("not_disclosed") == "erased"]
        if gone:
            self._subjects.add(str(parsed(entries[0].data)["data"].get("subject", "")))
            self._texts |= {text_hash(stream, one["version"], one["name"]) for one in gone}

    def is_told_by(self, entry: bytes) -> bool:
        """Whether this record, one after another in their order, accounts for any of them; of others it says nothing
        to whoever has the bundle."""
        if not self._texts or not any(one in entry for one in _TELL):
            return False
        value = parsed(entry)
        data = value["data"]
        if value["type"] == "texts_pruned":
            return not data.get("texts") or not self._texts.isdisjoint(data["texts"])
        if value["type"] == "erasure_asked" and data["subject"] in self._subjects:
            self._requests.add(value["record"])
            return True
        return value["type"] == "erasure_done" and data["request"] in self._requests
