"""Trajectories through a flow: recorded replies and results make a log, and the log makes itself again."""

from collections import Counter
from contextlib import suppress

import pytest

from interlock.contracts.commands import AgentEnded, AgentReport
from interlock.contracts.events import AgentReturned, TransitionTaken
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.verify import verify
from interlock.service.loading import recorded
from interlock.service.recorded import rerun
from support.backtests import stored_through
from support.patterns import Died, DyingStore
from support.runtime import of_type
from support.trajectories import RecordedWorld, led, trajectories

FILES = {
    "tau_airline/gpt-4o_tasks00-24.json": 20,
    "tau2_retail/gpt-4.1_40tasks.json": 13,
    "tau2_telecom/gpt-4.1_first3.json": 3,
}


async def logged(name: str, number: int) -> tuple[RecordedWorld, MemoryStore]:
    """Every so-manieth trajectory, so that `number` of the file are led."""
    every = trajectories(name)
    world = RecordedWorld(every[:: max(1, len(every) // number)])
    store = MemoryStore()
    await led(world, store, world.program(), world.said)
    return world, store


@pytest.mark.parametrize("name", FILES)
async def test_a_trajectory_leads_through_a_flow_and_its_log_runs_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reply answers one model call, each result one tool call; twice again, byte for byte, with no live call."""
    world, store = await logged(name, FILES[name])
    program = world.program()
    left = Counter({stream: len(one.replies) for stream, one in world.recordings.items() if one.replies})
    ran = sum(len(of_type(store, stream, AgentReturned)) for stream in store.streams())
    print(
        f"{name}: {len(store.streams())} trajectories, {ran} calls answered, {sum(left.values())} replies not asked for"
    )
    assert not left
    assert verify(store).ok

    def never(*_: object) -> None:
        raise AssertionError("a live call")

    monkeypatch.setattr("interlock.service.perform.Performer.call_agent", never)
    monkeypatch.setattr("interlock.service.perform.Performer.run_tool", never)
    source = store
    for _ in range(2):
        target = MemoryStore(origin=store.log)
        again = await rerun(source, target, [program])
        assert again.same
        assert [row.data for one in store.streams() for row in store.read(one)] == [
            row.data for one in target.streams() for row in target.read(one)
        ]
        source = target
    for stream in store.streams():
        assert stored_through(program, program.flow, store, stream, texts=False).different == ()


async def test_cut_after_any_commit_and_resumed_it_is_the_same_log() -> None:
    """One trajectory, cut at every place where a process can die."""
    world, store = await logged("tau2_retail/gpt-4.1_40tasks.json", 40)
    program = world.program()
    stream = min(store.streams(), key=lambda one: abs(store.head(one).length - 80))
    entries = [row.data for row in store.read(stream)]
    cut = 0
    while True:
        kept = MemoryStore(origin=store.log)
        with suppress(Died):
            await rerun(store, DyingStore(kept, cut), [program], streams=[stream])
        whole = kept.head(stream).length == len(entries)
        again = await rerun(store, kept, [program], streams=[stream])
        assert again.same, cut
        assert [row.data for row in kept.read(stream)] == entries
        if whole:
            break
        cut += 1
    assert cut > 10


async def test_one_changed_reply_is_the_first_difference() -> None:
    """Whichever reply it is, by the version of its event."""
    world, store = await logged("tau_airline/gpt-4o_tasks00-24.json", 3)
    program = world.program()
    for stream in store.streams():
        events = [one.event for one in recorded(store.read(stream))]
        replies = [at for at, event in enumerate(events) if isinstance(event, AgentReturned)]
        for at in (replies[0], replies[len(replies) // 2], replies[-1]):
            event = events[at]
            assert isinstance(event, AgentReturned)
            other = AgentEnded(effect=event.effect, report=AgentReport(outcome="unsure"))
            again = await rerun(
                store, MemoryStore(origin=store.log), [program], streams=[stream], changed={(stream, at): (other, ())}
            )
            (difference,) = again.differences
            assert difference.version == at
            assert '"outcome":"unsure"' in difference.decided
        assert of_type(store, stream, TransitionTaken)
