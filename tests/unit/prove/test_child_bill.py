"""The bill of a flow with a child conversation, reached by the worst agents on the real runtime and never passed."""

from collections.abc import Callable
from itertools import count

from unit.prove.test_children import WAITS, child, parent

from interlock.agents.scripted import Answer, ScriptedAgent, calls, gives
from interlock.contracts.events import AgentRequested
from interlock.fsm.prove.proof import proved
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.runtime import events_of
from support.subflows import family_of


def worst() -> Callable[[object], Answer]:
    """Nonsense, then tools that there are not in every round, then an answer, in each visit."""
    at = count()
    visit: tuple[Answer, ...] = ("nonsense", *(calls("nothing"),) * 4, gives(reply="Well."))
    return lambda _: visit[next(at) % len(visit)]


async def test_the_bill_of_a_turn_through_a_child_is_reached_and_not_passed() -> None:
    """The customer answers in the child: its agent works, it ends, and the parent's agent works again."""
    program = parent(child(*WAITS))
    bill = proved(program).bills.turn.most
    store, clock = MemoryStore(), ManualClock()
    agent = ScriptedAgent({"clerk": worst(), "helper": worst()})
    used: list[int] = []
    async with Runtime(store, program, agent, clock=clock, presence=OnlyProcess()) as runtime:
        stream = (await runtime.start("parent")).conversation
        for number in range(4):
            await runtime.say(stream, f"Message {number}.", key=f"m{number}")
            asked = [
                event
                for one in family_of(store, stream)
                for event in events_of(store, one)
                if isinstance(event, AgentRequested)
            ]
            used.append(len(asked) - sum(used))
    assert max(used) == bill.calls == 12
