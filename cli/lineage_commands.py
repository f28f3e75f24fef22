"""`interlock fork` and `interlock migrate` as they are called; what they do loads when they run."""

from pathlib import Path
from typing import Annotated

import typer

from .options import BaseUrl, Conversation, Db, Json, Model


def fork(
    conversation: Conversation,
    at: Annotated[
        int, typer.Option("--at", min=0, metavar="N", help="Go back to before event N, where a decision begins.")
    ],
    message: Annotated[
        str | None, typer.Option("--message", metavar="TEXT", help="Said in place of the message at N.")
    ] = None,
    answer: Annotated[
        Path | None, typer.Option("--answer", metavar="FILE", help="Answered in place of the agent or tool at N.")
    ] = None,
    flow: Annotated[str, typer.Option("--flow", metavar="FLOW", help="Go on with this flow and its code.")] = "",
    live: Annotated[
        bool,
        typer.Option(
            "--live/--recorded", help="Where the record does not apply: ask the flow's agents, or stop and say why."
        ),
    ] = False,
    alone: Annotated[bool, typer.Option("--alone", help="Say nothing again that was said after N.")] = False,
    base_url: BaseUrl = "",
    model: Model = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Go on from event N of a recorded conversation in a new one, which names its parent.

    Recorded answers are given again while exactly the same is asked. What was said after N is said again. Nothing that
    changes the world outside is run in a fork, and the parent stays as it is. Go on with it in `interlock chat FLOW
    --resume ID`.
    """
    from ..service.wiring import ModelChoice
    from .forking import Wish
    from .forking import fork as run

    wish = Wish(conversation, at, message, answer, flow, live, alone)
    _end(run(db, wish, ModelChoice(base_url, model), as_json=json))


def migrate(
    to: Annotated[str, typer.Option("--to", metavar="FLOW", help="The version of the flow to go on under.")],
    conversations: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CONVERSATION", help="The beginnings of their ids. Left out: all open ones of the flow."
        ),
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Say what the move would record, and record nothing.")] = False,
    maps: Annotated[
        list[str] | None, typer.Option("--map", metavar="OLD=NEW", help="A state that has another name there.")
    ] = None,
    who: Annotated[
        str, typer.Option("--as", metavar="NAME", help="Who moves them; it stands in the log.")
    ] = "operator",
    db: Db = None,
    json: Json = False,
) -> None:
    """Move live conversations to another version of their flow, each with a recorded event.

    One moves where it waits and the new flow has its state, with the same kind; else it is said why not. Limits stay
    used, facts that the new flow does not have are forgotten, approvals must be given again.
    """
    from .migrating import migrate as run

    _end(run(db, conversations or [], to, maps or [], who, dry=dry, as_json=json))


def _end(code: int) -> None:
    if code:
        raise typer.Exit(code)
