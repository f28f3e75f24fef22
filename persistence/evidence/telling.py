"""A bundle's conversations in words, by the very code that checks them; and which of their texts are gone."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...contracts.canonical import leaf_hash
from ...contracts.errors import LogBroken
from ...contracts.store import Store, StoredEntry
from . import verify_bundle
from .accounting import Gone


def told_all(
    store: Store, listed: Iterator[tuple[str, Sequence[StoredEntry], list[dict[str, Any]]]]
) -> tuple[list[verify_bundle.Conversation], Gone]:
    """Each conversation in words, and which texts are gone."""
    told, gone, flows = [], Gone(), _Flows(store)
    for stream, entries, texts in listed:
        values = [(verify_bundle.entry_value(one.data), leaf_hash(one.data)) for one in entries]
        if values:
            told.append(_told(stream, values, texts, flows))
            gone.note(stream, entries, texts)
    return told, gone


def _told(
    stream: str, values: list[tuple[Any, bytes]], texts: list[dict[str, Any]], flows: Mapping[str, Any]
) -> verify_bundle.Conversation:
    """The conversation in words. Raises `LogBroken` for an entry that is none of ours."""
    try:
        return verify_bundle.Conversation(stream, values, texts, flows)
    except verify_bundle.NotTold as error:
        raise LogBroken(
            f"An entry cannot be told: {error}.",
            stream=stream,
            version=error.version,
            fix="Keep the file as evidence, and restore a backup; `interlock verify` lists every break.",
        ) from error


class _Flows(dict[str, Any]):
    """Flows by digest, each read once."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self._store = store

    def get(self, digest: str, default: Any = None) -> Any:
        if digest not in self:
            row = self._store.flow(digest)
            self[digest] = default if row is None else json.loads(row.body)
        return self[digest]
