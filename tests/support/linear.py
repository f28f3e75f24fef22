"""Whether what concurrent callers saw of a stream could have happened one call after the other.

A stream only grows, so this is decided exactly, and in n log n: every append that succeeded and every length that was
read has its place in the stream's one history, and no call may stand after another that began when it had ended.
"""

import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple


class Call(NamedTuple):
    """One call on one stream. `began` and `ended` are of one clock for all callers, in nanoseconds."""

    stream: str
    began: int
    ended: int
    length: int
    """What it made the stream's length, or read as its length."""
    appended: bool


def disorders(calls: Iterable[Call]) -> list[str]:
    """Everything that no order of the calls explains; nothing where the history is linearizable."""
    by_stream: dict[str, list[Call]] = {}
    for call in calls:
        by_stream.setdefault(call.stream, []).append(call)
    return [fault for stream in sorted(by_stream) for fault in _of_one(stream, by_stream[stream])]


def _of_one(stream: str, calls: Sequence[Call]) -> list[str]:
    made = Counter(call.length for call in calls if call.appended)
    faults = [f"{stream}: length {length} was made {n} times" for length, n in sorted(made.items()) if n > 1]

    def place(call: Call) -> tuple[int, bool]:
        """An append that made a length stands before all that read it; these have no order among themselves."""
        return call.length, not call.appended

    soonest, seen = sys.maxsize, 0
    for (length, _), group in groupby(sorted(calls, key=place, reverse=True), key=place):
        together = list(group)
        faults += [
            f"{stream}: a call that began after {seen} had been seen {'made' if call.appended else 'read'} {length}"
            for call in together
            if soonest < call.began
        ]
        first = min(call.ended for call in together)
        if first < soonest:
            soonest, seen = first, length
    return faults
