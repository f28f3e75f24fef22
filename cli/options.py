"""Options that several commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Db = Annotated[
    Path | None,
    typer.Option(
        "--db", envvar="INTERLOCK_DB", metavar="FILE", show_default="interlock.db", help="The SQLite file of the log."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document and nothing else.")]
BaseUrl = Annotated[
    str, typer.Option("--base-url", metavar="URL", help="An OpenAI-compatible server (or set OPENAI_BASE_URL).")
]
Model = Annotated[
    str, typer.Option("--model", metavar="NAME", help="Use this model instead of the flow's (or set INTERLOCK_MODEL).")
]
FlowArgument = Annotated[
    str,
    typer.Argument(metavar="FLOW", help="`bank`, a flow.yaml, its folder, an installed package, or module:attribute."),
]
FlowOption = Annotated[
    str, typer.Option("--flow", metavar="FLOW", help="Where the flow's code is, if not where the log says.")
]
Conversation = Annotated[str, typer.Argument(metavar="CONVERSATION", help="The beginning of its id.")]
OneOrAll = Annotated[
    str, typer.Argument(metavar="CONVERSATION", help="The beginning of its id. Left out: all of them.")
]


class Format(StrEnum):
    """How a picture is written."""

    mermaid = "mermaid"
    dot = "dot"
    svg = "svg"
    png = "png"


class Ending(StrEnum):
    """What becomes of an undecided effect."""

    again = "again"
    done = "done"
    failed = "failed"
