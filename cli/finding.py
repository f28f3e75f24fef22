"""Finding what a command line names: conversations by the beginning of their id, logs, flows of a log."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..contracts.errors import CallError, UnknownConversation
from ..contracts.events import TaskOpened
from ..contracts.flow import Flow
from ..contracts.store import Store
from ..fsm.program import with_children
from ..persistence.sql_store import SqlStore
from ..service.evidence import refuse_old_copy
from ..service.journal import is_keeping
from ..service.loading import recorded_flow
from ..service.project import Project
from ..service.wiring import FoundFlow, db_path, found_flow, open_log
from .terminal import counted


@contextmanager
def existing_log(db: Path | None) -> Iterator[SqlStore[Any]]:
    """The log that `--db`, the environment or the working folder names; it must be there."""
    store = open_log(db_path(db))
    try:
        yield store
    finally:
        store.close()


@contextmanager
def writable_log(db: Path | None) -> Iterator[SqlStore[Any]]:
    """The same, to be written or signed. Raises `SigningRefused` for one that is older than what was signed last."""
    with existing_log(db) as store:
        refuse_old_copy(db_path(db), store.tree())
        yield store


def stream_named(store: Store, prefix: str) -> str:
    """The conversation whose id begins with `prefix`, if there is exactly one. Raises `ConversationArchived` for one
    whose entries were pruned."""
    found = [stream for stream in store.streams() if stream.startswith(prefix)]
    if prefix in found:
        return prefix
    if not found and prefix and is_keeping(store):
        for one in store.archived():
            if one.stream.startswith(prefix):
                store.read(one.stream)  # raises `ConversationArchived`
    if not found or not prefix:
        raise UnknownConversation(
            f"There is no conversation {prefix!r} in this log.", fix="List what there is with `interlock log`."
        )
    if len(found) > 1:
        raise CallError(
            f"{counted(len(found), 'conversation')} begin with {prefix!r}: {', '.join(one[:12] for one in found[:5])}.",
            fix="Give more of the id.",
        )
    return found[0]


def flow_of(store: Store, digest: str) -> Flow | None:
    """The flow as the log keeps it; None where it does not."""
    row = store.flow(digest)
    return recorded_flow(row) if row is not None else None


def runnable(store: Store, project: Project) -> list[FoundFlow]:
    """The flows of the log's open conversations that load, beside the project's own."""
    wanted = {one.flow_digest for one in store.summaries(status="open")}
    wanted -= {one.ref.digest for one in with_children([project.program])}
    if not wanted:
        return []
    found = (found_flow(row, kept=store.flow) for row in store.flows() if row.digest in wanted)
    return [one for one in found if one.program is not None]


def streams_named(store: Store, prefixes: Sequence[str]) -> list[str]:
    return [stream_named(store, prefix) for prefix in prefixes]


def task_document(
    stream: str, number: int, opened: TaskOpened, shows: Sequence[tuple[str, str]], endorsed: Sequence[str] = ()
) -> dict[str, Any]:
    """An open task as it stands in JSON documents; `shows` is what its person must know, in words, and `shown` the
    digest of it. `endorsed` are those who have approved, where several must."""
    return {
        "conversation": stream,
        "task": number,
        "role": opened.role,
        "decisions": list(opened.decisions),
        "state": opened.state,
        "facts": list(opened.facts),
        "shows": [{"name": name, "says": says} for name, says in shows],
        "shown": opened.shown,
        "approves": opened.approves,
        "approvals": opened.approvals,
        "signed": opened.signed,
        "endorsed": list(endorsed),
        "issues": list(opened.issues),
        "due": opened.model_dump(mode="json")["due"],
    }
