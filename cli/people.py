"""`interlock tasks`, `decide` and `resolve`: what people do, also while a server has the same log open."""

from collections.abc import Callable, Coroutine
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .options import BaseUrl, Db, FlowOption, Json, Model

if TYPE_CHECKING:
    from ..contracts.store import Store
    from ..service.outcome import TurnOutcome
    from ..service.runtime import Runtime

Conversation = Annotated[str, typer.Argument(metavar="CONVERSATION", help="The beginning of its id.")]


class Ending(StrEnum):
    """What becomes of an undecided effect."""

    again = "again"
    done = "done"
    failed = "failed"


def tasks(db: Db = None, json: Json = False) -> None:
    """List what waits for a person's decision, the most urgent first."""
    from .finding import existing_log
    from .terminal import Terminal, counted, write_json

    with existing_log(db) as store:
        found = open_tasks(store)
    if json:
        write_json({"tasks": found})
        return
    terminal = Terminal()
    if not found:
        terminal.line("Nothing waits for a person.")
        return
    headings = ("conversation", "task", "role", "state", "decisions", "until (UTC)")
    terminal.table(
        headings,
        [
            (
                (one["conversation"][:8], "bold"),
                str(one["task"]),
                one["role"],
                one["state"],
                " | ".join(one["decisions"]),
                one["due"][5:16].replace("T", " "),
            )
            for one in found
        ],
        right=(1,),
        whole=(0, 5),
    )
    first = found[0]
    named = f"{first['conversation'][:8]} {first['task']} {first['decisions'][0]}"
    example = f"interlock decide {named} --as YOU --role {first['role']}"
    terminal.line((f"{counted(len(found), 'task')}. Decide as in: ", "dim"), (example, "green"))


def open_tasks(store: "Store") -> list[dict[str, Any]]:
    """`{"conversation", "task", "role", "decisions", "state", "facts", "due"}` of each open task, by its deadline."""
    from ..contracts.envelope import opened
    from ..contracts.events import TaskOpened
    from .finding import task_document

    found = []
    for summary in store.summaries(status="open"):
        for number in summary.tasks:
            event = opened(store.read(summary.stream, after=number, limit=1)[0].data)[1]
            if isinstance(event, TaskOpened):
                found.append(task_document(summary.stream, number, event))
    return sorted(found, key=lambda one: (one["due"], one["conversation"]))


def decide(
    conversation: Conversation,
    task: Annotated[int, typer.Argument(help="The task's number, as `interlock tasks` lists it.")],
    decision: Annotated[str, typer.Argument(help="One of the task's decisions.")],
    who: Annotated[str, typer.Option("--as", metavar="NAME", help="Who decides; it stands in the log.")],
    role: Annotated[list[str], typer.Option("--role", help="A role that you hold; may be repeated.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; kept as an erasable text.")] = "",
    flow: FlowOption = "",
    base_url: BaseUrl = "",
    model: Model = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Decide an open task as a person, and run what follows from it."""

    async def act(runtime: "Runtime", stream: str) -> "TurnOutcome":
        return await runtime.decide_task(stream, task, decision, actor=_actor(who, role), reason=reason)

    _acted(db, conversation, flow, (base_url, model), act, json)


def resolve(
    conversation: Conversation,
    effect: Annotated[int, typer.Argument(help="The effect's number: the version of its request in the log.")],
    how: Annotated[Ending, typer.Argument(help="Perform it again, or say how it ended.")],
    who: Annotated[str, typer.Option("--as", metavar="NAME", help="Who found out; it stands in the log.")] = "operator",
    flow: FlowOption = "",
    base_url: BaseUrl = "",
    model: Model = "",
    db: Db = None,
    json: Json = False,
) -> None:
    """Say what became of an effect that was begun and whose end nobody recorded."""

    async def act(runtime: "Runtime", stream: str) -> "TurnOutcome":
        return await runtime.resolve(stream, effect, how.value, actor=_actor(who, ["operator"]))

    _acted(db, conversation, flow, (base_url, model), act, json)


def _actor(who: str, roles: list[str]) -> Any:
    from pydantic import ValidationError

    from ..contracts.commands import Actor
    from ..contracts.errors import CallError

    try:
        return Actor(kind="human", id=who, roles=tuple(roles), authn="cli")
    except ValidationError as error:
        raise CallError(
            f"The name {who[:40]!r} or a role of {', '.join(roles)[:80]!r} cannot stand in the log.",
            fix="A name is printable ASCII without spaces; a role letters, digits and underscores.",
        ) from error


Act = Callable[["Runtime", str], Coroutine[Any, Any, "TurnOutcome"]]


def _acted(db: Path | None, prefix: str, flow: str, model: tuple[str, str], act: Act, as_json: bool) -> None:
    """Load the conversation's own flow, act on it in a runtime, and say what followed."""
    import asyncio

    from ..service.project import load_project
    from ..service.wiring import ModelChoice, db_path, found_flow, wired
    from .finding import existing_log, stream_named
    from .terminal import write_json

    with existing_log(db) as store:
        stream = stream_named(store, prefix)
        found = found_flow(_flow_row(store, stream), load_project(flow) if flow else None)
        before = store.head(stream).length
    if found.project is None or found.program is None:
        from ..contracts.errors import SetupError

        raise SetupError(
            "The conversation's flow cannot be loaded.", where=found.problem, fix="Give its place with --flow."
        )
    with wired(db_path(db), found.project, ModelChoice(*model), others=[found], create=False) as wire:

        async def run() -> "TurnOutcome":
            async with wire.running() as runtime:
                return await act(runtime, stream)

        outcome = asyncio.run(run())
        refused = _refusal(wire.store, stream, before)
    document = acted_document(outcome, refused)
    write_json(document) if as_json else _show_acted(document)
    if refused:
        raise typer.Exit(1)


def _flow_row(store: "Store", stream: str) -> Any:
    from ..contracts.errors import SetupError

    summary = store.summary(stream)
    row = store.flow(summary.flow_digest) if summary else None
    if row is None:
        raise SetupError("The log does not keep the conversation's flow.", where=stream, fix="Give it with --flow.")
    return row


def _refusal(store: "Store", stream: str, before: int) -> str:
    """Why the conversation did not take the command, if it did not."""
    from ..contracts.events import CommandRefused
    from ..service.loading import recorded

    for entry in recorded(store.read(stream, after=before)):
        if isinstance(entry.event, CommandRefused) and entry.envelope.key and entry.envelope.key.startswith("c:"):
            return str(entry.event.reason)
    return ""


def acted_document(outcome: "TurnOutcome", refused: str) -> dict[str, Any]:
    """`{"conversation", "taken", "refused", "state", "standing", "replies", "events"}`."""
    return {
        "conversation": outcome.conversation,
        "taken": not refused,
        "refused": refused or None,
        "state": outcome.state,
        "standing": outcome.standing,
        "replies": list(outcome.replies),
        "events": outcome.length,
    }


_WHY = {
    "role_missing": "the role that the task asks for is missing; the attempt is in the log",
    "unknown_task": "no such task is open there; `interlock tasks` lists those that are",
    "unknown_decision": "the task knows no such decision; `interlock tasks` lists them",
    "not_pending": "no such effect is undecided there; `interlock log` lists them",
    "ended": "the conversation has ended",
}


def _show_acted(document: dict[str, Any]) -> None:
    from .terminal import MARKS, Terminal, safe

    terminal = Terminal()
    if document["refused"]:
        why = _WHY.get(document["refused"], document["refused"].replace("_", " "))
        terminal.hang(terminal.text((MARKS.bad, "bold red")), ("refused", "bold red"), f": {why}")
        return
    terminal.hang(
        terminal.text((MARKS.good, "bold green")),
        f"taken; {document['conversation'][:8]} is now in ",
        (document["state"], "bold"),
        f" ({document['standing'].replace('_', ' ')})",
    )
    for reply in document["replies"]:
        terminal.hang(terminal.text(("»", "dim")), safe(reply), indent=2)
