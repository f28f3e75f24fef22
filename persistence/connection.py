"""What a store needs of one connection to its database, whichever database that is."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from ..contracts.errors import StorageError
from .statements import Statement


class LogConnection(Protocol):
    """A connection that one thread owns.

    `suspect` is set once a write has failed in a way that may have reached the disk: the connection must then be
    closed and a new one opened, and never be asked to commit again.
    """

    log: str
    """Origin of the log."""
    suspect: bool

    @property
    def reads_texts(self) -> bool:
        """Whether its user may read what people wrote; an auditor's may not."""
        ...

    @property
    def all_rows(self) -> int | None:
        """What a statement is given for `at_most` where no row is to be left out."""
        ...

    @property
    def where(self) -> str:
        """The database, for an error to name."""
        ...

    def run(self, statement: Statement, **values: Any) -> Sequence[Any]:
        """The rows that `statement` gives."""
        ...

    def change(self, statement: Statement, **values: Any) -> int:
        """How many rows `statement` changed. Raises `NotKept` where it is seen that a trigger changed others."""
        ...

    def add(self, statement: Statement, rows: list[tuple[Any, ...]]) -> None:
        """Insert each of `rows`, whose values are in the order of `statement`.

        Raises `NotKept` unless every one was inserted: the transaction is then to be undone.
        """
        ...

    def clear(self, statement: Statement, rows: list[tuple[Any, ...]]) -> None:
        """Delete what `statement` says, with each of `rows` for its values; there may be nothing to delete."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """A write transaction: durable when the block has been left, and undone if it raises."""
        ...

    def reading(self) -> AbstractContextManager[None]:
        """Several reads of one state of the database."""
        ...

    def hold(self, streams: Sequence[str], known: Mapping[str, int]) -> bool:
        """Inside a write transaction: no other connection appends to these streams until it is over.

        Whether what this connection knows still holds: the lengths in `known` of those it has seen. Where it may
        not, everything that was known is to be looked up anew.
        """
        ...

    def hold_budget(self, name: str) -> None:
        """Inside a write transaction: no other connection changes the budget of that name until it is over."""
        ...

    def scrub(self) -> None:
        """Leave nothing of deleted rows: in no free page, and in no log of writes that is ours to empty."""
        ...

    def close(self) -> None:
        """Let go of the database. Safe to call twice."""
        ...


@dataclass(frozen=True, slots=True)
class Failures:
    """How a database's driver says that it failed."""

    raised: tuple[type[Exception], ...]
    is_refused_row: Callable[[BaseException], bool]
    """Whether a constraint or a trigger refused a row: then the database is fine, and so is the connection."""
    translated: Callable[[Exception, str], StorageError]
    """The error for the caller, who raises it `from` the driver's."""
