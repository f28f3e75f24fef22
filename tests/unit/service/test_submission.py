"""Submissions: the same one twice is one, and many at once are one after another."""

import asyncio
from pathlib import Path

import pytest

from interlock.agents.scripted import ScriptedAgent, after, gives
from interlock.contracts.agents import AgentReply, AgentRequest
from interlock.contracts.commands import Actor
from interlock.contracts.errors import CallError, KeyReused, UnknownConversation
from interlock.contracts.events import MessageReceived, MessageTaken
from interlock.persistence.memory_store import MemoryStore
from interlock.persistence.sqlite_store import SqliteStore
from interlock.service.runtime import Runtime
from support.runtime import CLERK, OPERATOR, Bank, check_log, mini, of_type, path_of

HELPFUL = ScriptedAgent(lambda _: gives(reply="Yes."))


async def test_the_same_submission_twice_is_the_recorded_outcome_and_appends_nothing() -> None:
    """Same key, same body: the same outcome, and not a byte more in the log."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        opened = await runtime.start(conversation="talk", key="s")
        first = await runtime.say("talk", "help me", key="k")
        before = store.read("talk")
        assert await runtime.say("talk", "help me", key="k") == first
        again = await runtime.start(conversation="talk", key="s")
        assert (again.version, again.replies) == (opened.version, opened.replies)
        assert store.read("talk") == before
    check_log(store, program)


async def test_a_repeated_submission_says_what_it_led_to_and_not_what_came_after() -> None:
    """The replies of an older submission do not grow when the conversation goes on."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        first = await runtime.say("talk", "help me", key="1")
        await runtime.say("talk", "person", key="2")
        again = await runtime.say("talk", "help me", key="1")
        assert (again.version, again.replies) == (first.version, first.replies)


async def test_a_key_with_another_body_is_refused_and_nothing_is_recorded() -> None:
    """The refusal names the conversation and the event, and tells the fix."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk", key="s")
        await runtime.say("talk", "help me", key="k")
        await runtime.say("talk", "person", key="p")
        task = (await runtime.outcome("talk")).task
        assert task
        await runtime.decide_task("talk", task.number, "resolved", actor=CLERK, key="d", reason="all well")
        before = store.read("talk")
        expected = (
            r"^This idempotency key was used before (with another body|by somebody else)\. "
            r"Where: conversation talk, event \d+\. Fix: Send the same body again, or use a new key\.$"
        )
        for other in (
            lambda: runtime.say("talk", "help you", key="k"),
            lambda: runtime.give("talk", "operator_kill", key="k", actor=OPERATOR),
            lambda: runtime.start(conversation="talk", key="k"),
            lambda: runtime.start(conversation="talk", key="s", facts={"city": "Rome"}),
            lambda: runtime.decide_task("talk", task.number, "close", actor=CLERK, key="d", reason="all well"),
            lambda: runtime.decide_task("talk", task.number, "resolved", actor=CLERK, key="d", reason="not well"),
            lambda: runtime.decide_task("talk", task.number, "resolved", actor=CLERK, key="d"),
        ):
            with pytest.raises(KeyReused, match=expected):
                await other()
        assert store.read("talk") == before


async def test_a_key_used_by_somebody_else_is_refused() -> None:
    """A decision of one clerk is not handed out to another who happens to send the same key."""
    store, program = MemoryStore(), mini()
    other = Actor(kind="human", id="clerk-8", roles=("clerk",))
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        task = (await runtime.say("talk", "person")).task
        assert task
        await runtime.decide_task("talk", task.number, "resolved", actor=CLERK, key="d")
        with pytest.raises(KeyReused):
            await runtime.decide_task("talk", task.number, "resolved", actor=other, key="d")


async def test_a_start_on_another_flow_under_the_same_key_is_refused() -> None:
    """Which flow was asked for is part of the submission; which version was the newest is not."""
    store = MemoryStore()
    one, newer = mini(), mini(version=2)
    async with Runtime(store, one, HELPFUL) as runtime:
        await runtime.start(conversation="talk", key="s")
    async with Runtime(store, (one, newer), HELPFUL) as runtime:
        again = await runtime.start(conversation="talk", key="s")
        assert again.version == 0
    check_log(store, one)


async def test_a_key_for_start_needs_the_conversation_it_is_for() -> None:
    """Without one, a repeated start would open a second conversation under the same key."""
    async with Runtime(MemoryStore(), mini(), HELPFUL) as runtime:
        with pytest.raises(CallError, match="A key for `start` needs `conversation`"):
            await runtime.start(key="s")


async def test_submissions_are_the_same_across_a_restart_and_in_another_process(tmp_path: Path) -> None:
    """The outcome comes from the log, so whoever reads the log gives it."""
    program = mini()
    store = SqliteStore(tmp_path / "log.db")
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk", key="s")
        first = await runtime.say("talk", "help me", key="k")
    store.close()
    store = SqliteStore(tmp_path / "log.db")
    async with Runtime(store, program, HELPFUL) as one, Runtime(store, program, HELPFUL) as two:
        assert await one.say("talk", "help me", key="k") == first
        later = await one.say("talk", "help again", key="k2")
        assert await two.say("talk", "help again", key="k2") == later
        with pytest.raises(KeyReused):
            await two.say("talk", "something else", key="k2")
    check_log(store, program)
    store.close()


async def test_a_stale_runtime_gives_the_outcome_that_the_other_recorded(tmp_path: Path) -> None:
    """Runtime two read the conversation before runtime one took the message: it reads again, and repeats nothing."""
    program = mini()
    store = SqliteStore(tmp_path / "log.db")
    async with Runtime(store, program, HELPFUL) as one, Runtime(store, program, HELPFUL) as two:
        await one.start(conversation="talk")
        await two.outcome("talk")
        said = await one.say("talk", "help me", key="k")
        length = store.head("talk").length
        assert await two.say("talk", "help me", key="k") == said
        assert store.head("talk").length == length
        await one.say("talk", "help me", key="k2")
        assert (await two.outcome("talk")).length == store.head("talk").length
    store.close()


async def test_fifty_submissions_at_once_are_taken_one_after_another() -> None:
    """Nothing is lost, each is answered, and each is one turn of its own."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        outcomes = await asyncio.gather(*(runtime.say("talk", f"help {n}", key=f"k{n}") for n in range(50)))
        assert len({outcome.version for outcome in outcomes}) == 50
        assert all(outcome.replies == ("Yes.", "Anything else?") for outcome in outcomes)
    taken = of_type(store, "talk", MessageReceived)
    assert [event.disposition for event in taken] == ["taken"] * 50
    check_log(store, program)


async def test_the_same_submission_fifty_times_at_once_is_one() -> None:
    """However many arrive together, one is recorded and all get its outcome."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, HELPFUL) as runtime:
        await asyncio.gather(*(runtime.start(conversation="talk", key="s") for _ in range(20)))
        outcomes = await asyncio.gather(*(runtime.say("talk", "help", key="k") for _ in range(50)))
        assert len(set(outcomes)) == 1
    assert len(of_type(store, "talk", MessageReceived)) == 1


async def test_two_runtimes_on_one_file_serialise(tmp_path: Path) -> None:
    """Two processes' worth of submissions: every message is handled once, whoever received it."""
    program = mini()
    store = SqliteStore(tmp_path / "log.db")
    slow = ScriptedAgent(after(0.001, gives(reply="Yes.")))
    async with Runtime(store, program, slow) as one, Runtime(store, program, slow) as two:
        await one.start(conversation="talk")
        await asyncio.gather(*((one, two)[n % 2].say("talk", f"help {n}", key=f"k{n}") for n in range(30)))
    check_log(store, program)
    received = of_type(store, "talk", MessageReceived)
    assert len(received) == 30
    queued = sum(1 for event in received if event.disposition == "queued")
    assert len(of_type(store, "talk", MessageTaken)) == queued
    assert path_of(store, "talk").count("help>helper") == 30
    store.close()


async def test_messages_queued_while_an_agent_runs_are_handled_in_their_order(tmp_path: Path) -> None:
    """The second runtime's messages wait for the first one's agent, and none is lost."""
    program = mini()
    store = SqliteStore(tmp_path / "log.db")
    gate, reached = asyncio.Event(), asyncio.Event()

    async def held(_: AgentRequest) -> AgentReply:
        reached.set()
        await gate.wait()
        return gives(reply="Yes.")

    async with Runtime(store, program, ScriptedAgent(held)) as one, Runtime(store, program, HELPFUL) as two:
        await one.start(conversation="talk")
        first = asyncio.create_task(one.say("talk", "help first"))
        await reached.wait()
        waiting = [await two.say("talk", text) for text in ("help second", "person", "help third")]
        assert {outcome.standing for outcome in waiting} == {"working"}
        gate.set()
        await first
        assert path_of(store, "talk") == [
            "message>triage",
            "help>helper",
            "done>more",
            "message>triage",
            "help>helper",
            "done>more",
            "message>triage",
            "person>desk",
        ]
        outcome = await two.outcome("talk")
        assert outcome.task
        await two.decide_task("talk", outcome.task.number, "resolved", actor=CLERK)
        assert path_of(store, "talk")[-4:] == ["resolved>more", "message>triage", "help>helper", "done>more"]
    check_log(store, program)
    store.close()


async def test_a_caller_that_goes_away_does_not_take_its_turn_along() -> None:
    """Cancelled while the agent runs: the turn ends, and sending it again gives its outcome."""
    store, program = MemoryStore(), mini()
    gate, reached = asyncio.Event(), asyncio.Event()

    async def held(_: AgentRequest) -> AgentReply:
        reached.set()
        await gate.wait()
        return gives(reply="Yes.")

    async with Runtime(store, program, ScriptedAgent(held)) as runtime:
        await runtime.start(conversation="talk")
        turn = asyncio.create_task(runtime.say("talk", "help me", key="k"))
        await reached.wait()
        turn.cancel()
        with pytest.raises(asyncio.CancelledError):
            await turn
        gate.set()
        outcome = await runtime.say("talk", "help me", key="k")
        assert outcome.replies == ("Yes.", "Anything else?")
    assert len(of_type(store, "talk", MessageReceived)) == 1
    check_log(store, program)


async def test_leaving_the_runtime_waits_for_turns_in_hand() -> None:
    """`async with` ends only when what was begun has ended, though nobody waits for it any more."""
    store, program = MemoryStore(), mini()
    async with Runtime(store, program, ScriptedAgent(after(0.05, gives(reply="Yes.")))) as runtime:
        await runtime.start(conversation="talk")
        turn = asyncio.create_task(runtime.say("talk", "help me"))
        await asyncio.sleep(0.01)
        turn.cancel()
    assert path_of(store, "talk")[-1] == "done>more"
    check_log(store, program)


@pytest.mark.parametrize("key", ["", "with space", "x" * 121, "ключ", "new\nline", "\x00", "\ud800", "tab\t"])
async def test_a_key_that_cannot_stand_in_the_log_is_refused(key: str) -> None:
    """Before anything is recorded, with what is allowed."""
    store = MemoryStore()
    async with Runtime(store, mini(), HELPFUL) as runtime:
        await runtime.start(conversation="talk")
        with pytest.raises(CallError, match="Use 1 to 120 printable ASCII characters without spaces"):
            await runtime.say("talk", "help", key=key)
        assert of_type(store, "talk", MessageReceived) == []


async def test_a_conversation_that_does_not_exist_is_said_to_be_unknown() -> None:
    """Each call says so, and how to find those that exist."""
    async with Runtime(MemoryStore(), mini(), HELPFUL) as runtime:
        for call in (
            lambda: runtime.say("nobody", "help"),
            lambda: runtime.give("nobody", "signed_in"),
            lambda: runtime.decide_task("nobody", 1, "resolved", actor=CLERK),
            lambda: runtime.outcome("nobody"),
            lambda: runtime.resolve("nobody", 1, "done"),
        ):
            with pytest.raises(UnknownConversation, match=r"There is no conversation 'nobody' in this log\. Fix:"):
                await call()


async def test_a_conversation_forgotten_by_the_cache_goes_on_where_it_was() -> None:
    """With room for one conversation in memory, fifty go on side by side."""
    store, program = MemoryStore(), mini(Bank())
    async with Runtime(store, program, HELPFUL, remembered=1) as runtime:
        names = [f"talk-{n}" for n in range(20)]
        await asyncio.gather(*(runtime.start(conversation=name) for name in names))
        for text in ("help", "form", "Paris"):
            await asyncio.gather(*(runtime.say(name, text, key=text) for name in names))
        again = await asyncio.gather(*(runtime.say(name, "help", key="help") for name in names))
        assert all(outcome.replies == ("Yes.", "Anything else?") for outcome in again)
    assert {fold.state for fold in check_log(store, program).folds.values()} == {"form"}
