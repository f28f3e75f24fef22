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


Thresholds = Annotated[
    list[str] | None, typer.Option("--threshold", metavar="ROUTER=X", help="Another threshold; may be repeated.")
]
Classifiers = Annotated[
    list[str] | None,
    typer.Option("--classifier", metavar="ROUTER=FILE", help="Another trained table; may be repeated."),
]


def backtest(
    flow: Annotated[
        str, typer.Argument(metavar="FLOW", help="The flow to try, named as for `check`; its history is taken by name.")
    ],
    since: Annotated[
        str, typer.Option("--since", metavar="DATE", help="Conversations begun at this date or later.")
    ] = "",
    label: Annotated[str, typer.Option("--label", metavar="NAME", help="Conversations that were routed to it.")] = "",
    sample: Annotated[
        int | None, typer.Option("--sample", min=1, metavar="N", help="So many conversations, drawn at random.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", help="Of the drawing: the same seed, the same sample.")
    ] = 0,
    threshold: Thresholds = None,
    classifier: Classifiers = None,
    fail_over: Annotated[
        list[str] | None,
        typer.Option(
            "--fail-over", metavar="RULE", help="Exit with 1 past it: 'rerouted>1%', 'illegal>0', 'policies>0'."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", min=0, metavar="N", help="Processes; 0 for one a core.")] = 0,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="FILE", help="Keep results here, and go on from them.")
    ] = None,
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write the report as one page.")] = None,
    turns: Annotated[
        Path | None, typer.Option("--turns", metavar="FILE", help="Write every turn that is not the same, one a line.")
    ] = None,
    json: Annotated[str, typer.Option("--json", metavar="FILE", help="Write the report as JSON; `-` for here.")] = "",
    db: Db = None,
) -> None:
    """Send every recorded conversation through another flow, turn by turn, without a model.

    Says of each turn whether it goes the same way, is re-routed, is illegal now, reaches a limit, or needs an answer
    that nobody recorded; what moved, what it would cost, and which policies break.
    """
    from .backtesting import Wishes, backtested

    wishes = Wishes(
        flow, db, since, label, sample, seed, threshold or (), classifier or (), json, html, turns, fail_over or (),
        jobs, resume,
    )  # fmt: skip
    code = backtested(wishes)
    if code:
        raise typer.Exit(code)


def audit(
    conversations: Annotated[
        list[str] | None, typer.Argument(metavar="CONVERSATION", help="The beginnings of their ids; all by default.")
    ] = None,
    flow: Annotated[str, typer.Option("--flow", metavar="FLOW", help="The flow whose policies are meant.")] = "",
    policies: Annotated[
        Path | None, typer.Option("--policies", metavar="FILE", help="A file of policies alone, without a flow.")
    ] = None,
    forks: Annotated[
        bool, typer.Option("--forks", help="Judge forks, too: what a fork begins with is a copy of its parent.")
    ] = False,
    db: Db = None,
    json: Json = False,
) -> None:
    """Judge recorded and imported conversations by policies: which keep them, which broke one, and with which event.

    By default each conversation is judged by the policies of the flow it began on. With --flow, those that any version
    of the flow led are judged by its policies of today; with --policies, all conversations by that file. Exits with 1
    where a policy is broken.
    """
    from .policing import audit as run

    code = run(conversations or (), flow=flow, policies=policies, forks=forks, db=db, as_json=json)
    if code:
        raise typer.Exit(code)
