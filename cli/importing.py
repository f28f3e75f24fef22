"""`interlock import`: conversations of other programs brought into the log."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from ..contracts.errors import CallError
from ..contracts.imported import ImportFormat
from ..contracts.marks import MarkSet
from ..fsm.mark_file import read_marks
from ..service.evidence import refuse_old_copy
from ..service.importing import Fault, Imported, ImportRefused, Progress, import_files
from ..service.wiring import db_path, open_log
from .terminal import MARKS, Terminal, counted, safe, write_json

SHOWN = 20
"""Malformed records that are told on the terminal; the JSON document holds up to a thousand."""


def imported(
    files: Sequence[Path], kind: ImportFormat, marks: Path | None, *, skip: bool, db: Path | None, as_json: bool
) -> int:
    """Import the files; 1 where they were refused because a record is malformed."""
    found, refused = Imported(), False
    rules = _marks(marks)
    store = open_log(db_path(db), create=True)
    try:
        refuse_old_copy(db_path(db), store.tree())
        with _bar(quiet=as_json) as progress:
            found = import_files(store, files, kind, marks=rules, skip=skip, progress=progress)
    except ImportRefused as error:
        found, refused = Imported(malformed=error.malformed, faults=error.faults), True
    finally:
        log = store.log
        store.close()
    if as_json:
        write_json(imported_document(log, found, refused))
    else:
        _show(found, kind, refused)
    return 1 if refused else 0


def imported_document(log: str, found: Imported, refused: bool) -> dict[str, Any]:
    """`{"log", "refused", "imported", "messages", "calls", "known", "otherwise_marked", "malformed", "faults":
    [{"file", "number", "what"}]}`: `known` records were in the log already, `otherwise_marked` of them with other
    marks; `number` counts lines, or trajectories."""
    return {
        "log": log,
        "refused": refused,
        "imported": found.streams,
        "messages": found.messages,
        "calls": found.calls,
        "known": found.known,
        "otherwise_marked": found.otherwise_marked,
        "malformed": found.malformed,
        "faults": [{"file": one.file, "number": one.number, "what": one.what} for one in found.faults],
    }


def _marks(path: Path | None) -> MarkSet | None:
    if path is None:
        return None
    try:
        return read_marks(path.read_bytes(), file=str(path))
    except OSError as error:
        raise CallError(
            f"The marks cannot be read: {error.strerror}.", where=str(path), fix="Check the path and its permissions."
        ) from error


@contextmanager
def _bar(*, quiet: bool) -> Iterator[Any]:
    terminal = Terminal(error=True)
    bar = Bar(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=terminal.console, transient=True,
        disable=quiet or not terminal.console.is_terminal,
    )  # fmt: skip
    with bar:
        task = bar.add_task("importing", total=None)

        def progress(at: Progress) -> None:
            bar.update(task, description=counted(at.records, "record"), completed=at.read, total=at.total)

        yield progress


def _show(found: Imported, kind: ImportFormat, refused: bool) -> None:
    terminal = Terminal()
    for fault in found.faults[:SHOWN]:
        _show_fault(terminal, fault, kind)
    if found.malformed > SHOWN:
        terminal.line((f"and {found.malformed - SHOWN:,} more; --json lists them", "dim"), indent=2)
    if refused:
        terminal.hang(
            terminal.text((MARKS.bad, "bold red")),
            (f"{counted(found.malformed, 'malformed record')}: nothing was imported. ", "bold"),
            "Mend the file, or leave such records out with --skip.",
        )
        return
    left = f"; {counted(found.malformed, 'malformed record')} left out" if found.malformed else ""
    known = f"; {found.known:,} more in the log already" if found.known else ""
    terminal.hang(
        terminal.text((MARKS.good, "bold green")),
        (counted(found.streams, "conversation"), "bold"),
        f" imported with {counted(found.messages, 'message')} and {counted(found.calls, 'tool call')}{known}{left}",
    )
    if found.otherwise_marked:
        terminal.hang(
            terminal.text((MARKS.warn, "bold yellow")),
            f"{counted(found.otherwise_marked, 'conversation')} stand in the log with other marks than these, and "
            "keep them: an entry never changes. Import into a new log (--db) to have these marks.",
        )


def _show_fault(terminal: Terminal, fault: Fault, kind: ImportFormat) -> None:
    what = "line" if kind == "openai" else "trajectory"
    terminal.hang(
        terminal.text((MARKS.bad, "red")), (f"{safe(fault.file)}, {what} {fault.number}: ", "bold"), safe(fault.what)
    )
