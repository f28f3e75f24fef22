"""Entry and row: each side as the other, and nothing changed by the way there and back."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..contracts.canonical import leaf_hash
from ..contracts.envelope import Entry, opened
from ..contracts.errors import CallError, LogBroken
from ..contracts.payload import Payload, PayloadAt
from ..contracts.store import Append, StoredEntry, Summary, TimerRow

Row = tuple[Any, ...]


def checked(append: Append) -> Append:
    """`append` if it is one that a store can record whole; its deadlines are put in order.

    Raises `CallError` if the entries are not the next ones of one stream, if a key, payload or deadline is
    given twice, if the summary is of something else, or if the stream has no name to find it by.
    """
    summary = append.summary
    faults = [
        ("There is no entry to append.", not append.entries),
        ("The stream's name is not 1 to 128 printable ASCII characters.", not _is_name(summary.stream)),
        ("The entries are not of the summary's stream.", any(e.stream != summary.stream for e in append.entries)),
        (
            f"The entries do not follow one another from version {append.expected}.",
            [e.version for e in append.entries] != [append.expected + n for n in range(len(append.entries))],
        ),
        (
            f"The summary says {summary.length} entries.",
            summary.length != append.expected + len(append.entries),
        ),
        ("A key stands on two entries.", _repeats(e.key for e in append.entries if e.key is not None)),
        (
            "An entry has two payloads of one name.",
            any(len(e.payloads) > 1 and _repeats(p.name for p in e.payloads) for e in append.entries),
        ),
        ("The summary has two deadlines of one event.", _repeats(t.timer for t in summary.timers)),
        ("A deadline is of another stream.", any(t.stream != summary.stream for t in summary.timers)),
    ]
    for what, broken in faults:
        if broken:
            raise CallError(what, where=f"append to stream {summary.stream!r}", fix="Append what `sealed` made.")
    ordered = tuple(sorted(summary.timers, key=lambda timer: timer.timer))
    return append if ordered == summary.timers else replace(append, summary=replace(summary, timers=ordered))


def _is_name(stream: str) -> bool:
    return stream.isascii() and stream.isprintable() and 1 <= len(stream) <= 128


def _repeats(values: Iterable[object]) -> bool:
    listed = list(values)
    return len(set(listed)) != len(listed)


def event_row(entry: Entry) -> Row:
    """In the order of `statements.ADD_EVENT`."""
    return (entry.stream, entry.version, entry.event.type, entry.at, entry.key, entry.leaf, entry.data)


def clear_row(entry: Entry, payload: Payload, subject: str) -> Row:
    """In the order of `statements.ADD_PAYLOAD`: in clear, so without a key."""
    return (entry.stream, entry.version, payload.name, payload.kind, subject, payload.r, payload.plaintext, None, None)


def conversation_row(summary: Summary) -> Row:
    """In the order of `statements.PUT_CONVERSATION`."""
    return (
        summary.stream,
        summary.flow_name,
        summary.flow_version,
        summary.flow_digest,
        summary.subject,
        summary.state,
        summary.status,
        summary.length,
        summary.started_at,
        summary.updated_at,
        summary.undecided,
        summary.owner,
        json.dumps(summary.tasks),
    )


def summary_of(row: Sequence[Any], timers: Iterable[Sequence[Any]]) -> Summary:
    """The summary that a conversation's row and its deadlines stand for. Raises `LogBroken` for another's row."""
    *columns, written = row
    stream = columns[0]
    try:
        tasks = tuple(json.loads(written))
    except (ValueError, TypeError) as error:
        raise LogBroken(
            "The tasks of the projection are not a list.",
            stream=stream,
            version=0,
            fix="Run `interlock verify`; the row was altered.",
        ) from error
    values = [*columns, tuple(TimerRow(stream, timer, due) for timer, due in timers), tasks]
    return Summary(*values)


def stored(entry: Entry) -> StoredEntry:
    """What a store gives back of `entry`."""
    return StoredEntry(entry.stream, entry.version, entry.event.type, entry.at, entry.key, entry.leaf, entry.data)


def entry_of(row: StoredEntry, payloads: Mapping[PayloadAt, Payload] | None = None) -> Entry:
    """The entry that a stored row stands for, with those of `payloads` that are its own.

    Raises `LogBroken` if the bytes do not hash to the leaf or a column says something else than the bytes,
    and `NotEncodable` if the bytes are no known event.
    """
    envelope, event = opened(row.data)
    said = (envelope.stream, envelope.ver, envelope.type, envelope.key, leaf_hash(row.data))
    if said != (row.stream, row.version, row.type, row.key, row.leaf):
        raise LogBroken(
            "The row's columns do not say what its entry says.",
            stream=row.stream,
            version=row.version,
            fix="Run `interlock verify`; the row was altered.",
        )
    own = sorted(
        (payload for at, payload in (payloads or {}).items() if at.version == row.version),
        key=lambda p: p.name,
    )
    return Entry(
        stream=row.stream,
        version=row.version,
        event=event,
        at=row.at,
        key=row.key,
        cause=envelope.cause,
        data=row.data,
        leaf=row.leaf,
        payloads=tuple(own),
    )
