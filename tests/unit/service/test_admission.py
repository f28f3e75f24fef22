"""The bounded queue: what runs, what waits, what is refused at once, and that a refusal leaves no trace."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock import ScriptedAgent
from interlock.agents.scripted import gives
from interlock.contracts.commands import Actor
from interlock.contracts.errors import Overloaded, SetupError
from interlock.contracts.events import MessageReceived
from interlock.persistence.memory_store import MemoryStore
from interlock.service.admission import Admission, overloaded
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.runtime import check_log, mini, of_type

OPERATOR = Actor(kind="human", id="o-1", roles=("operator",))


class Gate:
    """An agent that answers when the gate is opened, and counts how many wait at once."""

    def __init__(self) -> None:
        self.open, self.inside, self.most = asyncio.Event(), 0, 0
        self.arrived = asyncio.Condition()
        self.agent = ScriptedAgent(self.answer)

    async def answer(self, _: Any) -> Any:
        self.inside += 1
        self.most = max(self.most, self.inside)
        async with self.arrived:
            self.arrived.notify_all()
        await self.open.wait()
        self.inside -= 1
        return gives(reply="Yes.")

    async def holds(self, count: int) -> None:
        async with self.arrived:
            await asyncio.wait_for(self.arrived.wait_for(lambda: self.inside >= count), 5)


async def settled(submitted: list["asyncio.Task[Any]"]) -> tuple[list[Any], list[Overloaded]]:
    """What was done and what was refused."""
    found = await asyncio.gather(*submitted, return_exceptions=True)
    refused = [one for one in found if isinstance(one, Overloaded)]
    assert all(isinstance(one, Overloaded) for one in found if isinstance(one, BaseException)), found
    return [one for one in found if not isinstance(one, BaseException)], refused


async def test_past_the_queue_a_submission_is_refused_at_once_and_nothing_is_lost() -> None:
    """Two run, three wait, the rest are refused while all of them still hang; sent again, they are done."""
    store, program, gate = MemoryStore(), mini(), Gate()
    async with Runtime(store, program, gate.agent, concurrent=2, waiting=3) as runtime:
        talks = [f"talk-{number}" for number in range(9)]
        for talk in talks:
            await runtime.start(conversation=talk)
        submitted = [asyncio.create_task(runtime.say(talk, "help", key="k")) for talk in talks]
        await gate.holds(2)
        refused = [talk for talk, one in zip(talks, submitted, strict=True) if one.done()]
        assert refused == talks[5:], "five were taken, and the others were told before anything went on"
        assert [of_type(store, talk, MessageReceived) for talk in refused] == [[]] * 4
        gate.open.set()
        done, errors = await settled(submitted)
        assert (len(done), len(errors), gate.most) == (5, 4, 2)
        for talk in refused:
            assert (await runtime.say(talk, "help", key="k")).replies[0] == "Yes."
        for talk in talks:
            assert len(of_type(store, talk, MessageReceived)) == 1
    check_log(store, program)


async def test_control_with_room_for_all_none_is_refused() -> None:
    """The same nine with a place for each."""
    store, program, gate = MemoryStore(), mini(), Gate()
    async with Runtime(store, program, gate.agent, concurrent=2, waiting=7) as runtime:
        for number in range(9):
            await runtime.start(conversation=f"talk-{number}")
        gate.open.set()
        done, errors = await settled(
            [asyncio.create_task(runtime.say(f"talk-{number}", "help")) for number in range(9)]
        )
    assert (len(done), len(errors)) == (9, 0)


async def test_a_flooded_conversation_shuts_nobody_else_out() -> None:
    """Its own turns wait for each other, not in the slots; where slots are free another conversation gets in."""
    store, program, gate = MemoryStore(), mini(), Gate()
    async with Runtime(store, program, gate.agent, concurrent=2, waiting=3) as runtime:
        await runtime.start(conversation="flooded")
        await runtime.start(conversation="quiet")
        flood = [asyncio.create_task(runtime.say("flooded", "help")) for _ in range(10)]
        await gate.holds(1)
        quiet = asyncio.create_task(runtime.say("quiet", "help"))
        await gate.holds(2)
        gate.open.set()
        assert (await quiet).replies[0] == "Yes."
        done, errors = await settled(flood)
        assert (len(done), len(errors)) == (4, 6)
    check_log(store, program)


async def test_operators_deadlines_and_recovery_are_never_refused() -> None:
    """With the only slot taken and no place to wait, they act."""
    store, program, gate, clock = MemoryStore(), mini(), Gate(), ManualClock()
    async with Runtime(store, program, gate.agent, clock=clock, concurrent=1, waiting=0) as runtime:
        for talk in ("busy", "killed", "silent"):
            await runtime.start(conversation=talk)
        turn = asyncio.create_task(runtime.say("busy", "help"))
        await gate.holds(1)
        with pytest.raises(Overloaded):
            await runtime.say("killed", "help")
        with pytest.raises(Overloaded):
            await runtime.start(conversation="another")
        assert (await runtime.give("killed", "operator_kill", actor=OPERATOR)).standing == "ended"
        clock.advance(1_800)
        assert await runtime.fire_due() == 1
        assert (await runtime.outcome("silent")).state == "silent"
        assert await runtime.recover() == ()
        assert store.read("another") == ()
        gate.open.set()
        await turn
    check_log(store, program)


async def test_turns_start_in_the_order_they_came() -> None:
    """One slot, five that wait: first come, first served."""
    store, program, served = MemoryStore(), mini(), []

    async def answer(request: Any) -> Any:
        served.append(request.effect.split(":")[0])
        await asyncio.sleep(0)
        return gives(reply="Yes.")

    async with Runtime(store, program, ScriptedAgent(answer), concurrent=1, waiting=9) as runtime:
        talks = [f"talk-{number}" for number in range(5)]
        for talk in talks:
            await runtime.start(conversation=talk)
        await asyncio.gather(*(runtime.say(talk, "help") for talk in talks))
    assert served == talks


def test_the_refusal_says_how_long_to_wait_and_what_to_do() -> None:
    """As text, and as attributes for whoever writes the HTTP answer."""
    refused = overloaded(100, 7)
    assert (refused.waiting, refused.retry_after_seconds, refused.code) == (100, 7, "overloaded")
    assert str(refused) == (
        "The runtime is overloaded: 100 submissions wait; retry after 7 s. Fix: Send the same submission again with "
        "the same key, for nothing of it was recorded; or give the runtime more `concurrent` turns or a longer "
        "`waiting` queue."
    )


@pytest.mark.parametrize(("concurrent", "waiting"), [(0, 1), (1, -1)])
def test_a_runtime_that_could_take_nothing_is_refused(concurrent: int, waiting: int) -> None:
    """At the start, not at the first submission."""
    with pytest.raises(SetupError) as refused:
        Admission(concurrent, waiting)
    assert str(refused.value) == (
        f"A runtime with concurrent={concurrent} and waiting={waiting} could take no turn. "
        "Fix: Give `concurrent` of 1 or more, and `waiting` of 0 or more."
    )


steps = st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60)


@given(concurrent=st.integers(1, 3), most=st.integers(0, 4), steps=steps)
def test_the_queue_agrees_with_a_list_of_what_was_taken(concurrent: int, most: int, steps: Any) -> None:
    """A submission is refused exactly where it would have to wait and as many as may wait do."""
    admission, taken = Admission(concurrent, most), list[str]()

    def waiting(of: list[str]) -> int:
        """At most one of each conversation runs, and at most `concurrent` conversations."""
        return len(of) - min(len(set(of)), concurrent)

    for conversation, leaves in steps:
        if leaves and conversation in taken:
            admission.leave(conversation)
            taken.remove(conversation)
        elif not leaves:
            more = [*taken, conversation]
            if waiting(more) > max(most, waiting(taken)):
                with pytest.raises(Overloaded):
                    admission.enter(conversation)
            else:
                admission.enter(conversation)
                taken = more
        assert admission.waiting == waiting(taken) <= most
        assert admission.retry_after_seconds == 1
