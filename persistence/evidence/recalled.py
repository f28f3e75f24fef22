"""What was signed last, as it is remembered beside the key, held against what is in the log.

A checkpoint is remembered before its signature exists, and noted as kept once it is in the log: so one that a crash
cut off is told from one that somebody deleted. Of older ones the log's own records tell: each checkpoint follows one
that says where the conversations end.
"""

from collections.abc import Iterable, Iterator, Mapping

from .signing import Remembered

MOST_NAMED = 5
"""Checkpoints that are not there, of which each is named."""


def fault_of(last: Remembered, newest: int, size: int, root: bytes | None) -> str:
    """What does not hold of a log whose tree has `size` leaves and whose newest checkpoint has `newest` (0 if there is
    none), with `root` that of as many leaves as are remembered; empty where all does."""
    head, kept = last.head, last.kept
    if head.size > size:
        return (
            f"{head.size} leaves were signed for, as stands beside the signing key; this tree has {size}: the log was "
            "cut, or this is an old copy."
        )
    if root != head.root:
        return (
            f"The first {head.size} leaves are not those that were signed for, as stands beside the signing key: the "
            "log was rewritten, or has forked."
        )
    if kept is not None and kept.size > newest:
        return (
            f"A checkpoint of {kept.size} leaves was in the log, as stands beside the signing key, and is there no "
            "more: it was deleted."
        )
    if kept is None and newest and head.size > newest:
        return (
            f"{head.size} leaves were signed for, as stands beside the signing key, and that checkpoint is not in the "
            "log: it was deleted, or interrupted (then `interlock checkpoint` makes the next)."
        )
    return ""


def remark_of(last: Remembered, newest: int, size: int) -> str:
    """What to say of a checkpoint that was begun and cut off, in a log of which nothing is gone; empty of others."""
    if last.kept is not None and last.head.size > newest:
        return (
            f"A checkpoint of {last.head.size} leaves was begun and did not get into the log: whoever made it was "
            "interrupted. Nothing that was signed is gone; `interlock checkpoint` makes the next."
        )
    if not last.head.size and not newest and size:
        return (
            "The first checkpoint was begun and did not get into the log: whoever made it was interrupted. "
            "`interlock checkpoint` makes it."
        )
    return ""


def fewer(begun: Iterable[int], known: Mapping[int, str], there: Iterable[int]) -> Iterator[str]:
    """What to say of checkpoints that are not among those `there`, under a newer one that is.

    `begun` are the sizes that a record of the log stands for; `known` says of some what shows that they were signed.
    """
    sizes = set(there)
    gone = sorted(size for size in {*begun} - sizes if size < max(sizes, default=0))
    for size in [one for one in gone if one in known]:
        yield (
            f"A checkpoint of {size} leaves is not in the log any more, though {known[size]}: it was deleted. A newer "
            "one covers what it covered."
        )
    others = [size for size in gone if size not in known]
    if others:
        named = ", ".join(str(size) for size in others[:MOST_NAMED])
        more = f" and {len(others) - MOST_NAMED} more sizes" if len(others) > MOST_NAMED else ""
        yield (
            f"The log's records speak of {len(others)} checkpoint{'' if len(others) == 1 else 's'} that "
            f"{'is' if len(others) == 1 else 'are'} not in the log ({named}{more}): interrupted when made, or deleted. "
            "A newer one covers what they covered."
        )
