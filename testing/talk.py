"""A conversation on the real runtime that moves one act at a time: everything else in this package drives one.

```python
talk = Talk(load_project("bank").program)
talk.do(Writes("I lost my card"))
```

Between two acts nothing runs: models and tools that were asked wait for their answer, and the clock stands still.
"""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from ..contracts.commands import CUSTOMER, SYSTEM, Actor
from ..contracts.envelope import Entry
from ..contracts.errors import CallError, InterlockError
from ..contracts.events import Event
from ..contracts.flow import OPERATOR_INPUTS
from ..contracts.store import Store
from ..contracts.values import listed, written_time
from ..fsm.conversation import Conversation
from ..fsm.decide import effects_of
from ..fsm.draft import RunTool
from ..fsm.evolve import evolve
from ..fsm.program import Program, with_children
from ..fsm.replay import Recorded
from ..persistence.memory_store import MemoryStore
from ..service.acts import Act, AgentAnswers, Crashes, Decides, Gives, Passes, Resolves, ToolAnswers, Writes
from ..service.loading import loaded, recorded
from ..service.migrating import moved
from ..service.outcome import Task, TurnOutcome
from ..service.perform import repeatable
from ..service.runtime import Runtime
from ..service.texts import Texts
from .lifeline import Died, Lifeline
from .outside import Outside
from .virtual import START, VirtualClock, VirtualLoop

OPERATOR = Actor(kind="human", id="operator", roles=("operator",))
CONVERSATION = "00000000-0000-4000-8000-000000000001"
"""The id of a conversation whose test does not say one."""
MOST_DEADLINES = 200
"""That pass within one act, before the conversation is taken for one that never rests."""


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that was said in the conversation."""

    who: str
    """`customer` or `we`."""
    text: str


class Talk:
    """One conversation, its child conversations, and everything around them."""

    def __init__(
        self,
        program: Program,
        outside: Outside | None = None,
        *,
        facts: Mapping[str, Any] | None = None,
        store: Store | None = None,
        starts: datetime = START,
        conversation: str = CONVERSATION,
        tenant: str | None = None,
        source: str = "",
        actor: Actor = CUSTOMER,
        others: Iterable[Program] = (),
    ) -> None:
        self.real, self.outside = program, outside or Outside()
        self.program = self.outside.around(program)
        self._programs = (self.program, *(self.outside.around(one) for one in others))
        self._sources = {one.ref.digest: source for one in with_children([program])}
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop, starts)
        self.store: Any = store or MemoryStore(origin="test")
        self.id = conversation
        self.acts: list[Act] = []
        self.facts, self.tenant = dict(facts or {}), tenant
        self._running: list[tuple[asyncio.Task[Any], Callable[[], Awaitable[Any]] | None]] = []
        """What goes on, with how to send it again where the process dies of it."""
        self.refused: list[InterlockError] = []
        """What the runtime refused of what was done, in order."""
        self.keys: list[str] = []
        """Of every message that was sent, in order."""
        self._folds: dict[str, Conversation] = {}
        self._life: Lifeline
        self._runtime: Runtime
        self.crashes = self.resolved_again = 0
        self.happened: defaultdict[str, list[Event]] = defaultdict(list)
        """Every event of each stream that was recorded while this talk went on."""
        self.times: defaultdict[str, list[datetime]] = defaultdict(list)
        """When each of them was recorded."""
        self.recorded_keys: Counter[tuple[str, str]] = Counter()
        """How often each command's key stands in each stream."""
        self._died = False
        self._unanswered: list[Callable[[], Awaitable[Any]]] = []
        """What the process died of: it is sent again to the next one."""
        self._begin()
        self._submit(
            lambda: self._runtime.start(
                program.ref.name, conversation=self.id, facts=facts, tenant=tenant, key="start", actor=actor
            )
        )

    # -- acts ---------------------------------------------------------------------------------------

    def do(self, act: Act) -> tuple[Event, ...]:
        """Do it, and let everything run that follows; returns the conversation's new events.

        Raises `CallError` for what cannot be done now: nobody was asked, no task is open, nothing is due.
        """
        before = len(self.happened[self.id])
        match act:
            case Writes():
                self.outside.said_of(act)
                self.keys.append(f"m{len(self.keys)}")
                key, who = self.keys[-1], Actor(kind="human", id=act.who)
                self._submit(lambda: self._runtime.say(self.id, act.text, key=key, actor=who))
            case AgentAnswers() | ToolAnswers():
                self.outside.answer(act)
                self._settle()
            case Decides():
                self._decide(act)
            case Gives():
                actor = OPERATOR if act.name in OPERATOR_INPUTS else SYSTEM
                key = f"g{len(self.acts)}"
                self._submit(lambda: self._runtime.give(self.id, act.name, act.facts, key=key, actor=actor))
            case Passes():
                self._pass(act.seconds)
            case Crashes():
                self._crash(act.after)
            case Resolves():
                self._resolve(act.how)
        self._outlive()
        self.acts.append(act)
        return tuple(self.happened[self.id][before:])

    def _outlive(self) -> None:
        """Where the process died of the act: another one recovers."""
        if self._died:
            self._restart()

    def play(self, acts: Iterable[Act]) -> "Talk":
        for act in acts:
            self.do(act)
        return self

    def _decide(self, act: Decides) -> None:
        task = self.task
        if task is None:
            raise CallError(
                f"No task is open, so {act.decision!r} cannot be decided.",
                where=f"state {self.state!r}",
                fix="Look at where the conversation stands: the failure shows it.",
            )
        roles = (task.role,) if act.roles is None else act.roles
        person = Actor(kind="human", id=act.who, roles=roles)
        shown = task.shown if task.approves is not None else None
        key = f"d{len(self.acts)}"
        self._submit(
            lambda: self._runtime.decide_task(
                task.conversation or self.id,
                task.number,
                act.decision,
                actor=person,
                reason=act.reason,
                shown=shown,
                key=key,
            )
        )

    def _resolve(self, how: str) -> None:
        left = self.left_undecided
        if not left:
            raise CallError("No effect is left undecided.", fix="Resolve only what a crash has left.")
        stream, effect = left[0]
        self.resolved_again += how == "again"
        self._submit(lambda: self._runtime.resolve(stream, effect, how, actor=OPERATOR))

    def _pass(self, seconds: float | None) -> None:
        """To the moment that is asked for, by every deadline on the way."""
        due = self.store.next_due()
        if seconds is None:
            if due is None:
                raise CallError("Nothing is due: no deadline runs.", fix="Say how many seconds pass.")
            until = datetime.fromisoformat(due)
        else:
            until = self.clock.now() + timedelta(seconds=seconds)
        for _ in range(MOST_DEADLINES):
            due = self.store.next_due()
            if due is None or due > written_time(max(until, self.clock.now())):
                break
            self._wait(datetime.fromisoformat(due))
            self._submit(self._runtime.fire_due)
        self._wait(until)

    def _wait(self, until: datetime) -> None:
        self._settle(max((until - self.clock.now()).total_seconds(), 0))

    def _crash(self, after: int) -> None:
        if after:
            self._life.writes = after - 1
            return
        self._life.writes = 0
        self._restart()

    def move_to(self, program: Program, renamed: Mapping[str, str] | None = None) -> tuple[str, ...]:
        """Move the conversation to another version of its flow, as `interlock migrate` does between two processes.

        Returns what speaks against it: nothing where it moved.
        """
        self._programs = (self.outside.around(program), *self._programs)
        (made,) = moved(self.store, [self.id], program, renamed or {}, at=self.clock.now(), source="")
        for entry in made.entries if made.possible else ():
            self._recorded(self.id, entry)
        self._restart()
        return made.obstacles

    # -- running ------------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._life = Lifeline(self.store)
        self._runtime = Runtime(
            self._life, self._programs, self.outside, clock=self.clock, on_event=self._recorded, sources=self._sources
        )
        self.loop.run(self._runtime.__aenter__())

    def _recorded(self, stream: str, entry: Entry) -> None:
        self.happened[stream].append(entry.event)
        if entry.key is not None:
            self.recorded_keys[stream, entry.key] += 1
        self.times[stream].append(self.clock.now())
        self._folds[stream] = evolve(self.conversation(stream), entry.event)

    def _restart(self) -> None:
        """Another process takes over; whoever got no answer sends again what they sent, under the same key."""
        again = [*self._unanswered, *(call for _, call in self._running if call is not None)]
        for task, _ in self._running:
            task.cancel()
        self._running.clear()
        self._unanswered.clear()
        self._died = False
        self._runtime._presence.close()  # as the system lets a dead process's lock go
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.outside.waiting.clear()
        self.outside.in_hand.clear()
        self.loop.settle()
        self.crashes += 1
        self._begin()
        self._running.append((self.loop.create_task(self._runtime.recover()), None))
        self._settle()
        for call in again:
            self._submit(call)

    def _submit(self, call: Callable[[], Awaitable[Any]]) -> None:
        """Do it; where the process dies of it, another one recovers, and it is sent again."""
        self._running.append((self.loop.create_task(call()), call))  # type: ignore[arg-type]
        self._settle()

    def _settle(self, seconds: float = 0) -> None:
        self.loop.settle(seconds)
        left = []
        for task, call in self._running:
            if not task.done():
                left.append((task, call))
            elif not task.cancelled() and (error := task.exception()) is not None:
                self._failed(error, call)
        self._running = left

    def _failed(self, error: BaseException, call: Callable[[], Awaitable[Any]] | None) -> None:
        if isinstance(error, Died):
            self._died = True
            self._unanswered += [call] if call is not None else []
        elif isinstance(error, InterlockError):
            self.refused.append(error)
        else:
            raise error

    # -- what is there ------------------------------------------------------------------------------

    @property
    def outcome(self) -> TurnOutcome:
        """Where the conversation stands."""
        return self.loop.run(self._runtime.outcome(self.id))

    @property
    def at_rest(self) -> bool:
        """Whether everything that was sent has been answered."""
        return not self._running

    @property
    def task(self) -> Task | None:
        """The open task, here or in the child conversation that has the customer."""
        return self.outcome.task

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(self.happened[self.id])

    def entries(self, stream: str = "") -> Sequence[Recorded]:
        return recorded(self.store.read(stream or self.id))

    def conversation(self, stream: str = "") -> Conversation:
        """The fold of a stream, by default of the conversation itself."""
        stream = stream or self.id
        return self._folds.get(stream) or Conversation(id=stream)

    @property
    def streams(self) -> tuple[str, ...]:
        """The conversation and its children, at any depth."""
        return tuple(self.happened)

    @property
    def state(self) -> str:
        return self.conversation().state

    @property
    def ended(self) -> bool:
        return self.conversation().status == "ended"

    @property
    def programs(self) -> dict[str, Program]:
        """Every program that is here, by its flow's digest: a conversation that was moved ran on more than one."""
        return {one.ref.digest: one for one in with_children(self._programs)}

    def program_of(self, stream: str) -> Program:
        """The program that a stream is pinned to."""
        flow, known = self.conversation(stream).flow, self.programs
        if flow is None or flow.digest not in known:
            raise CallError(f"The flow of {stream!r} is not here; here are {listed(sorted(known))}.")
        return known[flow.digest]

    @property
    def left_undecided(self) -> tuple[tuple[str, int], ...]:
        """Effects that nobody performs and that are never repeated by themselves: a person says what became of them."""
        performed = {one.effect for one in self.outside.waiting}
        found = []
        for stream in self.streams:
            fold = self.conversation(stream)
            if not fold.undecided:
                continue
            program = self.program_of(stream)
            for effect in effects_of(fold):
                if not isinstance(effect, RunTool) or repeatable(program, effect):
                    continue
                if f"{stream}:{effect.effect}" not in performed:
                    found.append((stream, effect.effect))
        return tuple(found)

    def lines(self, stream: str = "") -> tuple[Line, ...]:
        """Everything that was said, in order."""
        stream = stream or self.id
        live = loaded(stream, self.store.read(stream), lambda _: self.program_of(stream))
        texts = Texts(self.store)

        async def read() -> list[Line]:
            return [Line("we" if one.ours else "customer", await texts.line(live, one)) for one in live.lines]

        return tuple(self.loop.run(read()))

    def fact_words(self) -> dict[str, Any]:
        """The facts that are known: open ones as they are, sealed ones as text."""
        conversation, texts = self.conversation(), Texts(self.store)

        async def read() -> dict[str, Any]:
            found: dict[str, Any] = {}
            for name, fact in sorted(conversation.known.items()):
                at = fact.sealed
                found[name] = fact.value if at is None else await texts.text(self.id, at.version, at.name)
            return found

        return self.loop.run(read())

    def close(self) -> None:
        """Let go of everything; the store stays as it is. Safe to call twice."""
        if not self.loop.is_closed():
            self._life.writes = 0
            self.outside.waiting.clear()
            self.loop.end()

    def __enter__(self) -> "Talk":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
