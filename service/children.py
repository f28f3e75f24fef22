"""Child conversations: begun, told what the customer said, or left; and what they reply, and their end, brought back.

Tending looks at both logs and does what is missing, under keys that derive from both, so it may be done again at any
time and by any process: a restart does nothing else. Whoever moves a child tends it afterwards in its parent.

Locks are taken from the parent down: a child's turn is over before its parent hears of it.
"""

import asyncio
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace

import structlog

from ..contracts.commands import SYSTEM, Actor, CommandBody, Leave, Say, Start, SubflowDone, SubflowSaid
from ..contracts.envelope import opened
from ..contracts.errors import FlowError, UnknownConversation
from ..contracts.events import MessageReceived
from ..contracts.facts import FactReading
from ..contracts.flow import FactSpec, SubflowState
from ..contracts.payload import Payload, PayloadAt, bytes_of
from ..contracts.store import Store
from ..contracts.subflow import FAILED, Failing, Outlay, ParentRef, Place, SubflowReport
from ..contracts.values import SubjectId
from ..fsm.conversation import Child
from ..fsm.draft import Effect
from ..fsm.program import Program
from ..fsm.render import ERASED
from ..fsm.subflow import parent_of
from .clock import minted
from .conversations import Conversations
from .facts import open_value
from .live import Live
from .outcome import Receipts, TurnOutcome, outcome_since
from .reading import message_read
from .submission import OUTSIDE, Submission
from .texts import Texts

log = structlog.get_logger("interlock.children")
FROM_PARENT = "p:"
"""Prefix of the keys in a child's stream that its parent's log gave."""
TAKEN_AT_ONCE = 1_000
"""Messages that one reply says were taken, so that its event stays small."""
Turn = Callable[[Live, Submission], Awaitable[TurnOutcome]]
Perform = Callable[[Live, list[Effect]], Awaitable[None]]
Once = Callable[[Live, str, Actor, CommandBody, tuple[Payload, ...]], Awaitable[list[Effect]]]


class _TooLate(Exception):
    """The child has ended: it takes no more of the customer's messages."""


@dataclass(frozen=True, slots=True)
class Children:
    """Tends the children of the conversations in one runtime.

    `turn` runs a submission in a child to its end; `once` records a command in a parent, once for its key; `perform`
    does what follows from that.
    """

    store: Store
    conversations: Conversations
    texts: Texts
    turn: Turn
    once: Once
    perform: Perform
    receipts: Receipts | None = None
    _tended: dict[str, tuple[int, int]] = field(default_factory=dict)
    """How long child and parent were when nothing was missing between them, by child."""

    async def tended(self, parent: Live, effect: int, *, news: bool = False) -> list[Effect]:
        """Do what is missing for the child that began at `effect`; what its end asks for in the parent.

        `news` is true outside a turn of the parent: what somebody else moved in the child is then no answer to the
        customer's last message.
        """
        known = parent.conversation.children.get(effect)
        if known is None:
            return []
        child, reason = await self._begun(parent, effect, known)
        if child is None:
            failing = Failing(reason=reason, path=(_place(parent, known),))
            ended = SubflowDone(effect=effect, report=SubflowReport(outcome=FAILED, failing=failing))
            return await self.once(parent, f"s:{effect}:end", SYSTEM, ended, ())
        await self._forward(parent, effect, child)
        if self._is_left(parent, effect):
            await self._leave(child)
        return await self._brought_back(parent, effect, child, news=news)

    async def nothing_missing(self, parent: Live) -> bool:
        """Whether every child was tended by this process, and neither log has grown since."""
        for known in parent.conversation.children.values():
            head = await asyncio.to_thread(self.store.head, known.started.child)
            if self._tended.get(known.started.child) != (head.length, parent.head.length):
                return False
        return True

    # -- down -------------------------------------------------------------------------------------------

    async def _begun(self, parent: Live, effect: int, known: Child) -> tuple[Live | None, str]:
        """The child; begun now if it was not. None, and why, where it cannot be, or is not wanted any more, or
        somebody else began a conversation in its place: its id is no secret."""
        started, above = known.started, parent_of(parent.id, effect, known.started)
        child = await self.conversations.find(started.child)
        if child is not None:
            child = await self.conversations.current(started.child)
        else:
            program = self.conversations.programs.get(started.flow.digest)
            if known.left or program is None:
                return None, "not_begun" if known.left else "not_loaded"
            child = await self._begin(parent, known, above, program)
        if child.conversation.parent != above or child.conversation.flow != started.flow:
            return None, "not_its_child"
        return child, ""

    async def _begin(self, parent: Live, known: Child, above: ParentRef, program: Program) -> Live:
        started = known.started
        facts, payloads = await self._copied(parent, started.facts, program.facts)
        start = Start(
            flow=started.flow,
            subject=SubjectId(parent.conversation.subject),
            facts=facts,
            tenant=parent.conversation.tenant,
            parent=above,
            requesters=tuple(sorted(parent.conversation.requesters)) if program.approving else (),
        )
        child = self.conversations.opened(started.child, program)
        await self.turn(child, Submission(f"{FROM_PARENT}start", SYSTEM, lambda _: (start, payloads), always=True))
        return child

    async def _forward(self, parent: Live, effect: int, child: Live) -> None:
        """Give the child each message that it has not had, in their order, while it takes any."""
        known = parent.conversation.children.get(effect)
        for version, event in known.forwarded if known else ():
            if child.conversation.status == "ended" or self._is_left(parent, effect):
                return
            if _forwarded_key(version) not in child.keys:
                try:
                    await self._say(parent, child, version, event)
                except _TooLate:
                    return

    async def _say(self, parent: Live, child: Live, version: int, event: MessageReceived) -> None:
        (entry,) = await asyncio.to_thread(self.store.read, parent.id, after=version, limit=1)
        message = await self._payload(parent.id, version, event.message.name) or minted(
            "message", "message", bytes_of(ERASED)
        )

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            if live.conversation.status == "ended":
                raise _TooLate
            reading, payloads = message_read(live, message.text, len(message.plaintext))
            return Say(message=message.ref, token_bound=event.token_bound, reading=reading), (message, *payloads)

        actor = opened(entry.data)[0].actor
        await self.turn(child, Submission(_forwarded_key(version), actor, body, always=True))

    async def _leave(self, child: Live) -> None:
        key = f"{FROM_PARENT}left"
        if child.conversation.status != "ended" and key not in child.keys:
            leave = Submission(key, SYSTEM, lambda _: (Leave(), ()), intervenes=True, always=True)
            await self.turn(child, leave)

    def _is_left(self, parent: Live, effect: int) -> bool:
        known = parent.conversation.children.get(effect)
        return known is None or known.left

    # -- up ---------------------------------------------------------------------------------------------

    async def _brought_back(self, parent: Live, effect: int, child: Live, *, news: bool) -> list[Effect]:
        """The child's replies that the parent has not heard, in their order; then its end, if it has ended."""
        child = await self.conversations.current(child.id)
        conversation, lines = child.conversation, tuple(child.lines)
        known = parent.conversation.children.get(effect)
        effects: list[Effect] = []
        for line in lines[bisect_left(lines, known.heard, key=lambda one: one.version) :] if known else ():
            if line.ours and not self._is_left(parent, effect):
                reply = minted("reply", "reply", bytes_of(await self.texts.line(child, line)))
                said = SubflowSaid(
                    effect=effect,
                    version=line.version,
                    reply=reply.ref,
                    token_bound=len(reply.plaintext),
                    taken=_taken(parent, effect, child),
                )
                key = f"{_prefix(child, line.version, news=news)}:{effect}:{line.version}"
                effects += await self.once(parent, key, SYSTEM, said, (reply,))
        if conversation.status != "ended" or known is None:
            self._tended[child.id] = (conversation.version, parent.head.length)
            return effects
        self._tended.pop(child.id, None)
        report, payloads = await self._report(parent, known, child)
        key = f"{_prefix(child, conversation.version, news=news)}:{effect}:end"
        return effects + await self.once(parent, key, SYSTEM, SubflowDone(effect=effect, report=report), payloads)

    async def _report(self, parent: Live, known: Child, child: Live) -> tuple[SubflowReport, tuple[Payload, ...]]:
        conversation, program = child.conversation, parent.program
        state = program.states[known.started.state]
        returns = state.returns if isinstance(state, SubflowState) else ()
        facts, payloads = await self._copied(child, returns, program.facts)
        failing = conversation.failing
        ends = [state.name for state in child.program.flow.states if state.kind == "final"]
        given = [
            (int(key.removeprefix(FROM_PARENT)), at)
            for key, at in child.keys.items()
            if key.startswith(FROM_PARENT) and key.removeprefix(FROM_PARENT).isdecimal()
        ]
        inbox = {version for version, _ in conversation.inbox}
        return SubflowReport(
            outcome=conversation.state if conversation.state in ends else FAILED,
            failing=failing and failing.changed(path=(*failing.path, _place(parent, known))),
            facts=facts,
            upto=max((version for version, _ in given), default=0),
            untaken=tuple(version for version, at in given if at in inbox),
            requesters=tuple(sorted(conversation.requesters)) if known.started.approving else (),
            outlay=_outlay(parent.program, child),
        ), payloads

    async def told_above(self, child: Live) -> None:
        """Bring back what was replied here, and the end, to the parent; and so on, level by level.

        A parent whose flow is not loaded here hears of it from a process that has it, when that recovers.
        """
        while (above := child.conversation.parent) is not None:
            try:
                parent = await self.conversations.current(above.conversation)
            except (FlowError, UnknownConversation) as error:
                log.warning("parent_not_told", conversation=child.id, parent=above.conversation, error=error.code)
                return
            async with parent.lock:
                await self.perform(parent, await self.tended(parent, above.effect, news=True))
            child = parent

    async def outcome(self, live: Live, version: int) -> TurnOutcome:
        """The outcome of the submission at `version`. While a child has the customer, the conversation waits for
        what the child waits for."""
        found = await outcome_since(live, self.texts, version, self.receipts)
        effect = live.conversation.child
        if effect is None:
            return found
        try:
            child = await self.conversations.current(live.conversation.children[effect].started.child)
        except (FlowError, UnknownConversation):
            return replace(found, standing="working")
        below = await self.outcome(child, child.conversation.version)
        return replace(found, standing="working" if below.standing == "ended" else below.standing, task=below.task)

    # -- facts and texts --------------------------------------------------------------------------------

    async def _copied(
        self, source: Live, names: tuple[str, ...], specs: Mapping[str, FactSpec]
    ) -> tuple[tuple[FactReading, ...], tuple[Payload, ...]]:
        """Facts of one conversation as another takes them; one that does not fit there, or was erased, is left out."""
        readings: list[FactReading] = []
        payloads: list[Payload] = []
        for name in names:
            fact, spec = source.conversation.known.get(name), specs.get(name)
            if fact is None or spec is None:
                continue
            if fact.sealed is None:
                value = open_value(spec, fact.value)
                if value is not None:
                    readings.append(FactReading(name=name, value=value))
                continue
            text = await self._payload(source.id, fact.sealed.version, fact.sealed.name)
            if text is not None:
                copy = Payload(f"fact_{name}", "fact", text.r, text.plaintext)
                payloads.append(copy)
                readings.append(FactReading(name=name, payload=copy.ref))
        return tuple(readings), tuple(payloads)

    async def _payload(self, stream: str, version: int, name: str) -> Payload | None:
        return await asyncio.to_thread(self.store.payload, stream, PayloadAt(version=version, name=name))


def _place(parent: Live, known: Child) -> Place:
    """The state of the parent that the child is in."""
    return Place(flow=parent.program.ref.name, state=known.started.state)


def _taken(parent: Live, effect: int, child: Live) -> tuple[int, ...]:
    """The messages that the parent keeps for the child and need not any more: the child has come to them, and so has
    whoever it gave them to."""
    known, conversation = parent.conversation.children.get(effect), child.conversation
    below = (version for one in conversation.children.values() for version, _ in one.forwarded)
    waiting = {*below, *(version for version, _ in conversation.inbox)}
    given = ((version, child.keys.get(_forwarded_key(version))) for version, _ in known.forwarded) if known else ()
    return tuple(version for version, at in given if at is not None and at not in waiting)[:TAKEN_AT_ONCE]


def _outlay(above: Program, child: Live) -> Outlay:
    """What the child spent. A call that has not ended costs what was reserved; another currency is not added up."""
    conversation, turn = child.conversation, child.conversation.turn
    same = child.program.flow.currency == above.flow.currency
    return Outlay(
        agent_calls=turn.agent_calls,
        turn_tokens=turn.tokens,
        turn_cost=turn.cost if same else 0,
        subflows=turn.subflows,
        conversation_tokens=conversation.tokens,
        conversation_cost=conversation.cost if same else 0,
    )


def _forwarded_key(version: int) -> str:
    return f"{FROM_PARENT}{version}"


def _prefix(child: Live, version: int, *, news: bool) -> str:
    """Of the keys in the parent: `n` for news, where a person or a deadline moved the child; else `s`."""
    if not news:
        return "s"
    for key, at in reversed(child.keys.items()):
        if at <= version and key.startswith((FROM_PARENT, *OUTSIDE)):
            return "s" if key.startswith(FROM_PARENT) else "n"
    return "s"
