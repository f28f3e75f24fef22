"""The `interlock` command: its subcommands, each of which loads what it needs when it runs."""

from typing import Annotated

import typer

from . import commands, evidence_commands, history_commands, keeping_commands, lineage_commands
from .failing import Command, Commands
from .route import routing

app = typer.Typer(
    cls=Commands,
    name="interlock",
    help="Conversations with LLMs as explicit state machines: prove what a flow can do, and what it did.",
    epilog="Exit codes: 0 fine, 1 the thing asked about does not hold, 2 the call was wrong, 70 a bug of ours.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

START, FLOWS, LOG, RUN = "Begin", "Flows", "The log", "Running"
app.command(cls=Command, rich_help_panel=START)(commands.demo)
app.command(cls=Command, rich_help_panel=START)(commands.new)
app.command(cls=Command, rich_help_panel=START)(commands.chat)
app.command(cls=Command, rich_help_panel=FLOWS)(commands.check)
app.command(cls=Command, rich_help_panel=FLOWS)(commands.explain)
app.command(cls=Command, rich_help_panel=FLOWS)(commands.draw)
app.add_typer(routing, name="route", rich_help_panel=FLOWS)
app.command(cls=Command, rich_help_panel=LOG)(commands.log)
app.command(cls=Command, rich_help_panel=LOG)(evidence_commands.verify)
app.command(cls=Command, rich_help_panel=LOG)(commands.replay)
app.command(cls=Command, rich_help_panel=LOG)(history_commands.backtest)
app.command("import", cls=Command, rich_help_panel=LOG)(history_commands.import_)
app.command(cls=Command, rich_help_panel=LOG)(evidence_commands.export)
app.command(cls=Command, rich_help_panel=LOG)(history_commands.audit)
app.command(cls=Command, rich_help_panel=LOG)(commands.diff)
app.command(cls=Command, rich_help_panel=LOG)(evidence_commands.checkpoint)
app.command(cls=Command, rich_help_panel=LOG)(evidence_commands.receipt)
app.add_typer(evidence_commands.keys, name="key", rich_help_panel=LOG)
app.add_typer(evidence_commands.witnessing, name="witness", rich_help_panel=RUN)
app.command(cls=Command, rich_help_panel=LOG)(lineage_commands.fork)
app.command(cls=Command, rich_help_panel=RUN)(lineage_commands.migrate)
app.command(cls=Command, rich_help_panel=RUN)(commands.tasks)
app.command(cls=Command, rich_help_panel=RUN)(commands.decide)
app.command(cls=Command, rich_help_panel=RUN)(commands.resolve)
app.command(cls=Command, rich_help_panel=RUN)(commands.doctor)
KEEPING = "Keeping"
app.command(cls=Command, rich_help_panel=KEEPING)(keeping_commands.erase)
app.command(cls=Command, rich_help_panel=KEEPING)(keeping_commands.hold)
app.command(cls=Command, rich_help_panel=KEEPING)(keeping_commands.retain)
app.command(cls=Command, rich_help_panel=KEEPING)(keeping_commands.archive)
app.command(cls=Command, rich_help_panel=KEEPING)(keeping_commands.prune)
app.command(cls=Command, rich_help_panel=KEEPING)(keeping_commands.access)
app.add_typer(keeping_commands.keys, name="keys", rich_help_panel=KEEPING)
app.add_typer(keeping_commands.approvers, name="approver", rich_help_panel=KEEPING)


def _version(asked: bool) -> None:
    if asked:
        from .. import __version__

        typer.echo(f"interlock {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it.")] = False,
) -> None:
    from ..service.telemetry import configured

    configured()


def main() -> None:
    """Run the command line; ends the process with the exit code."""
    app()


if __name__ == "__main__":
    main()
