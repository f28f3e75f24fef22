"""Random conversations on the real runtime: what people, agents, tools, operators and the clock do, as chance has it.

`plays()` draws a `Play`; `played(play)` runs it and gives the store with its streams. Anything may go wrong in one but
the log.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from interlock.agents.scripted import Answer, ScriptedAgent, calls, fails, gives
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.commands import Actor
from interlock.contracts.errors import CallError
from interlock.fsm.program import Program, with_children
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.runtime import OPERATOR, Bank, mini
from support.subflows import World, desk

ORIGIN = "log-of-plays"
STREAM = "0b7e4a52-0000-4000-8000-000000000001"
Steps = tuple[tuple[str, Any], ...]
MESSAGES = (
    "help",
    "a question for the expert",
    "pay 12.50",
    "form",
    "Berlin",
    "12.50",
    "yes",
    "no, back",
    "person",
    "once",
    "work",
    "bye",
    "what is it, and help me pay 3.00",
    "\x00 \ud800",
    "",
)
_ANSWERS: dict[str, Callable[[], Answer]] = {
    "done": lambda: gives(reply="Here you are.", city="Rome"),
    "unsure": lambda: gives(outcome="unsure"),
    "refused": lambda: gives(outcome="refused", reply="No."),
    "broken": lambda: "{]",
    "fails": lambda: fails("server_error"),
    "looks up": lambda: calls("look_up", what="it"),
    "pays": lambda: calls("pay", amount=3),
    "not allowed": lambda: calls("erase_everything"),
    "unknown": lambda: calls("no_such_tool"),
}
_TOOLS: dict[str, Any] = {"well": None, "raises": lambda _: _raise(), "odd": {"city": "Oslo", "paid": False}}


def _raise() -> None:
    raise OSError("the tool's own trouble")


@dataclass(frozen=True)
class Play:
    """Which flow, and what happens, in order."""

    flow: str
    steps: Steps
    answers: tuple[str, ...]
    tools: str

    def program(self, bank: Bank | None = None, world: World | None = None) -> Program:
        return mini(bank) if self.flow == "mini" else desk(world)


_steps = st.one_of(
    st.tuples(st.just("say"), st.sampled_from(MESSAGES)),
    st.tuples(st.just("say"), st.sampled_from(MESSAGES)),
    st.tuples(st.just("say"), st.sampled_from(MESSAGES)),
    st.tuples(st.just("later"), st.sampled_from((1, 120, 1_000, 20_000))),
    st.tuples(st.just("decide"), st.sampled_from((0, 1))),
    st.tuples(st.just("operator"), st.sampled_from(("operator_human", "operator_kill"))),
)


def plays(*, most: int = 8) -> st.SearchStrategy[Play]:
    return st.builds(
        Play,
        flow=st.sampled_from(("mini", "desk")),
        steps=st.lists(_steps, min_size=1, max_size=most).map(tuple),
        answers=st.lists(st.sampled_from(sorted(_ANSWERS)), min_size=1, max_size=6).map(tuple),
        tools=st.sampled_from(sorted(_TOOLS)),
    )


async def played(play: Play) -> tuple[MemoryStore, tuple[Program, ...]]:
    """The log of the play, and the programs that its streams ran on."""
    bank = Bank(answer=_TOOLS[play.tools])
    program = play.program(bank)
    store, clock, asked = MemoryStore(origin=ORIGIN), ManualClock(), 0

    async def answer(_: AgentRequest) -> AgentReply:
        nonlocal asked
        asked += 1
        found: Any = _ANSWERS[play.answers[asked % len(play.answers)]]()
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, AgentReply) else AgentReply(text=found)

    async def pause(seconds: float) -> None:
        clock.advance(seconds)

    async with Runtime(
        store, program, ScriptedAgent(answer), clock=clock, presence=OnlyProcess(), pause=pause
    ) as runtime:
        await runtime.start(program.flow.name, conversation=STREAM)
        for number, (kind, what) in enumerate(play.steps):
            clock.advance(1.5)
            await _step(runtime, clock, kind, what, number)
    return store, tuple(with_children([program]))


async def _step(runtime: Runtime, clock: ManualClock, kind: str, what: Any, number: int) -> None:
    if kind == "say":
        await runtime.say(STREAM, what, key=f"m{number}")
    elif kind == "later":
        clock.advance(what)
        await runtime.fire_due()
    elif kind == "operator":
        await runtime.give(STREAM, what, actor=OPERATOR, key=f"o{number}")
    elif (task := (await runtime.outcome(STREAM)).task) is not None:
        actor = Actor(kind="human", id="somebody", roles=(task.role,))
        decision = task.decisions[what % len(task.decisions)]
        try:
            await runtime.decide_task(task.conversation, task.number, decision, actor=actor, reason="so")
        except CallError:
            return
