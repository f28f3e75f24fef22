"""Encrypting what lies in clear, and wrapping keys anew: in small transactions, so that a running log goes on."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..contracts.errors import StorageError
from ..contracts.payload import Payload
from . import statements as sql
from .connection import LogConnection
from .refusals import check_kept
from .sql_store import SqlStore
from .vault import R_BYTES, Row, Vault

_TOGETHER = 500
"""Rows of one transaction."""


def clear_payloads(store: SqlStore[Any]) -> int:
    """How many payloads lie in clear."""
    return int(store._rows(sql.CLEAR_COUNT)[0][0])  # noqa: SLF001 - of the same package, and no business of others


def encrypted_in(store: SqlStore[Any], progress: Callable[[int], None] | None = None) -> int:
    """Encrypt all of them; returns how many there were."""
    done = 0
    while count := store._ask(partial(_some_encrypted, store.vault)):  # noqa: SLF001
        done += count
        if progress is not None:
            progress(done)
    return done


def _some_encrypted(vault: Vault, connection: LogConnection) -> int:
    def stored(subjects: Sequence[str]) -> Sequence[Row]:
        return connection.run(sql.KEYS_OF, subjects=json.dumps(subjects))

    try:
        with connection.writing():
            rows = connection.run(sql.CLEAR_PAYLOADS, at_most=_TOGETHER)
            vault.forget_current()
            subjects = {subject for _, subject, *_ in rows}
            connection.add(sql.ADD_KEY, vault.ready(subjects, stored, partial(connection.run, sql.ANY_KEY, at_most=1)))
            for stream, subject, version, name, kind, r, body, *_ in rows:
                if len(r or b"") != R_BYTES:
                    raise StorageError(
                        f"The payload {name!r} has no commitment key of {R_BYTES} bytes.",
                        where=f"stream {stream}, version {version}",
                        fix="Run `interlock verify`: the row was altered.",
                    )
                *_, sealed_body, key, nonce = vault.sealed(stream, version, Payload(name, kind, r, body), subject)
                done = connection.change(
                    sql.PUT_BODY,
                    sealed_body=sealed_body,
                    under=key,
                    once=nonce,
                    in_stream=stream,
                    of=version,
                    called=name,
                )
                check_kept(sql.PUT_BODY.sql, connection.where, given=1, done=done)
    finally:
        vault.forget_current()
    return len(rows)


def try_rewrapping(store: SqlStore[Any]) -> None:
    """Write a data key over with itself. Raises `StorageError` where the user may not, or the log cannot be written."""

    def attempt(connection: LogConnection) -> None:
        with connection.writing():
            rows = connection.run(sql.KEYS)[:1]
            for identity, _, wrapped in rows or [("", "", b"")]:  # a right is asked for where there is no row, too
                done = connection.change(sql.PUT_WRAPPED, anew=wrapped, under=identity)
                check_kept(sql.PUT_WRAPPED.sql, connection.where, given=len(rows), done=done)

    store._ask(attempt)  # noqa: SLF001


def rewrapped_in(store: SqlStore[Any]) -> int:
    """Wrap every data key by the master key that wraps now; returns how many."""

    def rewrap(connection: LogConnection) -> int:
        with connection.writing():
            rows = connection.run(sql.KEYS)
            for identity, subject, wrapped in rows:
                anew = store.vault.rewrapped(identity, subject, wrapped)
                done = connection.change(sql.PUT_WRAPPED, anew=anew, under=identity)
                check_kept(sql.PUT_WRAPPED.sql, connection.where, given=1, done=done)
            return len(rows)

    return store._ask(rewrap)  # noqa: SLF001
