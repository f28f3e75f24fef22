"""The `interlock` command: its subcommands, each of which loads what it needs when it runs."""

from typing import Annotated

import typer

from . import chat, demo, doctor, flows, history, new, people, proof
from .failing import Commands

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
app.command(rich_help_panel=START)(demo.demo)
app.command(rich_help_panel=START)(new.new)
app.command(rich_help_panel=START)(chat.chat)
app.command(rich_help_panel=FLOWS)(flows.check)
app.command(rich_help_panel=FLOWS)(flows.draw)
app.command(rich_help_panel=LOG)(history.log)
app.command(rich_help_panel=LOG)(proof.verify)
app.command(rich_help_panel=LOG)(proof.replay)
app.command(rich_help_panel=RUN)(people.tasks)
app.command(rich_help_panel=RUN)(people.decide)
app.command(rich_help_panel=RUN)(people.resolve)
app.command(rich_help_panel=RUN)(doctor.doctor)


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
