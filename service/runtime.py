"""The runtime: the imperative shell around `decide`. Ids, times, storage, agents and tools live here.

```
command -> decide -> append (COMMIT POINT) -> perform effects -> each outcome is the next command
```

Effects are performed only after the events that ask for them are durable. A lost race on the log is
read again and decided again. Nothing here chooses a transition.
"""

import asyncio
import itertools
from collections.abc import Mapping
from typing import Any

import structlog

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
from ..contracts.flow import OPERATOR_INPUTS
from ..contracts.payload import Payload, bytes_of
from ..contracts.store import Summary, TimerRow
from ..contracts.values import SubjectId, written_time
from .clock import chosen_id, minted, random_id
from .facts import given_facts
from .live import Live
from .loop import TurnLoop
from .outcome import TurnOutcome, Undecided
from .protection import Standing
from .reading import message_read
from .submission import Submission, submitted
from .waiting import timer_key

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
            readings, payloads = given_facts(live.program, facts or {})
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
        message = minted("message", "message", bytes_of(text))

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            reading, payloads = message_read(live, text, len(message.plaintext))
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
            readings, payloads = given_facts(live.program, facts or {})
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
        key: str | None = None,
    ) -> TurnOutcome:
        """A person's decision on an open task. One who lacks the role is refused, on the record.

        `shown` is the digest of what the person was shown (`Task.shown`); where the facts are others by now, the
        decision is refused and the task opened anew. A task that asks for an approval is not decided without it.
        """
        written = minted("reason", "reason", bytes_of(reason)) if reason else None

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            return (
                Decide(task=task, decision=decision, reason=written.ref if written else None, shown=shown),
                (written,) if written else (),
            )

        return await self._submit(conversation, submitted(key, actor, body))

    async def resolve(self, conversation: str, effect: int, how: str, *, actor: Actor = SYSTEM) -> TurnOutcome:
        """Say what becomes of an undecided effect: `again`, `done` or `failed`."""

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            return Resolve.model_validate({"effect": effect, "how": how}), ()

        await self._conversations.known(conversation)
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
            for row in fresh:
                seen.add(row)
                try:
                    fired += await self._fired(row.stream, row.timer)
                except LogError as error:
                    if not isinstance(error, LogBroken):
                        raise
                    _left("timer_left", row.stream, error)
                except Exception as error:  # noqa: BLE001 - one conversation must not hold up the others
                    _left("timer_left", row.stream, error)

    async def run_timers(self, every_seconds: float = 0.5, recover_every_seconds: float = 30.0) -> None:
        """Fire deadlines, and take over what dead processes left, for ever.

        A failure of the log is reported, and tried again at the next tick.
        """
        ticks = max(1, round(recover_every_seconds / every_seconds))
        for tick in itertools.count():
            try:
                await self.fire_due()
                if tick % ticks == 0:
                    await self.recover()
            except LogError as error:
                log.error("timers_failed", error=error.code)
            except CallError:
                return  # closed
            await asyncio.sleep(every_seconds)

    async def recover(self) -> tuple[Undecided, ...]:
        """Take over what dead processes left undone; returns the effects that a person must resolve.

        Model calls and tools that take the idempotency key are performed again, with the same key.
        Consequential tools without one are never repeated: they are returned, and wait for `resolve`.
        """
        left: list[Undecided] = []
        for summary in await asyncio.to_thread(lambda: self.store.summaries(undecided=True)):
            if self._is_performed(summary):
                continue
            try:
                live = await self._conversations.current(summary.stream)
                if await self._only_waits(live, summary):
                    continue
                if await asyncio.to_thread(self.store.claim, summary.stream, self._presence.owner, summary.owner):
                    live.owner = self._presence.owner
                    left += await self._in_hand(self._recovered(live))
            except LogError as error:
                if not isinstance(error, LogBroken):
                    raise
                _left("recovery_left", summary.stream, error)
            except Exception as error:  # noqa: BLE001 - one conversation must not hold up the others
                _left("recovery_left", summary.stream, error)
        await self.performer.ledger.settle_left(self._is_over)
        return tuple(left)

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
        if summary.owner == self._presence.owner:
            flying = any(stream == summary.stream for stream, _ in self._in_flight)
            return flying or self._conversations.is_busy(summary.stream)
        return bool(summary.owner) and self._presence.is_alive(summary.owner)

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
        if (conversation, timer) in self._in_flight:  # this process sleeps through the wait, and goes on by itself
            return False
        await self._submit(conversation, Submission(key, SYSTEM, lambda _: (Fire(timer=timer), ()), always=True))
        return True


def _left(event: str, conversation: str, error: Exception) -> None:
    """Report a conversation that could not be moved. Only known errors are quoted: others may name a person."""
    if isinstance(error, InterlockError):
        log.error(event, conversation=conversation, error=error.code, what=error.what)
    else:
        log.error(event, conversation=conversation, error=type(error).__name__)
