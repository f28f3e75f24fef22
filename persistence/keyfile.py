"""The master key in a file of its own, beside the log: mode 0600, made on first use, never in a backup of the log.

```
interlock master keys, version 1: keep this file secret, and a copy of it elsewhere
3f0a5c1e9b7d2a64 <64 hexadecimal digits>
```

One key a line; the last one wraps, all of them unwrap, so that keys can be changed while the log is in use. A
wrapped key is `id (8 bytes) || nonce (12) || AES-256-GCM(key)` with its context as associated data.
"""

import os
import re
import stat
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from ..contracts.errors import KeyUnavailable

FIRST_LINE = "interlock master keys, version 1: keep this file secret, and a copy of it elsewhere"
_LINE = re.compile(r"([0-9a-f]{16}) ([0-9a-f]{64})")
ID_BYTES, NONCE_BYTES = 8, 12
OTHERS = stat.S_IRWXG | stat.S_IRWXO
"""Permissions that nobody but the owner of a key may have."""


class KeyFile:
    """A `MasterKey` in a file. Read at first use and when it was replaced; several processes may share it."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._lock = Lock()
        self._read_at: tuple[int, int, int] | None = None
        self._keys: dict[bytes, bytes] = {}

    def exists(self) -> bool:
        return self.path.exists()

    def create(self) -> None:
        """Make the file with a first key, durable on return; a file that exists stays as it is."""
        if not self.exists():
            self._write({os.urandom(ID_BYTES): os.urandom(32)}, new=True)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        identity, master = list(self._current().items())[-1]
        nonce = os.urandom(NONCE_BYTES)
        return identity + nonce + AESGCM(master).encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        identity, rest = wrapped[:ID_BYTES], wrapped[ID_BYTES:]
        master = self._current().get(identity)
        if master is None:
            raise KeyUnavailable(
                f"The master key {identity.hex()} is not in the key file.",
                where=str(self.path),
                fix="Put the file there that belongs to this log, from its backup.",
            )
        try:
            return AESGCM(master).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], context)
        except (InvalidTag, ValueError) as error:
            raise KeyUnavailable(
                "A wrapped key was altered, or put in another's place.",
                where=str(self.path),
                fix="Run `interlock verify`, and restore a backup of the log that verifies.",
            ) from error

    def ids(self) -> tuple[str, ...]:
        """The ids of the master keys, the one that wraps last."""
        return tuple(identity.hex() for identity in self._current())

    def add(self) -> str:
        """Add a key, which wraps from now on; the older ones stay until `keep_newest`."""
        keys = {**self._current(), os.urandom(ID_BYTES): os.urandom(32)}
        self._write(keys, new=False)
        return self.ids()[-1]

    def wrap_by(self, identity: str) -> None:
        """Have a key of the file wrap from now on. The others stay: another process may have wrapped by them."""
        keys = self._current()
        chosen = bytes.fromhex(identity)
        self._write({**{one: key for one, key in keys.items() if one != chosen}, chosen: keys[chosen]}, new=False)

    def keep_newest(self) -> None:
        """Forget all keys but the one that wraps: what they wrapped must have been wrapped anew before."""
        self._write(dict(list(self._current().items())[-1:]), new=False)

    def _current(self) -> dict[bytes, bytes]:
        with self._lock:
            try:
                found = self.path.stat()
            except OSError as error:
                raise KeyUnavailable(
                    "The key file is missing, and texts of this log are encrypted under it.",
                    where=str(self.path),
                    fix="Put it back from its backup, or name its place with INTERLOCK_KEY_FILE. Nothing is lost "
                    "while the file exists somewhere.",
                ) from error
            stamp = (found.st_mtime_ns, found.st_ino, found.st_mode)
            if stamp != self._read_at:
                self._keys = self._checked(found)
                self._read_at = stamp
            return self._keys

    def _checked(self, found: os.stat_result) -> dict[bytes, bytes]:
        if sys.platform != "win32" and found.st_mode & OTHERS:
            raise KeyUnavailable(
                f"The key file can be read or written by others (mode {stat.S_IMODE(found.st_mode):04o}).",
                where=str(self.path),
                fix=f"Run `chmod 600 {self.path}`, ask who may have read it, and change the key with "
                "`interlock keys rotate`.",
            )
        try:
            first, *lines = self.path.read_text("ascii").splitlines()
        except (OSError, ValueError) as error:
            first, lines = f"({error})", []
        matches = [_LINE.fullmatch(line) for line in lines]
        keys = {bytes.fromhex(match[1]): bytes.fromhex(match[2]) for match in matches if match}
        if first != FIRST_LINE or not keys or not all(matches):
            raise KeyUnavailable(
                "This is no file of master keys, or it is damaged.",
                where=str(self.path),
                fix="Put the right file back from its backup, or name its place with INTERLOCK_KEY_FILE.",
            )
        return keys

    def _write(self, keys: dict[bytes, bytes], *, new: bool) -> None:
        """Whole or not at all: written beside, synced, and put in its place. Of two that make it, one wins."""
        lines = [FIRST_LINE, *(f"{identity.hex()} {key.hex()}" for identity, key in keys.items()), ""]
        beside = self.path.with_name(f"{self.path.name}.{os.urandom(4).hex()}")
        try:
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "wb") as file:
                file.write("\n".join(lines).encode())
                file.flush()
                os.fsync(file.fileno())
            if new and sys.platform != "win32":
                with suppress(FileExistsError):
                    os.link(beside, self.path)
                beside.unlink()
            else:
                beside.replace(self.path)
            _sync_folder(self.path.parent)
        except OSError as error:
            with suppress(OSError):
                beside.unlink()
            raise KeyUnavailable(
                f"The key file cannot be written: {error.strerror}.",
                where=str(self.path),
                fix="Make its folder writable, or name another place with INTERLOCK_KEY_FILE.",
            ) from error
        with self._lock:
            self._read_at = None


def _sync_folder(folder: Path) -> None:
    """A new name is durable once its folder is synced; Windows has no such thing."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
