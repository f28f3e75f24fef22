"""Forks: the beginning is the parent's, the rest is decided anew, and the parent never changes."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlock.agents.scripted import ScriptedAgent, gives
from interlock.contracts.errors import CallError
from interlock.contracts.events import (
    AgentRequested,
    AgentReturned,
    ConversationStarted,
    MessageReceived,
    ToolRequested,
    ToolReturned,
)
from interlock.contracts.subflow_events import SubflowStarted
from interlock.fsm.evolve import fold
from interlock.fsm.program import Program, with_children
from interlock.fsm.replay import redecide
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.presence import OnlyProcess
from interlock.service.auditing import audited, fork_broken
from interlock.service.comparing import compared
from interlock.service.fork_points import NOTHING, Change, forkable
from interlock.service.forking import Forked, Wiring, forked
from interlock.service.loading import recorded
from interlock.service.runtime import Runtime
from support.plays import STREAM, Play, played, plays
from support.runtime import Bank, mini


def top(programs: Sequence[Program]) -> Program:
    below = {one.ref.digest for program in programs for one in list(with_children([program]))[1:]}
    return next(one for one in programs if one.ref.digest not in below)


async def fork(store: MemoryStore, program: Program, at: int, change: Change = NOTHING, **more: object) -> Forked:
    alone = bool(more.pop("alone", False))
    return await asyncio.wait_for(
        forked(store, STREAM, at, Wiring([program], **more), change=change, alone=alone),  # type: ignore[arg-type]
        60,
    )


def stored(store: MemoryStore) -> list[bytes]:
    return [entry.data for entry in store.read(STREAM)]


@given(plays(), st.integers(0, 10**6))
def test_a_fork_without_a_change_says_the_same_again(play: Play, chance: int) -> None:
    """From wherever it begins, as far as it goes: the same events, answered from the record, and the parent as it was.

    It stops, with a reason, where something came from outside that nobody can say again, or a child would begin.
    """

    async def law() -> None:
        store, programs = await played(play)
        program, before = top(programs), stored(store)
        entries = recorded(store.read(STREAM))
        points = forkable(entries)
        at = points[chance % len(points)]
        if fold(STREAM, (one.event for one in entries[:at])).children:
            with pytest.raises(CallError, match="A child conversation is open there, and it goes on in its own log"):
                await fork(store, program, at)
            assert stored(store) == before
            return
        made = await fork(store, program, at)
        assert stored(store) == before
        mine = recorded(store.read(made.stream))
        found = compared(entries, mine, store.payloads(STREAM), store.payloads(made.stream))
        if not made.stopped:
            assert found.first is None, (found.first, made)
            assert made.events == len(entries)
        elif not any(isinstance(one.event, SubflowStarted) for one in entries):
            first = found.first
            assert first is None or first.b is None, (first, made)
        assert made.live == []
        assert redecide(program, made.stream, mine).divergences == 0
        assert fork_broken(store, made.stream) is None

    asyncio.run(law())


async def _three_turns() -> tuple[MemoryStore, Program]:
    play = Play("mini", (("say", "help"), ("say", "pay 12.50"), ("say", "bye")), ("done",), "well")
    store, programs = await played(play)
    return store, top(programs)


def first_of(store: MemoryStore, kind: type, number: int = 0) -> int:
    found = [at for at, one in enumerate(recorded(store.read(STREAM))) if isinstance(one.event, kind)]
    return found[number]


async def test_another_message_in_its_place() -> None:
    """What was said after it is said again; the fork names whose beginning it took, with its leaf."""
    store, program = await _three_turns()
    at = first_of(store, MessageReceived, 1)
    made = await fork(store, program, at, Change(message="person"))
    entries, parent = recorded(store.read(made.stream)), recorded(store.read(STREAM))
    start = entries[0].event
    assert isinstance(start, ConversationStarted)
    assert start.origin == "forked"
    (ref,) = start.forks
    assert (ref.conversation, ref.version, ref.leaf) == (STREAM, at, parent[at - 1].leaf.hex())
    assert made.state == "desk"
    assert not any(isinstance(one.event, ToolRequested) for one in entries), "nothing was paid"
    assert made.said_again == 2, "the other message, and the last one again"


async def test_another_answer_in_its_place() -> None:
    """It is checked like any other: by its contract, its facts, its reply."""
    store, program = await _three_turns()
    at = first_of(store, AgentReturned)
    made = await fork(store, program, at, Change(answer='{"outcome": "unsure", "reply": "", "city": ""}'))
    event = recorded(store.read(made.stream))[at].event
    assert isinstance(event, AgentReturned)
    assert event.report.outcome == "unsure"
    assert made.stopped == (
        f"at event {made.events - 1} agent 'expert' is asked, and was not asked in the recording; "
        "--live asks for an answer"
    )


@pytest.mark.parametrize(
    ("which", "answer", "says"),
    [
        (AgentReturned, "{]", "This is no answer of the agent 'helper': The answer is not JSON"),
        (AgentReturned, '{"reply": 1}', "This is no answer of the agent 'helper': "),
        (ToolReturned, "not json", "This is no answer of the tool 'pay': The answer is not JSON"),
        (ToolReturned, "42", "This is no answer of the tool 'pay': It is a number, not an object."),
        (ToolReturned, "[1]", "This is no answer of the tool 'pay': It is a list, not an object."),
        (ToolReturned, '{"paid": "yes"}', "Of another type than the flow declares: 'paid'."),
    ],
)
async def test_an_answer_that_cannot_be_one_is_refused(which: Any, answer: str, says: str) -> None:
    """By the agent's contract, or by what a tool returns; before anything is recorded."""
    store, program = await _three_turns()
    before = store.streams()
    with pytest.raises(CallError) as found:
        await fork(store, program, first_of(store, which), Change(answer=answer))
    assert says in found.value.what
    assert found.value.where == f"{STREAM} event {first_of(store, which)}"
    assert store.streams() == before


async def test_a_tools_answer_in_its_place() -> None:
    store, program = await _three_turns()
    at = first_of(store, ToolReturned)
    made = await fork(store, program, at, Change(answer='{"paid": false}'))
    event = recorded(store.read(made.stream))[at].event
    assert isinstance(event, ToolReturned)
    assert [(one.name, one.value) for one in event.report.facts] == [("paid", False)]
    assert not made.stopped


async def test_live_asks_only_what_the_record_does_not_answer() -> None:
    """And never runs what changes the world outside."""
    store, program = await _three_turns()
    agent = ScriptedAgent(lambda _: gives(reply="A new answer."))
    same = await fork(store, program, 0, agent=agent)
    assert (agent.requests, same.live) == ([], [])
    at = first_of(store, MessageReceived)
    other = await fork(store, program, at, Change(message="a question, please help"), agent=agent)
    assert [one.agent for one in agent.requests] == ["helper"]
    assert len(other.live) == 1
    bank = Bank()
    unpaid = await fork(store, mini(bank), at, Change(message="once"), agent=agent)
    assert "it changes something outside, so a fork does not run it" in unpaid.stopped
    assert bank.calls == []


async def test_a_fork_of_a_fork_keeps_both_names() -> None:
    store, program = await _three_turns()
    first = await fork(store, program, first_of(store, MessageReceived, 1), alone=True)
    entries = recorded(store.read(first.stream))
    at = forkable(entries)[-2]
    made = await forked(store, first.stream, at, Wiring([program]), alone=True)
    start = recorded(store.read(made.stream))[0].event
    assert isinstance(start, ConversationStarted)
    assert [one.conversation for one in start.forks] == [STREAM, first.stream]
    assert redecide(program, made.stream, recorded(store.read(made.stream))).divergences == 0
    assert [one.what for one in audited(store).broken if "flow" not in one.what] == []
    assert fork_broken(store, made.stream) is None


async def test_nobody_acts_in_a_fork_by_himself() -> None:
    """Its deadlines are its parent's, and passed with them; its undecided effects wait to be asked for."""
    store, program = await _three_turns()
    made = await fork(store, program, first_of(store, AgentReturned), Change(message=None), alone=True)
    summary = store.summary(made.stream)
    assert summary is not None
    assert (summary.timers, summary.undecided) == ((), 0)
    assert all(one.stream != made.stream for one in store.due_timers("9999-01-01T00:00:00.000000Z"))


async def test_where_no_fork_can_begin() -> None:
    """Each refusal says where one can; nothing is recorded."""
    store, program = await _three_turns()
    before = store.streams()
    at = first_of(store, AgentRequested)
    with pytest.raises(CallError, match=f"Event {at} was decided together with event {at - 4}") as found:
        await fork(store, program, at)
    assert found.value.fix == f"Fork at {at - 4} or at {at + 1}."
    length = len(store.read(STREAM))
    with pytest.raises(
        CallError, match=f"There is no event {length + 5}: the conversation's last is {length - 1}"
    ) as found:
        await fork(store, program, length + 5)
    assert found.value.fix.startswith(f"Fork at {length} to go on from its end, or at ")
    with pytest.raises(CallError, match="The message is empty"):
        await fork(store, program, first_of(store, MessageReceived), Change(message=" "))
    with pytest.raises(CallError, match="is no message, so no other can be said in its place"):
        await fork(store, program, first_of(store, AgentReturned), Change(message="hello"))
    with pytest.raises(CallError, match="is no answer, so no other can be given in its place"):
        await fork(store, program, first_of(store, MessageReceived), Change(answer="hello"))
    assert store.streams() == before


async def test_a_fork_whose_parent_was_altered_is_found() -> None:
    """The parent's leaf stands in the fork: another beginning is named at its event."""
    store, program = await _three_turns()
    made = await fork(store, program, first_of(store, MessageReceived, 1), alone=True)
    assert fork_broken(store, made.stream) is None
    kept = store._entries[STREAM]
    last = first_of(store, MessageReceived, 1) - 1
    other = MemoryStore(origin=store.log)
    other._entries = {**store._entries, STREAM: kept[: last - 1]}
    broken = fork_broken(other, made.stream)
    assert broken is not None
    assert f"It was forked from {STREAM}, of which this log lacks the beginning." in broken.what
    other._entries[STREAM] = [
        *kept[:last],
        kept[last]._replace(leaf=b"\x00" * 32),
        *kept[last + 1 :],
    ]
    broken = fork_broken(other, made.stream)
    assert broken is not None
    assert f"has another leaf at event {last}" in broken.what


async def test_nothing_outside_is_changed_in_a_fork_by_whoever_goes_on_in_it() -> None:
    """Not even by the ordinary runtime: the tool that changes something fails there, on the record, unrun."""
    store, _ = await _three_turns()
    bank = Bank()
    program = mini(bank)
    made = await fork(store, program, first_of(store, MessageReceived, 1), alone=True)
    async with Runtime(store, program, ScriptedAgent([]), presence=OnlyProcess()) as runtime:
        await runtime.say(made.stream, "pay 12.50")
        returned = [one.event for one in recorded(store.read(made.stream)) if isinstance(one.event, ToolReturned)]
        assert [(one.report.outcome, one.report.reason) for one in returned] == [("failed", "forked")]
        assert bank.calls == []
        own = await runtime.start("mini")
        await runtime.say(own.conversation, "pay 12.50")
    assert bank.names == ["pay"], "the control: elsewhere it is run"
