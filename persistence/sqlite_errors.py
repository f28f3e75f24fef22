"""What SQLite says when it cannot, as an error that tells an operator what to do."""

import sqlite3
from pathlib import Path

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ..contracts.errors import StorageError

_IN_DOUBT = "What was being written may or may not be recorded: read the stream again before deciding."
_WRITABLE = "Make the file and its folder writable for this user."
_LOCKED = (
    "The database is locked by another program.",
    "End that program's transaction, or allow a longer wait.",
)

# Primary result code (https://sqlite.org/rescode.html) -> what it means here, and what to do.
_MEANINGS: dict[int, tuple[str, str]] = {
    sqlite3.SQLITE_FULL: (
        "The disk is full.",
        "Free space on the database's disk; nothing that was acknowledged is lost.",
    ),
    sqlite3.SQLITE_BUSY: _LOCKED,
    sqlite3.SQLITE_LOCKED: _LOCKED,
    sqlite3.SQLITE_READONLY: ("The database is read-only.", _WRITABLE),
    sqlite3.SQLITE_PERM: ("Access to the database was denied.", _WRITABLE),
    sqlite3.SQLITE_NOTADB: (
        "The file is not an SQLite database.",
        "Give the path of an Interlock database, or of a new file.",
    ),
    sqlite3.SQLITE_CORRUPT: (
        "The database is malformed.",
        "Stop every process that uses it, keep the file as it is, and restore a backup that verifies.",
    ),
    sqlite3.SQLITE_IOERR: ("The disk reported an error.", f"Check the disk. {_IN_DOUBT}"),
    sqlite3.SQLITE_CANTOPEN: ("The database cannot be opened.", "The folder must exist and be writable for this user."),
    sqlite3.SQLITE_TOOBIG: ("A value is larger than SQLite takes.", "Keep every payload below 1 GB."),
    sqlite3.SQLITE_CONSTRAINT: (
        "The database refused the row.",
        "Another program changed the schema or the rows; run `interlock verify`.",
    ),
}
_UNKNOWN = ("The database failed.", f"See the cause. {_IN_DOUBT}")


DATABASE_ERRORS = (SQLAlchemyError, sqlite3.Error)
"""What a statement can raise: through SQLAlchemy, or from the driver."""


def cause_of(error: BaseException) -> BaseException:
    """The driver's own error."""
    return error.orig if isinstance(error, DBAPIError) and error.orig is not None else error


def is_refused_row(error: BaseException) -> bool:
    """Whether a constraint or a trigger refused a row: then the disk is fine, and so is the connection."""
    return isinstance(cause_of(error), sqlite3.IntegrityError)


def translated(error: Exception, path: Path | str) -> StorageError:
    """`error` as a `StorageError`; the caller raises it `from error`. One that is already ours is returned."""
    if isinstance(error, StorageError):
        return error
    cause = cause_of(error)
    code = getattr(cause, "sqlite_errorcode", None)
    if isinstance(cause, sqlite3.Error) and isinstance(code, int):
        what, fix = _MEANINGS.get(code & 0xFF, _UNKNOWN)
        name = getattr(cause, "sqlite_errorname", "")
        return StorageError(f"{what} ({name}: {cause})", where=str(path), fix=fix)
    return StorageError(
        f"{_UNKNOWN[0]} ({type(cause).__name__}: {cause})",
        where=str(path),
        fix=_UNKNOWN[1],
    )
