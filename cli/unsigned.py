"""Why nothing of a tree counts as signed, in words."""

from ..persistence.evidence.checking import Attested


def unsigned(tree: Attested) -> str:
    """Said of a tree of which no leaf is covered by a checkpoint that holds."""
    if not tree.judged:
        return "no checkpoint was looked at, for what does not hold comes before"
    if not tree.checkpoints:
        return "no checkpoint is here" if tree.leaves else "it is empty, and no checkpoint is here"
    if not tree.keys:
        return "no key is known, so no signature was checked (give it with --vkey)"
    if tree.strayed:
        return "what was signed is not this tree"
    return "signed with none of the keys you gave"
