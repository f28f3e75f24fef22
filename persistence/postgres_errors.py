"""What PostgreSQL says when it cannot, as an error that tells an operator what to do."""

import psycopg
from psycopg import errors
from sqlalchemy.exc import SQLAlchemyError

from ..contracts.errors import StorageError
from .sqlite_errors import cause_of

_IN_DOUBT = "What was being written may or may not be recorded: read the stream again before deciding."

# The errors that an operator can do something about, the more particular first.
_MEANINGS: tuple[tuple[type[psycopg.Error], str, str], ...] = (
    (
        errors.DiskFull,
        "The disk of the database is full.",
        "Free space on it; nothing that was acknowledged is lost.",
    ),
    (
        errors.TooManyConnections,
        "The database takes no more connections.",
        "Run fewer processes, or raise `max_connections`.",
    ),
    (
        errors.InvalidPassword,
        "The database refused the user.",
        "Check the user and password of the URL.",
    ),
    (
        errors.InsufficientPrivilege,
        "The database's user may not do this.",
        (
            "Run as a member of `interlock_app`, which writes and reads the log. The owner brings the schema to a "
            "release; docs/postgresql.md lists which command takes which role."
        ),
    ),
    (
        errors.LockNotAvailable,
        "The database is locked by another program.",
        "End that program's transaction, or allow a longer wait.",
    ),
    (
        errors.ReadOnlySqlTransaction,
        "The database is read-only.",
        "Connect to the primary: a standby takes no writes, and its reads may be behind.",
    ),
    (
        errors.IntegrityError,
        "The database refused the row.",
        "Another program changed the schema or the rows; run `interlock verify`.",
    ),
    (
        errors.DataCorrupted,
        "The database is malformed.",
        "Stop every process that uses it, keep the files as they are, and restore a backup that verifies.",
    ),
    (
        errors.OperationalError,
        "The connection to the database failed.",
        f"Check that the server runs and can be reached. {_IN_DOUBT}",
    ),
)
_ROLES = {
    **dict.fromkeys(
        ("leaf", "checkpoint", "cosignature", "anchor", "head", "head_node", "pending"),
        "What gives places in the tree and signs it runs as a member of `interlock_sequencer`.",
    ),
    "record": "This is recorded before it is done. A member of `interlock_app` records readings; the rest takes "
    "`interlock_sequencer`, too.",
    "meta": "The log has no name yet: open it once as the owner of its tables, such as by `interlock doctor`.",
    "archived": "What prunes runs as a member of `interlock_eraser`, too.",
}
"""What to do about a table that may not be written."""
_UNKNOWN = ("The database failed.", f"See the cause. {_IN_DOUBT}")

DATABASE_ERRORS = (SQLAlchemyError, psycopg.Error)
"""What a statement can raise: through SQLAlchemy, or from the driver."""


def is_refused_row(error: BaseException) -> bool:
    """Whether a constraint or a trigger refused a row: then the database is fine, and so is the connection."""
    return isinstance(cause_of(error), errors.IntegrityError)


def translated(error: Exception, where: str) -> StorageError:
    """`error` as a `StorageError`; the caller raises it `from error`. One that is already ours is returned."""
    if isinstance(error, StorageError):
        return error
    cause = cause_of(error)
    said = " ".join(str(cause).split()).partition(" CONTEXT: ")[0]  # where in our own trigger tells nobody anything
    for kind, what, fix in _MEANINGS:
        if isinstance(cause, kind):
            state = getattr(cause, "sqlstate", None)
            if kind is errors.InsufficientPrivilege:
                fix = _ROLES.get(said.partition(" for table ")[2].partition(" ")[0], fix)
            return StorageError(f"{what} ({state or type(cause).__name__}: {said})", where=where, fix=fix)
    return StorageError(f"{_UNKNOWN[0]} ({type(cause).__name__}: {said})", where=where, fix=_UNKNOWN[1])
