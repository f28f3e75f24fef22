"""The loop: decide, commit, perform, and again with each outcome, until a conversation waits or has ended.

Two locks a conversation: `lock` keeps its turns one after another, `writing` its commits. An operator's
intervention waits for the second only, so it can end a turn that is calling a model.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import nullcontext
from datetime import datetime
from functools import partial
from typing import Self

import structlog

from ..contracts.agents import Agent
from ..contracts.commands import SYSTEM, Actor, AgentEnded, Command, CommandBody, Routed
from ..contracts.envelope import Entry, Head, sealed
from ..contracts.errors import LogError, NotEncodable, StreamMoved
from ..contracts.events import AgentRequested, EffectResolved, ToolRequested
from ..contracts.payload import Payload
from ..contracts.routing import RoutingEvidence
from ..contracts.store import Append, FlowRow, Store
from ..contracts.subflow_events import SubflowStarted
from ..fsm.conversation import Conversation
from ..fsm.decide import decide, effects_of
from ..fsm.draft import CallAgent, Effect, Route, RunTool, TendChild, Wait
from ..fsm.program import Program
from ..persistence.presence import OnlyProcess, Presence
from .admission import CONCURRENT, WAITING, Admission
from .beside import Beside, owners_after
from .budgets import Budgets, Ledger
from .children import Children
from .clock import Clock, ClockWatch, SystemClock
from .codes import CODE
from .conversations import MOST_RACES, Conversations, never_settled
from .live import Live
from .observing import Unobserved
from .outcome import Receipts, TurnOutcome, Undecided
from .perform import Performer, performer_of, repeatable, too_large
from .projection import summary_of
from .protection import Protection, Resilience
from .redactor import Redactor
from .submission import Submission, check_same
from .texts import Texts
from .waiting import Pause, Waits, wanted

Performing = asyncio.Task[tuple[CommandBody, tuple[Payload, ...]]]
"""An effect that is being performed beside others."""
InHand = CallAgent | RunTool | Wait
BEGIN = (AgentRequested, ToolRequested, SubflowStarted, EffectResolved)
"""Events after which whoever recorded them has something to perform."""
log = structlog.get_logger("interlock.runtime")


class TurnLoop:
    """What runs turns; `Runtime` adds what callers ask for."""

    def __init__(
        self,
        store: Store,
        programs: Program | Iterable[Program],
        agents: Agent | Mapping[str, Agent],
        *,
        clock: Clock | None = None,
        presence: Presence | None = None,
        sources: Mapping[str, str] | None = None,
        codes: Mapping[str, str] | None = None,
        on_event: Callable[[str, Entry], None] | None = None,
        observer: Unobserved | None = None,
        remembered: int = 1_000,
        concurrent: int = CONCURRENT,
        waiting: int = WAITING,
        resilience: Resilience | None = None,
        budgets: Budgets | None = None,
        redactor: Redactor | None = None,
        pause: Pause = asyncio.sleep,
        receipts: Receipts | None = None,
    ) -> None:
        programs = (programs,) if isinstance(programs, Program) else tuple(programs)
        self.store, self.clock, self._clock_watch = store, clock or SystemClock(), ClockWatch()
        self._conversations = Conversations(store, programs, remembered)
        self.texts, self._observer = Texts(store), observer or Unobserved()
        protection, self.redactor = Protection(resilience or Resilience(), self.clock), redactor or Redactor()
        ledger, heard = Ledger(store, budgets or Budgets(), self.clock), self._observer.around(agents)
        self.performer = Performer(self.redactor.around(heard), self.texts, protection, ledger, self.redactor)
        shell = self._turn, self._once, self._perform_all
        self._children = Children(store, self._conversations, self.texts, *shell, receipts)
        self._waits, self._presence_given = Waits(self.clock, pause), presence
        self._sources, self._codes, self._on_event = dict(sources or {}), dict(codes or {}), on_event
        self.admission, self._beside = Admission(concurrent, waiting), Beside()

    @property
    def _presence(self) -> Presence:
        """This process, known to the others on the same log from the first time it is asked for."""
        self._presence_given = self._presence_given or getattr(self.store, "presence", OnlyProcess)()
        return self._presence_given

    async def __aenter__(self) -> Self:
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
        await self._beside.close(grace_seconds)
        await self.performer.bounds.close()
        self._presence.close()

    async def _submit(
        self, conversation: str, given: Submission, find: Callable[[], Awaitable[Live]] | None = None
    ) -> TurnOutcome:
        """Run one outside command to its end, in a task of its own that outlives the caller.

        Raises `Overloaded`, before anything is looked up, where too many wait already.
        """
        find = find or partial(self._conversations.known, conversation)
        if given.always:
            return await self._beside.outlived(self._submitted(await find(), given))
        self.admission.enter(conversation)
        return await self._beside.outlived(self._placed(conversation, given, find))

    async def _placed(self, conversation: str, given: Submission, find: Callable[[], Awaitable[Live]]) -> TurnOutcome:
        try:
            return await self._submitted(await find(), given)
        finally:
            self.admission.leave(conversation)

    async def _submitted(self, live: Live, given: Submission) -> TurnOutcome:
        """The turn, and what it means to the parent of a child conversation."""
        outcome = await self._turn(live, given)
        await self._children.told_above(live)
        return outcome

    async def _turn(self, live: Live, given: Submission) -> TurnOutcome:
        async with (
            nullcontext() if given.intervenes else live.lock,
            nullcontext() if given.always else self.admission.slot(),
            self._observer.turn(live),
        ):
            for _ in range(MOST_RACES):
                body, payloads = given.made(live)
                repeated = live.keys.get(given.key)
                if repeated is not None:
                    await check_same(self.store, live, repeated, given, body, payloads)
                    return await self._children.outcome(live, repeated)
                version = live.conversation.version
                try:
                    effects = await self._commit(live, given.key, given.actor, body, payloads)
                except StreamMoved:
                    async with live.writing:
                        await self._conversations.reload(live)
                    continue
                await self._perform_all(live, effects)
                return await self._children.outcome(live, version)
            raise never_settled(live.id)

    async def _commit(
        self, live: Live, key: str, actor: Actor, body: CommandBody, payloads: tuple[Payload, ...]
    ) -> list[Effect]:
        """Decide the command, and what follows from it without leaving the process; append it all at once."""
        async with live.writing:
            try:
                return await self._decided(live, key, actor, body, payloads)
            except BaseException:
                self.texts.forget(live.id)  # texts of entries that were not recorded, perhaps
                raise

    async def _decided(
        self, live: Live, key: str, actor: Actor, body: CommandBody, payloads: tuple[Payload, ...]
    ) -> list[Effect]:
        program, conversation, head = live.program, live.conversation, live.head
        entries, outside = list[Entry](), list[Effect]()
        todo: list[tuple[str, Actor, CommandBody, tuple[Payload, ...]]] = [(key, actor, body, payloads)]
        while todo:
            key, actor, body, payloads = todo.pop(0)
            command = Command(key=key, at=self._time_of(live, head.length, body), actor=actor, body=body)
            self._clock_watch.look(command.at, entries[-1].at if entries else live.at, live.id)
            decision = decide(program, conversation, command)
            if not decision.events:
                continue
            made = sealed(
                decision.events,
                head=head,
                command=command,
                flow=program.ref.digest,
                code=self._code_of(live.id, head.length, program),
                log=self.store.log,
                payloads=payloads,
            )
            entries += made
            conversation = decision.conversation
            self.texts.keep(live.id, head.length, payloads)
            head = Head(live.id, head.length + len(made), made[-1].leaf)
            for effect in decision.effects:
                if isinstance(effect, Route):
                    evidence = await self._evidence(live, effect, head.length)
                    routed = Routed(state=effect.state, message=effect.message, evidence=evidence)
                    todo.append((f"r:{head.length}", SYSTEM, routed, ()))
                else:
                    outside.append(effect)
        if entries:
            await self._append(live, entries, conversation, head)
        return outside

    def _time_of(self, live: Live, version: int, body: CommandBody) -> datetime:
        """When the command is given whose first event gets `version`."""
        return self._waits.time_of(live.conversation, body)

    def _code_of(self, conversation: str, version: int, program: Program) -> str:
        """The code that decides it: this release, and the digest of the flow's own code where it is known."""
        return self._codes.get(program.ref.digest, CODE)

    async def _evidence(self, live: Live, effect: Route, version: int) -> RoutingEvidence:
        """What was measured for the decision whose first event gets `version`."""
        return await self.performer.route(live, effect)

    async def _append(self, live: Live, entries: list[Entry], conversation: Conversation, head: Head) -> None:
        owner = await self._owner_after(live, entries, conversation)
        summary = summary_of(conversation, entries[-1].at, live.started_at or entries[0].at, owner)
        append = Append(entries=tuple(entries), expected=live.head.length, summary=summary)
        try:
            if len(self._beside.tasks) == 1:
                # Nothing else runs that could be held up, and a change of threads costs as much as a commit.
                self.store.append(append)
            else:
                await self._beside.durably.result(self.store.enqueue(append))
        except StreamMoved:
            raise
        except LogError:
            self._conversations.forget(live.id)
            raise
        live.owner, before = owner, live.conversation
        live.take(((entry.event, entry.key, entry.at) for entry in entries), head, conversation)
        self._waits.look(conversation)
        self._tell(live.id, entries)
        self._observer.committed(live.program, before, entries)

    async def _owner_after(self, live: Live, entries: list[Entry], after: Conversation) -> str:
        """Effects in hand stay with the processes that perform them, whoever writes meanwhile."""
        own = self._presence.owner
        if live.owner in ("", own) or not (live.conversation.unfinished and after.unfinished):
            return own
        begins = any(isinstance(entry.event, BEGIN) for entry in entries)
        # Whoever took over from a dead process has written no entry that would tell us.
        summary = await asyncio.to_thread(self.store.summary, live.id)
        before = summary.owner if summary else live.owner
        return await asyncio.to_thread(owners_after, before, self._presence, begins=begins)

    def _tell(self, conversation: str, entries: list[Entry]) -> None:
        """A listener that raises is reported; the turn goes on."""
        for entry in entries if self._on_event is not None else ():
            try:
                self._on_event(conversation, entry)  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001 - somebody else's code, after the commit
                log.error("listener_failed", conversation=conversation, error=type(error).__name__)

    async def _perform_all(self, live: Live, effects: list[Effect]) -> None:
        """Perform effects and everything their outcomes ask for, until nothing that is waited for is left.

        One that is not wanted any more, because an operator or a limit moved the conversation, is not begun.
        Several at once run side by side; each outcome is decided as it comes.
        """
        running: dict[Performing, InHand] = {}
        held: set[tuple[str, int]] = set()
        try:
            while effects or running:
                # Before anything is awaited: from their commit on, nobody else may take them for left behind.
                held |= self._beside.hold(live.id, effects)
                if (tending := next((one for one in effects if isinstance(one, TendChild)), None)) is not None:
                    effects.remove(tending)
                    effects += await self._children.tended(live, tending.effect)
                    continue
                begun = [
                    one
                    for one in effects
                    if isinstance(one, CallAgent | RunTool | Wait) and await self._still_wanted(live, one)
                ]
                if len(begun) == 1 and not running and begun[0].effect in live.conversation.pending:
                    body, payloads = await self._performed(live, begun[0])
                    effects = await self._ended(live, begun[0], body, payloads)
                    continue
                running |= {asyncio.create_task(self._performed(live, one)): one for one in begun}
                held -= self._let_go(live, running)
                effects = await self._first_ended(live, running) if running else []
        except BaseException:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            raise
        finally:
            self._beside.effects -= held

    async def _performed(self, live: Live, effect: InHand) -> tuple[CommandBody, tuple[Payload, ...]]:
        if isinstance(effect, Wait):
            return await self._waits.over(live, effect), ()
        async with self._observer.performing(live, effect, self.texts):
            return await self.performer.perform(live, effect)

    async def _first_ended(self, live: Live, running: dict[Performing, InHand]) -> list[Effect]:
        """What those ask for that ended first; a result that a former one made superfluous is recorded as late."""
        done, _ = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        following: list[Effect] = []
        for task in sorted(done, key=lambda one: running[one].effect):
            effect = running.pop(task)
            following += await self._ended(live, effect, *task.result())
        return following

    def _let_go(self, live: Live, running: dict[Performing, InHand]) -> set[tuple[str, int]]:
        """What nobody waits for any more goes on beside the turn; its end is recorded when it comes."""
        gone = {task: effect for task, effect in running.items() if not wanted(live.conversation, effect)}
        for task, effect in gone.items():
            del running[task]
            late = self._beside.task(self._ended_late(live.id, effect, task))
            late.add_done_callback(partial(self._let_be, task, (live.id, effect.effect)))
        return {(live.id, effect.effect) for effect in gone.values()}

    def _let_be(self, task: Performing, place: tuple[str, int], _: object) -> None:
        """Nobody records its end any more: it was recorded, or its recording was cut off or failed."""
        task.cancel()
        self._beside.effects.discard(place)

    async def _ended_late(self, conversation: str, effect: InHand, task: Performing) -> None:
        """Record an end that comes after its time, and do what it asks for: a turn of its own."""
        try:
            body, payloads = await task
            live = await self._conversations.known(conversation)
            async with live.lock:
                await self._perform_all(live, await self._ended(live, effect, body, payloads))
            await self._children.told_above(live)
        except Exception as error:  # noqa: BLE001 - nobody waits for it; what is not recorded is found by recovery
            log.error("late_result_lost", conversation=conversation, effect=effect.effect, error=type(error).__name__)

    async def _still_wanted(self, live: Live, effect: InHand) -> bool:
        """Whether the effect is still in hand; before something consequential, the log is asked."""
        if isinstance(effect, RunTool) and effect.request.consequential:
            head = await asyncio.to_thread(self.store.head, live.id)
            if head.length != live.head.length:
                async with live.writing:
                    await self._conversations.reload(live)
        return wanted(live.conversation, effect) or effect.effect in live.conversation.unfinished

    async def _ended(
        self, live: Live, effect: InHand, body: CommandBody, payloads: tuple[Payload, ...]
    ) -> list[Effect]:
        """Record how an effect ended, once; what that asks for."""
        if isinstance(effect, Wait):
            return await self._once(live, f"w:{effect.effect}", SYSTEM, body, payloads)
        key = f"e:{effect.effect}"
        try:
            following = await self._once(live, key, performer_of(effect), body, payloads)
        except NotEncodable:
            body = too_large(body)
            following = await self._once(live, key, performer_of(effect), body, ())
        if isinstance(effect, CallAgent) and isinstance(body, AgentEnded) and key in live.keys:
            self.performer.recorded(live, effect, live.keys[key], body.report)
        return following

    async def _once(
        self, live: Live, key: str, actor: Actor, body: CommandBody, payloads: tuple[Payload, ...]
    ) -> list[Effect]:
        """Record a command that only follows from what was recorded before, if its key is not there yet."""
        for _ in range(MOST_RACES):
            if key in live.keys:
                return []
            try:
                return await self._commit(live, key, actor, body, payloads)
            except StreamMoved:
                async with live.writing:
                    await self._conversations.reload(live)
        raise never_settled(live.id)

    async def _recovered(self, live: Live) -> list[Undecided]:
        left: list[Undecided] = []
        again: list[Effect] = []
        async with live.lock:
            # What an operator's turn began meanwhile is in hand, though it has not the lock.
            for effect in self._beside.free(live.id, effects_of(live.conversation)):
                if isinstance(effect, RunTool) and not repeatable(live.program, effect):
                    left.append(Undecided(live.id, effect.effect, effect.request.tool))
                elif isinstance(effect, TendChild):
                    again += await self._children.tended(live, effect.effect, news=True)
                else:
                    again.append(effect)
            await self._perform_all(live, self._beside.free(live.id, again))
        await self._children.told_above(live)
        return left
