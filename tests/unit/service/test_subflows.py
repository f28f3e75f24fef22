"""Child conversations in the runtime: what is said, what is decided inside, how they end, and how errors come up."""

import asyncio
from typing import Any

import pytest

from interlock.contracts.events import (
    ConversationEnded,
    ConversationStarted,
    LimitReached,
    MessageReceived,
)
from interlock.contracts.subflow import Failing, Place
from interlock.contracts.subflow_events import ParentLeft, SubflowEnded, SubflowLeft, SubflowReplied, SubflowStarted
from interlock.persistence.memory_store import MemoryStore
from interlock.service.clock import ManualClock
from interlock.service.runtime import Runtime
from support.runtime import CLERK, OPERATOR, of_type, path_of
from support.subflows import World, check_family, child_of, desk, family_of, helper, standing


async def test_a_child_greets_hears_the_customer_and_ends_in_its_parent() -> None:
    """Its replies are the parent's; its final state is the outcome; its facts are taken."""
    store, world = MemoryStore(), World()
    program = desk(world)
    async with Runtime(store, program, helper()) as runtime:
        assert (
            await runtime.start("desk", conversation="talk", facts={"city": "Rome", "amount": 700})
        ).text == "Hello."
        begun = await runtime.say("talk", "hello")
        assert (begun.replies, begun.state, begun.standing) == (("The team asks what to do.",), "working", "waiting")
        helped = await runtime.say("talk", "help me")
        assert helped.replies == ("Helped.", "The team asks what to do.")
        done = await runtime.say("talk", "pay it")
        assert done.replies == ("It was paid.", "The team is done.", "Anything else?")
        assert (done.state, done.standing) == ("more", "waiting")
        known = (await runtime._conversations.known("talk")).conversation.known
        assert known["paid"].value is True
        assert known["paid"].source == "subflow"
    assert world.payments == 1
    assert path_of(store, "talk") == ["message>working", "solved>more"]
    team, worker = family_of(store, "talk")[1:]
    (start,) = of_type(store, team, ConversationStarted)
    assert [fact.name for fact in start.facts] == ["city", "amount"]
    assert start.parent is not None
    assert (start.parent.depth, start.parent.most) == (1, 3)
    (start,) = of_type(store, worker, ConversationStarted)
    assert [(fact.name, fact.value) for fact in start.facts] == [("amount", 700)]
    assert [one.disposition for one in of_type(store, "talk", MessageReceived)] == ["taken", "forwarded", "forwarded"]
    check_family(store, program)


async def test_a_repeated_message_changes_nothing_at_any_level() -> None:
    """The same key gives the same replies, and neither log grows."""
    store, world = MemoryStore(), World()
    program = desk(world)
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello", key="1")
        first = await runtime.say("talk", "pay", key="2")
        lengths = {stream: store.head(stream).length for stream in store.streams()}
        again = await runtime.say("talk", "pay", key="2")
        assert again == first
        assert {stream: store.head(stream).length for stream in store.streams()} == lengths
    assert world.payments == 1
    check_family(store, program)


async def test_a_person_decides_inside_the_child_and_the_parent_hears_of_it() -> None:
    """The task is open in the child; the customer is told through the parent."""
    store, world = MemoryStore(), World()
    program = desk(world)
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        asked = await runtime.say("talk", "a person please", key="ask")
        assert (asked.replies, asked.standing) == (("Somebody looks at it.",), "with_person")
        assert asked.task is not None
        assert asked.task.conversation == child_of(store, "talk")
        meanwhile = await runtime.say("talk", "hurry")
        assert meanwhile.replies == ("Still looking.",)
        decided = await runtime.decide_task(asked.task.conversation, asked.task.number, "approve", actor=CLERK)
        assert (decided.state, decided.standing) == ("solved", "ended")
        assert await standing(runtime, "talk") == ("more", "waiting")
        repeated = await runtime.say("talk", "a person please", key="ask")
        assert repeated.replies == ("Somebody looks at it.",), "what the person's decision led to is no answer to it"
    assert world.payments == 1
    check_family(store, program)


async def test_an_error_three_levels_down_surfaces_at_the_top_named() -> None:
    """The worker's tool fails; each level says where it came from."""
    world = World(answer=lambda: 1 / 0)
    store, program = MemoryStore(), desk(world, unsolved="broken")
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        ended = await runtime.say("talk", "pay")
        assert ended.replies == ("It was not paid.", "The team could not do it.", "We are sorry.")
        assert (ended.state, ended.standing) == ("broken", "ended")
    worker, team, top = (Place(flow=flow, state=state) for flow, state in PATH)
    below = of_type(store, family_of(store, "talk")[2], ConversationEnded)[0]
    assert below.failing == Failing(reason="failed", path=(worker,))
    (heard,) = of_type(store, family_of(store, "talk")[1], SubflowEnded)
    assert heard.report.failing == Failing(reason="failed", path=(worker, team))
    (heard,) = of_type(store, "talk", SubflowEnded)
    assert (heard.report.outcome, heard.report.failing) == (
        "unsolved",
        Failing(reason="failed", path=(worker, team, top)),
    )
    assert of_type(store, "talk", ConversationEnded)[0].failing == heard.report.failing
    check_family(store, program)


PATH = (("worker", "pay"), ("team", "paying"), ("desk", "working"))


async def test_a_deadline_ends_the_subflow_as_failed_and_the_child_where_it_stands() -> None:
    """The parent goes on at once; the child is told, and its end is recorded as late."""
    store, clock, program = MemoryStore(), ManualClock(), desk(unsolved="broken", failed="broken")
    async with Runtime(store, program, helper(), clock=clock) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        clock.advance(601)
        assert await runtime.fire_due() == 1
        assert await standing(runtime, "talk") == ("broken", "ended")
    place = Place(flow="desk", state="working")
    (left,) = of_type(store, "talk", SubflowLeft)
    assert left.failing == Failing(reason="deadline", path=(place,))
    (end,) = of_type(store, "talk", ConversationEnded)
    assert end.failing == left.failing
    child = child_of(store, "talk")
    (below,) = of_type(store, child, ConversationEnded)
    assert below.failing == Failing(reason="parent_left", path=(Place(flow="team", state="asking"),))
    (ended,) = of_type(store, "talk", SubflowEnded)
    assert (ended.late, ended.report.outcome) == (True, "failed")
    assert not store.summaries(undecided=True)
    check_family(store, program)


async def test_a_deadline_inside_the_child_moves_the_parent() -> None:
    """The child expires by itself, which is a failure of its own."""
    store, clock, program = MemoryStore(), ManualClock(), desk(deadline="1h", unsolved="broken")
    async with Runtime(store, program, helper(), clock=clock) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        clock.advance(20 * 60 + 1)
        assert await runtime.fire_due() == 1
        assert await standing(runtime, "talk") == ("broken", "ended")
    (end,) = of_type(store, "talk", ConversationEnded)
    assert end.failing == Failing(
        reason="expired", path=(Place(flow="team", state="asking"), Place(flow="desk", state="working"))
    )
    check_family(store, program)


@pytest.mark.parametrize(("name", "state"), [("operator_kill", "stopped"), ("operator_human", "clerk")])
async def test_an_operator_of_the_parent_ends_every_child_below(name: str, state: str) -> None:
    """Two levels below, while the worker is at its tool: its result comes too late and changes nothing."""
    paying, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def pay() -> Any:
        loop.call_soon_threadsafe(paying.set)
        asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result()
        return {"paid": True}

    store, program = MemoryStore(), desk(World(answer=pay))
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        turn = asyncio.create_task(runtime.say("talk", "pay"))
        await paying.wait()
        outcome = await runtime.give("talk", name, actor=OPERATOR)
        assert outcome.state == state
        go_on.set()
        await turn
    team, worker = family_of(store, "talk")[1:]
    for child in (team, worker):
        assert of_type(store, child, ParentLeft)
    assert of_type(store, "talk", SubflowLeft)[0].failing.reason == name
    assert path_of(store, "talk") == ["message>working", f"{name}>{state}"]
    assert not store.summaries(undecided=True)
    check_family(store, program)


async def test_an_operator_of_the_child_ends_it_by_its_own_row() -> None:
    """It is a conversation like any other: the parent hears the end."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        await runtime.give(child_of(store, "talk"), "operator_kill", actor=OPERATOR)
        assert await standing(runtime, "talk") == ("clerk", "with_person")
    (ended,) = of_type(store, "talk", SubflowEnded)
    assert ended.report.failing is not None
    assert ended.report.failing.reason == "operator_kill"
    check_family(store, program)


async def test_subflows_stop_at_the_declared_depth() -> None:
    """A flow pinned inside others is never begun past the limit of the flow at the top."""
    store, program = MemoryStore(), desk(limits="{subflow_depth: 2}")
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        done = await runtime.say("talk", "pay")
        assert done.state == "more"
    assert [one.depth for stream in store.streams() for one in of_type(store, stream, SubflowStarted)] in (
        [1, 2],
        [2, 1],
    )
    assert not any(of_type(store, stream, LimitReached) for stream in store.streams())
    check_family(store, program)


async def test_a_second_child_is_another_conversation() -> None:
    """The same state begins a new child each time, with the facts known by then."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        for _ in range(2):
            await runtime.say("talk", "hello")
            await runtime.say("talk", "bye")
        assert await standing(runtime, "talk") == ("more", "waiting")
    assert child_of(store, "talk", 0) != child_of(store, "talk", 1)
    assert len(of_type(store, "talk", SubflowReplied)) == 4
    check_family(store, program)


async def test_messages_that_come_while_the_child_works_are_told_to_it_in_their_order() -> None:
    """Ten at once: each is recorded, forwarded and answered."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        outcomes = await asyncio.gather(*(runtime.say("talk", f"help {number}") for number in range(10)))
        assert all(outcome.replies == ("Helped.", "The team asks what to do.") for outcome in outcomes)
    child = child_of(store, "talk")
    assert len(of_type(store, child, MessageReceived)) == 10
    check_family(store, program)


async def test_two_processes_on_one_log_move_parent_and_child() -> None:
    """The person's decision comes in one process, the customer's messages in another."""
    store, world = MemoryStore(), World()
    program = desk(world)
    async with Runtime(store, program, helper()) as here, Runtime(store, program, helper()) as there:
        await here.start("desk", conversation="talk")
        await here.say("talk", "hello")
        asked = await there.say("talk", "person")
        assert asked.task is not None
        await asyncio.gather(
            here.decide_task(asked.task.conversation, asked.task.number, "approve", actor=CLERK),
            there.say("talk", "hurry"),
        )
        assert (await here.outcome("talk")).state == (await there.outcome("talk")).state
    assert world.payments == 1
    check_family(store, program)


class Deaf:
    """The children of a runtime that never tells a parent: as if it died each time before it could."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def told_above(self, child: Any) -> None:
        return None


async def test_a_message_that_came_too_late_for_the_child_is_taken_by_the_parent() -> None:
    """The child ended while the message was on its way: a conversation that is over does not answer it."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as here, Runtime(store, program, helper()) as dying:
        await here.start("desk", conversation="talk")
        await here.say("talk", "hello")
        dying._children = Deaf(dying._children)  # type: ignore[assignment]
        assert (await dying.say(child_of(store, "talk"), "bye")).standing == "ended"
        outcome = await here.say("talk", "and another thing")
        assert outcome.replies == ("The team is done.", "Anything else?", "The team asks what to do.")
    assert path_of(store, "talk") == ["message>working", "solved>more", "message>working"]
    assert of_type(store, "talk", SubflowEnded)[0].report.upto == 0
    check_family(store, program)


async def test_what_a_dead_process_did_not_tell_is_told_by_recovery() -> None:
    """The child was moved, and its parent never heard of it."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as dying:
        await dying.start("desk", conversation="talk")
        await dying.say("talk", "hello")
        dying._children = Deaf(dying._children)  # type: ignore[assignment]
        await dying.say(child_of(store, "talk"), "bye")
    assert path_of(store, "talk") == ["message>working"]
    async with Runtime(store, program, helper()) as runtime:
        assert await runtime.recover() == ()
        assert await standing(runtime, "talk") == ("more", "waiting")
    check_family(store, program)


async def test_recovery_leaves_a_child_alone_that_only_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand open children cost a look at the log's heads, not a write each; what is new is brought back."""
    store, program = MemoryStore(), desk()
    claims: list[str] = []
    claim = store.claim

    def counted(stream: str, owner: str, previous: str) -> bool:
        claims.append(stream)
        return claim(stream, owner, previous)

    monkeypatch.setattr(store, "claim", counted)
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        assert await runtime.recover() == ()
        assert claims == []
        async with Runtime(store, program, helper()) as dying:
            dying._children = Deaf(dying._children)  # type: ignore[assignment]
            await dying.say(child_of(store, "talk"), "bye")
        await runtime.recover()
        assert claims == ["talk"]
        assert await standing(runtime, "talk") == ("more", "waiting")
    check_family(store, program)


async def test_a_child_whose_flow_is_not_loaded_fails() -> None:
    """The parent goes on by its row, and says why."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as runtime:
        del runtime._conversations.programs[program.children["team"].ref.digest]
        await runtime.start("desk", conversation="talk")
        outcome = await runtime.say("talk", "hello")
        assert (outcome.state, outcome.standing) == ("clerk", "with_person")
    (ended,) = of_type(store, "talk", SubflowEnded)
    assert ended.report.outcome == "failed"
    assert ended.report.failing == Failing(reason="not_loaded", path=(Place(flow="desk", state="working"),))


async def test_a_parent_that_is_not_loaded_hears_of_it_from_a_process_that_has_it() -> None:
    """A clerk's process may know the team's flow alone."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        asked = await runtime.say("talk", "hello")
        asked = await runtime.say("talk", "a person")
        assert asked.task is not None
        async with Runtime(store, program.children["team"], helper()) as clerks:
            decided = await clerks.decide_task(asked.task.conversation, asked.task.number, "approve", actor=CLERK)
            assert decided.standing == "ended"
        assert path_of(store, "talk") == ["message>working"]
        await runtime.recover()
        assert await standing(runtime, "talk") == ("more", "waiting")
    check_family(store, program)


async def test_what_is_sealed_goes_down_and_comes_back_as_a_text() -> None:
    """The text is copied under its own commitment, and stands in each log as its own payload."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk", facts={"city": "Rome"})
        await runtime.say("talk", "hello")
    child = child_of(store, "talk")
    texts = {place.name: payload.text for place, payload in store.payloads(child).items()}
    assert texts == {"fact_city": "Rome"}
    assert {one.subject for one in store.summaries()} == {store.summaries()[0].subject}
    check_family(store, program)


async def test_a_parent_keeps_no_message_that_its_child_has_come_to() -> None:
    """A long talk does not fill the memory: what was answered is not kept for giving it again, and nothing is lost."""
    store, program = MemoryStore(), desk()
    async with Runtime(store, program, helper()) as runtime:
        await runtime.start("desk", conversation="talk")
        await runtime.say("talk", "hello")
        for number in range(6):
            await runtime.say("talk", f"help {number}")
            (child,) = (await runtime._conversations.known("talk")).conversation.children.values()
            assert child.forwarded == ()
        await asyncio.gather(*(runtime.say("talk", f"help {number}") for number in range(6)))
        (child,) = (await runtime._conversations.known("talk")).conversation.children.values()
        assert child.forwarded == ()
    taken = [version for one in of_type(store, "talk", SubflowReplied) for version in one.taken]
    forwarded = [entry.version for entry in store.read("talk") if b'"disposition":"forwarded"' in entry.data]
    assert taken == forwarded
    check_family(store, program)
