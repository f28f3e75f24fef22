"""Taking a checkpoint to where the database's administrator cannot reach it.

An anchor is worth what its place is worth: a folder that is mounted from a store with object lock, a time-stamping
authority, a witness. A copy beside the database proves nothing.
"""

import hashlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from ...contracts.errors import LogError, SetupError
from ...contracts.tree import Anchored
from ...contracts.values import written_time
from .notes import Checkpoint, Note, checkpoint_of, note_of


class AnchorFailed(LogError):
    """A place did not take the checkpoint, or has another one there."""

    code = "anchor_failed"


class Anchor(Protocol):
    """A place that checkpoints are taken to."""

    def put(self, checkpoint: Checkpoint, note: Note, at: datetime) -> Anchored:
        """Take it there; durable on return. The same again is fine. Raises `AnchorFailed`."""
        ...


class FolderAnchor:
    """A folder, such as one mounted from an object store: one file for each checkpoint, never written over.

    `<folder>/<first 16 digits of the origin's SHA-256>/<size, 20 digits>.checkpoint`
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, checkpoint: Checkpoint, note: Note, at: datetime) -> Anchored:
        file = self._folder(checkpoint.origin) / f"{checkpoint.size:020}.checkpoint"
        own = tuple(one for one in note.signatures if one.name == checkpoint.origin)  # not what witnesses add
        data = str(Note(note.text, own)).encode()
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.exists():
                self._compare(file, checkpoint)
            else:
                descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
                with os.fdopen(descriptor, "wb") as opened:
                    opened.write(data)
                    opened.flush()
                    os.fsync(opened.fileno())
        except OSError as error:
            raise AnchorFailed(
                f"The folder does not take the checkpoint: {error.strerror}.",
                where=str(file),
                fix="Mount the store, and let this user write to it.",
            ) from error
        return Anchored(checkpoint.size, "folder", str(self.folder), written_time(at))

    def kept(self, origin: str) -> list[str]:
        """The checkpoints that are there for a log, the smallest first."""
        return [file.read_text("utf-8") for file in sorted(self._folder(origin).glob("*.checkpoint"))]

    def _folder(self, origin: str) -> Path:
        return self.folder / hashlib.sha256(origin.encode()).hexdigest()[:16]

    def _compare(self, file: Path, checkpoint: Checkpoint) -> None:
        if checkpoint_of(note_of(file.read_text("utf-8"))) != checkpoint:
            raise AnchorFailed(
                f"Another checkpoint of size {checkpoint.size} is there already.",
                where=str(file),
                fix="Keep both: two checkpoints of one size are evidence that this log was rewritten.",
            )


class TimestampAnchor:
    """A time-stamping authority (RFC 3161): its token says that the checkpoint existed then. Needs `interlock[tsa]`."""

    def __init__(self, url: str, post: Callable[[str, bytes, str], bytes]) -> None:
        """`post` sends bytes of a content type to the URL and gives the answer's, or raises `AnchorFailed`."""
        self.url, self._post = url, post

    def put(self, checkpoint: Checkpoint, note: Note, at: datetime) -> Anchored:
        try:
            import rfc3161_client as rfc3161
        except ImportError as error:
            raise SetupError(
                "Time stamps need the package rfc3161-client.", fix="Install `interlock[tsa]` with pip."
            ) from error
        request = rfc3161.TimestampRequestBuilder().data(stamped_bytes(checkpoint)).nonce(nonce=True).build()
        answer = self._post(self.url, request.as_bytes(), "application/timestamp-query")
        try:
            response = rfc3161.decode_timestamp_response(answer)
        except ValueError as error:
            raise AnchorFailed(
                "The time-stamping authority's answer cannot be read.", where=self.url, fix="Check its address."
            ) from error
        if response.status not in (0, 1):
            raise AnchorFailed(
                f"The time-stamping authority refused: {', '.join(response.status_string) or response.status}.",
                where=self.url,
                fix="Ask its operator; it may not take SHA-512 or not serve you.",
            )
        return Anchored(checkpoint.size, "rfc3161", self.url, written_time(at), answer)


def stamped_bytes(checkpoint: Checkpoint) -> bytes:
    """What a time stamp is over: the checkpoint's text."""
    return checkpoint.text.encode()
