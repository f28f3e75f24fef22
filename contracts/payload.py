"""What people and models wrote: kept outside the envelope, bound to it by a commitment.

Text is bytes (`utf-8`, with lone surrogates passed through), so nothing a person or a model types
can stop the log. The commitment is `HMAC-SHA256(key=r, plaintext)` with 32 random bytes `r` that are
stored beside the plaintext and erased with it: without `r` the commitment tells nothing.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import Literal

from .values import Count, Digest, Value

PayloadClass = Literal["message", "reply", "fact", "arguments", "result", "reason"]


class PayloadRef(Value):
    """What an envelope says of a payload: its name in the event, its class, commitment and length in bytes."""

    name: str
    kind: PayloadClass
    commit: Digest
    length: Count


class PayloadAt(Value):
    """Where a payload is: the version of the event that brought it, and its name there."""

    version: Count
    name: str


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload on its way into the store, or read back from it."""

    name: str
    kind: PayloadClass
    r: bytes
    plaintext: bytes

    @property
    def ref(self) -> PayloadRef:
        return PayloadRef(
            name=self.name, kind=self.kind, commit=commitment(self.r, self.plaintext), length=len(self.plaintext)
        )

    @property
    def text(self) -> str:
        return text_of(self.plaintext)


def commitment(r: bytes, plaintext: bytes) -> str:
    """`HMAC-SHA256(r, plaintext)` in hexadecimal; `r` is 32 random bytes."""
    # Not `hmac.digest`, which lets go of the interpreter each time: another thread would take it, and keep it.
    return hmac.new(r, plaintext, hashlib.sha256).hexdigest()


def bytes_of(text: str) -> bytes:
    """Any Python string as bytes, lone surrogates and NUL included; `text_of` gives it back."""
    return text.encode("utf-8", "surrogatepass")


def text_of(data: bytes) -> str:
    """The text that `bytes_of` wrote; foreign bytes are shown with replacement characters."""
    try:
        return data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return data.decode("utf-8", "replace")
