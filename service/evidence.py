"""Where a log's evidence is by default, and a checkpointer put together from it.

`INTERLOCK_SIGNING_KEY` names the signing key, `INTERLOCK_POLICY` the policy file with the witnesses; without them
they are looked for beside the log. `INTERLOCK_ANCHORS` names folders that checkpoints are copied to. What was signed
last is remembered beside the key.
"""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog

from ..contracts.errors import SetupError
from ..contracts.tree import TreeStore
from ..persistence.evidence.anchors import Anchor, TimestampAnchor, kept_at
from ..persistence.evidence.keys import SigningKey
from ..persistence.evidence.policy import Policy, policy_of
from ..persistence.evidence.signing import FileMemory, Remembered
from ..persistence.evidence.signing import refuse_old_copy as extends
from ..persistence.sql_store import SqlStore
from .checkpointing import Checkpointer
from .clock import Clock
from .witnesses import HttpWitness, stamped

log = structlog.get_logger("interlock.evidence")


def signing_key_path(db: Path, given: Path | None = None) -> Path:
    return given or Path(os.environ.get("INTERLOCK_SIGNING_KEY") or db.with_name(f"{db.name}.signing-key"))


def policy_path(db: Path, given: Path | None = None) -> Path:
    return given or Path(os.environ.get("INTERLOCK_POLICY") or db.with_name(f"{db.name}.policy"))


def anchor_places() -> list[str]:
    """The folders and object stores of `INTERLOCK_ANCHORS`, parted as those of PATH."""
    # A colon parts them on most systems, and stands in every URL.
    return [one for one in re.split(f"{os.pathsep}(?!//)", os.environ.get("INTERLOCK_ANCHORS", "")) if one]


def signing_key(db: Path, log: str, given: Path | None = None) -> SigningKey:
    """The key that signs this log. Raises `SetupError` where it is not there or is another log's."""
    key = SigningKey(signing_key_path(db, given))
    if key.verifier().name != log:
        raise SetupError(
            f"The signing key is of {key.verifier().name!r}, and this log is {log!r}.",
            where=str(key.path),
            fix="Give the key that `interlock key new` made for this log.",
        )
    return key


def memory_of(key: SigningKey, log: str) -> FileMemory:
    """What this key signed last."""
    return FileMemory(key.path.with_name(f"{key.path.name}.head"), log)


def remembered(db: Path, log: str) -> Remembered | None:
    """What was signed last for this log, as it stands beside its key; None if nothing is remembered."""
    key = signing_key_path(db)
    return FileMemory(key.with_name(f"{key.name}.head"), log).last()


def refuse_old_copy(db: Path, tree: TreeStore) -> None:
    """Raises `SigningRefused` where what was signed last is remembered and the database does not extend it."""
    last = remembered(db, tree.log)
    if last is not None:
        extends(last.head, tree.size(), tree.nodes)


def policy_in(path: Path, *, needed: bool = False) -> Policy:
    """The policy in a file; an empty one where there is none and none is needed."""
    if not needed and not path.is_file():
        return Policy()
    try:
        return policy_of(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError("The policy file cannot be read.", where=str(path), fix="Give its place.") from error


def anchors_at(places: Sequence[str], authorities: Sequence[str] = ()) -> list[Anchor]:
    return [*map(kept_at, places), *(TimestampAnchor(url, stamped) for url in authorities)]


def checkpointer_of(
    db: Path,
    tree: TreeStore,
    *,
    key: Path | None = None,
    policy: Path | None = None,
    anchors: Sequence[Anchor] = (),
    clock: Clock | None = None,
) -> Checkpointer:
    """Signs the log in `db`; asks the witnesses of its policy that have a URL."""
    signer = signing_key(db, tree.log, key)
    found = policy_in(policy_path(db, policy), needed=policy is not None)
    witnesses = [HttpWitness(one.url, one.key) for one in found.witnesses if one.url]
    memory = memory_of(signer, tree.log)
    memory.read()  # a key that was changed for another signs nothing, not even what is not new
    return Checkpointer(tree, signer.signers, memory, witnesses=witnesses, anchors=anchors, clock=clock)


def signing_beside(db: Path, store: SqlStore[Any]) -> Checkpointer | None:
    """What signs while conversations run, where the log has a signing key: checkpoints in a thread of their own, and
    one when it is closed. On PostgreSQL who is no sequencer signs receipts alone, and says so once.

    Raises `SigningRefused` at once for a database that does not extend what was signed last.
    """
    tree = store.tree()
    if not signing_key_path(db).is_file():
        refuse_old_copy(db, tree)
        return None
    made = checkpointer_of(db, tree, anchors=anchors_at(anchor_places()))
    if store.may_sequence():
        made.checkpoint_told()
        made.start()
    else:
        refuse_old_copy(db, tree)
        made.refuse_another_key()
        log.warning("checkpoints_left_to_the_sequencer", why="the database's user is no member of interlock_sequencer")
    return made
