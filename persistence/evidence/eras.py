"""Which of the log's keys sign from which leaf on, and the statements by which one hands over to the next."""

from collections.abc import Sequence

from .notes import ED25519, ML_DSA, NoteRefused, VerifierKey, note_of, verifier_key

ROTATION, ROTATION_OF_SEVERAL = "interlock key rotation v1", "interlock key rotation v2"
"""The first line of the statement by which one key hands over to the next, both of which sign it; and where one of the
two is of several algorithms, a key of each, with a space between them. All sign."""


def rotation_text(log: str, old: Sequence[VerifierKey], new: Sequence[VerifierKey]) -> str:
    """The statement that the log signs with the new keys from here on; for all of them to sign."""
    first = ROTATION if len(old) == len(new) == 1 else ROTATION_OF_SEVERAL
    return "\n".join([first, log, *(" ".join(map(str, keys)) for keys in (old, new)), ""])


def handed_over(
    eras: Sequence[tuple[int, VerifierKey]], index: int, statement: str, log: str
) -> list[tuple[int, VerifierKey]]:
    """The keys after a change at this leaf, each with the leaf from which it is in force.

    Known may be the old keys or the new ones: the others follow from the statement. Of every algorithm that is known,
    the key must be the one that is known: who can forge one algorithm cannot hand over the other. Raises
    `InterlockError`.
    """
    note = note_of(statement)
    _, origin, *lines = note.text[:-1].split("\n")
    both = [[verifier_key(one) for one in line.split(" ")] for line in lines]
    whole = all([key.kind for key in keys] in ([ED25519], [ED25519, ML_DSA]) for keys in both)
    if len(both) != 2 or not whole or origin != log or note.text != rotation_text(log, *both):
        raise NoteRefused("it is no statement of this log.", fix="Keep the log as evidence: its key may be stolen.")
    old, new = both
    if not all(note.signed_by(key) and key.name == log for key in (*old, *new)):
        raise NoteRefused("it is not signed by both keys.", fix="Keep the log as evidence: its key may be stolen.")
    if not eras:
        return []
    known = {key.public for _, key in eras}
    kinds = {key.kind for key in in_force(eras, index + 1)}
    if not any(all(any(key.kind == kind and key.public in known for key in keys) for kind in kinds) for keys in both):
        raise NoteRefused("it is between keys that you do not know.", fix="Give one of the keys of this log.")
    begun = {key.public: at for at, key in eras}
    stated = {key.public for keys in both for key in keys}
    others = [one for one in eras if one[1].public not in stated]
    return [
        *others,
        *((begun.get(key.public, 0), key) for key in old),
        *((index, key) for key in new),
    ]


def in_force(eras: Sequence[tuple[int, VerifierKey]], size: int) -> list[VerifierKey]:
    """The keys that sign a tree of this size."""
    begun = [at for at, _ in eras if at < size]
    return [key for at, key in eras if begun and at == max(begun)]
