"""The runtime: the imperative shell around `decide`. Ids, times, storage, agents and tools live here.

```
command -> decide -> append (COMMIT POINT) -> perform effects -> each outcome is the next command
```

Effects are performed only after the events that ask for them are durable. A lost race on the log is
read again and decided again. Nothing here chooses a transition.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from ..contracts.agents import Agent
from ..contracts.commands import (
    CUSTOMER,
    SYSTEM,
    Actor,
    AgentEnded,
    Command,
    CommandBody,
    Decide,
    Fire,
    Give,
    Resolve,
    Routed,
    Say,
    Start,
    ToolEnded,
)
from ..contracts.envelope import Entry, Head, sealed
from ..contracts.errors import CallError, KeyReused, LogError, StreamMoved
from ..contracts.facts import FactReading
from ..contracts.payload import Payload, PayloadAt, bytes_of
from ..contracts.store import Append, FlowRow, Store
from ..contracts.values import SubjectId, listed, written_time
from ..fsm.conversation import Conversation
from ..fsm.decide import decide, effects_of
from ..fsm.draft import CallAgent, Effect, Route, RunTool
from ..fsm.program import Program
from ..persistence.presence import OnlyProcess, Presence
from .clock import Clock, SystemClock, minted, random_id
from .conversations import Conversations
from .facts import readings_from
from .live import Live
from .loading import loaded_body
from .outcome import TurnOutcome, outcome_since
from .perform import Performer
from .projection import summary_of
from .reading import message_read
from .submission import Submission, caller_key, same_submission
from .texts import Texts

CODE = "interlock/0.1.0"
log = structlog.get_logger("interlock.runtime")


@dataclass(frozen=True, slots=True)
class Undecided:
    """An effect that was begun and whose end nobody recorded: a person finds out, and says so with `resolve`."""

    conversation: str
    effect: int
    tool: str


class Runtime:
    """Runs conversations of one or several flows on one store.

    Use as `async with Runtime(...)`: entering makes this process known, leaving finishes what is in hand.
    Every method that takes a `key` is idempotent: the same key and body returns the recorded outcome,
    another body raises `KeyReused`.
    """

    def __init__(
        self, store: Store, programs: Program | Iterable[Program], agents: Agent | Mapping[str, Agent], *,
        clock: Clock | None = None, presence: Presence | None = None, sources: Mapping[str, str] | None = None,
        on_event: Callable[[str, Entry], None] | None = None, remembered: int = 1_000,
    ) -> None:
        programs = (programs,) if isinstance(programs, Program) else tuple(programs)
        self.store, self.clock = store, clock or SystemClock()
        self._conversations = Conversations(store, programs, remembered)
        self.texts = Texts(store)
        self.performer = Performer(agents, self.texts)
        self._presence = presence or OnlyProcess()
        self._sources, self._on_event = dict(sources or {}), on_event
        self._tasks: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> "Runtime":
        for digest, program in self._conversations.programs.items():
            await asyncio.to_thread(self.store.put_flow, FlowRow(
                digest=digest, name=program.ref.name, version=program.ref.version, body=program.body,
                source=self._sources.get(digest, "")))
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
        self, flow: str | None = None, *, conversation: str | None = None, subject: str | None = None,
        facts: Mapping[str, Any] | None = None, key: str | None = None, actor: Actor = CUSTOMER,
    ) -> TurnOutcome:
        """Open a conversation on the newest loaded version of `flow`; durable on return.

        `facts` are what the caller already knows of the customer, so that they are not asked again.
        """
        program = self._conversations.newest(flow)
        identity = conversation or random_id()
        subject = SubjectId(subject or random_id())

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            readings, payloads = self._given(live.program, facts or {})
            return Start(flow=live.program.ref, subject=subject, facts=readings), payloads

        live = await self._conversations.find(identity)
        if live is None:
            live = self._conversations.opened(identity, program)
        return await self._submit(live, Submission(caller_key(key or random_id()), actor, body))

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

        return await self._submit(await self._conversations.known(conversation), Submission(caller_key(key or random_id()), actor, body))

    async def give(
        self, conversation: str, name: str, facts: Mapping[str, Any] | None = None, *, key: str | None = None,
        actor: Actor = SYSTEM,
    ) -> TurnOutcome:
        """A named input that is not a message: a state's `inputs`, or an operator's (`operator_kill`, ...)."""
        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            readings, payloads = self._given(live.program, facts or {})
            return Give(name=name, facts=readings), payloads

        return await self._submit(await self._conversations.known(conversation), Submission(caller_key(key or random_id()), actor, body))

    async def decide_task(
        self, conversation: str, task: int, decision: str, *, actor: Actor, reason: str = "", key: str | None = None
    ) -> TurnOutcome:
        """A person's decision on an open task. One who lacks the role is refused, on the record."""
        written = minted("reason", "reason", bytes_of(reason)) if reason else None

        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            return (Decide(task=task, decision=decision, reason=written.ref if written else None),
                    (written,) if written else ())

        return await self._submit(await self._conversations.known(conversation), Submission(caller_key(key or random_id()), actor, body))

    async def resolve(self, conversation: str, effect: int, how: str, *, actor: Actor = SYSTEM) -> TurnOutcome:
        """Say what becomes of an undecided effect: `again`, `done` or `failed`."""
        def body(live: Live) -> tuple[CommandBody, tuple[Payload, ...]]:
            return Resolve.model_validate({"effect": effect, "how": how}), ()

        return await self._submit(await self._conversations.known(conversation), Submission(caller_key(random_id()), actor, body))

    async def fire_due(self) -> int:
        """Fire every deadline that has passed; returns how many. Safe in several processes at once."""
        fired = 0
        for row in await asyncio.to_thread(self.store.due_timers, written_time(self.clock.now())):
            live = await self._conversations.known(row.stream)
            timer = row.timer
            key = f"t:{timer}"
            if live.conversation.visit.timer != timer or key in live.keys:
                continue
            await self._submit(live, Submission(key, SYSTEM, lambda _, timer=timer: (Fire(timer=timer), ())))
            fired += 1
        return fired

    async def run_timers(self, every_seconds: float = 0.5) -> None:
        """Fire deadlines for ever. A failure of the log is reported and tried again at the next tick."""
        while True:
            try:
                await self.fire_due()
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
            if not await asyncio.to_thread(self.store.claim, summary.stream, self._presence.owner, summary.owner):
                continue
            self._conversations.forget(summary.stream)
            live = await self._conversations.known(summary.stream)
            left += await self._recovered(live)
        return tuple(left)

    async def outcome(self, conversation: str) -> TurnOutcome:
        """Where the conversation stands, without moving it."""
        live = await self._conversations.known(conversation)
        return await outcome_since(live, self.texts, live.conversation.version)

    # -- the loop ---------------------------------------------------------------------------------

    async def _submit(self, live: Live, given: Submission) -> TurnOutcome:
        """Run one outside command to its end, in a task of its own that outlives the caller."""
        task = asyncio.create_task(self._turn(live, given))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return await asyncio.shield(task)

    async def _turn(self, live: Live, given: Submission) -> TurnOutcome:
        async with live.lock:
            while True:
                body, payloads = given.body(live)
                repeated = live.keys.get(given.key)
                if repeated is not None:
                    await self._check_same(live, repeated, body, payloads)
                    return await outcome_since(live, self.texts, repeated)
                version = live.conversation.version
                try:
                    effects = await self._commit(live, given.key, given.actor, body, payloads)
                    break
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
            made = sealed(decision.events, head=head, command=command, flow=program.ref.digest, code=CODE,
                          log=self.store.log, payloads=payloads)
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
        future = self.store.enqueue(Append(entries=tuple(entries), expected=live.head.length, summary=summary))
        try:
            await asyncio.wrap_future(future)
        except StreamMoved:
            self.texts.forget(live.id)
            raise
        except LogError:
            self._conversations.forget(live.id)
            self.texts.forget(live.id)
            raise
        live.take(((entry.event, entry.key, entry.at) for entry in entries), head)
        if self._on_event is not None:
            for entry in entries:
                self._on_event(live.id, entry)

    async def _perform_all(self, live: Live, effects: list[Effect]) -> None:
        """Perform effects, one after another, and everything their outcomes ask for, until nothing is left."""
        while effects:
            effect = effects.pop(0)
            if isinstance(effect, Route):
                continue
            body, payloads = await self._performed(live, effect)
            key = f"e:{effect.effect}"
            while key not in live.keys:
                try:
                    effects += await self._commit(live, key, _performer(effect), body, payloads)
                    break
                except StreamMoved:
                    await self._conversations.reload(live)

    async def _performed(self, live: Live, effect: CallAgent | RunTool) -> tuple[CommandBody, tuple[Payload, ...]]:
        if isinstance(effect, CallAgent):
            performed = await self.performer.call_agent(live, effect)
            return AgentEnded(effect=effect.effect, report=performed.report), performed.payloads
        performed = await self.performer.run_tool(live, effect)
        return ToolEnded(effect=effect.effect, report=performed.report), performed.payloads

    async def _recovered(self, live: Live) -> list[Undecided]:
        left: list[Undecided] = []
        again: list[Effect] = []
        for effect in effects_of(live.conversation):
            if isinstance(effect, RunTool) and not _repeatable(live.program, effect):
                left.append(Undecided(live.id, effect.effect, effect.request.tool))
            else:
                again.append(effect)
        if again:
            async with live.lock:
                await self._perform_all(live, again)
        return left

    def _given(self, program: Program, facts: Mapping[str, Any]) -> tuple[tuple[FactReading, ...], tuple[Payload, ...]]:
        readings, payloads = readings_from(program, facts, {})
        missed = sorted(set(facts) - {one.name for one in readings})
        if missed:
            raise CallError(f"These facts do not fit the flow: {listed(missed)}.",
                            fix="Give facts that the flow declares, with values of their types.")
        return readings, payloads

    async def _check_same(
        self, live: Live, version: int, body: CommandBody, payloads: tuple[Payload, ...]
    ) -> None:
        """Refuse a repeated key whose submission says something else than the recorded one."""
        entries = await asyncio.to_thread(self.store.read, live.id, after=version, limit=1)
        recorded = loaded_body(entries[0].data)
        stored: dict[str, bytes | None] = {}
        for payload in payloads:
            found = await asyncio.to_thread(
                self.store.payload, live.id, PayloadAt(version=version, name=payload.name))
            stored[payload.name] = found.plaintext if found else None
        if recorded is None or not same_submission(recorded, body, payloads, stored):
            raise KeyReused("This idempotency key was used before with another body.",
                            where=f"conversation {live.id}, event {version}",
                            fix="Send the same body again, or use a new key.")


def _performer(effect: CallAgent | RunTool) -> Actor:
    if isinstance(effect, CallAgent):
        return Actor(kind="agent", id=effect.request.agent)
    return Actor(kind="tool", id=effect.request.tool)


def _repeatable(program: Program, effect: RunTool) -> bool:
    """Whether a tool call may be made again after a crash: it changes nothing, or it takes the key."""
    spec = program.tools[effect.request.tool]
    return spec.keyed or not spec.consequential
