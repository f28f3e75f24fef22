"""Signing a tree's head, once and never back: what was signed last is remembered beside the key.

The memory is not in the database, for a backup of the database brings back what the database knew. A tree that does
not extend what was signed last is refused, whoever restored it.
"""

import base64
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ...contracts.errors import LogError, SetupError
from ..locks import ProcessLock
from ..merkle import EMPTY_ROOT, Nodes, root_at
from .keys import Signer, signed
from .notes import Checkpoint, Note

WAIT_SECONDS = 10.0


class SigningRefused(LogError):
    """The tree does not extend what was signed before: an old backup, a rewritten log, or another copy of it."""

    code = "signing_refused"


@dataclass(frozen=True, slots=True)
class Remembered:
    """`head` is what was signed last, or begun to be. `kept` was seen in the log since: the same checkpoint, or an
    earlier one where a crash came between; None where an older release wrote the memory, which did not note it."""

    head: Checkpoint
    kept: Checkpoint | None = None


class HeadMemory(Protocol):
    """Remembers the newest head that was signed, for one log and key."""

    def moved(self, advance: Callable[[Checkpoint], Checkpoint], *, begun: bool = False) -> Checkpoint:
        """Replace what is remembered by what `advance` makes of it, alone and durably on return. Returns it.

        Where it has `begun`, the checkpoint counts as in the log only once `keep` was told of it. What `advance` raises
        leaves all as it was.
        """
        ...

    def keep(self, head: Checkpoint) -> None:
        """The checkpoint is in the log, durably: if it is the one that is remembered, that is noted. What is lost of
        this by a crash is noted at the next checkpoint."""
        ...

    def retire(self, successor: str = "") -> None:
        """The key was changed for another, which lies at `successor`: it signs no more."""
        ...

    def successor(self) -> str | None:
        """Where the key lies that this one was changed for, empty if that is not known; None while it is in force."""
        ...


class FileMemory:
    """Keeps the head in a file, replaced as a whole; one process at a time."""

    def __init__(self, path: Path, origin: str) -> None:
        self.path, self.origin = path, origin
        self._seen: tuple[int, int] | None = None
        self._successor: str | None = None

    def read(self) -> Checkpoint:
        """What was signed last; the empty tree if nothing was. Raises `SetupError` for a file that is no memory."""
        try:
            said = json.loads(self.path.read_text("utf-8"))
            head = _head(said["origin"], said)
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

    def last(self) -> Remembered | None:
        """What the key signed last for this log, though it be retired; None where it never began. Raises
        `SetupError`."""
        try:
            said = json.loads(self.path.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            return Remembered(self.read())  # says what is wrong
        if not isinstance(said, dict) or said.get("origin") != self.origin:
            return None
        try:
            kept = said.get("kept")
            return Remembered(_head(self.origin, said), _head(self.origin, kept) if kept else None)
        except (ValueError, KeyError, TypeError):
            return Remembered(self.read())

    def moved(self, advance: Callable[[Checkpoint], Checkpoint], *, begun: bool = False) -> Checkpoint:
        with self._alone():
            before = self.read()
            head = advance(before)
            if begun:
                self._write(head, self._kept(before))
            elif head != before or not self.path.exists():
                self._write(head)
            return head

    def keep(self, head: Checkpoint) -> None:
        with self._alone():
            last = self.last()
            if last is not None and last.head == head and last.kept != head:
                self._write(head, head, named=False)

    def _kept(self, head: Checkpoint) -> Checkpoint:
        """What was seen in the log when `head` was signed last; of an older release's memory, that is `head`."""
        last = self.last()
        return head if last is None or last.kept is None else last.kept

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = ProcessLock(self.path.with_name(self.path.name + ".lock"))
        try:
            with lock.held(WAIT_SECONDS):
                yield
        finally:
            lock.close()

    def retire(self, successor: str = "") -> None:
        head = self.read()
        more = {"successor": successor} if successor else {}
        self._write(head, self._kept(head), more={"retired": True, **more})

    def retired_for(self) -> str | None:
        """Where the key lies that this one was changed for, empty if that was not noted; None if it is in force."""
        try:
            self.read()
            said = {}
        except SetupError:
            said = json.loads(self.path.read_text("utf-8"))
        return str(said.get("successor") or "") if said.get("retired") else None

    def successor(self) -> str | None:
        """As `retired_for`, cheap enough for every receipt: the file is read where it was replaced since. None too
        where it cannot be read: who signs the next checkpoint says why."""
        try:
            found = self.path.stat()
            if (seen := (found.st_ino, found.st_mtime_ns)) != self._seen:
                self._successor, self._seen = self.retired_for(), seen
        except (OSError, ValueError):
            return None
        return self._successor

    def _write(
        self,
        head: Checkpoint,
        kept: Checkpoint | None = None,
        *,
        named: bool = True,
        more: Mapping[str, bool | str] | None = None,
    ) -> None:
        said = {"origin": head.origin, **_said(head), **({"kept": _said(kept)} if kept else {}), **(more or {})}
        written_whole(self.path, json.dumps(said).encode() + b"\n", named=named)


def _said(head: Checkpoint) -> dict[str, Any]:
    return {"root": base64.b64encode(head.root).decode(), "size": head.size}


def _head(origin: str, said: dict[str, Any]) -> Checkpoint:
    return Checkpoint(origin, int(said["size"]), base64.b64decode(said["root"], validate=True))


def written_whole(path: Path, data: bytes, *, named: bool = True) -> None:
    """Replace the file by `data`, so that a crash leaves the old or the new one; durable on return if it is `named`,
    and else once the system gets to it."""
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
    if named and os.name == "posix":
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the name, too, must survive a power cut
        finally:
            os.close(folder)


def signed_head(size: int, nodes: Nodes, *, signers: Sequence[Signer], memory: HeadMemory) -> tuple[Checkpoint, Note]:
    """The tree's first `size` leaves as a checkpoint, signed; remembered before the signature exists.

    Whoever has put it into the log tells the memory to `keep` it.

    Raises `SigningRefused` if the tree does not extend what was signed last.
    """

    def advance(last: Checkpoint) -> Checkpoint:
        _compare(last, size, nodes)
        return Checkpoint(last.origin, size, root_at(size, nodes))

    head = memory.moved(advance, begun=True)
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
