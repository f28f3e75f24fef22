"""`interlock demo`: a dozen customers through the bank's flow, their log verified, and every decision made again."""

import asyncio
import shutil
import tempfile
import time
from pathlib import Path

from ..examples.bank.code import LEDGER
from ..examples.bank.conversations import CUSTOMERS
from ..service.project import load_project
from ..service.wiring import ModelChoice, wired
from .demo_play import MovableClock, Played, played
from .demo_show import Outcome, Show
from .terminal import write_json


def demo(db: Path | None, keep: bool, base_url: str, model: str, as_json: bool) -> int:
    """Play, show and prove; 0 if everything held."""
    folder = Path(tempfile.mkdtemp(prefix="interlock-demo-"))
    try:
        choice = ModelChoice(base_url, model)
        outcome = _run(db or folder / "demo.db", folder, choice, as_json, kept=bool(db or keep))
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
    return 0 if outcome.held else 1


def _run(path: Path, folder: Path, choice: ModelChoice, as_json: bool, *, kept: bool) -> Outcome:
    started = time.perf_counter()
    project, clock = load_project("bank"), MovableClock()
    LEDGER.start_over()
    show = Show(as_json)
    with wired(path, project, choice, clock=clock) as wire:
        show.opening(project, wire, path, kept)

        async def play() -> list[Played]:
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
