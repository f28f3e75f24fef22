"""Signing keys: a protocol of two methods, and the key file that stands for it by default."""

import base64
import binascii
import os
import stat
import sys
from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from ...contracts.errors import SetupError
from . import mldsa
from .notes import (
    ED25519,
    ML_DSA,
    PUBLIC_BYTES,
    Note,
    Signature,
    VerifierKey,
    checkpoint_of,
    cosigned_message,
    cosigned_tree,
)


class Signer(Protocol):
    """Signs for a log or a witness: a file on this machine, a key service or a hardware module."""

    def verifier(self) -> VerifierKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The signature over the message: 64 bytes of Ed25519, 2,420 of ML-DSA-44, by the verifier's kind."""
        ...


class SigningKey:
    """A signer whose key lies in a file that its owner alone may read. A second line is a second algorithm's key.

    ```
    PRIVATE+KEY+<name>+<hash>+<base64 of the type and the 32-byte seed>
    ```
    """

    def __init__(self, path: Path) -> None:
        """Raises `SetupError` where the file is missing, open to others, or holds no key."""
        self.path = path
        try:
            mode, text = path.stat().st_mode, path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(
                "The signing key cannot be read.",
                where=str(path),
                fix="Make one with `interlock key new`, or give its file with --key or INTERLOCK_SIGNING_KEY.",
            ) from error
        if sys.platform != "win32" and stat.S_IMODE(mode) & 0o077:
            raise SetupError(
                f"Others may read the signing key: its mode is {stat.S_IMODE(mode):04o}.",
                where=str(path),
                fix=f"Run `chmod 600 {path}`; if others did read it, rotate it.",
            )
        self.signers = _parsed(text, path)

    def verifier(self) -> VerifierKey:
        """That of the first line."""
        return self.signers[0].verifier()

    def verifiers(self) -> tuple[VerifierKey, ...]:
        """Of every algorithm that the file has a key of."""
        return tuple(one.verifier() for one in self.signers)

    def sign(self, message: bytes) -> bytes:
        return self.signers[0].sign(message)


class _Line:
    """One key of a file."""

    def __init__(self, name: str, kind: int, seed: bytes) -> None:
        self._private: mldsa.PrivateKey
        if kind == ML_DSA:
            self._private, public = mldsa.opened(seed)
        else:
            self._private = private = Ed25519PrivateKey.from_private_bytes(seed)
            public = private.public_key().public_bytes_raw()
        self._key, self._seed = VerifierKey(name, kind, public), seed

    def verifier(self) -> VerifierKey:
        return self._key

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    def __str__(self) -> str:
        encoded = base64.b64encode(bytes([self._key.kind]) + self._seed).decode()
        return f"PRIVATE+KEY+{self._key.name}+{self._key.id.hex()}+{encoded}"


def new_key(path: Path, name: str, *kinds: int) -> SigningKey:
    """Write fresh keys for the log or witness `name`, by default one of Ed25519; never over a file.

    Raises `SetupError`.
    """
    if not name or any(letter.isspace() or letter == "+" for letter in name):
        raise SetupError(
            f"{name!r} cannot be the name of a key.", fix="Take one without spaces and plus signs, such as a domain."
        )
    lines = [_Line(name, kind, _seed(kind)) for kind in kinds or (ED25519,)]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SetupError(
            f"The key file cannot be made: {error.strerror}.",
            where=str(path),
            fix="Name a file that does not exist yet, in a folder that you may write.",
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
    return SigningKey(path)


def _seed(kind: int) -> bytes:
    return mldsa.made() if kind == ML_DSA else Ed25519PrivateKey.generate().private_bytes_raw()


def _parsed(text: str, path: Path) -> tuple[Signer, ...]:
    found = [_line(line) for line in text.strip().split("\n")]
    lines = [line for line in found if line is not None]
    keys = [line.verifier() for line in lines]
    one_of_each = len({key.kind for key in keys}) == len(keys) and len({key.name for key in keys}) == 1
    if (
        len(lines) != len(found)
        or not one_of_each
        or (len(keys) > 1 and [key.kind for key in keys] != [ED25519, ML_DSA])
    ):
        raise SetupError(
            "The file holds no signing key.", where=str(path), fix="Give the file that `interlock key new` wrote."
        )
    return tuple(lines)


def _line(text: str) -> _Line | None:
    parts = text.strip().split("+", 4)
    try:
        raw = base64.b64decode(parts[4], validate=True)
        if parts[:2] != ["PRIVATE", "KEY"] or raw[0] not in PUBLIC_BYTES:
            return None
        line = _Line(parts[2], raw[0], raw[1:])
    except (IndexError, ValueError, binascii.Error):
        return None
    return line if line.verifier().id.hex() == parts[3] else None


def signed(text: str, *signers: Signer) -> Note:
    """`text` as a note that each of the signers has signed."""
    checkpoint = Note(text, ()).checkpoint()
    lines = []
    for signer in signers:
        key = signer.verifier()
        if checkpoint is not None and key.kind == ML_DSA:
            lines.append(cosigned(text, signer, 0))  # the log says no time: its records do
        else:
            lines.append(Signature(key.name, key.text_id, signer.sign(text.encode())))
    return Note(text, tuple(lines))


def cosigned(text: str, signer: Signer, at: int) -> Signature:
    """A line under the checkpoint `text`, as of `at` (seconds since 1970): a witness's, or one of ML-DSA-44."""
    key = signer.verifier()
    if key.kind == ML_DSA:
        message = cosigned_tree(key.name, checkpoint_of(Note(text, ())), at)
    else:
        message = cosigned_message(text, at)
    return Signature(key.name, key.id, at.to_bytes(8, "big") + signer.sign(message))
