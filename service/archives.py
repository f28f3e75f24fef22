"""Archives looked at together with the log whose entries they hold."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..contracts.errors import CallError
from ..contracts.keeping import SegmentPruned
from ..contracts.protection import KeepingStore
from ..persistence.evidence.checking import Attested
from .journal import Journal
from .pruning import opened, refuse_foreign


def with_archives(store: KeepingStore, found: Attested, paths: Sequence[Path]) -> Attested:
    """What was found of the log, with what is found of the archives at `paths`: each must verify by the log's keys
    of its time, be of this very tree, and be the one that a record of the log names."""
    if not paths:
        return found
    if not found.keys:
        raise CallError("An archive is checked with the log's key.", fix="Give it with --vkey.")
    faults, looked_at = list(found.faults), list[str]()
    recorded = {one.act.manifest for one in Journal(store).acts() if isinstance(one.act, SegmentPruned)}
    for path in paths:
        try:
            archive = opened(path, found.eras)
            refuse_foreign(archive, store)
        except CallError as error:
            faults.append(f"{path}: {error.what}")
            continue
        if archive.manifest in recorded:
            looked_at.append(archive.name)
        else:
            faults.append(f"{path}: No record of this log says that anything was pruned to this archive.")
    return replace(found, faults=tuple(faults), looked_at=tuple(looked_at))
