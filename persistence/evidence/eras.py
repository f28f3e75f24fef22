"""Which of the log's keys sign from which leaf on, and the statements by which one hands over to the next."""

from collections.abc import Iterable, Sequence

from ...contracts.errors import InterlockError, NotEncodable
from ...contracts.records import RECORDS, KeyRotated, record_of
from ...contracts.tree import TreeStore
from .notes import ED25519, ML_DSA, NoteRefused, VerifierKey, note_of, verifier_key

Era = tuple[int, VerifierKey]
"""The leaf from which on a key signs, and the key."""

ROTATION, ROTATION_OF_SEVERAL = "interlock key rotation v1", "interlock key rotation v2"
"""The first line of the statement by which one key hands over to the next, both of which sign it; and where one of the
two is of several algorithms, a key of each, with a space between them. All sign."""


def rotation_text(log: str, old: Sequence[VerifierKey], new: Sequence[VerifierKey]) -> str:
    """The statement that the log signs with the new keys from here on; for all of them to sign."""
    first = ROTATION if len(old) == len(new) == 1 else ROTATION_OF_SEVERAL
    return "\n".join([first, log, *(" ".join(map(str, keys)) for keys in (old, new)), ""])


def handed_over(eras: Sequence[Era], index: int, statement: str, log: str) -> list[Era]:
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


def successors(statement: str) -> list[VerifierKey]:
    """The keys that a statement hands over to, whoever signed it. Raises `InterlockError`."""
    return [verifier_key(one) for one in note_of(statement).text[:-1].split("\n")[-1].split(" ")]


def in_force(eras: Sequence[Era], size: int) -> list[VerifierKey]:
    """The keys that sign a tree of this size."""
    begun = [at for at, _ in eras if at < size]
    return [key for at, key in eras if begun and at == max(begun)]


def followed(eras: Sequence[Era], changes: Sequence[tuple[int, int, str]], log: str) -> tuple[list[Era], list[str]]:
    """The keys after these changes, each (leaf, number of its record, statement), from one that is known, forwards and
    back; and what is wrong with the changes that do not lead on."""
    found, left, faults = list(eras), list(changes), dict[int, str]()
    while left:
        later = []
        for index, record, statement in left:
            try:
                found = handed_over(found, index, statement, log)
            except InterlockError as error:
                later.append((index, record, statement))
                faults[index] = f"The change of the log's key in record {record} does not hold: {error.what}"
        if len(later) == len(left):
            return found, [faults[index] for index, _, _ in left]
        left = later
    return found, []


def eras_of(tree: TreeStore, known: Iterable[VerifierKey]) -> list[Era]:
    """The keys of this log, from those that are known. A record that cannot be read, or a change of keys that does not
    hold, leads to none: `verify` names it. Raises what storage raises."""
    changes = []
    for row in tree.kept_records():
        try:
            _, record = record_of(row.entry)
        except NotEncodable:
            continue
        index = tree.index_of(RECORDS, row.number) if isinstance(record, KeyRotated) else None
        if isinstance(record, KeyRotated) and index is not None:
            changes.append((index, row.number, record.statement))
    return followed([(0, key) for key in known], changes, tree.log)[0]
