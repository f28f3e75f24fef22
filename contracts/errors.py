"""The error tree: what went wrong, where, and what to do about it.

Classes follow what the reader must do, not which module raised: mend the flow, mend the call,
read again and retry, or call an operator. Every class has a stable `code`.
"""

from dataclasses import dataclass
from typing import ClassVar


class InterlockError(Exception):
    """Base of every error raised on purpose. `str()` is one readable paragraph."""

    code: ClassVar[str] = "interlock"

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        super().__init__(what)

    def __str__(self) -> str:
        parts = [f"{self.what}"]
        if self.where:
            parts.append(f"Where: {self.where}.")
        if self.fix:
            parts.append(f"Fix: {self.fix}")
        return " ".join(parts)


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a flow. `line` is the line in its file, 0 where there is no file."""

    code: str
    what: str
    fix: str
    line: int = 0
    where: str = ""

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line else ""
        return f"{place}{self.code} {self.what} Fix: {self.fix}"


class FlowError(InterlockError):
    """The flow must be mended before any conversation can start; `faults` lists all of them."""

    code = "flow"

    def __init__(self, what: str, *, where: str = "", fix: str = "", faults: tuple[Fault, ...] = ()) -> None:
        self.faults = faults
        super().__init__(what, where=where, fix=fix)

    def __str__(self) -> str:
        return "\n".join([super().__str__(), *(f"  {fault}" for fault in self.faults)])


class CallError(InterlockError):
    """The caller must mend the call: nothing was recorded, nothing moved."""

    code = "call"


class UnknownConversation(CallError):
    """There is no such conversation in this log."""

    code = "unknown_conversation"


class ConversationArchived(UnknownConversation):
    """Its entries were pruned; `archive` names the archive that has them (HTTP 410). It takes nothing more."""

    code = "archived"

    def __init__(self, what: str, *, stream: str, archive: str, where: str = "", fix: str = "") -> None:
        self.stream, self.archive = stream, archive
        super().__init__(what, where=where, fix=fix)


class KeyReused(CallError):
    """An idempotency key came again with another body (HTTP 409)."""

    code = "key_reused"


class NotEncodable(CallError):
    """A value cannot stand in the log: a float, a large integer, a lone surrogate, too many bytes."""

    code = "not_encodable"


class StreamMoved(InterlockError):
    """Somebody else appended first: read again, decide again, append again."""

    code = "stream_moved"


class Overloaded(InterlockError):
    """Too much is waiting; nothing was recorded. Send the same again, with the same key, after
    `retry_after_seconds`; `waiting` is how many submissions wait (HTTP 503 with `Retry-After`)."""

    code = "overloaded"

    def __init__(
        self, what: str, *, retry_after_seconds: int = 1, waiting: int = 0, where: str = "", fix: str = ""
    ) -> None:
        self.retry_after_seconds, self.waiting = retry_after_seconds, waiting
        super().__init__(what, where=where, fix=fix)


class LogError(InterlockError):
    """The log cannot be trusted or cannot be written: call an operator. No effect was performed."""

    code = "log"


class LogBroken(LogError):
    """Stored entries do not verify; `stream` and `version` name the first broken position."""

    code = "log_broken"

    def __init__(self, what: str, *, stream: str, version: int, where: str = "", fix: str = "") -> None:
        self.stream, self.version = stream, version
        super().__init__(what, where=where or f"stream {stream}, version {version}", fix=fix)


class StorageError(LogError):
    """The database refused or failed."""

    code = "storage"


class KeyUnavailable(LogError):
    """The key that protects payloads is missing, is readable by others, or is another log's: nothing was lost."""

    code = "key_unavailable"


class SetupError(InterlockError):
    """Something needed to run is missing or was configured wrongly."""

    code = "setup"


class AgentFailed(InterlockError):
    """One attempt at a model ended without an answer. Recorded as an outcome, never lost.

    `kind` is the declared outcome (`timeout`, `failed`, `refused`, `invalid`); `reason` a short
    stable word; `retry_after_seconds` what the provider asked for, if it did.
    """

    code = "agent_failed"

    def __init__(
        self,
        what: str,
        *,
        kind: str = "failed",
        reason: str = "error",
        retry_after_seconds: int | None = None,
        request_id: str = "",
        where: str = "",
        fix: str = "",
    ) -> None:
        self.kind, self.reason, self.retry_after_seconds = kind, reason, retry_after_seconds
        self.request_id = request_id
        super().__init__(what, where=where, fix=fix)
