"""What `interlock doctor` looks at of a log's evidence: its leaves, its key, what was signed and when, who saw it."""

import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from ..contracts.errors import InterlockError
from ..contracts.records import record_of
from ..contracts.tree import TreeStore
from ..persistence.evidence.anchors import kept_at
from ..persistence.evidence.notes import ED25519, ML_DSA, Note, checkpoint_of, note_of, signature_of
from ..persistence.evidence.policy import NONE, Policy
from ..persistence.evidence.recalled import fault_of, remark_of
from ..persistence.merkle import root_at
from ..persistence.sql_store import SqlStore
from ..service.checkpointing import EVERY_ENTRIES, EVERY_SECONDS
from ..service.evidence import (
    anchor_places,
    checkpointer_of,
    memory_of,
    policy_in,
    policy_path,
    refuse_old_copy,
    remembered,
    signing_key,
    signing_key_path,
)
from .examine_keeping import Kept
from .terminal import counted, span

LATE = timedelta(seconds=2 * EVERY_SECONDS)
"""Entries that wait longer for a checkpoint than this: whoever wrote them did not sign."""


def signing(store: SqlStore[Any], path: Path, streams: Sequence[str] | None) -> Iterator[Kept]:
    """One finding a thing. `streams` are the conversations whose leaves are compared with their entries."""
    tree = store.tree()
    yield _leaves(store, streams)
    yield _key(store, path)
    yield _checkpoint(tree)
    yield from _anchored(tree)
    yield _witnessed(tree, path)


def _leaves(store: SqlStore[Any], streams: Sequence[str] | None) -> Kept:
    """The tree's leaves against the entries that they stand for."""
    unlike = store.tree().unlike(streams)
    if unlike:
        stream, version = unlike[0]
        more = f", and {counted(len(unlike) - 1, 'other')}" if len(unlike) > 1 else ""
        return Kept(
            "leaves",
            "fail",
            f"the tree has another leaf than the entry: {stream} event {version}{more}",
            "Keep the file as evidence, and restore a backup; `interlock verify` lists every break.",
        )
    which = "every conversation" if streams is None else counted(len(streams), "conversation")
    size, waiting = store.tree().size(), store.tree().waiting()
    says = f"those of {which} are those of the entries; {counted(size, 'leaf', 'leaves')}, {waiting} wait"
    return Kept("leaves", "ok", says)


def _key(store: SqlStore[Any], path: Path) -> Kept:
    """The signing key, what it signed last, and whether this log extends that."""
    tree, place = store.tree(), signing_key_path(path)
    checkpoints, algorithms = tree.checkpoints(), ""
    try:
        refuse_old_copy(path, tree)
        last = remembered(path, tree.log)
        if place.is_file():
            key = signing_key(path, tree.log)
            memory_of(key, tree.log).read()
            checkpointer_of(path, tree).refuse_another_key()
            algorithms = " and ".join({ED25519: "Ed25519", ML_DSA: "ML-DSA-44"}[one.kind] for one in key.verifiers())
    except InterlockError as error:
        return Kept("signing", "fail", f"{place}: {error.what}", error.fix)
    newest = checkpoints[-1][0] if checkpoints else 0
    if last and (gone := fault_of(last, newest, tree.size(), last.head.root)):
        fix = "Keep the file as evidence: somebody took it away; `interlock verify` says what still holds."
        return Kept("signing", "fail", gone, fix)
    if last and (begun := remark_of(last, newest, tree.size())):
        return Kept("signing", "warn", begun, "Run `interlock checkpoint`.")
    if not checkpoints and tree.size():
        return Kept(
            "signing",
            "fail",
            f"the tree has {counted(tree.size(), 'leaf', 'leaves')} and no checkpoint is left",
            "They were deleted, or the first was interrupted: then `interlock checkpoint` makes it.",
        )
    if not store.may_sequence():  # a service that talks: whoever is the sequencer has the key
        receipts = f"; with {place} this process signs receipts" if place.is_file() else ""
        return Kept("signing", "ok", f"left to the sequencer, which the database's user is not{receipts}")
    if not place.is_file():
        if (last and last.head.size) or checkpoints:
            fix = "Give the key's file in INTERLOCK_SIGNING_KEY: until then, nothing new is signed."
            return Kept("signing", "warn", f"signed once, and its key is not here ({place})", fix)
        return Kept("signing", "ok", f"nothing here is signed ({place})", "`interlock key new` begins.")
    return Kept("signing", "ok", f"the key for {algorithms} in {place}, for its owner alone")


def _checkpoint(tree: TreeStore) -> Kept:
    """The last checkpoint: how old it is, and how much of the log it covers."""
    signed = tree.checkpoints()
    if not signed:
        fix = "Make a key with `interlock key new`, and sign with `interlock checkpoint`."
        return Kept("checkpoint", "warn", "none is signed: the log vouches for itself", fix)
    last, when = signed[-1][0], _signed_at(tree, signed[-1][0])
    behind = tree.size() - last + tree.waiting()
    if last > tree.size():
        says = f"the last signs {counted(last, 'leaf', 'leaves')}, and the tree has {tree.size()}"
        return Kept("checkpoint", "fail", says, "Leaves are gone: keep the file as evidence, and restore a backup.")
    age = datetime.now(UTC) - when if when else timedelta()
    ago = f"{span(age)} ago" if when else "at a time that its record does not say"
    says = f"the last signs {counted(last, 'leaf', 'leaves')}, {ago}; {behind} more wait"
    if behind > EVERY_ENTRIES or (behind and age > LATE):
        fix = "Run `interlock checkpoint`, or give what writes here the key: it signs after 1,000 entries or 60 s."
        return Kept("checkpoint", "warn", says, fix)
    return Kept("checkpoint", "ok", says)


def _signed_at(tree: TreeStore, size: int) -> datetime | None:
    """The time of the record that is the checkpoint's last leaf."""
    found = tree.leaves(size - 1, 1)
    try:
        return record_of(found[0][1])[0].at if found else None
    except InterlockError:
        return None


def _anchored(tree: TreeStore) -> Iterator[Kept]:
    """Copies outside of the database, and that the folders which should have them do."""
    signed = tree.checkpoints()
    if not signed:
        return
    anchors, last = tree.anchors(), signed[-1][0]
    newest = max((one.size for one in anchors), default=0)
    places = sorted({one.place for one in anchors if one.size == newest})
    yield from (_place(tree, place) for place in anchor_places())
    if not anchors:
        fix = "Run `interlock checkpoint --anchor` with a place that the database's administrator cannot reach, or set "
        yield Kept("anchor", "warn", "anchored nowhere", fix + "INTERLOCK_ANCHORS.")
    elif newest < last:
        says = f"the last anchored has {counted(newest, 'leaf', 'leaves')}, the last signed {last}: {', '.join(places)}"
        yield Kept("anchor", "warn", says, "Run `interlock checkpoint` with the anchor, or set INTERLOCK_ANCHORS.")
    else:
        yield Kept("anchor", "ok", f"the last checkpoint is anchored at {', '.join(places)}")


def _place(tree: TreeStore, folder: str) -> Kept:
    """What a place of `INTERLOCK_ANCHORS` holds, against the tree."""
    if "://" not in folder and not Path(folder).is_dir():
        fix = "Mount the store, or take it out of INTERLOCK_ANCHORS."
        return Kept("anchor", "fail", f"the folder {folder} is not there", fix)
    try:
        kept = [checkpoint_of(note_of(one)) for one in kept_at(folder).kept(tree.log)]
    except InterlockError as error:
        return Kept("anchor", "fail", f"{folder}: {error.what}", error.fix)
    if not kept:
        return Kept("anchor", "warn", f"no checkpoint is in {folder}", "Run `interlock checkpoint`.")
    newest, size = kept[-1], tree.size()
    if newest.size > size or root_at(newest.size, tree.nodes) != newest.root:
        says = f"{folder} has a checkpoint of {counted(newest.size, 'leaf', 'leaves')} that this log does not extend"
        return Kept("anchor", "fail", says, "This is an old copy or a rewritten log: `interlock verify --anchors`.")
    return Kept("anchor", "ok", f"{folder} has {counted(len(kept), 'checkpoint')}, the newest of {newest.size} leaves")


def _witnessed(tree: TreeStore, path: Path) -> Kept:
    """The policy: its witnesses, its quorum, and whether the last checkpoint has it."""
    place = policy_path(path)
    if not place.is_file():
        if os.environ.get("INTERLOCK_POLICY"):
            fix = "Put the file there, or take INTERLOCK_POLICY away: without it, no witness is asked."
            return Kept("witnesses", "fail", f"INTERLOCK_POLICY names {place}, which is not there", fix)
        return Kept("witnesses", "ok", f"none: there is no policy ({place})")
    try:
        policy = policy_in(place)
    except InterlockError as error:
        return Kept("witnesses", "fail", f"{place}: {error.what}", error.fix)
    says = f"{place}: {counted(len(policy.witnesses), 'witness', 'witnesses')}, quorum {policy.quorum}"
    if silent := [one.name for one in policy.witnesses if not one.url]:
        says += f"; without an address: {', '.join(silent)}"
    if policy.quorum == NONE:
        fix = "Name a witness or a group in its quorum line: with `none`, nobody's signature is asked for."
        return Kept("witnesses", "warn" if policy.witnesses else "ok", says, fix if policy.witnesses else "")
    return _quorum(tree, policy, says)


def _quorum(tree: TreeStore, policy: Policy, says: str) -> Kept:
    signed = tree.checkpoints()
    if not signed:
        return Kept("witnesses", "warn", f"{says}; nothing is signed yet", "Run `interlock checkpoint`.")
    size, note = signed[-1][0], note_of(signed[-1][1])
    seen = policy.cosigned(Note(note.text, tuple(map(signature_of, tree.cosignatures(size)))))
    says += f"; the last checkpoint has {len(seen)} of {len(policy.witnesses)}"
    if policy.has_quorum(seen):
        return Kept("witnesses", "ok", f"{says}: enough")
    fix = "Run `interlock checkpoint`: it asks those that have an address, and says why one does not sign."
    return Kept("witnesses", "warn", f"{says}: not enough", fix)
