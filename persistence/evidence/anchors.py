"""Taking a checkpoint to where the database's administrator cannot reach it.

An anchor is worth what its place is worth: a folder that is mounted from a store with object lock, a time-stamping
authority, a witness. A copy beside the database proves nothing.
"""

import errno
import hashlib
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from ...contracts.errors import LogError, SetupError
from ...contracts.tree import Anchored
from ...contracts.values import printable, written_time
from .notes import Checkpoint, Note, NoteRefused, checkpoint_of, note_of

_NO_LINKS = {errno.EPERM, errno.EACCES, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL, errno.EMLINK}
"""How file systems say that they have no hard links."""
_NO_SYNC = {errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
"""How file systems say that a folder cannot be synced."""


class AnchorFailed(LogError):
    """A place did not take the checkpoint, or has another one there."""

    code = "anchor_failed"


class Anchor(Protocol):
    """A place that checkpoints are taken to."""

    def put(self, checkpoint: Checkpoint, note: Note, at: datetime) -> Anchored:
        """Take it there; durable on return. The same again is fine. Raises `AnchorFailed`."""
        ...


class Kept(Anchor, Protocol):
    """A place that keeps checkpoints and gives them back: one for each size, never written over."""

    place: str

    def kept(self, origin: str) -> list[str]:
        """The checkpoints that are there for a log, the smallest first. Raises `AnchorFailed`."""
        ...


def kept_at(place: str) -> Kept:
    """A folder, or by its URL (`s3://bucket/prefix`) an object store."""
    return ObjectAnchor(place) if "://" in place else FolderAnchor(Path(place))


class FolderAnchor:
    """A folder, such as one mounted from an object store: one file for each checkpoint, never written over.

    `<folder>/<first 16 digits of the origin's SHA-256>/<size, 20 digits>.checkpoint`
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.place = folder, str(folder)

    def put(self, checkpoint: Checkpoint, note: Note, at: datetime) -> Anchored:
        file = self.folder / _name(checkpoint)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            if file.exists() or not _made(file, _by_the_log(checkpoint, note)):
                _compare(file.read_bytes(), checkpoint, str(file))
            _sync(file.parent)
        except OSError as error:
            raise AnchorFailed(
                f"The folder does not take the checkpoint: {error.strerror}.",
                where=str(file),
                fix="Mount the store, let this user write to it, and see that it has room.",
            ) from error
        return Anchored(checkpoint.size, "folder", self.place, written_time(at))

    def kept(self, origin: str) -> list[str]:
        try:
            found = {str(file): file.read_bytes() for file in (self.folder / _of(origin)).glob("*.checkpoint")}
        except OSError as error:
            raise _unread(self.place, error) from error
        return [_note(found[file], file)[0] for file in sorted(found)]


class ObjectAnchor:
    """An object store by its URL, with the same names as in a folder. Needs `interlock[objects]`, and the package that
    fsspec names for that store (`s3fs`, `gcsfs`, `adlfs`); credentials are found as that package finds them.

    An object is made only where there is none, by the store itself: two writers cannot both make it.
    """

    def __init__(self, url: str) -> None:
        self.place = url.rstrip("/")

    def put(self, checkpoint: Checkpoint, note: Note, at: datetime) -> Anchored:
        store, base = self._opened()
        path = f"{base}/{_name(checkpoint)}"
        try:
            try:
                store.pipe_file(path, _by_the_log(checkpoint, note), mode="create")
            except FileExistsError:
                _compare(store.cat_file(path), checkpoint, f"{self.place}/{_name(checkpoint)}")
        except AnchorFailed:
            raise
        except Exception as error:  # each store has errors of its own
            raise AnchorFailed(
                f"The object store does not take the checkpoint: {printable(error)}.",
                where=self.place,
                fix="Look at the address, the bucket and the credentials; they must allow objects to be made and read.",
            ) from error
        return Anchored(checkpoint.size, "objects", self.place, written_time(at))

    def kept(self, origin: str) -> list[str]:
        store, base = self._opened()
        try:
            store.invalidate_cache()
            names = sorted(store.ls(f"{base}/{_of(origin)}", detail=False))  # and no glob: it is silent about a refusal
            found = {path: store.cat_file(path) for path in names if path.endswith(".checkpoint")}
        except FileNotFoundError:
            return []
        except Exception as error:
            raise _unread(self.place, error) from error
        return [_note(data, f"{self.place}{path.removeprefix(base)}")[0] for path, data in found.items()]

    def _opened(self) -> tuple[Any, str]:
        """The store, and the path in it."""
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise SetupError(
                "Object stores need the package fsspec.",
                where=self.place,
                fix="Install `interlock[objects]` with pip, and the package of your store, such as s3fs.",
            ) from error
        try:
            store, base = url_to_fs(self.place)
        except (ImportError, ValueError) as error:
            raise SetupError(
                f"The object store cannot be opened: {printable(error)}.",
                where=self.place,
                fix="Install the package of your store (`pip install s3fs` for s3://), or look at the address.",
            ) from error
        return store, str(base).rstrip("/")


def _of(origin: str) -> str:
    return hashlib.sha256(origin.encode()).hexdigest()[:16]


def _name(checkpoint: Checkpoint) -> str:
    return f"{_of(checkpoint.origin)}/{checkpoint.size:020}.checkpoint"


def _by_the_log(checkpoint: Checkpoint, note: Note) -> bytes:
    """The note with the log's own lines alone, and not those that witnesses add."""
    return str(Note(note.text, tuple(one for one in note.signatures if one.name == checkpoint.origin))).encode()


def _made(file: Path, data: bytes) -> bool:
    """Make the file whole or not at all; False where there is one of that name, which stays as it is.

    It is written under another name and gets its own by a hard link, which refuses where one is there. Where the file
    system has no hard links it is written in its place, and taken away again if that fails.
    """
    beside = file.with_name(f"{file.name}.{os.urandom(4).hex()}")
    try:
        _write(beside, data)
        os.link(beside, file)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _made_in_place(file, data)
    finally:
        with suppress(OSError):
            beside.unlink()
    return True


def _made_in_place(file: Path, data: bytes) -> bool:
    try:
        _write(file, data)
    except FileExistsError:
        return False
    return True


def _write(file: Path, data: bytes) -> None:
    """Write a new file, durable on return. Raises `OSError`: then nothing is left of it, unless it was there."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o644)
    try:
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
    except OSError:
        with suppress(OSError):
            file.unlink()
        raise


def _sync(folder: Path) -> None:
    """A new name is durable once its folder is synced; Windows has no such thing, nor have some mounted stores."""
    if sys.platform != "win32":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NO_SYNC:
                raise
        finally:
            os.close(descriptor)


def _note(data: bytes, where: str) -> tuple[str, Checkpoint]:
    """The text that is kept at a place, and its checkpoint. Raises `AnchorFailed` for what is none, by its name."""
    try:
        text = data.decode()
        return text, checkpoint_of(note_of(text))
    except (NoteRefused, UnicodeDecodeError) as error:
        raise AnchorFailed(
            f"What is kept there is no checkpoint ({len(data)} bytes): it was cut off, or altered there.",
            where=where,
            fix="That says nothing about the log. If it is empty or cut, move it away, and `interlock checkpoint "
            "--anchor` takes the newest there again; if it was altered, restore it.",
        ) from error


def _compare(there: bytes, checkpoint: Checkpoint, where: str) -> None:
    if _note(there, where)[1] != checkpoint:
        raise AnchorFailed(
            f"Another checkpoint of size {checkpoint.size} is there already.",
            where=where,
            fix="Keep both: two checkpoints of one size are evidence that this log was rewritten.",
        )


def _unread(place: str, error: Exception) -> AnchorFailed:
    return AnchorFailed(
        f"What is kept there cannot be read: {printable(error)}.",
        where=place,
        fix="Look at the address and at what this user may read.",
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
