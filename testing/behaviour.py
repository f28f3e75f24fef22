"""What a conversation does, in words that mean the same on another run: the yardstick by which two flows are compared.

Ids, times of day, digests, lengths and costs are left out; states, rows' targets, what was asked of whom, which facts
are known, what was said and how long anything may take are kept.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from ..contracts.errors import CallError
from ..contracts.events import (
    AgentRequested,
    ApprovalVoid,
    BroadcastEnded,
    BroadcastStarted,
    CommandRefused,
    ConversationEnded,
    ConversationStarted,
    Event,
    FactForgotten,
    FactSkipped,
    FactsRecorded,
    IssuesDropped,
    LimitReached,
    MessageReceived,
    QuestionAsked,
    ReplySent,
    RetryPlanned,
    RetryScheduled,
    RoutingDecided,
    TaskEndorsed,
    TaskOpened,
    TimerSet,
    ToolRefused,
    ToolRequested,
    TransitionRefused,
    TransitionTaken,
)
from ..contracts.subflow_events import SubflowEnded, SubflowLeft, SubflowStarted
from ..fsm.wording import limit_amount
from ..service.acts import Act
from .talk import Talk


def observed(event: Event, at: datetime) -> str:
    """The event in words, or nothing for one that says nothing of its own. `at` is when it was recorded."""
    words: Callable[[Any, datetime], str] | None = _WORDS.get(type(event))
    return words(event, at) if words is not None else ""


def _seconds(due: datetime, at: datetime) -> str:
    return f"{(due - at).total_seconds():g} s"


def _list(names: Iterable[object]) -> str:
    return ", ".join(str(one) for one in names) or "nothing"


def _facts(event: FactsRecorded, _: datetime) -> str:
    return "knows " + _list(f"{one.name}={'…' if one.value is None else one.value}" for one in event.facts)


def _agent(event: AgentRequested, _: datetime) -> str:
    more = [f"attempt {event.attempt}", f"{event.timeout_seconds} s"]
    more += [f"fallback {event.fallback}"] if event.fallback else []
    more += [f"for {event.purpose}"] if event.purpose != "run" else []
    more += [f"as {event.member}"] if event.member else []
    more += ["from the cache"] if event.cached else []
    tools = f" with tools {_list(event.tools)}" if event.tools else ""
    return f"asks {event.agent} ({_list(more)}) with facts {_list(event.facts)}{tools}"


def _tool(event: ToolRequested, _: datetime) -> str:
    return f"calls {event.tool} with {_list(event.facts)} within {event.timeout_seconds} s"


def _task(event: TaskOpened, at: datetime) -> str:
    approves = f", {event.approves} approves, by {event.approvals}" if event.approves else ""
    return (
        f"opens a task for {event.role} ({_list(event.decisions)}{approves}) showing {_list(event.facts)} "
        f"within {_seconds(event.due, at)}"
    )


def _message(event: MessageReceived, _: datetime) -> str:
    read = [f"{one.name}={'…' if one.value is None else one.value}" for one in event.reading.facts]
    control = f", says {event.reading.control}" if event.reading.control else ""
    return f"message {event.disposition}, reads {_list(read)}{control}"


def _reply(event: ReplySent, _: datetime) -> str:
    return f"says {event.text!r}" if event.agent is None else "says what the agent said"


_WORDS: Mapping[type[Any], Callable[[Any, datetime], str]] = {
    ConversationStarted: lambda event, _: f"starts in {event.state}",
    MessageReceived: _message,
    FactsRecorded: _facts,
    FactForgotten: lambda event, _: f"forgets {event.name}",
    FactSkipped: lambda event, _: f"skips {event.name}",
    QuestionAsked: lambda event, _: f"asks for {event.fact or 'a yes'} ({event.how}, {event.attempt})",
    RoutingDecided: lambda event, _: f"routed to {event.decision.outcome}, waiting {_list(event.decision.queue)}",
    IssuesDropped: lambda event, _: f"drops {_list(event.labels)} ({event.reason})",
    TransitionTaken: lambda event, _: f"{event.source} → {event.target} on {event.on} ({event.move})",
    TransitionRefused: lambda event, _: f"{event.source} stays on {event.on}: {event.reason}",
    AgentRequested: _agent,
    ToolRequested: _tool,
    ToolRefused: lambda event, _: f"does not run {event.tool or event.agent}: {event.reason}",
    ApprovalVoid: lambda event, _: f"does not call {event.tool}: approval {event.reason}",
    ReplySent: _reply,
    TaskOpened: _task,
    TaskEndorsed: lambda event, _: f"{event.decision} by one of several",
    TimerSet: lambda event, at: f"waits {_seconds(event.due, at)}",
    RetryScheduled: lambda event, at: f"asks {event.agent} again ({event.attempt}) in {_seconds(event.due, at)}",
    RetryPlanned: lambda event, at: f"asks {_list(event.members)} again in {_seconds(event.due, at)}",
    BroadcastStarted: lambda event, at: (
        f"asks {_list(one.name for one in event.members)} at once, {event.needed} needed, {_seconds(event.due, at)}"
    ),
    BroadcastEnded: lambda event, _: f"{event.outcome}: {_list(f'{one.name} {one.status}' for one in event.members)}",
    LimitReached: lambda event, _: f"reaches the limit {event.limit} ({limit_amount(event.limit, event.maximum)})",
    CommandRefused: lambda event, _: f"refuses {event.command.kind}: {event.reason}",
    ConversationEnded: lambda event, _: f"ends in {event.state}",
    SubflowStarted: lambda event, _: f"begins {event.flow.name} with {_list(event.facts)}",
    SubflowLeft: lambda event, _: f"leaves its child: {event.failing.reason}",
    SubflowEnded: lambda event, _: f"its child ended with {event.report.outcome}",
}


class Observer:
    """Reads off a talk what is new since it was last asked."""

    def __init__(self, talk: Talk) -> None:
        self.talk, self._seen = talk, dict[str, int]()

    def new(self) -> tuple[str, ...]:
        """What happened since, all streams of the family in their order."""
        found: list[str] = []
        for stream in self.talk.streams:
            events, before = self.talk.happened[stream], self._seen.get(stream, 0)
            child = "" if stream == self.talk.id else "child: "
            times = self.talk.times[stream]
            said = (observed(events[at], times[at]) for at in range(before, len(events)))
            found.extend(child + words for words in said if words)
            self._seen[stream] = len(events)
        return tuple(found)


def behaviour(talk: Talk, acts: Iterable[Act]) -> list[tuple[str, ...]]:
    """What the talk did from its start and after each act; an act that could not be done ends it."""
    observer = Observer(talk)
    found = [observer.new()]
    for act in acts:
        try:
            talk.do(act)
        except CallError as error:
            found.append((f"cannot be done: {error.what}",))
            break
        found.append(observer.new())
    return found
