"""Whether every entry that is gone went as it may: recorded, signed for, and listed as the record says."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from ...contracts.archive import Archived, listing_digest, statement_text
from ...contracts.keeping import SegmentPruned
from .notes import NoteRefused, note_of


def pruned_broken(
    archived: Iterable[Archived],
    prunes: Mapping[int, tuple[int, SegmentPruned]],
    ends: Mapping[str, tuple[int, bytes]],
    log: str,
    is_signed: Callable[[str, int], bool],
) -> Iterator[str]:
    """What does not hold of these conversations. `prunes` are the records by number, each with its leaf; `ends` is
    where every conversation ends in the tree; `is_signed` tells whether the log's key of that leaf signed a note."""
    by_record: dict[int, list[Archived]] = defaultdict(list)
    for one in archived:
        by_record[one.record].append(one)
        if ends.get(one.stream) != (one.length - 1, one.leaf):
            yield f"{one.stream} is said to be archived, and ends elsewhere in the tree."
    for number, listed in sorted(by_record.items()):
        found = prunes.get(number)
        if found is None:
            yield (
                f"{len(listed)} conversations are said to be archived by record {number}, which says nothing of it: "
                "their entries were deleted."
            )
        else:
            yield from _record_broken(number, *found, listed, log, is_signed)


def _record_broken(
    number: int,
    index: int,
    record: SegmentPruned,
    listed: list[Archived],
    log: str,
    is_signed: Callable[[str, int], bool],
) -> Iterator[str]:
    if listing_digest(listed) != record.listing or {one.archive for one in listed} != {record.archive}:
        yield (
            f"Record {number} says that other conversations were archived in {record.archive!r} than are gone: "
            "entries were deleted that it does not name."
        )
    wanted = statement_text(log, record.archive, record.manifest, record.listing, record.size)
    try:
        good = note_of(record.statement).text == wanted and is_signed(record.statement, index)
    except NoteRefused:
        good = False
    if not good:
        yield f"That entries were archived in {record.archive!r} (record {number}) is not signed with the log's key."
