"""Conversations whose entries were pruned from the database: what is kept of them, and which archive has the rest."""

from collections.abc import Iterable
from dataclasses import dataclass

from .canonical import canonical, sha256_hex

STATEMENT = "interlock prune v1"
"""First line of what the log's key signs before entries are pruned: no checkpoint or manifest begins so."""


@dataclass(frozen=True, slots=True)
class Archived:
    """A conversation that is in an archive and no longer here. `length` and `leaf` say where it ended.

    `archive` is the archive's name, `record` the number of the log's record that says so.
    """

    stream: str
    length: int
    leaf: bytes
    subject: str
    flow_name: str
    state: str
    started_at: str
    updated_at: str
    archive: str
    record: int

    @property
    def where(self) -> str:
        """For an error: what happened to the entries, and where they are."""
        return f"The entries of {self.stream!r} were pruned from this log; they are archived in {self.archive!r}."


def listing_digest(archived: Iterable[Archived]) -> str:
    """SHA-256 over everything that is kept of these conversations, in the order of their names: a record holds it."""
    return sha256_hex(canonical([listed(one) for one in sorted(archived, key=lambda one: one.stream)]))


def listed(one: Archived) -> dict[str, str | int]:
    """A conversation as the listing has it; name and record of the archive stand beside the listing."""
    return {
        "flow": one.flow_name,
        "leaf": one.leaf.hex(),
        "length": one.length,
        "started": one.started_at,
        "state": one.state,
        "stream": one.stream,
        "subject": one.subject,
        "updated": one.updated_at,
    }


def statement_text(log: str, archive: str, manifest: str, listing: str, size: int) -> str:
    """What is signed: this archive, whose MANIFEST has that SHA-256, holds these conversations as of `size` leaves."""
    return f"{STATEMENT}\n{log}\n{archive}\n{manifest}\n{listing}\n{size}\n"
