"""C2SP signed notes and checkpoints: text that is signed, and the keys that sign it.

```
example.com/log          <- origin
20852163                 <- size
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/log Az3grlgtzPICa5OS8npVmf1Myq/5...
```

See c2sp.org/signed-note, c2sp.org/tlog-checkpoint and c2sp.org/tlog-cosignature.
"""

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ...contracts.errors import CallError, LogError

ED25519, COSIGNATURE = 0x01, 0x04
"""Signature types: over the note's text, and a witness's, which binds the time too."""
DASH = "\u2014"
MOST_SIGNATURES = 100
_NAME = re.compile(r"[^\s+\x00-\x1f]+")
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


class NoteRefused(LogError):
    """A note is not what it should be: malformed, of another log, or signed by no key that was asked for."""

    code = "note_refused"


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A public key with the name it signs under: what a vkey says."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that a signature line begins with."""
        material = self.name.encode() + b"\n" + bytes([self.kind]) + self.public
        return hashlib.sha256(material).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(bytes([self.kind]) + self.public)}"

    def verifies(self, signature: bytes, message: bytes) -> bool:
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


def verifier_key(text: str) -> VerifierKey:
    """The key that a vkey (`name+hash+base64`) stands for. Raises `CallError` for anything else."""
    name, _, rest = text.strip().partition("+")
    hashed, _, encoded = rest.partition("+")
    raw = _unbase64(encoded) or b""
    if not _NAME.fullmatch(name) or len(raw) != 33 or raw[0] not in (ED25519, COSIGNATURE):
        raise CallError(
            f"{text[:80]!r} is no verifier key of a log or a witness.",
            fix="Give a vkey with an Ed25519 key, `name+hash+base64`: `interlock key show` prints the log's.",
        )
    key = VerifierKey(name, raw[0], raw[1:])
    if key.id.hex() != hashed:
        raise CallError(
            f"The verifier key of {name!r} does not fit its hash {hashed[:20]!r}.", fix="Copy the vkey again, whole."
        )
    return key


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line of a note."""

    name: str
    key_id: bytes
    signature: bytes

    def __str__(self) -> str:
        return f"{DASH} {self.name} {_base64(self.key_id + self.signature)}"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends in a newline, and who signed it."""

    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(f"{one}\n" for one in self.signatures)

    def signed_by(self, key: VerifierKey) -> bool:
        """Whether this key signed the text itself."""
        return key.kind == ED25519 and any(key.verifies(one.signature, self.text.encode()) for one in self._of(key))

    def cosigned_at(self, key: VerifierKey) -> int | None:
        """When the witness with this key saw the checkpoint, in seconds since 1970; None if it did not."""
        if key.kind != COSIGNATURE:
            return None
        for one in self._of(key):
            if len(one.signature) == 72:
                at = int.from_bytes(one.signature[:8], "big")
                if key.verifies(one.signature[8:], cosigned_message(self.text, at)):
                    return at
        return None

    def _of(self, key: VerifierKey) -> list[Signature]:
        return [one for one in self.signatures if (one.name, one.key_id) == (key.name, key.id)]


def cosigned_message(text: str, at: int) -> bytes:
    """What a witness signs: that at this time it saw no larger tree of the log than this one."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def note_of(data: str) -> Note:
    """The note in `data`. Raises `NoteRefused` where it is none."""
    text, parted, lines = data.rpartition("\n\n")
    if not parted or not lines.endswith("\n") or re.search(r"[\x00-\x09\x0b-\x1f]", data):
        raise _malformed("it has no text with signature lines behind a blank line")
    signatures = tuple(signature_of(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MOST_SIGNATURES:
        raise _malformed(f"it has {len(signatures)} signatures; at most {MOST_SIGNATURES} are read")
    return Note(text + "\n", signatures)


def signature_of(line: str) -> Signature:
    """The signature in one line. Raises `NoteRefused` where it is none."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    raw = _unbase64(encoded)
    if dash != DASH or not _NAME.fullmatch(name) or raw is None or len(raw) < 5:
        raise _malformed(f"{line[:60]!r} is no signature line")
    return Signature(name, raw[:4], raw[4:])


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of its tree: `size` leaves, with this root."""

    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


def checkpoint_of(note: Note) -> Checkpoint:
    """The checkpoint that a note's text is; extension lines are let be. Raises `NoteRefused` for another text."""
    lines = note.text[:-1].split("\n")
    root = _unbase64(lines[2]) if len(lines) >= 3 else None
    if root is None or len(root) != 32 or not lines[0] or not _SIZE.fullmatch(lines[1]) or "" in lines:
        raise _malformed("its text is no checkpoint (origin, size, root)")
    return Checkpoint(lines[0], int(lines[1]), root)


def signed_checkpoint(data: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint in `data`, if it is of the log of this key and signed by it. Raises `NoteRefused`."""
    note = note_of(data)
    found = checkpoint_of(note)
    if found.origin != key.name:
        raise NoteRefused(
            f"The checkpoint is of the log {found.origin!r}, not of {key.name!r}.", fix="Give the key of its log."
        )
    if not note.signed_by(key):
        raise NoteRefused(
            f"The checkpoint of size {found.size} is not signed with the key {key.id.hex()} of {key.name!r}.",
            fix="Give the key that was in force; if it is that one, the checkpoint is forged or altered.",
        )
    return found


def _malformed(why: str) -> NoteRefused:
    return NoteRefused(f"This is no signed note: {why}.", fix="Fetch the checkpoint again, whole.")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unbase64(text: str) -> bytes | None:
    """None for what is not base64 in its one right spelling."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return data if _base64(data) == text else None
