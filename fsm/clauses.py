"""A message cut into clauses, so that each of several issues in it can be measured for itself.

Sentences are clauses; so is what an *and*, *but*, *also* or a comma joins, where both sides are long enough
to say something. A message that is one clause has no parts.
"""

import re

MOST_CLAUSES = 6
"""What comes after them stays with the last."""
_FEWEST_WORDS = 3

_WORD = re.compile(r"\w+(?:['\u2019]\w+)*")
_SENTENCE = re.compile(r"(?<=[.!?;\n])[\s.!?;]+|\n+")
_JOINT = re.compile(
    r",\s+(?:and|but|also|plus|then)\s+(?:also\s+|then\s+)?|,\s+|\s+(?:and|but|plus)\s+(?:also\s+|then\s+)?"
    r"|\s+(?:also|besides)\s+|\s+as\s+well\s+as\s+",
    re.IGNORECASE,
)


def clauses(text: str) -> tuple[str, ...]:
    """The clauses of `text` in their order; none where there is only one."""
    found: list[str] = []
    for sentence in _SENTENCE.split(text):
        joined = False
        for piece in _JOINT.split(sentence):
            if not piece.strip():
                continue
            if joined and found and (_is_short(piece) or _is_short(found[-1])):
                found[-1] = f"{found[-1]} {piece.strip()}"
            else:
                found.append(piece.strip())
            joined = True
    kept = [clause for clause in found if _WORD.search(clause)]
    if len(kept) > MOST_CLAUSES:
        kept[MOST_CLAUSES - 1 :] = [" ".join(kept[MOST_CLAUSES - 1 :])]
    return tuple(kept) if len(kept) > 1 else ()


def _is_short(clause: str) -> bool:
    return len(_WORD.findall(clause)) < _FEWEST_WORDS
