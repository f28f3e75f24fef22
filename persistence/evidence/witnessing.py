"""A C2SP tlog-witness: it signs that it saw a tree grow from what it saw before, and nothing else.

It keeps one head for each log it knows. It is worth what its place is worth: in another organisation, or at least
under another administrator than the log.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...contracts.errors import InterlockError
from ..merkle import is_consistent
from .keys import Signer, cosigned
from .notes import Checkpoint, Note, NoteRefused, VerifierKey, checkpoint_of, note_of, vouched
from .signing import FileMemory, written_whole

MOST_PROOF_LINES = 63
MOST_KEPT = 100
"""Refused checkpoints of one log that are kept, at most."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the witness answers: an HTTP status and a body."""

    status: int
    body: str
    kind: str = "text/plain; charset=utf-8"
    about: Checkpoint | None = None
    """The checkpoint that it answers, if it is of a log that the witness knows; not sent."""
    kept: Path | None = None
    """Where a checkpoint was put that the log signed and that does not extend what was seen of it; not sent."""


class _Refused(InterlockError):
    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(answer.body)


class _Contradicts(_Refused):
    """Signed by the log, and another history than the one that was seen: with what was seen, the proof of a fork."""


class Witness:
    """Answers `add-checkpoint`. Thread-safe; several processes may share the folder."""

    def __init__(self, folder: Path, signer: Signer, logs: Sequence[VerifierKey]) -> None:
        """`folder` keeps what was seen of each log; `logs` are those it knows, each by its keys."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._signer = folder, signer
        self._keys: dict[str, list[VerifierKey]] = {}
        for key in logs:
            self._keys.setdefault(key.name, []).append(key)

    def add_checkpoint(self, body: str, now: int) -> Answer:
        """The cosignature, or why there is none: 400, 403, 404, 409 or 422 as the protocol says."""
        try:
            old, proof, note = _request(body)
            checkpoint = self._known(note)
            if old > checkpoint.size:
                raise _Refused(Answer(400, "the old size is larger than the checkpoint's\n"))
        except _Refused as refused:
            return refused.answer
        try:
            self._memory(checkpoint.origin).moved(lambda last: _advanced(last, old, proof, checkpoint))
        except _Contradicts as refused:
            return replace(refused.answer, about=checkpoint, kept=self._keep(checkpoint.origin, note))
        except _Refused as refused:
            return replace(refused.answer, about=checkpoint)
        # Only now that it is remembered: what was cosigned is never forgotten.
        line = f"{cosigned(checkpoint.text, self._signer, now)}\n"
        written_whole(self._latest(checkpoint.origin), f"{note}{line}".encode())
        return Answer(200, line, about=checkpoint)

    def _keep(self, origin: str, note: Note) -> Path | None:
        """The refused note in a file of its own; None where there are enough of this log."""
        name = _file_name(origin)
        file = self._folder / f"{name}.{hashlib.sha256(note.text.encode()).hexdigest()[:16]}.refused"
        if not file.is_file():
            if len(list(self._folder.glob(f"{name}.*.refused"))) >= MOST_KEPT:
                return None
            written_whole(file, str(note).encode())
        return file

    def latest(self, origin: str) -> str | None:
        """The newest checkpoint of a log that this witness signed, with its cosignature; for who audits that log."""
        file = self._latest(origin)
        return file.read_text("utf-8") if file.is_file() else None

    def origins(self) -> list[str]:
        return sorted(self._keys)

    def _known(self, note: Note) -> Checkpoint:
        try:
            checkpoint = checkpoint_of(note)
        except NoteRefused as error:
            raise _Refused(Answer(400, f"{error.what}\n")) from error
        keys = self._keys.get(checkpoint.origin)
        if keys is None:
            raise _Refused(Answer(404, "unknown log\n"))
        if not vouched(note, keys):
            raise _Refused(Answer(403, "no signature of a known key of this log\n"))
        return checkpoint

    def _memory(self, origin: str) -> FileMemory:
        return FileMemory(self._folder / f"{_file_name(origin)}.head", origin)

    def _latest(self, origin: str) -> Path:
        return self._folder / f"{_file_name(origin)}.checkpoint"


def _file_name(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()[:32]


def _advanced(last: Checkpoint, old: int, proof: Sequence[bytes], new: Checkpoint) -> Checkpoint:
    if last.size != old:
        raise _Refused(Answer(409, f"{last.size}\n", "text/x.tlog.size"))
    if old == new.size and last.root != new.root:
        raise _Contradicts(Answer(409, f"{last.size}\n", "text/x.tlog.size"))
    if not is_consistent(old, new.size, proof, last.root, new.root):
        raise _Contradicts(Answer(422, "the consistency proof does not hold\n"))
    return new


def _request(body: str) -> tuple[int, list[bytes], Note]:
    head, parted, rest = body.partition("\n\n")
    lines = head.split("\n")
    size = re.fullmatch(r"old (0|[1-9][0-9]{0,18})", lines[0])
    try:
        if not parted or size is None or len(lines) - 1 > MOST_PROOF_LINES:
            raise _Refused(Answer(400, "the body is not: old size, proof, blank line, checkpoint\n"))
        return int(size[1]), [base64.b64decode(line, validate=True) for line in lines[1:]], note_of(rest)
    except (NoteRefused, binascii.Error, ValueError) as error:
        raise _Refused(Answer(400, f"{error}\n")) from error


def request_body(old: int, proof: Sequence[bytes], note: Note) -> str:
    """What is sent to `add-checkpoint`."""
    lines = [f"old {old}", *(base64.b64encode(one).decode() for one in proof)]
    return "\n".join(lines) + f"\n\n{note}"
