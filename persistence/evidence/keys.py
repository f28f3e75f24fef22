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
from .notes import COSIGNATURE, ED25519, Note, Signature, VerifierKey, cosigned_message


class Signer(Protocol):
    """Signs for a log or a witness: a file on this machine, a key service or a hardware module."""

    def verifier(self) -> VerifierKey:
        """The public half."""
        ...

    def sign(self, message: bytes) -> bytes:
        """The Ed25519 signature (64 bytes) over the message."""
        ...


class SigningKey:
    """A signer whose key lies in a file that its owner alone may read.

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
        self._private, self._public = _parsed(text, path)

    def verifier(self) -> VerifierKey:
        return self._public

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)


def new_key(path: Path, name: str, kind: int = ED25519) -> SigningKey:
    """Write a fresh key for the log or witness `name`; never over a file. Raises `SetupError`."""
    if not name or any(letter.isspace() or letter == "+" for letter in name):
        raise SetupError(
            f"{name!r} cannot be the name of a key.", fix="Take one without spaces and plus signs, such as a domain."
        )
    private = Ed25519PrivateKey.generate()
    public = VerifierKey(name, kind, private.public_key().public_bytes_raw())
    encoded = base64.b64encode(bytes([kind]) + private.private_bytes_raw()).decode()
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise SetupError(
            f"The key file cannot be made: {error.strerror}.",
            where=str(path),
            fix="Name a file that does not exist yet, in a folder that you may write.",
        ) from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(f"PRIVATE+KEY+{name}+{public.id.hex()}+{encoded}\n")
        file.flush()
        os.fsync(file.fileno())
    return SigningKey(path)


def _parsed(text: str, path: Path) -> tuple[Ed25519PrivateKey, VerifierKey]:
    parts = text.strip().split("+", 4)
    try:
        raw = base64.b64decode(parts[4], validate=True)
        kind, private = raw[0], Ed25519PrivateKey.from_private_bytes(raw[1:])
        public = VerifierKey(parts[2], kind, private.public_key().public_bytes_raw())
        if parts[:2] == ["PRIVATE", "KEY"] and public.id.hex() == parts[3] and kind in (ED25519, COSIGNATURE):
            return private, public
    except (IndexError, ValueError, binascii.Error):
        pass
    raise SetupError(
        "The file holds no signing key.", where=str(path), fix="Give the file that `interlock key new` wrote."
    )


def signed(text: str, *signers: Signer) -> Note:
    """`text` as a note that each of the signers has signed."""
    lines = []
    for signer in signers:
        key = signer.verifier()
        lines.append(Signature(key.name, key.id, signer.sign(text.encode())))
    return Note(text, tuple(lines))


def cosigned(text: str, signer: Signer, at: int) -> Signature:
    """A witness's line under the checkpoint `text`, as of `at` (seconds since 1970)."""
    key = signer.verifier()
    return Signature(key.name, key.id, at.to_bytes(8, "big") + signer.sign(cosigned_message(text, at)))
