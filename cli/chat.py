"""`interlock chat`: be the customer in the terminal, and the flow's people too."""

import asyncio
from pathlib import Path

from ..contracts.errors import CallError
from ..contracts.store import Store
from ..service.project import Project, load_project
from ..service.wiring import ModelChoice, db_path, open_log, wired
from .chat_talk import Talk
from .elsewhere import check_led_here
from .finding import runnable, stream_named


def chat(flow: str, db: Path | None, resume: str, base_url: str, model: str) -> None:
    """Talk to `flow` until the person leaves or the conversation ends."""
    choice = ModelChoice(base_url, model)
    choice.check()
    project, path = load_project(flow), db_path(db)
    store = open_log(path, create=not resume)
    try:
        stream = _resumed(store, project, resume) if resume else ""
        others = runnable(store, project)
    finally:
        store.close()
    with wired(path, project, choice, others=others) as wire:
        asyncio.run(Talk(wire, path).run(stream))


def _resumed(store: Store, project: Project, prefix: str) -> str:
    """The conversation to go on with. Raises `CallError` for one of another flow, before anything is written."""
    stream = stream_named(store, prefix)
    check_led_here(store, stream)
    summary, name = store.summary(stream), project.program.ref.name
    if summary is None or summary.flow_name == name:
        return stream
    row = store.flow(summary.flow_digest)
    right = (row.source if row else "") or summary.flow_name
    raise CallError(
        f"This is a conversation of the flow {summary.flow_name!r}, not of {name!r}.",
        where=stream,
        fix=f"Go on with it by `interlock chat {right} --resume {stream[:8]}`.",
    )
