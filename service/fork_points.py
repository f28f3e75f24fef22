"""Where a conversation can be forked, what may be changed there, and the beginning that a fork takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..contracts.envelope import Brought, Entry, Head, sealed
from ..contracts.errors import CallError
from ..contracts.events import AgentReturned, ConversationStarted, MessageReceived, ToolReturned
from ..contracts.lineage import ForkRef
from ..contracts.payload import Payload
from ..contracts.store import Append, Store
from ..contracts.values import ConversationId, listed
from ..fsm.conversation import Conversation
from ..fsm.evolve import fold
from ..fsm.replay import Recorded, decisions_in
from .loading import recorded
from .projection import summary_of


@dataclass(frozen=True, slots=True)
class Change:
    """What is other in the fork: the message said at the event, or the answer given there. Nothing changes nothing."""

    message: str | None = None
    answer: str | None = None


NOTHING = Change()


def forkable(entries: Sequence[Recorded]) -> list[int]:
    """The versions before which the conversation can be forked: where each of its decisions begins, and its end.

    How a message was routed stands with the message: both are committed as one.
    """
    begins = [group[0].envelope for group in decisions_in(entries)]
    return [one.ver for one in begins if not (one.key or "").startswith("r:")] + [len(entries)]


def check_point(stream: str, entries: Sequence[Recorded], at: int) -> Conversation:
    """The conversation before event `at`. Raises `CallError` where no fork can begin."""
    points = forkable(entries)
    if at not in points:
        before = max((one for one in points if one < at), default=0)
        after = min((one for one in points if one > at), default=len(entries))
        if at >= len(entries):
            raise CallError(
                f"There is no event {at}: the conversation's last is {len(entries) - 1}.",
                where=stream,
                fix=f"Fork at {len(entries)} to go on from its end, or at {points[-2]}, before its last decision.",
            )
        raise CallError(
            f"Event {at} was decided together with event {before}: a fork begins where a decision does.",
            where=stream,
            fix=f"Fork at {before} or at {after}.",
        )
    conversation = fold(stream, (one.event for one in entries[:at]))
    if conversation.children:
        raise CallError(
            "A child conversation is open there, and it goes on in its own log.",
            where=f"{stream} before event {at}",
            fix=f"Fork before event {min(conversation.children)}, where it began.",
        )
    if conversation.parent is not None:
        raise CallError(
            "This is a child conversation: what it does comes from its parent.",
            where=stream,
            fix=f"Fork its parent, {conversation.parent.conversation}.",
        )
    return conversation


def taken(store: Store, stream: str, at: int, name: str) -> None:
    """Begin the fork `name` with the events before `at`, as they stand, and their texts; durable on return."""
    entries = recorded(store.read(stream, limit=at))
    texts: dict[int, list[Payload]] = {}
    for place, payload in store.payloads(stream).items():
        texts.setdefault(place.version, []).append(payload)
    head, made = Head(name), list[Entry]()
    for group in decisions_in(entries):
        envelope, events = group[0].envelope, [one.event for one in group]
        if isinstance(events[0], ConversationStarted):
            ref = ForkRef(conversation=ConversationId(stream), version=at, leaf=entries[-1].leaf.hex())
            events[0] = events[0].changed(origin="forked", forks=(*events[0].forks, ref))
        done = sealed(
            events,
            head=head,
            command=Brought(envelope.key or "", envelope.at, envelope.actor),
            flow=envelope.flow,
            code=envelope.code,
            log=store.log,
            payloads=texts.get(head.length, ()),
        )
        made += done
        head = Head(name, head.length + len(done), done[-1].leaf)
    summary = summary_of(fold(name, (one.event for one in made)), made[-1].at, made[0].at, "")
    store.append(Append(entries=tuple(made), expected=0, summary=summary))


def check_change(parent: str, entries: Sequence[Recorded], at: int, change: Change) -> None:
    """Raises `CallError` where the change has no place at the event, or says nothing."""
    if change.message is not None and not change.message.strip():
        fix = "Give --message a text, or leave it out: then what was said is said again."
        raise CallError("The message is empty.", where=parent, fix=fix)
    event = entries[at].event if at < len(entries) else None
    if change.message is not None and event is not None and not isinstance(event, MessageReceived):
        said = [version for version, one in enumerate(entries) if isinstance(one.event, MessageReceived)]
        raise CallError(
            f"Event {at} is no message, so no other can be said in its place.",
            where=parent,
            fix=f"Fork at one of the messages, {listed(said)}, or at the end, {len(entries)}.",
        )
    if change.answer is not None and not isinstance(event, AgentReturned | ToolReturned):
        kinds = (AgentReturned, ToolReturned)
        answers = [version for version, one in enumerate(entries) if isinstance(one.event, kinds)]
        raise CallError(
            f"Event {at} is no answer, so no other can be given in its place.",
            where=parent,
            fix=f"Fork at one of the answers of agents and tools, {listed(answers)}.",
        )
