"""Texts that a person at the terminal is about to see: who looks, and why, is recorded before they are read."""

import getpass
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..contracts.errors import CallError, ConversationArchived
from ..contracts.keeping import ReadThrough, TextsRead
from ..contracts.payload import Payload, PayloadAt
from ..contracts.protection import KeepingStore
from ..fsm.render import ERASED
from ..persistence.verify import verify
from ..service.auditing import missing_texts
from ..service.journal import Journal
from ..service.missing import Accounts

MISSING = "[missing]"
_NAME = re.compile(r"[\x21-\x7e]{1,128}")


def acting(who: str = "") -> str:
    """Who acts: as given, else `INTERLOCK_USER`, else the system's user. Raises `CallError` for what is no name."""
    who = who or os.environ.get("INTERLOCK_USER", "")
    if not who:
        try:
            who = re.sub(r"[^\x21-\x7e]", "_", getpass.getuser())[:128]
        except (KeyError, OSError):
            who = ""
    if not _NAME.fullmatch(who):
        raise CallError(
            f"The name {who[:40]!r} cannot stand in the log.",
            fix="Give --as, or INTERLOCK_USER, a pseudonym of printable ASCII without spaces.",
        )
    return who


@dataclass(frozen=True, slots=True)
class Looking:
    """Who looks at texts, and why; empty: whoever is at the terminal, and no reason given."""

    who: str = ""
    ground: str = ""


class Texts(dict[PayloadAt, Payload]):
    """The texts of a conversation. `missing` are those that are gone, with no erasure of them on the record."""

    missing: frozenset[PayloadAt] = frozenset()

    def absent(self, at: PayloadAt) -> str:
        """What stands for a text that is not here."""
        return MISSING if at in self.missing else ERASED


def texts_seen(store: KeepingStore, stream: str, through: ReadThrough, looking: Looking | None = None) -> Texts:
    """The texts of a conversation, after the reading was recorded. Raises `CallError` for a ground that is no line."""
    looking = looking or Looking()
    ground = checked_ground(looking.ground)
    found = Texts(Journal(store).read_texts(stream, by=acting(looking.who), through=through, ground=ground))
    try:
        lost, _ = missing_texts(store, verify(store, streams=[stream], asked=Accounts(store).asked))
    except ConversationArchived:  # its archive says what became of its texts
        return found
    found.missing = frozenset(PayloadAt(version=at.version, name=at.name) for _, at in lost)
    return found


def missing_said(missing: int) -> str:
    """What to tell whoever sees that texts are missing."""
    are = "text is" if missing == 1 else "texts are"
    return (
        f"{missing} {are} missing: nothing on the record says that they were erased. Keep the file as evidence, and "
        "restore a backup; `interlock verify` names the first."
    )


def noted_reading(store: KeepingStore, streams: Iterable[str], through: ReadThrough) -> None:
    """Record that texts of these conversations (`*` for all) are about to be written out."""
    journal = Journal(store)
    for stream in streams:
        journal.note(TextsRead(by=acting(), through=through, conversation=stream))


def checked_ground(ground: str, *, needed: bool = False) -> str:
    """Why somebody acts, as it may stand in the log. Raises `CallError`, also where it is `needed` and empty."""
    if len(ground) > 200 or not ground.isprintable():
        raise CallError("The ground is longer than 200 characters, or no single line.", fix="Give a short --ground.")
    if needed and not ground.strip():
        raise CallError("This needs a ground.", fix="Give --ground with the number of the request or the case.")
    return ground
