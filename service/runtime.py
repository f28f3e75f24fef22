"""The runtime: the imperative shell around `decide`. Ids, times, storage, agents and tools live here.

```
command -> decide -> append (COMMIT POINT) -> perform effects -> each outcome is the next command
```

Effects are performed only after the events that ask for them are durable. A lost race on the log is
read again and decided again. Nothing here chooses a transition.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Iterable, Mapping
from functools import cached_property, partial
from typing import Any, TypeVar

import structlog

from ..contracts.approval import Doubt, SignedApproval
from ..contracts.commands import (
    CUSTOMER,
    SYSTEM,
    Actor,
    CommandBody,
    Decide,
    Fire,
    Give,
    Resolve,
    Say,
    Start,
)
from ..contracts.errors import CallError, FlowError, InterlockError, LogBroken, LogError
from ..contracts.flow import OPERATOR_INPUTS, BroadcastState, SubflowState
from ..contracts.payload import Payload, bytes_of
from ..contracts.store import Summary, TimerRow
from ..contracts.values import SubjectId, written_time
from .approvers import looked_at
from .beside import Work
from .clock import chosen_id, minted, random_id
from .facts import given_facts
from .forgetting import Forgetting
from .live import Live
from .loop import TurnLoop
from .outcome import TurnOutcome, Undecided
from .protection import Standing
from .reading import message_read
from .redactor import aside
from .submission import Submission, submitted
from .waiting import timer_key

T = TypeVar("T")
log = structlog.get_logger("interlock.runtime")


class Runtime(TurnLoop):
    """Runs conversations of one or several flows on one store.

    Use as `async with Runtime(...)`: entering makes this process known, leaving finishes what is in hand.
    Every method that takes a `key` is idempotent: the same key and body returns the recorded outcome,
    another body raises `KeyReused`. `concurrent` turns run at once and `waiting` more wait; what comes past
    them raises `Overloaded` at once and leaves no trace.
    """

    # -- what callers ask for ---------------------------------------------------------------------

    async def start(
        self,
        flow: str | None = None,
        *,
        conversation: str | None = None,
        subject: str | None = None,
        facts: Mapping[str, Any] | None = None,
        tenant: str | None = None,
        key: str | None = None,
        actor: Actor = CUSTOMER,
    ) -> TurnOutcome:
        """Open a conversation on the newest loaded version of `flow`; durable on return.

        `facts` are what the caller already knows of the customer, so that they are not asked again. A `key`
        needs the `conversation` it is for. `tenant` names whose daily budget its calls are of.
        """
        if key is not None and conversation is None:
            raise CallError(
                "A key for `start` needs `conversation`: without it, each try opens another one.",
                fix="Choose a random UUID, and send it with the key each time.",
            )
        program = self._conversations.newest(flow)
        identity = chosen_id(conversation) if conversation else random_id()
        subject = SubjectId(subject or random_id())

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            if not live.head.length:
                live.program = program
            readings, payloads = given_facts(live.program, self.redactor.value(facts or {}))
            return Start(flow=program.ref, subject=subject, facts=readings, tenant=tenant), payloads

        async def found() -> Live:
            return await self._conversations.find(identity) or self._conversations.opened(identity, program)

        return await self._submit(identity, submitted(key, actor, body), found)

    async def say(
        self, conversation: str, text: str, *, key: str | None = None, actor: Actor = CUSTOMER
    ) -> TurnOutcome:
        """Submit a person's message and run the turn until the conversation waits again or has ended.

        If the caller goes away (cancellation), the turn goes on. Raises `UnknownConversation`, `KeyReused`,
        or `LogError` if the log cannot be written: then no effect was performed.
        """
        kept = await aside(self.redactor.text, text)
        message = minted("message", "message", bytes_of(kept.text))

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            reading, payloads = message_read(live, kept.text, len(message.plaintext))
            reading = reading.changed(sensitive=kept.tags) if kept.tags else reading
            return Say(message=message.ref, token_bound=len(message.plaintext), reading=reading), (message, *payloads)

        return await self._submit(conversation, submitted(key, actor, body))

    async def give(
        self,
        conversation: str,
        name: str,
        facts: Mapping[str, Any] | None = None,
        *,
        key: str | None = None,
        actor: Actor = SYSTEM,
    ) -> TurnOutcome:
        """A named input that is not a message: a state's `inputs`, or an operator's (`operator_kill`, ...)."""

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            readings, payloads = given_facts(live.program, self.redactor.value(facts or {}))
            return Give(name=name, facts=readings), payloads

        return await self._submit(conversation, submitted(key, actor, body, intervenes=name in OPERATOR_INPUTS))

    async def decide_task(
        self,
        conversation: str,
        task: int,
        decision: str,
        *,
        actor: Actor,
        reason: str = "",
        shown: str | None = None,
        signed: SignedApproval | None = None,
        key: str | None = None,
    ) -> TurnOutcome:
        """A person's decision on an open task. One who lacks the role is refused, on the record.

        `shown` is the digest of what the person was shown (`Task.shown`); where the facts are others by now, the
        decision is refused and the task opened anew. A task that asks for an approval is not decided without it.
        `signed` is the person's signature under it; one that does not hold is refused, on the record.
        """
        written = minted("reason", "reason", bytes_of(self.redactor.text(reason).text)) if reason else None

        doubt: Doubt | None = None
        if signed is not None:
            live = await self._conversations.current(conversation)
            look = partial(looked_at, self.store, live.conversation, task, signed, actor)
            actor, doubt = await asyncio.to_thread(look)

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            reason_ref = written.ref if written else None
            decide = Decide(task=task, decision=decision, reason=reason_ref, shown=shown, signed=signed, doubt=doubt)
            return decide, (written,) if written else ()

        return await self._submit(conversation, submitted(key, actor, body))

    async def resolve(self, conversation: str, effect: int, how: str, *, actor: Actor = SYSTEM) -> TurnOutcome:
        """Say what becomes of an undecided effect: `again`, `done` or `failed`."""

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            return Resolve.model_validate({"effect": effect, "how": how}), ()

        live = await self._conversations.known(conversation)
        async with live.writing:  # what was just asked for is in hand by now
            summary = await asyncio.to_thread(self.store.summary, conversation)
        if summary is not None and summary.undecided and self._is_performed(summary):
            raise CallError(
                f"Effect {effect} is being performed by a living process.",
                where=f"conversation {conversation}",
                fix="Wait for its end; resolve what a process that died has left.",
            )
        return await self._submit(conversation, submitted(None, actor, body, always=True))

    async def fire_due(self) -> int:
        """Fire every deadline that has passed; returns how many. Safe in several processes at once.

        A conversation that cannot be moved here is reported and left; the others' deadlines are fired.
        """
        fired, seen = 0, set[TimerRow]()
        while True:
            # What was fired is due no more; what could not be fired must not hide the rest.
            rows = await asyncio.to_thread(self.store.due_timers, written_time(self.clock.now()), limit=100 + len(seen))
            fresh = [row for row in rows if row not in seen]
            if not fresh:
                return fired
            seen.update(fresh)
            fired += sum(await self._by_family((row.stream, row, partial(self._fired_or_left, row)) for row in fresh))

    async def _fired_or_left(self, row: TimerRow) -> bool:
        try:
            return await self._fired(row.stream, row.timer)
        except Exception as error:  # noqa: BLE001 - one conversation must not hold up the others
            _leave("timer_left", row.stream, error)
            return False

    async def run_timers(self, every_seconds: float = 0.5, recover_every_seconds: float = 30.0) -> None:
        """Fire deadlines, and take over what dead processes left, until the runtime is closed.

        A conversation that is busy holds up its own deadlines alone. A failure of the log is reported, and tried
        again at the next tick.
        """
        ticks = max(1, round(recover_every_seconds / every_seconds))
        looks = set[asyncio.Task[None]]()
        try:
            for tick in itertools.count():
                if self._beside.closed:
                    return
                rarely = (self.forget_erased, self.recover) if tick % ticks == 0 else ()
                for look in (self.fire_due, *rarely):
                    task = asyncio.create_task(_looked(look))
                    looks.add(task)
                    task.add_done_callback(looks.discard)
                await asyncio.sleep(every_seconds)
        finally:
            for task in looks:
                task.cancel()

    async def forget_erased(self) -> None:
        """Drop from memory what somebody erased, here or in another process, since the last look at the log."""
        await self._forgetting.look(self._performs)

    @cached_property
    def _forgetting(self) -> Forgetting:
        return Forgetting(self.store, self.texts, self._conversations)

    async def recover(self) -> tuple[Undecided, ...]:
        """Take over what dead processes left undone; returns the effects that a person must resolve.

        Model calls and tools that take the idempotency key are performed again, with the same key.
        Consequential tools without one are never repeated: they are returned, and wait for `resolve`.
        """
        summaries = await asyncio.to_thread(lambda: self.store.summaries(undecided=True))
        left = await self._by_family(
            (one.stream, ("recovery", one.stream), partial(self._recovered_or_left, one)) for one in summaries
        )
        await self.performer.ledger.settle_left(self._is_over)
        return tuple(itertools.chain.from_iterable(left))

    async def _by_family(self, works: Iterable[tuple[str, Hashable, Callable[[], Coroutine[Any, Any, T]]]]) -> list[T]:
        """What the works give, each of a conversation: a family's in their order, families side by side."""
        families: dict[str, list[Work[T]]] = {}
        for conversation, name, work in works:
            families.setdefault(await self._top_of(conversation), []).append((name, work))
        return await self._beside.each(families.values())

    async def _top_of(self, conversation: str) -> str:
        """The conversation that this one descends from: itself, if it is nobody's child."""
        try:
            while (live := await self._conversations.find(conversation)) and live.conversation.parent:
                conversation = live.conversation.parent.conversation
        except Exception as error:
            if isinstance(error, LogError) and not isinstance(error, LogBroken):
                raise
        return conversation

    async def _recovered_or_left(self, summary: Summary) -> list[Undecided]:
        try:
            # Whoever of its family was recovered before may have written here, and changed the owner.
            now = await asyncio.to_thread(self.store.summary, summary.stream)
            summary = summary if now is None else now
            if self._is_performed(summary):
                await self._let_go_of(summary)
                return []
            live = await self._conversations.current(summary.stream)
            if await self._only_waits(live, summary):
                return []
            if await asyncio.to_thread(self.store.claim, summary.stream, self._presence.owner, summary.owner):
                live.owner = self._presence.owner
                return await self._beside.outlived(self._recovered(live))
        except Exception as error:  # noqa: BLE001 - one conversation must not hold up the others
            _leave("recovery_left", summary.stream, error)
        return []

    async def _is_over(self, conversation: str, effect: int) -> bool:
        """Whether nobody performs the effect, nor ever will."""
        summary = await asyncio.to_thread(self.store.summary, conversation)
        if summary is None or self._is_performed(summary):
            return False
        try:
            live = await self._conversations.current(conversation)
        except (CallError, FlowError, LogBroken):  # it cannot be moved here; what is reserved stays so
            return False
        return effect not in live.conversation.unfinished

    def _is_performed(self, summary: Summary) -> bool:
        """Whether a living process, perhaps this one, is performing the conversation's effects."""
        others = set(summary.owner.split()) - {self._presence.owner}
        return self._performs(summary.stream) or any(self._presence.is_alive(one) for one in others)

    def _performs(self, conversation: str) -> bool:
        """Whether this process has the conversation in hand."""
        return self._beside.has_in_hand(conversation) or self._conversations.is_busy(conversation)

    async def _let_go_of(self, summary: Summary) -> None:
        """Leave it to the others who perform its effects, where this process has none of them in hand any more."""
        others = " ".join(one for one in summary.owner.split() if one != self._presence.owner)
        if others == summary.owner or self._performs(summary.stream):
            return
        live = await self._conversations.current(summary.stream)
        async with live.lock, live.writing:
            unused = not self._beside.has_in_hand(summary.stream)
            if unused and await asyncio.to_thread(self.store.claim, summary.stream, others, summary.owner):
                live.owner = others

    async def _only_waits(self, live: Live, summary: Summary) -> bool:
        """Whether nothing of it is undone but that its child has not ended yet, which this process knows."""
        own = summary.owner == self._presence.owner and not live.conversation.unfinished
        return own and await self._children.nothing_missing(live)

    async def outcome(self, conversation: str) -> TurnOutcome:
        """Where the conversation stands, without moving it."""
        live = await self._conversations.current(conversation)
        return await self._children.outcome(live, live.conversation.version)

    def conditions(self) -> tuple[Standing, ...]:
        """The breakers and limiters of this runtime as they stand, and whether a cost storm pauses agents."""
        return self.performer.protection.conditions()

    async def _fired(self, conversation: str, timer: int) -> bool:
        live = await self._conversations.current(conversation)
        key = timer_key(live.conversation, timer)
        if timer not in (at for at, _ in live.conversation.timers) or key in live.keys:
            return False
        if (conversation, timer) in self._beside.effects:  # this process sleeps through the wait, and goes on by itself
            return False
        # A turn that waits for a child or for members must not outlast the deadline that bounds it.
        bounds = timer == live.conversation.visit.timer and isinstance(
            live.program.states.get(live.conversation.state), SubflowState | BroadcastState
        )
        fire = Submission(key, SYSTEM, lambda _: (Fire(timer=timer), ()), intervenes=bounds, always=True)
        await self._submit(conversation, fire)
        return True


async def _looked(look: Callable[[], Awaitable[object]]) -> None:
    """One look at what is due; whatever fails is due at the next."""
    try:
        await look()
    except Exception as error:  # noqa: BLE001 - somebody must look again, whatever came up
        log.error("timers_failed", error=error.code if isinstance(error, InterlockError) else type(error).__name__)


def _leave(event: str, conversation: str, error: Exception) -> None:
    """Report a conversation that could not be moved; raise where the log itself failed. Only known errors are quoted:
    others may name a person."""
    if isinstance(error, LogError) and not isinstance(error, LogBroken):
        raise error
    if isinstance(error, InterlockError):
        log.error(event, conversation=conversation, error=error.code, what=error.what)
    else:
        log.error(event, conversation=conversation, error=type(error).__name__)
