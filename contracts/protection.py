"""What protects payloads at rest: a master key that wraps the data keys of people, wherever it is kept."""

from typing import Protocol


class MasterKey(Protocol):
    """Two methods, so that a key management service fits behind them; the default is a file beside the log.

    Called when the key of a person is needed for the first time in a process, and never for a single payload.
    May block; raises `KeyUnavailable` where the key cannot be had, and then nothing is recorded.
    """

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """`key` (32 bytes) such that only `unwrap` with the same `context` gives it back."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The key that was wrapped. Raises `KeyUnavailable` for another's, an altered one, or another context."""
        ...
