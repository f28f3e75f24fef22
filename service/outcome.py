"""What a submission led to: the replies, where the conversation stands, and what it waits for."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from .live import Live
from .submission import OUTSIDE
from .texts import Texts

Receipts = Callable[[str, int, bytes, str], str]
"""Signs that the log has an entry: of this conversation and version, with this leaf hash, written at this time."""
Standing = Literal["waiting", "working", "with_person", "ended"]


@dataclass(frozen=True, slots=True)
class Task:
    """An open task for a person: decide it in its `conversation` with its `number`, and with `shown` where it asks
    for an approval."""

    number: int
    role: str
    decisions: tuple[str, ...]
    due: datetime
    conversation: str = ""
    """Where it is open: in this conversation, or in a child of it."""
    shown: str = ""
    """Digest of what the person is to be shown: the facts of these names."""
    facts: tuple[str, ...] = ()
    approves: str | None = None
    """The decision that is an approval."""
    approvals: int = 1
    endorsed: tuple[str, ...] = ()
    """Who has approved; `approvals` different people must."""


@dataclass(frozen=True, slots=True)
class TurnOutcome:
    """The same for the same submission, however often it is asked for.

    `version` is that of the submission's own event; `length` the stream's length now. `receipt` is the log's signed
    promise that the last of these entries is in it, where the log is signed, else empty. Each entry holds the hash of
    the one before it, so it is a promise of every append to the conversation so far.
    """

    conversation: str
    version: int
    length: int
    state: str
    standing: Standing
    replies: tuple[str, ...]
    task: Task | None = None
    receipt: str = ""

    @property
    def text(self) -> str:
        """All replies as one text."""
        return "\n".join(self.replies)


@dataclass(frozen=True, slots=True)
class Undecided:
    """An effect that was begun and whose end nobody recorded: a person finds out, and says so with `resolve`."""

    conversation: str
    effect: int
    tool: str


async def outcome_since(live: Live, texts: Texts, version: int, receipts: Receipts | None = None) -> TurnOutcome:
    """The outcome of the submission recorded at `version`: replies up to the next submission from outside."""
    following = _next_submission(live, version)
    replies = []
    for line in reversed(live.lines):
        if line.version < version:
            break
        if line.ours and (following is None or line.version < following):
            replies.append(await texts.line(live, line))
    return TurnOutcome(
        conversation=live.id,
        version=version,
        length=live.conversation.version,
        state=live.conversation.state,
        standing=_standing(live),
        replies=tuple(reversed(replies)),
        task=_task(live),
        receipt=receipts(live.id, live.head.length - 1, live.head.leaf, live.at) if receipts else "",
    )


def _next_submission(live: Live, version: int) -> int | None:
    """Version of the first submission from outside after `version`; keys stand in the order of their versions."""
    following = None
    for key, at in reversed(live.keys.items()):
        if at <= version:
            break
        if key.startswith(OUTSIDE):
            following = at
    return following


def _standing(live: Live) -> Standing:
    if live.conversation.status == "ended":
        return "ended"
    if live.conversation.at_work:
        return "working"
    return "with_person" if live.conversation.visit.task is not None else "waiting"


def _task(live: Live) -> Task | None:
    visit = live.conversation.visit
    if visit.task is None or visit.opened is None:
        return None
    opened = visit.opened
    return Task(
        number=visit.task,
        role=opened.role,
        decisions=opened.decisions,
        due=opened.due,
        shown=opened.shown,
        facts=opened.facts,
        approves=opened.approves,
        approvals=opened.approvals,
        endorsed=visit.endorsed,
        conversation=live.id,
    )
