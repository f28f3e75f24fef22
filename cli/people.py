"""`interlock tasks`, `decide` and `resolve`: what people do, also while a server has the same log open."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from ..contracts.approval import SignedApproval
from ..contracts.commands import Actor
from ..contracts.envelope import opened
from ..contracts.errors import CallError, SetupError
from ..contracts.events import CommandRefused, ConversationStarted, TaskEndorsed, TaskOpened
from ..contracts.protection import KeepingStore
from ..contracts.store import FlowRow, Store, Summary
from ..service.loading import recorded
from ..service.outcome import TurnOutcome
from ..service.project import load_project
from ..service.runtime import Runtime
from ..service.wiring import ModelChoice, db_path, found_flow, wired
from .finding import existing_log, flow_of, stream_named, task_document, writable_log
from .seeing import texts_seen
from .story import known_words
from .terminal import MARKS, Terminal, counted, safe, write_json

SHORT, SHORTEST, WHOLE = 16, 8, 64
"""Characters of a digest: as it is printed, as it may be typed at least, and all of them."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which conversation is meant, and what runs it: a log, the beginning of an id, a flow, a model."""

    db: Path | None
    prefix: str
    flow: str = ""
    base_url: str = ""
    model: str = ""


def tasks(db: Path | None, as_json: bool) -> None:
    """The open tasks, by their deadlines."""
    with existing_log(db) as store:
        found = open_tasks(store)
    if as_json:
        write_json({"tasks": found})
        return
    terminal = Terminal()
    if not found:
        terminal.line("Nothing waits for a person.")
        return
    headings = ("conversation", "task", "role", "state and facts", "decisions", "until (UTC)")
    terminal.table(
        headings,
        [
            (
                (one["conversation"][:8], "bold"),
                str(one["task"]),
                one["role"],
                "\n".join(_asked(one)),
                "\n".join(one["decisions"]),
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
    if first["approves"]:
        example += f" --shown {first['shown'][:SHORT]}"
    if first["signed"]:
        example += " --sign KEYFILE"
    terminal.line((f"{counted(len(found), 'task')}. Decide as in: ", "dim"), (example, "green"))


def _asked(task: dict[str, Any]) -> Iterator[str]:
    """What one open task is about, a line each: its state, the facts as shown, and how its approval stands."""
    yield task["state"]
    yield from (f"{shown['name']}: {shown['says']}" for shown in task["shows"])
    if task["issues"]:
        yield f"also asked about: {', '.join(task['issues'])}"
    if task["approves"]:
        yield f"shown: {task['shown'][:SHORT]}"
    if task["signed"]:
        yield "to be signed"
    if task["approvals"] > 1:
        by = f" ({', '.join(task['endorsed'])})" if task["endorsed"] else ""
        yield f"approvals: {len(task['endorsed'])} of {task['approvals']}{by}"


def open_tasks(store: KeepingStore) -> list[dict[str, Any]]:
    """Each open task as `task_document` writes it, by their deadlines.

    `shows` holds texts of the customer: this is the view of the person who decides.
    """
    found = []
    for summary in store.summaries(status="open"):
        for number in summary.tasks:
            event = _opening(store, summary.stream, number)
            if event is not None:
                shows = _shown(store, summary, number, event)
                found.append(task_document(summary.stream, number, event, shows, _endorsed(store, summary, number)))
    return sorted(found, key=lambda one: (one["due"], one["conversation"]))


def _opening(store: Store, stream: str, number: int) -> TaskOpened | None:
    """The event that opened task `number`, if one did."""
    entries = store.read(stream, after=number, limit=1) if number >= 0 else ()
    event = opened(entries[0].data)[1] if entries else None
    return event if isinstance(event, TaskOpened) else None


def _shown(store: KeepingStore, summary: Summary, number: int, event: TaskOpened) -> list[tuple[str, str]]:
    """(name, words) of each fact that the task shows, as it was when the task opened."""
    if not event.facts:
        return []
    entries = recorded(store.read(summary.stream, limit=number + 1))
    words = known_words(entries, flow_of(store, summary.flow_digest), texts_seen(store, summary.stream, "tasks"))
    return [(name, words.get(name, "not known")) for name in event.facts]


def _endorsed(store: Store, summary: Summary, number: int) -> list[str]:
    """Who has approved the task so far, where several must."""
    later = recorded(store.read(summary.stream, after=number))
    return [one.event.by for one in later if isinstance(one.event, TaskEndorsed) and one.event.task == number]


def decide(
    place: Place,
    task: int,
    decision: str,
    who: str,
    roles: Sequence[str],
    reason: str,
    shown: str = "",
    sign: Path | None = None,
    meaning: str = "",
    *,
    as_json: bool,
) -> int:
    """Decide an open task as `who`, of what `shown` digests, under a signature where a key file is given to `sign`;
    1 if the conversation refused it."""
    actor = _actor(who, roles)
    digest = _digest_meant(place, task, shown)
    signed = _signed(place, task, decision, sign, meaning) if sign is not None else None

    async def act(runtime: Runtime, stream: str) -> TurnOutcome:
        return await runtime.decide_task(
            stream, task, decision, actor=actor, reason=reason, shown=digest, signed=signed
        )

    return _acted(place, act, as_json, task)


def _signed(place: Place, task: int, decision: str, key: Path, meaning: str) -> SignedApproval:
    from .approving import signature

    with existing_log(place.db) as store:
        stream = stream_named(store, place.prefix)
        event = _opening(store, stream, task)
        if event is None:
            raise CallError(f"Event {task} opened no task.", fix="`interlock tasks` lists those that are open.")
        return signature(store, stream, task, event, decision, key=key, meaning=meaning)


def resolve(place: Place, effect: int, how: str, who: str, *, as_json: bool) -> int:
    """Say what became of an effect; 1 if the conversation refused it."""
    actor = _actor(who, ["operator"])

    async def act(runtime: Runtime, stream: str) -> TurnOutcome:
        return await runtime.resolve(stream, effect, how, actor=actor)

    return _acted(place, act, as_json)


def _digest_meant(place: Place, task: int, shown: str) -> str | None:
    """The whole digest that `shown` is, or begins: the task's own where it does."""
    if not shown or len(shown) == WHOLE:
        return shown or None
    with existing_log(place.db) as store:
        event = _opening(store, stream_named(store, place.prefix), task)
    if event is None or (len(shown) >= SHORTEST and event.shown.startswith(shown)):
        return None if event is None else event.shown
    raise CallError(
        f"Task {task} shows {event.shown[:SHORT]}, not {shown[:SHORT]!r}.",
        fix=f"Look at it again with `interlock tasks`, and give at least {SHORTEST} characters of what stands there.",
    )


def _actor(who: str, roles: Sequence[str]) -> Actor:
    try:
        return Actor(kind="human", id=who, roles=tuple(roles), authn="cli")
    except ValidationError as error:
        raise CallError(
            f"The name {who[:40]!r} or a role of {', '.join(roles)[:80]!r} cannot stand in the log.",
            fix="A name is printable ASCII without spaces; a role letters, digits and underscores.",
        ) from error


Act = Callable[[Runtime, str], Coroutine[Any, Any, TurnOutcome]]


def _acted(place: Place, act: Act, as_json: bool, task: int | None = None) -> int:
    """Load the conversation's own flow, act on it in a runtime, and say what followed; 1 if it was refused."""
    with writable_log(place.db) as store:
        stream = stream_named(store, place.prefix)
        given = load_project(place.flow) if place.flow else None
        # What is moved in a child is told to its parents, so their flows are needed too.
        found, *above = (found_flow(_flow_row(store, one), given, kept=store.flow) for one in _line(store, stream))
        before = store.head(stream).length
    if found.project is None or found.program is None:
        raise SetupError(
            "The conversation's flow cannot be loaded.", where=found.problem, fix="Give its place with --flow."
        )
    choice = ModelChoice(place.base_url, place.model)
    with wired(db_path(place.db), found.project, choice, others=[found, *above], create=False) as wire:

        async def run() -> TurnOutcome:
            async with wire.running() as runtime:
                return await act(runtime, stream)

        outcome = asyncio.run(run())
        refused = _refusal(wire.store, stream, before)
        meant = _opening(wire.store, stream, task) if task is not None and refused == "unknown_decision" else None
    document = acted_document(outcome, refused, meant.decisions if meant else ())
    write_json(document) if as_json else _show_acted(document)
    return 1 if refused else 0


def _line(store: Store, stream: str) -> Iterator[str]:
    """The conversation, its parent, and so on up."""
    above: str | None = stream
    while above is not None:
        yield above
        entries = store.read(above, limit=1)
        first = opened(entries[0].data)[1] if entries else None
        above = first.parent.conversation if isinstance(first, ConversationStarted) and first.parent else None


def _flow_row(store: Store, stream: str) -> FlowRow:
    summary = store.summary(stream)
    row = store.flow(summary.flow_digest) if summary else None
    if row is None:
        raise SetupError("The log does not keep the conversation's flow.", where=stream, fix="Give it with --flow.")
    return row


def _refusal(store: Store, stream: str, before: int) -> str:
    """Why the conversation did not take the command, if it did not."""
    for entry in recorded(store.read(stream, after=before)):
        if isinstance(entry.event, CommandRefused) and entry.envelope.key and entry.envelope.key.startswith("c:"):
            return str(entry.event.reason)
    return ""


def acted_document(outcome: TurnOutcome, refused: str, decisions: Sequence[str] = ()) -> dict[str, Any]:
    """`{"conversation", "taken", "refused", "decisions", "state", "standing", "open", "replies", "events", "receipt"}`.

    `receipt` is the log's signed promise of the last event, null where the log is not signed. `decisions` are those
    that the task takes, where another was given; the task stays `open` where others must approve it, too.
    """
    return {
        "conversation": outcome.conversation,
        "taken": not refused,
        "refused": refused or None,
        "decisions": list(decisions),
        "state": outcome.state,
        "standing": outcome.standing,
        "open": outcome.task is not None and bool(outcome.task.endorsed) and not refused,
        "replies": list(outcome.replies),
        "events": outcome.length,
        "receipt": outcome.receipt or None,
    }


_WHY = {
    "role_missing": "the role that the task asks for is missing; the attempt is in the log",
    "unknown_task": "no such task is open there; `interlock tasks` lists those that are",
    "unknown_decision": "the task knows no such decision",
    "not_shown": "say what you were shown: `--shown` with what `interlock tasks` lists",
    "changed": "the facts are others than you were shown; `interlock tasks` lists what stands there now",
    "not_a_person": "only a person can approve",
    "requester": "nobody approves what they asked for themselves; the attempt is in the log",
    "not_signed": "the task asks for a signature: `--sign` with your key file",
    "bad_signature": "the signature does not hold for this task, person and decision, or the log does not name its key "
    "for this person and account (`interlock approver list`); the attempt is in the log",
    "expired_signature": "the signature has expired; sign again",
    "same_person": "you have approved it before; somebody else must, too",
    "not_pending": "no such effect is undecided there; `interlock log` lists them",
    "ended": "the conversation has ended",
}


def _show_acted(document: dict[str, Any]) -> None:
    terminal = Terminal()
    if document["refused"]:
        why = _WHY.get(document["refused"], document["refused"].replace("_", " "))
        allowed = f"; it takes {' or '.join(document['decisions'])}" if document["decisions"] else ""
        terminal.hang(terminal.text((MARKS.bad, "bold red")), ("refused", "bold red"), f": {why}{allowed}")
        return
    terminal.hang(
        terminal.text((MARKS.good, "bold green")),
        f"{'approved by one; others must, too' if document['open'] else 'taken'}; ",
        f"{document['conversation'][:8]} is now in ",
        (document["state"], "bold"),
        f" ({document['standing'].replace('_', ' ')})",
    )
    for reply in document["replies"]:
        terminal.hang(terminal.text(("»", "dim")), safe(reply), indent=2)
