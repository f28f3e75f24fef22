"""Places outside the database: each takes a checkpoint once, and what fails there is told of."""

import os
import sys
from pathlib import Path

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
