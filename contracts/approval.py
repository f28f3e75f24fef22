"""A person's signature under exactly one decision: what was decided, of which entry of the log, shown how, until when.

Signed are the bytes `interlock approval v1\\n` and the RFC 8785 form of everything but the signature itself.
"""

from typing import Annotated, Literal

from pydantic import Field

from .canonical import canonical
from .values import ActorId, Count, Digest, Instant, Name, Value

PREFIX = b"interlock approval v1\n"
Doubt = Literal["unknown_key", "wrong_signature", "other_action", "used_before"]
"""Why a signature is not believed, found before the decision: its key is nobody's or another's, it does not verify,
it is under another entry of the log, or under a decision that stands already."""


class SignedApproval(Value):
    """`action` is the leaf of the entry that opened the task: no other entry, no other arguments, has it."""

    action: Digest
    conversation: str
    task: Count
    decision: Name
    meaning: Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
    """What the signature stands for, in words that the person was shown: "I approve this refund"."""
    shown: Digest
    person: ActorId
    key: Digest
    """The public Ed25519 key, in hexadecimal."""
    nonce: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    signed_at: Instant
    expires: Instant
    signature: Annotated[str, Field(pattern=r"^[0-9a-f]{128}$")]

    def signed_bytes(self) -> bytes:
        return PREFIX + canonical(self.model_dump(mode="json", exclude={"signature"}))
