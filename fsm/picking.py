"""The answer to a clarifying question: which of the labels offered the person picked, where that is plain."""

import re

from ..contracts.flow import RouterSpec
from .rules import folded

_TOKEN = re.compile(r"[^\W_]+")
_FILLER_WORDS = """
the one option number answer choice choose pick take want would like please pls plz i id ill mean meant it its is
that thats think guess go with for my thanks thank you about yes yeah yep ok okay sorry just
"""
_FILLER = frozenset(_FILLER_WORDS.split())
_NEGATION = frozenset(
    {"not", "no", "neither", "none", "nor", "both", "either", "dont", "isnt", "different", "else", "other"}
)
_ORDINALS = (
    frozenset({"first", "1st", "1", "a", "former", "one"}),
    frozenset({"second", "2nd", "2", "b", "latter", "two"}),
    frozenset({"third", "3rd", "3", "c", "three"}),
    frozenset({"fourth", "4th", "4", "d", "four"}),
    frozenset({"fifth", "5th", "5", "e", "five"}),
)
_AGREED = frozenset({"yes", "yeah", "yep", "yup", "correct", "right", "exactly", "sure"})
_LONGEST_ANSWER = 10
"""In words: what is longer is a new message, which the classifier reads."""


def picked_from(spec: RouterSpec, text: str, candidates: tuple[str, ...]) -> str | None:
    """Which of `candidates` the person chose, or None where the answer does not say so plainly."""
    words = _TOKEN.findall(folded(text[:200]).replace("'", ""))
    if not candidates or not words or len(words) > _LONGEST_ANSWER or len(text) > 200:
        return None
    if not _NEGATION.isdisjoint(words):
        return None
    position = _ordinal(words, len(candidates))
    if position is not None:
        return candidates[position] if position < len(candidates) else None
    named = [label for label in candidates if set(label.casefold().split("_")) <= set(words)]
    if named:
        return named[0] if len(named) == 1 else _most_precise(named)
    described = [label for label in candidates if _describes(words, spec.labels.get(label, ""))]
    return described[0] if len(described) == 1 else None


def _ordinal(words: list[str], count: int) -> int | None:
    """The place in the list that the answer gives; a place beyond the list is still an answer."""
    if count == 1 and _AGREED.issuperset(words):
        return 0
    left = [word for word in words if word not in _FILLER] or (["one"] if words in (["one"], ["number", "one"]) else [])
    if left == ["last"]:
        return count - 1
    if len(left) > 1 and len(words) > 2 and words[0] == "the" and words[2] in ("one", "option", "choice"):
        left = [words[1]]
    places = [place for place, spellings in enumerate(_ORDINALS) if len(left) == 1 and left[0] in spellings]
    return places[0] if places else None


def _describes(words: list[str], says: str) -> bool:
    """Whether the answer holds only words of a label's description."""
    said = {word for word in words if word not in _FILLER and len(word) > 2}
    return bool(said) and said <= set(_TOKEN.findall(folded(says).replace("'", "")))


def _most_precise(labels: list[str]) -> str | None:
    """`lost_card` rather than `card` where both were named; None where neither contains the other."""
    longest = max(labels, key=lambda label: label.count("_"))
    parts = set(longest.split("_"))
    return longest if all(set(label.split("_")) <= parts for label in labels) else None
