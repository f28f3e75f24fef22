"""The runtime: the imperative shell around `decide`. Ids, times, storage, agents and tools live here.

```
command -> decide -> append (COMMIT POINT) -> perform effects -> each outcome is the next command
```

Effects are performed only after the events that ask for them are durable. A lost race on the log is
read again and decided again. Nothing here chooses a transition.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from ..contracts.agents import Agent
from ..contracts.commands import (
    CUSTOMER,
    SYSTEM,
    Actor,
    Command,
    CommandBody,
    Decide,
    Fire,
    Give,
    Resolve,
    Routed,
    Say,
    Start,
)
from ..contracts.envelope import Entry, Head, sealed
from ..contracts.errors import CallError, FlowError, LogBroken, LogError, StreamMoved
from ..contracts.payload import Payload, bytes_of
from ..contracts.store import Append, FlowRow, Store, TimerRow
from ..contracts.values import SubjectId, written_time
from ..fsm.conversation import Conversation
from ..fsm.decide import decide, effects_of
from ..fsm.draft import Effect, Route, RunTool
from ..fsm.program import Program
from ..persistence.presence import OnlyProcess, Presence
from .clock import Clock, SystemClock, minted, random_id
from .conversations import Conversations
from .facts import given_facts
from .live import Live
from .outcome import TurnOutcome, Undecided, outcome_since
from .perform import Performer, performer_of, repeatable
from .projection import summary_of
from .reading import message_read
from .submission import Submission, check_same, submitted
from .texts import Texts

CODE = "interlock/0.1.0"
log = structlog.get_logger("interlock.runtime")


class Runtime:
    """Runs conversations of one or several flows on one store.

    Use as `async with Runtime(...)`: entering makes this process known, leaving finishes what is in hand.
    Every method that takes a `key` is idempotent: the same key and body returns the recorded outcome,
    another body raises `KeyReused`.
    """

    def __init__(
        self,
        store: Store,
        programs: Program | Iterable[Program],
        agents: Agent | Mapping[str, Agent],
        *,
        clock: Clock | None = None,
        presence: Presence | None = None,
        sources: Mapping[str, str] | None = None,
        on_event: Callable[[str, Entry], None] | None = None,
        remembered: int = 1_000,
    ) -> None:
        programs = (programs,) if isinstance(programs, Program) else tuple(programs)
        self.store, self.clock = store, clock or SystemClock()
        self._conversations = Conversations(store, programs, remembered)
        self.texts = Texts(store)
        self.performer = Performer(agents, self.texts)
        self._presence_given = presence
        self._sources, self._on_event = dict(sources or {}), on_event
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def _presence(self) -> Presence:
        """This process, known to the others on the same log from the first time it is asked for."""
        if self._presence_given is None:
            own = getattr(self.store, "presence", OnlyProcess)
            self._presence_given = own()
        return self._presence_given

    async def __aenter__(self) -> "Runtime":
        await asyncio.to_thread(lambda: self._presence)
        for digest, program in self._conversations.programs.items():
            await asyncio.to_thread(
                self.store.put_flow,
                FlowRow(
                    digest=digest,
                    name=program.ref.name,
                    version=program.ref.version,
                    body=program.body,
                    source=self._sources.get(digest, ""),
                ),
            )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace_seconds: float = 30.0) -> None:
        """Let turns in hand finish, then stop; what is cut off stays undecided and is recovered later."""
        if self._tasks:
            _, unfinished = await asyncio.wait(tuple(self._tasks), timeout=grace_seconds)
            for task in unfinished:
                task.cancel()
            await asyncio.gather(*unfinished, return_exceptions=True)
        self._presence.close()

    # -- what callers ask for ---------------------------------------------------------------------

    async def start(
        self,
        flow: str | None = None,
        *,
        conversation: str | None = None,
        subject: str | None = None,
        facts: Mapping[str, Any] | None = None,
        key: str | None = None,
        actor: Actor = CUSTOMER,
    ) -> TurnOutcome:
        """Open a conversation on the newest loaded version of `flow`; durable on return.

        `facts` are what the caller already knows of the customer, so that they are not asked again. A `key`
        needs the `conversation` it is for.
        """
        if key is not None and conversation is None:
            raise CallError(
                "A key for `start` needs `conversation`: without it, each try opens another one.",
                fix="Choose a random UUID, and send it with the key each time.",
            )
        program = self._conversations.newest(flow)
        identity = conversation or random_id()
        subject = SubjectId(subject or random_id())

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            if not live.head.length:
                live.program = program
            readings, payloads = given_facts(live.program, facts or {})
            return Start(flow=program.ref, subject=subject, facts=readings), payloads

        live = await self._conversations.find(identity)
        if live is None:
            live = self._conversations.opened(identity, program)
        return await self._submit(live, submitted(key, actor, body))

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

        return await self._submit(await self._conversations.known(conversation), submitted(key, actor, body))

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

        return await self._submit(await self._conversations.known(conversation), submitted(key, actor, body))

    async def decide_task(
        self, conversation: str, task: int, decision: str, *, actor: Actor, reason: str = "", key: str | None = None
    ) -> TurnOutcome:
        """A person's decision on an open task. One who lacks the role is refused, on the record."""
        written = minted("reason", "reason", bytes_of(reason)) if reason else None

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            return (
                Decide(task=task, decision=decision, reason=written.ref if written else None),
                (written,) if written else (),
            )

        return await self._submit(await self._conversations.known(conversation), submitted(key, actor, body))

    async def resolve(self, conversation: str, effect: int, how: str, *, actor: Actor = SYSTEM) -> TurnOutcome:
        """Say what becomes of an undecided effect: `again`, `done` or `failed`."""

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            return Resolve.model_validate({"effect": effect, "how": how}), ()

        return await self._submit(await self._conversations.known(conversation), submitted(None, actor, body))

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
                except (FlowError, LogBroken) as error:
                    log.error("timer_left", conversation=row.stream, error=error.code, what=error.what)

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
            await asyncio.sleep(every_seconds)

    async def recover(self) -> tuple[Undecided, ...]:
        """Take over what dead processes left undone; returns the effects that a person must resolve.

        Model calls and tools that take the idempotency key are performed again, with the same key.
        Consequential tools without one are never repeated: they are returned, and wait for `resolve`.
        """
        left: list[Undecided] = []
        for summary in await asyncio.to_thread(lambda: self.store.summaries(undecided=True)):
            if summary.owner and summary.owner != self._presence.owner and self._presence.is_alive(summary.owner):
                continue
            if summary.owner == self._presence.owner and self._conversations.is_busy(summary.stream):
                continue
            try:
                live = await self._conversations.current(summary.stream)
            except (FlowError, LogBroken) as error:
                log.error("recovery_left", conversation=summary.stream, error=error.code, what=error.what)
                continue
            if await asyncio.to_thread(self.store.claim, summary.stream, self._presence.owner, summary.owner):
                left += await self._recovered(live)
        return tuple(left)

    async def outcome(self, conversation: str) -> TurnOutcome:
        """Where the conversation stands, without moving it."""
        live = await self._conversations.current(conversation)
        return await outcome_since(live, self.texts, live.conversation.version)

    async def _fired(self, conversation: str, timer: int) -> bool:
        live = await self._conversations.current(conversation)
        key = f"t:{timer}"
        if live.conversation.visit.timer != timer or key in live.keys:
            return False
        await self._submit(live, Submission(key, SYSTEM, lambda _: (Fire(timer=timer), ())))
        return True

    # -- the loop ---------------------------------------------------------------------------------

    async def _submit(self, live: Live, given: Submission) -> TurnOutcome:
        """Run one outside command to its end, in a task of its own that outlives the caller."""
        task = asyncio.create_task(self._turn(live, given))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _turn(self, live: Live, given: Submission) -> TurnOutcome:
        async with live.lock:
            effects: list[Effect] | None = None
            version = 0
            while effects is None:
                body, payloads = given.made(live)
                repeated = live.keys.get(given.key)
                if repeated is not None:
                    await check_same(self.store, live, repeated, given, body, payloads)
                    return await outcome_since(live, self.texts, repeated)
                version = live.conversation.version
                try:
                    effects = await self._commit(live, given.key, given.actor, body, payloads)
                except StreamMoved:
                    await self._conversations.reload(live)
            await self._perform_all(live, effects)
            return await outcome_since(live, self.texts, version)

    async def _commit(
        self, live: Live, key: str, actor: Actor, body: CommandBody, payloads: tuple[Payload, ...]
    ) -> list[Effect]:
        """Decide the command, and what follows from it without leaving the process; append it all at once."""
        program, conversation, head = live.program, live.conversation, live.head
        entries: list[Entry] = []
        outside: list[Effect] = []
        todo: list[tuple[str, Actor, CommandBody, tuple[Payload, ...]]] = [(key, actor, body, payloads)]
        while todo:
            key, actor, body, payloads = todo.pop(0)
            command = Command(key=key, at=self.clock.now(), actor=actor, body=body)
            decision = decide(program, conversation, command)
            if not decision.events:
                continue
            made = sealed(
                decision.events,
                head=head,
                command=command,
                flow=program.ref.digest,
                code=CODE,
                log=self.store.log,
                payloads=payloads,
            )
            entries += made
            conversation = decision.conversation
            self.texts.keep(live.id, head.length, payloads)
            head = Head(live.id, head.length + len(made), made[-1].leaf)
            for effect in decision.effects:
                if isinstance(effect, Route):
                    evidence = await self.performer.route(live, effect)
                    routed = Routed(state=effect.state, message=effect.message, evidence=evidence)
                    todo.append((f"r:{head.length}", SYSTEM, routed, ()))
                else:
                    outside.append(effect)
        if entries:
            await self._append(live, entries, conversation, head)
        return outside

    async def _append(self, live: Live, entries: list[Entry], conversation: Conversation, head: Head) -> None:
        started = live.started_at or entries[0].at
        summary = summary_of(conversation, entries[-1].at, started, self._presence.owner)
        append = Append(entries=tuple(entries), expected=live.head.length, summary=summary)
        try:
            if len(self._tasks) == 1:
                # Nothing else runs that could be held up, and a change of threads costs as much as a commit.
                self.store.append(append)
            else:
                await asyncio.wrap_future(self.store.enqueue(append))
        except StreamMoved:
            self.texts.forget(live.id)
            raise
        except LogError:
            self._conversations.forget(live.id)
            self.texts.forget(live.id)
            raise
        live.take(((entry.event, entry.key, entry.at) for entry in entries), head, conversation)
        if self._on_event is not None:
            for entry in entries:
                self._on_event(live.id, entry)

    async def _perform_all(self, live: Live, effects: list[Effect]) -> None:
        """Perform effects, one after another, and everything their outcomes ask for, until nothing is left."""
        while effects:
            effect = effects.pop(0)
            if isinstance(effect, Route):
                continue
            body, payloads = await self.performer.perform(live, effect)
            key = f"e:{effect.effect}"
            while key not in live.keys:
                try:
                    effects += await self._commit(live, key, performer_of(effect), body, payloads)
                    break
                except StreamMoved:
                    await self._conversations.reload(live)

    async def _recovered(self, live: Live) -> list[Undecided]:
        left: list[Undecided] = []
        again: list[Effect] = []
        async with live.lock:
            for effect in effects_of(live.conversation):
                if isinstance(effect, RunTool) and not repeatable(live.program, effect):
                    left.append(Undecided(live.id, effect.effect, effect.request.tool))
                else:
                    again.append(effect)
            await self._perform_all(live, again)
        return left
