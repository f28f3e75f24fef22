"""The words of policies: what can be observed of a conversation, from its recorded events and nothing else.

| word | when |
|---|---|
| `message` | a message of the customer is taken, or passed on to a child conversation |
| `enter:STATE` | a state is entered, also by coming back from a digression |
| `end:STATE` | the conversation ends in this final state |
| `tool:TOOL` | a tool is asked, by an agent or by a call state |
| `approved:TOOL` | right before that: people approved what it is given |
| `done:TOOL` | it reported success while the conversation waited for it |
| `decided:STATE.DECISION` | a person decided |
| `confirmed:STATE` | the customer said yes to what a form read back |
| `result:STATE` | the answer of an agent, a broadcast or a child conversation is taken; `result:late`: late |
| `label:LABEL` | a message was routed: a label, `unsure` or `blocked` |
| `limit:LIMIT` | a limit was reached |
| `input:INPUT` | another system or an operator gave an input |
| `mark:NAME` | of an imported conversation: what a declared rule found in a message |
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

from ...contracts.events import (
    AgentRequested,
    AgentReturned,
    BroadcastEnded,
    ConversationEnded,
    ConversationStarted,
    EffectResolved,
    Event,
    InputReceived,
    LateResult,
    LimitReached,
    MessageReceived,
    MessageTaken,
    QuestionAsked,
    RoutingDecided,
    TaskDecided,
    TaskOpened,
    ToolRequested,
    ToolReturned,
    TransitionTaken,
)
from ...contracts.imported import ConversationImported, MessageImported, words_of
from ...contracts.policies import MESSAGE
from ...contracts.subflow_events import ParentLeft, SubflowEnded, SubflowStarted

ANSWERED = ("done", "unsure", "refused")
"""Outcomes of an agent with which its answer is taken."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What must be kept of earlier events to name the next one. Leaving a state forgets most of it."""

    awaited: tuple[tuple[int, str], ...] = ()
    """By the version of what was begun: the word for its good end."""
    task: str = ""
    """The human state whose task is open."""
    read_back: str = ""
    """The form that was read back to the customer last, in this visit."""
    left: bool = False
    """The parent has left this conversation: what ends it is no end of its own."""


NOTHING_SEEN = Seen()
TELLING: tuple[type[Event], ...] = (
    AgentRequested,
    AgentReturned,
    BroadcastEnded,
    ConversationEnded,
    ConversationImported,
    ConversationStarted,
    EffectResolved,
    InputReceived,
    LateResult,
    LimitReached,
    MessageImported,
    MessageReceived,
    MessageTaken,
    ParentLeft,
    QuestionAsked,
    RoutingDecided,
    SubflowEnded,
    SubflowStarted,
    TaskDecided,
    TaskOpened,
    ToolRequested,
    ToolReturned,
    TransitionTaken,
)
"""The events that have words, or are needed to name later ones; any other is nothing to policies."""


class Observed(NamedTuple):
    """The words of one event in their order, and what is to be kept for the next ones."""

    words: tuple[str, ...]
    seen: Seen


def observed(event: Event, version: int, seen: Seen = NOTHING_SEEN) -> Observed:
    """What can be observed of an event, given what was `seen` before it. Total, and bounded by what is in hand."""
    match event:
        case ConversationStarted():
            return Observed((f"enter:{event.state}",), seen)
        case MessageReceived() if event.disposition in ("taken", "forwarded"):
            return Observed((MESSAGE,), seen)
        case MessageTaken():
            return Observed((MESSAGE,), seen)
        case InputReceived():
            return Observed((f"input:{event.name}",), seen)
        case RoutingDecided() if event.agent is None and not event.decision.asks_model:
            return Observed((f"label:{event.decision.outcome}",), seen)
        case LimitReached():
            return Observed((f"limit:{event.limit}",), seen)
        case QuestionAsked():
            return Observed((), replace(seen, read_back=event.state if event.fact is None else ""))
        case TransitionTaken():
            agreed = event.on == "complete" and event.source == seen.read_back
            confirmed = (f"confirmed:{event.source}",) if agreed else ()
            return Observed((*confirmed, f"enter:{event.target}"), Seen(left=seen.left))
        case ParentLeft():
            return Observed((), replace(seen, left=True))
        case ConversationEnded():
            return Observed(() if seen.left else (f"end:{event.state}",), Seen(left=seen.left))
        case TaskOpened():
            return Observed((), replace(seen, task=event.state))
        case TaskDecided():
            return Observed((f"decided:{seen.task}.{event.decision}",), replace(seen, task=""))
        case LateResult() if event.heard:
            return Observed(("result:late",), seen)
        case ConversationImported() | MessageImported():
            return Observed(words_of(event), seen)
        case BroadcastEnded() if event.outcome in ("complete", "partial"):
            return Observed((f"result:{event.state}",), seen)
    return _of_work(event, version, seen)


def _of_work(event: Event, version: int, seen: Seen) -> Observed:
    """What was begun, and how it ended. What ends late has no word."""
    match event:
        case ToolRequested():
            approved = (f"approved:{event.tool}",) if event.approval is not None else ()
            return Observed((*approved, f"tool:{event.tool}"), _awaiting(seen, version, f"done:{event.tool}"))
        case AgentRequested() if event.purpose == "run" and not event.background:
            return Observed((), _awaiting(seen, version, f"result:{event.state}"))
        case SubflowStarted():
            return Observed((), _awaiting(seen, version, f"result:{event.state}"))
        case ToolReturned() if not event.late:
            return _ended(seen, event.effect, event.report.outcome == "done")
        case AgentReturned() if not event.late:
            report = event.report
            answered = report.outcome in ANSWERED and not report.calls and report.limit is None
            return _ended(seen, event.effect, answered)
        case SubflowEnded() if not event.late:
            return _ended(seen, event.effect, good=True)
        case EffectResolved() if event.how != "again":
            return _ended(seen, event.effect, event.how == "done", only="done:")
    return Observed((), seen)


def _awaiting(seen: Seen, version: int, word: str) -> Seen:
    return replace(seen, awaited=(*seen.awaited, (version, word)))


def _ended(seen: Seen, effect: int, good: bool, only: str = "") -> Observed:
    word = next((word for at, word in seen.awaited if at == effect), "")
    left = replace(seen, awaited=tuple(one for one in seen.awaited if one[0] != effect))
    return Observed((word,) if good and word and word.startswith(only) else (), left)
