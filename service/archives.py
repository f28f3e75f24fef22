"""Archives looked at together with the log whose entries they hold."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ..contracts.canonical import parsed
from ..contracts.errors import CallError
from ..contracts.keeping import SegmentPruned
from ..contracts.protection import KeepingStore
from ..persistence.evidence.checking import Attested
from .archiving import packed_of, sealed_name
from .journal import Journal
from .missing import Accounts
from .pruning import NoArchive, Opened, opened, refuse_foreign


def with_archives(store: KeepingStore, found: Attested, paths: Sequence[Path]) -> Attested:
    """What was found of the log, with what is found of the archives at `paths`: each must verify by the log's keys
    of its time, be of this very tree, and be the one that a record of the log names. Where no record names it, it is
    a copy of what is here, and that is remarked. Raises `CallError` for what is not there or no archive of this log."""
    if not paths:
        return found
    if not found.keys:
        raise CallError("An archive is checked with the log's key.", fix="Give it with --vkey.")
    faults, remarks, looked_at = list(found.faults), list(found.remarks), list[str]()
    recorded = {one.act.manifest for one in Journal(store).acts() if isinstance(one.act, SegmentPruned)}
    for path in paths:
        if not path.exists():
            raise CallError("There is no such archive.", where=str(path), fix="Name its folder or zip file.")
        try:
            archive = opened(path, found.eras)
            refuse_foreign(archive, store)
        except NoArchive:
            raise
        except CallError as error:
            faults.append(f"{path}: {error.what}")
            continue
        faults += (f"{path}: {one}" for one in keys_lost(store, archive))
        if archive.manifest in recorded:
            looked_at.append(archive.name)
        else:
            remarks.append(
                f"{path}: it verifies and is of this very tree; nothing was pruned to it, so this log has all that it "
                "holds."
            )
    return replace(found, faults=tuple(faults), remarks=tuple(remarks), looked_at=tuple(looked_at))


def keys_lost(store: KeepingStore, archive: Opened) -> Iterator[str]:
    """What to say of each conversation of the archive whose sealed texts nobody can open any more, though no erasure of
    the person is recorded."""
    accounts = Accounts(store)
    for one in archive.conversations:
        sealed = archive.files.get(sealed_name(one.stream))
        if sealed is None:
            continue
        keys = {row.key for row in packed_of(parsed(sealed)) if row.key is not None}
        gone = keys - set(store.keys_among(keys))
        if gone and not accounts.is_erased(one):
            yield (
                f"The data key {min(gone)} of the texts of {one.stream!r} is missing, and no erasure of "
                f"{one.subject!r} is recorded."
            )
