"""ML-DSA-44 (FIPS 204), which no quantum computer is known to forge, where the installed `cryptography` has it."""

import importlib.metadata
from typing import Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from ...contracts.errors import SetupError

try:
    from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey, MLDSA44PublicKey
except ImportError:  # before cryptography 47
    AVAILABLE = False
else:
    AVAILABLE = True

PUBLIC_BYTES, SEED_BYTES, SIGNATURE_BYTES = 1312, 32, 2420


class PrivateKey(Protocol):
    """What is needed of a private key of any algorithm."""

    def sign(self, data: bytes, /) -> bytes: ...


def made() -> bytes:
    """The seed of a fresh key. Raises `SetupError`."""
    _needed()
    return MLDSA44PrivateKey.generate().private_bytes_raw()


def opened(seed: bytes) -> tuple[PrivateKey, bytes]:
    """The private key of a seed, and its public half. Raises `SetupError`, and `ValueError` for no seed."""
    _needed()
    private = MLDSA44PrivateKey.from_seed_bytes(seed)
    return private, private.public_key().public_bytes_raw()


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Raises `SetupError` where it cannot be said."""
    _needed()
    try:
        MLDSA44PublicKey.from_public_bytes(public).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    except UnsupportedAlgorithm as error:
        raise _missing() from error
    return True


def _needed() -> None:
    if not AVAILABLE:
        raise _missing()


def _missing() -> SetupError:
    version = importlib.metadata.version("cryptography")
    return SetupError(
        f"The installed cryptography {version} has no ML-DSA-44: such signatures can be neither made nor checked.",
        fix="Install cryptography 50 or newer with pip.",
    )
