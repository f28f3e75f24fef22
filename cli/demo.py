"""`interlock demo`: a dozen customers through the bank's flow, their log verified, and every decision made again."""

import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import BaseUrl, Json, Model

if TYPE_CHECKING:
    from .demo_show import Outcome


def demo(
    db: Annotated[
        Path | None, typer.Option("--db", metavar="FILE", help="Keep the log in this file. [default: a temporary one]")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Keep the temporary log, and say where it is.")] = False,
    base_url: BaseUrl = "",
    model: Model = "",
    json: Json = False,
) -> None:
    """Play fourteen bank customers, verify their log, and decide it all again.

    Offline and without a key: the advisers are scripted. With OPENAI_API_KEY or --base-url the same flow
    talks to that model. Exits with 1 unless everything held.
    """
    folder = Path(tempfile.mkdtemp(prefix="interlock-demo-"))
    try:
        outcome = _run(db or folder / "demo.db", folder, base_url, model, json, kept=bool(db or keep))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    if not outcome.held:
        raise typer.Exit(1)


def _run(path: Path, folder: Path, base_url: str, model: str, as_json: bool, *, kept: bool) -> "Outcome":
    started = time.perf_counter()
    import asyncio

    from ..examples.bank.code import LEDGER
    from ..examples.bank.conversations import CUSTOMERS
    from ..service.project import load_project
    from ..service.wiring import ModelChoice, wired
    from .demo_play import MovableClock, played
    from .demo_show import Outcome, Show
    from .terminal import write_json

    project, clock = load_project("bank"), MovableClock()
    LEDGER.start_over()
    show = Show(as_json)
    with wired(path, project, ModelChoice(base_url, model), clock=clock) as wire:
        show.opening(project, wire, path, kept)

        async def play() -> Any:
            async with wire.running():
                return await played(wire, CUSTOMERS, clock, show.before, show.after)

        conversations = asyncio.run(play())
        show.timeline(wire, conversations)
        outcome = Outcome(str(path) if kept else "", wire.agents.says, wire.agents.scripted, project, conversations)
        show.proof(wire, outcome, folder)
        outcome.seconds = time.perf_counter() - started
        show.closing(outcome)
    if as_json:
        write_json(outcome.document())
    return outcome
