"""Payloads as they lie in the database: AES-256-GCM under a key of the person whom they are about.

A data key is 32 random bytes, wrapped by the master key and kept beside the payloads; deleting it makes every copy
of what it encrypted unreadable, in backups too. What is encrypted is `r || plaintext`: the commitment in the entry
is over the plaintext, so that no other key and text can be shown in its place (GCM alone does not commit to a key).
The associated data is where the payload belongs, so that no row can stand in for another.

Nonces are 96 random bits. NIST SP 800-38D section 8.3 allows 2^32 of them under one key; a process leaves a key
after 2^20, so a repetition has a probability below 2^-33 until 4,096 processes have each used a key up.
"""

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from threading import Lock
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..contracts.envelope import Entry
from ..contracts.errors import KeyUnavailable, LogBroken
from ..contracts.payload import Payload, bytes_of
from ..contracts.protection import MasterKey
from .keyfile import ID_BYTES, NONCE_BYTES, KeyFile

Row = tuple[Any, ...]
R_BYTES = 32
REMEMBERED = 10_000
"""Data keys that are kept in memory, at most."""
MOST_PAYLOADS = 2**20
"""Payloads that one process encrypts under one data key, at most."""


class DataKey:
    """One key of a person, ready for use. `used` counts what this process has encrypted under it."""

    __slots__ = ("cipher", "id", "subject", "used")

    def __init__(self, identity: str, subject: str, key: bytes) -> None:
        self.id, self.subject, self.cipher, self.used = identity, subject, AESGCM(key), 0


class Vault:
    """Encrypts and opens payloads. Which key is a person's is asked of the database; keys stay in memory, bounded.

    `ready`, `forget_current` and `row` belong to the thread that writes; `opened` may be called from any.
    """

    def __init__(self, master: MasterKey, remembered: int = REMEMBERED) -> None:
        self.master, self._remembered = master, remembered
        self._lock = Lock()
        self._keys: OrderedDict[str, DataKey] = OrderedDict()
        self._current: dict[str, DataKey] = {}

    def forget_current(self) -> None:
        """Which key is whose must be asked again: somebody else wrote, or a write of ours was undone."""
        self._current.clear()

    def forget(self, subject: str) -> None:
        """Drop the keys of an erased person from memory."""
        with self._lock:
            self._current.pop(subject, None)
            for identity in [one.id for one in self._keys.values() if one.subject == subject]:
                del self._keys[identity]

    def ready(
        self,
        subjects: Iterable[str],
        stored: Callable[[Sequence[str]], Sequence[Row]],
        any_wrapped: Callable[[], Sequence[Row]],
    ) -> list[Row]:
        """Have a key for each of `subjects`; returns the rows (id, subject, wrapped) of keys that are new.

        `stored` gives (id, subject, wrapped) of the keys that subjects have. `any_wrapped` gives any
        wrapped key of the database: a key file is made only where there is none.
        """
        missing = sorted(
            subject for subject in subjects if (key := self._current.get(subject)) is None or key.used >= MOST_PAYLOADS
        )
        if not missing:
            return []
        if len(self._current) > self._remembered:
            self._current.clear()
        for identity, subject, wrapped in stored(missing):
            key = self._unwrapped(identity, subject, wrapped)
            if key.used < MOST_PAYLOADS:
                self._current[subject] = key
        used_up = [one for one in missing if one not in self._current or self._current[one].used >= MOST_PAYLOADS]
        return [self._new_key(subject, any_wrapped) for subject in used_up]

    def _new_key(self, subject: str, any_wrapped: Callable[[], Sequence[Row]]) -> Row:
        if isinstance(self.master, KeyFile) and not self.master.exists() and not any_wrapped():
            self.master.create()
        identity, key = os.urandom(16).hex(), os.urandom(32)
        wrapped = self.master.wrap(key, context(identity, subject))
        self._current[subject] = self._kept(DataKey(identity, subject, key))
        return identity, subject, wrapped

    def row(self, entry: Entry, payload: Payload, subject: str) -> Row:
        """The payload in the order of `statements.ADD_PAYLOAD`; `ready` was called for the subject."""
        return self.sealed(entry.stream, entry.version, payload, subject)

    def sealed(self, stream: str, version: int, payload: Payload, subject: str) -> Row:
        """The same, of a payload at this place."""
        key = self._current[subject]
        key.used += 1
        place = (stream, version, payload.name, payload.kind)
        nonce = os.urandom(NONCE_BYTES)
        body = key.cipher.encrypt(nonce, payload.r + payload.plaintext, associated(*place))
        return (*place, subject, None, body, key.id, nonce)

    def opened(self, stream: str, version: int, row: Row, wrapped: Callable[[str], Sequence[Row]]) -> Payload:
        """The payload of a row (name, kind, r, body, key_id, nonce). `wrapped` gives (id, subject, wrapped) of a key.

        Raises `LogBroken` where it does not decrypt or its key is gone, `KeyUnavailable` where the key cannot be had.
        """
        name, kind, r, body, key_id, nonce = row
        if key_id is None:
            return Payload(name=name, kind=kind, r=r or b"", plaintext=body)
        with self._lock:
            key = self._keys.get(key_id)
        if key is None:
            found = wrapped(key_id)
            if not found:
                raise _broken(stream, version, f"The key of the payload {name!r} is gone, and the payload is not.")
            key = self._unwrapped(*found[0])
        try:
            plain = key.cipher.decrypt(nonce or b"", body, associated(stream, version, name, kind))
        except (InvalidTag, ValueError) as error:
            raise _broken(stream, version, f"The payload {name!r} does not decrypt as what stands in its place.") from (
                error
            )
        return Payload(name=name, kind=kind, r=plain[:R_BYTES], plaintext=plain[R_BYTES:])

    def rewrapped(self, identity: str, subject: str, wrapped: bytes) -> bytes:
        """The same data key under the master key that wraps now."""
        named = context(identity, subject)
        return self.master.wrap(self.master.unwrap(wrapped, named), named)

    def tried(self, row: Row) -> None:
        """Unwrap a key (id, subject, wrapped). Raises `KeyUnavailable` where texts under it could not be read."""
        self._unwrapped(*row)

    def altered(self, rows: Iterable[Row]) -> list[Row]:
        """Those of the rows (id, subject, wrapped) of keys that were altered: the master key that they name is here and
        does not open them, or is not, though others are. Empty where the master key is kept by a service, which is
        asked with each text, and where the file cannot be read or is that of another log."""
        try:
            known = set(self.master.ids()) if isinstance(self.master, KeyFile) else set()
        except KeyUnavailable:
            known = set()
        if not known:
            return []
        wrong, opened = [], False
        for row in rows:
            try:
                self.master.unwrap(row[2], context(row[0], row[1]))
                opened = True
            except KeyUnavailable:
                wrong.append(row)
        return [row for row in wrong if opened or row[2][:ID_BYTES].hex() in known]

    def _unwrapped(self, identity: str, subject: str, wrapped: bytes) -> DataKey:
        with self._lock:
            known = self._keys.get(identity)
        if known is not None and known.subject == subject:
            return known
        key = self.master.unwrap(wrapped, context(identity, subject))
        if len(key) != 32:
            raise KeyUnavailable(
                "The master key gave back something that is no data key.",
                where=f"data key {identity}",
                fix="Check the key management service: `unwrap` must give what `wrap` was given.",
            )
        return self._kept(DataKey(identity, subject, key))

    def _kept(self, key: DataKey) -> DataKey:
        with self._lock:
            kept = self._keys.setdefault(key.id, key)
            self._keys.move_to_end(key.id)
            while len(self._keys) > self._remembered:
                self._keys.popitem(last=False)
        return kept


def _broken(stream: str, version: int, what: str) -> LogBroken:
    return LogBroken(
        what, stream=stream, version=version, fix="Keep the file as evidence, and restore a backup that verifies."
    )


def associated(stream: str, version: int, name: str, kind: str) -> bytes:
    """Where a payload belongs. Only the name, which stands last, may hold a line break."""
    return bytes_of(f"interlock payload v1\n{stream}\n{version}\n{kind}\n{name}")


def context(identity: str, subject: str) -> bytes:
    """What a data key is for."""
    return bytes_of(f"interlock data key v1\n{identity}\n{subject}")
