"""The example patterns on a runtime: who says what, who is in trouble, and what must hold of the log afterwards."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from interlock.agents.scripted import Answer, Script, ScriptedAgent
from interlock.contracts.agents import Agent, AgentReply, AgentRequest
from interlock.contracts.commands import Actor
from interlock.contracts.events import Event
from interlock.contracts.store import Append, Store
from interlock.examples import patterns
from interlock.fsm.program import Program
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.clock import ManualClock
from interlock.service.outcome import TurnOutcome
from interlock.service.project import Project, load_project
from interlock.service.runtime import Runtime
from support.runtime import check_log, events_of, of_type, path_of

FOLDER = Path(patterns.__file__).parent
NAMES = sorted(file.stem for file in FOLDER.glob("*.yaml") if (FOLDER / f"{file.stem}.py").is_file())


def project(name: str) -> Project:
    return load_project(f"patterns/{name}")


def conversation_of(name: str) -> tuple[str, ...]:
    """What the customer writes in the pattern's example."""
    said: tuple[str, ...] = import_module(f"interlock.examples.patterns.{name}").CONVERSATION
    return said


class Pauses:
    """Waits by moving the clock; `asked` are the seconds of each."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock, self.asked = clock, list[float]()

    async def __call__(self, seconds: float) -> None:
        self.asked.append(seconds)
        self.clock.advance(seconds)


@dataclass
class Play:
    """One conversation on a pattern."""

    runtime: Runtime
    store: Store
    clock: ManualClock
    program: Program
    agent: Any
    outcome: TurnOutcome
    said: int = 0
    pause: Any = None
    """How the runtime waits between attempts."""

    @property
    def id(self) -> str:
        return self.outcome.conversation

    async def say(self, *texts: str) -> TurnOutcome:
        for text in texts:
            self.outcome = await self.runtime.say(self.id, text, key=f"m{self.said}")
            self.said += 1
        return self.outcome

    async def decide(self, decision: str, *, who: str = "colleague", **more: Any) -> TurnOutcome:
        """A person with the right role decides the open task, as it was shown."""
        task = (await self.runtime.outcome(self.id)).task
        assert task is not None, "no task is open"
        if task.approves is not None:
            more.setdefault("shown", task.shown)
        actor = Actor(kind="human", id=who, roles=(task.role,))
        self.outcome = await self.runtime.decide_task(self.id, task.number, decision, actor=actor, **more)
        return self.outcome

    async def later(self, seconds: float) -> TurnOutcome:
        """Time passes, and what is due is done."""
        self.clock.advance(seconds)
        await self.runtime.fire_due()
        self.outcome = await self.runtime.outcome(self.id)
        return self.outcome

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for what goes on beside the turns, until it shows in the log and nobody works any more."""
        while not holds() or (await self.runtime.outcome(self.id)).standing == "working":  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    @property
    def events(self) -> list[Event]:
        return events_of(self.store, self.id)

    def of(self, kind: type[Any]) -> list[Any]:
        return of_type(self.store, self.id, kind)

    @property
    def path(self) -> list[str]:
        return path_of(self.store, self.id)


def programs_of(program: Program) -> list[Program]:
    """The program and those of its subflows, at any depth."""
    return [program, *(one for child in getattr(program, "children", {}).values() for one in programs_of(child))]


@asynccontextmanager
async def playing(
    name: str | Project,
    script: Agent | Mapping[str, Answer | Script] | None = None,
    *,
    store: Store | None = None,
    facts: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Play]:
    """The pattern with its own script, where `script` does not give an agent another one. The log is proved
    at the end, whatever happened."""
    found = project(name) if isinstance(name, str) else name
    agent = script if script is not None and not isinstance(script, Mapping) else scripted(found, script or {})
    clock, store = ManualClock(), store or MemoryStore()
    settings.setdefault("pause", Pauses(clock))
    async with Runtime(store, found.program, agent, clock=clock, presence=OnlyProcess(), **settings) as runtime:
        opening = await runtime.start(found.program.flow.name, facts=facts)
        yield Play(runtime, store, clock, found.program, agent, opening, pause=settings["pause"])
    check_log(store, programs_of(found.program))


def scripted(found: Project, others: Mapping[str, Answer | Script]) -> ScriptedAgent:
    """The project's own script, with other answers for some agents."""
    assert found.scripted is not None
    own: Any = found.scripted()

    async def answer(request: AgentRequest) -> AgentReply:
        reply: AgentReply = await (different if request.agent in others else own).run(request)
        return reply

    different = ScriptedAgent(others)
    return ScriptedAgent(answer)


class Died(Exception):
    """The process is gone: nothing is written from here on."""


@dataclass
class DyingStore:
    """A store whose process dies after so many appends. What was acknowledged before is there."""

    store: Any
    appends: int
    done: int = field(default=0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    def enqueue(self, append: Append) -> Any:
        if self.done >= self.appends:
            raise Died
        self.done += 1
        return self.store.enqueue(append)

    def append(self, append: Append) -> int:
        length: int = self.enqueue(append).result()
        return length
