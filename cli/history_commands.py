"""The commands over a whole history, as they are called: arguments and help. What they do loads when they run."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from .options import Db, Json


class Record(StrEnum):
    """What is imported."""

    openai = "openai"
    tau = "tau"


def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="The files; `openai` reads a record a line.")],
    kind: Annotated[
        Record,
        typer.Option("--as", help="`openai`: chat records in JSONL. `tau`: trajectories of tau-bench or tau2-bench."),
    ],
    marks: Annotated[
        Path | None,
        typer.Option("--marks", metavar="FILE", help="Patterns (YAML) that become `mark:NAME` for policies."),
    ] = None,
    skip: Annotated[
        bool,
        typer.Option("--skip/--strict", help="Leave malformed records out, or import nothing if there is one."),
    ] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Bring conversations that were led elsewhere into the log, marked as imported.

    Each is imported once, however often. Policies are audited on them (`interlock audit`); there is nothing in them
    that was decided by a flow, and so nothing to replay.
    """
    from .importing import imported

    code = imported(files, kind.value, marks, skip=skip, db=db, as_json=json)
    if code:
        raise typer.Exit(code)
