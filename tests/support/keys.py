"""Master keys for tests: one that needs no file, and one that fails when told."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from interlock.contracts.errors import KeyUnavailable


class KnownKey:
    """A `MasterKey` in memory, as a key management service would stand behind the two methods."""

    def __init__(self, key: bytes = b"k" * 32) -> None:
        self._cipher = AESGCM(key)
        self.wrapped = self.unwrapped = 0
        self.away = False

    def wrap(self, key: bytes, context: bytes) -> bytes:
        self._check()
        self.wrapped += 1
        return self._cipher.encrypt(b"0" * 12, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        self._check()
        self.unwrapped += 1
        try:
            return self._cipher.decrypt(b"0" * 12, wrapped, context)
        except InvalidTag as error:
            raise KeyUnavailable("Another key wrapped this.") from error

    def _check(self) -> None:
        if self.away:
            raise KeyUnavailable("The key service does not answer.")


KNOWN = KnownKey()
