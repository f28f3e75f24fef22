"""The bank's counter: customers who write, people who decide, a clock that is moved; every log is proved afterwards."""

from collections.abc import AsyncIterator

import pytest

from interlock.contracts.commands import Actor
from interlock.contracts.events import TransitionTaken
from interlock.examples.bank.code import LEDGER
from interlock.fsm.replay import Recorded, redecide
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.verify import verify
from interlock.service.clock import ManualClock
from interlock.service.loading import recorded
from interlock.service.outcome import TurnOutcome
from interlock.service.project import Project, load_project
from interlock.service.runtime import Runtime

BANK: Project = load_project("bank")


class Counter:
    """One conversation with the bank, and the bank's own people behind it."""

    def __init__(self, runtime: Runtime, store: MemoryStore, clock: ManualClock, opening: TurnOutcome) -> None:
        self.runtime, self.store, self.clock, self.outcome = runtime, store, clock, opening
        self.id = opening.conversation

    async def customer(self, *texts: str) -> TurnOutcome:
        """The customer writes these messages; the outcome of the last one."""
        for text in texts:
            self.outcome = await self.runtime.say(self.id, text)
        return self.outcome

    async def colleague(self, decision: str, *, role: str = "") -> TurnOutcome:
        """A person decides the open task, with the role it asks for or another one."""
        task = (await self.runtime.outcome(self.id)).task
        assert task is not None, "no task is open"
        actor = Actor(kind="human", id="colleague", roles=(role or task.role,))
        self.outcome = await self.runtime.decide_task(self.id, task.number, decision, actor=actor)
        return self.outcome

    async def silence(self, minutes: float) -> TurnOutcome:
        """Nobody writes for so long."""
        self.clock.advance(minutes * 60)
        await self.runtime.fire_due()
        self.outcome = await self.runtime.outcome(self.id)
        return self.outcome

    @property
    def entries(self) -> list[Recorded]:
        return recorded(self.store.read(self.id))

    @property
    def clauses(self) -> list[str]:
        """The clauses of the policy that were applied, in order."""
        return [one.event.because for one in self.entries if isinstance(one.event, TransitionTaken)]

    @property
    def path(self) -> list[str]:
        """The states that were entered, in order."""
        return [one.event.target for one in self.entries if isinstance(one.event, TransitionTaken)]

    def of(self, kind: str) -> list[Recorded]:
        return [one for one in self.entries if one.envelope.type == kind]


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    """A new conversation. Afterwards its log must verify, and decide again byte for byte."""
    LEDGER.start_over()
    store, clock = MemoryStore(), ManualClock()
    assert BANK.scripted is not None
    async with Runtime(store, BANK.program, BANK.scripted(), clock=clock) as runtime:
        one = Counter(runtime, store, clock, await runtime.start())
        yield one
    assert verify(store).broken == ()
    assert redecide(BANK.program, one.id, one.entries).divergence is None
