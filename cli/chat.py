"""`interlock chat`: be the customer in the terminal, and the flow's people too."""

import asyncio
from pathlib import Path

from ..service.project import load_project
from ..service.wiring import ModelChoice, db_path, open_log, wired
from .chat_talk import Talk
from .finding import runnable, stream_named


def chat(flow: str, db: Path | None, resume: str, base_url: str, model: str) -> None:
    """Talk to `flow` until the person leaves or the conversation ends."""
    project, path = load_project(flow), db_path(db)
    store = open_log(path, create=not resume)
    try:
        stream = stream_named(store, resume) if resume else ""
        others = runnable(store, project)
    finally:
        store.close()
    with wired(path, project, ModelChoice(base_url, model), others=others) as wire:
        asyncio.run(Talk(wire, path).run(stream))
