"""Random stories of parents and children, with crashes wherever they fall: what the logs say of one another agrees."""

import asyncio
from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from interlock.contracts.commands import Actor
from interlock.contracts.events import MessageReceived
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.patterns import Died, DyingStore
from support.runtime import of_type
from support.subflows import World, check_family, desk, family_of, helper

ANYBODY = Actor(kind="human", id="anybody", roles=("clerk", "operator"))
NOT_SAID = ("decide", "later", "much later", "stop")
ACTS = ("hello", "help me", "unsure", "pay", "a person", "bye", "nonsense", *NOT_SAID)
acts = st.lists(st.sampled_from(ACTS), max_size=8)


async def act(runtime: Runtime, clock: ManualClock, what: str, key: str) -> None:
    """One thing that somebody does, wherever the conversation stands."""
    if what in ("later", "much later"):
        clock.advance(700 if what == "later" else 8_000)
        await runtime.fire_due()
    elif what == "stop":
        await runtime.give("talk", "operator_human", actor=ANYBODY, key=key)
    elif what == "decide":
        task = (await runtime.outcome("talk")).task
        if task is not None:
            # Told again after a crash, the story may find another task: a decision's key is the task's.
            await runtime.decide_task(
                task.conversation, task.number, task.decisions[0], actor=ANYBODY, key=f"d{task.number}"
            )
    else:
        await runtime.say("talk", what, key=key)


async def lived(story: list[str], crashes: list[int], world: World) -> MemoryStore:
    """The story, by processes that die after so many commits each; the last one finishes it."""
    store, clock, program = MemoryStore(), ManualClock(), desk(world, deadline="20m")
    for commits in (*crashes, 10_000):
        with suppress(Died):
            dying = DyingStore(store, commits)
            async with Runtime(dying, program, helper(), clock=clock, presence=OnlyProcess()) as runtime:
                assert await runtime.recover() == ()
                await runtime.start("desk", conversation="talk", key="start")
                for number, what in enumerate(story):
                    await act(runtime, clock, what, f"a{number}")
    return store


@given(acts, st.lists(st.integers(0, 12), max_size=2))
def test_whatever_happens_parents_and_children_agree(story: list[str], crashes: list[int]) -> None:
    """Every log verifies and is decided again byte for byte; no reply, message or end is lost or doubled; what was
    paid was paid once for each time that a worker was at it."""
    world = World()
    store = asyncio.run(lived(story, crashes, world))
    check_family(store, desk(world, deadline="20m"))
    keys = [entry.key for entry in store.read("talk")]
    said = [
        f"c:a{number}" for number, what in enumerate(story) if what not in ("decide", "later", "much later", "stop")
    ]
    assert [key for key in said if key not in keys] == []
    assert len(of_type(store, "talk", MessageReceived)) == len(said)
    assert set(store.streams()) == set(family_of(store, "talk")), "a child that no parent began"
    assert not store.summaries(status="ended", undecided=True)
