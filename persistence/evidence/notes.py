"""C2SP signed notes and checkpoints: text that is signed, and the keys that sign it.

```
example.com/log          <- origin
20852163                 <- size
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/log Az3grlgtzPICa5OS8npVmf1Myq/5...
```

See c2sp.org/signed-note, c2sp.org/tlog-checkpoint and c2sp.org/tlog-cosignature.

An ML-DSA-44 signature (0x06) is over a checkpoint's origin, size and root, as tlog-cosignature says, and not over the
note's text. For other texts there is no such type: `ML_DSA_TEXT` is our own, of those that begin with 0xff.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ...contracts.errors import CallError, LogError
from . import mldsa

ED25519, COSIGNATURE, ML_DSA = 0x01, 0x04, 0x06
"""Signature types: over the note's text; a witness's, which binds the time too; ML-DSA-44, of a log or a witness."""
ML_DSA_TEXT = b"\xffinterlock ml-dsa-44 text v1"
PUBLIC_BYTES = {ED25519: 32, COSIGNATURE: 32, ML_DSA: mldsa.PUBLIC_BYTES}
DASH = "\u2014"
MOST_SIGNATURES, MOST_NAME_BYTES = 100, 255
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
        return self._id(bytes([self.kind]))

    @property
    def text_id(self) -> bytes:
        """The same, under a text that is no checkpoint."""
        return self._id(ML_DSA_TEXT) if self.kind == ML_DSA else self.id

    def _id(self, kind: bytes) -> bytes:
        return hashlib.sha256(self.name.encode() + b"\n" + kind + self.public).digest()[:4]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(bytes([self.kind]) + self.public)}"

    def verifies(self, signature: bytes, message: bytes) -> bool:
        """Raises `SetupError` for an ML-DSA-44 key where the installed `cryptography` has none."""
        if self.kind == ML_DSA:
            return mldsa.verifies(self.public, signature, message)
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
    if not _NAME.fullmatch(name) or PUBLIC_BYTES.get(raw[0] if raw else 0) != len(raw) - 1:
        raise CallError(
            f"{text[:80]!r} is no verifier key of a log or a witness.",
            fix="Give a vkey with an Ed25519 or ML-DSA-44 key, `name+hash+base64`: `interlock key show` prints the "
            "log's.",
        )
    key = VerifierKey(name, raw[0], raw[1:])
    if key.id.hex() != hashed:
        raise CallError(
            f"The verifier key of {name!r} does not fit its hash {hashed[:20]!r}.", fix="Copy the vkey again, whole."
        )
    return key


def verifier_keys(text: str) -> tuple[VerifierKey, ...]:
    """The keys of a file, one on a line: a log that signs with two algorithms has two. Raises `CallError`."""
    return tuple(verifier_key(line) for line in text.split("\n") if line.strip()) or (verifier_key(text),)


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
        """Whether this key signed the text itself; with ML-DSA-44, what a checkpoint's text says."""
        if key.kind == ML_DSA and self.checkpoint() is not None:
            return self.cosigned_at(key) is not None
        if key.kind == COSIGNATURE:
            return False
        return any(key.verifies(one.signature, self.text.encode()) for one in self._of(key, key.text_id))

    def cosigned_at(self, key: VerifierKey) -> int | None:
        """When who has this key saw the checkpoint, in seconds since 1970 (0: not said); None if they did not."""
        return next(iter(self.cosigned_times(key)), None)

    def cosigned_times(self, key: VerifierKey) -> list[int]:
        """Each time that who has this key signed it with: any number of 64 bits, also one that no clock ever shows."""
        found: list[int] = []
        checkpoint = self.checkpoint() if key.kind == ML_DSA else None
        if key.kind == ED25519 or (key.kind == ML_DSA and checkpoint is None):
            return found
        for one in self._of(key, key.id):
            if len(one.signature) > 8:
                at = int.from_bytes(one.signature[:8], "big")
                message = (
                    cosigned_message(self.text, at) if checkpoint is None else cosigned_tree(key.name, checkpoint, at)
                )
                if key.verifies(one.signature[8:], message):
                    found.append(at)
        return found

    def checkpoint(self) -> "Checkpoint | None":
        """The checkpoint that the text is; None for another text."""
        try:
            return checkpoint_of(self)
        except NoteRefused:
            return None

    def _of(self, key: VerifierKey, key_id: bytes) -> list[Signature]:
        return [one for one in self.signatures if (one.name, one.key_id) == (key.name, key_id)]


def vouched(note: Note, keys: Iterable[VerifierKey]) -> bool:
    """Whether a key of every algorithm among these has signed: none suffices where another is known, too.

    So who can forge one of the two algorithms of a log gains nothing.
    """
    signed = [(key.kind, note.signed_by(key)) for key in keys]
    return bool(signed) and {kind for kind, good in signed if good} == {kind for kind, _ in signed}


def cosigned_message(text: str, at: int) -> bytes:
    """What a witness signs: that at this time it saw no larger tree of the log than this one."""
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def cosigned_tree(name: str, checkpoint: "Checkpoint", at: int) -> bytes:
    """What is signed with ML-DSA-44: that the log has this tree (`cosigned_message` of tlog-cosignature)."""
    origin = checkpoint.origin.encode()
    return (
        b"subtree/v1\n\0"
        + _counted(name.encode())
        + at.to_bytes(8, "big")
        + _counted(origin)
        + bytes(8)
        + checkpoint.size.to_bytes(8, "big")
        + checkpoint.root
    )


def _counted(data: bytes) -> bytes:
    if len(data) > MOST_NAME_BYTES:
        raise NoteRefused(
            f"A name of {len(data)} bytes cannot be signed with ML-DSA-44.",
            fix=f"Take a name of at most {MOST_NAME_BYTES} bytes.",
        )
    return bytes([len(data)]) + data


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
