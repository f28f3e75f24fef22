"""Places outside the database: each takes a checkpoint once, and what fails there is told of."""

import errno
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.spec import AbstractFileSystem

from interlock.contracts.errors import SetupError
from interlock.persistence.evidence.anchors import AnchorFailed, TimestampAnchor, kept_at, stamped_bytes
from interlock.persistence.evidence.keys import signed
from interlock.persistence.evidence.notes import Checkpoint, checkpoint_of, note_of
from interlock.persistence.memory_store import MemoryStore
from interlock.service.evidence import anchor_places
from support.evidence import ORIGIN, TestKey, checkpointer, filled

LOG = TestKey()


@pytest.mark.parametrize("kind", ["folder", "objects"])
def test_a_place_takes_each_checkpoint_once(tmp_path: Path, kind: str):
    """Never over another one of that size: that would be the evidence of a fork."""
    store, place = MemoryStore(origin=ORIGIN), tmp_path / "bucket"
    anchor = kept_at(str(place) if kind == "folder" else f"memory:/{place}")
    assert anchor.kept(ORIGIN) == []
    signing = checkpointer(store.tree(), anchors=[anchor])
    for seed in (1, 2):
        filled(store, 2, seed=seed)
        assert signing.checkpoint().failures == ()
    assert [checkpoint_of(note_of(one)).size for one in anchor.kept(ORIGIN)] == [
        size for size, _ in store.tree().checkpoints()
    ]
    assert [(one.size, one.kind) for one in store.tree().anchors()] == [
        (size, kind) for size, _ in store.tree().checkpoints()
    ]
    size = store.tree().size()
    other = Checkpoint(ORIGIN, size, bytes(32))
    with pytest.raises(AnchorFailed, match=f"Another checkpoint of size {size} is there already"):
        anchor.put(other, signed(other.text, LOG), signing._clock.now())
    newest = note_of(store.tree().checkpoints()[-1][1])
    anchor.put(checkpoint_of(newest), newest, signing._clock.now())
    assert len(anchor.kept(ORIGIN)) == 2


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("step", ["write", "sync"])
def test_a_folder_that_runs_full_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool, step: str
):
    """Neither half a checkpoint nor an empty one: the next attempt takes it there. So without hard links."""
    store, anchor = MemoryStore(origin=ORIGIN), kept_at(str(tmp_path))
    filled(store, 2)
    signing = checkpointer(store.tree(), anchors=[anchor])
    with monkeypatch.context() as full:
        if not links:
            full.setattr(os, "link", refusing(errno.EPERM))
        if step == "sync":
            full.setattr(os, "fsync", refusing(errno.ENOSPC))
        else:
            full.setattr(os, "fdopen", refusing(errno.ENOSPC))
        (failure,) = signing.checkpoint().failures
        assert "The folder does not take the checkpoint: No space left on device." in failure
        assert "see that it has room" in failure
    assert [one for one in tmp_path.rglob("*") if one.is_file()] == []
    with monkeypatch.context() as without:
        if not links:
            without.setattr(os, "link", refusing(errno.EPERM))
        assert signing.checkpoint().failures == ()
    (kept,) = [one for one in tmp_path.rglob("*") if one.is_file()]
    assert kept.suffix == ".checkpoint"
    assert len(anchor.kept(ORIGIN)) == 1


def test_a_checkpoint_has_its_name_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Whenever the process dies: what was written has another name until it is durable."""
    store, synced = MemoryStore(origin=ORIGIN), []
    filled(store, 2)
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append([one.name.partition(".checkpoint")[2] for one in tmp_path.rglob("*.checkpoint*")])
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert checkpointer(store.tree(), anchors=[kept_at(str(tmp_path))]).checkpoint().failures == ()
    assert len(synced) == 2  # the file, and its folder
    assert (len(synced[0]), synced[0][0] != "", synced[1]) == (1, True, [""])


def test_of_two_that_take_one_there_the_first_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Another's is never written over, even where it came between the look and the link."""
    for links in (True, False):
        folder = tmp_path / str(links)
        head, other = (Checkpoint(ORIGIN, 1, bytes([fill]) * 32) for fill in (1, 2))
        anchor, now = kept_at(str(folder)), checkpointer(MemoryStore().tree())._clock.now()
        anchor.put(other, signed(other.text, LOG), now)
        before = anchor.kept(ORIGIN)
        with monkeypatch.context() as raced:
            raced.setattr(Path, "exists", lambda _: False)
            if not links:
                raced.setattr(os, "link", refusing(errno.ENOTSUP))
            with pytest.raises(AnchorFailed, match="Another checkpoint of size 1 is there already"):
                anchor.put(head, signed(head.text, LOG), now)
        assert (anchor.kept(ORIGIN), len([*folder.rglob("*.checkpoint*")])) == (before, 1)


@pytest.mark.parametrize("kept", [b"", b"log.example", b"\xff\xfe", b"altered\n\n\n"])
@pytest.mark.parametrize("kind", ["folder", "objects"])
def test_what_is_no_checkpoint_is_named(tmp_path: Path, kind: str, kept: bytes):
    """By its own name, with what to do; and once it is moved away, the checkpoint is taken there."""
    store, place = MemoryStore(origin=ORIGIN), tmp_path / "bucket"
    filled(store, 2)
    anchor = kept_at(str(place) if kind == "folder" else f"memory:/{place}-{len(kept)}")
    signing = checkpointer(store.tree(), anchors=[anchor])
    signing.checkpoint()
    name = f"{hashlib.sha256(ORIGIN.encode()).hexdigest()[:16]}/{store.tree().size():020}.checkpoint"
    files = fsspec.filesystem("file" if kind == "folder" else "memory")
    path = anchor.place.removeprefix("memory:/") + "/" + name
    files.pipe_file(path, kept)
    says = f"What is kept there is no checkpoint ({len(kept)} bytes): it was cut off, or altered there."
    with pytest.raises(AnchorFailed) as caught:
        anchor.kept(ORIGIN)
    assert (caught.value.what, caught.value.where) == (says, f"{anchor.place}/{name}")
    assert "If it is empty or cut, move it away" in caught.value.fix
    (failure,) = signing.checkpoint().failures
    assert (says in failure, name in failure, files.cat_file(path)) == (True, True, kept)
    files.rm(path)
    assert signing.checkpoint().failures == ()
    assert len(anchor.kept(ORIGIN)) == 1


def refusing(number: int) -> Any:
    """A system call that fails so."""

    def call(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return call


class Store(AbstractFileSystem):  # type: ignore[misc]
    """An object store that fails as it is told."""

    protocol = "failing"
    error: Exception

    def ls(self, path: str, detail: bool = True, **_: object) -> list[str]:
        raise self.error

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **_: object) -> None:
        assert mode == "create"
        raise self.error


@pytest.mark.parametrize("error", [PermissionError("Access Denied"), RuntimeError("AccessDenied: no such key")])
def test_an_object_store_that_refuses_is_told_of(error: Exception):
    """Whatever its package raises: the checkpoint stands, and the failure names the place."""
    fsspec.register_implementation("failing", Store, clobber=True)
    Store.error = error
    store, anchor = MemoryStore(origin=ORIGIN), kept_at("failing://bucket/logs/")
    filled(store, 2)
    (failure,) = checkpointer(store.tree(), anchors=[anchor]).checkpoint().failures
    assert f"The object store does not take the checkpoint: {error}." in str(failure)
    assert "failing://bucket/logs" in str(failure)
    with pytest.raises(AnchorFailed, match=r"What is kept there cannot be read: .*Denied"):
        anchor.kept(ORIGIN)


def test_an_object_store_without_its_package_says_which():
    with pytest.raises(SetupError, match=r"The object store cannot be opened: .*nowhere"):
        kept_at("nowhere://bucket").kept(ORIGIN)


def test_without_fsspec_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "fsspec.core", None)
    with pytest.raises(SetupError, match="Object stores need the package fsspec") as caught:
        kept_at("s3://bucket").kept(ORIGIN)
    assert "interlock[objects]" in caught.value.fix


@pytest.mark.parametrize(
    ("said", "places"),
    [
        ("", []),
        ("/mnt/worm", ["/mnt/worm"]),
        ("/mnt/worm:s3://bucket/logs:gs://other", ["/mnt/worm", "s3://bucket/logs", "gs://other"]),
    ],
)
@pytest.mark.skipif(os.pathsep != ":", reason="another system parts the places of PATH otherwise")
def test_places_are_parted_as_those_of_path(monkeypatch: pytest.MonkeyPatch, said: str, places: list[str]):
    monkeypatch.setenv("INTERLOCK_ANCHORS", said)
    assert anchor_places() == places


def test_a_time_stamp_needs_an_authority_that_answers():
    head = Checkpoint(ORIGIN, 1, bytes(32))
    anchor = TimestampAnchor("http://tsa.example", lambda url, body, kind: b"nonsense")
    with pytest.raises(AnchorFailed, match="answer cannot be read"):
        anchor.put(head, signed(head.text, LOG), checkpointer(MemoryStore().tree())._clock.now())
    assert stamped_bytes(head) == head.text.encode()
