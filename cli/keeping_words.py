"""What people did to the log itself, in plain words."""

from typing import assert_never

from ..contracts.keeping import (
    Act,
    ApproverNamed,
    ErasureApproved,
    ErasureAsked,
    ErasureDone,
    ErasureRefused,
    HoldPlaced,
    HoldReleased,
    KeysChanged,
    PruneRefused,
    SegmentPruned,
    TextsPruned,
    TextsRead,
)
from .terminal import counted


def words_of(act: Act) -> str:
    """One line, with the ground if there is one."""
    ground = getattr(act, "ground", "")
    return f"{_what(act)}{f': {ground}' if ground else ''}"


def _what(act: Act) -> str:
    match act:
        case TextsRead():
            return f"read the texts of {act.conversation} ({act.through})"
        case HoldPlaced():
            return f"held {f'subject {act.subject}' if act.subject else f'conversation {act.conversation}'}"
        case HoldReleased():
            return f"ended hold {act.hold}"
        case ErasureAsked():
            others = f", with {act.approvals} approvals" if act.approvals > 1 else ""
            return f"asked to erase {act.subject}{others}"
        case ErasureApproved():
            return f"approved the erasure of record {act.request}"
        case ErasureRefused():
            why = f"hold {act.hold} stands against it" if act.reason == "held" else "the same person approved before"
            return f"was refused the erasure of {act.subject}: {why}"
        case ErasureDone():
            return (
                f"erasure of record {act.request} complete: {counted(act.payloads, 'text')} of "
                f"{counted(act.conversations, 'conversation')}"
            )
        case TextsPruned():
            return f"pruned {counted(act.payloads, 'text')} by policy {act.policy[:12]}"
        case SegmentPruned():
            return (
                f"pruned {counted(act.conversations, 'conversation')} ({counted(act.entries, 'entry', 'entries')}) "
                f"that are archived in {act.archive}"
            )
        case PruneRefused():
            return f"was refused to prune what is archived in {act.archive}: hold {act.hold} stands against it"
        case KeysChanged():
            if act.how == "encrypted":
                return f"encrypted {counted(act.count, 'text')}"
            return f"wrapped {counted(act.count, 'data key')} by a new master key"
        case ApproverNamed():
            return f"{'named' if act.key else 'took the key of'} approver {act.person}"
        case _:
            assert_never(act)
