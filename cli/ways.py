"""A way through a flow on one line: what goes round in it is written once, with how often."""

from collections.abc import Iterator, Sequence

_LONGEST = 40
"""Steps of the longest stretch that is looked for: a way of many thousand steps stays quick to write."""


def folded(words: Sequence[str], joint: str = " > ") -> tuple[str, ...]:
    """The words, with each stretch that comes again and again written once: `(desk > asking) × 24`. Two short
    rounds are read sooner than counted, and are left as they are."""
    return tuple(_folded(words, joint))


def _folded(words: Sequence[str], joint: str) -> Iterator[str]:
    at = 0
    while at < len(words):
        length, times = _stretch(words, at)
        if times == 1:
            yield words[at]
        else:
            inner = joint.join(folded(words[at : at + length], joint))
            yield f"({inner}) × {times}"
        at += length * times


def _stretch(words: Sequence[str], at: int) -> tuple[int, int]:
    """The stretch from here that, repeated, goes furthest: its length and how often it comes."""
    best = (1, 1)
    for length in range(1, min(_LONGEST, (len(words) - at) // 2) + 1):
        if words[at] != words[at + length]:
            continue
        times = 1
        stretch = words[at : at + length]
        while words[at + times * length : at + (times + 1) * length] == stretch:
            times += 1
        worth = times > 2 or (times == 2 and length > 2)
        if worth and times * length > best[0] * best[1]:
            best = (length, times)
    return best
