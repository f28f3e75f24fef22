"""Signing a tree's head, once and never back: what was signed last is remembered beside the key.

The memory is not in the database, for a backup of the database brings back what the database knew. A tree that does
not extend what was signed last is refused, whoever restored it.
"""

import base64
import json
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from ...contracts.errors import LogError, SetupError
from ..locks import ProcessLock
from ..merkle import EMPTY_ROOT, Nodes, root_at
from .keys import Signer, signed
from .notes import Checkpoint, Note

WAIT_SECONDS = 10.0


class SigningRefused(LogError):
    """The tree does not extend what was signed before: an old backup, a rewritten log, or another copy of it."""

    code = "signing_refused"


class HeadMemory(Protocol):
    """Remembers the newest head that was signed, for one log and key."""

    def moved(self, advance: Callable[[Checkpoint], Checkpoint]) -> Checkpoint:
        """Replace what is remembered by what `advance` makes of it, alone and durably on return. Returns it.

        What `advance` raises leaves all as it was.
        """
        ...

    def retire(self, successor: str = "") -> None:
        """The key was changed for another, which lies at `successor`: it signs no more."""
        ...


class FileMemory:
    """Keeps the head in a file, replaced as a whole; one process at a time."""

    def __init__(self, path: Path, origin: str) -> None:
        self.path, self.origin = path, origin

    def read(self) -> Checkpoint:
        """What was signed last; the empty tree if nothing was. Raises `SetupError` for a file that is no memory."""
        try:
            said = json.loads(self.path.read_text("utf-8"))
            head = Checkpoint(said["origin"], said["size"], base64.b64decode(said["root"], validate=True))
        except FileNotFoundError:
            return Checkpoint(self.origin, 0, EMPTY_ROOT)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise SetupError(
                "What was signed last cannot be read.",
                where=str(self.path),
                fix="Restore the file; without it nobody can say that this log is not an old copy. `interlock verify` "
                "names the newest checkpoint that others hold.",
            ) from error
        if said.get("retired"):
            successor = said.get("successor") or ""
            raise SetupError(
                f"This key was changed for another{f', {successor}' if successor else ''}, and signs no more.",
                where=str(self.path.with_suffix("")),
                fix=f"Set INTERLOCK_SIGNING_KEY={successor or 'FILE'} where the log is written, or give the new key "
                "with --key.",
            )
        if head.origin != self.origin:
            raise SetupError(
                f"This key has signed for the log {head.origin!r}, not for {self.origin!r}.",
                where=str(self.path),
                fix="Give each log a key of its own.",
            )
        return head

    def last(self) -> Checkpoint | None:
        """What the key signed last for this log, though it be retired; None if nothing. Raises `SetupError`."""
        try:
            said = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return self.read()  # says what is wrong
        if not isinstance(said, dict) or said.get("origin") != self.origin:
            return None
        try:
            head = Checkpoint(self.origin, int(said["size"]), base64.b64decode(said["root"], validate=True))
        except (ValueError, KeyError, TypeError):
            return self.read()
        return head if head.size else None

    def moved(self, advance: Callable[[Checkpoint], Checkpoint]) -> Checkpoint:
        lock = ProcessLock(self.path.with_name(self.path.name + ".lock"))
        try:
            with lock.held(WAIT_SECONDS):
                head = advance(self.read())
                self._write(head)
                return head
        finally:
            lock.close()

    def retire(self, successor: str = "") -> None:
        self._write(self.read(), retired=True, **({"successor": successor} if successor else {}))

    def retired_for(self) -> str | None:
        """Where the key lies that this one was changed for, empty if that was not noted; None if it is in force."""
        try:
            self.read()
            said = {}
        except SetupError:
            said = json.loads(self.path.read_text("utf-8"))
        return str(said.get("successor") or "") if said.get("retired") else None

    def _write(self, head: Checkpoint, **more: bool | str) -> None:
        said = {"origin": head.origin, "root": base64.b64encode(head.root).decode(), "size": head.size, **more}
        written_whole(self.path, json.dumps(said).encode() + b"\n")


def written_whole(path: Path, data: bytes) -> None:
    """Replace the file by `data`, so that a crash leaves the old or the new one; durable on return."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    if os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name, too, must survive a power cut
        finally:
            os.close(folder)


def signed_head(size: int, nodes: Nodes, *, signers: Sequence[Signer], memory: HeadMemory) -> tuple[Checkpoint, Note]:
    """The tree's first `size` leaves as a checkpoint, signed; remembered before the signature exists.

    Raises `SigningRefused` if the tree does not extend what was signed last.
    """

    def advance(last: Checkpoint) -> Checkpoint:
        _compare(last, size, nodes)
        return Checkpoint(last.origin, size, root_at(size, nodes))

    head = memory.moved(advance)
    return head, signed(head.text, *signers)


def extended(size: int, nodes: Nodes, memory: HeadMemory) -> None:
    """Raises `SigningRefused` if the tree does not extend what was signed last; signs nothing."""

    def same(last: Checkpoint) -> Checkpoint:
        _compare(last, size, nodes)
        return last

    memory.moved(same)


def refuse_old_copy(last: Checkpoint, size: int, nodes: Nodes) -> None:
    """Raises `SigningRefused` if the tree does not extend `last`."""
    _compare(last, size, nodes)


def _compare(last: Checkpoint, size: int, nodes: Nodes) -> None:
    if last.size > size:
        raise _refused(f"it has {size} leaves, and {last.size} were signed for")
    if root_at(last.size, nodes) != last.root:
        raise _refused(f"its first {last.size} leaves are not those that were signed for")


def _refused(why: str) -> SigningRefused:
    return SigningRefused(
        f"The tree does not extend what was signed last: {why}.",
        fix="This is an old backup or a rewritten log. Find the database that has the newest leaves and go on with "
        "that; if it is lost, begin a log of another origin, and say in it what was lost.",
    )
