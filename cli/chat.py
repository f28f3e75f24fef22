"""`interlock chat`: be the customer in the terminal, and the bank's people too."""

from typing import Annotated

import typer

from .options import BaseUrl, Db, FlowArgument, Model


def chat(
    flow: FlowArgument,
    db: Db = None,
    resume: Annotated[
        str, typer.Option("--resume", metavar="CONVERSATION", help="Go on with this one: the beginning of its id.")
    ] = "",
    base_url: BaseUrl = "",
    model: Model = "",
) -> None:
    """Talk to a flow. Reads lines from the terminal, or from a pipe.

    A real model answers if OPENAI_API_KEY or --base-url is given, else the flow's own script. `/help` lists
    what can be typed besides messages; a task for a person is decided with `/task DECISION`.
    """
    import asyncio

    from ..service.project import load_project
    from ..service.wiring import ModelChoice, db_path, open_log, wired
    from .chat_talk import Talk
    from .finding import runnable, stream_named

    project, path = load_project(flow), db_path(db)
    store = open_log(path, create=not resume)
    try:
        stream = stream_named(store, resume) if resume else ""
        others = runnable(store, project)
    finally:
        store.close()
    with wired(path, project, ModelChoice(base_url, model), others=others) as wire:
        asyncio.run(Talk(wire, path).run(stream))
