"""Recovery: what a dead process left undone is performed again, or listed for a person."""

import asyncio
from pathlib import Path

import pytest

from interlock.agents.scripted import ScriptedAgent, after_tool, calls, gives, rules, when
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.errors import StorageError
from interlock.contracts.events import AgentReturned, CommandRefused, EffectResolved, ToolRequested, ToolReturned
from interlock.contracts.store import Append
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.outcome import Undecided
from interlock.service.runtime import Runtime
from support.runtime import Bank, FailingStore, check_log, mini, of_type, path_of

HELPFUL = ScriptedAgent(lambda _: gives(reply="Yes."))
PAYS = ScriptedAgent(
    rules(
        after_tool("pay", then=gives(reply="Paid.")),
        when("tool", then=calls("pay", amount=3)),
        otherwise=gives(reply="Yes."),
    )
)


class DiesAfter(FailingStore):
    """Fails from the first append whose first event is of this type: so a process dies between act and record."""

    def __init__(self, store: object, kind: str) -> None:
        super().__init__(store, StorageError("The process is dead.", fix="Bury it."))
        self.kind = kind

    def refuses(self, append: Append) -> bool:
        self.broken = self.broken or append.entries[0].event.type == self.kind
        return self.broken


async def left_undone(store: MemoryStore, bank: Bank, kind: str, *texts: str) -> None:
    """A conversation `talk` whose process died where it would have recorded an event of `kind`."""
    async with Runtime(DiesAfter(store, kind), mini(bank), PAYS) as runtime:
        await runtime.start(conversation="talk")
        for text in texts[:-1]:
            await runtime.say("talk", text)
        with pytest.raises(StorageError):
            await runtime.say("talk", texts[-1])


async def test_a_model_call_without_an_end_is_asked_again() -> None:
    """Nobody knows what it said: the same request goes out again, under the same intent."""
    store, bank = MemoryStore(), Bank()
    await left_undone(store, bank, "agent_returned", "help")
    assert store.summaries(undecided=True)
    agent = ScriptedAgent(lambda _: gives(reply="Yes."))
    async with Runtime(store, mini(bank), agent) as runtime:
        assert (await runtime.outcome("talk")).standing == "working"
        assert await runtime.recover() == ()
        outcome = await runtime.outcome("talk")
        assert (outcome.state, outcome.standing) == ("more", "waiting")
    assert len(agent.requests) == 1
    assert len(of_type(store, "talk", AgentReturned)) == 1
    check_log(store, mini(bank))


async def test_a_tool_that_takes_the_key_is_called_again_with_the_same_key() -> None:
    """Two calls, one payment: the key of the second is that of the first."""
    store, bank = MemoryStore(), Bank()
    await left_undone(store, bank, "tool_returned", "pay")
    assert bank.names == ["pay"]
    async with Runtime(store, mini(bank), HELPFUL) as runtime:
        assert await runtime.recover() == ()
        assert (await runtime.outcome("talk")).state == "more"
    assert bank.names == ["pay", "pay"]
    assert len(bank.paid) == 1
    check_log(store, mini(bank))


@pytest.mark.parametrize(
    ("how", "state", "payments"), [("done", "more", 1), ("failed", "desk", 1), ("again", "more", 2)]
)
async def test_a_tool_without_a_key_is_left_to_a_person(how: str, state: str, payments: int) -> None:
    """It is listed and never repeated by itself; a person says what happened, and the flow goes on from that."""
    store, bank = MemoryStore(), Bank()
    await left_undone(store, bank, "tool_returned", "once")
    async with Runtime(store, mini(bank), HELPFUL) as runtime:
        (undecided,) = await runtime.recover()
        assert undecided == Undecided("talk", undecided.effect, "pay_unkeyed")
        assert await runtime.recover() == (undecided,)
        assert bank.names == ["pay_unkeyed"]
        outcome = await runtime.resolve("talk", undecided.effect, how)
        assert outcome.state == state
        assert await runtime.recover() == ()
        await runtime.resolve("talk", undecided.effect, "done")
    assert len(bank.names) == payments
    assert [event.how for event in of_type(store, "talk", EffectResolved)] == [how]
    assert of_type(store, "talk", CommandRefused)[-1].reason == "not_pending"
    check_log(store, mini(bank))


async def test_messages_that_came_while_an_effect_was_undecided_are_handled_after_it() -> None:
    """They are queued, and taken as soon as a person has said what happened."""
    store, bank = MemoryStore(), Bank()
    await left_undone(store, bank, "tool_returned", "once")
    async with Runtime(store, mini(bank), HELPFUL) as runtime:
        (undecided,) = await runtime.recover()
        assert (await runtime.say("talk", "help")).standing == "working"
        assert (await runtime.say("talk", "form")).standing == "working"
        await runtime.resolve("talk", undecided.effect, "done")
        assert (await runtime.outcome("talk")).state == "form"
    assert path_of(store, "talk")[-6:] == [
        "done>more",
        "message>triage",
        "help>helper",
        "done>more",
        "message>triage",
        "form>form",
    ]
    check_log(store, mini(bank))


async def test_an_agents_tool_call_is_recovered_inside_its_round() -> None:
    """The tool runs again with its key, then the model is told its result."""
    store, bank = MemoryStore(), Bank()
    await left_undone(store, bank, "tool_returned", "help tool")
    async with Runtime(store, mini(bank), PAYS) as runtime:
        assert await runtime.recover() == ()
        assert (await runtime.outcome("talk")).state == "more"
    assert len(bank.paid) == 1
    assert len(of_type(store, "talk", ToolRequested)) == len(of_type(store, "talk", ToolReturned)) == 1
    check_log(store, mini(bank))


@pytest.mark.parametrize("how", ["done", "failed"])
async def test_a_model_call_may_be_given_up_by_a_person(how: str) -> None:
    """Resolved instead of asked again: it counts as a failed attempt."""
    store, bank = MemoryStore(), Bank()
    await left_undone(store, bank, "agent_returned", "help")
    async with Runtime(store, mini(bank), HELPFUL) as runtime:
        pending = check_log(store, mini(bank)).folds["talk"].pending
        outcome = await runtime.resolve("talk", next(iter(pending)), how)
        assert outcome.state == "more", "one more attempt is left, and it succeeds"
    check_log(store, mini(bank))


async def test_what_a_living_process_has_in_hand_is_not_taken_over(tmp_path: Path) -> None:
    """Recovery beside a running turn, with nothing said about presence: the tool runs once."""
    bank = Bank()
    program = mini(bank)
    store = SqliteStore(tmp_path / "log.db")
    gate, reached = asyncio.Event(), asyncio.Event()

    async def held(_: AgentRequest) -> AgentReply:
        reached.set()
        await gate.wait()
        return gives(reply="Yes.")

    async with Runtime(store, program, ScriptedAgent(held)) as one, Runtime(store, program, HELPFUL) as two:
        await one.start(conversation="talk")
        turn = asyncio.create_task(one.say("talk", "help"))
        await reached.wait()
        assert await two.recover() == ()
        assert (await two.outcome("talk")).standing == "working"
        gate.set()
        assert (await turn).replies == ("Yes.", "Anything else?")
    assert not of_type(store, "talk", AgentReturned)[0].late
    check_log(store, program)
    store.close()


async def test_two_runtimes_that_recover_at_once_do_it_once(tmp_path: Path) -> None:
    """The claim has one winner for each conversation."""
    bank = Bank()
    program = mini(bank)
    store = SqliteStore(tmp_path / "log.db")
    for number in range(5):
        async with Runtime(DiesAfter(store, "agent_returned"), program, HELPFUL) as runtime:
            await runtime.start(conversation=f"talk-{number}")
            with pytest.raises(StorageError):
                await runtime.say(f"talk-{number}", "help")
    agent = ScriptedAgent(lambda _: gives(reply="Yes."))
    async with Runtime(store, program, agent) as one, Runtime(store, program, agent) as two:
        await asyncio.gather(one.recover(), two.recover())
        assert {(await one.outcome(f"talk-{number}")).state for number in range(5)} == {"more"}
    assert len(agent.requests) == 5
    check_log(store, program)
    store.close()


async def test_one_conversation_that_cannot_be_read_stops_no_recovery_of_another() -> None:
    """Its flow is not loaded here: it stays as it is, and is left for whoever has its flow."""
    store, bank = MemoryStore(), Bank()
    old, new = mini(bank), mini(bank, version=2)
    for name, program in (("old", old), ("new", new), ("older", old)):
        async with Runtime(DiesAfter(store, "agent_returned"), program, HELPFUL) as runtime:
            await runtime.start(conversation=name)
            with pytest.raises(StorageError):
                await runtime.say(name, "help")
    async with Runtime(store, new, HELPFUL) as runtime:
        assert await runtime.recover() == ()
        assert (await runtime.outcome("new")).state == "more"
    async with Runtime(store, (old, new), HELPFUL) as runtime:
        await runtime.recover()
        assert (await runtime.outcome("old")).state == "more"
    check_log(store, (old, new))


async def test_a_turn_whose_record_failed_can_be_recovered_by_the_same_process() -> None:
    """The disk was full for a moment; afterwards the same runtime recovers what it had begun."""
    store, bank = FailingStore(MemoryStore(), StorageError("The disk is full.", fix="Make room.")), Bank()
    program = mini(bank)

    def fill(_: AgentRequest) -> AgentReply:
        store.broken = not store.refused
        return gives(reply="Yes.")

    async with Runtime(store, program, ScriptedAgent(fill)) as runtime:
        await runtime.start(conversation="talk")
        with pytest.raises(StorageError):
            await runtime.say("talk", "help", key="k")
        store.broken = False
        assert await runtime.recover() == ()
        outcome = await runtime.say("talk", "help", key="k")
        assert outcome.replies == ("Yes.", "Anything else?")
    check_log(store, program)
